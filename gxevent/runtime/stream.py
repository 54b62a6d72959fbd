"""Streams: exact incremental inference on a sliding window of sensor events.

Events enter and leave the window, only what changes travels through the network (``cython_core/stream.h``). After
every update the state equals a from-scratch evaluation of the current window. Where re-evaluating is quicker than
increments (large steps, high activity), the session does that instead; the choice never changes a result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.core import _gates, _plan, _stream
from gxevent.encoder import Encoder, Window, parse_window
from gxevent.errors import FormatError, OptionError, ShapeError
from gxevent.events import EVENT_DTYPE, EventStream, window_bounds
from gxevent.graph import EventGraph, Projection
from gxevent.runtime.engine import Engine, Result
from gxevent.runtime.layout import Layout, geometry, sparse_arrays
from gxevent.runtime.plan import build_plan, thresholds
from gxevent.runtime.units import conv_rows

INT16_ROOM = 2**15 - 2
"""Sums up to this keep one value free at each end of int16, for thresholds that are never or always reached."""


@dataclass(frozen=True, eq=False)
class Updates:
    """What a push brought: one row a decision.

    t_us : int64 (n,) event time of the decision
    accumulators : int32 (n, classes); scores : float32 (n, classes)
    latency_ns : int64 (n,) host time from taking in the first event of the step to the scores
    """

    t_us: NDArray[np.int64]
    accumulators: NDArray[np.int32]
    scores: NDArray[np.float32]
    latency_ns: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.t_us)

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Index of the highest score (n,); the lowest index where scores tie."""
        return self.scores.argmax(axis=1)


class Decision(NamedTuple):
    """One decision of ``decide_at``: accumulators int32 (classes,), host time, events by population that sends and
    open gates by projection, in the plan's order."""

    accumulators: NDArray[np.int32]
    latency_ns: int
    events: list[int]
    open_gates: list[int]


@dataclass(frozen=True)
class StreamStatistics:
    """What a session has done so far.

    ``updates``: accumulator updates by projection; ``flips``: level changes by population (of the input too);
    ``active``: nonzero levels now; ``increments`` and ``reevaluations``: steps made either way.
    """

    events: int
    input_changes: int
    increments: int
    reevaluations: int
    updates: dict[str, int]
    flips: dict[str, int]
    active: dict[str, int]


