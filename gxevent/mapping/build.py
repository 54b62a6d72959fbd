"""Writing a finished search down as a Mapping, and its traffic figures.

Counting: a *packet* is one event for one target core other than its own; *unicast traffic* is packets times links on
their way; *multicast traffic* is the links of each event's tree. All are per frame of the activity.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.connectivity import Conv2d, Dense, Pool2d, Rule
from gxevent.graph import EventGraph
from gxevent.mapping.chip import whole
from gxevent.mapping.mapping import (
    FORMAT,
    PORT,
    VERSION,
    ActivityInfo,
    Axons,
    CoreEntry,
    GraphInfo,
    Mapping,
    PopulationInfo,
    ProjectionInfo,
    Route,
    Settings,
    to_ranges,
)
from gxevent.mapping.problem import Problem, is_partial
from gxevent.mapping.route import table_entries, tree, unicast_links, uses_trees
from gxevent.mapping.split import Split, sum_bits

Pairs = tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32]]


def build_mapping(
    original: EventGraph, problem: Problem, splits: list[Split], core_of_vertex: NDArray[np.int32], settings: Settings
) -> Mapping:
    """The mapping in which vertex v lies on chip core ``core_of_vertex[v]`` (:data:`PORT` for the port)."""
    chip, units, graph = problem.chip, problem.units, problem.graph
    core = core_of_vertex[problem.vertex].astype(np.int32)
    kinds = chip.core_kinds()
    numbers = [int(n) for n in np.unique(core) if n != PORT]
    entries = {
        n: CoreEntry(core=n, place=chip.place(n), kind=chip.cores[kinds[n]].name, units={}, axons={}) for n in numbers
    }
    for name in graph.populations:
        of = core[units.range(name)]
        for n in np.unique(of):
            if n != PORT:
                entries[int(n)].units[name] = to_ranges(np.flatnonzero(of == n))
    links: dict[str, Pairs] = {}
    for p in graph.projections.values():
        unit, to, number = units.shared(p, core, chip.core_count)
        if graph.populations[p.source].role == "sum":
            away = core[unit] != to  # a sum on the core that reads it needs no axon
            unit, to, number = unit[away], to[away], number[away]
        links[p.name] = unit, to, number
        _fill_axons(entries, p.name, unit - units.start[p.source], to, number)
    routes = _routes(problem, core, links)
    activity = problem.activity
    return Mapping(
        format=FORMAT,
        version=VERSION,
        chip=chip.as_dict(),
        graph=_graph_info(original, graph),
        activity=ActivityInfo(activity.kind, activity.sha256(), activity.windows, activity.source),
        settings=settings,
        splits=splits,
        cores=list(entries.values()),
        routes=routes,
        traffic=traffic(problem, core, routes, links),
    )


def _fill_axons(entries: dict[int, CoreEntry], name: str, unit: NDArray, to: NDArray, number: NDArray) -> None:
    order = np.lexsort((unit, to))
    unit, to, number = unit[order], to[order], number[order]
    cuts = np.flatnonzero(np.diff(to)) + 1
    for begin, end in zip(np.r_[0, cuts], np.r_[cuts, len(to)], strict=True):
        if begin < end:
            part = slice(begin, end)
            entries[int(to[begin])].axons[name] = Axons(to_ranges(unit[part]), number[part].tolist())


def _graph_info(original: EventGraph, graph: EventGraph) -> GraphInfo:
    populations = [
        PopulationInfo(name, p.size, p.role, is_partial(graph, name), packet_bits(graph, name))
        for name, p in graph.populations.items()
    ]
    projections = []
    for p in graph.projections.values():
        rule = p.rule
        kernel, padded = rule.weight.size if isinstance(rule, Conv2d) else 0, padded_entries(rule)
        maximum = isinstance(rule, Pool2d) and rule.mode == "max"
        projections.append(ProjectionInfo(p.name, p.source, p.target, rule.kind, maximum, kernel, padded))
    return GraphInfo(files.sha256(original), graph.name, populations, projections)


def padded_entries(rule: Rule) -> int:
    """Entries of a layer's kernels padded to powers of two, a dense layer as kernels of 1x1; 0 for other rules."""
    if isinstance(rule, Conv2d):
        inputs, outputs, area = rule.source_shape[0], rule.target_shape[0], rule.kernel[0] * rule.kernel[1]
    elif isinstance(rule, Dense):
        inputs, outputs, area = rule.source_size, rule.target_size, 1
    else:
        return 0
    return inputs * 2 ** ((area - 1).bit_length() + (outputs - 1).bit_length())


