"""Cross-checks: independent evaluations of one graph that must give the same integers."""

from gxevent.crosscheck.brian2 import crosscheck_brian2
from gxevent.crosscheck.oracles import check_compiled, crosscheck_forward, crosscheck_reference
from gxevent.crosscheck.report import CrosscheckReport, compare

__all__ = [
    "CrosscheckReport",
    "check_compiled",
    "compare",
    "crosscheck_brian2",
    "crosscheck_forward",
    "crosscheck_reference",
]
