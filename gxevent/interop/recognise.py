"""Discrete weights in other programs' float tensors: levels times a scale per output channel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gxevent import grid
from gxevent.errors import FormatError, UnsupportedError

Rows = NDArray[np.float64]

TOLERANCE = 1e-5
"""Largest distance from a level, as a share of the scale: what float32 arithmetic may have left."""


@dataclass(frozen=True, eq=False)
class Levels:
    """``weight[o] = scale[o] * levels[o]``: levels int8 in the weight's shape, scale float32 (out,), space N of Z_N
    (0 for binary weights, 1 for ternary ones)."""

    levels: NDArray[np.int8]
    scale: NDArray[np.float32]
    space: int


def weight_levels(weight: ArrayLike, where: str) -> Levels:
    """Recognise a weight tensor (out, …) as levels up to one scale a tensor or an output channel.

    Ternary and binary weights first; else whole multiples, up to 64, of the smallest one (levels of a larger Z_N).

    ``where`` begins the message. Raises FormatError for values that are not finite, UnsupportedError saying how far
    the worst weight is from the nearest ternary value otherwise.
    """
    weight = np.asarray(weight)
    values = weight.astype(np.float64)
    if not np.isfinite(values).all():
        at = _place(int(np.argmin(np.isfinite(values))), values.shape)
        raise FormatError(f"{where}: weights are not finite, the first at {at}")
    rows = values.reshape(len(values), -1)
    scale = _scales(rows)
    levels = np.where(np.abs(rows) > scale[:, None] / 2, np.sign(rows), 0.0)
    if _relative(rows, levels, scale).max(initial=0.0) > TOLERANCE:
        found = _multiples(rows)
        if found is None:
            worst = int(np.argmax(_relative(rows, levels, scale)))
            off = abs(rows - levels * scale[:, None]).flat[worst]
            raise UnsupportedError(
                f"{where}: weights are not ternary up to a scale: nearest ternary is {off:.2g} off at weight "
                f"{_place(worst, values.shape)}"
            )
        levels, scale = found
    levels = levels.reshape(values.shape).astype(np.int8)
    return Levels(levels, np.where(scale > 0, scale, 1.0).astype(np.float32), _space(levels))


def _relative(rows: Rows, levels: Rows, scale: Rows) -> Rows:
    """Distance of each weight from its level, as a share of its row's scale."""
    off = np.abs(rows - levels * scale[:, None])
    return np.divide(off, scale[:, None], out=np.zeros_like(off), where=scale[:, None] > 0)


def _multiples(rows: Rows) -> tuple[Rows, Rows] | None:
    """Levels and scales of rows that are whole multiples of the tensor's, or of each row's, smallest weight."""
    size = np.where(rows == 0, np.inf, np.abs(rows))
    own = size.min(axis=1)
    own = np.where(np.isfinite(own), own, 0.0)
    for scale in (np.full(len(own), own[own > 0].min()), own):
        levels = np.rint(np.divide(rows, scale[:, None], out=np.zeros_like(rows), where=scale[:, None] > 0))
        largest = np.abs(levels).max()
        if largest <= grid.max_level(grid.MAX_N) and _relative(rows, levels, scale).max() <= TOLERANCE * largest:
            return levels, scale
    return None


def _scales(rows: Rows) -> Rows:
    """The scale of each row: one for all where the rows agree (a ternary tensor), else the row's own.

    The magnitude is the median of what lies above half the largest, so that a few wrong weights do not move it.
    """
    size = np.abs(rows)
    top = size.max(axis=1, initial=0.0)
    own = np.array([_middle(r[r > t / 2]) if t > 0 else 0.0 for r, t in zip(size, top, strict=True)])
    if (own > 0).any():
        shared = _middle(own[own > 0])
        if np.abs(own[own > 0] / shared - 1).max() <= TOLERANCE:
            return np.full(len(own), shared)
    return own


def _middle(values: Rows) -> float:
    """The median, but always one of the values."""
    return float(np.sort(values)[(values.size - 1) // 2])


def _space(levels: NDArray[np.int8]) -> int:
    """N of the smallest Z_N that holds the levels."""
    largest = int(np.abs(levels.astype(np.int16)).max(initial=1))
    return 0 if largest == 1 and levels.all() else 1 + math.ceil(math.log2(max(largest, 1)))


def _place(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))
