"""The independent checker: every limit and every route derived again from the mapping file and the chip alone.

It shares no counting with the mapper: only the file's structure, the chip specification and what a split means. With
the graph at hand it also derives axons and synapse counts from the levels themselves.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from gxevent import files
from gxevent.connectivity import Conv2d
from gxevent.errors import FormatError, GxError
from gxevent.graph import EventGraph
from gxevent.mapping.chip import Chip, Core, whole
from gxevent.mapping.mapping import PORT, CoreEntry, Mapping, PopulationInfo, expand
from gxevent.mapping.split import apply_splits

MOST = 20
"""Violations of one kind that are listed one by one."""


def check_mapping(mapping: Mapping, graph: EventGraph | None = None) -> list[str]:
    """Everything wrong with a mapping, one line each: where, resource, need, have, remedy. Empty when it holds.

    ``graph`` is the network that was mapped; without it, axons and synapse counts are taken from the file.
    """
    check = _Check(mapping)
    kinds = [check.addresses(), check.cores(), check.payload(), check.routes(), check.tables()]
    if graph is not None:
        kinds.append(check.graph(graph))
    problems = []
    for found in kinds:
        listed = list(found)
        problems += listed[:MOST]
        if len(listed) > MOST:
            problems.append(f"and {len(listed) - MOST} more of this kind")
    return problems


def refuse_broken(mapping: Mapping, path: object) -> None:
    """FormatError with what is wrong in a mapping file that breaks limits or routes, by the file alone."""
    problems = check_mapping(mapping)
    if problems:
        more = f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        said = "; ".join(problems[:3]) + more
        raise FormatError(f"{path}: {said}: map again (gxevent map --check lists all that is wrong)")


class _Check:
    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self.chip: Chip = mapping.typed_chip()
        self.kinds = [core for core in self.chip.cores for _ in range(whole(core.count))]
        self.population = {p.name: p for p in mapping.graph.populations}
        self.projection = {p.name: p for p in mapping.graph.projections}
        self.at = {p.name: np.full(p.size, PORT, np.int64) for p in mapping.graph.populations}
        self.taken = {p.name: np.zeros(p.size, np.int64) for p in mapping.graph.populations}
        for entry in mapping.cores:
            for name, ranges in entry.units.items():
                for begin, end in ranges:
                    self.at[name][begin:end] = entry.core
                    self.taken[name][begin:end] += 1

    # ---------------------------------------------------------------------------------------------- who is where

    def addresses(self) -> Iterator[str]:
        for name, taken in self.taken.items():
            outside = self.population[name].role == "input" and self.chip.inputs == "port"
            for unit in np.flatnonzero(taken != (0 if outside else 1))[: MOST + 1]:
                where = f"on {taken[unit]} cores" if taken[unit] else "on no core"
                expected = "at the input port" if outside else "on exactly one"
                yield f"layer {name!r} unit {unit}: {where}, expected {expected}: put it there"
        for entry in self.mapping.cores:
            if not 0 <= entry.core < len(self.kinds):
                yield f"core {entry.core}: the chip has cores 0 … {len(self.kinds) - 1}: use one of them"
                continue
            router, slot = divmod(entry.core, whole(self.chip.mesh.per_router))
            y, x = divmod(router, whole(self.chip.mesh.width))
            if tuple(entry.place) != (x, y, slot) or entry.kind != self.kinds[entry.core].name:
                yield f"core {entry.core}: its place is {(x, y, slot)} ({self.kinds[entry.core].name}): correct it"

    # ---------------------------------------------------------------------------------------------------- limits

    def cores(self) -> Iterator[str]:
        sent = self._targets_by_core()
        for entry in self.mapping.cores:
            if 0 <= entry.core < len(self.kinds):
                yield from self._core(entry, self.kinds[entry.core], sent)
        if self.chip.granularity == "layer":
            for name, at in self.at.items():
                if self.population[name].role != "input" and len(np.unique(at)) > 1:
                    yield f"layer {name!r}: on {len(np.unique(at))} cores, the chip takes a layer on one: join it"

    def _targets_by_core(self) -> Counter[int]:
        """Pairs of unit and target core that leave each core."""
        sent: Counter[int] = Counter()
        for name, routes in self.mapping.routes.items():
            for route in routes:
                for core, n in zip(*np.unique(self.at[name][expand(route.units)], return_counts=True), strict=True):
                    sent[int(core)] += int(n) * len(route.cores)
        return sent

    def _core(self, entry: CoreEntry, core: Core, sent: Counter[int]) -> Iterator[str]:
        events = self.chip.events
        neurons = 0
        largest = ("", -1)
        for name, ranges in entry.units.items():
            units = sum(end - begin for begin, end in ranges)
            each = self._neurons_of(self.population[name])
            neurons += each * units
            largest = max(largest, (name, units), key=lambda pair: pair[1])
        heard: dict[str, set[int]] = defaultdict(set)
        for name, axons in entry.axons.items():
            heard[self.projection[name].source].update(expand(axons.units).tolist())
        axons_in = sum(map(len, heard.values())) * int(events.axons_per_input.base or 1)
        out = sent[entry.core]
        needs = [
            ("neurons", neurons, core.neurons, "move units to another core"),
            ("axons in", axons_in, core.axons_in, "move units that listen to other sources away"),
            ("axons out", out, core.axons_out, "move units with many target cores away"),
            ("memory, bits", self._memory(entry, core), core.memory, "move units with many synapses away"),
        ]
        if self.chip.routing.scheme == "single":
            needs.append(("neurons and copies", self._copies(entry), core.neurons, "move units with many target cores"))
        for resource, need, have, remedy in needs:
            if have is not None and have.base is not None and need > have.base:
                yield (
                    f"core {entry.core} (most of it layer {largest[0]!r}): {resource}: need {need:,}, "
                    f"have {int(have.base):,}: {remedy}"
                )
        yield from self._sorts(entry, core)

    def _neurons_of(self, population: PopulationInfo) -> int:
        if population.role == "fire" or (population.role == "input" and self.chip.inputs == "cores"):
            return int(self.chip.events.neurons_per_unit.base or 1)
        if population.role == "input" or (
            population.role == "sum" and self.chip.fused_pooling and not population.partial
        ):
            return 0
        return 1

    def _copies(self, entry: CoreEntry) -> int:
        """Neurons with the copies that further target cores take."""
        total = 0
        for name, ranges in entry.units.items():
            each = self._neurons_of(self.population[name])
            targets = np.ones(self.population[name].size, np.int64)
            for route in self.mapping.routes.get(name, []):
                targets[expand(route.units)] = max(len(route.cores), 1)
            total += each * int(targets[expand(ranges)].sum())
        return total

    def _memory(self, entry: CoreEntry, core: Core) -> int:
        packing = core.packing
        weight, index = whole(packing.weight), whole(packing.index, 0)
        if packing.rule == "crossbar":
            return 0
        if packing.rule == "list":
            header, word = whole(packing.header, 0), whole(packing.word, 1)
            block = whole(packing.block)
            rows: Counter[tuple[str, int]] = Counter()
            for name, axons in entry.axons.items():
                source = self.projection[name].source
                for unit, n in zip(expand(axons.units).tolist(), axons.synapses, strict=True):
                    rows[source, unit] += n
            bits = 0
            for n in rows.values():
                for begin in range(0, n, block):
                    bits += -(-(header + min(block, n - begin) * (weight + index)) // word) * word
            return bits
        bits = 0
        for projection in self.projection.values():
            here = projection.target in entry.units
            if packing.rule == "padded":
                bits += projection.padded * weight * here
            elif projection.rule == "conv2d":
                bits += projection.kernel * weight * here
            elif projection.rule in ("dense", "sparse") and projection.name in entry.axons:
                bits += sum(entry.axons[projection.name].synapses) * weight
        return bits

    def _sorts(self, entry: CoreEntry, core: Core) -> Iterator[str]:
        """Operations a core has, and layers it may mix."""
        if "max" not in core.operations:
            for projection in self.projection.values():
                if projection.max and projection.target in entry.units:
                    yield f"core {entry.core}: layer {projection.target!r} needs maximum pooling, which it has not"
        wants = {p.target: "conv" if p.rule == "conv2d" else "dense" for p in self.projection.values()
                 if p.rule in ("conv2d", "dense", "sparse")}  # fmt: skip
        for name in entry.units:
            if wants.get(name, core.layers[0]) not in core.layers:
                yield f"core {entry.core}: layer {name!r} is {wants[name]}, a {core.name} runs none: move it"
        if self.chip.granularity != "unit":
            ends = {self._end(name) for name in entry.units}
            if len(ends) > 1:
                yield f"core {entry.core}: holds layers {', '.join(sorted(ends))}, the chip takes one a core: move one"

    def _end(self, name: str) -> str:
        """The population that a sum ends in: one layer on the chip."""
        while self.population[name].role == "sum" and not self.population[name].partial:
            name = next(p.target for p in self.projection.values() if p.source == name)
        return name

    # ---------------------------------------------------------------------------------------------------- routes

    def payload(self) -> Iterator[str]:
        events = self.chip.events
        for name, routes in self.mapping.routes.items():
            bits = self.population[name].bits
            own = events.payload_input if self.population[name].role == "input" else None
            have = whole(events.payload if own is None else own)
            if routes and bits > have:
                yield f"layer {name!r}: payload: packets need {bits} bits, have {have}: keep readers on its cores"

    def _pairs(self) -> dict[str, np.ndarray]:
        """Unit * cores + target core of every route, sorted, by population."""
        n = len(self.kinds)
        pairs = {}
        for name, routes in self.mapping.routes.items():
            parts = [(expand(route.units)[:, None] * n + np.array(route.cores, np.int64)).ravel() for route in routes]
            pairs[name] = np.sort(np.concatenate(parts)) if parts else np.zeros(0, np.int64)
        return pairs

    def routes(self) -> Iterator[str]:
        n = len(self.kinds)
        used = {entry.core for entry in self.mapping.cores}
        for name, listed in self.mapping.routes.items():
            times = np.zeros(self.population[name].size, np.int64)
            for route in listed:
                np.add.at(times, expand(route.units), 1)
                for core in set(route.cores) - used:
                    yield f"layer {name!r}: a route ends at core {core}, which holds nothing: remove it"
            for unit in np.flatnonzero(times > 1)[: MOST + 1]:
                yield f"layer {name!r} unit {unit}: has {times[unit]} routes: join them"
        pairs = self._pairs()
        wanted: dict[str, list[np.ndarray]] = defaultdict(list)
        for entry in self.mapping.cores:
            for name, axons in entry.axons.items():
                source = self.projection[name].source
                units = expand(axons.units)
                wanted[source].append(units[self.at[source][units] != entry.core] * n + entry.core)
        for name in self.population:
            need = np.unique(np.concatenate(wanted[name])) if wanted[name] else np.zeros(0, np.int64)
            have = pairs.get(name, np.zeros(0, np.int64))
            for missing in np.setdiff1d(need, have)[: MOST + 1]:
                yield f"layer {name!r} unit {missing // n}: no route to core {missing % n}, which listens: add it"
            if self.chip.routing.scheme != "table":
                for idle in np.setdiff1d(have, need)[: MOST + 1]:
                    yield f"layer {name!r} unit {idle // n}: goes to core {idle % n}, where nothing listens: remove it"

    def tables(self) -> Iterator[str]:
        limit = self.chip.routing.table_entries
        if self.chip.routing.scheme != "table" or limit is None or limit.base is None:
            return
        entries: Counter[tuple[int, int]] = Counter()
        for name, routes in self.mapping.routes.items():
            for route in routes:
                for core in np.unique(self.at[name][expand(route.units)]).tolist():
                    for router in self._keyed(core, route.cores):
                        entries[router] += 1
        for router, need in sorted(entries.items()):
            if need > limit.base:
                yield f"router {router}: table entries: need {need:,}, have {int(limit.base):,}: join routes"

    def _keyed(self, core: int, targets: list[int]) -> Iterator[tuple[int, int]]:
        """Routers that need an entry for this route: all on its tree but those it merely crosses straight on."""
        begin = self._router(core)
        ends = {self._router(target) for target in targets}
        parent: dict[tuple[int, int], tuple[int, int]] = {}
        for end in sorted(ends):
            way = self._way(begin, end)
            for i in range(len(way) - 1, 0, -1):
                if way[i] in parent or way[i] == begin:
                    break
                parent[way[i]] = way[i - 1]
        children: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
        for router, before in parent.items():
            children[before].append(router)
        for router in {begin, *parent}:
            onward = children[router]
            crossing = router != begin and router not in ends and len(onward) == 1
            if not (crossing and self._heading(parent[router], router) == self._heading(router, onward[0])):
                yield router

    def _router(self, core: int) -> tuple[int, int]:
        if core == PORT:
            return self.chip.port
        y, x = divmod(core // whole(self.chip.mesh.per_router), whole(self.chip.mesh.width))
        return x, y

    def _heading(self, a: tuple[int, int], b: tuple[int, int]) -> tuple[int, int]:
        return (b[0] - a[0]) % self.chip.width, (b[1] - a[1]) % self.chip.height

    def _way(self, begin: tuple[int, int], end: tuple[int, int]) -> list[tuple[int, int]]:
        """Routers along the diagonal (where there is one), then x, then y; the shortest way round, then east, south."""
        width, height, topology = self.chip.width, self.chip.height, self.chip.mesh.topology
        best: tuple[tuple[int, int, int], tuple[int, int, int]] | None = None
        turns = (0,) if topology == "mesh" else (-1, 0, 1)
        for round_x in turns:
            for round_y in turns:
                x, y = end[0] - begin[0] + round_x * width, end[1] - begin[1] + round_y * height
                diagonal = 0
                if topology == "triangular" and (x > 0) == (y > 0):
                    diagonal = min(x, y) if x > 0 else max(x, y)
                steps = abs(diagonal) + abs(x - diagonal) + abs(y - diagonal)
                if best is None or (steps, -x, -y) < best[0]:
                    best = (steps, -x, -y), (diagonal, x - diagonal, y - diagonal)
        assert best is not None
        way = [begin]
        for count, (dx, dy) in zip(best[1], ((1, 1), (1, 0), (0, 1)), strict=True):
            sign = 1 if count > 0 else -1
            for _ in range(abs(count)):
                way.append(((way[-1][0] + sign * dx) % width, (way[-1][1] + sign * dy) % height))
        return way

    # ----------------------------------------------------------------------------------------------------- graph

    def graph(self, original: EventGraph) -> Iterator[str]:
        if files.sha256(original) != self.mapping.graph.sha256:
            yield "graph: the mapping was made for another graph (its sha256 differs): map this one"
            return
        try:
            graph = apply_splits(original, self.mapping.splits)
        except GxError as error:
            yield f"graph: {error}"
            return
        shapes = [(name, p.size, p.role) for name, p in graph.populations.items()]
        listed = [(p.name, p.size, p.role) for p in self.mapping.graph.populations]
        joins = {p.name: (p.source, p.target) for p in graph.projections.values()}
        if shapes != listed or joins != {p.name: (p.source, p.target) for p in self.mapping.graph.projections}:
            yield "graph: populations or projections of the mapping are not those of the graph: map it again"
            return
        n = len(self.kinds)
        for p in graph.projections.values():
            yield from self._synapses(graph, p.name, n)

    def _synapses(self, graph: EventGraph, name: str, n: int) -> Iterator[str]:
        """Axons and synapse counts of one projection, from its levels."""
        p = graph.projections[name]
        if isinstance(p.rule, Conv2d) and self.projection[name].kernel != p.rule.weight.size:
            yield f"projection {name!r}: {p.rule.weight.size:,} kernel weights, the mapping says otherwise: correct it"
        source, target, level = p.rule.connections()
        source, target = source[level != 0], target[level != 0]
        core = self.at[p.target][target]
        if graph.populations[p.source].role == "sum":
            away = self.at[p.source][source] != core
            source, core = source[away], core[away]
        keys, counts = np.unique(source * n + core, return_counts=True)
        parts, numbers = [], []
        for entry in self.mapping.cores:
            if name in entry.axons:
                parts.append(expand(entry.axons[name].units) * n + entry.core)
                numbers.append(np.array(entry.axons[name].synapses, np.int64))
        stored = np.concatenate(parts) if parts else np.zeros(0, np.int64)
        number = np.concatenate(numbers) if numbers else np.zeros(0, np.int64)
        order = np.argsort(stored, kind="stable")
        if np.array_equal(stored[order], keys) and np.array_equal(number[order], counts):
            return
        wrong = np.setxor1d(stored, keys)
        at = int(wrong[0]) if wrong.size else int(keys[np.flatnonzero(number[order] != counts)[0]])
        yield (
            f"projection {name!r}: core {at % n} does not list the synapses that unit {at // n} of {p.source!r} has "
            "there: map it again"
        )
