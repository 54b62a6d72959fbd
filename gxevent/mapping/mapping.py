"""Mapping: units to cores to places to routes, in memory and as MAP.json.

Everything an independent reader needs is in the file: the whole chip specification, the hash of the graph and of the
activity, the splits, and for every core its units and its axons with their synapse counts. Units and source units are
given as ranges ``[first, last + 1]`` of flat addresses of their population.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import networkx as nx
import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.mapping.chip import Chip, chip_from
from gxevent.mapping.route import mesh_graph, tree, unicast_links, uses_trees
from gxevent.mapping.split import Split
from gxevent.store import atomic_write, read_bytes

FORMAT, VERSION = "gxevent-mapping", 1
PORT = -1
"""Core number of the input port."""

Ranges = list[tuple[int, int]]


class PopulationInfo(Struct, frozen=True, forbid_unknown_fields=True):
    """``bits``: what a packet of it must carry beside its address (0: presence alone, a ternary sign apart)."""

    name: str
    size: int
    role: str
    partial: bool
    bits: int


class ProjectionInfo(Struct, frozen=True, forbid_unknown_fields=True):
    """``kernel``: number of stored weights of a convolution, 0 for other rules; ``padded``: padded kernel entries."""

    name: str
    source: str
    target: str
    rule: str
    max: bool
    kernel: int
    padded: int


class GraphInfo(Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str
    name: str
    populations: list[PopulationInfo]
    projections: list[ProjectionInfo]


class ActivityInfo(Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    sha256: str
    windows: int
    source: str


class Settings(Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    partitioner: str
    seed: int
    budget: float


class Axons(Struct, forbid_unknown_fields=True):
    """Source units of one projection that a core listens to, and the synapses of each, in the same order."""

    units: Ranges
    synapses: list[int]


class CoreEntry(Struct, forbid_unknown_fields=True):
    """One core in use: its number on the chip, its place (x, y, slot), its units and axons and axons by name."""

    core: int
    place: tuple[int, int, int]
    kind: str
    units: dict[str, Ranges]
    axons: dict[str, Axons]


class Route(Struct, forbid_unknown_fields=True):
    """Units of a population whose events all go to the same other cores."""

    units: Ranges
    cores: list[int]


class Mapping(Struct, forbid_unknown_fields=True):
    """A mapped network; ``traffic`` holds the figures of the mapping, by frame of the activity."""

    format: str
    version: int
    chip: dict[str, Any]
    graph: GraphInfo
    activity: ActivityInfo
    settings: Settings
    splits: list[Split]
    cores: list[CoreEntry]
    routes: dict[str, list[Route]]
    traffic: dict[str, Any]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write MAP.json; it appears whole or not at all."""
        with atomic_write(path) as file:
            file.write(b'{\n"' + b',\n"'.join(self._parts()) + b"\n}\n")

    def _parts(self) -> Iterator[bytes]:
        """One line a field, one line a core: readable, and lines that differ say what differs."""
        for field in self.__struct_fields__:
            value = msgspec.json.encode(getattr(self, field))
            if field == "cores":
                value = b"[\n" + b",\n".join(msgspec.json.encode(core) for core in self.cores) + b"\n]"
            yield field.encode() + b'": ' + value

    def typed_chip(self) -> Chip:
        """The chip it was made for."""
        return chip_from(self.chip, "chip of the mapping")

    def population_starts(self) -> dict[str, int]:
        """First number of each population's units when all units are numbered one after the other."""
        starts, at = {}, 0
        for population in self.graph.populations:
            starts[population.name] = at
            at += population.size
        return starts

    def core_of_units(self) -> NDArray[np.int32]:
        """Chip core number of every unit, int32 (units,); the port for units of no core."""
        starts = self.population_starts()
        core = np.full(sum(p.size for p in self.graph.populations), PORT, np.int32)
        for entry in self.cores:
            for name, ranges in entry.units.items():
                for begin, end in ranges:
                    core[starts[name] + begin : starts[name] + end] = entry.core
        return core

    def core_graph(self) -> nx.DiGraph:
        """Cores as nodes (place, kind, number of units), edges with the number of source units that send."""
        graph = nx.DiGraph(chip=self.chip["name"])
        for entry in self.cores:
            units = sum(end - begin for ranges in entry.units.values() for begin, end in ranges)
            graph.add_node(entry.core, place=entry.place, kind=entry.kind, units=units)
        starts, core = self.population_starts(), self.core_of_units()
        if any(self.routes) and (core == PORT).any():
            graph.add_node(
                PORT, place=(*self.chip.get("port", (0, 0)), 0), kind="port", units=int((core == PORT).sum())
            )
        for name, routes in self.routes.items():
            for route in routes:
                units = expand(route.units) + starts[name]
                for of, n in zip(*np.unique(core[units], return_counts=True), strict=True):
                    for to in route.cores:
                        before = graph.edges[of, to]["units"] if graph.has_edge(of, to) else 0
                        graph.add_edge(int(of), to, units=before + int(n))
        return graph

    def route(self, population: str, unit: int) -> nx.DiGraph:
        """The links of one unit's events as a graph of routers (x, y): a tree, or paths where packets do not fork."""
        chip = self.typed_chip()
        core = int(self.core_of_units()[self.population_starts()[population] + unit])
        begin = chip.port if core == PORT else chip.place(core)[:2]
        made = mesh_graph(chip).subgraph([begin]).copy()
        for route in self.routes.get(population, []):
            if any(a <= unit < b for a, b in route.units):
                ends = [chip.place(to)[:2] for to in route.cores]
                made.add_edges_from(tree(chip, begin, ends) if uses_trees(chip) else unicast_links(chip, begin, ends))
        return made


