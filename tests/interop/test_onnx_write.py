"""ONNX export: onnxruntime gives our integers and our scores, bit for bit."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gxevent as gx
from gxevent.errors import CapacityError, UnsupportedError
from gxevent.interop.onnx_write import onnx_model
from gxevent.runtime import encode_samples, reference
from tests import networks

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")


def run(model, frames: np.ndarray) -> dict[str, np.ndarray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip([o.name for o in session.get_outputs()], session.run(None, {"frames": frames}), strict=True))


def assert_same(graph: gx.EventGraph, frames: np.ndarray) -> int:
    """Every population's events and sums, the scores to the last bit; returns the events compared."""
    got, expected = run(onnx_model(graph, populations=True), frames), reference.run_graph(graph, frames)
    for name, values in expected.outputs.items():
        np.testing.assert_array_equal(got[f"output/{name}"], values, err_msg=name)
    for name, values in expected.accumulators.items():
        np.testing.assert_array_equal(got[f"accumulator/{name}"], values, err_msg=name)
    np.testing.assert_array_equal(got["scores"], expected.scores)
    np.testing.assert_array_equal(
        got["accumulators"], expected.accumulators[graph.readout.name].reshape(len(frames), -1)
    )
    return sum(int(np.count_nonzero(values)) for values in expected.outputs.values())


@settings(max_examples=50)
@given(networks.networks(), st.integers(0, 2**32 - 1))
def test_onnxruntime_gives_our_integers_on_random_networks(network, seed):
    """Kernels, strides, padding, dilation, groups, pools before and after the threshold, skips, all activations."""
    try:
        graph = gx.compile(network)
    except UnsupportedError:
        return  # the compiler's own limits
    assert_same(graph, networks.frames(np.random.default_rng(seed), network))


@pytest.mark.parametrize("name", ["digits", "nmnist"])
def test_onnxruntime_gives_our_integers_on_the_shipped_networks(name):
    graph = gx.compile(gx.load_network(gx.shipped(f"{name}.gxn")))
    frames = networks.frames(np.random.default_rng(0), gx.load_network(gx.shipped(f"{name}.gxn")), 20)
    if name == "digits":
        data = gx.open_dataset(gx.shipped("digits_test.zip"), limit=20)
        frames = np.concatenate([sample.frames for sample in encode_samples(graph, data)])
    assert assert_same(graph, frames) > 20_000


def test_a_sparse_projection_becomes_a_matrix():
    rng = np.random.default_rng(0)
    source, target, level = rng.integers(0, 30, 80), rng.integers(0, 12, 80), rng.integers(-1, 2, 80)
    first = gx.Population("input", (2, 3, 5), "input")
    steps = np.full((3, 1), 1, np.int32)
    hidden = gx.Population("hidden", (3, 2, 2), "fire", hi=steps, lo=-steps, polarity=np.int8([1, -1, 1]))
    last = gx.Population("out", (4,), "readout")
    rules = [
        gx.Sparse.from_connections((2, 3, 5), (3, 2, 2), source, target, level),
        gx.Sparse.from_connections((12,), (4,), np.arange(12), np.arange(12) % 4, np.ones(12)),
    ]
    graph = gx.EventGraph.of(
        [first, hidden, last],
        [gx.Projection("a", "input", "hidden", rules[0]), gx.Projection("b", "hidden", "out", rules[1])],
    )
    assert assert_same(graph, rng.integers(-1, 2, (20, 2, 3, 5)).astype(np.int8)) > 50


def test_a_sparse_projection_may_be_too_large(monkeypatch):
    from gxevent.interop import onnx_write

    monkeypatch.setattr(onnx_write, "SPARSE_LIMIT", 10)
    rule = gx.Sparse.from_connections((5,), (4,), [0], [0], [1])
    ends = [gx.Population("input", (5,), "input"), gx.Population("out", (4,), "readout")]
    with pytest.raises(CapacityError, match=r"projection 'a': .* 20 entries, at most 10"):
        onnx_model(gx.EventGraph.of(ends, [gx.Projection("a", "input", "out", rule)]))


def test_the_command_writes_a_model_with_its_description(gxevent, tmp_path):
    import onnx

    gx.save(gx.compile(gx.load_network(gx.shipped("digits.gxn"))), tmp_path / "digits.gxg")
    answer = gxevent("graph", tmp_path / "digits.gxg", "--to", "onnx", "-o", tmp_path / "digits.onnx", "--json").json
    model = onnx.load(tmp_path / "digits.onnx")
    assert answer["nodes"] == len(model.graph.node)
    about = json.loads(model.metadata_props[0].value)
    assert about["encoder"]["kind"] == "onoff"
    assert about["classes"] == list("0123456789")
    assert {node.domain for node in model.graph.node} == {""}  # nothing but ONNX itself
