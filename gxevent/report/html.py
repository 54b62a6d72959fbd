"""Pieces of a page as HTML text: tables with bars inside, columns, sections, figures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

from gxevent.errors import MissingExtraError
from gxevent.report import style

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Figures:
    """Draws a page's figures, numbered; without matplotlib it draws nothing and ``missing`` says why."""

    def __init__(self) -> None:
        self.missing = ""
        self.drawn = 0

    def __call__(self, label: str, caption: str, make: Callable[[], Figure], kind: str = "") -> str:
        """A figure with its caption, HTML; ``label`` says what it shows to those who do not see it.

        ``kind`` "light" keeps its ground white on a dark page: maps of colour that end in black.
        """
        try:
            with style.page_style():
                picture = style.inline_svg(make(), label)
        except MissingExtraError as error:
            self.missing = str(error)
            return ""
        self.drawn += 1
        if float(picture.split('width="', 1)[1].split("pt", 1)[0]) > 72 * style.HALF + 1:
            kind = f"wide {kind}".strip()
        return (
            f'<figure class="{kind}"><div class="picture">{picture}</div>'
            f"<figcaption><b>Figure {self.drawn}.</b> {caption}</figcaption></figure>"
        )


def section(title: str, *body: str) -> str:
    """A section that the page's list of contents finds; empty where the body is."""
    text = "".join(body)
    anchor = "-".join(title.lower().split())
    return f'<section id="{anchor}"><h2>{escape(title)}</h2>{text}</section>' if text else ""


def table(head: Sequence[str], rows: Iterable[Sequence[str]], kind: str = "", last: bool = False) -> str:
    """Cells are HTML; the first column is text, the others numbers. ``last``: the last row is a sum."""
    rows = list(rows)
    top = "".join(f"<th>{h}</th>" for h in head)
    lines = []
    for i, row in enumerate(rows):
        cells = "".join(f"<td>{cell}</td>" for cell in row[1:])
        mark = ' class="sum"' if last and i == len(rows) - 1 else ""
        lines.append(f"<tr{mark}><th>{row[0]}</th>{cells}</tr>")
    body = f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    return f'<div class="table {kind}">{body}</div>'


def bar(share: float, mark: float | None = None, title: str = "") -> str:
    """A horizontal bar of 0 .. 1 with a line at ``mark``."""
    line = f'<i style="left:{mark:.3%}"></i>' if mark is not None else ""
    return f'<span class="bar" title="{escape(title, quote=True)}"><b style="width:{share:.2%}"></b>{line}</span>'


def columns(parts: Iterable[str]) -> str:
    """Parts side by side where there is room; one part alone stands as it is."""
    parts = [part for part in parts if part]
    if len(parts) < 2:
        return "".join(parts)
    return '<div class="columns">' + "".join(f"<div>{part}</div>" for part in parts) + "</div>"


def paragraph(text: str, kind: str = "") -> str:
    """``text`` is HTML."""
    return f'<p class="{kind}">{text}</p>' if kind else f"<p>{text}</p>"


def listed(lines: Iterable[str], kind: str = "") -> str:
    """A list of plain text lines."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<ul class="{kind}">{items}</ul>' if items else ""


def percent(share: float, digits: int = 1) -> str:
    """With a narrow space that does not break."""
    return f"{100 * share:.{digits}f}\u202f%"


def number(value: float | None, digits: int = 0) -> str:
    """With thousands separators, a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def span(low: float, high: float) -> str:
    """An interval, short where its ends are one."""
    return number(low) if low == high else f"{number(low)} to {number(high)}"
