"""AEDAT 2.0 and 3.1, the formats of jAER and cAER.

- 2.0: text lines that begin with ``#``, then pairs of big-endian u32: address, time in us. In a DVS128 address bit 15
  marks special events, and x, y and polarity are stored turned over (``x = 127 - (a >> 1 & 127)``). In a DAVIS address
  bit 31 marks APS and IMU samples, bit 10 external events; ``x = width - 1 - (a >> 12 & 1023)``,
  ``y = height - 1 - (a >> 22 & 511)``, polarity bit 11. Which camera it was says the header's ``AEChip``, else the
  addresses: those of a DVS128 have 16 bits.
- 3.1: text up to ``#!END-HEADER``, then packets with a header of 28 bytes; type 1 holds polarity events of u32 data
  (bit 0 valid, bit 1 polarity, bits 2-16 y, bits 17-31 x) and i32 time, to which the header adds whole turns.

jAER's conventions: pixels from the upper left corner. Words and packets that are no polarity events are passed over
and counted.
"""

from __future__ import annotations

import re
from typing import BinaryIO

import numpy as np

from gxevent.core import _decode
from gxevent.errors import FormatError, UnsupportedError
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Coded, Layout

MAX_HEADER = 1 << 24
"""Bytes of an AEDAT header at most; jAER stores all its preferences there, a few hundred KiB."""

_CHIPS = (
    (rb"dvs128|tmpdiff128", (128, 128)),
    (rb"davis208", (208, 192)),
    (rb"davis240|sbret10|apsdvs", (240, 180)),
    (rb"davis128", (128, 128)),
    (rb"davis346", (346, 260)),
    (rb"davis640", (640, 480)),
)
_SOURCES = (*_CHIPS, (rb"dvxplorer|dvs640", (640, 480)))


def sniff2(data: bytes, _: str) -> bool:
    return data.startswith(b"#!AER-DAT2")


def sniff31(data: bytes, _: str) -> bool:
    return data.startswith(b"#!AER-DAT3")


def open_aedat2(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    """Raises UnsupportedError for a recording of another chip, FormatError for a header without end."""
    head = _header(file, name, rb"#\s*End Of ASCII Header\s*")
    start = file.tell()
    named = re.search(rb"AEChip:[ \t]*([\w.]+)", head)
    chip = named[1].lower() if named else b""
    size = next((size for pattern, size in _CHIPS if re.search(pattern, chip)), None)
    given = (options.width, options.height)
    if size is None and None not in given:
        size = given
    elif size is None and chip and not re.search(rb"dvs|davis", chip):
        raise UnsupportedError(
            f"{name}: AEDAT 2 of the chip {chip.decode('ascii', 'replace')!r}; gxevent reads those of DVS128 and "
            "DAVIS cameras (pass width and height to read it as a DAVIS)"
        )
    narrow = _addresses_are_narrow(file, start)
    if size is None:
        size = (128, 128) if narrow else (240, 180)
    dvs = re.search(rb"dvs128|tmpdiff128", chip) is not None if chip else size == (128, 128) and narrow
    decoder = _decode.Decoder("aedat2-dvs") if dvs else _decode.Decoder("aedat2-davis", *size)
    source = Coded(file, name, options, Layout(decoder, start, 8))
    source.stated = size
    return source


def open_aedat31(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    head = _header(file, name, rb"#!END-HEADER\s*")
    if not re.search(rb"#!END-HEADER\r?\n$", head):
        raise FormatError(f"{name}: byte {len(head)}: no line '#!END-HEADER' ends its header; fetch it again")
    source = Coded(file, name, options, Layout(_decode.Decoder("aedat31"), len(head), 8, "packet or event"))
    camera = re.search(rb"#\s*Source[^:\n]*:([^\n]*)", head)
    name_of = camera[1].lower() if camera else b""
    source.stated = next((size for pattern, size in _SOURCES if re.search(pattern, name_of)), None)
    return source


def _header(file: BinaryIO, name: str, end: bytes) -> bytes:
    """The lines of text that begin with #, up to the one that matches ``end``; the file then stands behind them."""
    lines, at = [], 0
    while True:
        file.seek(at)
        line = file.readline(1 << 16)
        # Without an end line, binary data that happens to begin with # is told by bytes that are no text.
        if not line.startswith(b"#") or re.search(rb"[\x00-\x08\x0e-\x1f]", line):
            break
        lines.append(line)
        at += len(line)
        if at > MAX_HEADER:
            raise FormatError(f"{name}: its header does not end within {MAX_HEADER} bytes; fetch it again")
        if re.fullmatch(end, line, re.IGNORECASE):
            break
    file.seek(at)
    return b"".join(lines)


def _addresses_are_narrow(file: BinaryIO, start: int) -> bool:
    """Whether the first addresses fit 16 bits."""
    file.seek(start)
    data = file.read(1 << 15)
    return bool((np.frombuffer(data[: len(data) // 8 * 8], ">u4")[::2] < 1 << 16).all())
