"""What a cross-check found: how much was compared, and the first unit that differs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Mismatch:
    """The first difference: where it is and both values."""

    sample: str
    population: str
    unit: int
    quantity: str
    """"output" (levels sent), "accumulator" or "score"."""
    expected: float
    got: float


@dataclass(frozen=True)
class CrosscheckReport:
    """Outcome of a cross-check; ``equal`` only if every compared value agrees."""

    against: str
    samples: int
    populations_compared: int
    events_compared: int
    values_compared: int
    mismatches: int
    first_mismatch: Mismatch | None

    @property
    def equal(self) -> bool:
        return self.mismatches == 0

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"equal": self.equal}

    def line(self) -> str:
        """One line for people."""
        compared = (
            f"{self.samples} samples, {self.populations_compared} populations, "
            f"{self.events_compared:,} events and {self.values_compared:,} values compared with {self.against}"
        )
        if self.first_mismatch is None:
            return f"{compared}: all equal"
        m = self.first_mismatch
        return (
            f"{compared}: {self.mismatches:,} differ, the first in sample {m.sample!r}, population {m.population!r}, "
            f"unit {m.unit}: {m.quantity} {m.got}, expected {m.expected}"
        )


@dataclass
class Comparison:
    """Collects comparisons of one cross-check, sample by sample."""

    against: str
    samples: int = 0
    events: int = 0
    values: int = 0
    mismatches: int = 0
    first: Mismatch | None = None

    def __post_init__(self) -> None:
        self.populations: set[str] = set()

    def add(self, sample: str, population: str, quantity: str, expected: NDArray, got: NDArray) -> None:
        """Compare one population's values of one sample; the arrays have the same size."""
        expected, got = np.asarray(expected).ravel(), np.asarray(got).ravel()
        differ = expected != got
        self.populations.add(population)
        self.values += expected.size
        if quantity == "output":
            self.events += int(np.count_nonzero(expected))
        found = int(np.count_nonzero(differ))
        self.mismatches += found
        if found and self.first is None:
            at = int(np.argmax(differ))
            self.first = Mismatch(sample, population, at, quantity, expected[at].item(), got[at].item())

    def report(self) -> CrosscheckReport:
        return CrosscheckReport(
            self.against,
            self.samples,
            len(self.populations),
            self.events,
            self.values,
            self.mismatches,
            self.first,
        )


def compare(against: str) -> Comparison:
    """Begin a comparison."""
    return Comparison(against)
