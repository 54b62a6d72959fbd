"""What a report needs beyond a run's folder: the sample seen from inside, the anytime curve, counted bitcounts.

All of it comes from running the graph on some of the data again; where either is not there, the page says so.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.analysis.latency import LatencyStudy, study_latency
from gxevent.analysis.operations import bitcounts
from gxevent.analysis.raster import Raster, trace_recording
from gxevent.errors import GxError, OptionError
from gxevent.events import DataSet, EventStream, encode_images, encode_stream, open_dataset
from gxevent.graph import EventGraph
from gxevent.report.inputs import Run
from gxevent.runtime import Engine, SampleRow, Trace
from gxevent.runtime.about import about_network

RECORDINGS = 100
"""Recordings that the anytime curve is drawn from, at most."""

EVENTS = 3_000_000
"""Sensor events that they may hold together."""

GATES = 400_000_000
"""Connections that are looked at to count bitcounts, one by one, in plain NumPy."""


@dataclass(eq=False)
class RunStudy:
    """A run and what was found out by running parts of it again; None where it was not.

    sample : that of ``raster`` and ``trace`` (its last window). bitcounts : by projection and window, counted over
    ``counted`` windows. remarks : what is missing and why, one line each.
    """

    name: str
    run: Run
    graph: EventGraph | None = None
    sample: SampleRow | None = None
    raster: Raster | None = None
    trace: Trace | None = None
    latency: LatencyStudy | None = None
    bitcounts: dict[str, float] | None = None
    counted: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def summary(self) -> dict[str, Any]:
        return self.run.record.summary

    @property
    def network(self) -> dict[str, Any] | None:
        """What ``about_network`` says of the graph: from the record, or from the graph where the record is older."""
        if "network" in self.summary:
            return self.summary["network"]
        return None if self.graph is None else about_network(self.graph)


def find_graphs(runs: dict[str, Run], paths: Iterable[str | os.PathLike[str]] = ()) -> dict[str, EventGraph]:
    """The graph of each run, known by its hash: among ``paths``, in the run's folder, or where its log says it was.

    Raises OptionError for a path whose graph none of the runs ran, FormatError for a damaged one.
    """
    wanted = {name: run.record.summary["graph_sha256"] for name, run in runs.items()}
    found: dict[str, EventGraph] = {}
    for path in paths:
        graph = files.load_graph(path)
        of = [name for name, sha in wanted.items() if sha == files.sha256(graph)]
        if not of:
            raise OptionError(f"{path}: is the graph of none of the runs; give the one that ran, or leave it out")
        found |= dict.fromkeys(of, graph)
    for name, run in runs.items():
        if name not in found:
            for path in _near(run):
                try:
                    graph = files.load_graph(path)
                except GxError:  # nobody asked for this file
                    continue
                if files.sha256(graph) == wanted[name]:
                    found[name] = graph
                    break
    return found


def _near(run: Run) -> list[Path]:
    said = [re.fullmatch(r"graph: (.+?)( sha256 [0-9a-f]{64})?", line) for line in run.log]
    return [*sorted(run.folder.glob("*.gxg")), *(Path(match[1]) for match in said if match)]


def find_data(runs: dict[str, Run], paths: Iterable[str | os.PathLike[str]] = ()) -> dict[str, DataSet]:
    """The data of each run, with exactly its samples: among ``paths``, where the run found it, or shipped.

    Raises OptionError for a path whose data none of the runs ran, FormatError for what holds no data.
    """
    found: dict[str, DataSet] = {}
    for path in paths:
        dataset = open_dataset(path, split="all")
        of = {name: chosen for name, run in runs.items() if (chosen := _samples_of(run, dataset))}
        if not of:
            raise OptionError(f"{path}: does not hold the samples of any of the runs; give the data that ran")
        found |= of
    for name, run in runs.items():
        for path in [] if name in found else _data_near(run):
            try:
                chosen = _samples_of(run, open_dataset(path, split="all"))
            except GxError:  # nobody asked for this file
                continue
            if chosen:
                found[name] = chosen
                break
    return found


def _data_near(run: Run) -> list[Path]:
    source = str(run.record.summary.get("data", ""))
    near = [Path(source)] if source and not source.startswith("tonic:") else []
    with contextlib.suppress(GxError):
        near.append(files.shipped(Path(source).name))
    return [path for path in near if path.exists()]


def _samples_of(run: Run, dataset: DataSet) -> DataSet | None:
    """The data set cut to the run's samples; None when it lacks one."""
    known = {sample.id: sample for sample in dataset.samples}
    rows = run.record.rows
    return (
        replace(dataset, samples=tuple(known[row.sample] for row in rows))
        if all(row.sample in known for row in rows)
        else None
    )


