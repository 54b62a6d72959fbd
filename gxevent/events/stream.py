"""EventStream: one recording of an event camera, checked on construction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError, OptionError

EVENT_DTYPE = np.dtype([("t", "<i8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")])
"""One sensor event: time in microseconds, pixel (x to the right, y downwards), polarity (True = ON, brighter)."""

MAX_TIME_US = 1 << 53
"""Times reach from minus to plus this, 285 years: products with a number of bins stay within int64."""

BACKWARD = ("error", "sort", "drop")
"""What to do with events whose time is earlier than that of an event before them."""


@dataclass(frozen=True, eq=False)
class EventStream:
    """Events of one recording in the order of their time, and the size of the sensor they come from.

    Parameters
    ----------
    events
        (n,) of EVENT_DTYPE; ``t`` never falls, 0 <= ``x`` < width, 0 <= ``y`` < height.
    width, height
        Size of the sensor in pixels.
    source
        Where it comes from (a file name, an archive member); error messages name it.
    dropped
        Events of the source that are not here, by reason: ``"backward"`` in time, ``"outside"`` the sensor,
        ``"untimed"`` (before the first time of the file), ``"truncated_bytes"`` of a file cut short, and
        ``"missing_events"`` that its last packet states.
    passed
        Content of the source that is no camera event (triggers, frames, IMU samples …), kind -> count.
    y_up
        Rows count upwards, as in Event Stream files, whose values stay as they are stored; else downwards.
        ``oriented()`` turns them over; encoders, sessions and writers do so by themselves.

    Raises
    ------
    FormatError
        naming source, event number and value when an event is outside the sensor or time falls.
    OptionError
        for a sensor size that is not a whole number from 1 to 65536.
    """

    events: NDArray[np.void]
    width: int
    height: int
    source: str = ""
    dropped: Mapping[str, int] = field(default_factory=dict)
    passed: Mapping[str, int] = field(default_factory=dict)
    y_up: bool = False

    def __post_init__(self) -> None:
        for side in ("width", "height"):
            value = getattr(self, side)
            if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 1 <= value <= 65536:
                raise OptionError(f"{self._where}{side}: expected a whole number from 1 to 65536, got {value!r}")
            object.__setattr__(self, side, int(value))
        events = self.events
        if not isinstance(events, np.ndarray) or events.dtype != EVENT_DTYPE or events.ndim != 1:
            found = f"{events.dtype} {events.shape}" if isinstance(events, np.ndarray) else type(events).__name__
            raise FormatError(
                f"{self._where}expected a one-dimensional array of gxevent.EVENT_DTYPE, got {found}; "
                "build it with from_arrays(t, x, y, p, width, height)"
            )
        if first_bad(events, self.width, self.height) >= 0:
            _complain(events, self.width, self.height, self.source)

    @classmethod
    def unchecked(
        cls,
        events: NDArray[np.void],
        width: int,
        height: int,
        source: str = "",
        dropped: Mapping[str, int] | None = None,
        passed: Mapping[str, int] | None = None,
        y_up: bool = False,
    ) -> EventStream:
        """A stream of events that a reader has just checked; for readers only."""
        stream = object.__new__(cls)
        fields = {"events": events, "width": width, "height": height, "source": source, "y_up": y_up}
        for name, value in (fields | {"dropped": dropped or {}, "passed": passed or {}}).items():
            object.__setattr__(stream, name, value)
        return stream

    @property
    def _where(self) -> str:
        return f"{self.source}: " if self.source else ""

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, part: slice) -> EventStream:
        """Events by number, ``stream[100:200]``, as a stream of the same sensor."""
        if not isinstance(part, slice):
            raise OptionError("a stream is cut by slices, stream[a:b]; single events are in stream.events")
        return replace(self, events=self.events[part])

    @property
    def duration_us(self) -> int:
        """Time from the first event to the last, microseconds; 0 for fewer than two events."""
        t = self.events["t"]
        return int(t[-1]) - int(t[0]) if t.size else 0

    def oriented(self, up: bool = False) -> EventStream:
        """The same picture with its rows counted downwards, or upwards: what encoders take, what a format stores."""
        if self.y_up == up:
            return self
        events = self.events.copy()
        events["y"] = self.height - 1 - events["y"]
        return replace(self, events=events, y_up=up)

    def between(self, start_us: int, stop_us: int) -> EventStream:
        """Events with ``start_us <= t < stop_us`` (absolute times, as stored), as a stream of the same sensor."""
        a, b = np.searchsorted(self.events["t"], [start_us, stop_us])
        return replace(self, events=self.events[a : max(a, b)])


def first_bad(events: NDArray[np.void], width: int, height: int) -> int:
    """Number of the first event outside the sensor, beyond 285 years or earlier than the one before it; -1: none."""
    plain = np.ascontiguousarray(events).view(np.uint8)
    return _decode.first_bad(plain, width, height, -MAX_TIME_US, MAX_TIME_US)


def _complain(events: NDArray[np.void], width: int, height: int, source: str) -> None:
    """Raise FormatError for events of which one is bad: pixels first, then times."""
    where = f"{source}: " if source else ""
    check_inside(events["x"], events["y"], width, height, source)
    t = events["t"]
    far = (t < -MAX_TIME_US) | (t > MAX_TIME_US)
    if far.any():
        i = int(far.argmax())
        raise FormatError(f"{where}event {i}: t={t[i]} us is beyond 285 years; give times in microseconds")
    i = int((t[1:] < t[:-1]).argmax()) + 1
    raise FormatError(
        f"{where}event {i}: time falls from {t[i - 1]} to {t[i]} us; "
        "pass on_backward='sort' to sort the events or 'drop' to leave such events out"
    )


def outside(x: NDArray[Any], y: NDArray[Any], width: int, height: int) -> NDArray[np.bool_]:
    """Which pixels (n,), integers of any type, are not on a sensor of ``width`` x ``height``."""
    return (x < 0) | (y < 0) | (x >= width) | (y >= height)


def check_inside(x: NDArray[Any], y: NDArray[Any], width: int, height: int, source: str = "") -> None:
    """Raise FormatError naming the first event whose pixel is not on a sensor of ``width`` x ``height``.

    ``x`` and ``y`` are integer arrays (n,) of any type: they are checked before they are narrowed to uint16.
    """
    if not x.size or (x.min() >= 0 and y.min() >= 0 and x.max() < width and y.max() < height):
        return
    i = int(outside(x, y, width, height).argmax())
    raise FormatError(
        f"{source + ': ' if source else ''}event {i}: pixel x={x[i]}, y={y[i]} is outside the {width}x{height} sensor; "
        f"pass width/height of the sensor (the largest x is {x.max()}, the largest y {y.max()})"
    )


def pack(t: NDArray[Any], x: NDArray[Any], y: NDArray[Any], p: NDArray[Any]) -> NDArray[np.void]:
    """Events of EVENT_DTYPE from arrays (n,) that are known to fit it."""
    events = np.empty(t.size, EVENT_DTYPE)
    events["t"], events["x"], events["y"], events["p"] = t, x, y, p
    return events


def from_arrays(
    t: ArrayLike,
    x: ArrayLike,
    y: ArrayLike,
    p: ArrayLike,
    width: int,
    height: int,
    *,
    source: str = "",
    on_backward: str = "error",
) -> EventStream:
    """Build a stream from four arrays (n,).

    Parameters
    ----------
    t
        Integer microseconds.
    x, y
        Integer pixel coordinates, ``y`` downwards.
    p
        Polarity: booleans or numbers, above 0 means ON (so 0/1 and -1/+1 are both understood).
    on_backward
        Events whose time falls: ``"error"``, ``"sort"`` them (stable), or ``"drop"`` those earlier than any before.

    Raises
    ------
    FormatError
        for arrays of different length or kind, events outside the sensor, times that fall.
    """
    if on_backward not in BACKWARD:
        raise OptionError(f"on_backward: expected one of {', '.join(BACKWARD)}, got {on_backward!r}")
    columns = {"t": np.asarray(t), "x": np.asarray(x), "y": np.asarray(y), "p": np.asarray(p)}
    where = f"{source}: " if source else ""
    n = columns["t"].size
    for name, column in columns.items():
        if column.shape != (n,):
            raise FormatError(
                f"{where}column {name}: expected ({n},) as t, got {column.shape}; give one value an event"
            )
        if n and name != "p" and column.dtype.kind not in "iu":
            raise FormatError(f"{where}column {name}: expected integers, got {column.dtype}; convert it (t in us)")
    if n and columns["p"].dtype.kind not in "biuf":
        raise FormatError(f"{where}column p: expected booleans or numbers, got {columns['p'].dtype}")
    check_inside(columns["x"], columns["y"], width, height, source)
    events = pack(columns["t"], columns["x"], columns["y"], columns["p"] > 0)
    kept = _forward(events, on_backward)
    dropped = {"backward": n - len(kept)} if len(kept) < n else {}
    return EventStream(kept, width, height, source, dropped)


def _forward(events: NDArray[np.void], on_backward: str) -> NDArray[np.void]:
    """Events after the policy for falling times; ``"error"`` leaves them for EventStream to refuse."""
    t = events["t"]
    if on_backward == "error" or t.size < 2 or not (t[1:] < t[:-1]).any():
        return events
    if on_backward == "sort":
        return events[np.argsort(t, kind="stable")]
    return events[t >= np.maximum.accumulate(t)]
