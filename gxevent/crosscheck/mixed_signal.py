"""What a mixed-signal chip would do to the network: leaky membranes, late events, comparators that do not wait.

The pipelined cross-check (:mod:`gxevent.crosscheck.brian2_network`) hands on exact sums once a bin. Here the same graph
runs freely in Brian2, in small time steps:

Membrane
    A unit is a leaky integrator, ``dv/dt = -v / time_constant``; an event of level q that arrives over a connection
    of level w adds ``w * q`` to it at once. A layer has a *window* of time for each sample; when the window ends, the
    membrane is discharged.
Delay
    An event takes the mean delay (half a window) plus the jitter of the synapse it crosses: normal, drawn once for
    each synapse, as mismatch between devices is. What arrives after its window has ended is lost for its sample
    and falls into the next one.
Comparator
    Thresholds lie halfway between whole sums. With ``opens=1`` a comparator is strobed once, at the end of the
    window. With ``opens=x`` it opens after the share x of the window and fires as soon as a threshold is crossed, once
    a window: early, whatever is still under way.
Max-pool
    Of sums: their units carry the comparators of the pool's thresholds, the pool takes "any of them above" and "all of
    them below" (a counter, which does not leak). Of events: the same, over the events themselves.
Calibration
    ``calibrated`` scales the thresholds by what leaks from an event of mean delay, as a chip's bias generator would.

Without leak and jitter, and strobed, this is the exact network again (tested). It takes networks whose events are
+1 and -1; graded events would need amplitudes, and average pools of sums an analog bus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from math import exp, inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing
from gxevent.crosscheck.brian2_runtime import brian2_target
from gxevent.crosscheck.mixed_signal_network import FreeRunning, Sent, check_supported
from gxevent.crosscheck.oracles import Samples
from gxevent.errors import OptionError, ShapeError
from gxevent.graph import EventGraph
from gxevent.runtime import Engine


@dataclass(frozen=True)
class Circuit:
    """One setting of the analog circuits; times in milliseconds.

    time_constant
        Of the membranes' leak; ``inf``: no leak.
    jitter
        Standard deviation of the synapses' delays.
    opens
        Share of the window after which comparators are open; 1: strobed at its end.
    calibrated
        Whether thresholds make up for the mean leak.
    window, steps
        Time a layer has for a sample, and the simulation steps in it.
    seed
        Of the delays.
    """

    time_constant: float = inf
    jitter: float = 0.0
    opens: float = 1.0
    calibrated: bool = False
    window: float = 10.0
    steps: int = 20
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.time_constant > 0 or not self.window > 0 or not 0 <= self.jitter < inf:
            raise OptionError(
                f"circuit: time constant and window are above 0, jitter at least 0; got {self.time_constant}, "
                f"{self.window} and {self.jitter} ms"
            )
        if not 0 <= self.opens <= 1 or self.steps < 4:
            raise OptionError(f"circuit: opens lies in 0 .. 1 and steps are 4 or more; got {self.opens}, {self.steps}")

    @property
    def first_open(self) -> int:
        """First step of a window in which comparators are open."""
        return min(int(self.opens * self.steps), self.steps - 1)

    @property
    def attenuation(self) -> float:
        """What is left, at the end of a window, of an event that took the mean delay."""
        return exp(-self.window / 2 / self.time_constant)


@dataclass(frozen=True)
class Losses:
    """Events of one population, all samples together, beside the exact ones."""

    exact: int = 0
    lost: int = 0
    """In the exact network, not in this one."""
    spurious: int = 0
    """In this one, not in the exact network; an event of the wrong sign is both lost and spurious."""
    early: int = 0
    """Sent before the window ended."""


@dataclass(frozen=True)
class Degradation:
    """What one circuit did to the network."""

    circuit: Circuit
    samples: int
    decisions_changed: int
    populations: Mapping[str, Losses]
    correct: int | None = None
    """Right decisions, where labels were given; ``correct_exact`` those of the exact network."""
    correct_exact: int | None = None
    decisions: tuple[str, ...] = field(default=(), repr=False)

    def total(self, what: str) -> int:
        return sum(getattr(losses, what) for losses in self.populations.values())

    def as_dict(self) -> dict[str, Any]:
        totals = {what: self.total(what) for what in ("exact", "lost", "spurious", "early")}
        made = asdict(self) | {"events": totals}
        made["circuit"]["time_constant"] = None if self.circuit.time_constant == inf else self.circuit.time_constant
        return made

    def line(self) -> str:
        """One line for people."""
        c, events = self.circuit, max(self.total("exact"), 1)
        shares = ", ".join(f"{self.total(w) / events:.1%} {w}" for w in ("lost", "spurious", "early"))
        right = "" if self.correct is None else f", {self.correct} right (exact: {self.correct_exact})"
        leak = "no leak" if c.time_constant == inf else f"time constant {c.time_constant:g} ms"
        return (
            f"{leak}, jitter {c.jitter:g} ms, window {c.window:g} ms: {self.decisions_changed} of {self.samples} "
            f"decisions changed{right}; events {shares}"
        )


def study(
    graph: EventGraph,
    samples: Samples,
    circuits: Iterable[Circuit],
    *,
    labels: Mapping[str, str] | None = None,
    target: str = "numpy",
) -> list[Degradation]:
    """Run the samples through every circuit and compare events and decisions with the exact network's.

    Parameters
    ----------
    samples
        Sample ids with their frames int8 (windows, *input_shape).
    circuits
        All with one ``window`` and one ``steps``: the simulation is built once.
    labels
        Class by sample id, for counting right decisions.
    target
        "numpy" or "cython".

    Raises
    ------
    UnsupportedError
        for graphs with graded events, or with sums that are handed on otherwise than to one max-pool.
    OptionError, MissingExtraError, ShapeError
        as :func:`gxevent.crosscheck.brian2.crosscheck_brian2` does.
    """
    circuits = list(circuits)
    if target == "standalone":
        raise OptionError("target: the mixed-signal study changes its circuits between runs: use numpy or cython")
    if len({(c.window, c.steps) for c in circuits}) != 1:
        raise OptionError("circuits: expected at least one, and the same window and steps for all")
    check_supported(graph)
    exact = _Exact.of(graph, samples)
    with brian2_target(target) as b2:
        made = FreeRunning(b2, graph, circuits[0].window, circuits[0].steps)
        return [_compare(exact, circuit, made.run(exact.frames, circuit), labels or {}) for circuit in circuits]


@dataclass(frozen=True, eq=False)
class _Exact:
    """The exact network's answers: frames (n, *input_shape), owner (n,) the sample each frame belongs to."""

    graph: EventGraph
    names: list[str]
    owner: NDArray[np.int64]
    frames: NDArray[np.int8]
    outputs: dict[str, NDArray[np.int8]]
    scores: NDArray[np.float32]

    @classmethod
    def of(cls, graph: EventGraph, samples: Samples) -> _Exact:
        engine = Engine(graph)
        named = [(name, engine.check_frames(frames)) for name, frames in samples]
        if not named:
            raise ShapeError("the mixed-signal study needs at least one sample")
        frames = np.concatenate([frames for _, frames in named])
        traces = [engine.trace(frame) for frame in frames]
        firing_ones = [name for name, p in graph.populations.items() if p.role == "fire"]
        return cls(
            graph,
            [name for name, _ in named],
            np.repeat(np.arange(len(named)), [len(frames) for _, frames in named]),
            frames,
            {name: np.stack([trace.outputs[name].ravel() for trace in traces]) for name in firing_ones},
            np.stack([trace.scores.ravel() for trace in traces]),
        )

    def decide(self, scores: NDArray[np.floating]) -> NDArray[np.int64]:
        """Class index by sample: the scores of its windows add."""
        total = np.zeros((len(self.names), scores.shape[1]))
        np.add.at(total, self.owner, scores)
        return total.argmax(axis=1)


