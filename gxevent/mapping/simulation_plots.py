"""Figures of simulations: Gantt chart, energy stack, packet latencies, link loads, Pareto front (matplotlib)."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping as Named
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError, require
from gxevent.mapping.simulate import EDGES, Simulation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NANOSECOND = 1000
"""Times are picoseconds."""

FAR = 10
"""Values so many times apart are not drawn on one linear axis."""


def gantt(simulation: Simulation) -> Figure:
    """What each core did when, in the first frame: sending by population, receiving from first packet to last."""
    figure, axis = _figure(height=min(1.5 + 0.16 * len(simulation.traffic.work.cores), 10.0))
    from matplotlib import colormaps

    work, colors = simulation.traffic.work, colormaps["tab10"]
    seen: set[int] = set()
    for begin, end, row, population in gantt_rows(simulation):
        label = work.populations[population] if population >= 0 and population not in seen else None
        seen.add(population)
        color = "0.75" if population < 0 else colors(population % 10)
        axis.barh(row, end - begin, left=begin, height=0.4 if population < 0 else 0.8, color=color, label=label)
    names = [str(core) for core in work.cores] + ["port"]
    axis.set(xlabel="us", ylabel="core", title=_title(simulation, "first frame; receiving in grey"))
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.invert_yaxis()
    figure.legend(fontsize=7, loc="outside right upper")
    return figure


def gantt_rows(simulation: Simulation) -> list[tuple[float, float, int, int]]:
    """(begin us, end us, row of the core, population index or -1 for receiving) of the first frame."""
    work, rows = simulation.traffic.work, []
    for stage in range(work.stages):
        begin, end = simulation.receive_begin[stage], simulation.receive_end[stage]
        rows += [(begin[i] / 1e6, end[i] / 1e6, int(i), -1) for i in np.flatnonzero(end >= 0)]
    for group in np.flatnonzero(simulation.group_end >= 0):
        begin, end = simulation.group_begin[group] / 1e6, simulation.group_end[group] / 1e6
        rows.append((float(begin), float(end), int(work.group_sender[group]), int(work.group_population[group])))
    return rows


def energy_stack(simulations: Named[str, Simulation]) -> Figure:
    """Energy of a sample by part, one bar a simulation; the whisker is the band of the published costs.

    Where totals are far apart the bars are shares of each total, which stands above its bar with its band.
    """
    figure, axis = _figure()
    names, energies = list(simulations), [s.energy for s in simulations.values()]
    totals = [e.total for e in energies]
    known = [t.value / 1000 for t in totals if t is not None and t.value > 0]
    shares = bool(known) and max(known) > FAR * min(known)
    scale = np.array([(t.value / 1000 if shares else 1.0) if t is not None and t.value > 0 else 1.0 for t in totals])
    bottom = np.zeros(len(simulations))
    for part in energies[0].parts if energies else ():
        bands = [e.parts[part] for e in energies]
        height = np.array([band.value / 1000 if band else 0.0 for band in bands]) / scale
        if height.any():
            axis.bar(names, height, bottom=bottom, label=part)
            bottom += height
    low = [max(t.value - t.low, 0) / 1000 if t else 0.0 for t in totals]
    high = [max(t.high - t.value, 0) / 1000 if t else 0.0 for t in totals]
    axis.errorbar(names, bottom, yerr=np.array([low, high]) / scale, fmt="none", ecolor="black", capsize=4)
    if shares:
        for x, (total, top) in enumerate(zip(totals, bottom + np.array(high) / scale, strict=True)):
            text = "not known" if total is None else f"{total.value / 1000:,.3g} nJ"
            axis.annotate(text, (x, top), ha="center", xytext=(0, 4), textcoords="offset points", fontsize=8)
        axis.margins(y=0.15)
    missing = {cost for e in energies for cost in e.unknown}
    title = "energy of known parts" + (f" (kinds of cost not known: {len(missing)})" if missing else "")
    axis.set(ylabel="share of a sample's energy" if shares else "nJ a sample")
    axis.set_title(title)
    if len(names) > 3:
        axis.tick_params(axis="x", rotation=30, labelsize=7)
    axis.legend(fontsize=7, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def packet_latency(simulation: Simulation) -> Figure:
    """Histograms of the time until a packet reaches its core, and until the core is through with it."""
    figure, axis = _figure()
    for name, counts in (("to the core", simulation.network_latency), ("worked off", simulation.packet_latency)):
        used = np.flatnonzero(counts)
        if used.size:
            first, end = int(np.searchsorted(EDGES, NANOSECOND)), int(used[-1]) + 1  # what is shorter is one bar
            shown = np.r_[counts[:first].sum(), counts[first:end]]
            edges = np.r_[0.8 * NANOSECOND, EDGES, 1.26 * EDGES[-1]]
            edges = np.r_[edges[0], edges[first + 1 : first + 1 + len(shown)]] / NANOSECOND
            axis.stairs(shown, edges, label=name, fill=name == "to the core", alpha=0.7)
    axis.set(xscale="log", xlabel="ns", ylabel="packets", title=_title(simulation, "packet latency"))
    axis.legend(fontsize=7)
    return figure


def link_heat(simulation: Simulation) -> Figure:
    """Packets on each link, simulated, links that wrap around left out; the two directions lie side by side."""
    figure, axis = _figure()
    from matplotlib.collections import LineCollection

    lines, loads = [], []
    for ((a, b), (c, d)), load in zip(simulation.links, simulation.link_load.tolist(), strict=True):
        if load and max(abs(a - c), abs(b - d)) == 1:
            side = 0.12
            lines.append([(a - side * (d - b), b + side * (c - a)), (c - side * (d - b), d + side * (c - a))])
            loads.append(load / len(simulation.samples))
    drawn = LineCollection(lines, array=np.array(loads, float), cmap="magma_r", linewidths=3)
    axis.add_collection(drawn)
    figure.colorbar(drawn, ax=axis, label="packets a sample")
    work = simulation.traffic.work
    x, y = np.array([work.router(i) for i in range(work.senders)]).T  # the used part of the mesh
    axis.set(xlim=(x.min() - 0.6, x.max() + 0.6), ylim=(y.max() + 0.6, y.min() - 0.6), aspect="equal")
    axis.set(xlabel="x", ylabel="y")
    axis.locator_params(integer=True)
    axis.plot(x, y, "s", color="0.8", markersize=4, zorder=0)
    axis.set_title(_title(simulation, "link loads"))
    return figure


def pareto(points: Named[str, tuple[float, float]], incomplete: Collection[str] = ()) -> Figure:
    """Energy against latency of several mappings or chips, (us, nJ) by name, with the front of those not beaten.

    ``incomplete`` names points that lack a cost: lower bounds, drawn hollow, and no part of the front.
    """
    figure, axis = _figure()
    names, values = list(points), np.array(list(points.values()), float).reshape(-1, 2)
    whole = np.array([name not in incomplete for name in names], bool)
    front = np.flatnonzero(whole)[pareto_front(values[whole])]
    if front.size:
        axis.plot(
            values[front, 0], values[front, 1], drawstyle="steps-post", color="0.6", marker="o", label="not beaten"
        )
    axis.scatter(values[whole, 0], values[whole, 1], zorder=3)
    if not whole.all():
        label = "lower bound: costs not known"
        axis.scatter(values[~whole, 0], values[~whole, 1], facecolors="none", edgecolors="C0", zorder=3, label=label)
    for column, scale in ((0, axis.set_xscale), (1, axis.set_yscale)):
        if len(values) and values[:, column].min() > 0 and values[:, column].max() > FAR * values[:, column].min():
            scale("log")
    axis.margins(0.15)
    middle = np.median(values[:, 0]) if len(values) else 0.0
    for i, at in enumerate(np.lexsort(values.T)):  # neighbours' names in turn above and below them
        x, y = values[at]
        (dx, side), dy = (-5, "right") if x > middle else (5, "left"), (-10, 4)[i % 2]
        axis.annotate(names[at], (x, y), fontsize=7, ha=side, xytext=(dx, dy), textcoords="offset points")
    axis.set(xlabel="latency, us", ylabel="energy, nJ a sample", title="energy against latency")
    if axis.get_legend_handles_labels()[0]:
        axis.legend(fontsize=7)
    return figure


def pareto_front(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows of (latency, energy) that no other row beats in both, by rising latency."""
    if values.ndim != 2 or values.shape[1] != 2 or not np.isfinite(values).all():
        raise OptionError("pareto: expected (latency, energy) pairs of finite numbers")
    order = np.lexsort((values[:, 1], values[:, 0]))
    best = np.minimum.accumulate(values[order, 1])
    return order[np.r_[True, best[1:] < best[:-1]] if order.size else order]


def write_figures(simulation: Simulation, folder: str | os.PathLike[str]) -> list[Path]:
    """All figures of one simulation as PNG; returns their paths."""
    drawn = {"gantt": gantt(simulation), "energy": energy_stack({simulation.chip.name: simulation})}
    return write(drawn | {"packet_latency": packet_latency(simulation), "links": link_heat(simulation)}, folder)


def write(drawn: Named[str, Figure], folder: str | os.PathLike[str]) -> list[Path]:
    """Figures by name as PNG in a folder; returns their paths. FormatError where it cannot be made."""
    require("matplotlib.figure", extra="report", purpose="plotting")
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{folder}: cannot be made ({error.strerror})") from error
    paths = []
    for name, figure in drawn.items():
        paths.append(folder / f"{name}.png")
        figure.savefig(paths[-1], dpi=120)
    return paths


def _figure(height: float = 4.2) -> Any:
    figures = require("matplotlib.figure", extra="report", purpose="plotting")
    figure = figures.Figure(figsize=(6.4, height), layout="constrained")
    return figure, figure.add_subplot()


def _title(simulation: Simulation, more: str) -> str:
    return f"{simulation.mapping.graph.name or 'network'} on {simulation.chip.name}: {more}"
