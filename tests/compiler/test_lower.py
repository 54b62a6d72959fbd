"""Lowering: which populations and projections come out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from tests import networks

RNG = np.random.default_rng(0)


def shape_of(graph: gx.EventGraph) -> dict[str, tuple]:
    return {name: (p.role, p.shape) for name, p in graph.populations.items()}


def test_the_papers_mnist_net():
    graph = gx.compile(networks.lenet())
    assert shape_of(graph) == {
        "input": ("input", (1, 28, 28)),
        "conv1": ("sum", (32, 24, 24)),
        "pool1": ("fire", (32, 12, 12)),
        "conv2": ("sum", (64, 8, 8)),
        "pool2": ("fire", (64, 4, 4)),
        "dense1": ("fire", (512,)),
        "dense2": ("readout", (10,)),
    }
    assert graph.synapses == {"conv1": 460_800, "conv2": 3_276_800, "dense1": 524_288, "dense2": 5_120}
    assert sum(graph.synapses.values()) == 4_267_008  # the 4.27 M operations an image of the paper's net
    assert graph.populations["pool1"].layer == "act1"


def test_residual_branches_meet_in_one_population():
    conv = networks.levels(RNG, (4, 4, 3, 3))
    network = gx.TernaryNetwork(
        (4, 6, 6),
        None,
        [
            gx.Conv2d(conv, padding=1),
            gx.Activation(levels=2, name="first"),
            gx.Conv2d(conv, padding=1, name="branch"),
            gx.Add(inputs=("first", "branch")),
            gx.Activation(),
            gx.Flatten(),
            gx.Dense(networks.levels(RNG, (3, 144))),
        ],
    )
    graph = gx.compile(network)
    assert [(p.source, p.rule.kind, p.gain) for p in graph.incoming("add1")] == [
        ("conv1", "identity", 1),
        ("conv1", "conv2d", 1),
    ]


def test_branches_of_different_units_get_whole_gains():
    weight = networks.levels(RNG, (5, 5))
    network = gx.TernaryNetwork(
        (5,),
        None,
        [
            gx.Dense(weight, name="coarse"),
            gx.Dense(networks.levels(RNG, (5, 5), n=3), levels=3, inputs=("input",), name="fine"),
            gx.Add(inputs=("coarse", "fine")),
        ],
    )
    graph = gx.compile(network)
    assert {p.name: p.gain for p in graph.incoming("add1")} == {"coarse": 4, "fine": 1}
    assert graph.readout.unit == 0.25


def test_sums_read_twice_are_added_up_once():
    weight = networks.levels(RNG, (4, 4))
    network = gx.TernaryNetwork(
        (4,),
        None,
        [
            gx.Dense(weight, name="d"),
            gx.Activation(name="a", inputs=("d",)),
            gx.Dense(weight, name="e"),
            gx.Add(inputs=("d", "e")),
        ],
    )
    graph = gx.compile(network)
    assert [p.name for p in graph.projections.values() if p.rule.kind == "dense"] == ["d", "e"]
    assert graph.populations["d"].role == "sum"


def test_pad_becomes_part_of_the_convolution():
    network = gx.TernaryNetwork(
        (1, 4, 4),
        None,
        [gx.Pad2d((1, 2, 0, 1)), gx.Conv2d(networks.levels(RNG, (2, 1, 3, 3)), padding=1), gx.Flatten()],
    )
    rule = gx.compile(network).projections["conv1"].rule
    assert rule.padding == (2, 3, 1, 2)
    assert rule.target_shape == (2, 5, 7)


def test_max_pool_of_events_hands_levels_on():
    layers = [gx.Conv2d(networks.levels(RNG, (2, 1, 3, 3))), gx.Activation(levels=3), gx.MaxPool2d(2)]
    layers += [gx.Flatten(), gx.Dense(networks.levels(RNG, (2, 18)))]
    graph = gx.compile(gx.TernaryNetwork((1, 8, 8), None, layers))
    assert graph.populations["pool1"].role == "fire"
    assert graph.populations["pool1"].hi[0].tolist() == [1, 2, 3, 4]


class TestRefused:
    def test_bias_under_a_padded_sum_pool(self):
        conv = gx.Conv2d(networks.levels(RNG, (2, 1, 3, 3)), bias=np.ones(2, np.float32))
        layers = [conv, gx.SumPool2d(2, padding=1), gx.Flatten()]
        with pytest.raises(gx.UnsupportedError, match="'pool1': sums over padding while layer 'conv1' has a bias"):
            gx.compile(gx.TernaryNetwork((1, 8, 8), None, layers))

    def test_sums_too_large_for_float32(self):
        weight = np.full((1, 9000), 64, np.int8)
        with pytest.raises(gx.UnsupportedError, match=r"'dense1': accumulators could reach 36,864,000"):
            gx.compile(gx.TernaryNetwork((9000,), None, [gx.Dense(weight, levels=7)], input_levels=7))

    def test_batch_norm_that_overflows(self):
        norm = gx.BatchNorm([3e38, 1], [0, 0], [0, 0], [0, 1], eps=1e-12)
        with pytest.raises(
            gx.UnsupportedError, match=r"'norm1': gamma / sqrt\(var \+ eps\) overflows float32 at \[0\]"
        ):
            gx.compile(gx.TernaryNetwork((3,), None, [gx.Dense(networks.levels(RNG, (2, 3))), norm]))
