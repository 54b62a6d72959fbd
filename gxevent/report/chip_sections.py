"""The section of a page about chips: mappings with their pictures, simulations with their energy bands."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gxevent import store
from gxevent.errors import GxError
from gxevent.mapping import Mapping
from gxevent.mapping.activity import KIND, Activity
from gxevent.mapping.frames import load_counts
from gxevent.report import chip_plots
from gxevent.report.html import Figures, columns, listed, number, paragraph, table
from gxevent.report.inputs import Inputs
from gxevent.report.style import HALF, WIDE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def chips(inputs: Inputs, activities: list[str | Path], figures: Figures) -> str:
    """Mappings and simulations side by side."""
    near = [*map(Path, activities), *(run.folder for run in inputs.runs.values() if run.folder.name)]
    return _mappings(inputs.mappings, near, figures) + _simulations(inputs.simulations, figures)


def _mappings(mappings: dict[str, Mapping], near: list[Path], figures: Figures) -> str:
    if not mappings:
        return ""
    facts = [_mapping_facts(mapping) for mapping in mappings.values()]
    rows = [(name, *(fact[name] for fact in facts)) for name in facts[0]]
    made = "<h3>Mappings</h3>" + table(("", *map(escape, mappings)), rows, "facts figureslike")
    made += paragraph("Traffic is by frame of the activity that the mapping was made for.", "note")
    return made + columns(_pictures(name, mapping, near, figures) for name, mapping in mappings.items())


def _mapping_facts(mapping: Mapping) -> dict[str, str]:
    t, activity = mapping.traffic, mapping.activity
    said = {"measured": f"measured on {activity.source}", "totals": f"totals of run {activity.source}"}
    receiver = t["busiest_receiving"]
    splits = ", ".join(f"{s.projection} in {len(s.cuts) - 1} parts" for s in mapping.splits)
    return {
        "chip": escape(mapping.chip["name"]),
        "method": escape(f"{mapping.settings.method}, seed {mapping.settings.seed}"),
        "activity": escape(said.get(activity.kind, "none measured: one event a unit and frame")),
        "cores": number(t["cores_used"]),
        "split": escape(splits or "nothing"),
        "packets": number(t["packets"]),
        "multicast traffic": f"{number(t['multicast_traffic'])} links",
        "unicast traffic": f"{number(t['unicast_traffic'])} links",
        "busiest link": f"{number(t['max_link'])} events",
        "busiest receiver": f"{number(receiver['work'])} {escape(receiver['unit'])} (core {receiver['core']})",
        "graph": f"<code>{mapping.graph.sha256[:16]}…</code>",
    }


def _pictures(name: str, mapping: Mapping, near: list[Path], figures: Figures) -> str:
    from gxevent.mapping import plots

    part = f"{escape(name)}, the part of the mesh in use"
    caption = f"{part}: units on the cores of each router."
    made = figures(f"Units on the cores, {name}", caption, lambda: _fitted(plots.occupancy(mapping), mapping), "light")
    activity = find_activity(mapping, near)
    if activity is None:
        text = (
            f"Link loads of {escape(name)} need the activity it was made for: give --activity FILE.gxa "
            "(gxevent map --save-activity), or the run folder as well."
        )
        return made + paragraph(text, "gap")
    caption = f"{part}: events a frame on each link; the two directions lie side by side."
    drawn = figures(
        f"Link loads, {name}", caption, lambda: _fitted(plots.link_heat(mapping, activity), mapping), "light"
    )
    return made + drawn


def _fitted(figure: Figure, mapping: Mapping) -> Figure:
    """The picture of a mesh, shown where cores are used, at a size at which two stand side by side."""
    places = np.array([entry.place[:2] for entry in mapping.cores] + [mapping.typed_chip().port])
    (left, top), (right, bottom) = places.min(axis=0) - 0.8, places.max(axis=0) + 0.8
    figure.axes[0].set(xlim=(left, right), ylim=(bottom, top), title="")
    for axis in (figure.axes[0].xaxis, figure.axes[0].yaxis):
        axis.get_major_locator().set_params(integer=True)
    height = (HALF - 1.2) * (bottom - top) / (right - left)
    figure.set_size_inches(HALF, float(np.clip(height, 1.6, 5.0)))
    return figure


def find_activity(mapping: Mapping, near: list[Path]) -> Activity | None:
    """The activity that a mapping was made for, known by its hash: uniform, or among files and run folders."""
    populations = [p for p in mapping.graph.populations if p.role != "readout" and not p.partial]
    events = {p.name: np.ones(p.size, np.int64) for p in populations}
    candidates = [Activity("uniform", mapping.graph.sha256, 1, "", events)]
    for path in near:
        try:
            if path.is_dir():
                candidates.append(load_counts(path, mapping))
            else:
                contents = store.read(path, KIND)
                candidates.append(Activity(**contents.body, events=contents.tensors))
        except GxError:  # of another graph
            continue
    return next((a for a in candidates if a.sha256() == mapping.activity.sha256), None)


def _simulations(simulations: dict[str, dict[str, Any]], figures: Figures) -> str:
    if not simulations:
        return ""
    facts = [_simulation_facts(s) for s in simulations.values()]
    rows = [(name, *(fact[name] for fact in facts)) for name in facts[0]]
    made = "<h3>Simulations</h3>" + table(("", *map(escape, simulations)), rows, "facts figureslike")
    known = {name: s for name, s in simulations.items() if s["energy_nj"]["total"]}
    if known:
        unknown = {name: s["energy_nj"]["unknown"] for name, s in known.items() if s["energy_nj"]["unknown"]}
        missing = "; ".join(f"{name}: {', '.join(costs)}" for name, costs in unknown.items())
        caption = "Mean energy of a sample by part; the whisker is the span of the published costs."
        caption += f" Not published and not in the bar: {escape(missing)}." if missing else ""
        made += figures("Energy by part with its band", caption, lambda: chip_plots.energy_bands(known, width=WIDE))
    timed = {name: s for name, s in simulations.items() if any(_took(layer) for layer in s["layers"] or [])}
    if timed:
        caption = "Median time of every step, the barrier included, one after the other."
        made += figures("Time of every step", caption, lambda: chip_plots.step_times(timed, width=WIDE))
    parts = [f"<h3>{escape(name)}: assumed</h3>" + listed(s["assumptions"]) for name, s in simulations.items()]
    return made + columns(parts)


def _took(layer: dict[str, Any]) -> bool:
    return layer["latency_us"] is not None


def _simulation_facts(s: dict[str, Any]) -> dict[str, str]:
    took, each, total = s["latency_us"], s["per_sample"], s["energy_nj"]["total"]
    energy = "no cost is published"
    if total:
        energy = f"{total['value'] / 1e3:,.2f} µJ ({total['low'] / 1e3:,.2f} to {total['high'] / 1e3:,.2f})"
        energy += "" if s["energy_nj"]["complete"] else ", of the known parts"
    latency = "no times are published"
    if took["p50"] is not None:
        latency = f"p50 {took['p50']:,.1f} µs, p99 {took['p99']:,.1f} µs"
    least = s["roofline_us"]["p50"]
    return {
        "chip": f"{escape(s['chip'])}, {escape(s['sync'])}",
        "samples": f"{s['samples']:,} in {s['frames']:,} frames",
        "cores": number(s["cores_used"]),
        "latency": latency,
        "at least": "–" if least is None else f"p50 {least:,.1f} µs (busiest core or link of each step)",
        "energy a sample": energy,
        "packets a sample": number(each["packets"], 1),
        "hops a sample": f"{number(each['hops'], 1)} ({escape(s['convention'])})",
        "synops a sample": number(each["synops"], 1),
        "busiest link": f"{s['max_link_load'] / max(s['samples'], 1):,.1f} packets a sample",
    }
