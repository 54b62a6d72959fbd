"""Which reader a file gets: by its content first, by its name second.

A format is told by ``sniff(data, name) -> bool``, asked in the order of registration, so formats with a magic number
come before those recognised by their structure. It is read through a source (:mod:`gxevent.events.readers.source`),
or, where it was added with :func:`register`, by a function ``read(data, name, options) -> EventStream``.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gxevent.errors import FormatError, OptionError
from gxevent.events.readers.options import SENSORS, TIME_UNITS, ReadOptions
from gxevent.events.readers.source import OpenSource, Source, head_of, positive_chunk, read_chunks, read_whole
from gxevent.events.stream import EventStream

__all__ = [
    "SENSORS",
    "TIME_UNITS",
    "ReadOptions",
    "decode_events",
    "format_of",
    "formats",
    "iter_events",
    "open_events",
    "recognise",
    "register",
    "register_source",
]

CHUNK = 1 << 20
"""Events in a chunk of :func:`iter_events`: 13 MiB."""

Sniff = Callable[[bytes, str], bool]
Read = Callable[[bytes, str, ReadOptions], EventStream]


@dataclass(frozen=True)
class Format:
    """How one format is told and read."""

    sniff: Sniff
    read: Read
    open: OpenSource | None = None


_readers: dict[str, Format] = {}


def register(format_name: str, sniff: Sniff, read: Read) -> None:
    """Add a reader, or replace the one of that name in its place."""
    _readers[format_name] = Format(sniff, read)


def register_source(format_name: str, sniff: Sniff, open: OpenSource) -> None:
    """Add a reader that can also read in chunks: ``open(file, name, options)`` gives a source."""

    def read(data: bytes, name: str, options: ReadOptions) -> EventStream:
        return read_whole(open(io.BytesIO(data), name, options), name, options)

    _readers[format_name] = Format(sniff, read, open)


def formats() -> tuple[str, ...]:
    """Names of the registered formats, in the order they are tried."""
    return tuple(_readers)


def open_events(
    path: str | os.PathLike[str],
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    on_backward: str = "error",
    on_outside: str = "error",
    on_truncated: str = "error",
    time_unit: str | None = None,
) -> EventStream:
    """Read one recording.

    Parameters
    ----------
    width, height
        Size of the sensor in pixels. Without it: what the file states, else the smallest usual sensor that holds all
        events.
    format
        Name of a format of :func:`formats`, to skip recognition.
    on_backward
        Events whose time falls: ``"error"``, ``"sort"`` or ``"drop"``.
    on_outside
        Events outside the sensor: ``"error"`` or ``"drop"``.
    on_truncated
        A file that ends within an event or packet: ``"error"``, or ``"drop"`` the rest.
    time_unit
        ``"s"``, ``"ms"``, ``"us"`` or ``"ns"`` for text, NumPy and HDF5 files; without it times with fractions are
        seconds and whole numbers microseconds.

    What was dropped is counted in ``stream.dropped``; what a file holds besides events, in ``stream.passed``. Pixels
    count from the upper left corner in every format but Event Stream, which counts rows from the lowest and whose
    values stay as they are in the file.

    Raises
    ------
    FormatError
        one line naming the file, the place (byte, line or event number), the values and a remedy.
    UnsupportedError
        for event formats that gxevent knows but does not read.
    MissingExtraError
        for HDF5, ROS bags and compressed AEDAT 4 without ``pip install 'gxevent[events]'``.
    """
    options = ReadOptions(width, height, on_backward, time_unit, on_outside, on_truncated)
    path = Path(path)
    with _open(path) as file:
        chosen = _choose(file, str(path), format)
        if chosen.open is None:
            return chosen.read(file.read(), str(path), options)
        return read_whole(chosen.open(file, str(path), options), str(path), options)


def iter_events(
    path: str | os.PathLike[str],
    chunk: int = CHUNK,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    on_backward: str = "error",
    on_outside: str = "error",
    on_truncated: str = "error",
    time_unit: str | None = None,
) -> Iterator[EventStream]:
    """Read one recording of any length in streams of at most ``chunk`` events, in constant memory.

    Arguments and errors are those of :func:`open_events`; the decoder's state runs on from chunk to chunk, so the
    chunks together hold the same events. Always gives at least one chunk, empty for a recording without events.
    ``dropped`` of a chunk counts what was dropped since the one before; ``passed`` is that of the whole file and comes
    with the last. A file that does not state its sensor is read twice unless ``width`` and ``height`` are given.
    ``on_backward="sort"`` holds ``gate.SORT_BUFFER`` (262,144) events back and drops those that come later still.
    Formats that are no streams (npz, MATLAB) are read as a whole and then cut.
    """
    options = ReadOptions(width, height, on_backward, time_unit, on_outside, on_truncated)
    chunk = positive_chunk(chunk)
    path = Path(path)
    with _open(path) as file:
        chosen = _choose(file, str(path), format)
        if chosen.open is None:
            stream = chosen.read(file.read(), str(path), options)
            for at in range(0, max(len(stream), 1), chunk):
                yield stream[at : at + chunk]
        else:

            def source() -> Source:
                file.seek(0)
                return chosen.open(file, str(path), options)

            yield from read_chunks(source, str(path), options, chunk)


def decode_events(
    data: bytes,
    name: str,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    on_backward: str = "error",
    on_outside: str = "error",
    on_truncated: str = "error",
    time_unit: str | None = None,
) -> EventStream:
    """As :func:`open_events`, from the bytes of a file (an archive member, say) that messages call ``name``."""
    options = ReadOptions(width, height, on_backward, time_unit, on_outside, on_truncated)
    return _choose(io.BytesIO(data), name, format).read(data, name, options)


def format_of(path: str | os.PathLike[str]) -> str:
    """Name of the format of a file; FormatError when no reader takes it."""
    with _open(Path(path)) as file:
        return recognise(_head(file, str(path)), str(path))


def recognise(data: bytes, name: str) -> str:
    """Name of the format of ``data``, a file or its first 64 KiB; FormatError when no reader takes it."""
    for format_name, reader in _readers.items():
        if reader.sniff(data, name):
            return format_name
    raise FormatError(
        f"{name}: not a known event format (begins with bytes {data[:8].hex(' ')}); gxevent reads "
        f"{', '.join(name for name, reader in _readers.items() if reader.open)}: convert it, or name its format"
    )


def _choose(file: BinaryIO, name: str, format: str | None) -> Format:
    if format is not None and format not in _readers:
        raise OptionError(f"format {format!r} is not one of {', '.join(_readers)}")
    head = _head(file, name)
    return _readers[recognise(head, name) if format is None else format]


def _head(file: BinaryIO, name: str) -> bytes:
    head, size = head_of(file)
    if not size:
        raise FormatError(f"{name}: is empty (0 bytes), expected a recording of events; fetch or write it again")
    return head


def _open(path: Path) -> BinaryIO:
    """The open file (of a ROS 2 bag, a folder: its ``metadata.yaml``), or the system's refusal as one clear line."""
    if (path / "metadata.yaml").is_file():
        path = path / "metadata.yaml"
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: is a folder, expected a file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error
