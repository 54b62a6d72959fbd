"""Running event graphs: the engine, run records, and the NumPy reference that defines the right answer."""

from gxevent.runtime.counts import Counts
from gxevent.runtime.engine import Engine, Result, Trace
from gxevent.runtime.profile import profile, profile_network
from gxevent.runtime.record import RunRecord, SampleRow, load_run
from gxevent.runtime.recorded import record_run
from gxevent.runtime.run import encode_samples, run_dataset
from gxevent.runtime.trace import TraceFile, open_trace

__all__ = [
    "Counts",
    "Engine",
    "Result",
    "RunRecord",
    "SampleRow",
    "Trace",
    "TraceFile",
    "encode_samples",
    "load_run",
    "open_trace",
    "profile",
    "profile_network",
    "record_run",
    "run_dataset",
]
