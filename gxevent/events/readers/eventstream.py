"""Event Stream ``.es``, version 2: types dvs and atis.

12 bytes ``Event Stream``, 3 bytes version, 1 byte type, u16 width, u16 height; then events of 5 bytes whose first
byte holds the time since the event before, and single bytes that add to the time or are resets. Times begin at 0.
Of atis events the exposure measurements are passed over and counted.

The rows of the format count from the lowest **upwards**; y stays as the file has it, and the stream says so
(``y_up``). A header that states something over twice as tall as wide, and just the box around its events, is no
sensor: the smallest usual one that holds the box is meant (N-CARS files are cut out so).

neuromorphic-paris, "Event Stream", github.com/neuromorphic-paris/event_stream.
"""

from __future__ import annotations

from typing import BinaryIO

from gxevent.core import _decode
from gxevent.errors import FormatError, UnsupportedError
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Coded, Layout

MAGIC = b"Event Stream"
HEADER = 20
_TYPES = {1: "es-dvs", 2: "es-atis"}
_OTHER = {0: "generic", 3: "amd", 4: "color"}


def sniff(data: bytes, _: str) -> bool:
    return data.startswith(MAGIC)


def open_es(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    """Raises UnsupportedError for other versions and types, FormatError for a header cut short."""
    head = file.read(HEADER)
    if len(head) < 16:
        raise FormatError(f"{name}: cut short at byte {len(head)}, in the header; fetch it again")
    major, minor, patch, type_ = head[12:16]
    if major != 2:
        raise UnsupportedError(
            f"{name}: Event Stream version {major}.{minor}.{patch}; gxevent reads version 2: rewrite it with the "
            "package event_stream"
        )
    if type_ not in _TYPES:
        what = _OTHER.get(type_, f"number {type_}")
        raise UnsupportedError(f"{name}: Event Stream of type {what}, which holds no camera events of pixel, time and "
                               "polarity; gxevent reads the types dvs and atis")  # fmt: skip
    if len(head) < HEADER:
        raise FormatError(f"{name}: cut short at byte {len(head)}, in the header; fetch it again")
    source = Coded(file, name, options, Layout(_decode.Decoder(_TYPES[type_]), HEADER, 5))
    source.stated = int.from_bytes(head[16:18], "little"), int.from_bytes(head[18:20], "little")
    source.boxed = source.stated[1] > 2 * source.stated[0]  # no sensor stands so tall: a box cut out of one
    source.y_up = True
    return source
