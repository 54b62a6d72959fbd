"""A sweep of the mixed-signal study as a figure (extra ``report``)."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING

from gxevent.crosscheck.mixed_signal import Degradation
from gxevent.errors import OptionError, require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = ("time_constant", "jitter", "opens")


def degradation(results: Sequence[Degradation], x: str = "time_constant", by: str = "jitter") -> Figure:
    """Decisions that stay, and events lost and spurious, over one quantity of the circuit; a line for each other one.

    ``x`` and ``by`` are of "time_constant", "jitter" and "opens"; no leak (an infinite time constant) is drawn twice
    as far out as the longest finite one, and labelled so.
    """
    if not results or x not in QUANTITIES or by not in QUANTITIES or x == by:
        raise OptionError(f"degradation: expected results and two of {', '.join(QUANTITIES)}, got {x!r} and {by!r}")
    figure = require("matplotlib.figure", extra="report", purpose="plotting").Figure(
        figsize=(6.4, 5.6), layout="constrained"
    )
    above, below = figure.subplots(2, 1, sharex=True)
    values = sorted({getattr(r.circuit, x) for r in results})
    place = dict(zip(values, _places(values), strict=True))
    for number, other in enumerate(sorted({getattr(r.circuit, by) for r in results})):
        line = sorted((r for r in results if getattr(r.circuit, by) == other), key=lambda r: getattr(r.circuit, x))
        at, color = [place[getattr(r.circuit, x)] for r in line], f"C{number}"
        above.plot(at, [1 - r.decisions_changed / r.samples for r in line], "o-", color=color, label=_name(by, other))
        for what, style in (("lost", "o-"), ("spurious", "s:")):
            shares = [r.total(what) / max(r.total("exact"), 1) for r in line]
            below.plot(at, shares, style, color=color, label=what if number == 0 else None)
    above.set(ylabel="decisions that stay", ylim=(0, 1.02), title=f"{results[0].samples} samples on analog circuits")
    below.set(ylabel="share of the exact events", xlabel=_LABELS[x], ylim=(0, None))
    if x == "time_constant":
        below.set_xscale("log")
    below.set_xticks(list(place.values()), [_tick(value) for value in values])
    below.minorticks_off()
    for axis in (above, below):
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize="small")
    return figure


_LABELS = {
    "time_constant": "membrane time constant, ms",
    "jitter": "jitter of the synapses' delays, ms",
    "opens": "share of the window after which comparators are open",
}


def _places(values: list[float]) -> list[float]:
    longest = max((v for v in values if v != inf), default=1.0)
    return [2 * longest if v == inf else v for v in values]


def _tick(value: float) -> str:
    return "no leak" if value == inf else f"{value:g}"


def _name(quantity: str, value: float) -> str:
    return f"{_LABELS[quantity].split(',')[0]} {_tick(value)}{' ms' if value != inf and quantity != 'opens' else ''}"
