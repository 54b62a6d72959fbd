"""Connectivity rules: which unit of one population reaches which units of another, and with which level.

A rule stores levels and geometry, never single synapses, so a projection of millions of synapses costs as much as
its weights. Single connections are derived on demand: ``fan_out`` of one unit, ``connections`` of all.

Units are addressed by their flat index in C order of the population's shape, (C, H, W) or (n,).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import ShapeError

if TYPE_CHECKING:
    import networkx as nx

Shape = tuple[int, ...]
Index = NDArray[np.int64]
Levels = NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Rule(ABC):
    """Base of all rules; ``source_shape`` and ``target_shape`` fix the two address spaces."""

    source_shape: Shape
    target_shape: Shape

    def __post_init__(self) -> None:
        for field in ("source_shape", "target_shape"):
            shape = getattr(self, field)
            if len(shape) not in (1, 3) or min(shape) < 1:
                raise ShapeError(f"{self.kind} rule: {field} {shape} is not (C, H, W) or (n,)")
        fault = self._fault()
        if fault:
            raise ShapeError(f"{self.kind} rule from {self.source_shape} to {self.target_shape}: {fault}")

    @abstractmethod
    def _fault(self) -> str:
        """What does not fit together, or an empty string. Kernels trust what passed here."""

    weighted = True
    """Whether its connections carry levels: gates to count. Pools and identities merely hand on."""

    @property
    def kind(self) -> str:
        return type(self).__name__.lower()

    @property
    def source_size(self) -> int:
        return math.prod(self.source_shape)

    @property
    def target_size(self) -> int:
        return math.prod(self.target_shape)

    @property
    @abstractmethod
    def synapses(self) -> int:
        """Number of existing connections, those of level 0 included; taps that fall on padding do not exist."""

    @abstractmethod
    def connections(self) -> tuple[Index, Index, Levels]:
        """All connections as (source units, target units, levels), those of level 0 included."""

    @abstractmethod
    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        """Units that an event of source ``unit`` reaches, and the levels it meets; level 0 left out."""

    def fan_in(self, unit: int) -> tuple[Index, Levels]:
        """Source units that target ``unit`` listens to, and their levels; level 0 left out."""
        source, target, level = self.connections()
        chosen = (target == unit) & (level != 0)
        return source[chosen], level[chosen]

    def fan_out_counts(self) -> NDArray[np.int32]:
        """Number of nonzero connections of each source unit, shape (source_size,): the gates one event opens."""
        source, _, level = self.connections()
        return np.bincount(source[level != 0], minlength=self.source_size).astype(np.int32)

    @abstractmethod
    def bound(self, top: int) -> int:
        """Largest |sum| a target unit can receive when the source's integers do not exceed ``top``."""


@dataclass(frozen=True, eq=False)
class Dense(Rule):
    """Every unit to every unit; ``weight`` int8 (out, in)."""

    weight: Levels

    def _fault(self) -> str:
        expected = (self.target_size, self.source_size)
        return "" if _are_levels(self.weight, expected) else f"weight needs int8 levels of shape {expected}"

    @property
    def synapses(self) -> int:
        return self.weight.size

    def connections(self) -> tuple[Index, Index, Levels]:
        out, inputs = self.weight.shape
        return np.repeat(np.arange(inputs), out), np.tile(np.arange(out), inputs), self.weight.T.ravel()

    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        targets = np.flatnonzero(self.weight[:, unit])
        return targets, self.weight[targets, unit]

    def fan_in(self, unit: int) -> tuple[Index, Levels]:
        sources = np.flatnonzero(self.weight[unit])
        return sources, self.weight[unit, sources]

    def fan_out_counts(self) -> NDArray[np.int32]:
        return np.count_nonzero(self.weight, axis=0).astype(np.int32)

    def bound(self, top: int) -> int:
        return top * self._largest_sum

    @cached_property
    def _largest_sum(self) -> int:
        return largest_sum(self.weight)


def largest_sum(weight: Levels) -> int:
    """Most that the magnitudes of one output's levels, int8 (out, ...), add up to; a row at a time, as all of them in
    wider integers would take much memory."""
    return max((int(np.abs(row).sum(dtype=np.int64)) for row in weight), default=0)


