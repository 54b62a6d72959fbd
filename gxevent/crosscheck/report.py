"""What a cross-check found: how much was compared, and which units differ."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMED = 20
"""Differences that a report names one by one; beyond them it counts by population."""


@dataclass(frozen=True)
class Mismatch:
    """One difference: where it is and both values."""

    sample: str
    population: str
    unit: int
    """Flat address."""
    quantity: str
    """"output" (level sent), "accumulator" or "score"."""
    expected: float
    """The oracle's value."""
    got: float
    """The engine's value."""

    def line(self) -> str:
        return (
            f"sample {self.sample!r}, population {self.population!r}, unit {self.unit}: "
            f"{self.quantity} {self.got}, expected {self.expected}"
        )


@dataclass(frozen=True)
class CrosscheckReport:
    """Outcome of a cross-check; ``equal`` only if something was compared and every value agrees."""

    against: str
    samples: int
    populations_compared: int
    events_compared: int
    values_compared: int
    mismatches: int
    first_mismatch: Mismatch | None
    seconds: float = 0.0
    differences: tuple[Mismatch, ...] = ()
    """The first of them, in the order they were met; ``first_mismatch`` leads."""
    mismatches_by_population: dict[str, int] = field(default_factory=dict)

    @property
    def equal(self) -> bool:
        return self.mismatches == 0 and self.values_compared > 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"equal": self.equal}

    def line(self) -> str:
        """One line for people."""
        compared = (
            f"{self.samples} samples, {self.populations_compared} populations, "
            f"{self.events_compared:,} events and {self.values_compared:,} values compared with {self.against}"
        )
        if not self.values_compared:
            return f"nothing compared with {self.against}: there are no samples"
        if self.first_mismatch is None:
            return f"{compared}: all equal"
        return f"{compared}: {self.mismatches:,} differ, the first in {self.first_mismatch.line()}"

    def lines(self) -> list[str]:
        """``line``, and every difference that is named."""
        found = [self.line()]
        if self.mismatches > 1:
            shares = ", ".join(f"{name} {n:,}" for name, n in self.mismatches_by_population.items())
            found += [f"differences  {shares}", *(f"  {m.line()}" for m in self.differences)]
            more = self.mismatches - len(self.differences)
            found += [f"  and {more:,} more"] if more else []
        return found


@dataclass
class Comparison:
    """Collects comparisons of one cross-check, sample by sample."""

    against: str
    samples: int = 0
    events: int = 0
    values: int = 0
    mismatches: int = 0

    def __post_init__(self) -> None:
        self.populations: set[str] = set()
        self.differences: list[Mismatch] = []
        self.by_population: Counter[str] = Counter()
        self.begun = time.perf_counter()

    def add(self, sample: str, population: str, quantity: str, expected: NDArray, got: NDArray) -> None:
        """Compare one population's values of one sample; the arrays have the same size."""
        expected, got = np.asarray(expected).ravel(), np.asarray(got).ravel()
        differ = expected != got
        self.populations.add(population)
        self.values += expected.size
        if quantity == "output":
            self.events += int(np.count_nonzero(expected))
        found = np.flatnonzero(differ)
        if not found.size:
            return
        self.mismatches += found.size
        self.by_population[population] += found.size
        for at in found[: max(0, NAMED - len(self.differences))].tolist():
            self.differences.append(Mismatch(sample, population, at, quantity, expected[at].item(), got[at].item()))

    def report(self) -> CrosscheckReport:
        return CrosscheckReport(
            self.against,
            self.samples,
            len(self.populations),
            self.events,
            self.values,
            self.mismatches,
            self.differences[0] if self.differences else None,
            time.perf_counter() - self.begun,
            tuple(self.differences),
            dict(self.by_population),
        )


def compare(against: str) -> Comparison:
    """Begin a comparison; its seconds count from here."""
    return Comparison(against)
