"""The table of operations equals counting connection by connection."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings

import gxevent as gx
from gxevent.analysis.operations import Count, bitcounts, operation_table
from gxevent.runtime import Engine, encode_samples
from gxevent.runtime.about import about_network
from tests import networks


def summary_of(graph: gx.EventGraph, frames: np.ndarray) -> dict:
    """What a run of these frames writes, as far as the table reads it."""
    counts = Engine(graph).run(frames).counts
    gates = {name: int(opened.sum()) for name, opened in counts.open_gates.items()}
    synapses = {name: n * len(frames) for name, n in graph.synapses.items()}
    return {"windows": len(frames), "synapses": synapses, "open_gates": gates, "network": about_network(graph)}


@settings(max_examples=40)
@given(networks.networks())
def test_counts_equal_those_of_single_connections(network):
    graph = gx.compile(network)
    frames = networks.frames(np.random.default_rng(0), network, 3)
    rows = {
        row.network: row for row in operation_table(summary_of(graph, frames), bitcounts=bitcounts(graph, [frames]))
    }
    synapses = nonzero = neurons = opened = reached = 0
    for p in graph.gated:
        source, target, level = p.rule.connections()
        synapses, nonzero = synapses + len(level), nonzero + int((level != 0).sum())
        neurons += graph.populations[p.target].size
        for frame in frames:
            active = Engine(graph).trace(frame).outputs[p.source].ravel()[source] != 0
            opened += int((active & (level != 0)).sum())
            reached += len(np.unique(target[active & (level != 0)]))
    assert rows["full precision"].multiply == rows["full precision"].accumulate == Count(synapses, synapses)
    assert rows["BWN"].accumulate == Count(synapses, synapses)
    assert rows["TWN"].accumulate == Count(nonzero, nonzero)
    assert rows["BNN"].xnor == Count(synapses, synapses)
    assert rows["BNN"].bitcount == Count(neurons, neurons)
    own = next(row for name, row in rows.items() if name in ("GXNOR", "this network"))
    assert own.xnor.high + own.accumulate.high == pytest.approx(opened / len(frames))
    assert own.bitcount == Count(pytest.approx(reached / len(frames)), pytest.approx(reached / len(frames)), True)
    assert own.resting.high == pytest.approx(1 - opened / len(frames) / synapses)


def test_what_nobody_counted_is_a_bound():
    network = networks.lenet()
    graph = gx.compile(network)
    summary = summary_of(graph, networks.frames(np.random.default_rng(1), network, 2))
    known = {row.network: row for row in operation_table(summary)}
    assert known["GXNOR"].bitcount == Count(0, sum(graph.populations[p.target].size for p in graph.gated))
    assert not known["GXNOR"].bitcount.exact
    assert known["GXNOR"].xnor.measured
    del summary["network"]  # a record written before networks were kept
    bare = {row.network: row for row in operation_table(summary)}
    m = sum(graph.synapses.values())
    assert bare["TWN"].accumulate == Count(0, m)
    assert bare["TWN"].resting == Count(0, 1)
    assert bare["BNN"].bitcount == Count(0, m)
    assert bare["this network"].xnor == known["GXNOR"].xnor
    again = operation_table(summary, network=about_network(graph))
    assert again == tuple(known.values())


def test_graded_input_adds_and_does_not_xnor():
    rng = np.random.default_rng(2)
    layers = [gx.Dense(networks.levels(rng, (20, 30))), gx.Activation(), gx.Dense(networks.levels(rng, (4, 20)))]
    network = gx.TernaryNetwork((30,), None, layers, input_levels=7)
    graph = gx.compile(network)
    frames = networks.frames(rng, network, 4)
    summary = summary_of(graph, frames)
    own = operation_table(summary)[-1]
    first, second = (summary["open_gates"][p.name] / 4 for p in graph.gated)
    assert own.network == "GXNOR"
    assert (own.accumulate.high, own.xnor.high) == (first, second)
    only = operation_table(summary, layers=[graph.gated[1].name])[-1]
    assert (only.accumulate.high, only.xnor.high) == (0, second)
    with pytest.raises(gx.OptionError, match="no projection 'nothing'"):
        operation_table(summary, layers=["nothing"])


def test_a_run_keeps_its_network(tmp_path):
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=5)
    record = gx.run_dataset(graph, dataset)
    record.save(tmp_path / "run")
    read = gx.load_run(tmp_path / "run").summary
    assert read["network"] == json.loads(json.dumps(about_network(graph)))
    assert read["versions"]["gxevent"] == gx.__version__
    frames = [sample.frames for sample in encode_samples(graph, dataset)]
    twn, bnn, own = operation_table(read, bitcounts=bitcounts(graph, frames))[2:]
    assert own.network == "GXNOR"
    assert own.xnor.high < twn.accumulate.high < bnn.xnor.high
    assert own.bitcount.high < bnn.bitcount.high
    with pytest.raises(gx.OptionError, match="no frames"):
        bitcounts(graph, [])
