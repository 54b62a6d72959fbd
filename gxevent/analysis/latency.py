"""Latency and event-count analysis of recordings in stream mode.

Three questions: how long does the host take (per event, per window)? After how much event time, and how many events,
does the decision stay (decision latency)? How does accuracy grow with the events seen (the anytime curve)? All
answers are arrays; ``write_csv`` saves them, plots are the report's matter.
"""

from __future__ import annotations

import csv
import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError
from gxevent.events import DataSet, EventStream
from gxevent.graph import EventGraph
from gxevent.runtime import Engine, RunRecord, SampleRow
from gxevent.store import atomic_write

PERCENTILES = (50, 90, 99, 100)


@dataclass(frozen=True)
class Percentiles:
    """p50, p90, p99 and max of host times in microseconds."""

    p50: float
    p90: float
    p99: float
    max: float

    @classmethod
    def of(cls, microseconds: NDArray[np.float64]) -> Percentiles:
        """Of any number of values; all 0 where there are none."""
        values = np.percentile(microseconds, PERCENTILES) if len(microseconds) else np.zeros(4)
        return cls(*(round(float(v), 4) for v in values))


@dataclass(frozen=True, eq=False)
class DecisionTrace:
    """Decisions along one recording.

    t_us, events_seen : int64 (n,); predictions : int64 (n,); scores : float32 (n, classes); host_us : float64 (n,)
    host time of each step.
    """

    sample: str
    label: str
    t_us: NDArray[np.int64]
    events_seen: NDArray[np.int64]
    predictions: NDArray[np.int64]
    scores: NDArray[np.float32]
    host_us: NDArray[np.float64]

    @property
    def settled(self) -> int:
        """Index of the first decision from which on the decision stays to the end."""
        differs = np.flatnonzero(self.predictions != self.predictions[-1])
        return int(differs[-1]) + 1 if len(differs) else 0


@dataclass(frozen=True, eq=False)
class LatencyStudy:
    """Decision traces of a data set, and what follows from them."""

    traces: tuple[DecisionTrace, ...]
    classes: tuple[str, ...]
    step: int
    """Events between decisions; the last decision of a recording comes at its end."""

    def host(self) -> Percentiles:
        """Host time of a step (one decision)."""
        return Percentiles.of(np.concatenate([trace.host_us for trace in self.traces]))

    def histogram(self, bins: int = 50) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """(counts (bins,), edges (bins + 1,)) of the host times of steps, in equal ratios of microseconds."""
        times = np.maximum(np.concatenate([trace.host_us for trace in self.traces]), 1e-3)
        edges = np.geomspace(times.min(), max(times.max(), times.min() * 1.001), bins + 1)
        return np.histogram(times, edges)[0], edges

    def decision_latency(self) -> dict[str, NDArray[np.int64]]:
        """By recording: event time (us, from its first event) and number of events after which its decision stays."""
        at = [trace.settled for trace in self.traces]
        return {
            "time_us": np.array([t.t_us[k] - t.t_us[0] for t, k in zip(self.traces, at, strict=True)], np.int64),
            "events": np.array([t.events_seen[k] for t, k in zip(self.traces, at, strict=True)], np.int64),
        }

    def anytime(self, points: int = 50) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Accuracy after n events: (n (points,), accuracy (points,)) over the labelled recordings.

        A recording that has ended keeps its last decision; before its first decision it counts as wrong.
        Raises OptionError when nothing is labelled.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        labelled = [t for t in self.traces if t.label in index]
        if not labelled:
            raise OptionError("the anytime curve needs labels: none of the recordings has one")
        most = max(int(t.events_seen[-1]) for t in labelled)
        n = np.unique(np.linspace(self.step, most, points).astype(np.int64))
        right = np.zeros(len(n))
        for trace in labelled:
            last = np.searchsorted(trace.events_seen, n, side="right") - 1
            right += (last >= 0) & (trace.predictions[np.maximum(last, 0)] == index[trace.label])
        return n, right / len(labelled)

    def summary(self) -> dict[str, Any]:
        """Percentiles as JSON values."""
        latency = self.decision_latency()
        return {
            "recordings": len(self.traces),
            "decisions": sum(len(t.predictions) for t in self.traces),
            "step_events": self.step,
            "host_us": self.host().__dict__,
            "decision_time_us": Percentiles.of(latency["time_us"].astype(float)).__dict__,
            "decision_events": Percentiles.of(latency["events"].astype(float)).__dict__,
        }


