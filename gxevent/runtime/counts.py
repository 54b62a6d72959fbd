"""Exact counts of a run: events sent, gates opened, and the share of gates that rested."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
