"""Units and synapses of an event graph as flat tables: what mapping, checking and executing work on.

Units are numbered population after population, in topological order. Synapses are compressed rows by source unit;
level 0 is no synapse. Pools and identities count as synapses too, of level 1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gxevent.connectivity import Conv2d, Rule
from gxevent.core import _grow
from gxevent.graph import EventGraph, Projection

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Units:
    """Flat tables of an event graph.

    start : first unit of each population; size : number of all units.
    """

    graph: EventGraph
    start: dict[str, int]
    size: int

    @classmethod
    def of(cls, graph: EventGraph) -> Units:
        start, at = {}, 0
        for name, population in graph.populations.items():
            start[name] = at
            at += population.size
        return cls(graph, start, at)

    def range(self, population: str) -> slice:
        begin = self.start[population]
        return slice(begin, begin + self.graph.populations[population].size)

    @cached_property
    def population_of(self) -> NDArray[np.int32]:
        """Index of each unit's population, int32 (size,)."""
        sizes = [p.size for p in self.graph.populations.values()]
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def rows(self, p: Projection) -> tuple[Ints, NDArray[np.int32], NDArray[np.int8]]:
        """Synapses of a projection as compressed rows: start int64 (source units+1,), target int32, level int8.

        Rows are the source population's own units, targets are numbered over all populations.
        """
        source_start, size = self.start[p.source], self.graph.populations[p.source].size
        counts = np.zeros(size, np.int64)
        for source, _, _ in self.pieces(p):
            _grow.count_rows(source - source_start, counts)
        start = np.concatenate([[0], np.cumsum(counts)])
        target, level = np.empty(start[-1], np.int32), np.empty(start[-1], np.int8)
        cursor = start[:-1].copy()
        for source, to, q in self.pieces(p):
            _grow.fill_rows(source - source_start, to, q, cursor, target, level)
        return start, target, level

    def shared(self, p: Projection, part: NDArray[np.int32], parts: int) -> tuple[Ints, NDArray, NDArray]:
        """Where a projection's synapses go: source unit (int64), part (int32) and number of synapses (int32) of each
        pair of a source unit and a part that holds targets of it. ``part`` int32 (size,): part of every unit."""
        start, target, _ = self.rows(p)
        ends, which, number = _grow.count_shared(start, target, np.ascontiguousarray(part, np.int32), parts)
        units = np.repeat(np.arange(len(ends) - 1) + self.start[p.source], np.diff(ends))
        return units, which, number

    def pieces(self, p: Projection) -> Iterator[tuple[Ints, Ints, NDArray[np.int8]]]:
        """Synapses of a projection, a piece at a time: source units, target units (int64), levels (int8), no zeros."""
        for source, target, level in _pieces(p.rule):
            keep = level != 0
            if not keep.all():
                source, target, level = source[keep], target[keep], level[keep]
            begin = self.start[p.source], self.start[p.target]
            yield source + begin[0], target + begin[1], np.ascontiguousarray(level)


def _pieces(rule: Rule) -> Iterator[tuple[Ints, Ints, NDArray[np.int8]]]:
    """``rule.connections()``; those of a large convolution one kernel position at a time."""
    if not isinstance(rule, Conv2d) or rule.synapses < 1 << 22 or rule.groups != 1:
        yield rule.connections()
        return
    out, inputs = rule.weight.shape[:2]
    source_pixels, target_pixels = rule.source_size // rule.source_shape[0], rule.target_size // rule.target_shape[0]
    for tap, inside, outside in rule._pixel_pairs():
        source = (np.arange(inputs)[:, None] * source_pixels + inside).ravel()
        for channel in range(out):
            level = np.repeat(rule.weight[channel, :, tap.row, tap.column], inside.size)
            yield source, np.tile(channel * target_pixels + outside, inputs), level
