"""Plots of a bench (extra ``report``): time against activity with crossovers, against layer size, and threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gxevent.bench.goals import times
from gxevent.bench.results import COUNTING, OURS, Results, Row
from gxevent.bench.statistics import crossovers
from gxevent.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 6.2, 4.2
"""Inches of one panel."""


def figure(results: Results) -> Figure:
    """Every panel that the results have data for, two a row."""
    figures = require("matplotlib.figure", extra="report", purpose="plotting")
    panels = [*_activity_panels(results), *_size_panels(results), *_thread_panels(results)]
    rows = -(-max(len(panels), 1) // 2)
    columns = min(2, max(len(panels), 1))
    made = figures.Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
    for i, draw in enumerate(panels):
        axis = made.add_subplot(rows, columns, i + 1)
        axis.spines[["top", "right"]].set_visible(False)
        draw(axis)
    return made


Draw = Callable[["Axes"], None]
Curves = dict[str, tuple[list[float], list[float]]]
"""By peer: rising x, times."""


def _activity_panels(results: Results) -> list[Draw]:
    titles = {work.network: work.title for work in results.workloads}
    cases: dict[tuple[str, int], list[Row]] = {}
    for row in results.rows:
        if row.threads == 1 and row.activity is not None and row.peer != COUNTING:
            cases.setdefault((row.network, row.batch), []).append(row)

    def panel(name: str, batch: int, rows: Sequence[Row]) -> Draw:
        return lambda axis: _against_activity(axis, rows, f"{titles.get(name, name)}, batch {batch}")

    return [panel(*case, rows) for case, rows in cases.items() if len({row.activity for row in rows}) > 1]


def _against_activity(axis: Axes, rows: Sequence[Row], title: str) -> None:
    curves = _curves(rows, lambda row: (row.activity or row.measured) * 100)
    x, ours = curves[OURS]
    labels = {}
    for name, (at, theirs) in curves.items():
        crossed = crossovers(x, ours, theirs) if at == x else []
        for where in crossed:
            axis.plot(where, _between(where, x, ours), "o", color="black", markersize=6, zorder=4)
        if crossed:
            labels[name] = f"{name}\n  (crosses at {', '.join(f'{where:.0f} %' for where in crossed)})"
        elif at == x and name != OURS and all(t < o for t, o in zip(theirs, ours, strict=True)):
            labels[name] = f"{name}\n  (faster throughout)"
    _draw(axis, curves, labels)
    axis.set(xlabel="units active in each population, %", ylabel="us a sample")
    axis.set_title(title, fontsize="medium")


def _between(where: float, x: Sequence[float], y: Sequence[float]) -> float:
    """Height of a curve at ``where``, interpolated on logarithmic axes."""
    import numpy as np

    return float(np.exp(np.interp(np.log(where), np.log(x), np.log(y))))


def _size_panels(results: Results) -> list[Draw]:
    alone = [row for row in results.rows if (row.batch, row.threads) == (1, 1) and row.peer != COUNTING]
    layers = [row for row in alone if row.network.isdecimal()]
    by_share: dict[float | None, list[Row]] = {}
    for row in layers:
        by_share.setdefault(row.activity, []).append(row)
    if not by_share:
        return []
    share = max(by_share, key=lambda s: (len({row.network for row in by_share[s]}), -abs((s or 0) - 0.2)))
    rows = by_share[share]
    if len({row.network for row in rows}) < 2:
        return []

    def draw(axis: Axes) -> None:
        _draw(axis, _curves(rows, lambda row: float(row.network)))
        axis.set(xlabel="layer n x n, n", ylabel="us a sample")
        axis.set_title(f"Time against layer size, {share or 0:.0%} active", fontsize="medium")

    return [draw]


def _curves(rows: Sequence[Row], x_of: Callable[[Row], float]) -> Curves:
    """By peer, rising x and times; of each family's variants only the fastest over all x, and ours first."""
    curves: Curves = {}
    families: dict[str, tuple[float, str]] = {}
    for name in dict.fromkeys(row.peer for row in rows):
        own = sorted((x_of(row), row.us, row.family) for row in rows if row.peer == name)
        curves[name] = [x for x, _, _ in own], [us for _, us, _ in own]
        mean = sum(us for _, us, _ in own) / len(own)
        family = own[0][2]
        families[family] = min(families.get(family, (mean, name)), (mean, name))
    chosen = {name for _, name in families.values()}
    return {name: curve for name, curve in curves.items() if name in chosen}


def _draw(axis: Axes, curves: Curves, labels: Mapping[str, str] | None = None) -> None:
    for name, (x, us) in curves.items():
        ours = name == OURS
        style = {"color": "black", "linewidth": 2.5, "zorder": 3} if ours else {"linewidth": 1.2}
        axis.plot(x, us, marker=".", label=(labels or {}).get(name, name), **style)
    axis.set(xscale="log", yscale="log")
    ticks = sorted({tick for x, _ in curves.values() for tick in x})
    axis.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    low, high = axis.get_ylim()
    heights = [t for t in (m * 10.0**e for e in range(-1, 8) for m in (1, 2, 5)) if low <= t <= high]
    axis.set_yticks(heights, [f"{t:,g}" for t in heights])
    axis.minorticks_off()
    axis.grid(alpha=0.2, linewidth=0.6)
    axis.legend(frameon=False, fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))


def _thread_panels(results: Results) -> list[Draw]:
    """Speed-up over one thread of the same contestant, at the largest batch of each network."""
    if len({row.threads for row in results.rows}) < 2:
        return []
    wall = {(r.network, r.activity, r.batch, r.peer, r.threads): r.wall_us for r in results.rows}
    most = max(row.threads for row in results.rows)
    bars: dict[str, list[float]] = {}
    for (network, activity, batch, peer, threads), us in wall.items():
        alone = wall.get((network, activity, batch, peer, 1))
        if threads == most and alone and batch > 1 and peer != COUNTING:
            bars.setdefault(peer, []).append(alone / us)
    if not bars:
        return []

    def draw(axis: Axes) -> None:
        names = list(bars)[::-1]
        middle = [sorted(bars[name])[len(bars[name]) // 2] for name in names]
        axis.barh(names, middle, color=["black" if name == OURS else "tab:blue" for name in names])
        for i, value in enumerate(middle):
            axis.annotate(f" {times(value)}", (value, i), va="center", fontsize="small")
        axis.axvline(1, color="grey", linewidth=0.8)
        axis.set(xlabel=f"speed-up of {most} threads, wall clock, median over workloads", title="Threads, batches")

    return [draw]
