"""Step functions of integer sums: found by asking a float expression, written as batch norm and activation.

Foreign files say in float operations when a unit fires. Whatever those operations are (scales, biases, batch norms,
quantizers, comparisons), over the integers a sum can take they are a step function; as the compiler does with the
trainer's expression, its thresholds are found by asking it, not by solving it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing
from gxevent.errors import UnsupportedError
from gxevent.layers import Activation, BatchNorm

SAMPLES = 4097
"""Sums at which an expression is looked at before its steps are located: all of them, for bounds up to 2048."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Expression:
    """Float32 function of the integer sums of each channel.

    steps
        Functions applied in turn to float32 (channels, k).
    affine
        (scale, offset), float64 (channels,), while the steps are only products and sums; None behind anything else.
    """

    channels: int
    steps: tuple[Callable[[Floats], Floats], ...] = ()
    affine: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    @classmethod
    def of_sums(cls, scale: NDArray, bias: NDArray | None = None) -> Expression:
        """``float32(s) * scale + bias`` for sums of weights and inputs that have a scale."""
        scale = np.asarray(scale, np.float32)
        made = cls(len(scale), (), (np.ones(len(scale)), np.zeros(len(scale))))
        made = made if (scale == 1).all() else made.times(scale)
        return made if bias is None else made.plus(np.asarray(bias, np.float32))

    def __call__(self, s: NDArray[np.integer]) -> Floats:
        """Values of sums (channels, k)."""
        y = s.astype(np.float32)
        with np.errstate(all="ignore"):
            for step in self.steps:
                y = np.asarray(step(y), np.float32)
        return y

    def then(self, step: Callable[[Floats], Floats], affine: Any = None) -> Expression:
        return replace(self, steps=(*self.steps, step), affine=affine)

    def times(self, factor: NDArray[np.float32]) -> Expression:
        """Multiplied by one factor a channel."""
        column = factor[:, None]
        affine = None if self.affine is None else (self.affine[0] * factor, self.affine[1] * factor)
        return self.then(lambda y: y * column, affine)

    def plus(self, term: NDArray[np.float32]) -> Expression:
        """With one term a channel added."""
        column = term[:, None]
        affine = None if self.affine is None else (self.affine[0], self.affine[1] + term)
        return self.then(lambda y: y + column, affine)

    def flattened(self, area: int) -> Expression:
        """The same for a vector of ``channels * area`` units."""
        affine = None if self.affine is None else tuple(np.repeat(a, area) for a in self.affine)

        def whole(y: Floats) -> Floats:
            for step in self.steps:
                y = np.asarray(step(y), np.float32)
            return y

        def step(y: Floats) -> Floats:
            return whole(y.reshape(self.channels, -1)).reshape(y.shape)

        return Expression(self.channels * area, (step,) if self.steps else (), affine)

    def turned(self, sign: NDArray[np.float32]) -> Expression:
        """The same values for sums of which some channels have changed their sign (float32 (channels,), 1 or -1)."""
        column = sign[:, None]
        affine = None if self.affine is None else (self.affine[0] * sign, self.affine[1])
        return Expression(self.channels, (lambda y: y * column, *self.steps), affine)

    def direction(self, bound: int) -> NDArray[np.float32]:
        """Of each channel: 1 where it nowhere falls for |s| <= bound, -1 where it nowhere rises, else 0."""
        change = np.diff(self(_looked_at(self.channels, bound)), axis=1)
        rises, falls = (change >= 0).all(axis=1), (change <= 0).all(axis=1)
        return np.where(rises, 1, np.where(falls, -1, 0)).astype(np.float32)


def _looked_at(channels: int, bound: int) -> NDArray[np.int64]:
    points = np.unique(np.rint(np.linspace(-bound, bound, min(2 * bound + 1, SAMPLES))).astype(np.int64))
    return np.broadcast_to(points, (channels, points.size))


