"""Tables of dense layers that batches run on sample lanes (``cython_core/slices_samples.h``), and the *tail* of a plan:
the chain of ternary dense layers at its end that batches pass layer by layer."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.core import _batch, _plan, _slices
from gxevent.graph import EventGraph, Population
from gxevent.runtime import costs, sliced
from gxevent.runtime.sliced import Convolution

if TYPE_CHECKING:
    from gxevent.runtime.units import Unit

MOST_SOURCES = 8190
"""Rows are numbered in words of 16 bits."""

MOST_STEPS = 62
"""A batch remembers in one word of 64 bits which layers want sample lanes."""


def fits(conv: Convolution, bound: int) -> bool:
    """Whether a dense layer can run on sample lanes: it has few enough sources, and sums of few enough bits."""
    return conv.source_shape[0] <= MOST_SOURCES and sliced.counter_bits(bound) <= _slices.SAMPLE_BITS


def build(conv: Convolution, bound: int, gain: int, population: Population | None) -> _slices.SampleGates:
    """Gates of a dense layer that fits, weights ternary; population: whose thresholds it compares, None for sums."""
    weight = conv.weight[:, :, 0, 0]
    out, inputs = weight.shape
    tiles = -(-inputs // costs.SAMPLE_TILE)
    edges_of_tiles = [inputs * i // tiles for i in range(tiles + 1)]
    lists, turns, added = [], [], np.zeros(out, np.int64)
    for first, last in itertools.pairwise(edges_of_tiles):
        rows, turn = _tile(weight[:, first:last], first)
        lists.append(rows)
        turns.append(turn)
        added[turn[:, 0]] += turn[:, 1] - turn[:, 2]
    bits = sliced.counter_bits(bound)
    zero = 1 << (bits - 1)
    edges = flip = None
    if population is not None:
        edges = np.ascontiguousarray(np.stack(sliced.reachable(population, bound), axis=1) + zero, np.int32)
        flip = (np.asarray(population.polarity) < 0).astype(np.uint8)
    rows = np.concatenate([*lists, np.zeros(_slices.SAMPLE_ROUND, np.uint16)])  # never empty
    return _slices.SampleGates(rows, np.stack(turns), (zero - added).astype(np.int32), edges, flip, bits, gain)


def _tile(weight: NDArray[np.int8], first: int) -> tuple[NDArray[np.uint16], NDArray[np.int32]]:
    """Lists of rows and turns int32 (outputs, 3) of one tile's weights int8 (outputs, sources), whose first source is
    ``first``. Outputs with lists of equal lengths are neighbours."""
    masks = (weight > 0, weight < 0)
    counts = np.stack([mask.sum(axis=1) for mask in masks])
    padded = -(-counts // _slices.SAMPLE_ROUND) * _slices.SAMPLE_ROUND
    order = np.lexsort(padded[::-1])
    lengths = padded[:, order].T.ravel()  # those of +1 and of -1 of one output after the other
    begin = np.empty_like(padded)
    begin[:, order] = (np.cumsum(lengths) - lengths).reshape(-1, 2).T
    rows = np.zeros(int(lengths.sum()), np.uint16)
    for mask, start, count in zip(masks, begin, counts, strict=True):
        output, source = np.nonzero(mask)
        within = np.arange(len(output)) - (np.cumsum(count) - count)[output]
        rows[start[output] + within] = (first + source + 1) * _slices.SAMPLE_ROW
    return rows, np.ascontiguousarray(np.stack([order, *padded[:, order]], axis=1), np.int32)


def tail(graph: EventGraph, units: Sequence[Unit], plan: _plan.Plan, kernel: str) -> _batch.Tail | None:
    """The tail of a plan whose projections are those of ``units``; None where the last one is of another kind."""
    index = {name: i for i, name in enumerate(graph.populations)}
    chain: list[int] = []
    target = graph.readout.name
    while len(chain) < MOST_STEPS:
        into = [i for i, unit in enumerate(units) if unit.target == target]
        if len(into) != 1 or not _belongs(graph, units[into[0]], target, index):
            break
        chain.insert(0, into[0])
        target = units[into[0]].projection.source
    if not chain:
        return None
    made = _batch.Tail(plan, index[target])
    for i in chain:
        unit = units[i]
        p, conv = unit.projection, unit.conv
        work = costs.Work(conv, costs.ACTIVITY, fires=unit.fires)
        bound = p.rule.bound(1)
        maker = None
        if fits(conv, bound):
            maker = partial(build, conv, bound, p.gain, graph.populations[unit.target] if unit.fires else None)
        made.add_step(i, *costs.by_events(work, unit.choice.tiling, kernel), costs.by_samples(work, kernel), maker)
    return made


def _belongs(graph: EventGraph, unit: Unit, target: str, index: dict[str, int]) -> bool:
    """Whether a unit is a ternary dense layer from the population before its target, the source's only way on."""
    p = unit.projection
    source = graph.populations[p.source]
    onward = [q for q in graph.projections.values() if q.source == p.source]
    return (
        unit.conv is not None
        and isinstance(p.rule, connectivity.Dense)
        and p.target == target
        and (unit.fires or graph.populations[target].role == "readout")
        and "events" not in unit.needs
        and source.top == 1
        and int(np.abs(p.rule.weight).max(initial=0)) <= 1
        and len(onward) == 1
        and index[target] == index[p.source] + 1
    )
