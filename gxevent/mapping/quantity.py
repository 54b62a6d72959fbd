"""Numbers with unit, uncertainty and source: what a chip specification consists of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from msgspec import Struct

UNITS = {
    "count": dict.fromkeys(
        ("cores", "routers", "neurons", "axons", "synapses", "inputs", "entries", "layers", "channels", "pixels"), 1.0
    ),
    "memory": {"bit": 1.0, "B": 8.0, "KiB": 8192.0, "MiB": 8192.0 * 1024},
    "energy": {"fJ": 1e-3, "pJ": 1.0, "nJ": 1e3, "uJ": 1e6},
    "time": {"ps": 1e-3, "ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9},
    "power": {"uW": 1e-3, "mW": 1.0, "W": 1e3},
    "frequency": {"Hz": 1e-6, "kHz": 1e-3, "MHz": 1.0, "GHz": 1e3},
}
"""Dimension -> unit -> how many base units it is. Base units: one, bit, pJ, ns, mW, MHz."""


class Quantity(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One number of a specification. Without ``value`` it is known to be unknown, never zero.

    low, high: what published figures or operating points span, in the same unit; condition: what the value holds for.
    """

    unit: str
    source: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    condition: str = ""

    @property
    def factor(self) -> float:
        return next(units[self.unit] for units in UNITS.values() if self.unit in units)

    @property
    def base(self) -> float | None:
        """The value in base units (one, bit, pJ, ns, mW, MHz); None when unknown."""
        return None if self.value is None else self.value * self.factor

    @property
    def band(self) -> tuple[float, float] | None:
        """Low and high in base units; the value itself where no band is given; None when unknown."""
        if self.value is None:
            return None
        low, high = (self.value if end is None else end for end in (self.low, self.high))
        return low * self.factor, high * self.factor

    def __str__(self) -> str:
        if self.value is None:
            return f"unknown ({self.unit})"
        text = f"{self.value:,.10g} {self.unit}"
        if self.low is not None or self.high is not None:
            ends = (self.value if end is None else end for end in (self.low, self.high))
            text += " (" + " to ".join(f"{end:,.10g}" for end in ends) + ")"
        return text


@dataclass(frozen=True)
class Dimension:
    """What a field measures: the family of units its quantity must have."""

    name: str


Count = Annotated[Quantity, Dimension("count")]
Memory = Annotated[Quantity, Dimension("memory")]
Energy = Annotated[Quantity, Dimension("energy")]
Time = Annotated[Quantity, Dimension("time")]
Power = Annotated[Quantity, Dimension("power")]
Frequency = Annotated[Quantity, Dimension("frequency")]


def fault(quantity: Quantity, dimension: str) -> str:
    """What is wrong with a quantity of this dimension, or an empty string."""
    if quantity.unit not in UNITS[dimension]:
        return f"unit {quantity.unit!r} is none of {dimension}: expected {', '.join(UNITS[dimension])}"
    ends = [end for end in (quantity.low, quantity.value, quantity.high) if end is not None]
    if not all(math.isfinite(end) for end in ends):
        return f"expected finite numbers, got {', '.join(f'{end:g}' for end in ends)}"
    if ends != sorted(ends):
        return f"low, value and high do not rise: {', '.join(f'{end:g}' for end in ends)}"
    if ends and ends[0] < 0:
        return f"{ends[0]:g} {quantity.unit} is negative"
    if quantity.value is None and ends:
        return "low and high need a value between them"
    if quantity.value == 0 and dimension in ("energy", "power") and not quantity.condition:
        return "an unknown cost is left out, not zero (a cost that is part of another one: say so in 'condition')"
    if not quantity.source.strip():
        return "needs its source"
    return ""
