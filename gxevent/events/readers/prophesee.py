"""Prophesee files: DAT (CD events), EVT 2.0 and EVT 3.0, each behind lines of text that begin with ``%``.

- DAT: u8 type (0x0C or 0x00), u8 size (8), then pairs of u32: time in us; x (14 bits), y (14), polarity (4).
- EVT 2.0: u32 words; the top 4 bits say what: 0 OFF and 1 ON event (6 bits of time, 11 of x, 11 of y), 8 the upper 28
  bits of the time, 10 a trigger, 14 and 15 others.
- EVT 3.0: u16 words that set one part each: y, time low and high (12 bits each), vector base; events are single (x) or
  vectors of 12 or 8 pixels from the base on, which then moves. Time low may step back within one time high.

Counters that come round (DAT after 71 minutes, EVT 2.0 after 4.7 hours, EVT 3.0 after 16.8 s) are unrolled. Events
before the first time high have no time: they are left out and counted as ``untimed``. EVT 2.0 may lack its header;
headerless EVT 3.0 is read when ``format="evt3"`` is given. Sizes: stated in the header, or those of the sensor
generation it names.

Prophesee, "EVT 2.0 format", "EVT 3.0 format", "DAT file format", docs.prophesee.ai.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from gxevent.core import _decode
from gxevent.errors import FormatError, UnsupportedError
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import HEAD_BYTES, Coded, Layout

USUAL = ((304, 240), (320, 320), (640, 480), (1280, 720))
"""Sizes of Prophesee's sensors."""

_GENERATIONS = (
    (rb"gen41|gen4\.1|imx636|evk4|(?:sensor_)?generation 4\.", (1280, 720)),
    (rb"gen3|(?:sensor_)?generation 3\.", (640, 480)),
    (rb"genx320", (320, 320)),
    (rb"n9chronocam7event2de|atis", (304, 240)),
)
_WORDS = 64  # words that must all be valid before headerless bytes are taken for EVT 2.0
_EVT2_TYPES = np.isin(np.arange(16), (0, 1, 8, 10, 14, 15))


def header(data: bytes) -> tuple[bytes, int]:
    """The lines of text at the begin of ``data``, in lower case, and where they end."""
    at = 0
    while data[at : at + 1] == b"%" and at < HEAD_BYTES:
        end = data.find(b"\n", at)
        line = data[at : max(end, at)]
        if end < 0 or not re.fullmatch(rb"% ?[\t\r\x20-\x7e\x80-\xff]*", line):
            break
        at = end + 1
        if line.rstrip() == b"% end":
            break
    return data[:at].lower(), at


def kind(data: bytes, _: str = "") -> str:
    """``"dat"``, ``"evt2"``, ``"evt21"``, ``"evt3"`` or ``""``: what the header says the body is."""
    head, start = header(data)
    if b"data file" in head:
        return "dat"
    for version, name in ((b"2.1", "evt21"), (b"3", "evt3"), (b"2", "evt2")):
        if b"% evt " + version in head or b"format evt" + version.replace(b".", b"") in head:
            return name
    return "evt2" if _is_evt2(data[start:]) else ""


def _is_evt2(body: bytes) -> bool:
    """By structure: only words that exist, time highs among them that hardly ever fall."""
    words = np.frombuffer(body[: len(body) // 4 * 4][:HEAD_BYTES], "<u4")
    if words.size < _WORDS or not _EVT2_TYPES[words >> 28].all():
        return False
    high = words[words >> 28 == 8] & 0xFFFFFFF
    steps = np.diff(high.astype(np.int64))
    return high.size > 0 and bool((steps >= 0).all()) and bool((steps < 1 << 16).all())


def sniff_dat(data: bytes, _: str) -> bool:
    return kind(data) == "dat"


def sniff_evt2(data: bytes, _: str) -> bool:
    return kind(data) == "evt2"


def sniff_evt3(data: bytes, _: str) -> bool:
    return kind(data) == "evt3"


def stated_size(head: bytes) -> tuple[int, int] | None:
    """(width, height) from a header: stated, or that of the sensor generation it names."""
    for pattern in (rb"geometry[ :=]+(\d+)\s*x\s*(\d+)", rb"width[ :=]+(\d+)[\s\S]*?height[ :=]+(\d+)"):
        if found := re.search(pattern, head):
            return _size(found[1]), _size(found[2])
    if found := re.search(rb"height[ :=]+(\d+)[\s\S]*?width[ :=]+(\d+)", head):
        return _size(found[2]), _size(found[1])
    return next((size for pattern, size in _GENERATIONS if re.search(pattern, head)), None)


def _size(digits: bytes) -> int:
    return int(digits[:9])


class _Prophesee(Coded):
    usual = USUAL


def open_evt(file: BinaryIO, name: str, options: ReadOptions, version: str) -> Coded:
    head, start = header(file.read(HEAD_BYTES))
    unit = 4 if version == "evt2" else 2
    source = _Prophesee(file, name, options, Layout(_decode.Decoder(version), start, unit, "word"))
    source.stated = stated_size(head)
    return source


def open_evt2(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    return open_evt(file, name, options, "evt2")


def open_evt3(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    return open_evt(file, name, options, "evt3")


def open_dat(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    """Raises FormatError for a file without type and size bytes, UnsupportedError for other contents than CD events."""
    data = file.read(HEAD_BYTES + 2)
    head, start = header(data)
    if len(data) < start + 2:
        raise FormatError(f"{name}: cut short at byte {len(data)}: the bytes of event type and size are missing")
    type_, size = data[start], data[start + 1]
    if type_ not in (0x00, 0x0C) or size != 8:
        raise UnsupportedError(
            f"{name}: byte {start}: event type 0x{type_:02X} of {size} bytes; gxevent reads CD events, type 0x0C or "
            "0x00 of 8 bytes"
        )
    if re.search(rb"% version [01]\b", head):
        raise UnsupportedError(f"{name}: DAT version 1, which packs pixels otherwise; gxevent reads version 2")
    source = _Prophesee(file, name, options, Layout(_decode.Decoder("dat"), start + 2, 8))
    source.stated = stated_size(head)
    return source
