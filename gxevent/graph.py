"""EventGraph: the compiled network. Populations are nodes, projections are edges of a ``networkx.MultiDiGraph``.

Two zoom levels: the population graph is always there (``EventGraph.graph``); single units and synapses are listed on
demand (``fan_out``, ``fan_in``, ``unit_graph``), because millions of edges do not belong into a Python graph.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.connectivity import Identity, Pool2d, Rule, Shape
from gxevent.encoder import Encoder
from gxevent.errors import CapacityError, OptionError, ShapeError

ALWAYS, NEVER = np.int32(-(2**31)), np.int32(2**31 - 1)
"""Thresholds ``hi`` that every accumulator reaches, and that none does (for ``lo`` the other way round)."""

ROLES = ("input", "sum", "fire", "readout")


@dataclass(frozen=True, eq=False)
class Population:
    """A layer of units of one shape, (C, H, W) or (n,); parameters are per channel (or per unit of a vector).

    role
        "input": receives frames; "sum": hands its integer sums on to a pool; "fire": compares its sums with
        thresholds and sends events; "readout": its sums become scores.
    levels
        N of the space Z_N of its outputs (input and fire).
    unit
        Real value of the integer 1: of a level (input, fire) or of a sum (sum, readout).
    layer
        The network layer whose output it gives, empty in a graph built by hand.
    hi, lo : int32 (C, K), polarity : int8 (C,)
        A unit of channel c fires ``polarity[c] * k`` for the largest k with ``s >= hi[c, k-1]``, and
        ``-polarity[c] * k`` for the largest k with ``s <= lo[c, k-1]``; it is silent in between. K = 2**(N-1) steps,
        1 for binary and ternary outputs.
    bias, scale, offset : float32 (C,) or None
        Read-out only: the score is ``firing.preactivation(s, unit, bias, scale, offset)``.
    """

    name: str
    shape: Shape
    role: str
    levels: int = 1
    unit: float = 1.0
    layer: str = ""
    hi: NDArray[np.int32] | None = None
    lo: NDArray[np.int32] | None = None
    polarity: NDArray[np.int8] | None = None
    bias: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    offset: NDArray[np.float32] | None = None

    @property
    def size(self) -> int:
        """Number of units."""
        return math.prod(self.shape)

    @property
    def sends_events(self) -> bool:
        """Whether its units send address events; sums and the read-out do not."""
        return self.role in ("input", "fire")

    @property
    def top(self) -> int:
        """Largest |level| it can send."""
        return grid.max_level(self.levels)


@dataclass(frozen=True, eq=False)
class Projection:
    """Connections from one population to another: a rule, whose sums are multiplied by the whole number ``gain``."""

    name: str
    source: str
    target: str
    rule: Rule
    gain: int = 1


class Route(NamedTuple):
    """One entry of a routing table: where the events of a unit go along one projection."""

    projection: str
    target: str
    units: NDArray[np.int64]
    levels: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class EventGraph:
    """A compiled network: populations in topological order and the projections between them.

    activity
        By population that sends events, as far as it is known: the share of its units expected to be active, 0 to 1.
        It guides the choice of kernels and never changes a result.

    Raises ShapeError when populations and projections do not fit together.
    """

    populations: Mapping[str, Population]
    projections: Mapping[str, Projection]
    encoder: Encoder | None = None
    classes: tuple[str, ...] = ()
    name: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    activity: Mapping[str, float] = field(default_factory=dict)
    graph: nx.MultiDiGraph = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", self._build())
        self._check()
        order = list(nx.lexicographical_topological_sort(self.graph, key=list(self.populations).index))
        object.__setattr__(self, "populations", {name: self.populations[name] for name in order})

    @classmethod
    def of(cls, populations: Iterable[Population], projections: Iterable[Projection], **more: Any) -> EventGraph:
        """Build from sequences; names must differ."""
        populations, projections = list(populations), list(projections)
        named = {p.name: p for p in populations}, {p.name: p for p in projections}
        if len(named[0]) < len(populations) or len(named[1]) < len(projections):
            raise ShapeError("populations, and projections, need names of their own")
        return cls(*named, **more)

    def _build(self) -> nx.MultiDiGraph:
        graph = nx.MultiDiGraph(name=self.name)
        for population in self.populations.values():
            graph.add_node(population.name, population=population)
        for p in self.projections.values():
            for end in (p.source, p.target):
                if end not in self.populations:
                    raise ShapeError(f"projection {p.name!r}: there is no population {end!r}")
            graph.add_edge(p.source, p.target, key=p.name, projection=p)
        return graph

    def _check(self) -> None:
        if not nx.is_directed_acyclic_graph(self.graph):
            raise ShapeError("the populations form a cycle; an event graph runs from input to read-out")
        roles = [p.role for p in self.populations.values()]
        if roles.count("input") != 1 or roles.count("readout") != 1:
            raise ShapeError("an event graph has one input and one readout population")
        for p in self.projections.values():
            source, target = self.populations[p.source], self.populations[p.target]
            if (p.rule.source_size, p.rule.target_size) != (source.size, target.size):
                raise ShapeError(
                    f"projection {p.name!r} joins {p.rule.source_size} to {p.rule.target_size} units, but "
                    f"{p.source!r} has {source.size} and {p.target!r} has {target.size}"
                )
            if target.role == "input" or source.role == "readout":
                raise ShapeError(f"projection {p.name!r}: nothing projects to the input or from the read-out")
            if source.role == "sum" and not isinstance(p.rule, Pool2d | Identity):
                raise ShapeError(f"projection {p.name!r}: {p.source!r} does not fire, only a pool or identity reads it")
        for population in self.populations.values():
            if population.role != "input" and not self.incoming(population.name):
                raise ShapeError(f"population {population.name!r}: nothing projects to it")
            _check_parameters(population)
        for name, share in self.activity.items():
            if name not in self.populations or not self.populations[name].sends_events:
                raise ShapeError(f"activity: there is no population {name!r} that sends events")
            if not (isinstance(share, int | float) and 0 <= share <= 1):
                raise ShapeError(f"activity of population {name!r}: expected a share from 0 to 1, got {share!r}")

    @property
    def input(self) -> Population:
        """The population that frames and sensor events enter."""
        return next(p for p in self.populations.values() if p.role == "input")

    @property
    def readout(self) -> Population:
        """The population whose accumulators give the scores."""
        return next(p for p in self.populations.values() if p.role == "readout")

    def incoming(self, population: str) -> list[Projection]:
        """Projections into a population, in the order they were given."""
        return [p for p in self.projections.values() if p.target == population]

    def outgoing(self, population: str) -> list[Projection]:
        """Projections out of a population, in the order they were given."""
        return [p for p in self.projections.values() if p.source == population]

    @property
    def gated(self) -> list[Projection]:
        """Projections that carry levels: those whose gates are counted."""
        return [p for p in self.projections.values() if p.rule.weighted]

    @property
    def synapses(self) -> dict[str, int]:
        """Existing connections of each projection that carries levels."""
        return {p.name: p.rule.synapses for p in self.gated}

    @property
    def units(self) -> int:
        """Number of units of all populations."""
        return sum(p.size for p in self.populations.values())

    def bound(self, population: str) -> int:
        """Largest |accumulator| the population can reach, from the levels alone."""
        total = 0
        for p in self.incoming(population):
            source = self.populations[p.source]
            top = source.top if source.sends_events else self.bound(p.source)
            total += abs(p.gain) * p.rule.bound(top)
        return total

    def flat_unit(self, population: str, unit: int | tuple[int, ...]) -> int:
        """Flat address of a unit given as flat address or as coordinates; OptionError when it does not exist."""
        try:
            shape = self.populations[population].shape
        except KeyError:
            raise OptionError(f"no population {population!r}; there are {', '.join(self.populations)}") from None
        coordinates = (unit,) if isinstance(unit, int | np.integer) else tuple(unit)
        sizes = (math.prod(shape),) if len(coordinates) == 1 else shape
        if len(coordinates) != len(sizes) or not all(0 <= c < n for c, n in zip(coordinates, sizes, strict=True)):
            raise OptionError(f"population {population!r} of shape {shape} has no unit {unit}")
        return int(np.ravel_multi_index(coordinates, sizes))

    def fan_out(self, address: tuple[str, int | tuple[int, ...]]) -> list[Route]:
        """Routing table of one address ``(population, unit)``: the units each projection takes its events to.

        A unit is a flat index or coordinates. Connections of level 0 are left out: no gate opens there.
        """
        population, unit = address
        at = self.flat_unit(population, unit)
        return [Route(p.name, p.target, *p.rule.fan_out(at)) for p in self.outgoing(population)]

    def fan_in(self, address: tuple[str, int | tuple[int, ...]]) -> list[Route]:
        """The units one address ``(population, unit)`` listens to; in each Route ``target`` names the source."""
        population, unit = address
        at = self.flat_unit(population, unit)
        return [Route(p.name, p.source, *p.rule.fan_in(at)) for p in self.incoming(population)]

    def unit_graph(self, limit: int | None = 1_000_000) -> nx.MultiDiGraph:
        """Every unit as node ``(population, unit)``, every nonzero connection as edge (key: projection) with ``level``.

        Raises CapacityError when there are more than ``limit`` connections (an edge takes about 300 bytes);
        ``limit=None`` builds it whatever it takes.
        """
        existing = sum(p.rule.synapses for p in self.projections.values())
        if limit is not None and existing > limit:
            raise CapacityError(
                f"unit graph of {existing:,} connections would take about {existing * 300 / 2**30:.1f} GiB: "
                "use fan_out(address), or pass limit=None"
            )
        units = nx.MultiDiGraph(name=self.name)
        for name, population in self.populations.items():
            units.add_nodes_from(((name, u) for u in range(population.size)), population=name)
        for p in self.projections.values():
            source, target, level = (a.tolist() for a in p.rule.connections())
            units.add_edges_from(
                ((p.source, u), (p.target, v), p.name, {"level": w})
                for u, v, w in zip(source, target, level, strict=True)
                if w
            )
        return units


def _check_parameters(p: Population) -> None:
    channels = p.shape[0]
    if p.role not in ROLES:
        raise ShapeError(f"population {p.name!r}: role {p.role!r} is not one of {', '.join(ROLES)}")
    if p.role == "fire":
        steps = (channels, grid.max_level(p.levels))
        if p.hi is None or p.lo is None or p.hi.shape != steps or p.lo.shape != steps:
            raise ShapeError(f"population {p.name!r}: thresholds hi and lo need shape {steps}")
        if p.polarity is None or p.polarity.shape != (channels,) or not (np.abs(p.polarity) == 1).all():
            raise ShapeError(f"population {p.name!r}: polarity needs +1 or -1 for each of {channels} channels")
    for field_name in ("bias", "scale", "offset"):
        values = getattr(p, field_name)
        if values is not None and values.shape != (channels,):
            raise ShapeError(f"population {p.name!r}: {field_name} needs shape ({channels},)")