def to_ranges(units: NDArray[np.integer]) -> Ranges:
    """Rising units as ranges."""
    if not len(units):
        return []
    breaks = np.flatnonzero(np.diff(units) != 1)
    begins = np.concatenate([units[:1], units[breaks + 1]])
    ends = np.concatenate([units[breaks], units[-1:]]) + 1
    return list(zip(begins.tolist(), ends.tolist(), strict=True))


def expand(ranges: Sequence[tuple[int, int]]) -> NDArray[np.int64]:
    """The units of ranges, in their order."""
    if not ranges:
        return np.zeros(0, np.int64)
    return np.concatenate([np.arange(begin, end) for begin, end in ranges])


def load_mapping(path: str | os.PathLike[str]) -> Mapping:
    """Read MAP.json. FormatError naming the file, the field and what is wrong; limits are the checker's matter."""
    path = os.fspath(path)
    from pathlib import Path

    data = read_bytes(Path(path))
    try:
        mapping = msgspec.json.decode(data, type=Mapping)
    except msgspec.ValidationError as error:
        raise FormatError(f"{path}: not a mapping ({error}): map again") from error
    except msgspec.DecodeError as error:
        raise FormatError(f"{path}: not JSON ({error}): map again") from error
    if mapping.format != FORMAT or mapping.version != VERSION:
        raise FormatError(
            f"{path}: {mapping.format} version {mapping.version}, this gxevent reads {FORMAT} version {VERSION}"
        )
    _check_addresses(mapping, path)
    return mapping


def _check_addresses(mapping: Mapping, path: str) -> None:
    """Names and ranges that exist, so that whoever reads the mapping may trust them."""
    sizes = {p.name: p.size for p in mapping.graph.populations}
    sources = {p.name: sizes.get(p.source, -1) for p in mapping.graph.projections}
    cores = [entry.core for entry in mapping.cores]
    if len(set(cores)) < len(cores):
        raise FormatError(f"{path}: a core is listed twice")
    listed = [("routes", name, sizes, r.units) for name, routes in mapping.routes.items() for r in routes]
    for entry in mapping.cores:
        listed += [(f"core {entry.core}", name, sizes, ranges) for name, ranges in entry.units.items()]
        listed += [(f"core {entry.core} axons", name, sources, axons.units) for name, axons in entry.axons.items()]
        for name, axons in entry.axons.items():
            if sum(end - begin for begin, end in axons.units) != len(axons.synapses):
                raise FormatError(
                    f"{path}: core {entry.core} axons of {name!r}: as many synapse counts as units needed"
                )
    for where, name, known, ranges in listed:
        if name not in known:
            raise FormatError(f"{path}: {where}: {name!r} is not in the graph")
        if any(not 0 <= begin < end <= known[name] for begin, end in ranges):
            raise FormatError(f"{path}: {where}: a range of {name!r} lies outside its {known[name]} units")
