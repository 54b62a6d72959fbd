"""Plots of one sample inside the network: address events over time, and what every channel sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gxevent.analysis.raster import Raster
from gxevent.graph import EventGraph
from gxevent.report.style import FAINT, NEGATIVE, POSITIVE, SERIES, axes
from gxevent.runtime import Trace

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOT = 3
"""Rows of the picture that a dot is high."""

SHOWN = 6
"""Score curves that have a colour and a name of their own; the others are grey."""


def raster(made: Raster, *, width: float = 9.8) -> Figure:
    """Address events of every population over time, below them the scores; blue is positive, orange negative."""
    sizes = list(made.units.values())
    ratios = [0.55 + float(np.log10(size)) / 2.2 for size in sizes] + [1.5]
    figure, panels = axes(width, 0.95 * sum(ratios) + 0.5, rows=len(ratios), ratios=tuple(ratios))
    start = int(made.t_us[0])
    end = max((int(made.t_us[-1]) - start) / 1e3, 1e-3)
    for axis, ratio, (name, spikes) in zip(panels, ratios, made.spikes.items(), strict=False):
        units = made.units[name]
        dots = _dots(made, name, rows=round(200 * ratio))
        axis.imshow(dots, extent=(0, end, units - 0.5, -0.5), aspect="auto", interpolation="none")
        axis.set(yticks=[0, units - 1])
        axis.set_ylabel(name, rotation=0, ha="right", va="center")
        axis.tick_params(labelbottom=False, bottom=False)
        axis.spines["bottom"].set_visible(False)
        place = {"xy": (1.0, 1.0), "xycoords": "axes fraction", "ha": "right", "va": "bottom"}
        axis.annotate(f"{len(spikes.unit):,} events", **place, fontsize=7.5, color=FAINT)
    last = panels[-1]
    best = np.argsort(-made.scores[-1], kind="stable")[:SHOWN].tolist()
    t = (made.t_us - start) / 1e3
    for i in range(made.scores.shape[1]):
        if i not in best:
            last.plot(t, made.scores[:, i], color=FAINT, linewidth=0.6, alpha=0.6)
    for rank, i in reversed(list(enumerate(best))):
        last.plot(t, made.scores[:, i], color=SERIES[rank], label=made.classes[i], linewidth=1.8 if rank == 0 else 1.0)
    last.set(xlim=(0, end), xlabel="time, ms")
    last.set_ylabel("scores", rotation=0, ha="right", va="center")
    handles, labels = last.get_legend_handles_labels()
    last.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1.0, 0.5), handlelength=1.0)
    return figure


def _dots(made: Raster, name: str, rows: int) -> NDArray[np.uint8]:
    """Address events of a population as a picture, RGBA uint8, about ``rows`` high.

    Each event is a dot, as wide as a look. Where dots would cover each other, the colour of a place is as strong as it
    has events, and mixed of both signs.
    """
    from matplotlib.colors import to_rgb

    looks, units, spikes = len(made.t_us), made.units[name], made.spikes[name]
    dense = len(spikes.unit) * DOT > 0.4 * rows * looks
    rows = rows // DOT if dense else rows
    counts = np.zeros((2, rows, looks))
    row = spikes.unit.astype(np.int64) * rows // units
    np.add.at(counts, ((spikes.level > 0).astype(int), row, np.searchsorted(made.t_us, spikes.t_us)), 1)
    if not dense:
        first = np.minimum(counts, 1)
        counts = first.copy()
        for shift in range(1, max(DOT, rows // units)):
            counts[:, shift:] = np.maximum(counts[:, shift:], first[:, :-shift])
    total = counts.sum(axis=0)
    full = max(float(np.quantile(total[total > 0], 0.95)), 1.0) if dense else 1.0
    share = np.divide(counts[1], total, out=np.zeros_like(total), where=total > 0)[..., None]
    color = share * np.array(to_rgb(POSITIVE)) + (1 - share) * np.array(to_rgb(NEGATIVE))
    picture = np.concatenate([color, np.minimum(total / full, 1)[..., None]], axis=2)
    return np.repeat(np.round(255 * picture).astype(np.uint8), max(1, round(1200 / looks)), axis=1)


def maps(graph: EventGraph, trace: Trace, *, width: float = 9.8) -> Figure:
    """What every channel of every population sent for one frame, and the scores.

    Images stand channel by channel, vectors in rows; blue is positive, orange negative, silent units are grey.
    """
    from matplotlib.colors import to_rgb

    senders = {name: p for name, p in graph.populations.items() if p.sends_events}
    pictures = [_tiles(trace.outputs[name], senders[name].top) for name in senders]
    shares = [max(picture.shape[1] / picture.shape[0], 0.6) for picture in pictures]
    figure, _ = axes(width, 2.4, rows=1)
    figure.clear()
    grid = figure.add_gridspec(1, len(pictures) + 1, width_ratios=[*shares, 0.9])
    palette = {1: np.array(to_rgb(POSITIVE)), -1: np.array(to_rgb(NEGATIVE))}
    for i, (name, picture) in enumerate(zip(senders, pictures, strict=True)):
        axis = figure.add_subplot(grid[i])
        shown = np.zeros((*picture.shape, 4))
        shown[np.isfinite(picture)] = (0.5, 0.53, 0.56, 0.13)
        for sign, color in palette.items():
            there = np.isfinite(picture) & (np.sign(np.nan_to_num(picture)) == sign)
            shown[there] = np.concatenate(
                [np.broadcast_to(color, (there.sum(), 3)), 0.25 + 0.75 * np.abs(picture[there])[:, None]], axis=1
            )
        axis.imshow(shown)
        axis.set_axis_off()
        active = np.count_nonzero(trace.outputs[name])
        axis.set_title(f"{name}\n{active:,} of {senders[name].size:,}", fontsize=8)
    axis = figure.add_subplot(grid[len(pictures)])
    order = np.argsort(-trace.scores, kind="stable")[:10]
    axis.barh(range(len(order)), trace.scores[order], color=[POSITIVE, *[FAINT] * (len(order) - 1)], height=0.7)
    axis.set_yticks(range(len(order)), [graph.classes[k] if graph.classes else str(k) for k in order], fontsize=7.5)
    axis.invert_yaxis()
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_title("scores", fontsize=8)
    axis.tick_params(labelsize=7.5)
    return figure


def _tiles(levels: NDArray[np.int8], top: int) -> NDArray[np.float64]:
    """Channels side by side with a line of NaN between them, levels as shares of the largest."""
    values = levels.astype(float) / top
    if values.ndim == 1:
        columns = int(np.ceil(np.sqrt(values.size)))
        padded = np.full(-(-values.size // columns) * columns, np.nan)
        padded[: values.size] = values
        return padded.reshape(-1, columns)
    channels, height, width = values.shape
    columns = max(1, round(np.sqrt(channels * height / width)))
    rows = -(-channels // columns)
    made = np.full((rows * (height + 1) - 1, columns * (width + 1) - 1), np.nan)
    for c, channel in enumerate(values):
        y, x = c // columns * (height + 1), c % columns * (width + 1)
        made[y : y + height, x : x + width] = channel
    return made
