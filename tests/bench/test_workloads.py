"""Networks of the bench: activity is what was asked for, in every population, and frames fill every batch."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from gxevent.bench import workloads
from gxevent.errors import OptionError
from gxevent.runtime import reference

# A convolution over few events is coarse: sums are whole numbers, and one channel's threshold moves all its units.
TOLERANCE = 0.012


@pytest.mark.parametrize("activity", [0.02, 0.05, 0.1, 0.2, 0.45, 1.0])
@pytest.mark.parametrize("name", ["mlp", "lenet", "128"])
def test_every_hidden_population_has_the_activity_asked_for(name, activity):
    work = workloads.random_workload(name, activity, frames=512)
    for population, n in gx.Engine(work.graph).run(work.frames).counts.events.items():
        assert n.mean() / work.graph.populations[population].size == pytest.approx(activity, abs=TOLERANCE), population
    outputs = reference.run_graph(work.graph, work.frames[:16], count=False).outputs
    for population, levels in outputs.items():
        assert (levels > 0).any(), population
        assert activity < 0.05 or (levels < 0).any(), population  # maxima over few events are hardly ever negative


def test_the_vgg_too():
    work = workloads.random_workload("vgg", 0.2)
    events = gx.Engine(work.graph).run(work.frames).counts.events
    for population, n in events.items():
        assert n.mean() / work.graph.populations[population].size == pytest.approx(0.2, abs=TOLERANCE), population
    assert sum(work.graph.synapses.values()) < workloads.architecture("vgg").synapses  # padding has no synapses


def test_weights_are_the_same_at_every_activity_and_two_thirds_of_them_nonzero():
    sparse, busy = (workloads.random_workload("mlp", share) for share in (0.05, 0.45))
    for name, projection in sparse.graph.projections.items():
        weight = projection.rule.weight
        np.testing.assert_array_equal(weight, busy.graph.projections[name].rule.weight)
        assert np.count_nonzero(weight) / weight.size == pytest.approx(2 / 3, abs=0.02)
    again = workloads.random_workload("mlp", 0.05)
    np.testing.assert_array_equal(again.frames, sparse.frames)


def test_inputs_are_batches_of_different_frames():
    work = workloads.random_workload("128", 0.2, frames=20)
    assert [x.shape for x in work.inputs(1)] == [(1, 128)] * 20
    batches = work.inputs(8)
    assert [x.shape for x in batches] == [(8, 128)] * 2
    assert not (batches[0] == batches[1]).all()
    assert [x.shape for x in work.inputs(50)] == [(50, 128)]  # repeated where there are fewer


def test_calibration_of_sums_that_are_mostly_zero():
    """Channels that are never silent fill up where too few sums are nonzero."""
    sums = np.zeros((50, 20), np.int32)
    sums[0] = 5
    norm, fired = workloads.calibrate(sums, 0.5, np.random.default_rng(0))
    assert np.count_nonzero(fired) / fired.size == pytest.approx(0.5, abs=0.03)
    network = gx.TernaryNetwork(
        (20,),
        None,
        [gx.Dense(np.eye(20, dtype=np.int8)), norm, gx.Activation()] * 1 + [gx.Dense(np.eye(20, dtype=np.int8))],
    )
    graph = gx.compile(network)
    np.testing.assert_array_equal(gx.Engine(graph).run(np.zeros((1, 20), np.int8)).accumulators, fired[1:2])


def test_shipped_network_on_its_own_recordings():
    work = workloads.build("zoo:digits", None, 12)
    assert work.asked is None
    assert len(work.frames) == 12
    assert len(np.unique(gx.Engine(work.graph).run(work.frames).predictions)) > 3


@pytest.mark.parametrize("name", ["mnist", "0", "99999", "-5", "1024x1024"])
def test_unknown_networks_are_named(name):
    with pytest.raises(OptionError, match="layer's width"):
        workloads.architecture(name)


def test_data_that_is_not_shipped_is_asked_for(tmp_path):
    with pytest.raises(OptionError, match="--data"):
        workloads.build("zoo:nmnist", None, 4, data=tmp_path)
    with pytest.raises(OptionError, match="zoo:digits"):
        workloads.build("zoo:nothing", None, 4)