def _are_levels(weight: Levels, shape: tuple[int, ...]) -> bool:
    return weight.shape == shape and weight.dtype == np.int8 and weight.min() >= -64 and weight.max() <= 64


@dataclass(frozen=True)
class Tap:
    """One kernel position: the output pixels where it lies on the image, and the input pixels under it there."""

    row: int
    column: int
    out_rows: slice
    out_columns: slice
    in_rows: slice
    in_columns: slice


def _along(kernel_at: int, size: int, out: int, stride: int, before: int, dilation: int) -> tuple[slice, slice]:
    """Output and input positions along one axis for one kernel position; padding excluded."""
    shift = kernel_at * dilation - before  # input = output * stride + shift
    first = max(0, -(shift // stride))  # ceil(-shift / stride)
    last = min(out - 1, (size - 1 - shift) // stride)
    if last < first:
        return slice(0, 0), slice(0, 0)
    return slice(first, last + 1), slice(first * stride + shift, last * stride + shift + 1, stride)


@dataclass(frozen=True, eq=False)
class _Windowed(Rule):
    """Shared geometry of convolution and pooling: a kernel that slides over (C, H, W)."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int, int, int]
    """left, right, top, bottom"""
    dilation: tuple[int, int]

    def _fault(self) -> str:
        if len(self.source_shape) != 3 or len(self.target_shape) != 3:
            return "it joins images (C, H, W)"
        if min(*self.kernel, *self.stride, *self.dilation) < 1 or min(self.padding) < 0:
            return "kernel, stride and dilation are at least 1, padding at least 0"
        left, right, top, bottom = self.padding
        for i, before_and_after in ((0, top + bottom), (1, left + right)):
            size, made = self.source_shape[1 + i], self.target_shape[1 + i]
            room = size + before_and_after - self.dilation[i] * (self.kernel[i] - 1) - 1
            if room < 0 or made != room // self.stride[i] + 1:
                return (
                    f"kernel {self.kernel}, stride {self.stride} and padding {self.padding} give another target shape"
                )
        return ""

    def taps(self) -> Iterator[Tap]:
        left, _, top, _ = self.padding
        _, height, width = self.source_shape
        _, out_height, out_width = self.target_shape
        for row in range(self.kernel[0]):
            rows = _along(row, height, out_height, self.stride[0], top, self.dilation[0])
            for column in range(self.kernel[1]):
                columns = _along(column, width, out_width, self.stride[1], left, self.dilation[1])
                yield Tap(row, column, rows[0], columns[0], rows[1], columns[1])

    def _pixel_pairs(self) -> Iterator[tuple[Tap, Index, Index]]:
        """Each tap with the flat (input, output) pixels it joins."""
        source = np.arange(math.prod(self.source_shape[1:])).reshape(self.source_shape[1:])
        target = np.arange(math.prod(self.target_shape[1:])).reshape(self.target_shape[1:])
        for tap in self.taps():
            yield tap, source[tap.in_rows, tap.in_columns].ravel(), target[tap.out_rows, tap.out_columns].ravel()

    def _pixel_count(self) -> int:
        return sum(inside.size for _, inside, _ in self._pixel_pairs())

    def _targets_of(self, unit: int) -> Iterator[tuple[Tap, int]]:
        """Each tap with the output pixel that sees the unit's pixel through it."""
        _, height, width = self.source_shape
        y, x = divmod(unit % (height * width), width)
        out_width = self.target_shape[2]
        for tap in self.taps():
            rows, columns = range(height)[tap.in_rows], range(width)[tap.in_columns]
            if y in rows and x in columns:
                row, column = tap.out_rows.start + rows.index(y), tap.out_columns.start + columns.index(x)
                yield tap, row * out_width + column


@dataclass(frozen=True, eq=False)
class Conv2d(_Windowed):
    """Cross-correlation; ``weight`` int8 (out, in / groups, rows, columns)."""

    weight: Levels
    groups: int = 1

    def _fault(self) -> str:
        if self.groups < 1 or self.source_shape[0] % self.groups or self.target_shape[0] % self.groups:
            return f"{self.groups} groups do not divide the channels"
        expected = (self.target_shape[0], self.source_shape[0] // self.groups, *self.kernel)
        return super()._fault() or (
            "" if _are_levels(self.weight, expected) else f"weight needs int8 levels of shape {expected}"
        )

    @property
    def synapses(self) -> int:
        out, per_group = self.weight.shape[:2]
        return out * per_group * self._pixel_count()

    def _grouped(self) -> Levels:
        """Weights as (groups, out / groups, in / groups, rows, columns)."""
        return self.weight.reshape(self.groups, -1, *self.weight.shape[1:])

    def connections(self) -> tuple[Index, Index, Levels]:
        grouped = self._grouped()
        groups, out, inputs = grouped.shape[:3]
        source_pixels, target_pixels = math.prod(self.source_shape[1:]), math.prod(self.target_shape[1:])
        to = (np.arange(groups)[:, None, None] * out + np.arange(out)[:, None]) * target_pixels  # (g, out, 1)
        of = (np.arange(groups)[:, None, None] * inputs + np.arange(inputs)) * source_pixels  # (g, 1, in)
        parts = []
        for tap, inside, outside in self._pixel_pairs():
            shape = (groups, out, inputs, inside.size)
            level = np.broadcast_to(grouped[..., tap.row, tap.column, None], shape)
            source = np.broadcast_to(of[..., None] + inside, shape)
            target = np.broadcast_to(to[..., None] + outside, shape)
            parts.append((source.ravel(), target.ravel(), level.ravel()))
        source, target, level = (np.concatenate(column) for column in zip(*parts, strict=True))
        return source, target, level

    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        channel = unit // math.prod(self.source_shape[1:])
        grouped = self._grouped()
        group, within = divmod(channel, grouped.shape[2])
        pixels = math.prod(self.target_shape[1:])
        targets, levels = [np.empty(0, np.int64)], [np.empty(0, np.int8)]
        for tap, pixel in self._targets_of(unit):
            column = grouped[group, :, within, tap.row, tap.column]
            hit = np.flatnonzero(column)
            targets.append((group * column.size + hit) * pixels + pixel)
            levels.append(column[hit])
        order = np.argsort(np.concatenate(targets), kind="stable")
        return np.concatenate(targets)[order], np.concatenate(levels)[order]

    def fan_out_counts(self) -> NDArray[np.int32]:
        nonzero = np.count_nonzero(self._grouped(), axis=1)  # (groups, in / groups, rows, columns)
        nonzero = nonzero.reshape(self.source_shape[0], *self.kernel)
        counts = np.zeros(self.source_shape, np.int32)
        for tap in self.taps():
            counts[:, tap.in_rows, tap.in_columns] += nonzero[:, tap.row, tap.column, None, None].astype(np.int32)
        return counts.ravel()

    def bound(self, top: int) -> int:
        return top * self._largest_sum

    @cached_property
    def _largest_sum(self) -> int:
        return largest_sum(self.weight)


@dataclass(frozen=True, eq=False)
class Pool2d(_Windowed):
    """Maximum or sum over a sliding window of one channel; ``mode`` is "max" or "sum"."""

    mode: str = "max"
    weighted = False

    def _fault(self) -> str:
        if self.mode not in ("max", "sum"):
            return f"mode {self.mode!r} is neither 'max' nor 'sum'"
        if any(2 * max(ends) > k for k, ends in zip(self.kernel, (self.padding[2:], self.padding[:2]), strict=True)):
            return "padding is more than half the kernel"
        return super()._fault() or ("" if self.source_shape[0] == self.target_shape[0] else "channels differ")

    @property
    def synapses(self) -> int:
        return self.source_shape[0] * self._pixel_count()

    def connections(self) -> tuple[Index, Index, Levels]:
        channels = np.arange(self.source_shape[0])[:, None]
        source_pixels, target_pixels = math.prod(self.source_shape[1:]), math.prod(self.target_shape[1:])
        pairs = [(inside, outside) for _, inside, outside in self._pixel_pairs()]
        source = np.concatenate([(channels * source_pixels + inside).ravel() for inside, _ in pairs])
        target = np.concatenate([(channels * target_pixels + outside).ravel() for _, outside in pairs])
        return source, target, np.ones(source.size, np.int8)

    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        channel = unit // math.prod(self.source_shape[1:])
        first = channel * math.prod(self.target_shape[1:])
        targets = np.array(sorted(first + pixel for _, pixel in self._targets_of(unit)), dtype=np.int64)
        return targets, np.ones(targets.size, np.int8)

    def bound(self, top: int) -> int:
        return top if self.mode == "max" else top * self.kernel[0] * self.kernel[1]


@dataclass(frozen=True, eq=False)
class Identity(Rule):
    """Unit i to unit i: a skip connection."""

    weighted = False

    def _fault(self) -> str:
        return "" if self.source_size == self.target_size else "sizes differ"

    @property
    def synapses(self) -> int:
        return self.source_size

    def connections(self) -> tuple[Index, Index, Levels]:
        units = np.arange(self.source_size)
        return units, units, np.ones(units.size, np.int8)

    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        return np.array([unit], np.int64), np.ones(1, np.int8)

    def bound(self, top: int) -> int:
        return top


@dataclass(frozen=True, eq=False)
class Sparse(Rule):
    """Any connectivity, as compressed rows by source unit: the connections of source u are ``start[u]:start[u+1]``.

    start: int64 (source_size + 1,); target: int32 (n,), rising within a source unit; level: int8 (n,).
    """

    start: Index
    target: NDArray[np.int32]
    level: Levels

    def _fault(self) -> str:
        if self.start.shape != (self.source_size + 1,) or self.start[0] != 0 or (np.diff(self.start) < 0).any():
            return f"start needs {self.source_size + 1} offsets that rise from 0"
        if not self.start[-1] == self.target.size == self.level.size:
            return f"start ends at {self.start[-1]}, but there are {self.target.size} targets, {self.level.size} levels"
        if self.target.size and not 0 <= self.target.min() <= self.target.max() < self.target_size:
            return "a target unit does not exist"
        return "" if not self.level.size or _are_levels(self.level, self.level.shape) else "level needs int8 levels"

    @classmethod
    def from_connections(cls, source_shape: Shape, target_shape: Shape, source: Any, target: Any, level: Any) -> Sparse:
        """Build from parallel lists of source unit, target unit and level; ShapeError for units that do not exist."""
        source, target = (np.asarray(a, np.int64).ravel() for a in (source, target))
        level = np.asarray(level).ravel()
        sizes = math.prod(source_shape), math.prod(target_shape)
        for name, units, size in (("source", source, sizes[0]), ("target", target, sizes[1])):
            if units.size and (units.min() < 0 or units.max() >= size):
                bad = int(units[(units < 0) | (units >= size)][0])
                raise ShapeError(f"sparse rule: {name} unit {bad} does not exist, the population has {size} units")
        if level.size and (level.min() < -64 or level.max() > 64):
            raise ShapeError("sparse rule: levels lie in -64 .. 64")
        order = np.lexsort((target, source))
        start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=sizes[0]))]).astype(np.int64)
        return cls(source_shape, target_shape, start, target[order].astype(np.int32), level[order].astype(np.int8))

    @classmethod
    def from_networkx(cls, graph: nx.DiGraph, source_shape: Shape, target_shape: Shape, level: str = "level") -> Sparse:
        """Build from a directed graph whose edges (source unit, target unit) carry an integer attribute ``level``
        (1 where it is absent). Parallel edges of a MultiDiGraph stay separate synapses."""
        edges = [(u, v, data.get(level, 1)) for u, v, data in graph.edges(data=True)]
        source, target, levels = zip(*edges, strict=True) if edges else ((), (), ())
        return cls.from_connections(source_shape, target_shape, source, target, np.asarray(levels, np.int64))

    @property
    def synapses(self) -> int:
        return self.target.size

    def connections(self) -> tuple[Index, Index, Levels]:
        source = np.repeat(np.arange(self.source_size), np.diff(self.start))
        return source, self.target.astype(np.int64), self.level

    def fan_out(self, unit: int) -> tuple[Index, Levels]:
        row = slice(int(self.start[unit]), int(self.start[unit + 1]))
        hit = self.level[row] != 0
        return self.target[row][hit].astype(np.int64), self.level[row][hit]

    def bound(self, top: int) -> int:
        _, target, level = self.connections()
        sums = np.bincount(target, weights=np.abs(level.astype(np.float64)), minlength=self.target_size)
        return top * int(sums.max(initial=0))


RULES: dict[str, type[Rule]] = {cls.__name__.lower(): cls for cls in (Dense, Conv2d, Pool2d, Identity, Sparse)}
