"""Running a data set: load, encode, run, add up windows, count; batch after batch, in memory that stays flat."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.encoder import Encoder
from gxevent.errors import FormatError, GxError, OptionError, ShapeError
from gxevent.events import DataSet, EventStream, encode_images, encode_stream
from gxevent.graph import EventGraph
from gxevent.runtime import reference
from gxevent.runtime.counts import Counts
from gxevent.runtime.engine import Engine, Result
from gxevent.runtime.record import RunRecord, SampleRow
from gxevent.runtime.spool import TracePart
from gxevent.runtime.stream import run_windows
from gxevent.runtime.tally import Part, Tally, senders

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


@dataclass(frozen=True)
class Settings:
    """What decides a run's results, beside graph and data."""

    window: str | None = None
    stride: str | None = None
    mode: str = "batch"
    trace: bool = False

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise OptionError(f"mode: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if self.trace and self.mode == "stream":
            raise OptionError("a trace holds the events of whole windows, stream mode sends changes: use --mode batch")


class Runner:
    """Runs samples one batch after the other: an engine, and what turns its results into rows."""

    def __init__(self, graph: EventGraph, settings: Settings, threads: int = 1, kernel: str = "auto") -> None:
        self.graph, self.settings = graph, settings
        self.engine = Engine(graph, threads=threads, kernel=kernel)
        self.kernel = "reference" if settings.mode == "reference" else self.engine.kernel
        self.senders, self.gated = senders(graph), [p.name for p in graph.gated]

    def run(self, dataset: DataSet) -> Iterator[tuple[list[SampleRow], TracePart | None]]:
        """Rows of consecutive samples, batch by batch, and their events where a trace is wanted."""
        how = self.settings
        if how.mode == "stream":
            for batch, result in _streamed(self.engine, dataset, how.window, how.stride):
                yield self._rows(batch, result), None
            return
        for batch in _batches(encode_samples(self.graph, dataset, how.window, how.stride)):
            frames = np.concatenate([sample.frames for sample in batch])
            if how.mode == "reference":
                result = _reference(self.graph, frames)
            else:
                result = self.engine.run(frames, mode=how.mode)
            yield self._rows(batch, result), self._trace(frames, result) if how.trace else None

    def _trace(self, frames: NDArray[np.int8], result: Result) -> TracePart:
        outputs = (self.engine.trace(frame).outputs for frame in frames)
        part = TracePart.of([[out[name] for name in self.senders] for out in outputs])
        counted = np.stack([result.counts.events[name] for name in self.senders], axis=1)
        assert np.array_equal(part.counts, counted), "the events of the trace are not those that were counted"
        return part

    def _rows(self, batch: list[Encoded], result: Result) -> list[SampleRow]:
        """One row a sample; its windows' scores, accumulators and counts add up."""
        begins = np.cumsum([0, *(sample.windows for sample in batch)])[:-1]

        def add(values: NDArray) -> NDArray:
            return np.add.reduceat(values, begins, axis=0)

        predictions = add(result.scores).argmax(axis=1).tolist()
        accumulators, latency = add(result.accumulators).tolist(), (add(result.latency_ns) / 1e3).tolist()
        events = add(np.stack([result.counts.events[name] for name in self.senders], axis=1)).tolist()
        gates = add(np.stack([result.counts.open_gates[name] for name in self.gated], axis=1)).tolist()
        return [
            SampleRow(
                sample=sample.id,
                split=sample.split,
                label=sample.label,
                prediction=self.graph.classes[predictions[i]],
                windows=sample.windows,
                input_events=sample.input_events,
                events=sum(events[i]),
                open_gates=sum(gates[i]),
                latency_us=latency[i],
                accumulators=tuple(accumulators[i]),
                events_by_population=tuple(events[i]),
                open_gates_by_projection=tuple(gates[i]),
            )
            for i, sample in enumerate(batch)
        ]


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
    """Run every sample of a data set and keep the outcome of each in memory; ``record_run`` keeps them in a folder.

    Windows of one recording add up: their scores decide together (semantics: scores add).
    ``progress`` is called with the number of samples finished.

    Raises what ``encode_samples``, ``Engine`` and the readers raise.
    """
    settings = Settings(window, stride, mode)
    check_data(graph, dataset, settings)
    runner = Runner(graph, settings, threads, kernel)
    tally = Tally(graph)
    rows: list[SampleRow] = []
    begun = time.perf_counter()
    for made, _ in runner.run(dataset):
        elapsed = time.perf_counter() - begun
        rows += [replace(row, elapsed_s=elapsed) for row in made]
        tally.add(Part.of(made))
        if progress:
            progress(len(made))
    summary = tally.summary(time.perf_counter() - begun)
    summary |= {"kernel": runner.kernel, "mode": mode, "threads": threads, "data": dataset.source}
    summary |= {"window": window, "stride": stride}
    return RunRecord(tuple(rows), summary | {"graph_sha256": files.sha256(graph)}, graph.classes)


def check_data(graph: EventGraph, dataset: DataSet, settings: Settings) -> None:
    """Whether the graph can run on this data. Raises OptionError, ShapeError or FormatError when not."""
    if not dataset.samples:
        raise ShapeError(f"{dataset.source}: holds no samples")
    encoder = _encoder_for(graph, dataset)
    _check_labels(graph, dataset)
    if settings.mode == "stream" and encoder.takes_images:
        raise OptionError(f"{dataset.source}: holds images, which have no time: use --mode batch")


def _streamed(
    engine: Engine, dataset: DataSet, window: str | None, stride: str | None
) -> Iterator[tuple[list[Encoded], Result]]:
    """One recording after the other, event by event through a sliding window that passes over the same windows."""
    encoder = _encoder_for(engine.graph, dataset)
    length = encoder.window if window is None else window
    for sample, stream in dataset:
        result = run_windows(engine, stream, length, stride)
        windows = len(result.scores)
        yield [Encoded(sample.id, sample.split or "", sample.label or "", windows, len(stream.events))], result


def _batches(samples: Iterator[Encoded]) -> Iterator[list[Encoded]]:
    """Samples gathered; those read before one that cannot be read come whole as well, before its error."""
    batch: list[Encoded] = []
    frames = 0
    try:
        for sample in samples:
            batch.append(sample)
            frames += sample.windows
            if frames >= BATCH:
                yield batch
                batch, frames = [], 0
    except (GxError, OSError):
        if batch:
            yield batch
        raise
    if batch:
        yield batch


def _reference(graph: EventGraph, frames: NDArray[np.int8]) -> Result:
    begun = time.perf_counter_ns()
    out = reference.run_graph(graph, frames)
    each = (time.perf_counter_ns() - begun) // len(frames)
    counts = Counts(out.events, out.open_gates, graph.synapses, len(frames))
    accumulators = out.accumulators[graph.readout.name].reshape(len(frames), -1)
    return Result(out.scores, accumulators, counts, np.full((len(frames), 1), each))
