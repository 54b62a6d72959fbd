"""Peers run the same network: equal sums on random batch norms of every sign, or a plain reason why not."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import gxevent as gx
from gxevent.bench import workloads
from gxevent.bench.peers import registry
from gxevent.bench.peers.base import Contestant, Task
from gxevent.bench.twin import twin_of
from gxevent.errors import GxError, OptionError, UnsupportedError
from tests import networks

SAME = [peer for peer in registry.PEERS if peer.runs == "ternary" and not peer.own_process]
OTHER = [peer for peer in registry.PEERS if peer.runs != "ternary" and not peer.own_process]


def made(peer, graph, frames, batch) -> Contestant:
    if peer.missing():
        pytest.skip(f"{peer.name} needs {peer.missing()}")
    twin = twin_of(graph)
    twin = twin if peer.runs == "ternary" else twin.relu()
    try:
        return peer.make(Task(twin, graph, frames, batch, 1))
    except UnsupportedError as error:
        pytest.skip(f"{peer.name}: {error}")


def mlp(rng: np.random.Generator) -> gx.TernaryNetwork:
    """Two hidden layers whose batch norms have positive, negative and zero gamma."""
    layers: list = []
    for out, inputs in ((60, 50), (40, 60)):
        layers += [gx.Dense(networks.levels(rng, (out, inputs))), networks.batch_norm(rng, out), gx.Activation()]
    return gx.TernaryNetwork((50,), None, [*layers, gx.Dense(networks.levels(rng, (10, 40)))])


@pytest.mark.parametrize("batch", [1, 7])
@pytest.mark.parametrize("peer", SAME, ids=lambda peer: peer.name)
def test_same_sums_on_an_mlp(peer, batch):
    rng = np.random.default_rng(3)
    graph = gx.compile(mlp(rng))
    frames = networks.levels(rng, (21, 50), density=0.4)
    one = made(peer, graph, frames, batch)
    for i in range(0, 21, batch):
        x = frames[i : i + batch]
        expected = gx.Engine(graph).run(x).accumulators
        np.testing.assert_array_equal(one.sums(one.call(one.prepare(x))), expected)


@pytest.mark.parametrize("peer", SAME, ids=lambda peer: peer.name)
def test_same_sums_on_a_convolutional_network(peer):
    graph = gx.compile(networks.lenet(seed=4))
    frames = networks.levels(np.random.default_rng(5), (6, 1, 28, 28), density=0.3)
    one = made(peer, graph, frames, 3)
    for x in (frames[:3], frames[3:]):
        np.testing.assert_array_equal(one.sums(one.call(one.prepare(x))), gx.Engine(graph).run(x).accumulators)


@pytest.mark.parametrize("peer", SAME, ids=lambda peer: peer.name)
def test_same_sums_on_a_shipped_network(peer):
    work = workloads.build("zoo:digits", None, 4)
    one = made(peer, work.graph, work.frames, 4)
    expected = gx.Engine(work.graph).run(work.frames).accumulators
    np.testing.assert_array_equal(one.sums(one.call(one.prepare(work.frames))), expected)


@pytest.mark.parametrize("name", ["128", "lenet"])
@pytest.mark.parametrize("peer", OTHER, ids=lambda peer: peer.name)
def test_peers_that_run_another_network_answer_with_ten_numbers(peer, name):
    work = workloads.random_workload(name, 0.2)
    one = made(peer, work.graph, work.frames, 2)
    assert one.sums is None
    answer = one.call(one.prepare(work.frames[:2]))
    while not hasattr(answer, "shape"):
        answer = answer[0]
    assert np.asarray(answer).shape[-1] == 10


def test_graphs_that_are_no_chain_of_layers_are_refused():
    rng = np.random.default_rng(0)
    branches = [
        gx.Dense(networks.levels(rng, (8, 8))),
        gx.Activation(name="a"),
        gx.Dense(networks.levels(rng, (8, 8)), name="b"),
        gx.Add(inputs=("a", "b")),
        gx.Activation(),
        gx.Dense(networks.levels(rng, (2, 8))),
    ]
    with pytest.raises(UnsupportedError, match="chains"):
        twin_of(gx.compile(gx.TernaryNetwork((8,), None, branches)))


def test_choosing_peers():
    assert registry.choose("none") == ()
    assert registry.choose("all") == registry.PEERS
    assert {peer.family for peer in registry.choose("numpy, torch")} == {"numpy", "torch"}
    assert [peer.name for peer in registry.choose("torch fp32")] == ["torch fp32"]
    with pytest.raises(OptionError, match="'tensorflow' is not known: choose all, none, numpy"):
        registry.choose("torch,tensorflow")


def test_registry_is_complete():
    names = [peer.name for peer in registry.PEERS]
    assert len(set(names)) == len(names)
    for peer in registry.PEERS:
        assert peer.runs in ("ternary", "relu", "step")
        assert peer.precision in ("fp32", "int8", "int32")
    assert issubclass(OptionError, GxError)


def test_brian2_runs_the_same_network(monkeypatch):
    """The stepwise form on Brian2's NumPy target, which needs no compiler."""
    from gxevent.bench.peers import brian

    pytest.importorskip("brian2")
    rng = np.random.default_rng(6)
    graph = gx.compile(mlp(rng))
    frames = networks.levels(rng, (5, 50), density=0.4)
    with contextlib.ExitStack() as kept:
        monkeypatch.setattr(brian, "_kept", kept.enter_context)
        one = brian.stepwise(Task(twin_of(graph), graph, frames, 1, 1), "numpy", steps=8)
        for i in range(5):
            answer = one.sums(one.call(one.prepare(frames[i : i + 1])))
            np.testing.assert_array_equal(answer, gx.Engine(graph).run(frames[i]).accumulators)
        assert one.timed([frames[:1], frames[1:2]]) > -1  # a short run less a shorter one: noise, but a number
    with pytest.raises(UnsupportedError, match="one sample"):
        brian.stepwise(Task(twin_of(graph), graph, frames, 2, 1), "numpy")
    large = workloads.random_workload("2048", 0.2)
    with pytest.raises(UnsupportedError, match="4,214,784 synapses"):
        brian.stepwise(Task(twin_of(large.graph), large.graph, large.frames, 1, 1), "numpy")
