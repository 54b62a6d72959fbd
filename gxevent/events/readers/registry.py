"""Which reader a file gets: by its content first, by its name second.

A reader is a pair of functions: ``sniff(data, name) -> bool`` looks whether bytes are of its format, ``read(data,
name, options) -> EventStream`` decodes them. Readers are asked in the order of registration, so formats with a magic
number come before those recognised by their structure.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError
from gxevent.events.stream import EventStream, from_arrays
from gxevent.store import read_bytes

TIME_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in each unit of time a file may use."""

SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))
"""Sensors in use, smallest first: the guess for files that do not say where they come from."""


@dataclass(frozen=True)
class ReadOptions:
    """What the caller knows about a file; None: the reader finds out."""

    width: int | None = None
    height: int | None = None
    on_backward: str = "error"
    time_unit: str | None = None

    def sensor(self, x_max: int, y_max: int, stated: tuple[int, int] | None = None) -> tuple[int, int]:
        """(width, height): as given, else as the file states, else the smallest usual sensor that holds the events."""
        if stated is None:
            usual = [size for size in SENSORS if x_max < size[0] and y_max < size[1]]
            stated = usual[0] if usual else tuple(min(max(1, last + 1), 65536) for last in (x_max, y_max))
        return (stated[0] if self.width is None else self.width), (stated[1] if self.height is None else self.height)

    def stream(
        self,
        t: NDArray[np.int64],
        x: NDArray[np.integer],
        y: NDArray[np.integer],
        p: NDArray,
        name: str,
        stated: tuple[int, int] | None = None,
    ) -> EventStream:
        """A checked stream from arrays (n,), with the sensor of :meth:`sensor`."""
        if stated is not None and not all(1 <= size <= 65536 for size in stated):
            raise FormatError(f"{name}: states a sensor of {stated[0]}x{stated[1]} pixels; correct it")
        width, height = self.sensor(int(x.max(initial=0)), int(y.max(initial=0)), stated)
        return from_arrays(t, x, y, p, width, height, source=name, on_backward=self.on_backward)


Sniff = Callable[[bytes, str], bool]
Read = Callable[[bytes, str, ReadOptions], EventStream]

_readers: dict[str, tuple[Sniff, Read]] = {}


def register(format_name: str, sniff: Sniff, read: Read) -> None:
    """Add a reader, or replace the one of that name in its place."""
    _readers[format_name] = (sniff, read)


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
    time_unit
        ``"s"``, ``"ms"``, ``"us"`` or ``"ns"`` for text and NumPy files; without it times with fractions are seconds
        and whole numbers microseconds.

    Raises
    ------
    FormatError
        one line naming the file, the place (byte, line or event number) and a remedy.
    UnsupportedError
        for event formats that gxevent knows but does not read.
    """
    path = Path(path)
    return decode_events(
        read_bytes(path),
        str(path),
        width=width,
        height=height,
        format=format,
        on_backward=on_backward,
        time_unit=time_unit,
    )


def decode_events(
    data: bytes,
    name: str,
    *,
    width: int | None = None,
    height: int | None = None,
    format: str | None = None,
    on_backward: str = "error",
    time_unit: str | None = None,
) -> EventStream:
    """As :func:`open_events`, from the bytes of a file (an archive member, say) that messages call ``name``."""
    if time_unit is not None and time_unit not in TIME_UNITS:
        raise OptionError(f"time_unit: expected one of {', '.join(TIME_UNITS)}, got {time_unit!r}")
    if format is not None and format not in _readers:
        raise OptionError(f"format {format!r} is not one of {', '.join(_readers)}")
    if not data:
        raise FormatError(f"{name}: is empty (0 bytes), expected a recording of events; fetch or write it again")
    options = ReadOptions(width, height, on_backward, time_unit)
    if format is None:
        format = recognise(data, name)
    return _readers[format][1](data, name, options)


def recognise(data: bytes, name: str) -> str:
    """Name of the format of ``data``; FormatError when no reader takes it."""
    for format_name, (sniff, _) in _readers.items():
        if sniff(data, name):
            return format_name
    raise FormatError(
        f"{name}: not a known event format (begins with bytes {data[:8].hex(' ')}); "
        f"gxevent reads N-MNIST .bin, .npz, .npy and text (t x y p): convert it, or name its format"
    )
