"""MATLAB 5 files of tactile events: the variable ``spiketrain`` of ST-MNIST.

``spiketrain`` is (taxels + 1, n): the last row holds the times in seconds, the others the taxels of a square array,
row by row, with values -1, 0 and +1. Every nonzero value is an event at pixel x = taxel mod side, y = taxel div side.

Only what such a file needs is read: numeric matrices, compressed or not. MATLAB 7.3 files are HDF5.

MathWorks, "MAT-File Format", chapter 1; See et al. 2020, "ST-MNIST".
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers import columns
from gxevent.events.readers.gate import Columns
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.table import Table

_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_MATRIX, _COMPRESSED = 14, 15
_HEADER = 128
MAX_UNPACKED = 1 << 28
"""Bytes of one variable, decompressed, at most."""


def sniff(data: bytes, _: str) -> bool:
    return data.startswith(b"MATLAB 5.0")


def open_mat(file: BinaryIO, name: str, options: ReadOptions) -> Table:
    """Raises FormatError for a file without ``spiketrain``, or another shape or values of it."""
    data = file.read()
    order = {b"IM": "<", b"MI": ">"}.get(data[126:128])
    if order is None:
        raise FormatError(f"{name}: byte 126: no MATLAB 5 header; fetch it again")
    found = {}
    try:
        for kind, content in _elements(data[_HEADER:], order):
            if kind == _COMPRESSED:
                unpacked = zlib.decompressobj().decompress(content, MAX_UNPACKED)
                kind, content = next(_elements(unpacked, order), (0, b""))
            if kind == _MATRIX:
                key, array = _matrix(content, order)
                found[key] = array
    except (zlib.error, ValueError, IndexError, KeyError, MemoryError, StopIteration) as error:
        raise FormatError(f"{name}: damaged or cut short MATLAB file ({error}); fetch it again") from error
    train = found.get("spiketrain")
    if train is None:
        raise FormatError(f"{name}: holds {', '.join(found) or 'no numeric variable'}; expected 'spiketrain'")
    side = math.isqrt(max(len(train) - 1, 0)) if train.ndim == 2 else 0
    if not side or side * side + 1 != len(train):
        raise FormatError(f"{name}: spiketrain of shape {train.shape}; expected (taxels of a square + 1 for time, n)")
    column, taxel = np.nonzero(train[:-1].T)
    values = columns.polarity(train[taxel, column], name)
    t = columns.microseconds(train[-1, column].astype(np.float64), name, options.time_unit or "s")
    return Table(Columns(t, taxel % side, taxel // side, values), (side, side))


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """(type, content) of the data elements in ``data``."""
    at = 0
    while at + 8 <= len(data):
        word, size = (int(v) for v in np.frombuffer(data, order + "u4", 2, at))
        if word >> 16:  # small element: type and size in one word, up to 4 bytes of content behind it
            kind, size, start, step = word & 0xFFFF, word >> 16, at + 4, 8
        else:
            kind, start, step = word, at + 8, 8 + size
            if kind != _COMPRESSED:
                step += -size % 8
        if start + size > len(data):
            raise ValueError(f"an element of {size} bytes at byte {_HEADER + at} ends behind the file")
        yield kind, data[start : start + size]
        at += step


def _matrix(content: bytes, order: str) -> tuple[str, NDArray]:
    """Name and values of a numeric array; an empty array for other classes."""
    parts = list(_elements(content, order))[:4]
    shape = tuple(int(n) for n in _numbers(*parts[1], order))
    key = parts[2][1].decode("ascii", "replace")
    flags = int(np.frombuffer(parts[0][1], order + "u4", 1)[0])
    if not 6 <= flags & 255 <= 15 or flags & 0x800:  # cells, structures, text, sparse or complex arrays
        return key, np.empty(0)
    values = _numbers(*parts[3], order)
    if min(shape, default=-1) < 0 or math.prod(shape) != values.size:
        raise ValueError(f"{values.size} values for shape {shape}")
    return key, values.reshape(shape, order="F")


def _numbers(kind: int, content: bytes, order: str) -> NDArray:
    return np.frombuffer(content, order + _TYPES[kind])
