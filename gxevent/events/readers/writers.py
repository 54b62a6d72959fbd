"""Writing recordings, in every format that gxevent reads back exactly and can write.

A writer takes the chunks of one recording and yields bytes, so that recordings of any length are converted in
constant memory (npz and HDF5 are put together in memory, or on disk, before they are written). The same events give
the same bytes.
"""

from __future__ import annotations

import io
import itertools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np

from gxevent.errors import FormatError, OptionError, require
from gxevent.events.readers import binary
from gxevent.events.stream import EVENT_DTYPE, EventStream
from gxevent.store import atomic_write

Chunks = Iterable[EventStream]


def dump_events(stream: EventStream, format: str) -> bytes:
    """Bytes of a recording in one of the formats ``WRITERS``; the same stream gives the same bytes.

    Raises OptionError for any other format, FormatError where the format cannot hold the events.
    """
    if format not in WRITERS:
        raise OptionError(f"format {format!r}: gxevent writes {', '.join(WRITERS)}")
    return b"".join(WRITERS[format](_oriented([stream], format)))


def write_events(path: str | os.PathLike[str], stream: EventStream, format: str | None = None) -> None:
    """Write a recording, whole or not at all; the format follows from the name (``BY_SUFFIX``) unless given."""
    write_chunks(path, [stream], format)


def write_chunks(path: str | os.PathLike[str], chunks: Chunks, format: str | None = None) -> None:
    """Write the chunks of one recording (:func:`iter_events`), whole or not at all, in constant memory.

    Raises
    ------
    OptionError
        for a name or format that gxevent does not write.
    FormatError
        naming the event that the format cannot hold, or chunks whose time falls from one to the next.
    """
    path = Path(path)
    if format is None:
        format = BY_SUFFIX.get(path.suffix.lower())
        if format is None:
            raise OptionError(f"{path}: no format for {path.suffix!r}; name it {', '.join(BY_SUFFIX)}, or pass format")
    if format not in WRITERS:
        raise OptionError(f"format {format!r}: gxevent writes {', '.join(WRITERS)}")
    with atomic_write(path) as file:
        for part in WRITERS[format](_oriented(chunks, format)):
            file.write(part)


def _oriented(chunks: Chunks, format: str) -> Iterator[EventStream]:
    """Rows counted as the format counts them, so that the picture stays upright from one format to another."""
    return (part.oriented(up=format == "event-stream") for part in chunks)


def _npz(chunks: Chunks) -> Iterator[bytes]:
    """A compressed npz of t, x, y, p, width, height."""
    parts = list(chunks)
    e = np.concatenate([part.events for part in parts]) if parts else np.empty(0, EVENT_DTYPE)
    width, height = (parts[0].width, parts[0].height) if parts else (1, 1)
    out = io.BytesIO()
    sensor = {"width": np.int64(width), "height": np.int64(height)}
    np.savez_compressed(out, t=e["t"], x=e["x"], y=e["y"], p=e["p"], **sensor)
    yield out.getvalue()


def _text(chunks: Chunks) -> Iterator[bytes]:
    """CSV with a header; times in microseconds, polarity 0/1, the sensor in a comment."""
    for number, part in enumerate(chunks):
        if number == 0:
            yield f"# width={part.width} height={part.height}\nt_us,x,y,p\n".encode()
        for at in range(0, len(part), 1 << 16):
            e = part.events[at : at + (1 << 16)]
            rows = zip(e["t"].tolist(), e["x"].tolist(), e["y"].tolist(), e["p"].astype(int).tolist(), strict=True)
            yield "".join(itertools.starmap("{},{},{},{}\n".format, rows)).encode()


def _hdf5(chunks: Chunks) -> Iterator[bytes]:
    """Datasets ``events/{t,x,y,p}``, deflated; the group states width and height. Needs h5py."""
    h5py = require("h5py", extra="events", purpose="writing HDF5")
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        group = file.create_group("events")
        kinds = {"t": "<i8", "x": "<u2", "y": "<u2", "p": "u1"}
        for letter, kind in kinds.items():
            group.create_dataset(
                letter, (0,), kind, maxshape=(None,), chunks=(1 << 16,), compression="gzip", compression_opts=4,
                shuffle=True, track_times=False,
            )  # fmt: skip
        n = 0
        for part in chunks:
            group.attrs["width"], group.attrs["height"] = part.width, part.height
            for letter in kinds:
                group[letter].resize((n + len(part),))
                group[letter][n:] = part.events[letter]
            n += len(part)
    yield out.getvalue()


WRITERS: dict[str, Callable[[Chunks], Iterator[bytes]]] = {
    "npz": _npz,
    "nmnist": binary.nmnist,
    "text": _text,
    "event-stream": binary.event_stream,
    "dat": binary.dat,
    "evt2": binary.evt2,
    "evt3": binary.evt3,
    "hdf5": _hdf5,
}
"""Format -> function that turns chunks into bytes."""

BY_SUFFIX = {
    ".npz": "npz",
    ".bin": "nmnist",
    ".csv": "text",
    ".txt": "text",
    ".es": "event-stream",
    ".dat": "dat",
    ".evt2": "evt2",
    ".raw": "evt3",
    ".evt3": "evt3",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
}
"""File name ending -> format; ``.raw`` is EVT 3.0."""

__all__ = ["BY_SUFFIX", "WRITERS", "FormatError", "dump_events", "write_chunks", "write_events"]