def _compare(exact: _Exact, circuit: Circuit, sent: Sent, labels: Mapping[str, str]) -> Degradation:
    losses = {}
    for name, expected in exact.outputs.items():
        got, differ = sent.levels[name], expected != sent.levels[name]
        losses[name] = Losses(
            exact=int(np.count_nonzero(expected)),
            lost=int(np.count_nonzero(differ & (expected != 0))),
            spurious=int(np.count_nonzero(differ & (got != 0))),
            early=sent.early[name],
        )
    p = exact.graph.readout
    membrane = sent.readout / (circuit.attenuation if circuit.calibrated else 1.0)
    scores = firing.preactivation(membrane, p.unit, p.bias, p.scale, p.offset)
    before, after = exact.decide(exact.scores), exact.decide(scores)
    classes = exact.graph.classes or tuple(str(i) for i in range(p.size))
    wanted = [labels.get(name) for name in exact.names]
    known = any(label is not None for label in wanted)

    def right(decided: NDArray[np.int64]) -> int | None:
        return sum(classes[d] == label for d, label in zip(decided, wanted, strict=True)) if known else None

    return Degradation(
        circuit,
        len(exact.names),
        int(np.count_nonzero(before != after)),
        losses,
        right(after),
        right(before),
        tuple(classes[d] for d in after),
    )