class StreamSession:
    """One stream through one network. Made by :meth:`Engine.stream`.

    Parameters
    ----------
    engine
        Its graph, encoder and kernel path are used; the session keeps a workspace of its own.
    window
        ``"100ms"``: events of the last 100 ms, ``(now - 100 ms, now]``; ``"600ev"``: the last 600 events; ``"all"``:
        everything since the beginning. By default the encoder's window.
    stride
        A decision every so many events ("1ev" by default) or every so much event time ("10ms").
    reevaluate
        Whether steps may be evaluated from scratch where that is quicker.

    Raises OptionError for a network whose encoder takes no streams, or a window that makes no sense.
    """

    def __init__(
        self, engine: Engine, window: str | None = None, stride: str | None = None, reevaluate: bool = True
    ) -> None:
        self.engine, self.graph = engine, engine.graph
        encoder = self.graph.encoder
        if encoder is None or encoder.takes_images:
            raise OptionError("stream mode needs a network whose encoder takes event streams ('signed' or 'onoff')")
        self.encoder = encoder
        self.window = parse_window(encoder.window if window is None else window)
        self.stride = parse_window("1ev" if stride is None else stride)
        if self.stride.unit == "all":
            raise OptionError("stride: expected a count such as '1ev' or a time such as '10ms', got 'all'")
        self._core, self._layouts = _build(self.graph, encoder, self.window, engine.kernel)
        self._core.begin(reevaluate)
        self._pending = 0  # events since the last decision of a stride in events
        self._next_us: int | None = None  # end of the step under way, of a stride in time
        self._last_us: int | None = None
        self._events = 0

    # ------------------------------------------------------------------------------------------------ taking in

    def push(self, events: NDArray[np.void] | EventStream) -> Updates:
        """Take in events (EVENT_DTYPE, rows counted downwards, in order of time); returns the decisions then due.

        Raises
        ------
        FormatError
            when time falls, within the events or against those before.
        ShapeError
            when an event lies outside the network's input.
        """
        events = events.oriented().events if isinstance(events, EventStream) else np.asarray(events)
        self._check(events)
        ends, times = self._steps(events["t"].astype(np.int64))
        accumulators = np.zeros((len(ends), self.graph.readout.size), np.int32)
        latency = np.zeros(len(ends), np.int64)
        raw = np.ascontiguousarray(events).view(np.uint8)
        self._core.push(raw, ends, times, accumulators, latency)
        self._events += len(events)
        if len(events):
            self._last_us = int(events["t"][-1])
        return Updates(times, accumulators, self.engine.scores(accumulators), latency)

    def _check(self, events: NDArray[np.void]) -> None:
        if events.dtype != EVENT_DTYPE or events.ndim != 1:
            raise ShapeError(f"events: expected a one-dimensional array of EVENT_DTYPE, got {events.dtype}")
        if not len(events):
            return
        _, height, width = self.graph.input.shape
        k = self.encoder.downsample
        outside = (events["x"] >= width * k) | (events["y"] >= height * k)
        if outside.any():
            at = int(np.argmax(outside))
            raise ShapeError(
                f"event {self._events + at}: x={events['x'][at]} y={events['y'][at]} lies outside the network's input "
                f"of {width * k}x{height * k} sensor pixels"
            )
        t = events["t"]
        back = np.flatnonzero(np.diff(t, prepend=t[0] if self._last_us is None else self._last_us) < 0)
        if len(back):
            at = int(back[0])
            before = t[at - 1] if at else self._last_us
            raise FormatError(
                f"event {self._events + at}: time falls from {before} to {t[at]} us; sort the events first"
            )

    def _steps(self, t: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ends (numbers of events) and times of the steps that become due within these events."""
        n, step = len(t), self.stride.length
        if self.stride.unit == "ev":
            ends = np.arange(step - self._pending, n + 1, step, dtype=np.int64)
            self._pending = (self._pending + n) % step
            return ends, t[ends - 1]
        if not n:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        # A step of time ends when an event beyond it arrives; its decision sees the window up to the step's end.
        first = int(t[0]) + step if self._next_us is None else self._next_us
        due = max(0, (int(t[-1]) - first) // step + 1)
        bounds = first + step * np.arange(due, dtype=np.int64)
        self._next_us = first + due * step
        return np.searchsorted(t, bounds, side="left").astype(np.int64), bounds - 1

    def decide_at(
        self, events: NDArray[np.void], ends: NDArray[np.int64], times: NDArray[np.int64]
    ) -> Iterator[Decision]:
        """Decisions at chosen places of a whole recording, with the exact counts of each window.

        Decision k comes before event number ``ends[k]``, with the window ending at ``times[k]`` us; both rise. Costs
        a look at every unit a decision, so it is meant for decisions that are few.
        """
        self._check(events)
        raw = np.ascontiguousarray(events).view(np.uint8).reshape(len(events), EVENT_DTYPE.itemsize)
        begin = 0
        for end, time in zip(ends.tolist(), times.tolist(), strict=True):
            accumulators, latency = np.zeros((1, self.graph.readout.size), np.int32), np.zeros(1, np.int64)
            part = raw[begin:end].reshape(-1)
            self._core.push(part, np.array([end - begin]), np.array([time]), accumulators, latency)
            yield Decision(accumulators[0], int(latency[0]), *self._core.count())
            begin = end
        self._events += begin

    # -------------------------------------------------------------------------------------------------- looking

    def settle(self, t_us: int | None = None) -> NDArray[np.int32]:
        """Bring the network up to date with all events taken in, with the window ending at ``t_us``.

        By default that is the time of the last event. Returns the accumulators int32 (classes,). OptionError for a
        time before it.
        """
        accumulators = np.zeros(self.graph.readout.size, np.int32)
        last = self._last_us or 0
        if t_us is not None and t_us < last:
            raise OptionError(f"t_us: {t_us} lies before the last event at {last} us")
        self._core.settle(last if t_us is None else int(t_us), accumulators)
        return accumulators

    @property
    def scores(self) -> NDArray[np.float32]:
        """Scores float32 (classes,) of the window that ends with the last event."""
        return self.engine.scores(self.settle()[None])[0]

    @property
    def held(self) -> int:
        """Number of events in the window."""
        return int(self._core.held())

    def outputs(self) -> dict[str, NDArray[np.int8]]:
        """Levels of every population that sends events, in its shape, after the last decision or ``settle``."""
        return {
            name: self._layouts[name].outward(self._core.levels(i)).reshape(p.shape)
            for i, (name, p) in enumerate(self.graph.populations.items())
            if p.sends_events
        }

    def accumulators(self) -> dict[str, NDArray[np.int32]]:
        """Sums of every population but the input, in its shape, after the last decision or ``settle``."""
        return {
            name: self._layouts[name].outward(self._core.sums(i)).reshape(p.shape)
            for i, (name, p) in enumerate(self.graph.populations.items())
            if p.role != "input"
        }

    def statistics(self) -> StreamStatistics:
        """Counts since the beginning."""
        updates, flips, active = self._core.statistics()
        names = [p.name for name in self.graph.populations for p in self.graph.incoming(name)]
        senders = [(i, name) for i, (name, p) in enumerate(self.graph.populations.items()) if p.sends_events]
        return StreamStatistics(
            self._events,
            self._core.input_changes,
            self._core.increments,
            self._core.reevaluations,
            dict(zip(names, updates, strict=True)),
            {name: flips[i] for i, name in senders},
            {name: active[i] for i, name in senders},
        )


def run_windows(engine: Engine, stream: EventStream, window: str, stride: str | None = None) -> Result:
    """Run a recording incrementally past the windows that ``encode_stream`` cuts; the same result as their frames.

    Latencies are those of the increments between one window's end and the next.
    """
    stream = stream.oriented()
    first, stop, last = window_bounds(stream, window, stride)
    whole = np.ones(len(stop), bool)
    length = parse_window(window)
    if length.unit == "ev":  # the last window may hold fewer events: what slid out of it must stay out
        whole = stop - first == length.length
    made = list(engine.stream(window=window).decide_at(stream.events, stop[whole], last[whole]))
    for k in np.flatnonzero(~whole):
        part = stream.events[first[k] : stop[k]]
        made += engine.stream(window=window).decide_at(part, np.array([len(part)]), last[k : k + 1])
    accumulators = np.stack([decision.accumulators for decision in made])
    counts = engine.counts(
        np.array([decision.events for decision in made]), np.array([decision.open_gates for decision in made])
    )
    latency = np.array([decision.latency_ns for decision in made], np.int64)
    return Result(engine.scores(accumulators), accumulators, counts, latency[:, None])


# ------------------------------------------------------------------------------------------------------- building


def _build(
    graph: EventGraph, encoder: Encoder, window: Window, kernel: str
) -> tuple[_stream.Stream, dict[str, Layout]]:
    lowered = build_plan(graph, kernel, fused=False)
    plan, layout = lowered.plan, lowered.layouts
    narrow = all(graph.bound(name) <= INT16_ROOM for name, p in graph.populations.items() if p.role != "input")
    core = _stream.Stream(
        _plan.Workspace(plan),
        plan,
        _gates.row_kernel(kernel),
        narrow,
        encoder.bins,
        encoder.kind == "signed",
        encoder.downsample,
        graph.input.shape[2],
        graph.input.shape[1],
        window.length if window.unit == "us" else 0,
        window.length if window.unit == "ev" else 0,
    )
    index = {name: i for i, name in enumerate(graph.populations)}
    numbers = {j.name: i for i, j in enumerate(j for name in graph.populations for j in graph.incoming(name))}
    for name, p in graph.populations.items():
        retaken = not all(_is_linear(graph, j) for j in graph.incoming(name))
        limits = thresholds(p, layout[name])
        if limits is not None:
            limits = (_narrowed(limits[0], narrow), _narrowed(limits[1], narrow), limits[2])
        core.add_population(p.role, p.size, layout[name].channels, retaken, _only_pool(graph, name, numbers), limits)
    for name in graph.populations:
        for j in graph.incoming(name):
            _add_projection(core, graph, j, index, layout)
    return core, layout


def _narrowed(values: NDArray[np.int32], narrow: bool) -> NDArray:
    """Thresholds in the sum type; what no sum reaches stays unreachable, what every sum reaches stays reached."""
    return np.clip(values, -(2**15), 2**15 - 1).astype(np.int16) if narrow else values


def _is_linear(graph: EventGraph, p: Projection) -> bool:
    """Whether differences add up: not through a pool, and not from sums, whose changes are not listed."""
    return not isinstance(p.rule, connectivity.Pool2d) and graph.populations[p.source].sends_events


def _only_pool(graph: EventGraph, population: str, numbers: dict[str, int]) -> int:
    """Number of the projection that alone makes the population's sums, where it is a maximum of sums; else -1."""
    incoming = graph.incoming(population)
    if len(incoming) != 1 or graph.populations[population].role != "fire":
        return -1
    rule, gain, source = incoming[0].rule, incoming[0].gain, graph.populations[incoming[0].source]
    plain = isinstance(rule, connectivity.Pool2d) and rule.mode == "max" and gain == 1 and source.role == "sum"
    return numbers[incoming[0].name] if plain else -1


def _through(graph: EventGraph, p: Projection, index: dict[str, int]) -> tuple[int, NDArray[np.int32]] | None:
    """Where the sums a convolution adds to are read by one pool alone, whose windows do not overlap: that pool's
    population, and for each pixel of the sums its pixel there (-1 for pixels no window holds)."""
    readers = graph.outgoing(p.target)
    if graph.populations[p.target].role != "sum" or len(readers) != 1:
        return None
    rule = readers[0].rule
    if not isinstance(rule, connectivity.Pool2d) or any(s < k for s, k in zip(rule.stride, rule.kernel, strict=True)):
        return None
    pooled = np.full(rule.source_shape[1:], -1, np.int32)
    target = np.arange(np.prod(rule.target_shape[1:]), dtype=np.int32).reshape(rule.target_shape[1:])
    for tap in rule.taps():
        pooled[tap.in_rows, tap.in_columns] = target[tap.out_rows, tap.out_columns]
    return index[readers[0].target], pooled.ravel()


def _add_projection(
    core: _stream.Stream, graph: EventGraph, p: Projection, index: dict[str, int], layout: dict[str, Layout]
) -> None:
    rule, of, to = p.rule, layout[p.source], layout[p.target]
    common = {
        "source": index[p.source],
        "target": index[p.target],
        "gain": int(p.gain),
        "linear": _is_linear(graph, p),
        "fan_out": of.inward(rule.fan_out_counts()) if rule.weighted else None,
    }
    match rule:
        case connectivity.Conv2d():
            core.add_projection(
                "conv2d",
                **common,
                geometry=geometry(rule),
                groups=rule.groups,
                rows=conv_rows(rule),
                through=_through(graph, p, index),
            )
        case connectivity.Dense():
            rows = to.inward(rule.weight.T if of.order is None else rule.weight.T[of.order])
            core.add_projection("dense", **common, rows=_gates.aligned_rows(rows))
        case connectivity.Pool2d():
            core.add_projection(rule.mode, **common, geometry=geometry(rule))
        case connectivity.Identity() if of.same_order(to):
            core.add_projection("identity", **common)
        case _:
            core.add_projection("sparse", **common, sparse=sparse_arrays(rule, of, to))
