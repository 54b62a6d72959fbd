"""Events as they arrive: from a pipe, from UDP datagrams, or from a recording replayed at its own speed.

A *live source* is an iterator of event arrays (EVENT_DTYPE), each as soon as it is there. ``Intake`` reads one in a
thread of its own and holds what the consumer has not taken yet, up to a limit; beyond it either the source waits
(``"block"``) or the oldest events go (``"drop-oldest"``), and are counted.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _decode
from gxevent.errors import FormatError, GxError, OptionError
from gxevent.events.readers import columns
from gxevent.events.stream import EVENT_DTYPE, EventStream

PIPE_FORMATS = {"es": "es-dvs", "evt2": "evt2", "evt3": "evt3", "dat": "dat", "nmnist": "nmnist", "csv": ""}
"""Format of a pipe -> its compiled decoder."""

POLICIES = ("block", "drop-oldest")
READ_BYTES = 1 << 16
NO_TIME = 1 << 31
"""Bit of a UDP word that says that no time stamp follows."""

Chunks = Iterator[NDArray[np.void]]


@dataclass
class Loss:
    """What a live source could not deliver, by kind; counted as it happens."""

    counts: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, number: int) -> None:
        if number:
            self.counts[kind] += number


# ---------------------------------------------------------------------------------------------------------- pipes


def from_pipe(file: BinaryIO, format: str, loss: Loss) -> Chunks:
    """Events of a pipe (or file) in a format of ``PIPE_FORMATS``, as soon as their bytes are there.

    ``loss`` counts ``truncated_bytes`` of a pipe that closes inside an event, and ``late_events`` whose time falls.
    Raises OptionError for another format, FormatError naming the byte or line where the data cannot be right.
    """
    if format not in PIPE_FORMATS:
        raise OptionError(f"format {format!r} cannot be read from a pipe: choose {', '.join(PIPE_FORMATS)}")
    chunks = _csv(file, loss) if format == "csv" else _binary(file, format, loss)
    return _in_order(chunks, loss)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    """What is there, without waiting for a full buffer; ends when the other side closes."""
    while piece := os.read(file.fileno(), READ_BYTES):
        yield piece


def _binary(file: BinaryIO, format: str, loss: Loss) -> Chunks:
    decoder = _decode.Decoder(PIPE_FORMATS[format])
    pieces, held, at, height = _pieces(file), b"", 0, 0
    header = format != "nmnist"
    for piece in pieces:
        held += piece
        if header:
            size = _header_size(held, format)
            if size is None:
                if len(held) > READ_BYTES:
                    raise FormatError(f"pipe: no {format} header ends within the first {len(held)} bytes")
                continue
            height = int.from_bytes(held[18:20], "little") if format == "es" else 0
            held, at, header = held[size:], size, False
        while len(held) > 0:
            events = np.empty(decoder.room(len(held)) + 64, EVENT_DTYPE)
            taken, made = decoder.decode(held, events.view(np.uint8))
            held, at = held[taken:], at + taken
            if decoder.failed:
                raise FormatError(f"pipe: byte {at} is no {format} event; is it another format?")
            if made:
                if height:  # rows of Event Stream count upwards
                    events["y"][:made] = height - 1 - events["y"][:made]
                yield events[:made]
            if not taken:
                break
    loss.add("truncated_bytes", len(held))


def _header_size(data: bytes, format: str) -> int | None:
    """Bytes before the first event; None while its end has not arrived."""
    if format == "es":
        if not b"Event Stream"[: len(data)] == data[:12]:
            raise FormatError(f"pipe: begins with {data[:12]!r}, which is no Event Stream")
        if len(data) >= 16 and data[15] != 1:
            raise FormatError(f"pipe: Event Stream of type {data[15]}, live input takes type 1 (dvs)")
        return 20 if len(data) >= 20 else None
    at = 0
    while data[at : at + 1] == b"%":
        end = data.find(b"\n", at)
        if end < 0:
            return None
        at = end + 1
    if at == len(data):
        return None
    if format != "dat":
        return at
    return at + 2 if len(data) >= at + 2 else None  # event type and size


def _csv(file: BinaryIO, loss: Loss) -> Chunks:
    """Lines ``t,x,y,p``, or in the order a header names; whole times are microseconds, fractions seconds."""
    order, scale, held, line = {"t": 0, "x": 1, "y": 2, "p": 3}, None, b"", 0
    for piece in _pieces(file):
        *lines, held = (held + piece).split(b"\n")
        rows = []
        for text in lines:
            line += 1
            words = text.decode(errors="replace").replace(";", ",").replace("\t", ",").replace(" ", ",").split(",")
            words = [word for word in words if word.strip()]
            if not words or words[0].startswith(("#", "%")):
                continue
            if words[0].strip()[0].isalpha():
                order, unit = columns.find([word.strip() for word in words])
                scale = {"s": 1e6, "ms": 1e3, "us": 1.0, "ns": 1e-3}.get(unit or "")
                continue
            try:
                rows.append([float(words[order[name]]) for name in "txyp"])
            except (ValueError, IndexError):
                raise FormatError(f"pipe: line {line} is no event: {text[:60]!r}") from None
            if scale is None:
                scale = 1e6 if "." in words[order["t"]] else 1.0
        if rows:
            yield _table(np.array(rows), scale or 1.0, line)
    if held.strip():
        loss.add("truncated_bytes", len(held))


def _table(rows: NDArray[np.float64], scale: float, line: int) -> NDArray[np.void]:
    events = np.empty(len(rows), EVENT_DTYPE)
    if not np.isfinite(rows).all() or (rows[:, 1:3] < 0).any() or (rows[:, 1:3] > 65535).any():
        raise FormatError(f"pipe: a coordinate outside 0 to 65535 within the lines before line {line}")
    events["t"] = np.rint(rows[:, 0] * scale)
    events["x"], events["y"], events["p"] = rows[:, 1], rows[:, 2], rows[:, 3] > 0
    return events


def _in_order(chunks: Chunks, loss: Loss) -> Chunks:
    """Leave out events whose time falls: a window that has moved on cannot take them."""
    last = -(2**62)
    for events in chunks:
        latest = np.maximum.accumulate(np.maximum(events["t"], last))
        keep = events["t"] == latest
        loss.add("late_events", len(events) - int(np.count_nonzero(keep)))
        last = int(latest[-1])
        yield events if keep.all() else events[keep]


# ------------------------------------------------------------------------------------------------------------ UDP


def from_udp(host: str, port: int, loss: Loss, stop: threading.Event | None = None) -> Chunks:
    """Events of AER datagrams as aestream and SPIF send them: little-endian 32-bit words.

    Bits 0-14 y, bit 15 polarity, bits 16-30 x; bit 31 set: no time stamp, the event gets the time of its arrival; bit
    31 clear: the next word is its time in microseconds. Ends when ``stop`` is set. ``loss`` counts ``odd_datagrams``
    (whose length is no whole number of words, or that end before a time stamp: their whole events are kept), and
    ``late_events``.

    Raises OptionError when the address cannot be listened on.
    """
    stop = stop or threading.Event()
    try:
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        receiver.bind((host, port))
    except (OSError, OverflowError) as error:
        raise OptionError(f"udp://{host}:{port}: cannot be listened on ({error})") from error
    receiver.settimeout(0.1)
    return _in_order(_datagrams(receiver, loss, stop), loss)


def _datagrams(receiver: socket.socket, loss: Loss, stop: threading.Event) -> Chunks:
    begun = time.monotonic_ns()
    with receiver:
        while not stop.is_set():
            try:
                data = receiver.recv(65536)
            except TimeoutError:
                continue
            events = decode_datagram(data, (time.monotonic_ns() - begun) // 1000, loss)
            if len(events):
                yield events


def decode_datagram(data: bytes, now_us: int, loss: Loss) -> NDArray[np.void]:
    """Events of one datagram; those without a time stamp are given ``now_us``."""
    words = np.frombuffer(data[: len(data) // 4 * 4], "<u4")
    odd = len(words) * 4 != len(data)
    if len(words) and (words & NO_TIME).all():
        place, t = np.arange(len(words)), np.full(len(words), now_us, np.int64)
    else:
        at, places, times = 0, [], []
        while at < len(words):
            timed = not words[at] & NO_TIME
            if timed and at + 1 == len(words):
                odd = True
                break
            places.append(at)
            times.append(int(words[at + 1]) if timed else now_us)
            at += 2 if timed else 1
        place, t = np.array(places, np.int64), np.array(times, np.int64)
    loss.add("odd_datagrams", int(odd))
    events = np.empty(len(place), EVENT_DTYPE)
    chosen = words[place]
    events["t"], events["x"], events["y"] = t, chosen >> 16 & 0x7FFF, chosen & 0x7FFF
    events["p"] = chosen >> 15 & 1
    return events


# --------------------------------------------------------------------------------------------------------- replay


def replay(stream: EventStream, speed: float = 1.0, step_us: int = 1000) -> Chunks:
    """A recording at ``speed`` times its own pace, in steps of ``step_us`` of its time."""
    if not speed > 0:
        raise OptionError(f"speed: expected a number > 0, got {speed}")
    events = stream.oriented().events
    if not len(events):
        return
    t0 = int(events["t"][0])
    begun = time.monotonic()
    at = 0
    for end_us in range(t0 + step_us, int(events["t"][-1]) + step_us + 1, step_us):
        stop = int(np.searchsorted(events["t"], end_us))
        wait = begun + (end_us - t0) * 1e-6 / speed - time.monotonic()
        if stop > at:
            if wait > 0:
                time.sleep(wait)
            yield events[at:stop]
            at = stop


# --------------------------------------------------------------------------------------------------------- intake


class Intake:
    """Reads a live source in a thread; iterating gives ``(arrival, events)``, the arrival in seconds of the host's
    monotonic clock.

    Parameters
    ----------
    limit
        Events held at most for a consumer that is slower than the source.
    policy
        ``"block"``: the source waits (a pipe then holds back its writer; the system drops UDP datagrams).
        ``"drop-oldest"``: the oldest held events go, counted as ``overrun_events`` in ``loss``.
    """

    def __init__(self, chunks: Chunks, loss: Loss, *, limit: int = 1_000_000, policy: str = "block") -> None:
        if policy not in POLICIES:
            raise OptionError(f"policy {policy!r} is not one of {', '.join(POLICIES)}")
        if limit < 1:
            raise OptionError(f"limit: expected a number of events >= 1, got {limit}")
        self.loss, self.limit, self.policy = loss, limit, policy
        self._held: deque[tuple[float, NDArray[np.void]]] = deque()
        self._count = 0
        self._changed = threading.Condition()
        self._ended = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, args=(chunks,), daemon=True)
        self._thread.start()

    def _read(self, chunks: Chunks) -> None:
        try:
            for events in chunks:
                with self._changed:
                    while self.policy == "block" and self._held and self._count + len(events) > self.limit:
                        self._changed.wait()
                    self._held.append((time.monotonic(), events))
                    self._count += len(events)
                    while self.policy == "drop-oldest" and len(self._held) > 1 and self._count > self.limit:
                        _, gone = self._held.popleft()
                        self._count -= len(gone)
                        self.loss.add("overrun_events", len(gone))
                    self._changed.notify_all()
        except (GxError, OSError) as error:
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.void]]]:
        while True:
            with self._changed:
                while not self._held and not self._ended:
                    self._changed.wait(0.1)
                if not self._held:
                    break
                arrival, events = self._held.popleft()
                self._count -= len(events)
                self._changed.notify_all()
            yield arrival, events
        if self._error is not None:
            raise self._error