@dataclass(frozen=True, eq=False)
class Steps:
    """When each channel fires: ``polarity`` where ``s >= hi``, ``-polarity`` where ``s <= lo``; int64 (channels,).

    ``scale`` is the real value of level 1, ``binary`` says that no channel is ever silent, ``bound`` is the largest
    |s|. Thresholds beyond the bound are never reached.
    """

    hi: NDArray[np.int64]
    lo: NDArray[np.int64]
    polarity: NDArray[np.int64]
    bound: int
    scale: float = 1.0
    binary: bool = False

    def fired(self, s: NDArray[np.int64]) -> NDArray[np.int64]:
        """Levels for sums (channels, k)."""
        up, down = s >= self.hi[:, None], s <= self.lo[:, None]
        return self.polarity[:, None] * (up.astype(np.int64) - down)

    def layers(self, where: str, unit: float = 1.0) -> tuple[BatchNorm, Activation]:
        """A batch norm and an activation that fire at exactly these sums, whose integer 1 is worth ``unit``.

        UnsupportedError where sums are so large that float32 cannot tell neighbouring ones apart.
        """
        hi = np.clip(self.hi, -self.bound, self.bound + 1)
        lo = np.clip(self.lo, -self.bound - 1, self.bound)
        if self.binary:
            norm, activation = _affine(1.0 * self.polarity, hi - 0.5, unit), Activation(levels=0)
        else:  # the edges lie a quarter beside the sums that fire, so that rounding cannot carry a sum over them
            width = np.maximum((hi - lo) / 2 - 0.25, 0.25)
            norm, activation = _affine(0.5 * self.polarity / width, (hi + lo) / 2, unit), Activation(levels=1, r=0.5)
        scale, offset = (a[:, None] for a in firing.affine(norm.gamma, norm.beta, norm.mean, norm.var, norm.eps))
        ends = np.full(len(hi), self.bound)
        s = np.clip(np.stack([hi - 1, hi, lo, lo + 1, ends, -ends], axis=1), -self.bound, self.bound)
        made = firing.fire(firing.preactivation(s, unit, None, scale, offset), activation.levels, activation.r)
        same = (made == self.fired(s)).all(axis=1)
        if not same.all():
            at = int(np.argmin(same))
            raise UnsupportedError(f"{where}: channel {at} fires at sums that float32 cannot tell apart")
        return norm, activation


def _affine(scale: NDArray[np.float64], middle: NDArray[np.float64], unit: float) -> BatchNorm:
    """``(s - middle) * scale`` as a batch norm of ``s * unit``."""
    zeros = np.zeros(len(scale), np.float32)
    return BatchNorm(scale / unit, zeros, middle * unit, zeros + 1, eps=0.0)


def find_steps(expression: Expression, bound: int, where: str) -> Steps:
    """The thresholds of an expression that takes the values {-a, 0, a}, {-a, a} or {0, a} for |s| <= bound.

    Raises UnsupportedError naming ``where`` for other values, or values that do not change monotonically with s.
    """
    s = _looked_at(expression.channels, bound)
    values = expression(s)
    sizes = np.unique(np.abs(values[values != 0])) if np.isfinite(values).all() else values.ravel()
    if sizes.size > 1:
        found = np.unique(values)
        shown = ", ".join(f"{v:.4g}" for v in found[:5]) + (", ..." if found.size > 5 else "")
        raise UnsupportedError(
            f"{where}: has {found.size} values ({shown}) where a weighted layer reads it; gxevent takes activations of "
            "-a, 0 and a, of -a and a, or of 0 and a, with one a for the layer"
        )
    levels = np.sign(values).astype(np.int64)
    change = np.diff(levels, axis=1)
    polarity = np.where(levels[:, -1] >= levels[:, 0], 1, -1)
    if (change * polarity[:, None] < 0).any():
        raise UnsupportedError(f"{where}: is not a monotone function of the sums it fires on")

    def rising(s: NDArray[np.int64]) -> NDArray[np.int64]:
        return polarity[:, None] * np.sign(expression(s)).astype(np.int64)

    hi = _first(lambda s: rising(s) >= 1, expression.channels, bound)
    lo = _first(lambda s: rising(s) >= 0, expression.channels, bound) - 1
    return Steps(hi, lo, polarity, bound, float(sizes[0]) if sizes.size else 1.0, not (levels == 0).any())


def _first(reached: Callable[[NDArray[np.int64]], NDArray[np.bool_]], channels: int, bound: int) -> NDArray[np.int64]:
    """Smallest s in -bound .. bound where each channel's monotone predicate holds, bound + 1 where it never does."""
    below, above = np.full((channels, 1), -bound - 1, np.int64), np.full((channels, 1), bound + 1, np.int64)
    while (above - below > 1).any():
        middle = (above + below) // 2
        inside = above - below > 1
        holds = reached(np.clip(middle, -bound, bound))
        above = np.where(inside & holds, middle, above)
        below = np.where(inside & ~holds, middle, below)
    return above[:, 0]
