"""Sections of a page about runs; each takes all runs and shows them side by side."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np

from gxevent.analysis.operations import Count, Operations, operation_table
from gxevent.report import plots, raster_plots
from gxevent.report.html import Figures, bar, columns, number, paragraph, span, table
from gxevent.report.plots import EQUAL_STATES
from gxevent.report.study import RunStudy
from gxevent.report.style import HALF, WIDE
from gxevent.runtime import RunRecord
from gxevent.runtime.about import about_network

WRONG = 12
"""Misclassified samples that are named."""

LARGE = 40
"""Classes up to which a confusion matrix is a table; a larger one is a picture."""

GENERAL = (
    "All rows are taken with this network's own connections and weights; trained as such, the others would have "
    "weights of their own. Pools, thresholds and batch norms are the same in every row and left out."
)

IN_LARGE = ("samples", "accuracy", "gates at rest", "events a window", "latency")
"""Facts that a page of a single run shows in large figures already."""

PAPER = {
    "full precision": ("M", "M", "0", "0", "0 %"),
    "BWN": ("0", "M", "0", "0", "0 %"),
    "TWN": ("0", "0 to M", "0", "0", "33.3 %"),
    "BNN": ("0", "0", "M", "1", "0 %"),
    "GXNOR": ("0", "0", "0 to M", "0 or 1", "55.6 %"),
}
"""The paper's table, operations of a neuron of fan-in M; 33.3 and 55.6 % hold if all states are equally likely."""


def percent(share: float, digits: int = 1) -> str:
    """With a narrow space that does not break."""
    return f"{100 * share:.{digits}f}\u202f%"


def title_of(study: RunStudy, studies: list[RunStudy]) -> str:
    """The run's name as a heading, where there are several."""
    return f"<h3>{escape(study.name)}</h3>" if len(studies) > 1 else ""


def figure_width(studies: list[RunStudy]) -> float:
    """Inches a figure may take when every run has one of its own."""
    return WIDE if len(studies) == 1 else HALF


# ------------------------------------------------------------------------------------------------------ the head


def deck(studies: list[RunStudy]) -> str:
    """The gist in a sentence or two."""
    if len(studies) != 1:
        return paragraph(f"{len(studies)} runs side by side.", "deck") if studies else ""
    s = studies[0].summary
    windows, whole = s["windows"], sum(s["synapses"].values()) / s["windows"]
    opened = sum(s["open_gates"].values()) / windows
    gates = f"Of {whole:,.0f} gates {opened:,.0f} opened in a window; {percent(s['resting_probability'])} rested."
    if s["accuracy"] is None:
        return paragraph(f"{s['samples']:,} samples without labels. {gates}", "deck")
    right = f"{s['correct']:,} of {s['labelled']:,} samples were classified correctly."
    return paragraph(f"{right} {gates}", "deck")


def key_figures(studies: list[RunStudy]) -> str:
    """Large numbers of a single run; several are compared in a table instead."""
    if len(studies) != 1:
        return ""
    s = studies[0].summary
    shown = [("samples", f"{s['samples']:,}")]
    if s["accuracy"] is not None:
        shown.insert(0, ("accuracy", percent(s["accuracy"])))
    shown += [
        ("of the gates rested", percent(s["resting_probability"])),
        ("address events a window", f"{sum(s['events'].values()) / s['windows']:,.0f}"),
        ("median latency", f"{s['latency_us']['p50']:,.0f}\u202fµs"),
        ("input events a second", f"{s['input_events_per_s']:,.0f}"),
    ]
    return '<div class="figures">' + "".join(f"<div><b>{value}</b>{name}</div>" for name, value in shown) + "</div>"


# ------------------------------------------------------------------------------------------------------ sections


def what_ran(studies: list[RunStudy]) -> str:
    """Network, data, settings, versions, hashes; with several runs also their figures."""
    if not studies:
        return ""
    head = ("", *(escape(s.name) for s in studies)) if len(studies) > 1 else ("", "")
    facts = [_facts(study) for study in studies]
    shown = [name for name in facts[0] if len(studies) > 1 or name not in IN_LARGE]
    return table(head, [(name, *(fact[name] for fact in facts)) for name in shown], "facts figureslike")


