"""Plots of runs and studies: each function returns a matplotlib figure (extra ``report``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gxevent.analysis.latency import ActivityGroups, ActivityOverTime, LatencyStudy
from gxevent.analysis.operations import Count, Operations
from gxevent.errors import OptionError
from gxevent.report.style import FAINT, INK, LINE, SERIES, axes, thousands, tip
from gxevent.runtime import RunRecord

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

EQUAL_STATES = 5 / 9
"""Share of gates at rest if all states of weights and activations were equally likely (Deng et al. 2018): an
expectation, drawn for comparison only."""


# -------------------------------------------------------------------------------------------------------- runs


def confusion(record: RunRecord) -> Figure:
    """Labels (rows) by decisions (columns); the colour is the share of a label's samples, numbers are samples.

    Raises OptionError when nothing is labelled.
    """
    matrix = record.confusion
    if not matrix.sum():
        raise OptionError("a confusion matrix needs labels: none of the samples has one")
    n = len(record.classes)
    side = min(max(2.4, 1.2 + 0.3 * n), 9.0)
    figure, (axis,) = axes(side, side)
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap=_fading(SERIES[0]), vmin=0, vmax=1)
    if n <= 30:
        for (row, column), samples in np.ndenumerate(matrix):
            if samples:
                color = "white" if shares[row, column] > 0.55 else INK
                axis.text(column, row, f"{samples:,}", ha="center", va="center", color=color, fontsize=7.5)
    every = 1 + n // 41  # no more names than can be read
    named = record.classes[::every]
    axis.set_xticks(range(0, n, every), named, rotation=90 if max(map(len, named)) > 2 else 0)
    axis.set_yticks(range(0, n, every), named)
    axis.set(xlabel="decision", ylabel="label")
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    return figure


def resting(records: Mapping[str, RunRecord]) -> Figure:
    """Measured share of gates at rest, projection by projection, of one or several runs; the line marks 5/9."""
    layers = list(dict.fromkeys(name for r in records.values() for name in r.summary["open_gates"]))
    figure, (axis,) = axes(6.4, 1.0 + 0.16 * len(layers) * (len(records) + 1))
    height = 0.8 / len(records)
    for i, (name, record) in enumerate(records.items()):
        shares = record.summary["resting_probability_by_layer"]
        at = [k for k, layer in enumerate(layers) if layer in shares]
        places = np.array(at) + (i - (len(records) - 1) / 2) * height
        bars = axis.barh(places, [shares[layers[k]] for k in at], height=0.85 * height, color=SERIES[i % 8], label=name)
        for bar, k in zip(bars, at, strict=True):
            bar.set_gid(tip(f"{layers[k]}, {name}: {shares[layers[k]]:.2%} of the gates rested"))
    axis.axvline(EQUAL_STATES, color=INK, linewidth=1)
    axis.annotate("5/9", (EQUAL_STATES, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8)
    axis.set_yticks(range(len(layers)), layers)
    axis.set(xlabel="gates at rest", xlim=(0, 1))
    axis.invert_yaxis()
    if len(records) > 1:
        axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def operations(rows: Sequence[Operations], *, width: float = 6.4) -> Figure:
    """Operations of a window by kind of network, stacked by kind of operation; a bound is drawn faint up to its end."""
    figure, (axis,) = axes(width, 2.2)
    left = np.zeros(len(rows))
    kinds = ("multiply", "accumulate", "xnor", "bitcount")
    names = ("multiplications", "additions", "XNORs", "bitcounts")
    for color, kind, said in zip((SERIES[1], SERIES[7], SERIES[0], SERIES[2]), kinds, names, strict=True):
        counts: list[Count] = [getattr(row, kind) for row in rows]
        low, high = np.array([c.low for c in counts]), np.array([c.high for c in counts])
        bars = axis.barh(range(len(rows)), low, left=left, height=0.65, color=color, label=said)
        axis.barh(range(len(rows)), high - low, left=left + low, height=0.65, color=color, alpha=0.25)
        for bar, row, count in zip(bars, rows, counts, strict=True):
            bar.set_gid(tip(f"{row.network}: {_span(count)} {said}"))
        left += high
    axis.set_yticks(range(len(rows)), [row.network for row in rows])
    axis.set(xlabel="operations a window")
    axis.locator_params(axis="x", nbins=5)
    thousands(axis.xaxis)
    axis.invert_yaxis()
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _span(count: Count) -> str:
    return f"{count.low:,.0f}" if count.exact else f"{count.low:,.0f} to {count.high:,.0f}"


def latency(record: RunRecord, *, limits: tuple[float, float] | None = None, width: float = 6.4) -> Figure:
    """Histogram of the samples' host time inside the engine, with p50 and p99; ``limits`` of the axis in µs."""
    times = latencies(record)
    if not len(times):
        raise OptionError("a latency histogram needs times: this record holds none")
    low, high = limits or (float(times.min()), float(times.max()))
    edges = np.geomspace(low * 0.97, max(high, low * 1.05) * 1.03, 41)
    counts = np.histogram(times, edges)[0]
    figure, (axis,) = axes(width, 2.5)
    widths = np.diff(edges)
    for bar, n in zip(axis.bar(edges[:-1], counts, widths, align="edge", color=SERIES[0]), counts, strict=True):
        bar.set_gid(tip(f"{bar.get_x():,.1f} to {bar.get_x() + bar.get_width():,.1f} µs: {n:,} samples"))
    axis.set(xscale="log", yscale="log", ylim=(0.7, None), xlabel="host time of a sample, µs", ylabel="samples")
    middle = np.sqrt(edges[0] * edges[-1])
    for name, q in (("p50", 50), ("p99", 99)):
        value = float(np.percentile(times, q))
        axis.axvline(value, color=INK, linewidth=1, linestyle=(0, (3, 2)))
        said = f" {name} {value:,.0f} µs " if value >= 100 else f" {name} {value:.3g} µs "
        side, level = ("right" if value > middle else "left"), (1.0 if name == "p50" else 1.07)
        axis.annotate(said, (value, level), xycoords=("data", "axes fraction"), va="bottom", ha=side, fontsize=8)
    _plain_log(axis.xaxis)
    _plain_log(axis.yaxis)
    return figure


