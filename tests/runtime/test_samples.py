"""Batches that pass the last dense layers one by one, on event lists or on sample lanes, equal the NumPy reference."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent.runtime import costs, reference, samples
from gxevent.runtime.plan import available_kernels
from tests import networks
from tests.runtime.test_engine import assert_same_counts

KERNELS = available_kernels()


def dense_network(rng: np.random.Generator, sizes: list[int], head: list | None = None, shape=None):
    """Dense layers of these sizes, thresholds and polarities at random; head: layers before them."""
    layers = list(head or [])
    for i, (inputs, outputs) in enumerate(itertools.pairwise(sizes)):
        layers.append(gx.Dense(networks.levels(rng, (outputs, inputs), density=rng.choice([0.1, 2 / 3, 1.0]))))
        if i < len(sizes) - 2:
            layers += [networks.batch_norm(rng, outputs), gx.Activation()]
    return gx.TernaryNetwork(shape or (sizes[0],), None, layers)


def prefer(monkeypatch: pytest.MonkeyPatch, choice: str, rng: np.random.Generator) -> None:
    """Let the cost model take sample lanes always, never, or for some layers."""
    times = {"samples": lambda: 0.0, "events": lambda: np.inf, "mixed": lambda: rng.choice([0.0, np.inf])}
    monkeypatch.setattr(costs, "by_samples", lambda work, kernel: float(times[choice]()))


def assert_equals_reference(engine: gx.Engine, frames: np.ndarray) -> None:
    """Twice: sample lanes are made when a batch first asks for them."""
    expected = reference.run_graph(engine.graph, frames)
    for _ in range(2):
        result = engine.run(frames)
        np.testing.assert_array_equal(result.accumulators, expected.accumulators[engine.graph.readout.name])
        np.testing.assert_array_equal(result.scores, expected.scores)
        assert_same_counts(result.counts, expected)
        assert (result.latency_ns > 0).all()
    np.testing.assert_array_equal(engine.run(frames, count=False).accumulators, result.accumulators)
    np.testing.assert_array_equal(engine.run(frames, mode="sample").accumulators, result.accumulators)


@given(
    st.integers(0, 2**32 - 1),
    st.sampled_from(KERNELS),
    st.sampled_from(["samples", "events", "mixed"]),
    st.integers(1, 3),
)
def test_random_dense_chains(seed, kernel, choice, threads):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 150, rng.integers(2, 5)).tolist()
    with pytest.MonkeyPatch.context() as patch:
        prefer(patch, choice, rng)
        engine = gx.Engine(gx.compile(dense_network(rng, sizes)), threads=threads, kernel=kernel)
    frames = networks.levels(rng, (int(rng.integers(2, 300)), sizes[0]), density=rng.random())
    assert_equals_reference(engine, frames)


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("samples", [2, 255, 256, 257, 600])
def test_batches_around_the_number_of_lanes(monkeypatch, kernel, samples):
    rng = np.random.default_rng(samples)
    prefer(monkeypatch, "samples", rng)
    engine = gx.Engine(gx.compile(dense_network(rng, [100, 70, 10])), threads=2, kernel=kernel)
    assert_equals_reference(engine, networks.levels(rng, (samples, 100), density=0.7))
    assert engine._lowered.tail.made == 2


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("inputs", [511, 512, 513, 1537, 8190, 8191])
def test_many_sources_in_several_tiles(monkeypatch, kernel, inputs):
    """8191 are too many for sample lanes and run on events whatever they are said to cost."""
    rng = np.random.default_rng(inputs)
    prefer(monkeypatch, "samples", rng)
    engine = gx.Engine(gx.compile(dense_network(rng, [inputs, 66, 3])), kernel=kernel)
    assert_equals_reference(engine, networks.levels(rng, (40, inputs), density=0.9))
    assert engine._lowered.tail.made == (2 if inputs <= 8190 else 1)


@pytest.mark.parametrize("kernel", KERNELS)
def test_all_weights_agree_with_all_events(monkeypatch, kernel):
    """The largest sums, and silent units: no weight, or none of one sign."""
    prefer(monkeypatch, "samples", np.random.default_rng(0))
    frame = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), 1200)
    weight = np.stack([frame, -frame, 0 * frame, np.abs(frame), -np.abs(frame)])
    engine = gx.Engine(gx.compile(gx.TernaryNetwork((1200,), None, [gx.Dense(weight)])), kernel=kernel)
    frames = np.stack([frame, -frame, 0 * frame, np.abs(frame)] * 10)
    assert_equals_reference(engine, frames)
    assert engine.run(frames).accumulators[:2, :3].tolist() == [[1200, -1200, 0], [-1200, 1200, 0]]


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("choice", ["samples", "events"])
def test_convolutions_before_the_dense_layers_run_sample_by_sample(monkeypatch, kernel, choice):
    rng = np.random.default_rng(3)
    prefer(monkeypatch, choice, rng)
    head = [gx.Conv2d(networks.levels(rng, (6, 2, 3, 3)), padding=1), gx.MaxPool2d(2)]
    head += [networks.batch_norm(rng, 6), gx.Activation(), gx.Flatten()]
    network = dense_network(rng, [150, 40, 70, 5], head, (2, 10, 10))
    assert_equals_reference(gx.Engine(gx.compile(network), 2, kernel), networks.levels(rng, (300, 2, 10, 10)))


def test_the_tail_of_a_deep_network_is_its_last_layers(monkeypatch):
    rng = np.random.default_rng(5)
    prefer(monkeypatch, "samples", rng)
    engine = gx.Engine(gx.compile(dense_network(rng, [*[100] * 70, 10])))
    assert_equals_reference(engine, networks.levels(rng, (300, 100)))
    assert engine._lowered.tail.made == samples.MOST_STEPS


def test_a_bad_frame_anywhere_in_a_batch_is_refused():
    rng = np.random.default_rng(4)
    engine = gx.Engine(gx.compile(dense_network(rng, [40, 30, 5])), threads=2)
    frames = networks.levels(rng, (700, 40))
    for at in (0, 300, 699):
        wrong = frames.copy()
        wrong[at, 39] = 2
        with pytest.raises(gx.ShapeError, match="outside Z_1"):
            engine.run(wrong)
    assert_equals_reference(engine, frames)
