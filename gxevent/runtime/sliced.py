"""Tables of bit-sliced gate units (``cython_core/slices.h``): weight rows, tiles and thresholds as bits.

A block holds 64 * width lanes. A convolution puts the channels of a tile of output pixels side by side in them; a
table row holds the weights by which one input unit of the tile's window reaches all lanes. A dense layer is a
convolution of one pixel with many channels. This module establishes every bound that the kernels trust.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.core import _slices
from gxevent.graph import Population

CACHE = 1 << 20
"""Bytes of a table beyond which its rows are fetched ahead: it will not stay in a second-level cache."""

AT_ONCE = 512
"""Rows turned into bits at a time: large layers would take several times their memory otherwise."""


@dataclass(frozen=True)
class Tiling:
    """How a projection lies in the lanes: words a block, output pixels a tile (rows, columns)."""

    width: int
    tile: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Convolution:
    """A dense layer or convolution as one: weight int8 (out, in, rows, columns), grouped ones filled up with zeros.

    Geometry as in ``connectivity.Conv2d``; shapes (channels, height, width).
    """

    weight: NDArray[np.int8]
    source_shape: tuple[int, int, int]
    target_shape: tuple[int, int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    @classmethod
    def of_dense(cls, weight: NDArray[np.int8]) -> Convolution:
        """weight: int8 (out, in), inputs in plan order."""
        out, inputs = weight.shape
        return cls(weight[:, :, None, None], (inputs, 1, 1), (out, 1, 1))

    @classmethod
    def of_rule(cls, rule: connectivity.Conv2d) -> Convolution:
        out, inputs, rows, columns = rule.weight.shape
        weight = rule.weight
        if rule.groups > 1:
            weight = np.zeros((out, inputs * rule.groups, rows, columns), np.int8)
            for g in range(rule.groups):
                of = slice(g * out // rule.groups, (g + 1) * out // rule.groups)
                weight[of, g * inputs : (g + 1) * inputs] = rule.weight[of]
        return cls(weight, rule.source_shape, rule.target_shape, rule.stride, rule.padding, rule.dilation)

    @cached_property
    def nonzero(self) -> int:
        """Weights that are not zero."""
        return int(np.count_nonzero(self.weight))

    def window(self, tile: tuple[int, int]) -> tuple[int, int]:
        """Input pixels (rows, columns) that a tile of output pixels spans."""
        kernel = self.weight.shape[2:]
        return tuple(
            (t - 1) * s + (k - 1) * d + 1 for t, s, k, d in zip(tile, self.stride, kernel, self.dilation, strict=True)
        )

    def used_rows(self, tile: tuple[int, int]) -> list[int]:
        """Rows of a tile's window on which a kernel row falls."""
        return sorted(
            {y * self.stride[0] + k * self.dilation[0] for y in range(tile[0]) for k in range(self.weight.shape[2])}
        )

    def tilings(self) -> list[Tiling]:
        """Every layout worth weighing: one pixel in several blocks, or as many pixels as a block has room for."""
        channels, height, width = self.target_shape
        pixel_bytes = -(-channels // 8)
        found = []
        for words in (2, 4, 8):
            room = 8 * words // pixel_bytes
            if room < 2 or height * width == 1:
                found.append(Tiling(words, (1, 1)))
                continue
            for rows in range(1, min(room, height) + 1):
                columns = min(room // rows, width)
                found.append(Tiling(words, (rows, columns)))
        return found


def planes_of(top: int) -> int:
    """Bit planes of magnitudes up to ``top``."""
    return max(1, int(top).bit_length())


def counter_bits(bound: int) -> int:
    """Bits of counters for sums of at most ``bound``, with room for thresholds that are never reached."""
    return (bound + 1).bit_length() + 1


def build(
    conv: Convolution, tiling: Tiling, source: Population, bound: int, gain: int, kernel: str
) -> _slices.SlicedGates:
    """The gate unit of a convolution laid out so.

    bound : largest |sum| of a target unit
    """
    inputs, (rows, columns) = conv.source_shape[0], conv.window(tiling.tile)
    used, bits = conv.used_rows(tiling.tile), counter_bits(bound)
    row_at = np.full(rows, -1, np.int32)
    row_at[used] = np.arange(len(used)) * columns * inputs
    levels = _row_levels(conv, tiling, row_at)
    planes = planes_of(int(np.abs(conv.weight, dtype=np.int16).max(initial=0)))
    table = _as_bits(levels, tiling.width, planes)
    pixels = math.prod(tiling.tile)
    layout = {
        "width": tiling.width,
        "blocks": table.shape[1],
        "n_rows": table.shape[2],
        "planes": planes,
        "bits": bits,
        "far": table.nbytes > CACHE,
        "source_shape": conv.source_shape,
        "target_shape": conv.target_shape,
        "stride": conv.stride,
        "padding": conv.padding,
        "tile": tiling.tile,
        "window": (rows, columns),
        "half_shift": tiling.width.bit_length() - 1,
        "pixel_bytes": -(-conv.target_shape[0] // 8) if pixels > 1 else 0,
        "pixel_words": -(-conv.target_shape[0] // 64),
    }
    return _slices.SlicedGates(kernel, layout, aligned(table), row_at, planes_of(source.top), gain)


def _row_levels(conv: Convolution, tiling: Tiling, row_at: NDArray[np.int32]) -> NDArray[np.int8]:
    """Weights as table rows: int8 (rows of the window * columns * inputs, lanes of all blocks)."""
    out, inputs, kernel_rows, kernel_columns = conv.weight.shape
    columns = conv.window(tiling.tile)[1]
    pixel_lanes = 8 * -(-out // 8)
    lanes = 64 * tiling.width
    levels = np.zeros((int(row_at.max()) + columns * inputs, -(-out // lanes) * lanes), np.int8)
    for y in range(tiling.tile[0]):
        for x in range(tiling.tile[1]):
            first = (y * tiling.tile[1] + x) * pixel_lanes
            for ky in range(kernel_rows):
                for kx in range(kernel_columns):
                    row = row_at[y * conv.stride[0] + ky * conv.dilation[0]]
                    row += (x * conv.stride[1] + kx * conv.dilation[1]) * inputs
                    levels[row : row + inputs, first : first + out] = conv.weight[:, :, ky, kx].T
    return levels


def _as_bits(levels: NDArray[np.int8], width: int, planes: int) -> NDArray[np.uint64]:
    """uint64 (planes, blocks, rows + 1, 2, width): of each magnitude bit, each row's bits [w > 0] and [w < 0]; a row of
    zeros comes last."""
    n_rows, lanes = levels.shape
    blocks = lanes // (64 * width)
    table = np.zeros((planes, blocks, n_rows + 1, 2, width), np.uint64)
    for first in range(0, n_rows, AT_ONCE):
        part = levels[first : first + AT_ONCE]
        for plane in range(planes):
            digit = np.where(np.abs(part) >> plane & 1, np.sign(part), 0) if planes > 1 else part
            for half, bits in enumerate((digit > 0, digit < 0)):
                found = words(bits).reshape(len(part), blocks, width).transpose(1, 0, 2)
                table[plane, :, first : first + len(part), half] = found
    return table


def words(bits: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Last axis of bits as 64-bit words, the first bit lowest; filled up with zeros."""
    short = -bits.shape[-1] % 64
    if short:
        bits = np.concatenate([bits, np.zeros((*bits.shape[:-1], short), np.bool_)], axis=-1)
    return np.ascontiguousarray(np.packbits(bits, axis=-1, bitorder="little")).view("<u8")


def reachable(population: Population, bound: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Thresholds hi and lo + 1 (C,) of a population of one step, no further out than sums up to ``bound`` reach."""
    hi, lo = (np.asarray(limit, np.int64)[:, 0] for limit in (population.hi, population.lo))
    return np.clip(hi, -bound, bound + 1), np.clip(lo + 1, -bound, bound + 1)


def set_thresholds(
    unit: _slices.SlicedGates,
    conv: Convolution,
    tiling: Tiling,
    bound: int,
    population: Population,
    pool: dict[str, tuple[int, ...]] | None,
) -> None:
    """Let the unit fire: thresholds of ``population`` (hi, lo (C, 1), polarity (C,)) bit by bit, in offset binary."""
    channels, bits = conv.target_shape[0], counter_bits(bound)
    pixels, lanes = math.prod(tiling.tile), 64 * tiling.width
    pixel_lanes, blocks = 8 * -(-channels // 8), -(-channels // lanes)
    hi = np.full(blocks * lanes, bound + 1, np.int64)  # lanes without a unit never fire
    above_lo = np.full(blocks * lanes, -bound, np.int64)
    for pixel in range(pixels):
        at = slice(pixel * pixel_lanes, pixel * pixel_lanes + channels)
        hi[at], above_lo[at] = reachable(population, bound)
    edges = np.stack([hi, above_lo]) + (1 << (bits - 1))  # (2, lanes)
    sliced = edges >> np.arange(bits)[:, None, None] & 1  # (bits, 2, lanes)
    sliced = words(sliced.astype(np.bool_)).reshape(bits, 2, blocks, tiling.width).transpose(2, 0, 1, 3)
    flip = words(np.asarray(population.polarity) < 0)
    unit.set_thresholds(aligned(sliced), aligned(flip), pool)


def aligned(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Flat copy on a cache line."""
    memory = np.empty(words.size + 8, np.uint64)
    shift = -memory.ctypes.data % 64 // 8
    flat = memory[shift : shift + words.size]
    flat[:] = words.ravel()
    return flat


def open_classes(fan_out: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.uint8], int]:
    """Gates that each unit's event opens, fan_out int32 (size,), as the kernels count them (``gx_opens``).

    Returns int32 (words,), which row of the table a word of the source's planes takes; the table uint8 (rows, bytes,
    64), byte by byte how many more gates than the least of all units each of a word's units opens; and that least.
    Inside an image most words are alike.
    """
    least = int(fan_out.min(initial=0 if fan_out.size == 0 else fan_out[0]))
    more = np.concatenate([fan_out - least, np.zeros(-fan_out.size % 64, np.int32)]).astype("<u4").reshape(-1, 64)
    rows, of_word = np.unique(more, axis=0, return_inverse=True)
    n_bytes = max(1, -(-int(more.max(initial=0)).bit_length() // 8))
    table = rows.view(np.uint8).reshape(-1, 64, 4).transpose(0, 2, 1)[:, :n_bytes]
    return of_word.ravel().astype(np.int32), np.ascontiguousarray(table), least


def head(weight: NDArray[np.int8], gain: int, kernel: str) -> _slices.HeadGates:
    """Gate unit of a dense layer of few targets; ternary weight int8 (out, in), inputs in plan order."""
    rows = np.stack([words(weight > 0), words(weight < 0)], axis=1)
    return _slices.HeadGates(kernel, np.ascontiguousarray(rows), gain)
