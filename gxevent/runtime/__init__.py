"""Running event graphs: the engine, run records, and the NumPy reference that defines the right answer."""

from gxevent.runtime.counts import Counts
from gxevent.runtime.engine import Engine, Result, Trace
from gxevent.runtime.record import RunRecord, SampleRow, load_run
from gxevent.runtime.run import encode_samples, run_dataset

__all__ = ["Counts", "Engine", "Result", "RunRecord", "SampleRow", "Trace", "encode_samples", "load_run", "run_dataset"]
