"""Ternary populations as spike rails, for formats that know only spikes of value 1.

A population of levels becomes 2 K rails of spikes (K = 1 for ternary and binary levels): rail k tells that the level is
at least k, rail K + k that it is at most -k. Rails are stacked on the channel axis, (2 K C, H, W) or (2 K n,). With
weights W on the up rails and -W on the down rails a unit gathers the sum it always did; each rail of a firing
population is one comparison, ``sign * s >= threshold``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity, grid
from gxevent.errors import CapacityError, UnsupportedError
from gxevent.graph import EventGraph, Population, Projection

LIMIT = 2**27
"""Most weights of one node: grouped and sparse connections are written out, zeros included."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Comparisons ``sign * s > threshold`` of a population's sums s, a row for each rail and channel.

    sign, threshold : float32 (rails * channels,); thresholds lie halfway between integers.
    """

    sign: NDArray[np.float32]
    threshold: NDArray[np.float32]

    @classmethod
    def of(cls, p: Population, bound: int) -> Rows:
        """When each rail of a firing population spikes."""
        polarity = p.polarity.astype(np.float64)
        hi = np.clip(p.hi.astype(np.float64), -bound, bound + 1)
        lo = np.clip(p.lo.astype(np.float64), -bound - 1, bound)
        up = [np.where(polarity > 0, hi[:, k], -lo[:, k]) for k in range(hi.shape[1])]
        down = [np.where(polarity > 0, -lo[:, k], hi[:, k]) for k in range(hi.shape[1])]
        signs = [polarity] * len(up) + [-polarity] * len(down)
        return cls(np.concatenate(signs).astype(np.float32), np.concatenate([*up, *down]).astype(np.float32) - 0.5)

    @classmethod
    def plain(cls, p: Population) -> Rows:
        """The sums as they are: one row a channel."""
        return cls(np.ones(p.shape[0], np.float32), np.zeros(0, np.float32))


def rail_signs(p: Population) -> NDArray[np.float32]:
    """What each rail of a population counts: +1 up, -1 down; [1] where it hands on numbers (sums, graded input)."""
    if not p.sends_events or (p.role == "input" and p.levels > 1):
        return np.ones(1, np.float32)
    return np.repeat(np.float32([1, -1]), grid.max_level(p.levels))


def to_rails(p: Population, levels: NDArray[np.int8]) -> NDArray[np.float32]:
    """Levels (…, *shape) of a population as rails (…, rails * C, …)."""
    signs = rail_signs(p)
    if signs.size == 1:
        return levels.astype(np.float32)
    at_least = np.tile(np.arange(1, signs.size // 2 + 1), 2)
    axis = levels.ndim - len(p.shape)
    parts = [(sign * levels.astype(np.int16) >= k) for sign, k in zip(signs, at_least, strict=True)]
    return np.concatenate(parts, axis=axis).astype(np.float32)


def from_rails(p: Population, rails: NDArray) -> NDArray[np.int8]:
    """Inverse of :func:`to_rails`: levels (…, *shape)."""
    signs = rail_signs(p)
    shape = rails.shape[: rails.ndim - len(p.shape)]
    split = rails.reshape(*shape, signs.size, *p.shape)
    return np.tensordot(signs, np.moveaxis(split, len(shape), 0), axes=1).astype(np.int8)


# ----------------------------------------------------------------------------------------------------- connections


@dataclass(frozen=True, eq=False)
class Connection:
    """Weights between rails: a matrix (out, in) of flattened rails, or a kernel (out, in, rows, columns)."""

    weight: NDArray[np.float32]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)


def connect(graph: EventGraph, p: Projection, rows: Rows) -> Connection:
    """What a projection adds to the rows of its target.

    UnsupportedError for a maximum, which is no sum, and for what has no form among kernels and matrices.
    """
    rule, source, target = p.rule, graph.populations[p.source], graph.populations[p.target]
    signs = rail_signs(source)
    if isinstance(rule, connectivity.Conv2d | connectivity.Pool2d):
        if isinstance(rule, connectivity.Pool2d) and rule.mode == "max":
            raise UnsupportedError(
                f"projection {p.name!r}: a max pool whose sums {p.target!r} adds or gives out as numbers cannot be "
                "written with sums and thresholds: put an activation behind the pool"
            )
        kernel, padding = _squared(_kernel(rule) * p.gain, rule, p.name)
        return Connection(_spread(kernel, rows.sign, signs, p), rule.stride, padding, rule.dilation)
    if isinstance(rule, connectivity.Identity) and len(source.shape) == len(target.shape) == 3:
        eye = np.eye(source.shape[0], dtype=np.float32)[:, :, None, None] * p.gain
        return Connection(_spread(eye, rows.sign, signs, p))
    if len(target.shape) != 1:
        raise UnsupportedError(f"projection {p.name!r}: joins single units of an image, which kernels cannot say")
    return Connection(_spread(_matrix(rule, p) * p.gain, rows.sign, signs, p))


def any_or_all(rule: connectivity.Pool2d, sign: NDArray[np.float32], name: str) -> tuple[Connection, NDArray]:
    """A max pool of spikes: rows of sign +1 spike where any spike under the kernel does, others where all do.

    The maximum reaches a threshold where one of its values does, and stays below one where all do. Returns the
    connection between rails and the thresholds (rails * C, rows, columns), since windows at the border see less.
    """
    rows = sign.size
    ones = np.zeros((rows, rows, *rule.kernel), np.float32)
    ones[np.arange(rows), np.arange(rows)] = 1
    _check_size(ones.size, name)
    present = np.zeros(rule.target_shape[1:], np.float32)
    for tap in rule.taps():
        present[tap.out_rows, tap.out_columns] += 1
    threshold = np.where(sign[:, None, None] > 0, np.float32(0.5), present - 0.5).astype(np.float32)
    kernel, padding = _squared(ones, rule, name)
    return Connection(kernel, rule.stride, padding, rule.dilation), threshold


def _kernel(rule: connectivity.Conv2d | connectivity.Pool2d) -> NDArray[np.float32]:
    """Dense kernel (out, in, rows, columns): groups written out, a sum pool as ones."""
    out, inputs = rule.target_shape[0], rule.source_shape[0]
    groups = rule.groups if isinstance(rule, connectivity.Conv2d) else inputs
    weight = rule.weight if isinstance(rule, connectivity.Conv2d) else np.ones((out, 1, *rule.kernel))
    kernel = np.zeros((out, inputs, *rule.kernel), np.float32)
    for g in range(groups):
        o, i = slice(g * out // groups, (g + 1) * out // groups), g * inputs // groups
        kernel[o, i : i + inputs // groups] = weight[o]
    return kernel


def _matrix(rule: connectivity.Rule, p: Projection) -> NDArray[np.float32]:
    _check_size(rule.source_size * rule.target_size, p.name)
    if isinstance(rule, connectivity.Dense):
        return rule.weight.astype(np.float32)
    source, target, level = rule.connections()
    matrix = np.zeros((rule.target_size, rule.source_size), np.float32)
    np.add.at(matrix, (target, source), level.astype(np.float32))
    return matrix


def _spread(
    weight: NDArray[np.float32], sign: NDArray[np.float32], signs: NDArray[np.float32], p: Projection
) -> NDArray[np.float32]:
    """Weights (out, in, …) repeated for every rail of the target (a sign a rail and channel) and of the source."""
    channels = p.rule.target_shape[0]
    by_rail = np.repeat(sign.reshape(-1, channels), len(weight) // channels, axis=1)
    _check_size(by_rail.size * signs.size * weight[0].size, p.name)
    out = np.concatenate([weight * s.reshape(-1, *[1] * (weight.ndim - 1)) for s in by_rail])
    return np.concatenate([out * s for s in signs], axis=1).astype(np.float32)


def _check_size(weights: int, name: str) -> None:
    if weights > LIMIT:
        raise CapacityError(
            f"projection {name!r}: written out for spike rails it has {weights:,} weights, over {LIMIT:,}"
        )


def _squared(
    kernel: NDArray[np.float32], rule: connectivity.Conv2d | connectivity.Pool2d, name: str
) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """The kernel with zero taps so that padding is the same on both sides and, where possible, rows equal columns.

    NIR pads both sides alike, and its library up to 1.0.8 takes every kernel for square.
    """
    left, right, top, bottom = rule.padding
    taps, padding = [], []
    for before, after, dilation in ((top, bottom, rule.dilation[0]), (left, right, rule.dilation[1])):
        shift, rest = divmod(after - before, dilation)
        if rest:
            raise UnsupportedError(
                f"projection {name!r}: padding {rule.padding} cannot be made even at dilation {dilation}"
            )
        taps.append([max(0, shift), max(0, -shift)])
        padding.append(max(before, after))
    sizes = [k + sum(t) for k, t in zip(rule.kernel, taps, strict=True)]
    if (sizes[0] - sizes[1]) % 2 == 0:
        for axis in (0, 1):
            more = (max(sizes) - sizes[axis]) // 2
            taps[axis] = [n + more for n in taps[axis]]
            padding[axis] += more * rule.dilation[axis]
    return np.pad(kernel, ((0, 0), (0, 0), *taps)), (padding[0], padding[1])
