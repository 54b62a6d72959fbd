"""Activity watched while an engine runs, so that gate units fit it.

The cost model (:mod:`gxevent.runtime.costs`) chooses kernels by the activity that a graph expects. An engine looks at
some samples now and then; where others would have been chosen for what it sees, it adds up what the old choice has
cost since, by the model, and builds the new gate units once that exceeds the price of building them. So a wrong
expectation costs at most about twice what knowing better from the start would have, and no result ever changes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from gxevent.graph import EventGraph
from gxevent.runtime import costs
from gxevent.runtime.counts import Counts
from gxevent.runtime.units import Unit

DIGITS = 6
"""Decimals kept of a share: files stay readable."""

LOOKED_AT = 16
"""Samples of a look, at most, where a run does not count anyway."""

FIRST, GROWTH, SELDOM = 64, 4, 1 << 16
"""Samples before the first look, how much later each next one comes, and how many lie between looks at most."""

WORTH = 0.03
"""Share of the whole time that the model must promise to save."""


@dataclass
class Tally:
    """Events seen by population, and in how many samples."""

    events: dict[str, int] = field(default_factory=dict)
    samples: int = 0

    def add(self, counts: Counts) -> None:
        self.samples += counts.samples
        for name, events in counts.events.items():
            self.events[name] = self.events.get(name, 0) + int(events.sum())

    def shares(self, graph: EventGraph) -> dict[str, float]:
        """Mean share of active units, by population that sends events."""
        units = max(self.samples, 1)
        return {name: round(n / (units * graph.populations[name].size), DIGITS) for name, n in self.events.items()}


class Watch:
    """Compares what an engine's plan expects with what is seen.

    Parameters
    ----------
    cost_ns
        What building a plan anew takes.
    """

    def __init__(self, graph: EventGraph, kernel: str, cost_ns: float) -> None:
        self.graph, self.kernel, self.cost_ns = graph, kernel, cost_ns
        self.interval, self.seen, self.lost_ns = FIRST, Tally(), 0.0

    def look(self, units: Iterable[Unit], counts: Counts, ran: int) -> EventGraph | None:
        """Take in the counts of a look; the graph to build a plan of where that pays by now, else None.

        units : the plan's
        ran : samples of the run that was looked at
        """
        self.seen.add(counts)
        if self.seen.samples < LOOKED_AT:
            return None
        activity, self.seen = self.seen.shares(self.graph), Tally()
        now_ns = best_ns = 0.0
        for unit in units:
            if unit.work is not None and unit.choice is not None:
                share = costs.expected(self.graph.populations[unit.projection.source], activity)
                work = replace(unit.work, activity=share)
                now_ns += costs.time_of(unit.choice, work, self.kernel)
                best_ns += costs.time_of(costs.choose(work, self.kernel), work, self.kernel)
        if now_ns - best_ns > WORTH * now_ns:
            self.lost_ns += (now_ns - best_ns) * max(self.interval, ran)
        else:
            self.lost_ns = 0.0
        self.interval = min(self.interval * GROWTH, SELDOM)
        if self.lost_ns <= self.cost_ns:
            return None
        self.lost_ns = 0.0
        return replace(self.graph, activity=activity)

    @property
    def due(self) -> int:
        """Samples until the next look: at once while one is not finished."""
        return 1 if self.seen.samples else self.interval
