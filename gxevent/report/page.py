"""One self-contained HTML page of runs, mappings and simulations: opens offline, prints well.

Figures need matplotlib (extra ``report``); without it the page has its tables and says how to get the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from gxevent import __version__
from gxevent.events import DataSet
from gxevent.graph import EventGraph
from gxevent.report import chip_sections, count_sections, run_sections, time_sections
from gxevent.report.html import Figures, paragraph, section
from gxevent.report.inputs import Inputs, Run
from gxevent.report.study import RunStudy, find_data, find_graphs, study_run
from gxevent.runtime import RunRecord


def report_page(
    inputs: Inputs,
    title: str = "",
    *,
    graphs: Iterable[str | Path] = (),
    data: Iterable[str | Path] = (),
    activities: Iterable[str | Path] = (),
    sample: str | None = None,
    progress: Callable[[str], Any] = lambda step: None,
) -> str:
    """HTML of everything in ``inputs``, several runs side by side.

    Parameters
    ----------
    graphs, data
        Files of the runs' graphs and data, if they are not where the runs found them; each is matched to its runs.
    activities
        Activity files (``.gxa``) or run folders that mappings were made for: link loads are drawn from them.
    sample
        Sample to look into, by default a typical one.

    Raises what ``find_graphs``, ``find_data`` and ``study_run`` raise.
    """
    found, datasets = find_graphs(inputs.runs, graphs), find_data(inputs.runs, data)
    studies = []
    for name, run in inputs.runs.items():
        progress(f"{name}: looking into a sample")
        studies.append(
            study_run(
                name,
                run,
                found.get(name),
                datasets.get(name),
                sample=sample,
                progress=lambda step, name=name: progress(f"{name}: {step}"),
            )
        )
    progress("drawing")
    return _page(title or _title(inputs), studies, inputs, list(activities), [])


def run_page(
    record: RunRecord,
    title: str,
    notes: list[str] | None = None,
    *,
    graph: EventGraph | None = None,
    dataset: DataSet | None = None,
) -> str:
    """HTML of one run in memory; with its graph and data also the sample from inside and the anytime curve."""
    run = Run(Path(), record, ())
    return _page(title, [study_run("run", run, graph, dataset)], Inputs(runs={"run": run}), [], notes or [])


def _title(inputs: Inputs) -> str:
    names = (
        {run.record.summary.get("network", {}).get("name") or name for name, run in inputs.runs.items()}
        or {mapping.graph.name or name for name, mapping in inputs.mappings.items()}
        or set(inputs.simulations)
    )
    data = {Path(str(run.record.summary["data"])).name for run in inputs.runs.values()}
    chips = {m.chip["name"] for m in inputs.mappings.values()} | {s["chip"] for s in inputs.simulations.values()}
    title = _listed(names)
    title += f" on {_listed(data)}" if data else ""
    return title + (f", mapped to {_listed(chips)}" if chips else "")


def _listed(names: set[str]) -> str:
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}" if most else last


def _page(title: str, studies: list[RunStudy], inputs: Inputs, activities: list[str | Path], notes: list[str]) -> str:
    figures = Figures()
    body = [
        section("What ran", run_sections.what_ran(studies)),
        section("Accuracy", run_sections.accuracy(studies, figures)),
        section("Events and gates", count_sections.gates(studies, figures)),
        section("Operations", count_sections.operations(studies, figures)),
        section("Latency", time_sections.latency(studies, figures)),
        section("Anytime accuracy", time_sections.anytime(studies, figures)),
        section("One sample through all layers", time_sections.inside(studies, figures)),
        section("Events by class", run_sections.by_class(studies, figures)),
        section("On chips", chip_sections.chips(inputs, activities, figures)),
        section("Reproduce", run_sections.reproduce(studies)),
    ]
    remarks = [f"{s.name}: {remark}" if len(studies) > 1 else remark for s in studies for remark in s.remarks]
    if figures.missing:
        remarks.append(f"This page has no figures: {figures.missing}")
    head = [
        f"<h1>{escape(title)}</h1>",
        run_sections.deck(studies),
        run_sections.key_figures(studies),
        *(paragraph(escape(note)) for note in notes),
        *(paragraph(escape(remark), "gap") for remark in remarks),
        _contents(body),
    ]
    style = (resources.files("gxevent.report") / "page.css").read_text()
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>"
        f"<header>{''.join(head)}</header><main>{''.join(body)}</main>"
        f"<footer>Made by gxevent {__version__}. Everything on this page lies within this one file.</footer>"
        "</body></html>\n"
    )


def _contents(sections: list[str]) -> str:
    links = []
    for text in sections:
        if text:
            anchor = text.split('id="', 1)[1].split('"', 1)[0]
            links.append(f'<a href="#{anchor}">{text.split("<h2>", 1)[1].split("</h2>", 1)[0]}</a>')
    return f"<nav>{''.join(links)}</nav>" if len(links) > 2 else ""