def _facts(study: RunStudy) -> dict[str, str]:
    s, made = study.summary, {}
    network = _network(study)
    if network:
        shapes = " → ".join(f"{p['name']} {'×'.join(map(str, p['shape']))}" for p in network["populations"])
        made["network"] = f"<b>{escape(network['name'] or 'unnamed')}</b> {escape(shapes)}"
    else:
        made["network"] = " → ".join(escape(name) for name in s["events"])
    made["connections"] = f"{sum(s['synapses'].values()) / s['windows']:,.0f} with a level of their own"
    made["data"] = escape(str(s["data"]))
    made["samples"] = f"{s['samples']:,}" + (f" in {s['windows']:,} windows" if s["windows"] != s["samples"] else "")
    made["accuracy"] = "no labels"
    if s["accuracy"] is not None:
        made["accuracy"] = f"{percent(s['accuracy'], 2)} ({s['correct']:,} of {s['labelled']:,})"
    made["gates at rest"] = percent(s["resting_probability"], 2)
    made["events a window"] = f"{sum(s['events'].values()) / s['windows']:,.1f}"
    made["input"] = f"{s['input_events']:,} events, {s['input_events_per_s']:,.0f} a second"
    made["latency"] = f"p50 {s['latency_us']['p50']:,.1f} µs, p99 {s['latency_us']['p99']:,.1f} µs"
    threads = f"{s['threads']} thread{'s' if s['threads'] > 1 else ''}"
    made["engine"] = f"{escape(s['kernel'])} kernel, {threads}, {escape(s.get('mode', 'batch'))} mode"
    made["window"] = escape(str(s.get("window") or "the encoder's own"))
    if s.get("stride"):
        made["window"] += f", every {escape(str(s['stride']))}"
    made["version"] = f"gxevent {escape(str(s['gxevent']))}" if "gxevent" in s else "not recorded"
    made["graph"] = f"<code title='sha256'>{s['graph_sha256'][:16]}…</code>"
    made["results"] = f"<code title='sha256'>{s['results_sha256'][:16]}…</code>"
    return made


def _network(study: RunStudy) -> dict[str, Any] | None:
    if "network" in study.summary:
        return study.summary["network"]
    return None if study.graph is None else about_network(study.graph)


def accuracy(studies: list[RunStudy]) -> str:
    """Confusion matrices."""
    known = [s for s in studies if s.summary["accuracy"] is not None]
    if not known:
        return ""
    said = "Confusion matrix: rows are labels, columns decisions; the colour is the share of the label's samples."
    note = paragraph(said, "note")
    if len(known) == 1:
        record = known[0].run.record
        return title_of(known[0], studies) + columns([_confusion(record) + note, _wrong(record)])
    return columns(title_of(s, studies) + _confusion(s.run.record) + _wrong(s.run.record) for s in known) + note


def _wrong(record: RunRecord) -> str:
    """Misclassified samples, by name."""
    wrong = [row for row in record.rows if row.label and row.prediction != row.label]
    rows = [(f"<code>{escape(r.sample)}</code>", escape(r.label), escape(r.prediction)) for r in wrong[:WRONG]]
    if not rows:
        return ""
    more = paragraph(f"and {len(wrong) - WRONG:,} more in samples.csv", "note") if len(wrong) > WRONG else ""
    return table(("misclassified", "label", "decision"), rows) + more


def _confusion(record: RunRecord) -> str:
    matrix, classes = record.confusion, record.classes
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    pairs = [np.unravel_index(i, wrong.shape) for i in np.argsort(-wrong, axis=None, kind="stable")[:3]]
    named = [f"{classes[a]} taken for {classes[b]} ({wrong[a, b]})" for a, b in pairs if wrong[a, b]]
    lead = f"Most often {escape(', '.join(named))}." if named else "No sample was taken for another."
    if len(classes) > LARGE:
        return paragraph(lead)
    rows = []
    for name, line in zip(classes, matrix, strict=True):
        total = int(line.sum())
        cells = [escape(name)]
        for other, n in zip(classes, line.tolist(), strict=True):
            share = n / max(total, 1)
            strong = ' class="strong"' if share > 0.55 else ""
            tint = f"background: color-mix(in srgb, var(--c0) {max(share, 0.08):.0%}, transparent)" if n else ""
            title = f"{name} taken for {other}: {n} of {total}"
            cells.append(f'<div{strong} style="{tint}" title="{escape(title, quote=True)}">{n or ""}</div>')
        right = line[classes.index(name)] / total if total else None
        rows.append((*cells, "" if right is None else f'<span class="share">{percent(right)}</span>'))
    small = "small" if len(classes) > 16 else ""
    return paragraph(lead) + table(("", *map(escape, classes), ""), rows, f"matrix {small}")


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
    s, network = study.summary, _network(study)
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
        network = _network(study)
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


def latency(studies: list[RunStudy], figures: Figures) -> str:
    """Histograms on one scale, and percentiles."""
    if not studies:
        return ""
    times = [[max(row.latency_us, 1e-3) for row in s.run.record.rows] for s in studies]
    limits = (min(map(min, times)), max(map(max, times)))
    width = figure_width(studies)
    parts = []
    for study in studies:
        record = study.run.record
        label = f"Histogram of host time by sample, {study.name}"
        caption = "Host time inside the engine of each sample, all its windows together."
        drawn = figures(label, caption, lambda r=record: plots.latency(r, limits=limits, width=width))
        parts.append(title_of(study, studies) + drawn)
    head = ("run", "p50", "p90", "p99", "max", "samples a second")
    rows = [
        (
            escape(s.name),
            *(f"{s.summary['latency_us'][q]:,.1f}\u202fµs" for q in ("p50", "p90", "p99", "max")),
            f"{s.summary['samples_per_s']:,.0f}",
        )
        for s in studies
    ]
    if len(studies) == 1:
        head, rows = head[1:], [row[1:] for row in rows]
    note = "" if len(studies) == 1 else paragraph("All histograms have the same scale of time.", "note")
    return columns(parts) + note + table(head, rows)


