"""Cross-check with Brian2: the event graph as a spiking network in another group's simulator.

The network is built from the graph alone (:mod:`gxevent.crosscheck.brian2_network`), takes a new sample every time
bin, and must give, for every sample and population, the very events and accumulators of the engine.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing
from gxevent.crosscheck.brian2_network import FRAMES, PipelinedNetwork, is_graded
from gxevent.crosscheck.brian2_runtime import brian2_target, check_target, load_brian2
from gxevent.crosscheck.oracles import Samples, windows
from gxevent.crosscheck.report import Comparison, CrosscheckReport, compare
from gxevent.graph import EventGraph
from gxevent.runtime import Engine, Trace

MEMORY = 256 * 2**20
"""Bytes that one run's recordings may take; more samples are run in several goes."""

BYTES_A_UNIT = 24
"""Bytes that a recording holds for one unit and sample: its sum, perhaps an event with time, unit and value."""


@dataclass(frozen=True, eq=False)
class Recording:
    """What Brian2 recorded of n samples, by population: levels sent int8 and accumulators int32, (n, units)."""

    outputs: dict[str, NDArray[np.int8]]
    accumulators: dict[str, NDArray[np.int32]]


Run = Callable[[NDArray[np.int8]], Recording]


def crosscheck_brian2(
    graph: EventGraph,
    samples: Samples,
    *,
    target: str = "numpy",
    kernel: str = "auto",
    engine: Engine | None = None,
) -> CrosscheckReport:
    """Compare the engine with a Brian2 simulation of the graph: every event, accumulator and score of every sample.

    Parameters
    ----------
    graph
        What Brian2 simulates.
    samples
        Sample ids with their frames int8 (windows, *input_shape).
    target
        "numpy" (needs no compiler), "cython" or "standalone" (C++).
    kernel
        Kernel path of the engine.
    engine
        What is checked, when it is not to be built from ``graph``.

    Raises
    ------
    MissingExtraError
        when Brian2 is not installed, or beside a NumPy it does not work with.
    OptionError
        for an unknown target, or one whose compiler is missing.
    ShapeError
        for frames that are not the graph's.
    """
    load_brian2()
    check_target(target)
    engine = engine or Engine(graph, kernel=kernel)
    found = compare("brian2")
    waiting = ((name, engine.check_frames(frame)[0]) for name, frame in windows(samples, found))
    size = _largest_batch(graph, target)
    if not (batch := list(islice(waiting, size))):  # nothing is built for samples that cannot be read
        return found.report()
    with open_pipeline(graph, target, size) as run:
        while batch:
            recorded = run(np.stack([frame for _, frame in batch]))
            for i, (name, frame) in enumerate(batch):
                _compare(found, graph, name, recorded, i, engine.trace(frame))
            batch = list(islice(waiting, size))
    return found.report()


def _compare(found: Comparison, graph: EventGraph, name: str, recorded: Recording, i: int, got: Trace) -> None:
    """Sample i of a recording beside the engine's trace of it."""
    for population, levels in recorded.outputs.items():
        found.add(name, population, "output", levels[i], got.outputs[population])
    for population, sums in recorded.accumulators.items():
        found.add(name, population, "accumulator", sums[i], got.accumulators[population])
    p = graph.readout
    scores = firing.preactivation(recorded.accumulators[p.name][i], p.unit, p.bias, p.scale, p.offset)
    found.add(name, p.name, "score", scores, got.scores)


def _largest_batch(graph: EventGraph, target: str) -> int:
    """Samples that one run takes: what their recordings need stays within ``MEMORY``."""
    size = max(1, MEMORY // (BYTES_A_UNIT * graph.units))
    return min(size, 64) if target == "standalone" else size  # a program writes all that it recorded to files


@contextmanager
def open_pipeline(graph: EventGraph, target: str, size: int) -> Iterator[Run]:
    """A function that runs up to ``size`` frames, int8 (n, *input_shape), through Brian2."""
    with brian2_target(target) as b2, tempfile.TemporaryDirectory(prefix="gxevent-brian2-") as folder:
        made = PipelinedNetwork(b2, graph)
        yield _standalone(made, size, folder) if target == "standalone" else _stepwise(made)


def _stepwise(made: PipelinedNetwork) -> Run:
    """Targets that run in this process: each go starts from the network as it was built."""
    made.network.store()

    def run(frames: NDArray[np.int8]) -> Recording:
        made.network.restore()
        bins = len(frames) + made.bins_to_flush
        made.network.run(bins * made.clock.dt, namespace={FRAMES: _timed(made, frames)})
        return _recording(made, len(frames))

    return run


def _standalone(made: PipelinedNetwork, size: int, folder: str) -> Run:
    """One C++ program for ``size`` samples at a time, built once; each run of it brings its own frames."""
    shape = made.graph.input.shape
    timed = _timed(made, np.zeros((size, *shape), np.int8))
    made.network.run((size + made.bins_to_flush) * made.clock.dt, namespace={FRAMES: timed})
    made.b2.device.build(directory=folder, run=False, with_output=False)

    def run(frames: NDArray[np.int8]) -> Recording:
        padded = np.zeros((size, *shape), np.int8)
        padded[: len(frames)] = frames
        made.b2.device.run(with_output=False, run_args={timed: padded.reshape(size, -1).astype(np.float64)})
        return _recording(made, len(frames))

    return run


def _timed(made: PipelinedNetwork, frames: NDArray[np.int8]) -> Any:
    """Input levels as Brian2 reads them: one row a bin. Bins beyond the last sample repeat it and are not looked at."""
    return made.b2.TimedArray(frames.reshape(len(frames), -1).astype(np.float64), dt=made.clock.dt, name=FRAMES)


def _recording(made: PipelinedNetwork, n: int) -> Recording:
    """Monitors sorted by sample: sample k of a population of depth d is in bin k + d."""
    outputs: dict[str, NDArray[np.int8]] = {}
    accumulators: dict[str, NDArray[np.int32]] = {}
    for name, population in made.graph.populations.items():
        depth = made.depth[name]
        if name in made.sums:
            accumulators[name] = np.asarray(made.sums[name].s)[:, depth : depth + n].T.astype(np.int32)
        if name in made.events:
            levels = np.zeros((n, population.size), np.int8)
            for sign, monitor in zip((1, -1), made.events[name], strict=True):
                sample = np.rint(np.asarray(monitor.t_) / made.clock.dt_).astype(np.int64) - depth
                kept = (sample >= 0) & (sample < n)
                value = np.asarray(monitor.q)[kept] if is_graded(population) else sign
                np.add.at(levels, (sample[kept], np.asarray(monitor.i)[kept]), np.int8(value))
            outputs[name] = levels
    return Recording(outputs, accumulators)
