"""The event graph as a Brian2 network that takes a new sample every time bin.

Nothing here knows the engine: populations and connectivity rules of the graph become Brian2 objects.

Time
    One time bin (the clock's dt) a layer. What a population sends in bin t has arrived when bin t + 1 begins, so a
    population of depth d (its longest way from the input) answers sample k in bin k + d. A projection that skips
    layers carries the events with a delay of the bins it skips: branches meet again in the same bin.

Population
    One ``NeuronGroup`` with the accumulator ``s`` and two custom events: ``up`` where it sends a positive level,
    ``down`` where it sends a negative one. Ternary and binary levels are the events themselves; a graded level, and
    the sum that a population without thresholds hands on, travels with the event as ``q`` (delayed copies ``q1``,
    ``q2`` … keep it until the event arrives).

Projection
    One ``Synapses`` over the rule's own list of connections, of which those of level 0 are left out: no gate opens.

Max-pool
    Over ternary or binary events a window counts what arrives: any ``up`` gives +1, ``down`` from every existing tap
    gives -1, else 0. Over graded events and over sums each kernel position (tap) delivers its value into a variable
    of its own, and the largest is taken over the taps that exist. Both are exact, neither depends on the order of
    arrival.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.connectivity import Pool2d, Rule
from gxevent.graph import EventGraph, Population, Projection

ABSENT = -(2**30)
"""What a tap on padding holds: below every sum a graph can reach."""

FRAMES = "frames"
"""Name of the array of input levels (bin, unit) that a run brings along."""


def depths(graph: EventGraph) -> dict[str, int]:
    """Longest way of every population from the input, in projections."""
    depth: dict[str, int] = {}
    for name in graph.populations:
        depth[name] = max((depth[p.source] + 1 for p in graph.incoming(name)), default=0)
    return depth


def is_graded(population: Population) -> bool:
    """Whether its events carry a value: levels beyond ±1, or sums that it hands on."""
    return population.role == "sum" or (population.sends_events and population.top > 1)


def per_unit(values: NDArray, population: Population) -> NDArray:
    """Values per channel (C, ...) spread over the units, (size, ...)."""
    return np.repeat(values, population.size // population.shape[0], axis=0)


def open_connections(rule: Rule) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Source units, target units and levels of the connections whose level is not 0."""
    source, target, level = rule.connections()
    kept = np.flatnonzero(level)
    return source[kept], target[kept], level[kept].astype(np.int32)


@dataclass
class Description:
    """A NeuronGroup in the making: its equations, starting values and what it does before it fires."""

    equations: list[str] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    gather: list[str] = field(default_factory=list)
    """Code that completes ``s`` and ``q`` once everything has arrived."""
    clear: list[str] = field(default_factory=list)
    """Code that makes room for the next sample."""

    def integer(self, name: str, values: Any = None, note: str = "") -> None:
        self.equations.append(f"{name} : integer{note}")
        if values is not None:
            self.values[name] = values


