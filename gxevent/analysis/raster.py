"""One recording through all layers: who sends an address event, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError
from gxevent.events import EventStream
from gxevent.graph import EventGraph
from gxevent.runtime import Engine


class Spikes(NamedTuple):
    """Address events of one population: t_us int64 (n,), unit int32 (n,), level int8 (n,), never 0."""

    t_us: NDArray[np.int64]
    unit: NDArray[np.int32]
    level: NDArray[np.int8]


@dataclass(frozen=True, eq=False)
class Raster:
    """Address events of all populations along a recording.

    spikes : by population that sends; units : its size. t_us int64 (looks,), scores float32 (looks, classes).
    """

    sample: str
    label: str
    classes: tuple[str, ...]
    units: dict[str, int]
    spikes: dict[str, Spikes]
    t_us: NDArray[np.int64]
    scores: NDArray[np.float32]

    @property
    def prediction(self) -> str:
        """The decision at the end."""
        return self.classes[int(self.scores[-1].argmax())]


def trace_recording(
    graph: EventGraph,
    stream: EventStream,
    *,
    window: str | None = None,
    looks: int = 400,
    sample: str = "",
    label: str = "",
) -> Raster:
    """Run a recording in stream mode and look at all levels ``looks`` times, evenly spread over it.

    A unit's address event is a level that has become another one than 0 since the look before; a level that only
    vanishes sends nothing. Times are those of the looks. The window defaults to the encoder's.

    Raises OptionError for a recording without events or a network that takes no streams.
    """
    stream = stream.oriented()
    t = stream.events["t"].astype(np.int64)
    if not len(t):
        raise OptionError(f"{sample or stream.source or 'recording'}: holds no events")
    times = np.unique(np.linspace(int(t[0]), int(t[-1]), looks).astype(np.int64))
    engine = Engine(graph)
    session = engine.stream(window=window)
    units = {name: p.size for name, p in graph.populations.items() if p.sends_events}
    before = {name: np.zeros(size, np.int8) for name, size in units.items()}
    found: dict[str, list[tuple[NDArray, NDArray, NDArray]]] = {name: [] for name in units}
    sums = []
    ends = np.searchsorted(t, times, side="right")
    for time, made in zip(times.tolist(), session.decide_at(stream.events, ends, times), strict=True):
        sums.append(made.accumulators)
        for name, levels in session.outputs().items():
            now = levels.ravel()
            sent = np.flatnonzero((now != before[name]) & (now != 0))
            found[name].append((np.full(len(sent), time), sent.astype(np.int32), now[sent]))
            before[name] = now.copy()
    spikes = {
        name: Spikes(*(np.concatenate(column) for column in zip(*parts, strict=True))) for name, parts in found.items()
    }
    return Raster(sample, label, graph.classes, units, spikes, times, engine.scores(np.stack(sums)))
