"""From the bytes of a file to checked streams: sources yield blocks of events, a gate applies the policies.

A *source* knows one format. It yields the events of one file in blocks, in file order and as they are stored; whether
the whole file is asked for (:func:`read_whole`) or pieces of it (:func:`read_chunks`), the blocks pass the same
*gate*, which refuses, drops or sorts what does not belong into a stream, and counts what it drops.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError, OptionError
from gxevent.events.readers.gate import SORT_BUFFER, Block, Columns, Gate
from gxevent.events.readers.options import SENSORS, ReadOptions
from gxevent.events.stream import EVENT_DTYPE, MAX_TIME_US, EventStream

MIN_READ, MAX_READ = 1 << 16, 1 << 22
"""Bytes of a file read at once when it is read in chunks, by the size of these."""

WHOLE_READ = 1 << 19
"""Bytes read at once of a whole file: they stay in the cache until they are decoded."""

MAX_REST = 4096
"""Bytes of a whole word, event or packet header at most."""

EVENT_BYTES = EVENT_DTYPE.itemsize

HEAD_BYTES = 1 << 16
"""Bytes in which headers are looked for (AEDAT 2 headers may be longer and are read line by line)."""


class Source:
    """The events of one file. Subclasses yield blocks; all else has usual answers.

    Attributes
    ----------
    stated
        (width, height) as the file states it, or None.
    boxed
        The stated size may be the box around the events instead of a sensor: an unusual size that they fill to its
        last row and column is taken for one.
    usual, only_usual
        Sensors this format comes from, smallest first: the guess where nothing is stated. Unless there can be no
        others, events outside all of them make a sensor of their own.
    y_up
        Rows count upwards in this format; the streams say so and keep the values.
    passed, dropped
        Content that is no event, and events that were lost: kind -> count. Complete when the blocks are.
    """

    stated: tuple[int, int] | None = None
    boxed: bool = False
    usual: tuple[tuple[int, int], ...] = SENSORS
    only_usual: bool = False
    y_up: bool = False

    def __init__(self) -> None:
        self.passed: dict[str, int] = {}
        self.dropped: Counter[str] = Counter()

    def blocks(self, size: int | None) -> Iterator[Block]:
        """The events from the first on: all in one or few blocks (None), or in blocks of at most ``size``."""
        raise NotImplementedError

    def place(self, number: int) -> str:
        """Where event ``number`` lies in the file, such as ``"byte 120"``; "" where that cannot be said."""
        return ""


OpenSource = Callable[[BinaryIO, str, ReadOptions], Source]
"""``open(file, name, options)``: a source over a binary file, which stays open while it is read."""


@dataclass
class Layout:
    """What a header says: the decoder to use, where the events begin, what a unit of the file is called."""

    decoder: _decode.Decoder
    start: int
    unit: int
    unit_name: str = "event"


class Coded(Source):
    """Events that a compiled decoder reads from a file, from byte ``layout.start`` on."""

    def __init__(self, file: BinaryIO, name: str, options: ReadOptions, layout: Layout) -> None:
        super().__init__()
        self.file, self.name, self.options, self.layout = file, name, options, layout

    def blocks(self, size: int | None) -> Iterator[NDArray[np.void]]:
        if size is None:
            yield self.whole(None)[0]
            return
        decoder = self.layout.decoder.copy()
        most = decoder.room(max(self.file.seek(0, os.SEEK_END) - self.layout.start, 0))
        room = max(min(size, most), 16)  # an EVT3 word holds up to 12 events
        total = 0
        for data in self._reads(min(max(4 * size, MIN_READ), MAX_READ)):
            at = 0
            while True:
                events = np.empty(room, EVENT_DTYPE)
                taken, made = decoder.decode(data[at:], events.view(np.uint8))
                at += taken
                total += made
                if made:
                    yield events[:made]
                if made < room - 12 or not taken or decoder.failed:
                    break
            self._taken = at
            if decoder.failed:
                break
        self._end(decoder, total)

    def whole(self, sensor: tuple[int, int] | None) -> tuple[NDArray[np.void], bool]:
        """(all events, whether they are known to be on the sensor with times that never fall)."""
        decoder = self.layout.decoder.copy()
        checked = sensor is not None and max(sensor) <= 1 << 15
        if checked:
            decoder.expect(*sensor)
        size = self.file.seek(0, os.SEEK_END) - self.layout.start
        events = np.empty(decoder.room(max(size, 0)) + 16, EVENT_DTYPE)
        made = 0
        for data in self._reads(min(WHOLE_READ, max(size, 1))):
            at = 0
            while True:
                taken, n = decoder.decode(data[at:], events.view(np.uint8)[EVENT_BYTES * made :])
                at += taken
                made += n
                if len(events) - made > 13 or decoder.failed:
                    break
                events.resize(len(events) + len(events) // 2, refcheck=False)  # no view of it is left
            self._taken = at
            if decoder.failed:
                break
        events.resize(made, refcheck=False)
        self._end(decoder, made)
        near = not made or (events["t"][0] >= -MAX_TIME_US and events["t"][-1] <= MAX_TIME_US)
        return events, bool(checked and decoder.clean and near)

    def _reads(self, size: int) -> Iterator[memoryview]:
        """Pieces of the file; what the consumer leaves behind ``self._taken`` bytes comes again with the next."""
        buffer = memoryview(bytearray(size + MAX_REST))
        self._at, self._have, self._taken = self.layout.start, 0, 0
        self.file.seek(self._at)
        while True:
            rest = self._have - self._taken
            buffer[:rest] = bytes(buffer[self._taken : self._have])
            n = self.file.readinto(buffer[rest : rest + size])
            self._at, self._have, self._taken = self._at + self._taken, rest + n, 0
            yield buffer[: self._have]
            if not n or self._have - self._taken > MAX_REST:
                return

    def _end(self, decoder: _decode.Decoder, number: int) -> None:
        """Note what was passed over; refuse or count what is left at the end of the file."""
        self.passed = decoder.passed
        self.dropped["untimed"] += self.passed.pop("events_without_time", 0)
        at, rest = self._at + self._taken, self._have - self._taken
        if decoder.failed:
            raise FormatError(
                f"{self.name}: byte {at} (behind event {number}): no packet header has such values; the "
                "file is damaged, fetch it again"
            )
        left, skip = decoder.pending
        if not rest and not left and not skip:
            return
        if self.options.on_truncated == "drop":
            self.dropped["truncated_bytes"] += rest
            self.dropped["missing_events"] += left
            return
        packet = f"; its last packet states {left} more" if left else "; its last packet is not whole" if skip else ""
        unit, what = self.layout.unit, self.layout.unit_name
        which = f"event {number}" if what == "event" else f"a {what} behind event {number - 1}"
        raise FormatError(
            f"{self.name}: cut short at byte {at + rest}: {which} ({unit} bytes from byte {at}) has only {rest}{packet}"
            "; fetch it again, or pass on_truncated='drop'"
        )

    def place(self, number: int) -> str:
        """Found by decoding once more, in small steps near the event."""
        decoder = self.layout.decoder.copy()
        scratch = np.empty(4096, EVENT_DTYPE).view(np.uint8)
        at = self.layout.start
        made = 0
        self.file.seek(at)
        rest = b""
        while data := rest + self.file.read(4096 - len(rest)):
            before = decoder.copy()
            taken, n = decoder.decode(data, scratch)
            if made + n > number:
                return f"byte {at + self._within(before, data, number - made)}"
            if not taken:
                break
            at, made, rest = at + taken, made + n, data[taken:]
        return ""

    @staticmethod
    def _within(decoder: _decode.Decoder, data: bytes, number: int) -> int:
        """Where in ``data`` the event ``number`` of it begins: decoded byte after byte."""
        scratch = np.empty(16, EVENT_DTYPE).view(np.uint8)
        at = made = 0
        for end in range(1, len(data) + 1):
            taken, n = decoder.decode(data[at:end], scratch)
            made += n
            if made > number:
                break
            at += taken
        return at


def read_whole(source: Source, name: str, options: ReadOptions) -> EventStream:
    """The whole recording as one checked stream."""
    if isinstance(source, Coded) and not options.needs_extent(source):
        width, height = options.sensor(-1, -1, source, name)
        gate = Gate(name, width, height, options, source.place)
        events, clean = source.whole((width, height))
        if clean:
            dropped = dict(+source.dropped)
            return EventStream.unchecked(events, width, height, name, dropped, source.passed, source.y_up)
        blocks: list[Block] = [events]
    else:
        blocks = list(source.blocks(None))
        width, height = options.sensor(*_extent(blocks), source, name)
        gate = Gate(name, width, height, options, source.place)
    if len(blocks) > 1 and not any(isinstance(block, Columns) for block in blocks):
        # As bytes: joining structures is slow.
        blocks = [np.concatenate([block.view(np.uint8) for block in blocks]).view(EVENT_DTYPE)]
    parts = [gate(block) for block in blocks] or [np.empty(0, EVENT_DTYPE)]
    events = parts[0] if len(parts) == 1 else np.concatenate(parts)
    if len(parts) > 1 and options.on_backward == "sort":
        events = events[np.argsort(events["t"], kind="stable")]
    dropped = dict(+(gate.dropped + source.dropped))
    return EventStream.unchecked(events, width, height, name, dropped, source.passed, source.y_up)


def read_chunks(
    open_source: Callable[[], Source], name: str, options: ReadOptions, chunk: int
) -> Iterator[EventStream]:
    """The recording as streams of at most ``chunk`` events; at least one, which may be empty.

    A file that does not state its sensor is read twice: the first time for the largest coordinates.
    """
    source = open_source()
    x = y = -1
    if options.needs_extent(source):
        for block in source.blocks(chunk):
            right, bottom = _extent([block])
            x, y = max(x, right), max(y, bottom)
        source = open_source()
    width, height = options.sensor(x, y, source, name)
    gate = Gate(name, width, height, options, source.place, SORT_BUFFER)
    told: Counter[str] = Counter()
    yielded = False

    def stream(events: NDArray[np.void], passed: dict[str, int]) -> EventStream:
        nonlocal told
        now = gate.dropped + source.dropped
        new, told = dict(+(now - told)), now
        return EventStream.unchecked(events, width, height, name, new, passed, source.y_up)

    for block in source.blocks(chunk):
        events = gate(block)
        for at in range(0, len(events), chunk):
            yield stream(events[at : at + chunk], {})
            yielded = True
    events = gate.finish()
    for at in range(0, max(len(events), 1), chunk):
        part = events[at : at + chunk]
        last = at + chunk >= len(events)
        if len(part) or source.passed or not yielded or gate.dropped + source.dropped != told:
            yield stream(part, source.passed if last else {})


def _extent(blocks: list[Block]) -> tuple[int, int]:
    x = y = -1
    for block in blocks:
        if isinstance(block, Columns):
            right, bottom = (int(column.max(initial=-1)) for column in (block.x, block.y))
        else:
            right, bottom = _decode.extent(block.view(np.uint8))
        x, y = max(x, right), max(y, bottom)
    return x, y


def head_of(file: BinaryIO) -> tuple[bytes, int]:
    """The first bytes of a file, as many as recognition may look at, and its size; the position goes back to 0.

    Cut so that the length leaves the same rest by 4 and by 5 as that of the file: formats are told by it.
    """
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(size if size <= HEAD_BYTES else HEAD_BYTES + (size - HEAD_BYTES) % 60)
    file.seek(0)
    return head, size


def positive_chunk(chunk: int) -> int:
    """``chunk`` if it is a whole number >= 1; else OptionError."""
    if isinstance(chunk, bool) or not isinstance(chunk, int | np.integer) or chunk < 1:
        raise OptionError(f"chunk: expected a whole number of events >= 1, got {chunk!r}")
    return int(chunk)