def study_run(
    name: str,
    run: Run,
    graph: EventGraph | None = None,
    dataset: DataSet | None = None,
    *,
    sample: str | None = None,
    progress: Callable[[str], Any] = lambda step: None,
) -> RunStudy:
    """Run what the page shows beyond the record: one sample from inside, the anytime curve, bitcounts.

    Parameters
    ----------
    graph, dataset
        Those of the run, as :func:`find_graphs` and :func:`find_data` give them; without them ``remarks`` says what the
        page goes without.
    sample
        The sample to look into; by default a rightly decided one with a middling number of events.

    Raises OptionError when there is no such sample.
    """
    made = RunStudy(name, run, graph)
    rows = run.record.rows
    at = _choose(rows, sample)
    missing = [what for what, there in (("--graph NET.gxg", graph), ("--data DATA", dataset)) if there is None]
    if missing:
        made.remarks.append(
            "One sample through all layers, the anytime curve and counted bitcounts need the run's graph and data, "
            f"which were not found: give {' and '.join(missing)}."
        )
        return made
    made.sample = rows[at]
    item, frames = _encoded(made, dataset, at)
    again = Engine(graph).run(frames)
    if again.accumulators.sum(axis=0).tolist() != list(made.sample.accumulators):
        made.sample = None
        made.remarks.append(
            f"The data found are not those of the run: sample {rows[at].sample} gives other sums, so no sample is "
            "shown from inside and there is no anytime curve."
        )
        return made
    made.trace = Engine(graph).trace(frames[-1])
    progress("counting bitcounts")
    _count_bits(made, dataset)
    if not isinstance(item, EventStream):
        made.remarks.append("Images have no time: the anytime curve and the raster are a matter of recordings.")
        return made
    window = run.record.summary.get("window")
    progress("one recording through all layers")
    if len(item.events):
        made.raster = trace_recording(graph, item, window=window, sample=rows[at].sample, label=rows[at].label)
    progress("decisions after every few events")
    chosen = _spread(rows)
    middle = int(np.median([rows[i].input_events for i in chosen]))
    part = replace(dataset, samples=tuple(dataset.samples[i] for i in chosen))
    try:
        made.latency = study_latency(graph, part, step=max(1, middle // 150), window=window)
        if not any(trace.label for trace in made.latency.traces):
            made.remarks.append("The anytime curve needs labels: none of the samples has one.")
    except OptionError as error:
        made.remarks.append(f"No anytime curve: {error}.")
    return made


def _choose(rows: tuple[SampleRow, ...], sample: str | None) -> int:
    if sample is not None:
        for i, row in enumerate(rows):
            if row.sample == sample:
                return i
        raise OptionError(f"sample: no {sample!r} in this run; samples.csv lists them, such as {rows[0].sample!r}")
    good = [i for i, row in enumerate(rows) if row.label and row.label == row.prediction] or list(range(len(rows)))
    good.sort(key=lambda i: (rows[i].events / rows[i].windows, i))
    return good[len(good) // 2]


def _encoded(made: RunStudy, dataset: DataSet, at: int) -> tuple[Any, NDArray[np.int8]]:
    """Sample number ``at`` and its frames, cut as the run cut them."""
    graph, summary = made.graph, made.summary
    item = dataset.load(at)
    if isinstance(item, EventStream):
        window, stride = summary.get("window"), summary.get("stride")
        return item, encode_stream(graph.encoder, item, graph.input.shape, window, stride)
    return item, encode_images(graph.encoder, item[None], graph.input.shape)


def _count_bits(made: RunStudy, dataset: DataSet) -> None:
    """Bitcounts of as many windows as are counted quickly, of samples spread over the run."""
    most = max(1, min(40, GATES // max(sum(made.graph.synapses.values()), 1)))
    if sum(made.graph.synapses.values()) > GATES:
        made.remarks.append("Bitcounts were not counted: the network is too large to do that gate by gate.")
        return
    spread = np.unique(np.linspace(0, len(dataset) - 1, most).astype(int)).tolist()
    parts = [_encoded(made, dataset, i)[1] for i in spread]
    frames = np.concatenate(parts)[:: max(1, sum(map(len, parts)) // most)][:most]
    made.bitcounts, made.counted = bitcounts(made.graph, [frames]), len(frames)


def _spread(rows: tuple[SampleRow, ...]) -> list[int]:
    """Recordings evenly spread over the run, few enough to go through event by event."""
    mean = max(sum(row.input_events for row in rows) / len(rows), 1)
    most = int(max(1, min(RECORDINGS, len(rows), EVENTS // mean)))
    return np.unique(np.linspace(0, len(rows) - 1, most).astype(int)).tolist()