def latencies(record: RunRecord) -> NDArray[np.float64]:
    """Host times of the samples in µs, float64; those that the record does not know are left out."""
    times = np.array([row.latency_us for row in record.rows], float)
    return np.maximum(times[np.isfinite(times)], 1e-3)


def class_events(record: RunRecord, *, width: float = 6.4) -> Figure:
    """Address events by window of each class's samples: the box holds the middle half, whiskers reach the extremes.

    Classes are the labels where there are any, else the decisions.
    """
    groups = events_by_class(record)
    figure, (axis,) = axes(width, 2.8)
    names = list(groups)
    drawn = axis.boxplot(
        list(groups.values()),
        whis=(0, 100),
        widths=0.6,
        patch_artist=True,
        medianprops={"color": INK, "linewidth": 1.2},
        boxprops={"facecolor": SERIES[0], "edgecolor": SERIES[0], "alpha": 0.55},
        whiskerprops={"color": FAINT},
        capprops={"color": FAINT},
    )
    for box, (name, values) in zip(drawn["boxes"], groups.items(), strict=True):
        box.set_gid(tip(f"{name}: median {np.median(values):,.0f} events a window, {len(values):,} samples"))
    every = 1 + len(names) // 41
    named = names[::every]
    axis.set_xticks(
        range(1, len(names) + 1, every), named, rotation=90 if max(map(len, named)) * len(named) > 60 else 0
    )
    axis.set(ylabel="events a window")
    thousands(axis.yaxis)
    axis.set_xlabel("label" if any(row.label for row in record.rows) else "decision")
    return figure


def events_by_class(record: RunRecord) -> dict[str, NDArray[np.float64]]:
    """Address events by window of each class's samples, float64 (samples,); classes as in :func:`class_events`."""
    labelled = any(row.label for row in record.rows)
    groups: dict[str, list[float]] = {name: [] for name in record.classes}
    for row in record.rows:
        name = row.label if labelled else row.prediction
        if name in groups:
            groups[name].append(row.events / row.windows)
    return {name: np.array(values) for name, values in groups.items() if values}


# ------------------------------------------------------------------------------------------------------ studies


def anytime(study: LatencyStudy) -> Figure:
    """Accuracy after n events, and the number of events after which decisions stay."""
    figure = anytime_curves({"": study})
    figure.axes[0].set_title("What is known after n events")
    return figure


def anytime_curves(studies: Mapping[str, LatencyStudy], *, width: float = 6.4) -> Figure:
    """Accuracy after n events, and the share of decisions that stay, of one or several runs."""
    figure, (above, below) = axes(width, 4.6, rows=2)
    for name, study in studies.items():
        n, accuracy = study.anytime()
        above.plot(n, accuracy, label=name)
        settled = np.sort(study.decision_latency()["events"])
        below.step(settled, np.arange(1, len(settled) + 1) / len(settled), where="post", label=name)
    above.set(ylabel="accuracy", ylim=(0, 1.02))
    thousands(above.xaxis)
    thousands(below.xaxis)
    below.set(xlabel="events seen", ylabel="decisions that stay", ylim=(0, 1.02), xlim=above.get_xlim())
    for axis in (above, below):
        axis.grid(axis="y", color=LINE, linewidth=0.8)
    if len(studies) > 1:
        above.legend(loc="lower right")
    return figure


def host_latency(study: LatencyStudy) -> Figure:
    """Histogram of the host time of a decision, with p50 and p99."""
    figure, (axis,) = axes()
    counts, edges = study.histogram()
    axis.stairs(counts, edges, fill=True)
    host = study.host()
    for value, name in ((host.p50, "p50"), (host.p99, "p99")):
        axis.axvline(value, color=INK, linewidth=1, linestyle="--")
        axis.annotate(f" {name} {value:.3g} µs", (value, 0.95), xycoords=("data", "axes fraction"))
    title = f"Host time of a decision ({study.step} event{'s' * (study.step > 1)} each)"
    axis.set(xscale="log", xlabel="µs", ylabel="decisions", title=title)
    return figure


def activity(study: ActivityOverTime) -> Figure:
    """Events by population and resting gates by projection along a recording."""
    figure, (above, below) = axes(height=5.2, rows=2)
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
    figure, (axis,) = axes()
    axis.plot(groups.resting, groups.accuracy, marker="o")
    title = f"Sparsity against accuracy ({int(groups.samples.sum()):,} samples in {len(groups.samples)} groups)"
    axis.set(xlabel="gates at rest", ylabel="accuracy", title=title)
    return figure


# ------------------------------------------------------------------------------------------------------- shared


def _fading(color: str):
    from matplotlib.colors import LinearSegmentedColormap, to_rgba

    return LinearSegmentedColormap.from_list("fading", [to_rgba(color, 0.0), to_rgba(color, 1.0)])


def _plain_log(axis: Axis) -> None:
    """Numbers as they are spoken (50, 200, 1,000) on a logarithmic axis, few enough to read."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high / max(low, 1e-9) > 50 else (1.0, 2.0, 5.0)))
    axis.set_minor_formatter(NullFormatter())
    thousands(axis)
