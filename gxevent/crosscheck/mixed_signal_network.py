"""The event graph as a freely running Brian2 network of leaky integrators; the model is told in ``mixed_signal``."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gxevent.crosscheck.brian2_network import FRAMES, depths, open_connections, per_unit, takes_maximum
from gxevent.errors import UnsupportedError
from gxevent.graph import EventGraph, Population, Projection

if TYPE_CHECKING:
    from gxevent.crosscheck.mixed_signal import Circuit

MEMBRANE = """
dv/dt = -v*leak : 1
leak : Hz (shared, constant)
first_open : integer (shared, constant)
fired : integer
p : integer (constant)
hi : 1 (constant)
lo : 1 (constant)
q = p*(int({drive} >= hi) - int({drive} <= lo)) : integer
phase = timestep(t, dt) % {steps} : integer (shared)
"""
INPUT = """
q : integer
phase = timestep(t, dt) % {steps} : integer (shared)
"""


@dataclass(frozen=True, eq=False)
class Sent:
    """What n frames made the free-running network do.

    levels: by firing population, int8 (n, units); early: events sent before their window ended; readout: membrane
    float64 (n, classes) at the end of the window.
    """

    levels: dict[str, NDArray[np.int8]]
    early: dict[str, int]
    readout: NDArray[np.float64]


def check_supported(graph: EventGraph) -> None:
    """UnsupportedError naming the population that the model has no circuit for."""
    for name, p in graph.populations.items():
        if p.sends_events and p.top > 1:
            raise UnsupportedError(
                f"mixed-signal study: population {name!r} sends graded events (Z_{p.levels}); the model knows +1 and -1"
            )
        if p.role == "sum" and _pool_behind(graph, p) is None:
            raise UnsupportedError(
                f"mixed-signal study: population {name!r} hands on its sums otherwise than to one max-pool in front of "
                "a threshold: there is no comparator to put there"
            )


def _pool_behind(graph: EventGraph, population: Population) -> Population | None:
    """The firing population whose thresholds can move to the units that sum, below its max-pool."""
    outgoing = graph.outgoing(population.name)
    if len(outgoing) != 1 or not takes_maximum(outgoing[0]) or outgoing[0].gain != 1:
        return None
    behind = graph.populations[outgoing[0].target]
    alone = len(graph.incoming(behind.name)) == 1 and behind.role == "fire"
    return behind if alone and behind.shape == outgoing[0].rule.target_shape else None


class FreeRunning:
    """Brian2 objects of a graph, built once and run with one circuit after the other.

    window
        Milliseconds a layer has for a sample.
    steps
        Simulation steps in a window.
    """

    def __init__(self, b2: ModuleType, graph: EventGraph, window: float, steps: int) -> None:
        self.b2, self.graph, self.steps = b2, graph, steps
        self.window = window * b2.ms
        self.depth = depths(graph)
        self.clock = b2.Clock(dt=self.window / steps, name="steps")
        self.network = b2.Network()
        self.groups: dict[str, Any] = {}
        self.synapses: dict[str, Any] = {}
        self.events: dict[str, tuple[Any, Any]] = {}
        for number, population in enumerate(graph.populations.values()):
            self._add_population(f"population{number}", population)
        for number, projection in enumerate(graph.projections.values()):
            self._add_projection(number, projection)
        self.membrane = b2.StateMonitor(
            self.groups[graph.readout.name], "v", record=True, when="thresholds", clock=self.clock, name="membrane"
        )
        self.network.add(self.membrane)
        self.network.store()

    # ---------------------------------------------------------------------------------------------------- building

    def _add_population(self, key: str, population: Population) -> None:
        begin = ["v = 0", "fired = 0"]
        drive, counters = "v", []
        ready = "phase >= first_open and fired == 0"
        if population.role == "input":
            model, ready = INPUT.format(steps=self.steps), f"phase == {self.steps - 1}"
            begin = [f"q = int({FRAMES}(t, i))"]
        else:
            for number, projection in enumerate(self.graph.projections.values()):
                if projection.target == population.name and takes_maximum(projection):
                    up, down, taps = (f"{what}_of{number}" for what in ("up", "down", "taps"))
                    drive += f" + {projection.gain}*(int({up} > 0) - int({down} == {taps}))"
                    counters += [f"{up} : integer", f"{down} : integer", f"{taps} : integer (constant)"]
                    begin += [f"{up} = 0", f"{down} = 0"]
            model = "\n".join([MEMBRANE.format(drive=f"({drive})", steps=self.steps), *counters])
        sends = population.role != "readout"
        group = self.b2.NeuronGroup(
            population.size,
            model,
            events={"up": f"{ready} and q > 0", "down": f"{ready} and q < 0"} if sends else {},
            method="exact",
            clock=self.clock,
            name=key,
        )
        group.run_regularly("\n".join(begin), dt=self.window, when="start")
        for event in group.events:
            group.set_event_schedule(event, when="thresholds")
            if population.role != "input":
                group.run_on_event(event, "fired = 1", when="after_thresholds")
        self.groups[population.name] = group
        self.network.add(group)
        if population.role == "fire":
            monitors = tuple(self.b2.EventMonitor(group, event, name=f"{key}_{event}") for event in ("up", "down"))
            self.events[population.name] = monitors
            self.network.add(*monitors)

    def _add_projection(self, number: int, projection: Projection) -> None:
        target = self.groups[projection.target]
        if takes_maximum(projection):
            to, of, _ = projection.rule.connections()[1], projection.rule.connections()[0], None
            setattr(target, f"taps_of{number}", np.bincount(to, minlength=projection.rule.target_size))
            model, code = "", {event: f"{event}_of{number}_post += 1" for event in ("up", "down")}
        else:
            of, to, level = open_connections(projection.rule)
            model, code = "w : integer (constant)", {"up": "v_post += w", "down": "v_post -= w"}
        if not of.size:
            return
        made = self.b2.Synapses(
            self.groups[projection.source],
            target,
            model=model,
            on_pre=code,
            on_event={"up": "up", "down": "down"},
            clock=self.clock,
            name=f"projection{number}",
        )
        made.connect(i=of, j=to)
        if model:
            made.w = level * projection.gain
        self.synapses[projection.name] = made
        self.network.add(made)

    # ----------------------------------------------------------------------------------------------------- running

    def run(self, frames: NDArray[np.int8], circuit: Circuit) -> Sent:
        """Run frames int8 (n, *input_shape), one a window, through the circuit."""
        self.network.restore()
        for name, population in self.graph.populations.items():
            if population.role != "input":
                self._set_membranes(self.groups[name], population, circuit)
        rng = np.random.default_rng(circuit.seed)
        for name, made in self.synapses.items():
            self._set_delays(made, self.graph.projections[name], circuit, rng)
        windows = len(frames) + self.depth[self.graph.readout.name] + 1
        values = frames.reshape(len(frames), -1).astype(np.float64)
        timed = self.b2.TimedArray(values, dt=self.window, name=FRAMES)
        self.network.run(windows * self.window, namespace={FRAMES: timed})
        return self._sent(len(frames))

    def _set_membranes(self, group: Any, population: Population, circuit: Circuit) -> None:
        group.leak = 1 / (circuit.time_constant * self.b2.ms)
        group.first_open = circuit.first_open
        group.p, group.hi, group.lo = self._comparators(population, circuit)

    def _comparators(self, population: Population, circuit: Circuit) -> tuple[Any, Any, Any]:
        """Polarity and thresholds of a population's units, halfway between whole sums."""
        if population.role == "readout":
            return 1, np.inf, -np.inf
        incoming = self.graph.incoming(population.name)
        if population.role == "sum":
            behind = _pool_behind(self.graph, population)
            polarity, hi, lo = 1, behind.hi[:, 0], behind.lo[:, 0]
        elif self.graph.populations[incoming[0].source].role == "sum":  # the comparators are below its pool
            polarity = per_unit(population.polarity, population)
            hi, lo = np.ones(population.shape[0]), -np.ones(population.shape[0])
        else:
            polarity, hi, lo = per_unit(population.polarity, population), population.hi[:, 0], population.lo[:, 0]
        leaks = not all(takes_maximum(p) for p in incoming)
        scale = circuit.attenuation if circuit.calibrated and leaks else 1.0
        return polarity, per_unit((hi - 0.5) * scale, population), per_unit((lo + 0.5) * scale, population)

    def _set_delays(self, made: Any, projection: Projection, circuit: Circuit, rng: np.random.Generator) -> None:
        """Delays of one projection's synapses; an event takes at least one step."""
        whole = self.depth[projection.target] - self.depth[projection.source] - 1  # windows that a skip waits
        drawn = rng.normal(circuit.window / 2, circuit.jitter, len(made))
        step = circuit.window / self.steps
        delays = (whole * circuit.window + np.maximum(drawn, step)) * self.b2.ms
        made.up.delay = delays
        made.down.delay = delays

    def _sent(self, n: int) -> Sent:
        levels: dict[str, NDArray[np.int8]] = {}
        early: dict[str, int] = {}
        for name, monitors in self.events.items():
            levels[name] = np.zeros((n, self.graph.populations[name].size), np.int8)
            early[name] = 0
            for sign, monitor in zip((1, -1), monitors, strict=True):
                step = np.rint(np.asarray(monitor.t_) / self.clock.dt_).astype(np.int64)
                sample = step // self.steps - self.depth[name]
                kept = (sample >= 0) & (sample < n)
                levels[name][sample[kept], np.asarray(monitor.i)[kept]] = sign
                early[name] += int(np.count_nonzero(step[kept] % self.steps < self.steps - 1))
        last = (self.depth[self.graph.readout.name] + np.arange(n) + 1) * self.steps - 1
        return Sent(levels, early, np.asarray(self.membrane.v)[:, last].T)
