"""Splitting: units that listen to more inputs than a core takes become exact integer partial sums.

The result is an ordinary event graph: a population ``conv2.1`` of role "sum" adds up what one range of the sources
brings, and an identity carries its sums, as they are, into the population that thresholds. Integers stay the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from msgspec import Struct

from gxevent.connectivity import Conv2d, Dense, Identity, Pool2d, Rule, Sparse
from gxevent.errors import FormatError
from gxevent.graph import EventGraph, Population, Projection
from gxevent.mapping.chip import NO_LIMIT, Chip, whole


class Split(Struct, frozen=True):
    """A projection cut into ranges of source units: ``cuts`` rise from 0 to the number of source units."""

    projection: str
    cuts: tuple[int, ...]


def plan_splits(graph: EventGraph, chip: Chip) -> list[Split]:
    """The splits that bring every fan-in within what a core takes; none where sums cannot travel on the chip."""
    room = fan_in_room(chip)
    if chip.granularity != "unit" or room >= NO_LIMIT:
        return []
    splits = []
    for p in graph.projections.values():
        if not p.rule.weighted or fan_in(graph, p) <= room or sum_bits(graph, p.target) > chip.payload("sum"):
            continue
        cuts = _cuts(graph, p, room)
        if cuts:
            splits.append(Split(p.name, cuts))
    return splits


def fan_in_room(chip: Chip) -> int:
    """Most inputs that any core takes for one unit: its fan-in and axon limits, and what its memory holds."""
    best = 0
    for core in chip.cores:
        axons = whole(core.axons_in) // whole(chip.events.axons_per_input)
        room = min(whole(core.fan_in), axons if core.axons_in is not None else NO_LIMIT)
        packing = core.packing
        if core.memory is not None and packing.rule in ("list", "kernel"):
            bits = whole(packing.weight) + whole(packing.index, 0)
            if packing.rule == "list":
                bits += whole(packing.header, 0) + whole(packing.word, 1) - 1
            room = min(room, whole(core.memory) // max(bits, 1))
        best = max(best, room)
    return best


def fan_in(graph: EventGraph, p: Projection) -> int:
    """Most sources that one unit (with the sums under its pool) listens to along a projection."""
    return _window(graph, p, p.rule)


def _window(graph: EventGraph, p: Projection, rule: Rule) -> int:
    if isinstance(rule, Dense):
        return int(np.count_nonzero(rule.weight, axis=1).max(initial=0))
    if isinstance(rule, Conv2d):
        taps = rule.weight.shape[1] * rule.kernel[0] * rule.kernel[1]
        most = min(int(np.count_nonzero(rule.weight, axis=(1, 2, 3)).max(initial=0)), taps)
        pools = [q.rule for q in graph.outgoing(p.target) if isinstance(q.rule, Pool2d)]
        if graph.populations[p.target].role == "sum" and pools:
            rows, columns = (k + s * (w - 1) for k, s, w in zip(rule.kernel, rule.stride, pools[0].kernel, strict=True))
            return rule.weight.shape[1] * rows * columns  # units under one pool stay together
        return most
    if isinstance(rule, Sparse):
        return int(np.bincount(rule.target[rule.level != 0], minlength=rule.target_size).max(initial=0))
    return rule.synapses // max(rule.target_size, 1)


def _cuts(graph: EventGraph, p: Projection, room: int) -> tuple[int, ...]:
    """Ranges of sources: whole channels of an image where that is fine enough, else runs of units."""
    size = p.rule.source_size
    if isinstance(p.rule, Conv2d):
        channels = p.rule.source_shape[0]
        area = size // channels
        each = p.rule.kernel[0] * p.rule.kernel[1]
        if p.rule.groups != 1 or each > room:
            return ()
        parts = -(-channels // (room // each))
        return tuple(round(i * channels / parts) * area for i in range(parts + 1))
    if isinstance(p.rule, Dense):
        parts = -(-size // room)
        return tuple(round(i * size / parts) for i in range(parts + 1))
    return ()


def sum_bits(graph: EventGraph, population: str) -> int:
    """Bits of a signed sum of the population, from the levels alone."""
    return int(graph.bound(population)).bit_length() + 1


def apply_splits(graph: EventGraph, splits: Sequence[Split]) -> EventGraph:
    """The event graph with partial sums; the same read-out integers. FormatError for splits that do not fit it."""
    populations = list(graph.populations.values())
    projections = dict(graph.projections)
    for split in splits:
        p = projections.pop(split.projection, None)
        if p is None or not _fits(p.rule, split.cuts):
            raise FormatError(f"split of projection {split.projection!r} does not fit the graph: map it again")
        target = graph.populations[p.target]
        for i, (begin, end) in enumerate(zip(split.cuts[:-1], split.cuts[1:], strict=True)):
            name = f"{p.name}.{i}"
            if name in graph.populations:
                raise FormatError(f"split of projection {p.name!r}: population {name!r} exists already")
            populations.append(Population(name, target.shape, "sum", unit=target.unit))
            masked = _masked(p.rule, begin, end)
            projections[name] = Projection(name, p.source, name, masked, p.gain)
            projections[f"{name}+"] = Projection(f"{name}+", name, p.target, Identity(target.shape, target.shape))
    if not splits:
        return graph
    return EventGraph.of(
        populations,
        projections.values(),
        encoder=graph.encoder,
        classes=graph.classes,
        name=graph.name,
        provenance=graph.provenance,
    )


def _fits(rule: Rule, cuts: Sequence[int]) -> bool:
    if not isinstance(rule, Dense | Conv2d) or len(cuts) < 2 or list(cuts) != sorted(set(cuts)):
        return False
    area = rule.source_size // rule.source_shape[0] if isinstance(rule, Conv2d) else 1
    return cuts[0] == 0 and cuts[-1] == rule.source_size and not any(cut % area for cut in cuts)


def _masked(rule: Dense | Conv2d, begin: int, end: int) -> Dense | Conv2d:
    """The rule with level 0 outside source units begin … end."""
    weight = np.zeros_like(rule.weight)
    area = rule.source_size // rule.source_shape[0] if isinstance(rule, Conv2d) else 1
    part = slice(begin // area, end // area)
    weight[:, part] = rule.weight[:, part]
    return replace(rule, weight=weight)
