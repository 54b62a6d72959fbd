"""Building an engine takes little memory beside the weights; ``benchmarks/memory.py`` measures whole processes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import gxevent as gx
from gxevent.connectivity import largest_sum
from gxevent.runtime import reference
from tests import networks


def dense(rng: np.random.Generator, inputs: int, outputs: int, n: int = 1) -> gx.TernaryNetwork:
    layers = [gx.Dense(networks.levels(rng, (outputs, inputs), n), levels=n), gx.Activation()]
    return gx.TernaryNetwork((inputs,), None, [*layers, gx.Dense(networks.levels(rng, (3, outputs)))])


def test_engines_are_built_within_a_few_times_their_weights():
    network = dense(np.random.default_rng(0), 4096, 1024)
    graph = gx.compile(network)
    tracemalloc.start()
    try:
        engine = gx.Engine(graph)
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    weights = 4096 * 1024
    assert engine.kernel
    assert kept < 2.0 * weights  # rows of four bits each; perhaps a copy in the order of the plan
    assert peak < 4.5 * weights  # a copy with inputs first, rows of levels, the table, its aligned copy, parts


@pytest.mark.parametrize("n", [1, 3])
def test_tables_of_many_rows_are_whole(n):
    rng = np.random.default_rng(n)
    network = dense(rng, 1300, 40, n)
    graph, frames = gx.compile(network), networks.levels(rng, (5, 1300))
    expected = reference.run_graph(graph, frames).accumulators[graph.readout.name]
    np.testing.assert_array_equal(gx.Engine(graph).run(frames).accumulators, expected)


def test_bounds_are_the_largest_sum_of_magnitudes():
    rng = np.random.default_rng(4)
    for shape in ((1, 1), (7, 300), (5, 3, 2, 2)):
        weight = networks.levels(rng, shape, 7)
        wide = np.abs(weight.astype(np.int64)).reshape(shape[0], -1)
        assert largest_sum(weight) == wide.sum(axis=1).max()
    assert largest_sum(np.full((2, 500), -64, np.int8)) == 32_000