def study_latency(
    graph: EventGraph,
    dataset: DataSet,
    *,
    step: int = 1,
    window: str | None = None,
    kernel: str = "auto",
    progress: Callable[[int], Any] | None = None,
) -> LatencyStudy:
    """Run every recording event by event, deciding every ``step`` events and at its end.

    Raises OptionError for images, or when no recording holds an event.
    """
    engine = Engine(graph, kernel=kernel)
    traces = []
    for sample, stream in dataset:
        if not isinstance(stream, EventStream):
            raise OptionError(f"{dataset.source}: holds images; latency in events is a matter of recordings")
        if not len(stream.events):
            continue
        session = engine.stream(window=window, stride=f"{step}ev")
        updates = session.push(stream)
        seen = step * np.arange(1, len(updates) + 1, dtype=np.int64)
        t_us, scores, host = updates.t_us, updates.scores, updates.latency_ns / 1e3
        if len(stream.events) % step:  # the events after the last whole step
            begun = time.perf_counter_ns()
            last = session.scores
            host = np.append(host, (time.perf_counter_ns() - begun) / 1e3)
            seen, t_us = np.append(seen, len(stream.events)), np.append(t_us, np.int64(stream.events["t"][-1]))
            scores = np.concatenate([scores, last[None]])
        traces.append(DecisionTrace(sample.id, sample.label or "", t_us, seen, scores.argmax(axis=1), scores, host))
        if progress:
            progress(1)
    if not traces:
        raise OptionError(f"{dataset.source}: no recording holds an event")
    return LatencyStudy(tuple(traces), graph.classes, step)


@dataclass(frozen=True, eq=False)
class ActivityOverTime:
    """Events and open gates by layer along one recording, at each of n times.

    t_us int64 (n,); events, open_gates, resting: by population or projection, (n,).
    """

    t_us: NDArray[np.int64]
    events: dict[str, NDArray[np.int64]]
    open_gates: dict[str, NDArray[np.int64]]
    resting: dict[str, NDArray[np.float64]]


def activity_over_time(graph: EventGraph, stream: EventStream, window: str, points: int = 100) -> ActivityOverTime:
    """What a sliding window holds at ``points`` times spread over the recording, counted exactly."""
    stream = stream.oriented()
    t = stream.events["t"].astype(np.int64)
    if not len(t):
        raise OptionError(f"{stream.source or 'recording'}: holds no events")
    times = np.unique(np.linspace(int(t[0]), int(t[-1]), points).astype(np.int64))
    ends = np.searchsorted(t, times, side="right")
    session = Engine(graph).stream(window=window)
    made = list(session.decide_at(stream.events, ends, times))
    senders = [name for name, p in graph.populations.items() if p.sends_events]
    gated = [p.name for name in graph.populations for p in graph.incoming(name) if p.rule.weighted]
    events = np.array([d.events for d in made], np.int64).T
    opened = np.array([d.open_gates for d in made], np.int64).T
    synapses = graph.synapses
    return ActivityOverTime(
        times,
        dict(zip(senders, events, strict=True)),
        dict(zip(gated, opened, strict=True)),
        {name: 1 - n / synapses[name] for name, n in zip(gated, opened, strict=True)},
    )


@dataclass(frozen=True, eq=False)
class ActivityGroups:
    """Samples of a run grouped by how active the network was, from the quietest to the busiest.

    All (n,): samples, events and open_gates (means a sample), resting (share of gates at rest), accuracy.
    """

    samples: NDArray[np.int64]
    events: NDArray[np.float64]
    open_gates: NDArray[np.float64]
    resting: NDArray[np.float64]
    accuracy: NDArray[np.float64]


def accuracy_by_activity(record: RunRecord, groups: int = 10) -> ActivityGroups:
    """Sparsity against accuracy: do quiet samples cost accuracy, or busy ones buy it?

    Raises OptionError when the run's samples have no labels.
    """
    rows = sorted((row for row in record.rows if row.label), key=lambda row: row.open_gates / row.windows)
    if not rows:
        raise OptionError("accuracy by activity needs labels: none of the samples has one")
    synapses = sum(record.summary["synapses"].values()) / record.summary["windows"]
    parts = [part for part in np.array_split(np.arange(len(rows)), groups) if len(part)]

    def means(value: Callable[[SampleRow], float]) -> NDArray[np.float64]:
        return np.array([np.mean([value(rows[i]) for i in part]) for part in parts])

    return ActivityGroups(
        np.array([len(part) for part in parts], np.int64),
        means(lambda row: row.events),
        means(lambda row: row.open_gates),
        means(lambda row: 1 - row.open_gates / (synapses * row.windows)),
        means(lambda row: row.prediction == row.label),
    )


def write_csv(path: str | os.PathLike[str], columns: dict[str, Iterable[Any]]) -> None:
    """Write arrays of one length as columns, atomically."""
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
