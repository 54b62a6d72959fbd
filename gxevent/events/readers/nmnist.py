"""N-MNIST and N-Caltech101 ``.bin``: 5 bytes an event, no header.

Byte 0 x, byte 1 y, then 24 bits, most significant first: polarity (1 = ON) and 23 bits of time in microseconds
(Orchard et al. 2015, garrickorchard.com/datasets/n-mnist). An entry with y = 240 is no event: it adds 2**13 us to
all times behind it.
"""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Coded, Layout

SIZE = 5
OVERFLOW_ROW = 240
_SURE = 16  # entries whose times must rise before bytes without the name .bin are taken for this format


def sniff(data: bytes, name: str) -> bool:
    """By structure: whole entries whose times do not fall; or by the name ``.bin``."""
    if name.lower().endswith(".bin"):
        return True
    if len(data) % SIZE or len(data) < SIZE * _SURE:
        return False
    entries = np.frombuffer(data[: SIZE * 4096], np.uint8).reshape(-1, SIZE)
    t = _times(entries)
    return bool((t[1:] >= t[:-1]).all()) and bool(t[-1] > t[0])


class _Nmnist(Coded):
    usual = ((34, 34), (240, 180), (304, 240))
    only_usual = True


def open_nmnist(file: BinaryIO, name: str, options: ReadOptions) -> Coded:
    """Sensor 34x34, 240x180 or 304x240, the first that holds all events, unless given."""
    return _Nmnist(file, name, options, Layout(_decode.Decoder("nmnist"), 0, SIZE))


def _times(entries: NDArray[np.uint8]) -> NDArray[np.int64]:
    wide = entries[:, 2:].astype(np.int64)
    return (wide[:, 0] & 127) << 16 | wide[:, 1] << 8 | wide[:, 2]
