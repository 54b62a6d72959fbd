"""The gate that all decoded events pass: events outside the sensor or back in time are refused, dropped or sorted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError
from gxevent.events.readers.options import ReadOptions
from gxevent.events.stream import EVENT_DTYPE, MAX_TIME_US, outside, pack

SORT_BUFFER = 1 << 18
"""Events that ``on_backward="sort"`` holds back when a file is read in chunks; later ones are dropped and counted."""


class Columns(NamedTuple):
    """Events as wide arrays (n,), not yet known to fit EVENT_DTYPE: t int64, x and y of any integer type, p bool."""

    t: NDArray[np.int64]
    x: NDArray[np.integer]
    y: NDArray[np.integer]
    p: NDArray[np.bool_]


Block = NDArray[np.void] | Columns


class Gate:
    """The policies of :class:`ReadOptions`, applied to the blocks of one recording in their order."""

    def __init__(
        self,
        name: str,
        width: int,
        height: int,
        options: ReadOptions,
        place: Callable[[int], str] = lambda number: "",
        buffer: int = 0,
    ) -> None:
        self.name, self.width, self.height, self.options, self.place = name, width, height, options, place
        self.dropped: Counter[str] = Counter()
        self.number = 0  # events of the file seen so far
        self.last = -MAX_TIME_US  # the time that none may be earlier than
        self.buffer = buffer if options.on_backward == "sort" else 0
        self.held = np.empty(0, EVENT_DTYPE)

    def __call__(self, block: Block) -> NDArray[np.void]:
        """Events that may go on, of EVENT_DTYPE. FormatError where the policy is ``"error"``."""
        first, keep = self.number, None
        if isinstance(block, Columns):
            bad = outside(block.x, block.y, self.width, self.height)
            self.number += len(block.t)
            if bad.any():
                self._outside(bad, block.x, block.y, first)
                keep = ~bad
                block = Columns(*(column[keep] for column in block))
            events = pack(*block)
        else:
            self.number += len(block)
            events = block
        if _decode.first_bad(events.view(np.uint8), self.width, self.height, self.last, MAX_TIME_US) >= 0:
            events = self._mend(events, first if keep is None else first + np.flatnonzero(keep))
        if self.buffer:
            return self._hold(events)
        if len(events):
            self.last = int(events["t"][-1])
        return events

    def finish(self) -> NDArray[np.void]:
        """What was held back for sorting."""
        held, self.held = self.held, self.held[:0]
        return held

    def _mend(self, events: NDArray[np.void], first: int | NDArray[np.int64]) -> NDArray[np.void]:
        numbers = first + np.arange(len(events)) if isinstance(first, int) else first
        bad = outside(events["x"], events["y"], self.width, self.height)
        if bad.any():
            self._outside(bad, events["x"], events["y"], numbers)
            events, numbers = events[~bad], numbers[~bad]
        t = np.ascontiguousarray(events["t"])
        far = (t < -MAX_TIME_US) | (t > MAX_TIME_US)
        if far.any():
            i = int(far.argmax())
            raise FormatError(
                f"{self.name}: event {numbers[i]}: t={t[i]} us is beyond 285 years{self._at(numbers[i])}; the file is "
                "damaged, or its times are in another unit"
            )
        if self.options.on_backward == "sort":
            return events if self.buffer else events[np.argsort(t, kind="stable")]
        before = np.concatenate([[self.last], t[:-1]])
        falls = t < before
        if not falls.any():
            return events
        if self.options.on_backward == "error":
            i = int(falls.argmax())
            raise FormatError(
                f"{self.name}: event {numbers[i]}: time falls from {before[i]} to {t[i]} us{self._at(numbers[i])}; "
                "pass on_backward='sort' to sort the events or 'drop' to leave such events out"
            )
        keep = t >= np.maximum.accumulate(np.maximum(t, self.last))
        self.dropped["backward"] += int(len(t) - keep.sum())
        return events[keep]

    def _outside(self, bad: NDArray[np.bool_], x: NDArray, y: NDArray, numbers: int | NDArray[np.int64]) -> None:
        """Count the events outside the sensor, or refuse them."""
        if self.options.on_outside == "drop":
            self.dropped["outside"] += int(bad.sum())
            return
        i = int(bad.argmax())
        number = numbers + i if isinstance(numbers, int) else int(numbers[i])
        raise FormatError(
            f"{self.name}: event {number}: pixel x={x[i]}, y={y[i]} is outside the {self.width}x{self.height} sensor"
            f"{self._at(number)}; pass width/height of the sensor (the largest x is {x.max()}, the largest y "
            f"{y.max()}), or on_outside='drop'"
        )

    def _at(self, number: int) -> str:
        place = self.place(int(number))
        return f" ({place})" if place else ""

    def _hold(self, events: NDArray[np.void]) -> NDArray[np.void]:
        """Sort within the buffer: all but the latest ``buffer`` events go on."""
        late = events["t"] < self.last
        if late.any():
            self.dropped["backward"] += int(late.sum())
            events = events[~late]
        held = np.concatenate([self.held, events])
        held = held[np.argsort(held["t"], kind="stable")]
        cut = max(0, len(held) - self.buffer)
        self.held = held[cut:]
        if cut:
            self.last = int(held["t"][cut - 1])
        return held[:cut]
