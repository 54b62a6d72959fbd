"""The mapping problem: vertices to be placed, nets between them, and what the cores of a chip hold of them.

A vertex is a unit, or a firing unit with the sums under its pool: sums stay on the core that compares them. A net is
one unit's events: the hyperedge from its vertex to all vertices that listen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.connectivity import Conv2d, Pool2d, Rule
from gxevent.graph import EventGraph
from gxevent.mapping.activity import Activity
from gxevent.mapping.chip import NO_LIMIT, Chip, Core, whole
from gxevent.mapping.units import Units

ABILITIES = {"max": 2, "conv": 4, "dense": 8}
"""Bits of what cores can do beside adding: an operation, or a kind of layer."""

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Problem:
    """One graph (already split) to be mapped on one chip, weighted by activity.

    vertex int32 (units,): vertex of each unit.
    """

    chip: Chip
    units: Units
    activity: Activity
    vertex: NDArray[np.int32]
    count: int

    @classmethod
    def of(cls, graph: EventGraph, chip: Chip, activity: Activity) -> Problem:
        units = Units.of(graph)
        vertex = _clusters(units)
        return cls(chip, units, activity, vertex, int(vertex.max()) + 1)

    @property
    def graph(self) -> EventGraph:
        return self.units.graph

    @cached_property
    def neurons(self) -> Ints:
        """Neurons that each unit takes, int64 (units,)."""
        out = np.empty(self.units.size, np.int64)
        for name, p in self.graph.populations.items():
            out[self.units.range(name)] = unit_neurons(self.chip, p.role, is_partial(self.graph, name))
        return out

    @cached_property
    def events(self) -> Ints:
        """Events (or sums) that each unit sends over all frames of the activity, int64 (units,)."""
        out = np.zeros(self.units.size, np.int64)
        for name, p in self.graph.populations.items():
            if p.role != "readout":
                out[self.units.range(name)] = self.activity.events.get(name, self.activity.windows)
        return out

    @cached_property
    def size(self) -> NDArray[np.int32]:
        """Neurons of each vertex."""
        return np.bincount(self.vertex, weights=self.neurons, minlength=self.count).astype(np.int32)

    @cached_property
    def fixed(self) -> NDArray[np.int8]:
        """Vertices that stay at the port: input units that take no neurons."""
        out = np.zeros(self.count, np.int8)
        if self.chip.inputs == "port":
            out[self.vertex[self.units.range(self.graph.input.name)]] = 1
        return out

    @cached_property
    def group(self) -> NDArray[np.int32]:
        """Index of the population that each vertex ends in."""
        out = np.zeros(self.count, np.int32)
        np.maximum.at(out, self.vertex, self.units.population_of)
        return out

    @cached_property
    def need(self) -> NDArray[np.int32]:
        """Bits of ``ABILITIES`` that each vertex needs."""
        out = np.zeros(self.count, np.int32)
        for p in self.graph.projections.values():
            if need := ability(p.rule):
                np.bitwise_or.at(out, self.vertex[self.units.range(p.target)], ABILITIES[need])
        return out

    @cached_property
    def memory(self) -> Ints:
        """Bits that the synapses of each vertex take, what axons take aside."""
        packing = self.chip.cores[0].packing
        each = whole(packing.weight) + whole(packing.index, 0)
        blocks = whole(packing.block, 0)
        around = (whole(packing.header, 0) + whole(packing.word, 1) - 1) / blocks if blocks else 0.0
        bits = np.zeros(self.count, np.float64)
        if packing.rule == "list":
            np.add.at(bits, self.pins[1], self.pins[2] * (each + around))
        elif packing.rule == "kernel":
            for p in self.graph.projections.values():
                if p.rule.weighted and not isinstance(p.rule, Conv2d):
                    for _, target, _ in self.units.pieces(p):
                        bits += np.bincount(self.vertex[target], minlength=self.count) * each
        return np.ceil(bits).astype(np.int64)

    @cached_property
    def axon_bits(self) -> int:
        packing = self.chip.cores[0].packing
        return whole(packing.header, 0) + whole(packing.word, 1) - 1 if packing.rule == "list" else 0

    @cached_property
    def pins(self) -> tuple[Ints, NDArray[np.int32], NDArray[np.int32]]:
        """Unit, vertex it reaches, number of synapses; rising by unit, then vertex; a vertex does not reach itself."""
        parts = [self.units.shared(p, self.vertex, self.count) for p in self.graph.projections.values()]
        unit, vertex, number = (np.concatenate(column) for column in zip(*parts, strict=True))
        keep = self.vertex[unit] != vertex
        unit, vertex, number = unit[keep], vertex[keep], number[keep]
        order = np.lexsort((vertex, unit))
        unit, vertex, number = unit[order], vertex[order], number[order]
        first = np.flatnonzero(np.r_[True, (np.diff(unit) != 0) | (np.diff(vertex) != 0)]) if unit.size else unit
        if first.size < unit.size:
            number = np.add.reduceat(number, first).astype(np.int32)
            unit, vertex = unit[first], vertex[first]
        return unit, vertex, number

    @cached_property
    def nets(self) -> Ints:
        """Units that send to other vertices, rising."""
        return np.unique(self.pins[0])

    @cached_property
    def steps(self) -> NDArray[np.int32]:
        """Step of a frame in which each population sends, int32 (populations,)."""
        names = list(self.graph.populations)
        stays = [p.role == "sum" and not is_partial(self.graph, n) for n, p in self.graph.populations.items()]
        return sending_steps(names, stays, [(p.source, p.target) for p in self.graph.projections.values()])

    @cached_property
    def costs(self) -> tuple[int, int]:
        """Receiving work of one packet and of one synapse: picoseconds where the chip says, else one operation each."""
        latency = self.chip.latency
        if latency.synop is None or latency.synop.base is None:
            return 1, 1
        packet = latency.packet_in.base if latency.packet_in and latency.packet_in.base is not None else 0
        return round(packet * 1000), round(latency.synop.base * 1000)

    @cached_property
    def work(self) -> NDArray[np.float64]:
        """Receiving work of each vertex's synapses over all frames; a core's packets come on top."""
        unit, vertex, number = self.pins
        return np.bincount(vertex, weights=self.events[unit] * number * self.costs[1], minlength=self.count)

    @cached_property
    def hypergraph(self) -> dict[str, Any]:
        """Arrays of vertices and nets as ``gxevent.core._mapping.Search`` takes them."""
        unit, vertex, number = self.pins
        net = np.searchsorted(self.nets, unit)
        source = self.vertex[self.nets]
        inward, outward = np.lexsort((net, vertex)), np.argsort(source, kind="stable")

        def starts(sorted_keys: NDArray, n: int) -> Ints:
            return np.searchsorted(sorted_keys, np.arange(n + 1)).astype(np.int64)

        return {
            "pin_start": starts(net, len(self.nets)),
            "pin": vertex.astype(np.int32),
            "pin_weight": number.astype(np.int32),
            "in_start": starts(vertex[inward], self.count),
            "in_net": net[inward].astype(np.int32),
            "in_weight": number[inward].astype(np.int32),
            "out_start": starts(source[outward], self.count),
            "out_net": outward.astype(np.int32),
            "source": source.astype(np.int32),
            "weight": self.events[self.nets],
            "step": self.steps[self.units.population_of[self.nets]],
            "size": self.size,
            "memory": self.memory,
            "need": self.need,
            "group": self.group,
            "fixed": self.fixed,
        }

    def limits(self, core: Core) -> list[int]:
        """Neurons, axons in, axons out and bits that a core holds; kernels of convolutions are set aside."""
        memory = whole(core.memory)
        if core.packing.rule == "crossbar":
            memory = NO_LIMIT
        elif core.packing.rule == "kernel" and core.memory is not None:
            kernels = [p.rule.weight.size for p in self.graph.projections.values() if isinstance(p.rule, Conv2d)]
            aside = sum(kernels) if self.chip.granularity == "unit" else max(kernels, default=0)
            memory = max(memory - aside * whole(core.packing.weight), 0)
        axons_out = whole(core.axons_out)
        if self.chip.routing.scheme == "single":
            axons_out = min(axons_out, whole(core.neurons) // whole(self.chip.events.neurons_per_unit))
        return [whole(core.neurons), whole(core.axons_in), axons_out, memory]

    def least_cores(self, fill: float) -> int:
        """Cores that neurons and memory need at least, each filled to the share ``fill``."""
        core = self.chip.cores[0]
        neurons, _, _, memory = self.limits(core)
        movable = self.fixed == 0
        by_neurons = int(self.size[movable].sum()) / (neurons * fill)
        by_memory = 0.0
        if memory < NO_LIMIT and not self.large:
            by_memory = int(self.memory[movable].sum()) / max(memory * fill, 1)
        return max(1, int(np.ceil(max(by_neurons, by_memory))))

    @cached_property
    def large(self) -> bool:
        """Whether single synapses are too many for the exact search."""
        return sum(p.rule.synapses for p in self.graph.projections.values()) > 20_000_000


def ability(rule: Rule) -> str:
    """What a core must be able to do to hold the units that a projection leads to; nothing for plain sums."""
    if isinstance(rule, Pool2d):
        return "max" if rule.mode == "max" else ""
    return ("conv" if isinstance(rule, Conv2d) else "dense") if rule.weighted else ""


def abilities(core: Core) -> int:
    """Bits of what a core can do."""
    return sum(bit for name, bit in ABILITIES.items() if name in core.operations or name in core.layers)


def sending_steps(names: Sequence[str], stays: Sequence[bool], joins: Sequence[tuple[str, str]]) -> NDArray[np.int32]:
    """Longest way from the input for each population, in topological order; int32 (populations,).

    Sums that stay on the core of their reader (``stays``) take no step of their own.
    """
    index = {name: i for i, name in enumerate(names)}
    step = np.zeros(len(names), np.int32)
    for i, name in enumerate(names):
        step[i] = max((step[index[a]] + (not stays[index[a]]) for a, b in joins if b == name), default=0)
    return step


def unit_neurons(chip: Chip, role: str, partial: bool) -> int:
    """Neurons that a unit of this role takes."""
    if role == "input":
        return whole(chip.events.neurons_per_unit) if chip.inputs == "cores" else 0
    if role == "sum" and chip.fused_pooling and not partial:
        return 0
    return whole(chip.events.neurons_per_unit) if role == "fire" else 1


def is_partial(graph: EventGraph, population: str) -> bool:
    """Whether a population holds partial sums, which may lie on other cores than the unit that adds them up."""
    part = population.rpartition(".")[2]
    return part.isdigit() and f"{population}+" in graph.projections and graph.populations[population].role == "sum"


def _clusters(units: Units) -> NDArray[np.int32]:
    """Vertex of each unit: sums go with the units that read them."""
    label = np.arange(units.size, dtype=np.int64)
    ties = []
    for p in units.graph.projections.values():
        if units.graph.populations[p.source].role == "sum" and not is_partial(units.graph, p.source):
            ties += [(source, target) for source, target, _ in units.pieces(p)]
    if ties:
        source, target = (np.concatenate(column) for column in zip(*ties, strict=True))
        while True:
            low = np.minimum(label[source], label[target])
            before = label.copy()
            np.minimum.at(label, source, low)
            np.minimum.at(label, target, low)
            if (before == label).all():
                break
    return np.unique(label, return_inverse=True)[1].astype(np.int32)
