"""Writing recordings: npz, N-MNIST ``.bin`` and CSV, the formats that gxevent reads back exactly."""

from __future__ import annotations

import os
from pathlib import Path

from gxevent.errors import OptionError
from gxevent.events.readers import nmnist, npz, text
from gxevent.events.stream import EventStream
from gxevent.store import atomic_write

_WRITERS = {"npz": npz.write, "nmnist": nmnist.write, "text": text.write}
_BY_SUFFIX = {".npz": "npz", ".bin": "nmnist", ".csv": "text", ".txt": "text"}


def dump_events(stream: EventStream, format: str) -> bytes:
    """Bytes of a recording as ``"npz"``, ``"nmnist"`` or ``"text"``; the same stream gives the same bytes.

    Raises OptionError for any other format, FormatError where the format cannot hold the events.
    """
    if format not in _WRITERS:
        raise OptionError(f"format {format!r}: gxevent writes {', '.join(_WRITERS)}")
    return _WRITERS[format](stream)


def write_events(path: str | os.PathLike[str], stream: EventStream, format: str | None = None) -> None:
    """Write a recording, whole or not at all; the format follows from ``.npz``, ``.bin``, ``.csv`` or ``.txt``."""
    path = Path(path)
    if format is None:
        format = _BY_SUFFIX.get(path.suffix.lower())
        if format is None:
            raise OptionError(f"{path}: no format for {path.suffix!r}; name it .npz, .bin or .csv, or pass format")
    data = dump_events(stream, format)
    with atomic_write(path) as file:
        file.write(data)
