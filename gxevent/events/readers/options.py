"""What the caller of a reader knows or wants: sensor, time unit, and the policies for events that do not belong."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Protocol

from gxevent.errors import FormatError, OptionError
from gxevent.events.stream import BACKWARD

TIME_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}
"""Microseconds in each unit of time a file may use."""

SENSORS = ((34, 34), (128, 128), (240, 180), (304, 240), (320, 240), (346, 260), (640, 480), (1280, 720))
"""Sensors in use, smallest first: the guess for files that do not say where they come from."""

OUTSIDE = TRUNCATED = ("error", "drop")
"""What to do with events outside the sensor, and with the rest of a file that ends within an event."""


class _Stating(Protocol):
    """What a source says about its sensor."""

    stated: tuple[int, int] | None
    boxed: bool
    usual: tuple[tuple[int, int], ...]
    only_usual: bool


@dataclass(frozen=True)
class ReadOptions:
    """What the caller knows about a file (None: the reader finds out) and the policies."""

    width: int | None = None
    height: int | None = None
    on_backward: str = "error"
    time_unit: str | None = None
    on_outside: str = "error"
    on_truncated: str = "error"

    def __post_init__(self) -> None:
        for field, choices in (("on_backward", BACKWARD), ("on_outside", OUTSIDE), ("on_truncated", TRUNCATED)):
            if (value := getattr(self, field)) not in choices:
                raise OptionError(f"{field}: expected one of {', '.join(choices)}, got {value!r}")
        if self.time_unit is not None and self.time_unit not in TIME_UNITS:
            raise OptionError(f"time_unit: expected one of {', '.join(TIME_UNITS)}, got {self.time_unit!r}")
        for field in ("width", "height"):
            value = getattr(self, field)
            if value is not None and not (
                type(value) is not bool and isinstance(value, Integral) and 1 <= value <= 65536
            ):
                raise OptionError(f"{field}: expected a whole number from 1 to 65536, got {value!r}")

    def needs_extent(self, source: _Stating) -> bool:
        """Whether the sensor follows from the largest coordinates, so that all events must be seen first."""
        if self.width is not None and self.height is not None:
            return False
        return source.stated is None or (source.boxed and source.stated not in source.usual)

    def sensor(self, x_max: int, y_max: int, source: _Stating, name: str) -> tuple[int, int]:
        """(width, height): as given, else as the file states, else the smallest usual sensor that holds the events.

        ``x_max`` and ``y_max`` are the largest coordinates, -1 without events.
        """
        stated = source.stated
        if stated is not None and not all(1 <= size <= 65536 for size in stated):
            raise FormatError(f"{name}: states a sensor of {stated[0]}x{stated[1]} pixels; correct it")
        if stated is not None and source.boxed and stated not in source.usual and stated == (x_max + 1, y_max + 1):
            stated = next((s for s in source.usual if x_max < s[0] and y_max < s[1]), stated)
        if stated is None:
            usual = [size for size in source.usual if x_max < size[0] and y_max < size[1]]
            usual += [source.usual[-1]] if source.only_usual else []
            stated = usual[0] if usual else tuple(min(max(1, last + 1), 65536) for last in (x_max, y_max))
        return (stated[0] if self.width is None else self.width), (stated[1] if self.height is None else self.height)
