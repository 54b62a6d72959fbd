"""The oracles that need nothing but NumPy: the graph's reference, and the trained network itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.crosscheck.report import Comparison, CrosscheckReport, compare
from gxevent.errors import OptionError
from gxevent.graph import EventGraph
from gxevent.network import TernaryNetwork
from gxevent.runtime import Engine, Trace, reference

Samples = Iterable[tuple[str, NDArray[np.int8]]]
"""Sample ids with their frames int8 (windows, *input_shape)."""

Forward = Callable[[NDArray[np.int8]], Mapping[str, NDArray[np.float32]]]
"""Frames int8 (n, *input_shape) to the output of every network layer as real values (n, *shape)."""

BATCH = 32
"""Windows evaluated together."""


def windows(samples: Samples, found: Comparison) -> Iterator[tuple[str, NDArray[np.int8]]]:
    """Frame by frame, named after the sample and, where it has several, the window; counts samples in ``found``."""
    for name, frames in samples:
        found.samples += 1
        for i, frame in enumerate(frames):
            yield (name if len(frames) == 1 else f"{name} window {i + 1}"), frame


def crosscheck_reference(graph: EventGraph, samples: Samples, kernel: str = "auto") -> CrosscheckReport:
    """Compare the engine with the plain NumPy evaluation of the graph: every output, accumulator and score."""
    engine = Engine(graph, kernel=kernel)
    found = compare("reference")
    for name, frame in windows(samples, found):
        expected = reference.run_graph(graph, engine.check_frames(frame), count=False)
        got = engine.trace(frame)
        for population, levels in expected.outputs.items():
            found.add(name, population, "output", levels, got.outputs[population])
        for population, sums in expected.accumulators.items():
            found.add(name, population, "accumulator", sums, got.accumulators[population])
        found.add(name, graph.readout.name, "score", expected.scores, got.scores)
    return found.report()


def check_compiled(
    network: TernaryNetwork, graph: EventGraph, frames: NDArray[np.int8], kernel: str = "auto"
) -> CrosscheckReport:
    """Compare the compiled graph on the engine with the trained network, layer by layer.

    The network is evaluated with the trainer's float32 expressions, the graph with its integer thresholds: equality
    shows that folding lost nothing. frames int8 (n, *input_shape).
    """
    engine = Engine(graph, kernel=kernel)
    made = {name: output.values for name, output in reference.run_network(network, frames).items()}
    found = compare("network")
    for i, frame in enumerate(frames):
        found.samples += 1
        expected = {name: values[i] for name, values in made.items()}
        _compare_layers(found, str(i), network, graph, expected, engine.trace(frame))
    return found.report()


def crosscheck_forward(
    graph: EventGraph,
    network: TernaryNetwork,
    samples: Samples,
    forward: Forward,
    *,
    against: str = "trainer",
    kernel: str = "auto",
) -> CrosscheckReport:
    """Compare the engine with another evaluation of the trained network: every layer that is a population, and scores.

    Parameters
    ----------
    network
        The one that ``graph`` was compiled from: it says how real values become levels and integer sums.
    forward
        Its evaluation forward, such as the trainer's PyTorch module in evaluation mode.

    Raises
    ------
    OptionError
        for a network whose layers are not those of the graph.
    """
    _check_pair(network, graph)
    engine = Engine(graph, kernel=kernel)
    found = compare(against)
    waiting = ((name, engine.check_frames(frame)[0]) for name, frame in windows(samples, found))
    while batch := list(islice(waiting, BATCH)):
        made = forward(np.stack([frame for _, frame in batch]))
        for i, (name, frame) in enumerate(batch):
            reals = {layer: np.asarray(values)[i] for layer, values in made.items()}
            expected = {layer: _integers(network, layer, values) for layer, values in reals.items()}
            expected["scores"] = reals[network.layers[-1].name]
            _compare_layers(found, name, network, graph, expected, engine.trace(frame))
    return found.report()


def _check_pair(network: TernaryNetwork, graph: EventGraph) -> None:
    """The populations are the network's layers, with their shapes."""
    absent = [p.layer for p in graph.populations.values() if p.layer not in network.signals]
    if absent or network.input_shape != graph.input.shape:
        what = f"it has no layer {absent[0]!r}" if absent else f"its input is {network.input_shape}"
        raise OptionError(f"network {network.name!r} is not the one this graph was compiled from: {what}")
    for p in graph.populations.values():
        if int(np.prod(network.signals[p.layer].shape)) != p.size:
            raise OptionError(
                f"network {network.name!r} is not the one this graph was compiled from: layer {p.layer!r} has shape "
                f"{network.signals[p.layer].shape}, population {p.name!r} has {p.shape}"
            )


def _integers(network: TernaryNetwork, layer: str, values: NDArray[np.float32]) -> NDArray:
    """Levels or sums of a layer's real values; real values stay."""
    signal = network.signals[layer]
    if signal.form == "reals":
        return values
    unit = grid.unit(signal.levels) if signal.form == "levels" else signal.unit
    return np.rint(values.astype(np.float64) / unit).astype(np.int32)


def _compare_layers(
    found: Comparison,
    sample: str,
    network: TernaryNetwork,
    graph: EventGraph,
    expected: Mapping[str, NDArray],
    got: Trace,
) -> None:
    """Levels of the layer that a population gives, sums of the layer it is named after, and the scores."""
    for name, population in graph.populations.items():
        if name in got.outputs and population.layer in expected:
            found.add(sample, name, "output", expected[population.layer], got.outputs[name])
        signal = network.signals.get(name)
        if name in got.accumulators and name in expected and signal is not None and signal.form == "sums":
            found.add(sample, name, "accumulator", expected[name], got.accumulators[name])
    found.add(sample, graph.readout.name, "score", expected["scores"], got.scores)


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
