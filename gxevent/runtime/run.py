"""Running a data set: load, encode, run, add up windows, count. Memory stays flat however many samples there are."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError, ShapeError
from gxevent.events import DataSet, EventStream, encode_images, encode_stream
from gxevent.graph import EventGraph
from gxevent.runtime import reference
from gxevent.runtime.counts import Counts
from gxevent.runtime.engine import Engine, Result
from gxevent.runtime.record import RunRecord, SampleRow, results_sha256
from gxevent.runtime.stream import run_windows

BATCH = 256
"""Frames gathered before they are run together."""

MODES = ("batch", "sample", "stream", "reference")
"""``sample`` runs frame by frame, ``stream`` incrementally along each recording, ``reference`` is the plain NumPy one;
all give the same integers."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """One sample; ``frames`` int8 (windows, *input_shape), None where it is streamed."""

    id: str
    split: str
    label: str
    windows: int
    input_events: int
    frames: NDArray[np.int8] | None = None


def encode_samples(
    graph: EventGraph, dataset: DataSet, window: str | None = None, stride: str | None = None
) -> Iterator[Encoded]:
    """Load and encode a data set's samples one by one with the graph's own encoder.

    Raises
    ------
    OptionError
        for a graph without encoder, or one that takes the other kind of data.
    FormatError
        for labels that are not among the network's classes.
    """
    encoder = _encoder_for(graph, dataset)
    _check_labels(graph, dataset)
    for sample, item in dataset:
        if isinstance(item, EventStream):
            frames = encode_stream(encoder, item, graph.input.shape, window, stride)
            input_events = len(item.events)
        else:
            frames = encode_images(encoder, item[None], graph.input.shape)
            input_events = int(np.count_nonzero(frames))
        yield Encoded(sample.id, sample.split or "", sample.label or "", len(frames), input_events, frames)


def _encoder_for(graph: EventGraph, dataset: DataSet) -> Encoder:
    encoder = graph.encoder
    if encoder is None:
        raise OptionError("the network has no encoder, it takes ready frames only: use Engine.run from Python")
    if encoder.takes_images != (dataset.kind == "images"):
        wanted = "images" if encoder.takes_images else "event recordings"
        raise OptionError(f"{dataset.source}: holds {dataset.kind}, but the network's encoder takes {wanted}")
    return encoder


def _check_labels(graph: EventGraph, dataset: DataSet) -> None:
    unknown = sorted({s.label for s in dataset.samples if s.label is not None} - set(graph.classes))
    if unknown:
        raise FormatError(
            f"{dataset.source}: label {unknown[0]!r} ({len(unknown)} unknown in all) is not a class of the network, "
            f"which knows {', '.join(graph.classes)}"
        )


def run_dataset(
    graph: EventGraph,
    dataset: DataSet,
    *,
    window: str | None = None,
    stride: str | None = None,
    mode: str = "batch",
    threads: int = 1,
    kernel: str = "auto",
    progress: Callable[[int], Any] | None = None,
) -> RunRecord:
    """Run every sample of a data set and record the outcome.

    Windows of one recording add up: their scores decide together (semantics: scores add).
    ``progress`` is called with the number of samples finished.

    Raises what ``encode_samples``, ``Engine`` and the readers raise.
    """
    if mode not in MODES:
        raise OptionError(f"mode: expected one of {', '.join(MODES)}, got {mode!r}")
    if not dataset.samples:
        raise ShapeError(f"{dataset.source}: holds no samples")
    engine = Engine(graph, threads=threads, kernel=kernel)
    begun = time.perf_counter()
    rows: list[SampleRow] = []
    parts: list[tuple[dict[str, int], dict[str, int], int]] = []
    if mode == "stream":
        made = _streamed(engine, dataset, window, stride)
    else:
        made = _framed(engine, encode_samples(graph, dataset, window, stride), mode)
    for batch, result in made:
        rows += _rows(graph, batch, result)
        counts = result.counts
        parts.append((_totals(counts.events), _totals(counts.open_gates), counts.samples))
        if progress:
            progress(len(batch))
    summary = _summary(graph, rows, parts, time.perf_counter() - begun)
    summary["kernel"] = "reference" if mode == "reference" else engine.kernel
    summary |= {"mode": mode, "threads": threads, "data": dataset.source}
    summary |= {"graph_sha256": files.sha256(graph), "results_sha256": results_sha256(rows)}
    return RunRecord(tuple(rows), summary, graph.classes)


def _framed(engine: Engine, samples: Iterator[Encoded], mode: str) -> Iterator[tuple[list[Encoded], Result]]:
    """Samples gathered to batches, with the engine's or the reference's results of all their frames."""
    for batch in _batches(samples):
        frames = np.concatenate([sample.frames for sample in batch])
        yield batch, _reference(engine.graph, frames) if mode == "reference" else engine.run(frames, mode=mode)


def _streamed(
    engine: Engine, dataset: DataSet, window: str | None, stride: str | None
) -> Iterator[tuple[list[Encoded], Result]]:
    """One recording after the other, event by event through a sliding window that passes over the same windows."""
    encoder = _encoder_for(engine.graph, dataset)
    _check_labels(engine.graph, dataset)
    if encoder.takes_images:
        raise OptionError(f"{dataset.source}: holds images, which have no time: use --mode batch")
    length = encoder.window if window is None else window
    for sample, stream in dataset:
        result = run_windows(engine, stream, length, stride)
        windows = len(result.scores)
        yield [Encoded(sample.id, sample.split or "", sample.label or "", windows, len(stream.events))], result


def _batches(samples: Iterator[Encoded]) -> Iterator[list[Encoded]]:
    batch: list[Encoded] = []
    frames = 0
    for sample in samples:
        batch.append(sample)
        frames += sample.windows
        if frames >= BATCH:
            yield batch
            batch, frames = [], 0
    if batch:
        yield batch


def _reference(graph: EventGraph, frames: NDArray[np.int8]) -> Result:
    begun = time.perf_counter_ns()
    out = reference.run_graph(graph, frames)
    each = (time.perf_counter_ns() - begun) // len(frames)
    counts = Counts(out.events, out.open_gates, graph.synapses, len(frames))
    accumulators = out.accumulators[graph.readout.name].reshape(len(frames), -1)
    return Result(out.scores, accumulators, counts, np.full((len(frames), 1), each))


def _totals(counted: Any) -> dict[str, int]:
    return {name: int(values.sum()) for name, values in counted.items()}


def _rows(graph: EventGraph, batch: list[Encoded], result: Result) -> Iterator[SampleRow]:
    """One row a sample; its windows' scores, accumulators and counts add up."""
    begins = np.cumsum([0, *(sample.windows for sample in batch)])[:-1]

    def add(values: NDArray) -> NDArray:
        return np.add.reduceat(values, begins, axis=0)

    predictions = add(result.scores).argmax(axis=1)
    accumulators, latency = add(result.accumulators), add(result.latency_ns)
    events = add(np.sum(list(result.counts.events.values()), axis=0))
    gates = add(np.sum(list(result.counts.open_gates.values()), axis=0))
    for i, sample in enumerate(batch):
        yield SampleRow(
            sample=sample.id,
            split=sample.split,
            label=sample.label,
            prediction=graph.classes[predictions[i]],
            windows=sample.windows,
            input_events=sample.input_events,
            events=int(events[i]),
            open_gates=int(gates[i]),
            latency_us=latency[i] / 1e3,
            accumulators=tuple(accumulators[i].tolist()),
        )


