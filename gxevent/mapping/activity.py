"""Activity: how many events each unit sends, measured by running samples, kept with the hash of its graph."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files, store
from gxevent.errors import FormatError, OptionError
from gxevent.events import DataSet
from gxevent.graph import EventGraph
from gxevent.runtime import Engine, encode_samples, load_run

KIND = "activity"


@dataclass(frozen=True, eq=False)
class Activity:
    """Events of single units, int64 arrays (units,) by population, over ``windows`` frames.

    kind
        "measured": counted unit by unit. "totals": a run's totals, spread evenly over each population. "uniform":
        nothing was measured, every unit counts one event a frame.
    """

    kind: str
    graph_sha256: str
    windows: int
    source: str
    events: dict[str, NDArray[np.int64]]

    def sha256(self) -> str:
        return store.digest(KIND, *self._contents())

    def save(self, path: str | os.PathLike[str]) -> str:
        """Write an activity file (``*.gxa``) atomically; returns its SHA-256."""
        return store.write(path, KIND, *self._contents())

    def _contents(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        body = {name: getattr(self, name) for name in ("kind", "graph_sha256", "windows", "source")}
        return body, dict(self.events)

    def line(self) -> str:
        """What it is, for people."""
        said = {
            "measured": f"measured unit by unit over {self.windows:,} frames of {self.source}",
            "totals": f"totals of {self.source} over {self.windows:,} frames, spread evenly over each population",
            "uniform": "none measured: every unit is taken to send one event a frame",
        }
        return said[self.kind]


def uniform_activity(graph: EventGraph) -> Activity:
    """One event a frame from every unit: an assumption, not a measurement."""
    events = {name: np.ones(p.size, np.int64) for name, p in graph.populations.items() if p.role != "readout"}
    return Activity("uniform", files.sha256(graph), 1, "", events)


def measure_activity(
    graph: EventGraph,
    dataset: DataSet,
    window: str | None = None,
    stride: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Activity:
    """Count the events of every unit over a data set's frames (nonzero sums, for populations that only sum)."""
    engine = Engine(graph)
    events = {name: np.zeros(p.size, np.int64) for name, p in graph.populations.items() if p.role != "readout"}
    windows = 0
    for sample in encode_samples(graph, dataset, window, stride):
        for frame in sample.frames:
            trace = engine.trace(frame)
            for name, total in events.items():
                sent = trace.outputs[name] if name in trace.outputs else trace.accumulators[name]
                total += sent.ravel() != 0
            windows += 1
        if progress:
            progress(1)
    if not windows:
        raise OptionError(f"{dataset.source}: holds no samples to measure activity on")
    return Activity("measured", files.sha256(graph), windows, Path(dataset.source).name, events)


def load_activity(path: str | os.PathLike[str], graph: EventGraph) -> Activity:
    """Activity of this graph from an activity file or a run folder (totals only).

    Raises FormatError when it is damaged or of another graph.
    """
    path = Path(path)
    if path.is_dir():
        record = load_run(path)
        made = _from_totals(record.summary, graph, path)
    else:
        contents = store.read(path, KIND)
        made = Activity(**contents.body, events=contents.tensors)
    if made.graph_sha256 != files.sha256(graph):
        raise FormatError(
            f"{path}: activity of another graph (sha256 {made.graph_sha256[:12]}…, this one has "
            f"{files.sha256(graph)[:12]}…): measure it again on this graph"
        )
    sizes = {name: p.size for name, p in graph.populations.items() if p.role != "readout"}
    if {name: values.size for name, values in made.events.items()} != sizes:
        raise FormatError(f"{path}: its populations do not fit the graph: measure it again")
    return made


def _from_totals(summary: dict[str, Any], graph: EventGraph, path: Path) -> Activity:
    events = {}
    for name, population in graph.populations.items():
        if population.role == "readout":
            continue
        total = summary["events"].get(name, summary["windows"] * population.size)
        share = np.arange(1, population.size + 1) * total // population.size
        events[name] = np.diff(share, prepend=0)
    return Activity("totals", summary["graph_sha256"], summary["windows"], path.name, events)


def is_activity_file(path: Path) -> bool:
    """Whether the path is a stored activity or a run folder, rather than data to measure."""
    if path.is_dir():
        return (path / "summary.json").exists()
    return path.suffix == ".gxa"
