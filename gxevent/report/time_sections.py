"""Sections of a page about time: latency, the anytime curve, one sample from inside."""

from __future__ import annotations

from html import escape

import numpy as np

from gxevent.report import plots, raster_plots
from gxevent.report.html import Figures, columns, paragraph, table
from gxevent.report.run_sections import figure_width, title_of
from gxevent.report.study import RunStudy
from gxevent.report.style import WIDE

FEW = 5
"""Samples of which a histogram says more than their list."""


def latency(studies: list[RunStudy], figures: Figures) -> str:
    """Histograms on one scale, and percentiles."""
    if not studies:
        return ""
    times = [plots.latencies(s.run.record) for s in studies]
    every = np.concatenate(times)
    limits = (float(every.min()), float(every.max())) if len(every) else None
    width = figure_width(studies)
    parts = []
    for study in studies:
        record = study.run.record
        label = f"Histogram of host time by sample, {study.name}"
        caption = "Host time inside the engine of each sample, all its windows together."
        drawn = ""
        if len(plots.latencies(record)) >= FEW:
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
    note = (
        "" if len(studies) == 1 or not any(parts) else paragraph("All histograms have the same scale of time.", "note")
    )
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
        f"{study.step} event{'s' if study.step > 1 else ''} and at the end"
        for name, study in known.items()
    )
    if any(s.summary["windows"] > s.summary["samples"] for s in studies if s.name in known):
        caption += ". Decisions are those of one sliding window; a run adds up the scores of all its windows"
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
