"""Tables of convolutions that run on lanes of output pixels (``cython_core/slices_pixels.h``): for every output channel
the rows of bits that its weights of +1 and of -1 select. This module establishes every bound that the kernels trust."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _slices
from gxevent.graph import Population
from gxevent.runtime import sliced
from gxevent.runtime.sliced import Convolution

LANES = 64 * _slices.PIXEL_WORDS
"""Output pixels of a chunk."""

SLACK = 8
"""Bytes that a strip's last line may be written too far."""

MOST_BYTES = 1 << 26
"""Of the strips of one plane of the source: rows are numbered in 32 bits, and scratch memory is not for ever."""


def line_bytes(conv: Convolution) -> int:
    """Of a line of output pixels."""
    return -(-conv.target_shape[2] // 8)


def chunks(conv: Convolution) -> int:
    """Chunks of lanes that hold all output pixels."""
    return -(-conv.target_shape[1] * 8 * line_bytes(conv) // LANES)


def plane_bytes(conv: Convolution) -> int:
    """Of the strips of one plane of the source: of the row of zeros, and of each channel and kernel column."""
    return 2 * strip_bytes(conv) * (1 + conv.source_shape[0] * conv.weight.shape[3])


def strip_bytes(conv: Convolution) -> int:
    """Of one bit of all lines of a strip; the last row that begins in it is read to the end of its last chunk."""
    below = (conv.weight.shape[2] - 1) * conv.dilation[0] * line_bytes(conv)
    return -(-(below + chunks(conv) * LANES // 8 + SLACK) // 8) * 8


def fits(conv: Convolution, weight_planes: int) -> bool:
    """Whether a convolution can run on lanes of output pixels: strides of 1, ternary weights, an image, room."""
    image = math.prod(conv.target_shape[1:]) > 1
    return image and conv.stride == (1, 1) and weight_planes == 1 and plane_bytes(conv) <= MOST_BYTES


def build(conv: Convolution, source: Population, bound: int, gain: int, kernel: str) -> _slices.PixelGates:
    """The gate unit of a convolution that fits.

    bound : largest |sum| of a target unit
    """
    bits, planes = sliced.counter_bits(bound), sliced.planes_of(source.top)
    rows, turns = _rows(conv)
    begins = np.cumsum(turns[:, 1] + turns[:, 2]) - turns[:, 1] - turns[:, 2]
    # Every row adds v + 1, at each of the source's planes.
    added = (turns[:, 1] - turns[:, 2]).astype(np.int64) * (2**planes - 1)
    layout = {
        "source_shape": conv.source_shape,
        "target_shape": conv.target_shape,
        "padding": conv.padding,
        "taps": conv.weight.shape[3],
        "step": conv.dilation[1],
        "lines": conv.target_shape[1] + (conv.weight.shape[2] - 1) * conv.dilation[0],
        "line": line_bytes(conv),
        "strip": strip_bytes(conv),
        "chunks": chunks(conv),
        "bits": bits,
        "plane": plane_bytes(conv),
    }
    seeds = ((1 << (bits - 1)) - added).astype(np.int32)
    return _slices.PixelGates(kernel, layout, rows, turns, begins.astype(np.int64), seeds, planes, gain)


def _rows(conv: Convolution) -> tuple[NDArray[np.uint32], NDArray[np.int32]]:
    """Lists of rows, in bytes, and turns int32 (channels, 3); channels with lists of equal lengths are neighbours, so
    that branches are predicted."""
    out, _, _, columns = conv.weight.shape
    counts = np.stack([(conv.weight.reshape(out, -1) == sign).sum(axis=1) for sign in (1, -1)], axis=1)
    padded = -(-counts // _slices.PIXEL_ROUND) * _slices.PIXEL_ROUND
    order = np.lexsort((padded[:, 1], padded[:, 0]))
    strip = strip_bytes(conv)
    lists = []
    for channel in order:
        for sign, length in zip((1, -1), padded[channel], strict=True):
            source, row, column = np.nonzero(conv.weight[channel] == sign)
            found = np.zeros(length, np.uint32)
            found[: len(source)] = 2 * strip * (1 + source * columns + column)
            found[: len(source)] += (row * conv.dilation[0] * line_bytes(conv)).astype(np.uint32)
            lists.append(found)
    lists.append(np.zeros(64, np.uint32))  # never empty
    return np.concatenate(lists), np.ascontiguousarray(np.column_stack([order, padded[order]]), np.int32)


def set_thresholds(
    unit: _slices.PixelGates, bound: int, population: Population, pool: dict[str, tuple[int, ...]] | None
) -> None:
    """Let the unit fire: thresholds of ``population`` (hi, lo (C, 1), polarity (C,)) in offset binary."""
    edges = np.stack(sliced.reachable(population, bound), axis=1) + (1 << (sliced.counter_bits(bound) - 1))
    flip = sliced.words(np.asarray(population.polarity) < 0)
    unit.set_thresholds(np.ascontiguousarray(edges, np.int32), sliced.aligned(flip), pool)
