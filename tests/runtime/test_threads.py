"""Threads that share the work of one sample give what one thread gives, integer for integer."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent.runtime import costs, engine as engines, reference
from gxevent.runtime.plan import available_kernels
from tests import networks
from tests.runtime.test_engine import assert_same_counts

KERNELS = available_kernels()


@pytest.fixture(scope="module", autouse=True)
def share_everything():
    """Let threads share every unit that can be shared, as few shares at a time as there are, whatever the machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "HAND_OVER", 0.0)
        patch.setattr(costs, "CHUNK", 0.0)
        patch.setattr(engines, "usable_cpus", lambda: 8)
        yield


def conv_network(rng: np.random.Generator, input_levels: int = 1) -> gx.TernaryNetwork:
    """Tiles of several pixels, pixels of several blocks, and pools that units take in."""
    layers = [gx.Conv2d(networks.levels(rng, (24, 3, 3, 3)), padding=1), networks.batch_norm(rng, 24), gx.Activation()]
    layers += [gx.Conv2d(networks.levels(rng, (40, 24, 3, 3)), padding=1), gx.MaxPool2d(2)]
    layers += [networks.batch_norm(rng, 40), gx.Activation()]
    layers += [gx.Conv2d(networks.levels(rng, (600, 40, 3, 3))), gx.MaxPool2d(2)]
    layers += [networks.batch_norm(rng, 600), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(networks.levels(rng, (7, 600 * 4)))]
    return gx.TernaryNetwork((3, 12, 13), None, layers, input_levels=input_levels)


def dense_network(rng: np.random.Generator) -> gx.TernaryNetwork:
    """Layers of several blocks of lanes; the last one does not fire."""
    layers = []
    for inputs, outputs in ((700, 1500), (1500, 1100)):
        layers += [gx.Dense(networks.levels(rng, (outputs, inputs)))]
        layers += [networks.batch_norm(rng, outputs), gx.Activation()]
    return gx.TernaryNetwork((700,), None, [*layers, gx.Dense(networks.levels(rng, (1050, 1100)))])


def assert_equals_reference(engine: gx.Engine, frames: np.ndarray, mode: str = "batch") -> None:
    expected = reference.run_graph(engine.graph, frames)
    for count in (True, False):
        result = engine.run(frames, mode=mode, count=count)
        np.testing.assert_array_equal(result.accumulators, expected.accumulators[engine.graph.readout.name])
        np.testing.assert_array_equal(result.scores, expected.scores)
        assert (result.latency_ns > 0).all()
        if count:
            assert_same_counts(result.counts, expected)


@given(networks.networks(), st.sampled_from(KERNELS), st.integers(1, 3), st.integers(0, 99))
def test_random_networks_frame_by_frame(network, kernel, threads, seed):
    graph = gx.compile(network)
    frames = networks.frames(np.random.default_rng(seed), network)
    engine = gx.Engine(graph, threads=threads, kernel=kernel)
    assert_equals_reference(engine, frames, "sample")
    assert_equals_reference(engine, frames[:1])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("make", [conv_network, dense_network])
def test_large_layers(make, threads, kernel):
    rng = np.random.default_rng(threads)
    network = make(rng)
    engine = gx.Engine(gx.compile(network), threads=threads, kernel=kernel)
    assert engine._lowered.plan.shared == (threads > 1)
    for density in (0.0, 0.05, 0.5, 1.0):
        frames = networks.levels(rng, (7, *network.input_shape), density=density)
        for few in (frames[:1], frames[1:3], frames):
            assert_equals_reference(engine, few)
        assert_equals_reference(engine, frames, "sample")


@pytest.mark.parametrize("kernel", KERNELS)
def test_graded_inputs_of_several_channels(kernel):
    rng = np.random.default_rng(1)
    network = conv_network(rng, input_levels=4)
    engine = gx.Engine(gx.compile(network), threads=2, kernel=kernel)
    assert_equals_reference(engine, networks.levels(rng, (3, 3, 12, 13), n=4), "sample")


@pytest.mark.parametrize("threads", [2, 3])
def test_many_times_over(threads):
    """Whatever the threads do in between: awake, asleep, or called from several sides at once."""
    rng = np.random.default_rng(2)
    network = conv_network(rng)
    graph = gx.compile(network)
    frames = networks.levels(rng, (16, *network.input_shape), density=0.4)
    expected = gx.Engine(graph).run(frames).accumulators
    engine = gx.Engine(graph, threads=threads)
    wrong = []

    def call(n: int, pause: threading.Event) -> None:
        for i in range(n):
            made = engine.run(frames[i % 16], count=bool(i % 2)).accumulators
            if not np.array_equal(made[0], expected[i % 16]):
                wrong.append(i)
            if i % 50 == 0:
                pause.wait(0.001)

    callers = [threading.Thread(target=call, args=(150, threading.Event())) for _ in range(3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_has_threads_of_its_own():
    rng = np.random.default_rng(3)
    network = dense_network(rng)
    engine = gx.Engine(gx.compile(network), threads=2)
    frame = networks.levels(rng, (1, *network.input_shape))
    expected = engine.run(frame).accumulators
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(engine.run(frame).accumulators, expected) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    np.testing.assert_array_equal(engine.run(frame).accumulators, expected)


class TestWhatIsShared:
    def test_long_units_of_several_shares(self, monkeypatch):
        monkeypatch.setattr(costs, "HAND_OVER", 8000.0)
        monkeypatch.setattr(costs, "CHUNK", 3000.0)
        assert costs.chunk(0, 1e6) == costs.chunk(1, 1e6) == 0
        assert costs.chunk(64, 7999.0) == 0
        assert costs.chunk(64, 8000.0) == 24
        assert costs.chunk(64, 1e6) == 1

    def test_nothing_where_threads_would_wait_for_a_processor(self, monkeypatch):
        monkeypatch.setattr(engines, "usable_cpus", lambda: 1)
        network = dense_network(np.random.default_rng(4))
        assert not gx.Engine(gx.compile(network), threads=2)._lowered.plan.shared
