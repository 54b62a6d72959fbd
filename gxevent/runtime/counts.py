"""Exact counts of a run: events sent, gates opened, and the share of gates that rested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.graph import EventGraph


@dataclass(frozen=True, eq=False)
class Counts:
    """Counted, never expected values.

    events : by population, int64 (samples,): nonzero outputs
    open_gates : by projection, int64 (samples,): pairs of nonzero level and nonzero activation (SynOps)
    synapses : by projection: existing connections, those of level 0 included
    """

    events: Mapping[str, NDArray[np.int64]]
    open_gates: Mapping[str, NDArray[np.int64]]
    synapses: Mapping[str, int]
    samples: int

    @property
    def resting_probability_by_layer(self) -> dict[str, float]:
        """``1 - open / total`` of each projection over all samples (1.0 where there was none)."""
        return {
            name: 1.0 - int(gates.sum()) / (self.synapses[name] * self.samples) if self.samples else 1.0
            for name, gates in self.open_gates.items()
        }

    @property
    def resting_probability(self) -> float:
        """``1 - open / total`` over all projections and samples."""
        total = sum(self.synapses.values()) * self.samples
        return 1.0 - sum(int(gates.sum()) for gates in self.open_gates.values()) / total if total else 1.0

    @staticmethod
    def join(parts: Iterable[Counts]) -> Counts:
        """Counts of consecutive samples as one; at least one part."""
        parts = list(parts)
        first = parts[0]
        return Counts(
            {name: np.concatenate([p.events[name] for p in parts]) for name in first.events},
            {name: np.concatenate([p.open_gates[name] for p in parts]) for name in first.open_gates},
            first.synapses,
            sum(p.samples for p in parts),
        )


@dataclass(frozen=True, eq=False)
class Columns:
    """How the columns of a run become counts: populations that send and projections counted, in the plan's order."""

    graph: EventGraph
    senders: tuple[str, ...]
    gated: tuple[str, ...]

    @classmethod
    def of(cls, graph: EventGraph, gated: Iterable[str]) -> Columns:
        return cls(graph, tuple(name for name, p in graph.populations.items() if p.sends_events), tuple(gated))

    def __call__(self, columns: NDArray[np.int64]) -> Counts:
        """Of int64 (n, 1 + events + gates), where the first column is another's; empty where only that is there."""
        last = 1 + len(self.senders)
        if columns.shape[1] == 1:
            columns = np.zeros((0, last + len(self.gated)), np.int64)
        return self.counts(columns[:, 1:last], columns[:, last:])

    def counts(self, events: NDArray[np.int64], open_gates: NDArray[np.int64]) -> Counts:
        """Of (samples, populations that send) and (samples, projections counted)."""
        gates = {name: open_gates[:, i] for i, name in enumerate(self.gated)}
        return Counts(
            events={name: events[:, i] for i, name in enumerate(self.senders)},
            open_gates={p.name: gates[p.name] for p in self.graph.gated},
            synapses=self.graph.synapses,
            samples=len(events),
        )
