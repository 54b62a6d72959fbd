"""N-MNIST and N-Caltech101 ``.bin``: 5 bytes an event, no header.

Byte 0 x, byte 1 y, then 24 bits, most significant first: polarity (1 = ON) and 23 bits of time in microseconds
(Orchard et al. 2015, garrickorchard.com/datasets/n-mnist). An entry with y = 240 is no event: it adds 2**13 us to
all times behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers.registry import ReadOptions
from gxevent.events.stream import EventStream

SIZE = 5
OVERFLOW_ROW = 240
OVERFLOW_US = 1 << 13
_SURE = 16  # entries whose times must rise before bytes without the name .bin are taken for this format


def sniff(data: bytes, name: str) -> bool:
    """By structure: whole entries whose times do not fall; or by the name ``.bin``."""
    if name.lower().endswith(".bin"):
        return True
    if len(data) % SIZE or len(data) < SIZE * _SURE:
        return False
    entries = np.frombuffer(data[: SIZE * 4096], np.uint8).reshape(-1, SIZE)
    t = _times(entries)
    return bool((t[1:] >= t[:-1]).all()) and t[-1] > t[0]


def read(data: bytes, name: str, options: ReadOptions) -> EventStream:
    """Decode; sensor 34x34, 240x180 or 304x240, the first that holds all events, unless given.

    Raises FormatError for a file cut short (byte offset, event number) and events outside the sensor.
    """
    if len(data) % SIZE:
        whole = len(data) // SIZE
        raise FormatError(
            f"{name}: cut short at byte {len(data)}: event {whole} (5 bytes from byte {whole * SIZE}) has only "
            f"{len(data) % SIZE}; fetch it again"
        )
    entries = np.frombuffer(data, np.uint8).reshape(-1, SIZE)
    t, x, y, p = _times(entries), entries[:, 0], entries[:, 1], entries[:, 2] >> 7
    overflow = y == OVERFLOW_ROW
    if overflow.any():
        t += np.cumsum(overflow) * OVERFLOW_US
        t, x, y, p = (column[~overflow] for column in (t, x, y, p))
    sizes = ((34, 34), (240, 180), (304, 240))
    x_max, y_max = (int(column.max(initial=0)) for column in (x, y))
    stated = next((size for size in sizes if x_max < size[0] and y_max < size[1]), sizes[-1])
    return options.stream(t, x, y, p, name, stated)


def write(stream: EventStream, name: str = "") -> bytes:
    """Bytes of a stream. FormatError where the format cannot hold it (x < 256, y < 240, t < 2**23)."""
    events = stream.events
    where = f"{name or stream.source or 'N-MNIST .bin'}: "
    for field, limit in (("t", 1 << 23), ("x", 256), ("y", OVERFLOW_ROW)):
        bad = (events[field] >= limit) | (events[field] < 0)
        if bad.any():
            i = int(bad.argmax())
            raise FormatError(
                f"{where}event {i}: {field}={events[field][i]}, the N-MNIST format holds 0 to {limit - 1}; write npz"
            )
    out = np.empty((len(events), SIZE), np.uint8)
    t = events["t"]
    out[:, 0], out[:, 1] = events["x"], events["y"]
    out[:, 2] = (t >> 16) | (events["p"].astype(np.int64) << 7)
    out[:, 3], out[:, 4] = t >> 8 & 255, t & 255
    return out.tobytes()


def _times(entries: NDArray[np.uint8]) -> NDArray[np.int64]:
    wide = entries[:, 2:].astype(np.int64)
    return (wide[:, 0] & 127) << 16 | wide[:, 1] << 8 | wide[:, 2]
