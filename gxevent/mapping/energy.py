"""Energy of counted work, part by part, as a band; what a chip does not publish stays unknown, never zero."""

from __future__ import annotations

from collections.abc import Mapping as Values
from dataclasses import dataclass

from gxevent.mapping.chip import Chip
from gxevent.mapping.quantity import Quantity

COUNTED = {
    "synapses": {"synop": "synops", "memory_read": "reads"},
    "neurons": {"neuron_access": "visits", "neuron_update": "visits", "spike": "spikes"},
    "packets": {"packet_out": "packets_out", "packet_in": "packets_in"},
    "hops": {"hop_x": "hops_x", "hop_y": "hops_y"},
}
"""Part -> cost of the chip -> what it is multiplied with (``gxevent.mapping.roofline.COUNTS``)."""


@dataclass(frozen=True)
class Band:
    """An energy in picojoules with the span of the chip's published figures."""

    value: float
    low: float
    high: float

    def __add__(self, other: Band) -> Band:
        return Band(self.value + other.value, self.low + other.low, self.high + other.high)

    def scaled(self, by: float) -> Band:
        return Band(self.value * by, self.low * by, self.high * by)

    def as_nj(self) -> dict[str, float]:
        return {"value": self.value / 1000, "low": self.low / 1000, "high": self.high / 1000}


@dataclass(frozen=True)
class Energy:
    """``parts``: synapses, neurons, packets, hops, static; None where none of its costs is known.

    ``unknown``: costs that the chip does not publish and the counted work would need; they are not in the total.
    """

    parts: dict[str, Band | None]
    unknown: tuple[str, ...]

    @property
    def total(self) -> Band | None:
        known = [band for band in self.parts.values() if band is not None]
        return sum(known[1:], known[0]) if known else None

    def as_nj(self) -> dict[str, object]:
        parts = {name: None if band is None else band.as_nj() for name, band in self.parts.items()}
        total = None if self.total is None else self.total.as_nj()
        return {"total": total, "parts": parts, "complete": not self.unknown, "unknown": list(self.unknown)}


def energy(chip: Chip, counts: Values[str, float], duration_ps: float | None) -> Energy:
    """Energy of counted work that took ``duration_ps`` picoseconds (None: not known)."""
    parts: dict[str, Band | None] = {}
    unknown: list[str] = []
    for part, costs in COUNTED.items():
        bands = []
        for cost, counted in costs.items():
            band = _band(getattr(chip.energy, cost), counts[counted])
            if band is not None:
                bands.append(band)
            elif counts[counted] and not (cost == "memory_read" and _band(chip.energy.synop, 1) is not None):
                unknown.append(f"energy.{cost}")
        parts[part] = sum(bands[1:], bands[0]) if bands else None
    watts = None if duration_ps is None else _band(chip.static, duration_ps / 1000)  # mW x ns = pJ
    parts["static"] = watts
    if watts is None:
        unknown.append("static" if duration_ps is not None else "static (duration not known)")
    return Energy(parts, tuple(unknown))


def _band(cost: Quantity | None, count: float) -> Band | None:
    if cost is None or cost.base is None or cost.band is None:
        return None
    low, high = cost.band
    return Band(cost.base * count, low * count, high * count)
