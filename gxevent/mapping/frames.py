"""Which units send in each frame: measured on data, or made up from counts, for the simulation of a mapped network."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files, store
from gxevent.errors import FormatError, OptionError
from gxevent.events import DataSet, open_dataset
from gxevent.graph import EventGraph
from gxevent.mapping.activity import KIND, Activity, is_activity_file
from gxevent.mapping.mapping import Mapping
from gxevent.runtime import Engine, encode_samples, load_run

Frame = dict[str, NDArray[np.bool_]]
"""By population, bool (units,): which units send in this frame."""
GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Frames:
    """Samples, each with its frames one after the other.

    line : what they are, for people. made_up : whether frames were made up from counts.
    """

    samples: Iterable[tuple[str, list[Frame]]]
    line: str
    made_up: bool = False

    def __iter__(self) -> Iterator[tuple[str, list[Frame]]]:
        return iter(self.samples)


def measured_frames(
    mapping: Mapping,
    graph: EventGraph,
    dataset: DataSet,
    window: str | None = None,
    stride: str | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Frames:
    """The frames of a data set, run sample by sample. FormatError when the mapping is of another graph."""
    _check_graph(files.sha256(graph), mapping, "the graph", "map this graph, or give the one that was mapped")
    engine = Engine(graph)

    def samples() -> Iterator[tuple[str, list[Frame]]]:
        for sample in encode_samples(graph, dataset, window, stride):
            made = []
            for frame in sample.frames:
                outputs = engine.trace(frame).outputs
                made.append(
                    {name: outputs[name].ravel() != 0 for name in outputs} | {graph.input.name: frame.ravel() != 0}
                )
            if progress:
                progress(1)
            yield sample.id, made

    return Frames(samples(), f"{len(dataset):,} samples of {Path(dataset.source).name}, run frame by frame")


def spread_frames(activity: Activity, mapping: Mapping, count: int | None = None) -> Frames:
    """Frames made up from counts: each unit's events lie evenly over the frames, with a phase of its own.

    ``count`` frames (by default as many as were counted); over all of them each unit sends exactly its counted events.
    """
    _check_graph(activity.graph_sha256, mapping, "activity", "measure it again on the graph that was mapped")
    sizes = {p.name: p.size for p in mapping.graph.populations if p.role != "readout" and not p.partial}
    if {name: values.size for name, values in activity.events.items()} != sizes:
        raise FormatError("activity: its populations do not fit the mapping: measure it again on the graph")
    windows = max(activity.windows, 1)
    phase, at = {}, 0
    for name, values in activity.events.items():
        phase[name] = np.floor((np.arange(at, at + values.size) * GOLDEN) % 1 * windows).astype(np.int64)
        at += values.size

    def frame(k: int) -> Frame:
        return {
            name: ((k + 1) * events + phase[name]) // windows > (k * events + phase[name]) // windows
            for name, events in activity.events.items()
        }

    samples = ((f"frame {k}", [frame(k)]) for k in range(windows if count is None else count))
    return Frames(samples, f"frames made up from counts: {activity.line()}", made_up=True)


def all_at_once(mapping: Mapping) -> Frames:
    """One frame in which every unit sends: the most a frame can ask for, not a measurement."""
    frame = {p.name: np.ones(p.size, bool) for p in mapping.graph.populations if p.role in ("input", "fire")}
    return Frames([("every unit", [frame])], "none measured: every unit sends in one frame", made_up=True)


def open_frames(
    mapping: Mapping, activity: Path | None, graph: EventGraph | None = None, count: int | None = None
) -> Frames:
    """Frames of data to run (with the ``graph`` that was mapped), of a ``.gxa`` file or run folder, or with every unit
    sending; at most ``count`` samples. OptionError where data come without the graph."""
    if activity is None:
        return all_at_once(mapping)
    if is_activity_file(activity):
        return spread_frames(load_counts(activity, mapping), mapping, count)
    if graph is None:
        raise OptionError(f"--activity {activity} is data: give the mapped graph too, --graph NET.gxg")
    return measured_frames(mapping, graph, open_dataset(activity, limit=count))


def load_counts(path: str | os.PathLike[str], mapping: Mapping) -> Activity:
    """Activity from a ``.gxa`` file or a run folder (totals only), of the graph that was mapped.

    Raises FormatError when it is damaged or of another graph.
    """
    path = Path(path)
    if not path.is_dir():
        contents = store.read(path, KIND)
        made = Activity(**contents.body, events=contents.tensors)
    else:
        summary = load_run(path).summary
        events = {}
        for p in mapping.graph.populations:
            if p.role == "readout" or p.partial:
                continue
            total = summary["events"].get(p.name, summary["windows"] * p.size)
            events[p.name] = np.diff(np.arange(1, p.size + 1) * total // p.size, prepend=0)
        made = Activity("totals", summary["graph_sha256"], summary["windows"], path.name, events)
    _check_graph(made.graph_sha256, mapping, str(path), "measure it again on the graph that was mapped")
    return made


def unit_values(mapping: Mapping, frame: Frame) -> NDArray[np.bool_]:
    """Which units send, bool by unit number: partial sums in every frame, sums on the core of their reader never.

    OptionError when a population is missing or of another size.
    """
    parts = []
    for p in mapping.graph.populations:
        if p.partial or p.role in ("sum", "readout"):
            parts.append(np.full(p.size, p.partial))
            continue
        values = frame.get(p.name)
        if values is None or np.size(values) != p.size:
            raise OptionError(f"frame: expected {p.size} values of population {p.name!r}")
        parts.append(np.asarray(values, bool).ravel())
    return np.concatenate(parts)


def _check_graph(sha: str, mapping: Mapping, what: str, remedy: str) -> None:
    if sha != mapping.graph.sha256:
        raise FormatError(
            f"{what}: of another graph (sha256 {sha[:12]}…, the mapping was made for {mapping.graph.sha256[:12]}…): "
            f"{remedy}"
        )
