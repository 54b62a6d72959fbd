"""Folding: batch norm, bias and activation of a unit become integer thresholds on its accumulator.

The activation of the batch-normed sum is a monotone step function of the integer s. Each threshold is found by
bisection on s, asking ``gxevent.firing``, the float32 expression the trainer itself evaluates. No algebra, so no
rounding can differ: the compiled unit fires exactly when the trained one does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent import firing, grid
from gxevent.graph import ALWAYS, NEVER
from gxevent.layers import Activation

Floats = NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Expression:
    """What stands between a population's integer sums and its activation (see ``firing.preactivation``)."""

    channels: int
    unit: float
    bias: Floats = None
    scale: Floats = None
    offset: Floats = None

    def __call__(self, s: NDArray[np.int64]) -> NDArray[np.float32]:
        """Value before the activation of sums ``s`` (channels, k); float32, the same shape."""
        column = [None if a is None else a[:, None] for a in (self.bias, self.scale, self.offset)]
        return firing.preactivation(s, self.unit, *column)


@dataclass(frozen=True, eq=False)
class Thresholds:
    """See ``graph.Population``: hi, lo int32 (channels, K), polarity int8 (channels,)."""

    hi: NDArray[np.int32]
    lo: NDArray[np.int32]
    polarity: NDArray[np.int8]


def fold(expression: Expression, activation: Activation, bound: int) -> Thresholds:
    """Thresholds that fire exactly as ``activation(expression(s))`` for every integer ``|s| <= bound``.

    A unit that reaches a level everywhere, or nowhere, in that range gets thresholds that say so (zero gamma).
    """

    def level(s: NDArray[np.int64]) -> NDArray[np.int8]:
        return firing.fire(expression(s), activation.levels, activation.r, activation.h)

    ends = np.array([-bound, bound]) * np.ones((expression.channels, 1), np.int64)
    at_ends = level(ends).astype(np.int64)
    polarity = np.where(at_ends[:, 1] >= at_ends[:, 0], 1, -1).astype(np.int8)
    steps = np.arange(1, grid.max_level(activation.levels) + 1)
    sign = polarity[:, None]
    hi = _first(lambda s: sign * level(s) >= steps, expression.channels, steps.size, bound)
    beyond_lo = _first(lambda s: sign * level(s) > -steps, expression.channels, steps.size, bound)
    return Thresholds(
        hi=np.where(hi <= -bound, ALWAYS, np.where(hi > bound, NEVER, hi)).astype(np.int32),
        lo=np.where(beyond_lo <= -bound, ALWAYS, np.where(beyond_lo > bound, NEVER, beyond_lo - 1)).astype(np.int32),
        polarity=polarity,
    )


def _first(reached, channels: int, steps: int, bound: int) -> NDArray[np.int64]:
    """Smallest s in -bound .. bound where the monotone predicate holds, ``bound + 1`` where it never does.

    ``reached`` maps int64 (channels, steps) to bool of that shape; all bisections run side by side.
    """
    below = np.full((channels, steps), -bound - 1, np.int64)  # does not hold here, or lies outside the range
    above = np.full((channels, steps), bound + 1, np.int64)  # holds here, or lies outside the range
    while (above - below > 1).any():
        middle = (above + below) // 2  # strictly between them while they are apart, equal to below where they met
        inside = above - below > 1
        holds = reached(np.clip(middle, -bound, bound))
        above = np.where(inside & holds, middle, above)
        below = np.where(inside & ~holds, middle, below)
    return above
