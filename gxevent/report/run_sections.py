"""Sections of a page about runs; each takes all runs and shows them side by side."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import IMAGE_KINDS
from gxevent.report import plots
from gxevent.report.html import Figures, columns, paragraph, percent, span, table
from gxevent.report.study import RunStudy
from gxevent.report.style import HALF, WIDE
from gxevent.runtime import RunRecord, SampleRow

WRONG = 12
"""Misclassified samples that are named."""

BESIDE = 14
"""Classes up to which something fits beside a confusion matrix."""

FIT = 6
"""Populations whose events fit into the table by class."""

LARGE = 40
"""Classes up to which a confusion matrix is a table; a larger one is a picture."""

IN_LARGE = ("samples", "accuracy", "gates at rest", "events a window", "latency")
"""Facts that a page of a single run shows in large figures already."""


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
    network = study.network
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
    made["encoder"] = escape(_encoder(s, network))
    versions = [f"{name} {version}" for name, version in s.get("versions", {}).items()]
    made["versions"] = escape(", ".join(versions) or "not recorded")
    commands = [line.removeprefix("command: ") for line in study.run.log if line.startswith("command: ")]
    made["command"] = f"<code>{escape(commands[-1])}</code>" if commands else "not recorded"
    made["graph"] = f"<code title='sha256'>{s['graph_sha256'][:16]}…</code>"
    made["results"] = f"<code title='sha256'>{s['results_sha256'][:16]}…</code>"
    return made


def _encoder(s: dict[str, Any], network: dict[str, Any] | None) -> str:
    """Kind, bins and window, the run's own window first."""
    encoder = (network or {}).get("encoder") or {}
    parts = [str(encoder[key]) + said for key, said in (("kind", ""), ("bins", " bins")) if key in encoder]
    parts = [part for part in parts if part != "1 bins"]
    window = s.get("window") or encoder.get("window")
    if window and encoder.get("kind") not in IMAGE_KINDS:
        parts.append("the whole recording" if window == "all" else f"windows of {window}")
    parts += [f"every {s['stride']}"] if s.get("stride") else []
    return ", ".join(parts) or "not recorded"


def accuracy(studies: list[RunStudy], figures: Figures) -> str:
    """Confusion matrices."""
    known = [s for s in studies if s.summary["accuracy"] is not None]
    if not known:
        return ""
    said = "Confusion matrix: rows are labels, columns decisions; the colour is the share of the label's samples."
    note = paragraph(said, "note")
    if len(known) == 1:
        record = known[0].run.record
        parts = [_confusion(record, figures) + note, _wrong(record)]
        beside = len(record.classes) <= BESIDE
        return title_of(known[0], studies) + (columns(parts) if beside else "".join(parts))
    return (
        columns(title_of(s, studies) + _confusion(s.run.record, figures) + _wrong(s.run.record) for s in known) + note
    )


def _wrong(record: RunRecord) -> str:
    """Misclassified samples, by name."""
    wrong = [row for row in record.rows if row.label and row.prediction != row.label]
    rows = [(f"<code>{escape(r.sample)}</code>", escape(r.label), escape(r.prediction)) for r in wrong[:WRONG]]
    if not rows:
        return ""
    more = paragraph(f"and {len(wrong) - WRONG:,} more in samples.csv", "note") if len(wrong) > WRONG else ""
    return table(("misclassified", "label", "decision"), rows) + more


def _confusion(record: RunRecord, figures: Figures) -> str:
    matrix, classes = record.confusion, record.classes
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    pairs = [np.unravel_index(i, wrong.shape) for i in np.argsort(-wrong, axis=None, kind="stable")[:3]]
    named = [f"{classes[a]} taken for {classes[b]} ({wrong[a, b]})" for a, b in pairs if wrong[a, b]]
    lead = f"Most often {escape(', '.join(named))}." if named else "No sample was taken for another."
    if len(classes) > LARGE:
        label = f"Confusion matrix of {len(classes)} classes"
        return paragraph(lead) + figures(label, f"{label}.", lambda: plots.confusion(record))
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
        drawn = ""
        if any(len(values) > 2 for values in group.values()):
            drawn = figures(label, caption, lambda r=record: plots.class_events(r, width=width))
        parts.append(title_of(study, studies) + drawn + _by_class(record, group))
    return columns(parts)


def _by_class(record: RunRecord, groups: dict[str, Any]) -> str:
    if len(groups) > LARGE:
        return ""
    labelled = any(row.label for row in record.rows)
    rows, s = [], record.summary
    synapses = sum(s["synapses"].values()) / s["windows"]
    layers = list(s["events"]) if len(s["events"]) <= FIT and all(r.events_by_population for r in record.rows) else []
    for name, events in groups.items():
        of = [row for row in record.rows if (row.label if labelled else row.prediction) == name]
        opened = np.array([row.open_gates / row.windows for row in of])
        right = percent(np.mean([row.prediction == name for row in of])) if labelled else "–"
        cells = (escape(name), f"{len(of):,}", right, f"{events.mean():,.0f}", span(events.min(), events.max()))
        by_layer = [f"{mean:,.0f}" for mean in _by_layer(of, layers)]
        rows.append((*cells, *by_layer, percent(1 - opened.mean() / synapses)))
    head = ("label" if labelled else "decision", "samples", "correct", "events a window", "least to most")
    return table((*head, *map(escape, layers), "at rest"), rows, "long")


def _by_layer(rows: list[SampleRow], layers: list[str]) -> NDArray[np.float64]:
    """Mean events a window of each population."""
    if not layers:
        return np.zeros(0)
    return np.mean([np.array(row.events_by_population) / row.windows for row in rows], axis=0)


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
