"""A user's program, for type checkers only (`make types`): what the pages show has these types, and no Any slips in."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import numpy as np
from numpy.typing import NDArray

import gxevent as gx


def by_hand(weight: NDArray[np.int8], ones: NDArray[np.float64]) -> gx.TernaryNetwork:
    layers = [
        gx.Conv2d(weight, stride=(1, 1), padding=1, groups=1),
        gx.MaxPool2d(2),
        gx.BatchNorm(gamma=ones, beta=ones, mean=ones, var=ones, eps=1e-4),
        gx.Activation(levels=1, r=0.5),
        gx.Flatten(),
        gx.Dense(weight),
    ]
    network = gx.TernaryNetwork(
        input_shape=(1, 28, 28), encoder=gx.Encoder("ternary", low=-0.5, high=0.5), layers=layers, classes=list("0123")
    )
    assert_type(network.classes, tuple[str, ...])
    assert_type(network.weight_count, int)
    return network


def compiled(path: Path) -> gx.EventGraph:
    graph = gx.compile(gx.load_network(path))
    assert_type(graph, gx.EventGraph)
    assert_type(graph.populations["conv1"], gx.Population)
    assert_type(graph.incoming("conv1")[0], gx.Projection)
    for route in graph.fan_out(("pool1", (3, 2, 4))):
        assert_type(route.units, NDArray[np.int64])
    gx.save(graph, "net.gxg")
    assert_type(gx.load_graph("net.gxg"), gx.EventGraph)
    assert_type(gx.shipped("digits.gxn"), Path)
    return graph


def run(graph: gx.EventGraph, frames: NDArray[np.int8]) -> float:
    engine = gx.Engine(graph, threads=1, kernel="auto")
    result = engine.run(frames)
    assert_type(result, gx.Result)
    assert_type(result.scores, NDArray[np.float32])
    assert_type(result.accumulators, NDArray[np.int32])
    assert_type(result.counts.events["conv1"], NDArray[np.int64])
    assert_type(result.counts.resting_probability, float)
    assert_type(engine.trace(frames[0]).outputs["conv1"], NDArray[np.int8])
    return result.counts.resting_probability


def stream(graph: gx.EventGraph) -> NDArray[np.float32]:
    recording = gx.open_events("rec.aedat4")
    assert_type(recording, gx.EventStream)
    session = gx.Engine(graph).stream(window_us=100_000)
    for part in gx.iter_events("rec.raw"):
        updates = session.push(part)
        assert_type(updates.t_us, NDArray[np.int64])
    assert_type(session.statistics().flips, dict[str, int])
    return session.scores


def data_set(graph: gx.EventGraph) -> gx.RunRecord:
    data = gx.open_dataset("recordings.zip", split="test", limit=10)
    assert_type(data.classes, tuple[str, ...])
    for sample, item in data:
        assert_type(sample.label, str | None)
        assert_type(item, gx.EventStream | NDArray[np.uint8])
    return gx.run_dataset(graph, data, mode="batch")


def elsewhere(graph: gx.EventGraph) -> gx.TernaryNetwork:
    assert_type(gx.import_network("model.onnx").network, gx.TernaryNetwork)
    gx.export_graph(graph, "nir", "net.nir")
    mapping = gx.map_graph(graph, gx.load_chip("loihi1"), method="tiles", seed=1)
    assert_type(mapping, gx.Mapping)
    assert_type(gx.load_mapping("map.json"), gx.Mapping)
    return gx.import_network("weights.pt").network


def errors() -> str:
    try:
        gx.load_network("no.gxn")
    except gx.NetworkError as error:
        assert_type(error.problems, tuple[str, ...])
    except gx.GxError as error:
        return str(error)
    return ""
