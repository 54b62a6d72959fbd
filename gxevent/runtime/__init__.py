"""Running event graphs: the engine, run records, and the NumPy reference that defines the right answer."""

from gxevent.runtime.counts import Counts
from gxevent.runtime.engine import Engine, Result, Trace

__all__ = ["Counts", "Engine", "Result", "Trace"]
