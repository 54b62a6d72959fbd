"""Activity profiles: how active the populations of a graph are, measured on frames or on a data set.

A graph carries its profile (``EventGraph.activity``) to the cost model that chooses its gate units.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.compiler import compile
from gxevent.errors import OptionError, ShapeError
from gxevent.events import DataSet, open_dataset
from gxevent.graph import EventGraph
from gxevent.network import TernaryNetwork
from gxevent.runtime.engine import Engine
from gxevent.runtime.run import encode_samples
from gxevent.runtime.watch import Tally


def profile(graph: EventGraph, batches: NDArray[np.int8] | Iterable[NDArray[np.int8]]) -> EventGraph:
    """The graph, expecting the activity that these frames cause.

    Parameters
    ----------
    batches
        Frames int8 (n, *input_shape), or several such arrays, for data that does not fit into memory.

    Raises ShapeError when there are no frames, or where ``Engine.run`` does.
    """
    engine, tally = Engine(graph, adapt=False), Tally()
    for frames in [batches] if isinstance(batches, np.ndarray) else batches:
        tally.add(engine.run(frames).counts)
    if not tally.samples:
        raise ShapeError("profile: there are no frames to measure activity on")
    return replace(graph, activity=tally.shares(graph))


def open_profile_data(path: str | os.PathLike[str], split: str | None = None, limit: int | None = None) -> DataSet:
    """A data set to measure on: its training part where it has one and no other is asked for; see ``open_dataset``."""
    if split is None:
        with contextlib.suppress(OptionError):
            return open_dataset(path, split="train", limit=limit)
    return open_dataset(path, split=split, limit=limit)


def profile_on(graph: EventGraph, dataset: DataSet, progress: Callable[[int], Any] = lambda done: None) -> EventGraph:
    """The graph, expecting the activity that a data set causes, encoded as the graph's own encoder does.

    progress : called with the number of samples done, one after the other
    """

    def batches() -> Iterator[NDArray[np.int8]]:
        for encoded in encode_samples(graph, dataset):
            yield encoded.frames
            progress(1)

    return profile(graph, batches())


def profile_network(network: TernaryNetwork, frames: NDArray[np.int8]) -> TernaryNetwork:
    """The network, telling how active its layers are on frames int8 (n, *input_shape): what training ends with."""
    graph = profile(compile(network), frames)
    return replace(network, activity={graph.populations[name].layer: n for name, n in graph.activity.items()})
