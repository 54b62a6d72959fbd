"""EventGraph: routing tables and unit graphs agree with the connectivity rules, and with brute force."""

from __future__ import annotations

import tracemalloc

import networkx as nx
import numpy as np
import pytest
from hypothesis import given

import gxevent as gx
from gxevent import connectivity
from gxevent.runtime import reference
from tests import networks


@given(networks.networks())
def test_connections_fan_out_and_fan_in_agree(network):
    for p in gx.compile(network).projections.values():
        rule = p.rule
        source, target, level = rule.connections()
        assert source.size == rule.synapses
        counts = np.bincount(source[level != 0], minlength=rule.source_size)
        np.testing.assert_array_equal(rule.fan_out_counts(), counts)
        for unit in {0, rule.source_size // 2, rule.source_size - 1}:
            reached, levels = rule.fan_out(unit)
            here = (source == unit) & (level != 0)
            order = np.argsort(target[here], kind="stable")
            np.testing.assert_array_equal(reached, target[here][order])
            np.testing.assert_array_equal(levels, level[here][order])
        for unit in {0, rule.target_size - 1}:
            heard, levels = rule.fan_in(unit)
            here = (target == unit) & (level != 0)
            assert sorted(zip(heard, levels, strict=True)) == sorted(zip(source[here], level[here], strict=True))


@given(networks.networks())
def test_the_listed_connections_are_the_rule(network):
    """Summing along the list gives what the reference's own convolution gives."""
    rng = np.random.default_rng(0)
    for p in gx.compile(network).projections.values():
        rule = p.rule
        if isinstance(rule, connectivity.Pool2d) and rule.mode == "max":
            continue
        x = rng.integers(-1, 2, (2, rule.source_size)).astype(np.int8)
        source, target, level = rule.connections()
        listed = connectivity.Sparse.from_connections((rule.source_size,), (rule.target_size,), source, target, level)
        np.testing.assert_array_equal(reference.project(listed, x), reference.project(rule, x).reshape(2, -1))


def test_the_population_graph_is_networkx():
    graph = gx.compile(networks.lenet())
    assert isinstance(graph.graph, nx.MultiDiGraph)
    assert list(nx.topological_sort(graph.graph)) == list(graph.populations)
    assert graph.graph.edges["pool1", "conv2", "conv2"]["projection"].rule.synapses == 3_276_800


def test_unit_graph_lists_every_open_able_connection():
    rng = np.random.default_rng(3)
    layers = [gx.Conv2d(networks.levels(rng, (2, 1, 3, 3))), gx.Activation(), gx.Flatten()]
    graph = gx.compile(gx.TernaryNetwork((1, 5, 5), None, [*layers, gx.Dense(networks.levels(rng, (3, 18)))]))
    units = graph.unit_graph()
    assert units.number_of_nodes() == 25 + 18 + 3
    for name, p in graph.populations.items():
        for unit in range(p.size):
            routes = {
                (r.projection, r.target, u): w
                for r in graph.fan_out((name, unit))
                for u, w in zip(r.units, r.levels, strict=True)
            }
            edges = {
                (key, t, u): d["level"] for _, (t, u), key, d in units.out_edges((name, unit), keys=True, data=True)
            }
            assert routes == edges
    assert graph.fan_out(("input", (0, 2, 2)))[0].units.size == np.count_nonzero(graph.projections["conv1"].rule.weight)
    heard = {r.target for r in graph.fan_in(("conv1", 0))}
    assert heard == {"input"}


def test_millions_of_synapses_stay_a_rule():
    """5 million synapses: the graph costs its weights, not its connections."""
    weight = networks.levels(np.random.default_rng(0), (64, 64, 5, 5))
    tracemalloc.start()
    layers = [gx.Conv2d(weight, padding=2), gx.Activation(), gx.Flatten(), gx.Dense(np.ones((2, 64 * 100), np.int8))]
    graph = gx.compile(gx.TernaryNetwork((64, 10, 10), None, layers))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert graph.synapses["conv1"] > 5_000_000
    assert peak < 16 * 2**20
    with pytest.raises(gx.CapacityError, match="use fan_out"):
        graph.unit_graph()


class TestRefused:
    def test_units_that_do_not_exist(self):
        graph = gx.compile(networks.lenet())
        for address in (("input", 784), ("input", (1, 0, 0)), ("input", (0, 0)), ("input", -1)):
            with pytest.raises(gx.OptionError, match="has no unit"):
                graph.fan_out(address)
        with pytest.raises(gx.OptionError, match="no population 'nobody'; there are input"):
            graph.fan_out(("nobody", 0))

    def test_graphs_that_do_not_fit(self):
        read = gx.Population("out", (2,), "readout")
        source = gx.Population("input", (3,), "input")
        rule = connectivity.Dense((3,), (2,), np.ones((2, 3), np.int8))
        good = gx.Projection("d", "input", "out", rule)
        assert gx.EventGraph.of([source, read], [good]).synapses == {"d": 6}
        with pytest.raises(gx.ShapeError, match="there is no population 'elsewhere'"):
            gx.EventGraph.of([source, read], [gx.Projection("d", "input", "elsewhere", rule)])
        with pytest.raises(gx.ShapeError, match="nothing projects to it"):
            gx.EventGraph.of([source, read], [])
        with pytest.raises(gx.ShapeError, match="joins 3 to 2 units"):
            gx.EventGraph.of([gx.Population("input", (4,), "input"), read], [good])
        with pytest.raises(gx.ShapeError, match="names of their own"):
            gx.EventGraph.of([source, source, read], [good])
        with pytest.raises(gx.ShapeError, match="weight needs int8 levels"):
            connectivity.Dense((3,), (2,), np.ones((2, 3), np.int16))
        with pytest.raises(gx.ShapeError, match="unit 3 does not exist"):
            connectivity.Sparse.from_connections((3,), (2,), [3], [0], [1])

    def test_cycles(self):
        fire = {"hi": np.ones((2, 1), np.int32), "lo": -np.ones((2, 1), np.int32), "polarity": np.ones(2, np.int8)}
        populations = [gx.Population("input", (2,), "input"), gx.Population("out", (2,), "readout")]
        populations += [gx.Population(name, (2,), "fire", **fire) for name in "ab"]
        one = connectivity.Dense((2,), (2,), np.ones((2, 2), np.int8))
        arrows = [("input", "a"), ("a", "b"), ("b", "a"), ("b", "out")]
        with pytest.raises(gx.ShapeError, match="form a cycle"):
            gx.EventGraph.of(populations, [gx.Projection(s + t, s, t, one) for s, t in arrows])
