"""Plots of runs and studies: each function returns a matplotlib figure (extra ``report``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from gxevent.analysis.latency import ActivityGroups, ActivityOverTime, LatencyStudy
from gxevent.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def _figure(width: float = 6.4, height: float = 3.8, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figures = require("matplotlib.figure", extra="report", purpose="plotting")
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(rows, 1, i + 1) for i in range(rows)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def anytime(study: LatencyStudy) -> Figure:
    """Accuracy after n events, and the number of events after which decisions stay."""
    figure, (above, below) = _figure(height=5.2, rows=2)
    n, accuracy = study.anytime()
    above.plot(n, accuracy)
    above.set(ylabel="accuracy", ylim=(0, 1.02), title="What is known after n events")
    settled = np.sort(study.decision_latency()["events"])
    below.step(settled, np.arange(1, len(settled) + 1) / len(settled), where="post")
    below.set(xlabel="events seen", ylabel="decisions that stay", ylim=(0, 1.02), xlim=above.get_xlim())
    return figure


def host_latency(study: LatencyStudy) -> Figure:
    """Histogram of the host time of a decision, with p50 and p99."""
    figure, (axis,) = _figure()
    counts, edges = study.histogram()
    axis.stairs(counts, edges, fill=True)
    host = study.host()
    for value, name in ((host.p50, "p50"), (host.p99, "p99")):
        axis.axvline(value, color="black", linewidth=1, linestyle="--")
        axis.annotate(f" {name} {value:.3g} µs", (value, 0.95), xycoords=("data", "axes fraction"))
    title = f"Host time of a decision ({study.step} event{'s' * (study.step > 1)} each)"
    axis.set(xscale="log", xlabel="µs", ylabel="decisions", title=title)
    return figure


def activity(study: ActivityOverTime) -> Figure:
    """Events by population and resting gates by projection along a recording."""
    figure, (above, below) = _figure(height=5.2, rows=2)
    t = (study.t_us - study.t_us[0]) / 1e3
    for name, n in study.events.items():
        above.plot(t, n, label=name)
    for name, share in study.resting.items():
        below.plot(t, share, label=name)
    above.set(ylabel="events in the window", title="Activity along the recording")
    below.set(xlabel="time, ms", ylabel="gates at rest", ylim=(0, 1.02))
    for axis in (above, below):
        axis.legend(frameon=False, fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def accuracy_by_activity(groups: ActivityGroups) -> Figure:
    """Accuracy of the quietest to the busiest samples against the share of gates at rest."""
    figure, (axis,) = _figure()
    axis.plot(groups.resting, groups.accuracy, marker="o")
    title = f"Sparsity against accuracy ({int(groups.samples.sum()):,} samples in {len(groups.samples)} groups)"
    axis.set(xlabel="gates at rest", ylabel="accuracy", title=title)
    return figure
