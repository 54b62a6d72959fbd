"""How figures look: one palette, one size of letters, little ink. Pages show them as SVG in the page's own colours."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from typing import TYPE_CHECKING

from gxevent.errors import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

INK, FAINT, LINE = "#22262b", "#69717b", "#d5d9df"
POSITIVE, NEGATIVE = "#2f62b5", "#c7641a"
SERIES = (POSITIVE, NEGATIVE, "#3c8a63", "#8a5aa8", "#8c7a2b", "#3b8ea5", "#b04a6b", "#5f6b7a")
VARIABLES = {INK: "--ink", FAINT: "--faint", LINE: "--line"} | {c: f"--c{i}" for i, c in enumerate(SERIES)}
"""Colour of a figure -> the page's variable that takes its place, so that figures follow the page into the dark."""

WIDE, HALF = 9.8, 4.7
"""Widths in inches: across the page, and one of two columns."""

_SETTINGS = {
    "font.size": 9.0,
    "axes.titlesize": 9.0,
    "axes.titleweight": "normal",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.frameon": False,
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
    "axes.facecolor": "none",
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.6,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
    "image.interpolation": "nearest",
}


@contextmanager
def page_style() -> Iterator[None]:
    """Figures made inside take the page's look; MissingExtraError where matplotlib is not installed."""
    matplotlib = require("matplotlib", extra="report", purpose="plotting")
    from matplotlib import cycler

    with matplotlib.rc_context(_SETTINGS | {"axes.prop_cycle": cycler(color=SERIES)}):
        yield


def axes(
    width: float = 6.4, height: float = 3.8, rows: int = 1, ratios: tuple[float, ...] | None = None
) -> tuple[Figure, list[Axes]]:
    """A figure of ``rows`` axes below each other, without the upper and right frame."""
    figures = require("matplotlib.figure", extra="report", purpose="plotting")
    figure = figures.Figure(figsize=(width, height), layout="constrained")
    grid = figure.add_gridspec(rows, 1, height_ratios=ratios)
    made = [figure.add_subplot(grid[i]) for i in range(rows)]
    for axis in made:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, made


def inline_svg(figure: Figure, label: str) -> str:
    """The figure as an SVG element of a page: letters stay text, colours are the page's variables, no two ids clash.

    ``label`` says what it shows to those who do not see it. An artist whose gid is ``tip:TEXT`` shows TEXT when the
    pointer rests on it.
    """
    import matplotlib

    out = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": label}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, dpi=192)
    text = out.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text, count=2)  # an HTML page knows them
    text = text.replace("xlink:href", "href")
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="tip:([^"]*)">', r"<g><title>\1</title>", text)
    unique = hashlib.sha256(label.encode() + out.getvalue()).hexdigest()[:8]
    text = re.sub(r' id="([^"]+)"', rf' id="f{unique}-\1"', text)
    text = re.sub(r'href="#([^"]+)"', rf'href="#f{unique}-\1"', text)
    text = re.sub(r"url\(#([^)]+)\)", rf"url(#f{unique}-\1)", text)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    text = re.sub(r"<style type=\"text/css\">[^<]*</style>", "", text)
    text = re.sub(r"<defs>\s*</defs>\n?", "", text)
    return text.replace("<svg ", f'<svg role="img" aria-label="{escape(label, quote=True)}" ', 1).strip()


def thousands(axis: Axis) -> None:
    """Ticks with separators of thousands."""
    from matplotlib.ticker import FuncFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.6g}" if abs(value) < 1e6 else f"{value:,.0f}"))


def tip(text: str) -> str:
    """The gid of an artist that shows ``text`` under the pointer."""
    return "tip:" + text
