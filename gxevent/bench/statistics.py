"""Medians with their middle half, of times and of ratios paired round by round."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Median, and the quarter points between which the middle half lies."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of at least one value."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


def paired_ratio(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """How many times longer they take: the ratio within each round, then the median over rounds.

    What slows a whole round, or the machine for a minute, slows both sides of a ratio and so leaves it alone.
    """
    return spread([t / o for t, o in zip(theirs, ours, strict=True)])


def crossovers(x: Sequence[float], ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Where two curves of positive times cross, interpolated between neighbouring x on logarithmic axes."""
    gap = [math.log(t / o) for t, o in zip(theirs, ours, strict=True)]
    found = []
    for a, b, left, right in zip(x, x[1:], gap, gap[1:], strict=False):
        if left * right < 0:
            found.append(math.exp(math.log(a) + math.log(b / a) * left / (left - right)))
    return found
