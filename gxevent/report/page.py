"""One self-contained HTML page of a run: opens offline, prints well, needs nothing but the base install."""

from __future__ import annotations

from html import escape
from importlib import resources
from typing import Any

from gxevent import __version__
from gxevent.runtime import RunRecord

EXPECTED_RESTING = 5 / 9
"""Resting probability if all three states were equally likely everywhere (Deng et al. 2018); drawn for comparison."""


def run_page(record: RunRecord, title: str, notes: list[str] | None = None) -> str:
    """HTML of a run's accuracy, events, open gates, resting probability, latency and confusion matrix."""
    s = record.summary
    cards = [("samples", f"{s['samples']:,}")]
    if s["accuracy"] is not None:
        cards.insert(0, ("accuracy", f"{s['accuracy']:.2%}"))
    cards += [
        ("resting gates", f"{s['resting_probability']:.1%}"),
        ("latency p50", f"{s['latency_us']['p50']:,.0f} µs"),
        ("input events a second", f"{s['input_events_per_s']:,.0f}"),
    ]
    parts = [
        f"<h1>{escape(title)}</h1>",
        f"<p>gxevent {__version__}, {escape(str(s['data']))}, kernel {escape(s['kernel'])}, threads {s['threads']}</p>",
        '<div class="cards">' + "".join(f'<div class="card"><b>{v}</b>{escape(k)}</div>' for k, v in cards) + "</div>",
        *(f"<p>{escape(note)}</p>" for note in notes or []),
        "<h2>Events</h2>",
        _events(s),
        "<h2>Gates</h2>",
        _gates(s),
        "<h2>Latency inside the engine</h2>",
        _table(("p50", "p90", "p99", "max"), [[f"{v:,.1f} µs" for v in s["latency_us"].values()]]),
    ]
    if s["accuracy"] is not None:
        parts += ["<h2>Confusion matrix</h2>", _confusion(record), "<p>Rows: label, columns: decision.</p>"]
    parts += [
        "<h2>Reproducible</h2>",
        f"<p>graph <code>{s['graph_sha256']}</code><br>results <code>{s['results_sha256']}</code></p>",
    ]
    style = (resources.files("gxevent.report") / "page.css").read_text()
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{style}</style><body>{''.join(parts)}</body></html>\n"
    )


def _table(head: tuple[str, ...], rows: list[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{escape(h)}</th>" for h in head) + f"</tr>{body}</table>"


def _bar(share: float, mark: float | None = None) -> str:
    """A horizontal bar of 0 .. 1 as inline SVG, with a line at ``mark``."""
    line = f'<line x1="{mark * 160:.1f}" x2="{mark * 160:.1f}" y1="0" y2="14" stroke="currentColor"/>' if mark else ""
    return (
        '<svg width="160" height="14" role="img"><rect width="160" height="14" fill="var(--line)"/>'
        f'<rect width="{share * 160:.1f}" height="14" fill="var(--fill)"/>{line}</svg>'
    )


def _events(s: dict[str, Any]) -> str:
    windows = s["windows"]
    rows = [[escape(name), f"{total:,}", f"{total / windows:,.1f}"] for name, total in s["events"].items()]
    return _table(("population", "events", "a window"), rows)


def _gates(s: dict[str, Any]) -> str:
    rows = []
    for name, opened in s["open_gates"].items():
        resting = s["resting_probability_by_layer"][name]
        rows.append(
            [escape(name), f"{s['synapses'][name]:,}", f"{opened:,}", f"{resting:.1%}", _bar(resting, EXPECTED_RESTING)]
        )
    note = (
        "<p>A gate opens where a nonzero weight meets a nonzero activation. The bars are counted; the line marks 5/9, "
        "the share that would rest if all states were equally likely.</p>"
    )
    return _table(("projection", "synapses", "open gates", "resting", ""), rows) + note


def _confusion(record: RunRecord) -> str:
    matrix = record.confusion
    rows = ["<tr><th></th>" + "".join(f"<th>{escape(c)}</th>" for c in record.classes) + "</tr>"]
    for name, line in zip(record.classes, matrix, strict=True):
        total = max(int(line.sum()), 1)
        cells = "".join(
            f'<td style="background: color-mix(in srgb, var(--fill) {n / total:.0%}, transparent)">{n or ""}</td>'
            for n in line.tolist()
        )
        rows.append(f"<tr><th>{escape(name)}</th>{cells}</tr>")
    return f'<table class="matrix">{"".join(rows)}</table>'
