"""Live decisions: a stream session fed by a live source, each decision given out as soon as it is made."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from gxevent.errors import OptionError
from gxevent.events import iter_events, open_events
from gxevent.events.live import Chunks, Intake, Loss, from_pipe, from_udp, replay
from gxevent.graph import EventGraph
from gxevent.runtime.engine import Engine
from gxevent.runtime.stream import StreamSession

CHUNK = 1 << 16
"""Events read at once from a recording that is run as fast as it can be."""


@dataclass(frozen=True)
class LiveDecision:
    """One decision of a live run.

    t_us: event time; wall_s: host time since the run began; latency_us: from the arrival of the events to here.
    """

    t_us: int
    wall_s: float
    latency_us: float
    decision: str
    scores: tuple[float, ...]

    def as_dict(self) -> dict[str, Any]:
        return self.__dict__ | {"scores": list(self.scores)}


def run_live(
    session: StreamSession, intake: Intake, limit: int | None = None, stop: Callable[[], None] = lambda: None
) -> Iterator[LiveDecision]:
    """Push what arrives, yield what is decided.

    Ends with the source, or after ``limit`` decisions, calling ``stop``.
    """
    begun = time.monotonic()
    classes = session.graph.classes
    made = 0
    for arrival, events in intake:
        updates = session.push(events)
        done = time.monotonic()
        best = updates.predictions
        for i in range(len(updates)):
            yield LiveDecision(
                t_us=int(updates.t_us[i]),
                wall_s=round(done - begun, 6),
                latency_us=round((done - arrival) * 1e6, 1),
                decision=classes[best[i]],
                scores=tuple(np.round(updates.scores[i].astype(float), 6).tolist()),
            )
            made += 1
            if limit is not None and made >= limit:
                stop()
                return


class LiveRun:
    """A live run from where its events come to its decisions.

    Parameters
    ----------
    where
        ``"-"``: standard input, in ``format``; ``"udp://host:port"``: AER datagrams; else a recording, replayed at its
        own speed, or as fast as it goes (``pace="max"``: in chunks, any length in constant memory).
    window, stride, kernel
        As for :meth:`Engine.stream`; a decision after every event by default.
    policy, limit_events
        As for :class:`gxevent.events.live.Intake`.

    Raises what those raise.
    """

    def __init__(
        self,
        graph: EventGraph,
        where: str,
        *,
        format: str = "es",
        pace: str = "real",
        window: str | None = None,
        stride: str | None = None,
        kernel: str = "auto",
        policy: str = "block",
        limit_events: int = 1_000_000,
    ) -> None:
        self.session = Engine(graph, kernel=kernel).stream(window=window, stride=stride)
        self.loss = Loss()
        self._stopped = threading.Event()
        self.made = 0
        self.latencies: list[float] = []
        self._intake = Intake(self._chunks(where, format, pace), self.loss, limit=limit_events, policy=policy)

    def _chunks(self, where: str, format: str, pace: str) -> Chunks:
        if where == "-":
            return from_pipe(sys.stdin.buffer, format, self.loss)
        if where.startswith("udp://"):
            host, _, port = where.removeprefix("udp://").rpartition(":")
            if not host or not port.isdigit():
                raise OptionError(f"source {where!r}: expected udp://host:port")
            return from_udp(host, int(port), self.loss, self._stopped)
        if "://" in where:
            raise OptionError(f"source {where!r}: expected udp://host:port")
        if pace == "max":
            return (part.oriented().events for part in iter_events(where, CHUNK))
        return replay(open_events(where))

    def decisions(self, limit: int | None = None) -> Iterator[LiveDecision]:
        """Decisions as they are made; ends with the source, or after ``limit`` of them."""
        for decision in run_live(self.session, self._intake, limit, self.stop):
            self.made += 1
            self.latencies.append(decision.latency_us)
            if len(self.latencies) > 200_000:  # a camera never stops: keep the later half
                del self.latencies[:100_000]
            yield decision

    def stop(self) -> None:
        """End a source that would not end by itself."""
        self._stopped.set()

    def line(self) -> str:
        """What happened, in one line."""
        events = self.session.statistics().events
        p50, p99 = np.percentile(self.latencies, [50, 99]) if self.latencies else (0.0, 0.0)
        lost = ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in sorted(self.loss.counts.items())) or "nothing"
        return f"{events:,} events, {self.made:,} decisions, latency p50 {p50:,.0f} us, p99 {p99:,.0f} us; lost: {lost}"