def _summary(graph: EventGraph, rows: list[SampleRow], parts: list, wall: float) -> dict[str, Any]:
    windows = sum(part[2] for part in parts)
    synapses = {name: n * windows for name, n in graph.synapses.items()}
    events = {name: sum(part[0][name] for part in parts) for name in parts[0][0]}
    gates = {name: sum(part[1][name] for part in parts) for name in parts[0][1]}
    labelled = [row for row in rows if row.label]
    correct = sum(row.prediction == row.label for row in labelled)
    input_events = sum(row.input_events for row in rows)
    latency = np.percentile([row.latency_us for row in rows], [50, 90, 99, 100])
    return {
        "samples": len(rows),
        "windows": windows,
        "labelled": len(labelled),
        "correct": correct if labelled else None,
        "accuracy": correct / len(labelled) if labelled else None,
        "events": events,
        "open_gates": gates,
        "synapses": synapses,
        "resting_probability": 1.0 - sum(gates.values()) / sum(synapses.values()),
        "resting_probability_by_layer": {name: 1.0 - gates[name] / synapses[name] for name in gates},
        "wall_s": wall,
        "samples_per_s": len(rows) / wall,
        "input_events": input_events,
        "input_events_per_s": input_events / wall,
        "latency_us": dict(zip(("p50", "p90", "p99", "max"), (round(float(v), 3) for v in latency), strict=True)),
    }
