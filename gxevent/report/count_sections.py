"""Sections of a page about what was counted: events, open gates, operations beside other kinds of network."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from gxevent.analysis.operations import Count, Operations, operation_table
from gxevent.report import plots
from gxevent.report.html import Figures, bar, columns, number, paragraph, percent, table
from gxevent.report.plots import EQUAL_STATES
from gxevent.report.run_sections import title_of
from gxevent.report.study import RunStudy
from gxevent.report.style import WIDE

PAPER = {
    "full precision": ("M", "M", "0", "0", "0 %"),
    "BWN": ("0", "M", "0", "0", "0 %"),
    "TWN": ("0", "0 to M", "0", "0", "33.3 %"),
    "BNN": ("0", "0", "M", "1", "0 %"),
    "GXNOR": ("0", "0", "0 to M", "0 or 1", "55.6 %"),
}
"""The paper's table, operations of a neuron of fan-in M; 33.3 and 55.6 % hold if all states are equally likely."""

GENERAL = (
    "All rows are taken with this network's own connections and weights; trained as such, the others would have "
    "weights of their own. Pools, thresholds and batch norms are the same in every row and left out."
)


def gates(studies: list[RunStudy], figures: Figures) -> str:
    """Events and open gates by projection, resting probability against 5/9."""
    if not studies:
        return ""
    lead = (
        "A gate opens where a nonzero weight meets a nonzero activation. All numbers are counted, none is expected; "
        f"the line at {percent(EQUAL_STATES)} (5/9) is where the bar would end if all three states of weights and "
        "activations were equally likely."
    )
    parts = [title_of(study, studies) + _gates(study) for study in studies]
    return paragraph(lead) + columns(parts).replace('class="columns"', 'class="columns tables"')


def _gates(study: RunStudy) -> str:
    s, network = study.summary, study.network
    n, rows = s["windows"], []
    about = {p["name"]: p for p in network["projections"]} if network else {}
    units = {p["name"]: int(np.prod(p["shape"])) for p in network["populations"]} if network else {}
    for name, opened in s["open_gates"].items():
        rest = s["resting_probability_by_layer"][name]
        source = about.get(name, {}).get("source")
        sent = "–"
        if source in s["events"]:
            events = s["events"][source] / n
            sent = f"{events:,.1f} <small>of {units[source]:,}</small>"
        title = f"{name}: {opened / n:,.1f} of {s['synapses'][name] // n:,} gates opened in a window"
        cells = (escape(name), sent, f"{s['synapses'][name] / n:,.0f}", f"{opened / n:,.1f}", percent(rest))
        rows.append((*cells, bar(rest, EQUAL_STATES, title)))
    total = s["resting_probability"]
    synapses, opened = (sum(s[key].values()) / n for key in ("synapses", "open_gates"))
    sent = f"{sum(s['events'].values()) / n:,.1f}"
    rows.append(
        ("all", sent, f"{synapses:,.0f}", f"{opened:,.1f}", percent(total), bar(total, EQUAL_STATES, "all gates"))
    )
    head = ("projection", "events in", "connections", "open gates", "at rest", "")
    made = table(head, rows, "full", last=True)
    if not network:
        events = [(escape(name), f"{sent / n:,.1f}") for name, sent in s["events"].items()]
        made += table(("population", "events a window"), events)
    return made + paragraph("By window, all samples together.", "note")


def operations(studies: list[RunStudy], figures: Figures) -> str:
    """The paper's table for this network: what other kinds of network would have done, beside what this one did."""
    parts, notes = [], []
    for study in studies:
        network = study.network
        rows = operation_table(study.summary, network=network, bitcounts=study.bitcounts)
        parts.append(title_of(study, studies) + _operations(rows) + (_by_neuron(study, network) if network else ""))
        notes += _operation_notes(study, rows, network, len(studies) > 1)
    if not parts:
        return ""
    drawn = ""
    if len(studies) == 1:
        caption = "Operations of one window by kind of network; what is faint is the room between bounds."
        drawn = figures("Operations by kind of network", caption, lambda: plots.operations(rows, width=WIDE))
    lead = (
        "What one window costs in this network, and what it would cost the same connections in other kinds of network. "
        "<b>Bold</b> numbers were counted in the run; upright ones follow from connections and weights alone; "
        "<i>slanted</i> ones are bounds. The small line below a number is the paper's entry for a neuron of "
        "fan\u2011in M."
    )
    return (
        paragraph(lead)
        + columns(parts).replace('class="columns"', 'class="columns tables"')
        + drawn
        + "".join(paragraph(note, "note") for note in dict.fromkeys([*notes, GENERAL]))
    )


def _operations(rows: tuple[Operations, ...]) -> str:
    lines = []
    for row in rows:
        formulas = PAPER.get(row.network, ("", "", "", "", ""))
        counts = (row.multiply, row.accumulate, row.xnor, row.bitcount)
        cells = [_count(count, formula) for count, formula in zip(counts, formulas, strict=False)]
        lines.append((escape(row.network), *cells, _count(row.resting, formulas[-1], share=True)))
    head = ("network", "multiplications", "additions", "XNORs", "bitcounts", "at rest")
    return table(head, lines, "full")


def _count(count: Count, formula: str, share: bool = False) -> str:
    say = (lambda value: percent(value)) if share else number
    if not count.exact:
        text = f'<span class="bound">{say(count.low)} to {say(count.high)}</span>'
    elif count.measured:
        text = f'<span class="counted">{say(count.high)}</span>'
    else:
        text = say(count.high)
    return text + (f'<span class="formula">{formula}</span>' if formula not in ("", "0", "0 %") else "")


def _by_neuron(study: RunStudy, network: dict[str, Any]) -> str:
    """The same per neuron, projection by projection, as the paper gives it."""
    s = study.summary
    units = {p["name"]: int(np.prod(p["shape"])) for p in network["populations"]}
    rows = []
    for p in network["projections"]:
        n = units[p["target"]]
        opened = s["open_gates"][p["name"]] / s["windows"]
        bits = f"{study.bitcounts[p['name']] / n:.3f}" if study.bitcounts else '<span class="bound">0 to 1</span>'
        counted = f'<span class="counted">{opened / n:,.1f}</span>'
        rows.append(
            (
                escape(p["name"]),
                f"{n:,}",
                f"{p['synapses'] / n:,.1f}",
                f"{p['nonzero'] / n:,.1f}",
                counted,
                f'<span class="counted">{bits}</span>' if study.bitcounts else bits,
            )
        )
    head = ("by neuron of", "neurons", "fan-in M", "TWN additions", "open gates", "bitcounts")
    return table(head, rows, "full")


def _operation_notes(
    study: RunStudy, rows: tuple[Operations, ...], network: dict[str, Any] | None, named: bool
) -> list[str]:
    name, notes = f"{escape(study.name)}: " if named else "", []
    if study.bitcounts:
        notes.append(f"{name}Bitcounts of the network itself were counted on {study.counted} of the run's windows.")
    if rows[-1].accumulate.high:
        notes.append(
            f"{name}The first projection reads graded input: its {rows[-1].accumulate.high:,.0f} open gates add levels "
            "instead of XNORs. The paper's table does not tell the first layer apart, and neither do the other rows."
        )
    if rows[-1].network != "GXNOR" and network:
        notes.append(f"{name}Levels beyond -1, 0, +1 meet here: an open gate is a small integer product, not one XNOR.")
    if not network:
        notes.append(f"{name}The record does not hold the network, so what depends on its weights is a bound.")
    return notes
