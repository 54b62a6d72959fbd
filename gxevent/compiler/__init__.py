"""From trained network to event graph: folding of batch norms into integer thresholds, lowering of layers."""

from gxevent.compiler.lower import compile

__all__ = ["compile"]
