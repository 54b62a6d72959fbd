"""Event streams: recordings, their files, data sets of them, and how they become the frames a network reads."""

from gxevent.events.adapters import from_tonic
from gxevent.events.datasets import DataSet, Sample, open_dataset
from gxevent.events.emulate import Emulator, emulate
from gxevent.events.encode import encode_images, encode_stream, window_bounds, windows
from gxevent.events.readers import (
    decode_events,
    dump_events,
    format_of,
    iter_events,
    open_events,
    register,
    write_chunks,
    write_events,
)
from gxevent.events.stream import EVENT_DTYPE, EventStream, from_arrays

__all__ = [
    "EVENT_DTYPE",
    "DataSet",
    "Emulator",
    "EventStream",
    "Sample",
    "decode_events",
    "dump_events",
    "emulate",
    "encode_images",
    "encode_stream",
    "format_of",
    "from_arrays",
    "from_tonic",
    "iter_events",
    "open_dataset",
    "open_events",
    "register",
    "window_bounds",
    "windows",
    "write_chunks",
    "write_events",
]