class PipelinedNetwork:
    """Brian2 objects of a graph. Build it inside ``brian2_target``; ``network.run`` needs ``frames`` as namespace.

    groups, sums, events
        By population: its NeuronGroup, the StateMonitor of its accumulators, its EventMonitors (up, down).
    """

    def __init__(self, b2: ModuleType, graph: EventGraph) -> None:
        self.b2, self.graph, self.depth = b2, graph, depths(graph)
        self.clock = b2.Clock(dt=1 * b2.ms, name="bins")
        self.network = b2.Network()
        self.groups: dict[str, Any] = {}
        self.sums: dict[str, Any] = {}
        self.events: dict[str, tuple[Any, Any]] = {}
        for number, population in enumerate(graph.populations.values()):
            self._add_population(f"population{number}", population)
        for number, projection in enumerate(graph.projections.values()):
            self._add_projection(f"projection{number}", projection)

    @property
    def bins_to_flush(self) -> int:
        """Bins after the last sample until its read-out is there."""
        return self.depth[self.graph.readout.name] + 1

    # ------------------------------------------------------------------------------------------------- populations

    def _add_population(self, key: str, population: Population) -> None:
        made = Description()
        if population.role != "input":
            made.integer("s", 0)
            made.clear.append("s = 0")
            for projection in self.graph.incoming(population.name):
                self._expect_max(made, projection)
        self._add_output(made, population)
        sends = population.role != "readout"
        group = self.b2.NeuronGroup(
            population.size,
            "\n".join(made.equations),
            events={"up": "q > 0", "down": "q < 0"} if sends else {},
            clock=self.clock,
            name=key,
        )
        for name, values in made.values.items():
            setattr(group, name, values)
        self.groups[population.name] = group
        self._schedule(group, made, population)
        self.network.add(group)
        if sends:
            self._shift(group, population)
        self._watch(key, group, population)

    def _schedule(self, group: Any, made: Description, population: Population) -> None:
        """Within a bin: shift delayed copies, take a frame | gather | fire | record | clear | deliver."""
        for event in group.events:
            group.set_event_schedule(event, when="thresholds")
        if population.role == "input":
            group.run_regularly(f"q = int({FRAMES}(t, i))", when="start", order=0)
        if made.gather:
            group.run_regularly("\n".join(made.gather), when="before_thresholds")
        if made.clear:
            group.run_regularly("\n".join(made.clear), when="after_thresholds", order=2)

    def _add_output(self, made: Description, population: Population) -> None:
        """The level ``q`` that a population sends: taken from its thresholds, or handed on."""
        match population.role:
            case "input":
                made.integer("q", 0)
            case "sum":
                made.integer("q", 0)
                made.gather.append("q = s")
            case "fire":
                made.integer("p", per_unit(population.polarity, population), " (constant)")
                steps = population.hi.shape[1]
                for k in range(steps):
                    made.integer(f"hi{k}", per_unit(population.hi[:, k], population), " (constant)")
                    made.integer(f"lo{k}", per_unit(population.lo[:, k], population), " (constant)")
                if is_graded(population):
                    made.integer("q", 0)
                    made.gather.append("q = 0")
                    made.gather += [f"q = q + p*(int(s >= hi{k}) - int(s <= lo{k}))" for k in range(steps)]
                else:
                    made.equations.append("q = p*(int(s >= hi0) - int(s <= lo0)) : integer")
        if is_graded(population):
            for bins in range(1, self._longest_delay(population) + 1):
                made.integer(f"q{bins}", 0)

    def _shift(self, group: Any, population: Population) -> None:
        """Before a new sample: what was sent so many bins ago moves one further."""
        if is_graded(population) and (longest := self._longest_delay(population)):
            names = ["q", *(f"q{bins}" for bins in range(1, longest + 1))]
            moves = [f"{names[i]} = {names[i - 1]}" for i in range(longest, 0, -1)]
            group.run_regularly("\n".join(moves), when="start", order=-1)

    def _watch(self, key: str, group: Any, population: Population) -> None:
        if population.role != "input":
            self.sums[population.name] = self.b2.StateMonitor(
                group, "s", record=True, when="after_thresholds", order=1, clock=self.clock, name=f"{key}_sums"
            )
            self.network.add(self.sums[population.name])
        if population.sends_events:
            carried = ["q"] if is_graded(population) else []
            monitors = tuple(
                self.b2.EventMonitor(group, event, variables=carried, name=f"{key}_{event}") for event in ("up", "down")
            )
            self.events[population.name] = monitors
            self.network.add(*monitors)

    # ------------------------------------------------------------------------------------------------- projections

    def _delay(self, projection: Projection) -> int:
        """Bins beyond the one that every projection takes."""
        return self.depth[projection.target] - self.depth[projection.source] - 1

    def _longest_delay(self, population: Population) -> int:
        return max((self._delay(p) for p in self.graph.outgoing(population.name)), default=0)

    def _add_projection(self, key: str, projection: Projection) -> None:
        if not takes_maximum(projection):
            source, target, level = open_connections(projection.rule)
            self._connect(key, projection, source, target, {"up": "s", "down": "s"}, level * projection.gain)
        elif is_graded(self.graph.populations[projection.source]):
            for number, (source, target) in enumerate(_taps(projection.rule)):
                into = _variable(self.graph, projection, f"tap{number}")
                self._connect(f"{key}_tap{number}", projection, source, target, {"up": into, "down": into})
        else:
            source, target, _ = projection.rule.connections()
            into = {event: _variable(self.graph, projection, event) for event in ("up", "down")}
            self._connect(key, projection, source, target, into, counts=True)

    def _connect(
        self,
        key: str,
        projection: Projection,
        source: NDArray[np.int64],
        target: NDArray[np.int64],
        into: dict[str, str],
        level: NDArray[np.int32] | None = None,
        counts: bool = False,
    ) -> None:
        """Synapses that add what arrives to a variable of the target: its value times ``level``, or that it came."""
        if not source.size:
            return
        delay = self._delay(projection)
        if counts:
            sent = {"up": "1", "down": "1"}
        elif is_graded(self.graph.populations[projection.source]):
            value = f"q{delay}_pre" if delay else "q_pre"
            sent = dict.fromkeys(into, value if level is None else f"{value}*w")
        else:
            sent = {"up": "w", "down": "-w"}
        made = self.b2.Synapses(
            self.groups[projection.source],
            self.groups[projection.target],
            model="" if level is None else "w : integer (constant)",
            on_pre={event: f"{into[event]}_post += {sent[event]}" for event in into},
            on_event={event: event for event in into},
            delay=dict.fromkeys(into, delay * self.clock.dt),
            clock=self.clock,
            name=key,
        )
        made.connect(i=source, j=target)
        if level is not None:
            made.w = level
        self.network.add(made)

    def _expect_max(self, made: Description, projection: Projection) -> None:
        """Variables in which a max-pool gathers what arrives, and their maximum's way into the accumulator."""
        if not takes_maximum(projection):
            return
        rule = projection.rule
        if not is_graded(self.graph.populations[projection.source]):
            up, down, taps = (_variable(self.graph, projection, what) for what in ("up", "down", "taps"))
            made.integer(up, 0)
            made.integer(down, 0)
            existing = np.bincount(rule.connections()[1], minlength=rule.target_size)
            made.integer(taps, existing, " (constant)")
            made.gather.append(f"s = s + {projection.gain}*(int({up} > 0) - int({down} == {taps}))")
            made.clear += [f"{up} = 0", f"{down} = 0"]
            return
        largest = _variable(self.graph, projection, "largest")
        for number, (_, target) in enumerate(_taps(rule)):
            tap = _variable(self.graph, projection, f"tap{number}")
            empty = np.full(rule.target_size, ABSENT)
            empty[target] = 0
            made.integer(tap, empty)
            made.integer(f"{tap}_empty", empty, " (constant)")
            higher = f"{largest} + ({tap} - {largest})*int({tap} > {largest})"
            made.gather.append(f"{largest} = {higher if number else tap}")
            made.clear.append(f"{tap} = {tap}_empty")
        made.gather.append(f"s = s + {projection.gain}*{largest}")


def takes_maximum(projection: Projection) -> bool:
    return isinstance(projection.rule, Pool2d) and projection.rule.mode == "max"


def _variable(graph: EventGraph, projection: Projection, what: str) -> str:
    """Name of a variable of the target in which one projection gathers something."""
    return f"{what}_of{list(graph.projections).index(projection.name)}"


def _taps(rule: Pool2d) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Source and target units of each kernel position: every target unit at most once."""
    source = np.arange(rule.source_size).reshape(rule.source_shape)
    target = np.arange(rule.target_size).reshape(rule.target_shape)
    return [
        (source[:, tap.in_rows, tap.in_columns].ravel(), target[:, tap.out_rows, tap.out_columns].ravel())
        for tap in rule.taps()
    ]
