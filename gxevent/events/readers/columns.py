"""Tables of events: which column is which, and in what unit the times are. Shared by text and NumPy files."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers.options import TIME_UNITS
from gxevent.events.stream import MAX_TIME_US

_NAMES = {
    "t": {"t", "ts", "time", "timestamp", "timestamps", "times"},
    "x": {"x", "col", "column", "xs"},
    "y": {"y", "row", "ys"},
    "p": {"p", "pol", "polarity", "polarities", "on", "ps"},
}
ORDERS = ("txyp", "xytp", "xypt", "tpxy", "ptxy", "pxyt")
"""Column orders tried, in this order, on tables without names."""


def column(name: str) -> tuple[str, str | None] | None:
    """Meaning of a column name: one of t, x, y, p and the time unit it states; None for any other name."""
    words = [w for w in re.split(r"[^a-z]+", name.lower()) if w]
    if not words:
        return None
    for letter, names in _NAMES.items():
        if words[0] in names:
            unit = next((w for w in words[1:] if w in TIME_UNITS), None)
            return letter, unit if letter == "t" else None
    return None


def find(names: list[str]) -> tuple[dict[str, int], str | None]:
    """Positions of t, x, y, p among column names (those that are there) and the stated time unit."""
    place: dict[str, int] = {}
    unit = None
    for i, name in enumerate(names):
        meaning = column(name)
        if meaning and meaning[0] not in place:
            place[meaning[0]] = i
            unit = meaning[1] or unit
    return place, unit


def guess_order(table: NDArray) -> str:
    """Order of the first four columns of a table (n, >= 4): polarities are -1, 0 or 1, times do not fall.

    Of two events or more the pixels must be whole numbers, too. Where several fit, as happens with a handful of events,
    the first of ``ORDERS`` is taken.
    """
    polar = [bool(np.isin(table[:, i], (-1, 0, 1)).all()) for i in range(4)]
    rises = [bool((table[1:, i] >= table[:-1, i]).all()) for i in range(4)]
    whole = [len(table) < 2 or bool((table[:, i] == np.rint(table[:, i])).all()) for i in range(4)]
    for order in ORDERS:
        pixels = whole[order.index("x")] and whole[order.index("y")]
        if polar[order.index("p")] and rises[order.index("t")] and pixels:
            return order
    return ORDERS[0]


def integers(values: NDArray, name: str, field: str, first: int = 0) -> NDArray[np.int64]:
    """Whole numbers of a column (n,); FormatError naming the first event whose value is none."""
    if values.dtype.kind in "iub":
        if values.dtype == np.uint64:  # must not wrap on its way to the sensor check
            values = np.minimum(values, np.uint64(1 << 62))
        return values.astype(np.int64)
    bad = ~(np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53))
    if bad.any():
        i = int(bad.argmax())
        raise FormatError(
            f"{name}: event {first + i}: {field}={values[i]} is not a whole number; check the order of the columns"
        )
    return values.astype(np.int64)


def microseconds(values: NDArray, name: str, unit: str | None, first: int = 0) -> NDArray[np.int64]:
    """Times (n,) in microseconds, rounded. Without a unit: seconds if any has a fraction, else microseconds.

    ``first`` is the number of the first of these events in its file.
    """
    bad = ~np.isfinite(values)
    if bad.any():
        i = int(bad.argmax())
        raise FormatError(f"{name}: event {first + i}: t={values[i]} is not a time; leave the event out")
    unit = unit_of(values) if unit is None else unit
    exact = values.dtype.kind in "iub" and unit == "us"
    scaled = values if exact else values.astype(np.float64) * TIME_UNITS[unit]
    far = np.abs(scaled.astype(np.float64)) > MAX_TIME_US
    if far.any():
        i = int(far.argmax())
        raise FormatError(
            f"{name}: event {first + i}: t={values[i]} {unit} is beyond 285 years; pass time_unit (s, ms, us or ns)"
        )
    return (scaled if exact else np.rint(scaled)).astype(np.int64)


def unit_of(values: NDArray) -> str:
    """The unit that finite times (n,) seem to have: seconds if any has a fraction, else microseconds."""
    return "us" if values.dtype.kind in "iub" or not (values != np.rint(values)).any() else "s"


class Clock:
    """Times of a file that comes in pieces: the unit found in the first piece holds for all."""

    def __init__(self, unit: str | None, name: str) -> None:
        self.unit, self.name, self.guessed = unit, name, unit is None

    def __call__(self, values: NDArray, first: int) -> NDArray[np.int64]:
        """Microseconds of the events from number ``first`` on."""
        if self.unit is None and np.isfinite(values).all():
            self.unit = unit_of(values)
        elif self.guessed and self.unit == "us" and values.dtype.kind == "f" and (values != np.rint(values)).any():
            i = int((values != np.rint(values)).argmax())
            raise FormatError(
                f"{self.name}: event {first + i}: t={values[i]} has a fraction, those before have none; pass time_unit"
            )
        return microseconds(values, self.name, self.unit, first)


def polarity(values: NDArray, name: str, first: int = 0) -> NDArray[np.bool_]:
    """ON (True) for values above 0; FormatError naming the first that is not -1, 0 or 1."""
    bad = ~np.isin(values, (-1, 0, 1))
    if bad.any():
        i = int(bad.argmax())
        raise FormatError(
            f"{name}: event {first + i}: polarity {values[i]}, expected 0 and 1 or -1 and 1; check the order of "
            "the columns (t x y p, or a header that names them)"
        )
    return values > 0
