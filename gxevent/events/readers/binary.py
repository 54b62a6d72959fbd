"""Encoders of the binary formats: chunks of one recording to bytes, the inverse of ``cython_core/decode.h``.

Every one checks that the format can hold the events. Counters that come round (EVT 2.0, EVT 3.0) are kept unmistakable
by extra time words in long pauses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import CapacityError, FormatError
from gxevent.events.stream import EventStream

_NMNIST_ROW = 240
_MAX_FILLER = 1 << 28
"""Bytes of Event Stream that may go into one pause: 127 us each, 9 hours."""


def nmnist(chunks: Iterable[EventStream]) -> Iterator[bytes]:
    """5 bytes an event (x < 256, y < 240, t < 2**23 us)."""
    for part, _, _ in _checked(chunks, "the N-MNIST format", {"t": 1 << 23, "x": 256, "y": _NMNIST_ROW}):
        e = part.events
        out = np.empty((len(e), 5), np.uint8)
        t = e["t"]
        out[:, 0], out[:, 1] = e["x"], e["y"]
        out[:, 2] = (t >> 16) | (e["p"].astype(np.int64) << 7)
        out[:, 3], out[:, 4] = t >> 8 & 255, t & 255
        yield out.tobytes()


def dat(chunks: Iterable[EventStream]) -> Iterator[bytes]:
    """Prophesee DAT version 2, type 0x0C (x, y < 2**14, t < 2**32 us)."""
    limits = {"t": 1 << 32, "x": 1 << 14, "y": 1 << 14}
    for part, _, begins in _checked(chunks, "Prophesee DAT", limits):
        if begins:
            head = f"% Data file containing CD events.\n% Version 2\n% Height {part.height}\n% Width {part.width}\n"
            yield head.encode() + b"\x0c\x08"
        e = part.events
        words = np.empty((len(e), 2), "<u4")
        words[:, 0] = e["t"]
        words[:, 1] = e["x"] | e["y"].astype(np.uint32) << 14 | e["p"].astype(np.uint32) << 28
        yield words.tobytes()


def evt2(chunks: Iterable[EventStream]) -> Iterator[bytes]:
    """EVT 2.0 (x, y < 2**11, first event before 2**34 us)."""
    limits = {"first t": 1 << 34, "x": 1 << 11, "y": 1 << 11}
    for part, before, begins in _checked(chunks, "EVT 2.0", limits):
        if begins:
            yield _evt_header(part, "EVT2", "2.0")
        e = part.events
        t = e["t"].astype(np.int64)
        pixel = (t & 63) << 22 | e["x"].astype(np.int64) << 11 | e["y"] | e["p"].astype(np.int64) << 28
        high, highs = _time_highs(t >> 6, -1 if before is None else before >> 6, 1 << 27)
        yield _interleave([(high & 0xFFFFFFF | 8 << 28, highs), (pixel, np.ones(len(e), np.int64))], "<u4")


def evt3(chunks: Iterable[EventStream]) -> Iterator[bytes]:
    """EVT 3.0, single events (x, y < 2**11, first event before 2**24 us)."""
    limits = {"first t": 1 << 24, "x": 1 << 11, "y": 1 << 11}
    last_y = last_low = -1
    for part, before, begins in _checked(chunks, "EVT 3.0", limits):
        if begins:
            yield _evt_header(part, "EVT3", "3.0")
        e = part.events
        t, y = e["t"].astype(np.int64), e["y"].astype(np.int64)
        low = t & 4095
        high, highs = _time_highs(t >> 12, -1 if before is None else before >> 12, 1 << 11)
        lows = (np.diff(low, prepend=last_low) != 0) | (highs > 0)
        rows = np.diff(y, prepend=last_y) != 0
        single = 2 << 12 | e["p"].astype(np.int64) << 11 | e["x"]
        parts = [(high & 4095 | 8 << 12, highs), (low | 6 << 12, lows), (y, rows), (single, np.ones(len(e), np.int64))]
        yield _interleave(parts, "<u2")
        if len(e):
            last_y, last_low = int(y[-1]), int(low[-1])


def event_stream(chunks: Iterable[EventStream]) -> Iterator[bytes]:
    """Event Stream 2.0.0, type dvs; y comes counted upwards, t must be >= 0 and pauses below 9 hours."""
    for part, before, begins in _checked(chunks, "Event Stream", {"t": 1 << 53, "x": 1 << 16, "y": 1 << 16}):
        if begins:
            if part.width > 65535 or part.height > 65535:
                raise FormatError(f"{_where(part)}a sensor of {part.width}x{part.height} does not fit Event Stream")
            size = part.width.to_bytes(2, "little") + part.height.to_bytes(2, "little")
            yield b"Event Stream\x02\x00\x00\x01" + size
        e = part.events
        fill, step = np.divmod(np.diff(e["t"].astype(np.int64), prepend=before or 0), 127)
        if fill.sum() > _MAX_FILLER:
            i = int(fill.argmax())
            raise CapacityError(
                f"{_where(part)}event {i}: t={e['t'][i]}: Event Stream would need {fill.sum()} bytes to get to these "
                "times; begin at 0 (--rebase)"
            )
        fields = np.empty((len(e), 5), np.uint8)
        fields[:, 0] = step << 1 | e["p"]
        fields[:, 1:] = np.stack([e["x"], e["y"]], axis=1).astype("<u2").view(np.uint8)
        out = np.full(int(fill.sum()) + 5 * len(e), 0xFF, np.uint8)
        at = np.cumsum(fill) + 5 * np.arange(len(e))
        for i in range(5):
            out[at + i] = fields[:, i]
        yield out.tobytes()


def _checked(
    chunks: Iterable[EventStream], what: str, limits: dict[str, int]
) -> Iterator[tuple[EventStream, int | None, bool]]:
    """(chunk, last time before it or None, whether it is the first) once its events are known to fit the format.

    ``limits``: x, y and t must be below these; ``first t`` asks it of the first event only.
    """
    before: int | None = None
    number = 0
    for index, part in enumerate(chunks):
        for field, limit in limits.items():
            values = part.events[field[-1]]
            over = values >= limit
            if field == "first t" and before is not None:
                over[:] = False
            elif field == "first t":
                over[1:] = False
            bad = (values < 0) | over
            if bad.any():
                i = int(bad.argmax())
                raise FormatError(
                    f"{_where(part)}event {number + i}: {field[-1]}={values[i]}, {what} holds 0 to {limit - 1}; write "
                    f"npz{' or begin at 0 (--rebase)' if field[-1] == 't' else ''}"
                )
        t = part.events["t"]
        if t.size and before is not None and t[0] < before:
            raise FormatError(f"{_where(part)}event {number}: time falls from {before} to {t[0]} us")
        yield part, before, index == 0
        number += t.size
        before = int(t[-1]) if t.size else before


def _time_highs(high: NDArray[np.int64], before: int, half: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(values of time words, how many stand before each event): one where the upper part of the time changes.

    More where it moves by half a turn or further, which a reader could not tell from a step back or miss altogether.
    """
    steps = np.diff(high, prepend=before if before >= 0 else high[:1] - 1)
    count = np.where(steps > 0, (steps + half - 2) // (half - 1), 0)
    if count.sum() == (steps > 0).sum():
        return high[steps > 0], count
    if count.sum() > _MAX_FILLER:
        raise CapacityError("a pause in the recording is too long for this format; write npz")
    event = np.repeat(np.arange(high.size), count)
    place = np.arange(event.size) - np.repeat(np.cumsum(count) - count, count) + 1
    return (high - steps)[event] + np.minimum(place * (half - 1), steps[event]), count


def _interleave(parts: list[tuple[NDArray[np.int64], NDArray]], kind: str) -> bytes:
    """Words of several sorts in the order of the events: each part gives its words and their number before an event.

    Words of a part that stands once per event or not at all may be given for all events.
    """
    counts = np.stack([np.asarray(count, np.int64) for _, count in parts])
    ends = np.cumsum(counts.sum(axis=0)) if counts.size else np.zeros(0, np.int64)
    out = np.empty(int(ends[-1]) if ends.size else 0, kind)
    behind = ends - counts.sum(axis=0)
    for (words, _), count in zip(parts, counts, strict=True):
        total = int(count.sum())
        if words.size != total:
            words = words[count > 0]
        out[np.repeat(behind - (np.cumsum(count) - count), count) + np.arange(total)] = words
        behind = behind + count
    return out.tobytes()


def _evt_header(part: EventStream, name: str, version: str) -> bytes:
    size = f"% geometry {part.width}x{part.height}\n"
    return f"% evt {version}\n% format {name};height={part.height};width={part.width}\n{size}% end\n".encode()


def _where(part: EventStream) -> str:
    return f"{part.source}: " if part.source else ""
