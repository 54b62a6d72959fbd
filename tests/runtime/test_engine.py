"""The compiled engine equals the plain NumPy reference, integer for integer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent.runtime import reference
from gxevent.runtime.plan import available_kernels
from tests import networks

KERNELS = available_kernels()


def assert_same_counts(counts, expected: reference.GraphOutput) -> None:
    assert list(counts.open_gates) == list(expected.open_gates)
    for name, events in expected.events.items():
        np.testing.assert_array_equal(counts.events[name], events, err_msg=name)
    for name, gates in expected.open_gates.items():
        np.testing.assert_array_equal(counts.open_gates[name], gates, err_msg=name)


@given(networks.networks(), st.sampled_from(KERNELS), st.integers(0, 99))
def test_engine_equals_reference_on_random_networks(network, kernel, seed):
    graph = gx.compile(network)
    frames = networks.frames(np.random.default_rng(seed), network)
    expected = reference.run_graph(graph, frames)
    engine = gx.Engine(graph, kernel=kernel)
    result = engine.run(frames)
    np.testing.assert_array_equal(result.accumulators, expected.accumulators[graph.readout.name])
    np.testing.assert_array_equal(result.scores, expected.scores)
    assert_same_counts(result.counts, expected)
    trace = engine.trace(frames[-1])
    for name, sums in expected.accumulators.items():
        np.testing.assert_array_equal(trace.accumulators[name], sums[-1], err_msg=name)
    for name, levels in expected.outputs.items():
        np.testing.assert_array_equal(trace.outputs[name], levels[-1], err_msg=name)


@given(networks.networks(), st.integers(0, 99))
def test_thresholds_fire_as_the_trained_network_does(network, seed):
    """Folding: the graph's integer thresholds against the float32 batch norm and activation, layer by layer."""
    graph = gx.compile(network)
    frames = networks.frames(np.random.default_rng(seed), network)
    layers, compiled = reference.run_network(network, frames), reference.run_graph(graph, frames)
    np.testing.assert_array_equal(compiled.scores, layers["scores"].values)
    fired = [out.values for out in layers.values() if out.form == "levels"]
    for name, levels in compiled.outputs.items():
        assert any(f.size == levels.size and (f.ravel() == levels.ravel()).all() for f in fired), name


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_kernels_threads_and_modes_agree(kernel, threads):
    network = networks.lenet()
    graph = gx.compile(network)
    frames = networks.levels(np.random.default_rng(1), (150, 1, 28, 28), density=0.3)
    expected = reference.run_graph(graph, frames)
    engine = gx.Engine(graph, threads=threads, kernel=kernel)
    for mode in ("batch", "sample"):
        result = engine.run(frames, mode=mode)
        np.testing.assert_array_equal(result.accumulators, expected.accumulators["dense2"])
        np.testing.assert_array_equal(result.predictions, expected.scores.argmax(axis=1))
        assert_same_counts(result.counts, expected)


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 21])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (3, 3), (5, 13), (8, 8), (34, 34)])
def test_frames_of_several_channels_are_taken_in_pixel_by_pixel(channels, size):
    rng = np.random.default_rng(channels)
    shape = (channels, *size)
    weight = networks.levels(rng, (3, channels, 1, 1), 3, density=1.0)
    layers = [gx.Conv2d(weight, levels=3), gx.Flatten(), gx.Activation()]
    layers += [gx.Dense(networks.levels(rng, (4, 3 * size[0] * size[1])))]
    graph = gx.compile(gx.TernaryNetwork(shape, None, layers, input_levels=5))
    frames = networks.levels(rng, (3, *shape), 5, density=0.9)
    expected = reference.run_graph(graph, frames)
    engine = gx.Engine(graph)
    np.testing.assert_array_equal(engine.run(frames).accumulators, expected.accumulators[graph.readout.name])
    np.testing.assert_array_equal(engine.trace(frames[1]).outputs["input"], frames[1])


def test_long_sums_do_not_overflow_the_narrow_counters():
    """More than 127 equal rows in int8 sums, more than 32767 in int16 sums."""
    weight = np.ones((40, 3000), np.int8)
    graph = gx.compile(gx.TernaryNetwork((3000,), None, [gx.Dense(weight)]))
    for sign in (1, -1):
        result = gx.Engine(graph).run(np.full((1, 3000), sign, np.int8))
        assert (result.accumulators == sign * 3000).all()
    graded = gx.TernaryNetwork((3000,), None, [gx.Dense(64 * weight, levels=7)], input_levels=7)
    result = gx.Engine(gx.compile(graded)).run(np.full((1, 3000), -64, np.int8))
    assert (result.accumulators == -64 * 64 * 3000).all()


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize(("plus", "minus"), [(127, 1), (127, 127), (300, 40), (40, 300), (64, 63)])
def test_weights_that_agree_with_every_event_do_not_overflow(kernel, plus, minus):
    """As trained networks come close to: +1 where the event is +1, -1 where it is -1, so both kinds add up."""
    events = np.repeat(np.array([1, -1], np.int8), (plus, minus))
    mixed = np.random.default_rng(plus).permutation(events)
    for frame in (events, mixed, -mixed):
        weight = np.stack([frame, -frame] * 20)
        dense = gx.compile(gx.TernaryNetwork(frame.shape, None, [gx.Dense(weight)]))
        conv = gx.TernaryNetwork((len(frame), 1, 1), None, [gx.Conv2d(weight[:, :, None, None]), gx.Flatten()])
        for graph, shape in ((dense, frame.shape), (gx.compile(conv), (len(frame), 1, 1))):
            result = gx.Engine(graph, kernel=kernel).run(frame.reshape(1, *shape))
            assert result.accumulators[0].tolist() == [plus + minus, -plus - minus] * 20