def anytime(studies: list[RunStudy], figures: Figures) -> str:
    """The anytime curves in one figure, decision latency in a table."""
    known = {s.name: s.latency for s in studies if s.latency and any(t.label for t in s.latency.traces)}
    if not known:
        return ""
    lead = (
        "Recordings run event by event. Above: the share of them classified correctly after so many events. Below: the "
        "share whose decision does not change any more."
    )
    caption = "; ".join(
        f"{escape(name) + ': ' if len(known) > 1 else ''}{len(study.traces):,} recordings, a decision every "
        f"{study.step} event{'s' if study.step > 1 else ''}"
        for name, study in known.items()
    )
    drawn = figures(
        "Accuracy after n events", f"{caption}.", lambda: plots.anytime_curves(known, width=WIDE), kind="wide"
    )
    rows, quantiles = [], ("p50", "p90", "p99", "max")
    for name, study in known.items():
        s, of = study.summary(), f"{escape(name)}: " if len(known) > 1 else ""
        seen, passed, host = s["decision_events"], s["decision_time_us"], s["host_us"]
        rows.append((f"{of}events until the decision stays", *(f"{seen[q]:,.0f}" for q in quantiles)))
        rows.append((f"{of}event time until then", *(f"{passed[q] / 1e3:,.1f}\u202fms" for q in quantiles)))
        rows.append((f"{of}host time of a step", *(f"{host[q]:,.1f}\u202fµs" for q in quantiles)))
    return paragraph(lead) + drawn + table(("", *quantiles), rows)


def inside(studies: list[RunStudy], figures: Figures) -> str:
    """One sample: the raster over time, and what every channel sent for its last window."""
    parts = []
    for study in studies:
        if study.trace is None or study.sample is None:
            continue
        row = study.sample
        told = f", label {escape(row.label)}" if row.label else ""
        lead = (
            f"{title_of(study, studies)}<p>Sample <code>{escape(row.sample)}</code>{told}, decided "
            f"{escape(row.prediction)}: {row.input_events:,} input events, {row.events:,} address events, "
            f"{row.open_gates:,} open gates.</p>"
        )
        drawn = ""
        if study.raster is not None:
            made = study.raster
            caption = (
                "Address events along the recording in stream mode, at the flat address of the unit: each dot is a "
                "unit whose level became positive (blue) or negative (orange) since the look before, "
                f"{len(made.t_us)} looks in all. Below, the scores."
            )
            drawn = figures(f"Raster of {row.sample}", caption, lambda m=made: raster_plots.raster(m))
        caption = (
            "The last window as the engine runs it: every channel of every population, positive in blue, negative in "
            "orange, silent in grey; below the names, active units."
        )
        made = (study.graph, study.trace)
        drawn += figures(f"Channels of {row.sample}", caption, lambda m=made: raster_plots.maps(*m))
        parts.append(lead + drawn if drawn else "")
    return "".join(parts)


def by_class(studies: list[RunStudy], figures: Figures) -> str:
    """Events by class as boxes, and a table with each class's accuracy, events and gates."""
    if not studies:
        return ""
    groups = [plots.events_by_class(s.run.record) for s in studies]
    if not any(groups):
        return ""
    width = figure_width(studies)
    caption = (
        "Address events of all populations by window: median, middle half, extremes; the axis does not begin at 0."
    )
    parts = []
    for study, group in zip(studies, groups, strict=True):
        record = study.run.record
        label = f"Events by class, {study.name}"
        drawn = figures(label, caption, lambda r=record: plots.class_events(r, width=width))
        parts.append(title_of(study, studies) + drawn + _by_class(record, group))
    return columns(parts)


def _by_class(record: RunRecord, groups: dict[str, Any]) -> str:
    if len(groups) > LARGE:
        return ""
    labelled = any(row.label for row in record.rows)
    rows, s = [], record.summary
    synapses = sum(s["synapses"].values()) / s["windows"]
    for name, events in groups.items():
        of = [row for row in record.rows if (row.label if labelled else row.prediction) == name]
        opened = np.array([row.open_gates / row.windows for row in of])
        right = percent(np.mean([row.prediction == name for row in of])) if labelled else "–"
        cells = (escape(name), f"{len(of):,}", right, f"{events.mean():,.0f}", span(events.min(), events.max()))
        rows.append((*cells, percent(1 - opened.mean() / synapses)))
    head = ("label" if labelled else "decision", "samples", "correct", "events a window", "least to most", "at rest")
    return table(head, rows, "long")


def reproduce(studies: list[RunStudy]) -> str:
    """Hashes in full and the run's log."""
    parts = []
    for study in studies:
        s = study.summary
        lines = [f"graph   sha256 {s['graph_sha256']}", f"results sha256 {s['results_sha256']}", *study.run.log]
        parts.append(title_of(study, studies) + f"<pre>{escape(chr(10).join(lines))}</pre>")
    if not parts:
        return ""
    lead = (
        "The results hash covers every sample's name and integer read-out, in order. It is the same for every mode, "
        "kernel, number of threads and machine, so a run elsewhere can be compared by it."
    )
    return paragraph(lead) + "".join(parts)