def packet_bits(graph: EventGraph, population: str) -> int:
    """Bits that a packet of a population carries beside its address: 0 for ternary events (the sign is in the address
    where a packet carries none), a signed level, or a signed sum."""
    p = graph.populations[population]
    if p.role == "sum":
        return sum_bits(graph, population)
    return p.top.bit_length() + 1 if p.sends_events and p.top > 1 else 0


def _routes(problem: Problem, core: NDArray[np.int32], links: dict[str, Pairs]) -> dict[str, list[Route]]:
    """Units by the set of other cores they send to; merged core by core where the routers' tables are too small."""
    units, chip = problem.units, problem.chip
    routes: dict[str, list[Route]] = {}
    for name in problem.graph.populations:
        parts = [links[p.name] for p in problem.graph.outgoing(name)]
        if not parts:
            continue
        unit = np.concatenate([part[0] for part in parts])
        to = np.concatenate([part[1] for part in parts]).astype(np.int64)
        keep = core[unit] != to
        key = np.unique(unit[keep] * chip.core_count + to[keep])
        unit, to = key // chip.core_count, (key % chip.core_count).astype(np.int32)
        groups = _group(unit - units.start[name], to)
        if groups:
            routes[name] = [Route(to_ranges(np.array(members)), list(cores)) for cores, members in groups.items()]
    if chip.routing.scheme == "table" and _entries_over(problem, core, routes):
        routes = _merged(problem, core, routes)
    return routes


def _group(unit: NDArray[np.int64], to: NDArray[np.int32]) -> dict[tuple[int, ...], list[int]]:
    """Target cores -> units that go there; both rising."""
    groups: dict[bytes, list[int]] = defaultdict(list)
    cuts = np.flatnonzero(np.diff(unit)) + 1
    begins, ends = np.r_[0, cuts].tolist(), np.r_[cuts, len(unit)].tolist()
    if not len(unit):
        return {}
    for begin, end in zip(begins, ends, strict=True):
        groups[to[begin:end].tobytes()].append(int(unit[begin]))
    return {tuple(np.frombuffer(key, np.int32).tolist()): members for key, members in groups.items()}


def _sources(problem: Problem, core: NDArray[np.int32], routes: dict[str, list[Route]]) -> Any:
    """(population, source core, target cores, units) of every route, by source core."""
    for name, listed in routes.items():
        begin = problem.units.start[name]
        for route in listed:
            members = np.concatenate([np.arange(a, b) for a, b in route.units]) + begin
            of = core[members]
            for c in np.unique(of):
                yield name, int(c), tuple(route.cores), members[of == c]


def _router(problem: Problem, core: int) -> tuple[int, int]:
    return problem.chip.port if core == PORT else problem.chip.place(core)[:2]


def _entries_over(problem: Problem, core: NDArray[np.int32], routes: dict[str, list[Route]]) -> bool:
    keyed = [
        (_router(problem, c), tuple(_router(problem, to) for to in cores))
        for _, c, cores, _ in _sources(problem, core, routes)
    ]
    most = max(table_entries(problem.chip, keyed).values(), default=0)
    return most > whole(problem.chip.routing.table_entries)


