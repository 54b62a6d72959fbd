"""What a mapped network asks of its cores in one frame: groups of units to visit, packets to send, work to receive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.mapping.chip import Chip
from gxevent.mapping.mapping import PORT, Mapping, expand
from gxevent.mapping.problem import sending_steps, unit_neurons

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Workload:
    """Flat tables; every index is a row of another table.

    cores : chip core numbers that are used, rising; the input port comes behind them as sender ``len(cores)``.
    stage : int32 (populations,), step of the frame in which each population is visited and sends.
    reads : (source, target) populations joined by projections.
    group_population, group_sender : int32 (groups,), units of one population on one sender, by sender, then population.
    unit_group, unit_number, unit_neurons : (units,), by group; numbers run over all populations of the mapping.
    pair_unit, pair_core, pair_synapses : (pairs,), what each unit's events bring to each core they reach (index into
        ``cores``, its own included), by unit, then core.
    """

    chip: Chip
    cores: tuple[int, ...]
    populations: tuple[str, ...]
    stage: NDArray[np.int32]
    reads: tuple[tuple[int, int], ...]
    group_population: NDArray[np.int32]
    group_sender: NDArray[np.int32]
    unit_group: NDArray[np.int32]
    unit_number: Ints
    unit_neurons: NDArray[np.int32]
    pair_unit: Ints
    pair_core: NDArray[np.int32]
    pair_synapses: NDArray[np.int32]

    @property
    def senders(self) -> int:
        return len(self.cores) + 1

    @property
    def stages(self) -> int:
        return int(self.stage.max()) + 1

    @cached_property
    def is_token(self) -> NDArray[np.bool_]:
        """Units that stand for the end of their group, bool (units,); their number is -1."""
        return self.unit_number < 0

    @cached_property
    def unit_sender(self) -> NDArray[np.int32]:
        return self.group_sender[self.unit_group]

    @cached_property
    def unit_stage(self) -> NDArray[np.int32]:
        return self.stage[self.group_population[self.unit_group]]

    def router(self, sender: int) -> tuple[int, int]:
        """Router (x, y) of a sender."""
        return self.chip.port if sender == len(self.cores) else self.chip.place(self.cores[sender])[:2]

    @classmethod
    def flat(
        cls,
        chip: Chip,
        unit_core: NDArray[np.integer],
        pair_unit: NDArray[np.integer],
        pair_core: NDArray[np.integer],
        pair_synapses: NDArray[np.integer],
        unit_neurons: NDArray[np.integer] | int = 1,
    ) -> Workload:
        """One step without a network behind it: unit i lies on chip core ``unit_core[i]`` (PORT: at the port) and its
        events bring ``pair_synapses`` to chip cores ``pair_core``, one row for each (unit, core)."""
        unit_core, pair_core = np.asarray(unit_core, np.int64), np.asarray(pair_core, np.int64)
        known = np.unique(np.r_[unit_core, pair_core])
        cores = known[known != PORT]
        sender = np.where(unit_core == PORT, len(cores), np.searchsorted(cores, unit_core))
        order = np.argsort(sender, kind="stable")
        senders, group = np.unique(sender[order], return_inverse=True)
        position = np.empty(order.size, np.int64)
        position[order] = np.arange(order.size)
        neurons = np.broadcast_to(np.asarray(unit_neurons, np.int32), unit_core.shape)[order]
        unit, core = position[np.asarray(pair_unit, np.int64)], np.searchsorted(cores, pair_core)
        by = np.lexsort((core, unit))
        return cls(
            chip,
            tuple(cores.tolist()),
            ("units",),
            np.zeros(1, np.int32),
            (),
            np.zeros(len(senders), np.int32),
            senders.astype(np.int32),
            group.astype(np.int32),
            order.astype(np.int64),
            np.where(sender[order] == len(cores), 0, neurons).astype(np.int32),
            unit[by],
            core[by].astype(np.int32),
            np.asarray(pair_synapses, np.int32)[by],
        )

    @classmethod
    def of(cls, mapping: Mapping) -> Workload:
        """The workload of a mapping. FormatError where it names cores that do not exist or leaves units out."""
        chip, graph = mapping.typed_chip(), mapping.graph
        _check(mapping, chip)
        names = tuple(p.name for p in graph.populations)
        index = {name: i for i, name in enumerate(names)}
        cores = tuple(sorted(entry.core for entry in mapping.cores))
        at_core = {core: i for i, core in enumerate(cores)} | {PORT: len(cores)}
        home = _homes(mapping, at_core)
        population = np.repeat(np.arange(len(names), dtype=np.int32), [p.size for p in graph.populations])
        order = np.lexsort((np.arange(home.size), population, home))
        sender, kind = home[order], population[order]
        first = np.flatnonzero(np.r_[True, (np.diff(sender) != 0) | (np.diff(kind) != 0)])
        group = np.cumsum(np.isin(np.arange(order.size), first)).astype(np.int32) - 1
        neurons = np.array([unit_neurons(chip, p.role, p.partial) for p in graph.populations], np.int32)[kind]
        neurons[sender == len(cores)] = 0
        position = np.empty(order.size, np.int64)
        position[order] = np.arange(order.size)
        unit, core, synapses = _pairs(mapping, at_core, home, position)
        return cls(
            chip,
            cores,
            names,
            _stages(mapping),
            tuple((index[p.source], index[p.target]) for p in graph.projections),
            kind[first],
            sender[first],
            group,
            order,
            neurons,
            unit,
            core,
            synapses,
        )


def _check(mapping: Mapping, chip: Chip) -> None:
    """What the tables rely on beyond the addresses that loading has checked."""
    used = {entry.core for entry in mapping.cores}
    named = used.union(*(route.cores for routes in mapping.routes.values() for route in routes))
    problem = ""
    if not used or not used <= set(range(chip.core_count)):
        problem = f"its cores are not cores 0 to {chip.core_count - 1} of {chip.name}"
    elif named != used:
        problem = f"a route leads to core {min(named - used)}, which holds nothing"
    elif any(not 0 <= n < 2**31 for e in mapping.cores for axons in e.axons.values() for n in axons.synapses):
        problem = "a number of synapses is negative or too large"
    else:
        starts, core = mapping.population_starts(), mapping.core_of_units()
        for p in mapping.graph.populations:
            if p.role != "input" and (core[starts[p.name] : starts[p.name] + p.size] == PORT).any():
                problem = f"a unit of {p.name!r} lies on no core"
    if problem:
        raise FormatError(f"mapping: {problem}: map again (gxevent map --check lists all that is wrong)")


def _homes(mapping: Mapping, at_core: dict[int, int]) -> NDArray[np.int32]:
    """Sender of every unit."""
    core = mapping.core_of_units()
    lookup = np.full(max(at_core) + 2, len(at_core) - 1, np.int32)
    for number, i in at_core.items():
        lookup[number] = i  # PORT is -1: the last entry
    return lookup[core]


def _pairs(
    mapping: Mapping, at_core: dict[int, int], home: NDArray[np.int32], position: Ints
) -> tuple[Ints, NDArray[np.int32], NDArray[np.int32]]:
    """(unit, core, synapses) for all that is delivered: along routes, and to axons of the unit's own core."""
    starts, many = mapping.population_starts(), len(at_core)
    sources = {p.name: p.source for p in mapping.graph.projections}
    keys: list[Ints] = [np.zeros(0, np.int64)]
    brought: list[Ints] = [np.zeros(0, np.int64)]
    for name, routes in mapping.routes.items():
        for route in routes:
            units = position[expand(route.units) + starts[name]]
            to = np.array([at_core[core] for core in route.cores], np.int64)
            keys.append((units[:, None] * many + to).ravel())
            brought.append(np.zeros(keys[-1].size, np.int64))
    for entry in mapping.cores:
        for name, axons in entry.axons.items():
            keys.append(position[expand(axons.units) + starts[sources[name]]] * many + at_core[entry.core])
            brought.append(np.array(axons.synapses, np.int64))
    key, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    synapses = np.bincount(inverse, weights=np.concatenate(brought), minlength=key.size)
    return key // many, (key % many).astype(np.int32), synapses.astype(np.int32)


def _stages(mapping: Mapping) -> NDArray[np.int32]:
    stays = [p.role == "sum" and not p.partial for p in mapping.graph.populations]
    joins = [(p.source, p.target) for p in mapping.graph.projections]
    return sending_steps([p.name for p in mapping.graph.populations], stays, joins)
