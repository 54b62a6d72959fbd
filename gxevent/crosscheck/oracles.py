"""The oracles that need nothing but NumPy: the graph's reference, and the trained network itself."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.crosscheck.report import CrosscheckReport, compare
from gxevent.graph import EventGraph
from gxevent.network import TernaryNetwork
from gxevent.runtime import Engine, reference

Samples = Iterable[tuple[str, NDArray[np.int8]]]
"""Sample ids with their frames int8 (windows, *input_shape)."""


def crosscheck_reference(graph: EventGraph, samples: Samples, kernel: str = "auto") -> CrosscheckReport:
    """Compare the engine with the plain NumPy evaluation of the graph: every output, accumulator and score."""
    engine = Engine(graph, kernel=kernel)
    found = compare("reference")
    for name, frames in samples:
        found.samples += 1
        expected = reference.run_graph(graph, frames)
        for i, frame in enumerate(frames):
            got = engine.trace(frame)
            for population, levels in expected.outputs.items():
                found.add(name, population, "output", levels[i], got.outputs[population])
            for population, sums in expected.accumulators.items():
                found.add(name, population, "accumulator", sums[i], got.accumulators[population])
            found.add(name, graph.readout.name, "score", expected.scores[i], got.scores)
    return found.report()


def check_compiled(
    network: TernaryNetwork, graph: EventGraph, frames: NDArray[np.int8], kernel: str = "auto"
) -> CrosscheckReport:
    """Compare the compiled graph on the engine with the trained network, layer by layer.

    The network is evaluated with the trainer's float32 expressions, the graph with its integer thresholds: equality
    shows that folding lost nothing. frames int8 (n, *input_shape).
    """
    engine = Engine(graph, kernel=kernel)
    expected = reference.run_network(network, frames)
    found = compare("network")
    for i, frame in enumerate(frames):
        found.samples += 1
        got = engine.trace(frame)
        for name, population in graph.populations.items():
            if name in got.outputs:
                found.add(str(i), name, "output", expected[population.layer].values[i], got.outputs[name])
            sums = expected.get(name)
            if name in got.accumulators and sums is not None and sums.form == "sums":
                found.add(str(i), name, "accumulator", sums.values[i], got.accumulators[name])
        found.add(str(i), graph.readout.name, "score", expected["scores"].values[i], got.scores)
    return found.report()


def random_frames(graph: EventGraph, n: int, seed: int = 0) -> NDArray[np.int8]:
    """n frames int8 (n, *input_shape) for checks: an empty one, an all-active one, the rest of rising density."""
    rng = np.random.default_rng(seed)
    population = graph.input
    choices = grid.levels(population.levels)
    frames = rng.choice(choices[choices != 0], size=(n, *population.shape))
    if population.levels:
        density = np.roll(np.linspace(0, 1, n), 1).reshape(-1, *[1] * len(population.shape))
        frames[rng.random(frames.shape) >= density] = 0
    return frames.astype(np.int8)
