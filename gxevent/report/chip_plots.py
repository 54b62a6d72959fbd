"""Plots of simulations from what ``gxevent simulate --json`` prints: energy with its band, time of each step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gxevent.report.style import INK, SERIES, axes, thousands, tip

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PARTS = ("synapses", "neurons", "packets", "hops", "static")


def energy_bands(simulations: Mapping[str, Mapping[str, Any]], *, width: float = 6.4) -> Figure:
    """Energy of a sample by part, one bar a simulation; the whisker is the span of the chip's published costs."""
    figure, (axis,) = axes(width, 0.9 + 0.5 * len(simulations))
    rows = range(len(simulations))
    left = np.zeros(len(simulations))
    for color, part in zip(SERIES, PARTS, strict=False):
        bands = [s["energy_nj"]["parts"].get(part) for s in simulations.values()]
        values = np.array([band["value"] if band else 0.0 for band in bands])
        if values.any():
            bars = axis.barh(rows, values, left=left, height=0.6, color=color, label=part)
            for bar, name, value in zip(bars, simulations, values, strict=True):
                bar.set_gid(tip(f"{name}, {part}: {value:,.1f} nJ a sample"))
            left += values
    totals = [s["energy_nj"]["total"] for s in simulations.values()]
    span = [
        [max(t["value"] - t["low"], 0) if t else 0.0 for t in totals],
        [max(t["high"] - t["value"], 0) if t else 0.0 for t in totals],
    ]
    axis.errorbar(left, rows, xerr=span, fmt="none", ecolor=INK, elinewidth=1.2, capsize=4)
    for row, (total, end) in enumerate(zip(totals, left + np.array(span[1]), strict=True)):
        if total:
            place = {"xytext": (6, 0), "textcoords": "offset points", "va": "center"}
            axis.annotate(f"{total['value']:,.0f} nJ", (end, row), **place, fontsize=8)
    axis.set_yticks(rows, list(simulations))
    axis.set(xlabel="nJ a sample", xlim=(0, 1.2 * max((left + np.array(span[1])).max(), 1e-9)))
    thousands(axis.xaxis)
    axis.invert_yaxis()
    if left.any():
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def step_times(simulations: Mapping[str, Mapping[str, Any]], *, width: float = 6.4) -> Figure:
    """Median time of every step, one bar a simulation, steps one after the other; nothing where there are no steps."""
    figure, (axis,) = axes(width, 0.9 + 0.5 * len(simulations))
    seen: dict[str, str] = {}
    for row, (name, s) in enumerate(simulations.items()):
        left = 0.0
        for layer in s["layers"] or []:
            took = layer["latency_us"]
            if took is None:
                continue
            step = "+".join(layer["populations"])
            fresh = step not in seen
            color = seen.setdefault(step, SERIES[len(seen) % len(SERIES)])
            bars = axis.barh([row], [took], left=left, height=0.6, color=color, label=step if fresh else None)
            bars[0].set_gid(tip(f"{name}, step of {step}: {took:,.2f} µs"))
            left += took
    axis.set_yticks(range(len(simulations)), list(simulations))
    axis.set(xlabel="µs (medians over samples)", xlim=(0, None))
    axis.invert_yaxis()
    if seen:
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure
