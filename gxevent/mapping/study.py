"""A study: a network on several chips by several methods, mapped and simulated, as one table with its Pareto front."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gxevent.graph import EventGraph
from gxevent.mapping.activity import Activity
from gxevent.mapping.chip import Chip
from gxevent.mapping.feasibility import Infeasible
from gxevent.mapping.frames import Frames
from gxevent.mapping.mapper import map_graph
from gxevent.mapping.mapping import Mapping
from gxevent.mapping.simulate import Simulation, simulate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = (
    "chip", "method", "verdict", "cores_used", "packets", "traffic", "max_link", "latency_us", "roofline_us",
    "energy_nj", "energy_low_nj", "energy_high_nj", "energy_complete", "front",
)  # fmt: skip
"""Columns of the table; packets, traffic and max_link are by frame in the chip's own convention, latency is the median
and energy the mean of a sample."""


@dataclass(eq=False)
class Point:
    """One chip and one method. ``mapping`` is None where the network does not fit, and ``problems`` says why;
    ``simulation`` is None where none was asked for."""

    chip: str
    method: str
    mapping: Mapping | None = None
    simulation: Simulation | None = None
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return f"{self.chip}, {self.method}"

    def as_dict(self) -> dict[str, Any]:
        """The row of ``gxevent map --json``: figures of the mapping, and under "simulation" those of the simulation."""
        row: dict[str, Any] = {"chip": self.chip, "method": self.method}
        if self.mapping is None:
            return row | {"verdict": "does not fit", "problems": list(self.problems), "simulation": None}
        m = self.mapping
        splits = {split.projection: len(split.cuts) - 1 for split in m.splits}
        settings = {"partitioner": m.settings.partitioner, "seed": m.settings.seed, "budget": m.settings.budget}
        said = None if self.simulation is None else self.simulation.summary()
        return row | {"verdict": "fits", "splits": splits} | m.traffic | settings | {"problems": [], "simulation": said}

    @property
    def cost(self) -> tuple[float, float] | None:
        """Median latency in microseconds and mean energy in nanojoules of a sample; None where one is not known."""
        if self.simulation is None or not self.simulation.timed or self.simulation.energy.total is None:
            return None
        return float(np.percentile(self.simulation.latency, 50)) / 1e6, self.simulation.energy.total.value / 1000


def study_point(
    graph: EventGraph,
    chip: Chip,
    method: str,
    activity: Activity | None = None,
    frames: Callable[[Mapping], Frames] | None = None,
    **options: Any,
) -> Point:
    """Map a graph onto one chip and simulate it on ``frames(mapping)``; ``options`` are those of :func:`map_graph`."""
    try:
        mapping = map_graph(graph, chip, activity, method=method, **options)
    except Infeasible as error:
        return Point(chip.name, method, problems=error.problems)
    return Point(chip.name, method, mapping, simulate(mapping, frames(mapping)) if frames else None)


def front(points: Sequence[Point]) -> list[bool]:
    """For each point whether no other is both quicker and thriftier.

    Only points whose whole energy is known compete: a total that lacks a part would win for what is not counted.
    """
    from gxevent.mapping.simulation_plots import pareto_front

    found = [False] * len(points)
    competing = [i for i, p in enumerate(points) if p.cost is not None and complete(p)]
    if competing:
        values = np.array([points[i].cost for i in competing])
        for row in pareto_front(values):
            found[competing[row]] = True
    return found


def complete(point: Point) -> bool:
    """Whether no cost that the counted work needs is unknown, static power aside."""
    return point.simulation is not None and not any(
        cost.startswith("energy.") for cost in point.simulation.energy.unknown
    )


def table(points: Sequence[Point]) -> list[dict[str, Any]]:
    """The study as rows with the fields of ``COLUMNS``; None for what is not known."""
    rows = []
    for point, best in zip(points, front(points), strict=True):
        row: dict[str, Any] = dict.fromkeys(COLUMNS)
        row |= {"chip": point.chip, "method": point.method, "front": best}
        row["verdict"] = "does not fit" if point.mapping is None else "fits"
        if point.mapping is not None:
            t = point.mapping.traffic
            row |= {"cores_used": t["cores_used"], "packets": t["packets"], "max_link": t["max_link"]}
            row["traffic"] = t[f"{t['convention']}_traffic"]
        if point.simulation is not None:
            said = point.simulation.summary()
            total = said["energy_nj"]["total"] or {}
            row |= {"latency_us": said["latency_us"]["p50"], "roofline_us": said["roofline_us"]["p50"]}
            row |= {"energy_nj": total.get("value"), "energy_low_nj": total.get("low")}
            row |= {"energy_high_nj": total.get("high"), "energy_complete": complete(point)}
        rows.append(row)
    return rows


def as_csv(points: Sequence[Point]) -> str:
    """The table as comma-separated values, empty for what is not known."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(table(points))
    return text.getvalue()


def as_json(points: Sequence[Point]) -> str:
    """The table, and every figure of each point, as one JSON object."""
    return json.dumps({"table": table(points), "mappings": [point.as_dict() for point in points]}, indent=2)


def write_figures(points: Sequence[Point], folder: str | os.PathLike[str]) -> list[Path]:
    """Pareto front and energy by part of all points, occupancy and link loads of each, as PNG; returns their paths."""
    from gxevent.mapping import plots, simulation_plots

    known = {p.name: p.cost for p in points if p.cost is not None}
    simulated = {p.name: p.simulation for p in points if p.simulation is not None}
    drawn: dict[str, Figure] = {}
    if known:
        drawn["pareto"] = simulation_plots.pareto(known, {p.name for p in points if not complete(p)})
    if any(s.energy.total is not None for s in simulated.values()):
        drawn["energy"] = simulation_plots.energy_stack(simulated)
    for point in points:
        name = f"{point.chip}-{point.method}"
        if point.mapping is not None:
            drawn[f"{name}-occupancy"] = plots.occupancy(point.mapping)
        if point.simulation is not None:
            drawn[f"{name}-links"] = simulation_plots.link_heat(point.simulation)
    return simulation_plots.write(drawn, folder)
