"""Sums over a run as it goes: they need the same memory for ten samples and for a billion."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.graph import EventGraph
from gxevent.runtime.about import about_network, versions
from gxevent.runtime.record import SampleRow, hashed, sample_lines


@dataclass(frozen=True, eq=False)
class Part:
    """Consecutive samples of a run, ready to be added up and written; small enough to travel between machines.

    csv : their lines of ``samples.csv``. hashed : what ``results_sha256`` takes of them. latency_us : float64
    (samples,). totals : int64 (5,), samples, windows, labelled, correct and input events.
    events, open_gates : int64, by population and by projection.
    """

    csv: str
    hashed: bytes
    latency_us: NDArray[np.float64]
    totals: NDArray[np.int64]
    events: NDArray[np.int64]
    open_gates: NDArray[np.int64]

    @classmethod
    def of(cls, rows: Sequence[SampleRow]) -> Part:
        labelled = [row for row in rows if row.label]
        totals = (
            len(rows),
            sum(row.windows for row in rows),
            len(labelled),
            sum(row.prediction == row.label for row in labelled),
            sum(row.input_events for row in rows),
        )
        return cls(
            csv=sample_lines(rows),
            hashed=hashed(rows),
            latency_us=np.array([row.latency_us for row in rows]),
            totals=np.array(totals, np.int64),
            events=np.array([row.events_by_population for row in rows], np.int64).sum(axis=0),
            open_gates=np.array([row.open_gates_by_projection for row in rows], np.int64).sum(axis=0),
        )


class Tally:
    """Adds parts up, in sample order, to a run's summary."""

    def __init__(self, graph: EventGraph) -> None:
        self.graph = graph
        self.senders = senders(graph)
        self.gated = [p.name for p in graph.gated]
        self.totals = np.zeros(5, np.int64)
        self.events = np.zeros(len(self.senders), np.int64)
        self.open_gates = np.zeros(len(self.gated), np.int64)
        self.latency = LatencyHistogram()
        self._hash = hashlib.sha256()

    @property
    def samples(self) -> int:
        return int(self.totals[0])

    def add(self, part: Part) -> None:
        self.totals += part.totals
        self.events += part.events
        self.open_gates += part.open_gates
        self.latency.add(part.latency_us)
        self._hash.update(part.hashed)

    def summary(self, wall: float) -> dict[str, Any]:
        """The figures of ``gxevent run --json`` that the samples give; ``wall`` in seconds."""
        samples, windows, labelled, correct, input_events = self.totals.tolist()
        synapses = {name: n * windows for name, n in self.graph.synapses.items()}
        gates = dict(zip(self.gated, self.open_gates.tolist(), strict=True))
        return {
            "samples": samples,
            "windows": windows,
            "labelled": labelled,
            "correct": correct if labelled else None,
            "accuracy": correct / labelled if labelled else None,
            "events": dict(zip(self.senders, self.events.tolist(), strict=True)),
            "open_gates": gates,
            "synapses": synapses,
            "resting_probability": 1.0 - sum(gates.values()) / sum(synapses.values()),
            "resting_probability_by_layer": {name: 1.0 - gates[name] / synapses[name] for name in gates},
            "wall_s": wall,
            "samples_per_s": samples / wall,
            "input_events": input_events,
            "input_events_per_s": input_events / wall,
            "latency_us": self.latency.summary(),
            "results_sha256": self._hash.hexdigest(),
            "versions": versions(),
            "network": about_network(self.graph),
        }


def senders(graph: EventGraph) -> list[str]:
    """Populations that send events, in the order in which a run lists them."""
    return [name for name, p in graph.populations.items() if p.sends_events]


class LatencyHistogram:
    """Latencies in steps of half a percent, so that percentiles need no list of all samples.

    Percentiles are those of ``np.percentile(..., method="inverted_cdf")`` to within 0.25 %; the maximum is exact.
    """

    STEP = np.log(1.005)
    SMALLEST_US = 1e-3
    BINS = 7000
    """From a nanosecond to 18 days."""

    def __init__(self) -> None:
        self.counts = np.zeros(self.BINS, np.int64)
        self.largest = 0.0

    def add(self, latency_us: NDArray[np.float64]) -> None:
        known = latency_us[np.isfinite(latency_us)]
        if not len(known):
            return
        at = np.log(np.maximum(known, self.SMALLEST_US) / self.SMALLEST_US) / self.STEP
        self.counts += np.bincount(np.minimum(at.astype(np.int64), self.BINS - 1), minlength=self.BINS)
        self.largest = max(self.largest, float(known.max()))

    def percentile(self, percent: float) -> float:
        """Latency (us) that this share of the samples did not exceed."""
        rank = max(int(np.ceil(percent / 100 * self.counts.sum())), 1)
        bin_ = int(np.searchsorted(np.cumsum(self.counts), rank))
        return min(self.SMALLEST_US * float(np.exp((bin_ + 0.5) * self.STEP)), self.largest)

    def summary(self) -> dict[str, float]:
        """p50, p90, p99 and max in us."""
        found = {f"p{p}": round(self.percentile(p), 3) for p in (50, 90, 99)}
        return found | {"max": round(self.largest, 3)}