def test_counts_equal_counting_every_pair():
    """Open gates by definition, pair by pair, on a padded, strided, grouped convolution."""
    rng = np.random.default_rng(5)
    weight = networks.levels(rng, (4, 2, 3, 3))
    network = gx.TernaryNetwork(
        (4, 6, 5),
        None,
        [gx.Conv2d(weight, 2, 1, groups=2), gx.Flatten(), gx.Activation(), gx.Dense(networks.levels(rng, (3, 36)))],
    )
    graph = gx.compile(network)
    frame = networks.levels(rng, (4, 6, 5), density=0.5)
    opened = existing = 0
    for out in range(4):
        for y in range(3):
            for x in range(3):
                for c in range(2):
                    for ky in range(3):
                        for kx in range(3):
                            iy, ix = 2 * y + ky - 1, 2 * x + kx - 1
                            if 0 <= iy < 6 and 0 <= ix < 5:
                                existing += 1
                                opened += bool(weight[out, c, ky, kx]) and bool(frame[2 * (out // 2) + c, iy, ix])
    counts = gx.Engine(graph).run(frame).counts
    assert counts.open_gates["conv1"].tolist() == [opened]
    assert counts.synapses["conv1"] == existing
    assert counts.events["input"].tolist() == [np.count_nonzero(frame)]
    layers = counts.resting_probability_by_layer
    assert layers["conv1"] == 1 - opened / existing
    dense = counts.open_gates["dense1"].item()
    assert counts.resting_probability == 1 - (opened + dense) / (existing + 108)


def test_sparse_rule_from_networkx_equals_the_convolution_it_lists():
    import networkx as nx

    from gxevent.connectivity import Sparse

    graph = gx.compile(networks.lenet())
    conv = graph.projections["conv1"].rule
    listed = nx.DiGraph()
    listed.add_edges_from(
        (s, t, {"level": int(w)}) for s, t, w in zip(*(a.tolist() for a in conv.connections()), strict=True)
    )
    sparse = Sparse.from_networkx(listed, conv.source_shape, conv.target_shape)
    projections = dict(graph.projections) | {
        "conv1": gx.Projection("conv1", "input", graph.projections["conv1"].target, sparse)
    }
    other = gx.EventGraph(graph.populations, projections)
    frames = networks.levels(np.random.default_rng(2), (4, 1, 28, 28), density=0.2)
    one, two = gx.Engine(graph).run(frames), gx.Engine(other).run(frames)
    np.testing.assert_array_equal(one.accumulators, two.accumulators)
    np.testing.assert_array_equal(one.counts.open_gates["conv1"], two.counts.open_gates["conv1"])
    assert_same_counts(two.counts, reference.run_graph(other, frames))


class TestBadInput:
    graph = gx.compile(networks.lenet())

    @pytest.mark.parametrize("kernel", ["sse9", ""])
    def test_unknown_kernel(self, kernel):
        with pytest.raises(gx.OptionError, match="cannot run on this machine"):
            gx.Engine(self.graph, kernel=kernel)

    @pytest.mark.parametrize("threads", [0, -1, 1.5, True])
    def test_thread_count(self, threads):
        with pytest.raises(gx.OptionError, match="threads"):
            gx.Engine(self.graph, threads=threads)

    @pytest.mark.parametrize(
        ("frames", "complaint"),
        [
            (np.zeros((2, 1, 28, 28)), "float64"),
            (np.zeros((2, 28, 28), np.int8), r"expected shape \(n, 1, 28, 28\)"),
            (np.full((1, 1, 28, 28), 2, np.int8), "outside Z_1"),
            (np.full((1, 1, 28, 28), -128, np.int8), "outside Z_1"),
            (np.array([["a"]]), "expected int8"),
        ],
    )
    def test_frames(self, frames, complaint):
        with pytest.raises(gx.ShapeError, match=complaint):
            gx.Engine(self.graph).run(frames)

    def test_other_orders_and_dtypes_are_copied_not_garbled(self):
        frames = networks.levels(np.random.default_rng(0), (3, 1, 28, 28))
        expected = gx.Engine(self.graph).run(frames).accumulators
        for same in (np.asfortranarray(frames), frames.astype(np.int64), np.repeat(frames, 2, axis=3)[..., ::2]):
            np.testing.assert_array_equal(gx.Engine(self.graph).run(same).accumulators, expected)

    def test_no_frames_at_all(self):
        result = gx.Engine(self.graph).run(np.zeros((0, 1, 28, 28), np.int8))
        assert result.scores.shape == (0, 10)
        assert result.counts.resting_probability == 1.0