def _merged(problem: Problem, core: NDArray[np.int32], routes: dict[str, list[Route]]) -> dict[str, list[Route]]:
    """One route for all units of a population on one core: fewer table entries, some events that nobody reads."""
    union: dict[tuple[str, int], tuple[set[int], list[NDArray]]] = {}
    for name, c, cores, members in _sources(problem, core, routes):
        targets, units = union.setdefault((name, c), (set(), []))
        targets.update(cores)
        units.append(members - problem.units.start[name])
    merged: dict[str, list[Route]] = defaultdict(list)
    for (name, c), (targets, units) in union.items():
        merged[name].append(Route(to_ranges(np.sort(np.concatenate(units))), sorted(targets - {c})))
    return dict(merged)


def traffic(
    problem: Problem, core: NDArray[np.int32], routes: dict[str, list[Route]], links: dict[str, Pairs]
) -> dict[str, Any]:
    """Figures of a mapping by frame: packets, traffic in both conventions, busiest link, sender and receiver (over a
    whole frame, and of each step by itself)."""
    chip, frames = problem.chip, problem.activity.windows
    forked, single = Counter(), Counter()
    packets = 0
    sending: Counter[int] = Counter()
    for _, c, cores, members in _sources(problem, core, routes):
        events = int(problem.events[members].sum())
        begin, ends = _router(problem, c), [_router(problem, to) for to in cores]
        packets += events * len(cores)
        sending[c] += events * (1 if uses_trees(chip) else len(cores))
        for link in tree(chip, begin, ends):
            forked[link] += events
        for link in unicast_links(chip, begin, ends):
            single[link] += events
    read, by_step = _receiving(problem, links)
    receiving = by_step.sum(axis=0)
    packet, synapse = problem.costs
    timed = (packet, synapse) != (1, 1)
    scale = frames * (1000 if timed else 1)
    used = forked if uses_trees(chip) else single
    busiest = int(receiving.argmax())
    sender = max(((n, -c) for c, n in sending.items() if c != PORT), default=(0, -PORT))
    return {
        "convention": "multicast" if uses_trees(chip) else "unicast",
        "packets": packets / frames,
        "unicast_traffic": sum(single.values()) / frames,
        "multicast_traffic": sum(forked.values()) / frames,
        "max_link": max(used.values(), default=0) / frames,
        "max_link_multicast": max(forked.values(), default=0) / frames,
        "synapses_read": read / frames,
        "busiest_sending": {"core": -sender[1], "packets": sender[0] / frames},
        "busiest_receiving": {
            "core": busiest,
            "work": float(receiving[busiest]) / scale,
            "unit": "ns" if timed else "operations",
            "by_step": (by_step.max(axis=1) / scale).tolist(),
        },
        "cores_used": len(np.unique(core[core != PORT])),
    }


def _receiving(problem: Problem, links: dict[str, Pairs]) -> tuple[int, NDArray[np.float64]]:
    """Synapses read, and receiving work (steps, cores) of packets and synapses, by the step of their events."""
    cores, units = problem.chip.core_count, problem.units
    step = problem.steps[units.population_of].astype(np.int64)
    steps = 1 + max((int(step[unit].max(initial=0)) for unit, _, _ in links.values()), default=0)
    packet, synapse = problem.costs
    work = np.zeros(steps * cores)
    read, arrivals = 0, [np.zeros(0, np.int64)]
    for unit, to, number in links.values():
        synapses = problem.events[unit] * number.astype(np.int64)
        read += int(synapses.sum())
        work += np.bincount(step[unit] * cores + to, weights=synapses * synapse, minlength=len(work))
        arrivals.append(unit * cores + to)
    unit, to = np.divmod(np.unique(np.concatenate(arrivals)), cores)
    work += np.bincount(step[unit] * cores + to, weights=problem.events[unit] * packet, minlength=len(work))
    return read, work.reshape(steps, cores)
