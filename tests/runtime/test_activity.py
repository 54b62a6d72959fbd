"""Activity profiles guide the choice of gate units, at compile time and while running, and never change a result."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent import store
from gxevent.bench.workloads import random_workload
from gxevent.events import open_dataset
from gxevent.runtime import costs, profile_network, reference
from gxevent.runtime.plan import available_kernels
from gxevent.runtime.profile import open_profile_data, profile_on
from gxevent.runtime.units import choices
from tests import networks

KERNEL = available_kernels()[-1]


def at(graph: gx.EventGraph, share: float) -> gx.EventGraph:
    """The graph, expecting that share everywhere."""
    return replace(graph, activity={name: share for name, p in graph.populations.items() if p.sends_events})


def choices_of(engine: gx.Engine) -> dict[str, costs.Choice]:
    return {unit.projection.name: unit.choice for unit in engine._lowered.units if unit.choice is not None}


def lenet_frames(density: float, n: int = 80) -> np.ndarray:
    return networks.levels(np.random.default_rng(2), (n, 1, 28, 28), density=density)


@pytest.fixture(scope="module")
def quiet() -> tuple[gx.EventGraph, np.ndarray]:
    """The paper's MNIST net with 2 % of all units active, which is what it expects, and 80 frames."""
    made = random_workload("lenet", 0.02, 80)
    return gx.profile(made.graph, made.frames), made.frames


@given(networks.networks(), st.sampled_from(available_kernels()), st.sampled_from([0.0, 0.02, 0.3, 1.0]))
def test_no_expectation_changes_a_result(network, kernel, share):
    graph = gx.compile(network)
    frames = networks.frames(np.random.default_rng(5), network)
    expected = reference.run_graph(graph, frames)
    result = gx.Engine(at(graph, share), kernel=kernel).run(frames)
    np.testing.assert_array_equal(result.accumulators, expected.accumulators[graph.readout.name])
    for name, gates in expected.open_gates.items():
        np.testing.assert_array_equal(result.counts.open_gates[name], gates, err_msg=name)


def test_a_profile_is_the_mean_share_of_active_units():
    graph, frames = gx.compile(networks.lenet()), lenet_frames(0.3)
    profiled = gx.profile(graph, frames)
    expected = reference.run_graph(graph, frames)
    assert set(profiled.activity) == set(expected.events)
    for name, events in expected.events.items():
        share = events.mean() / graph.populations[name].size
        assert profiled.activity[name] == pytest.approx(share, abs=1e-6), name
    assert gx.profile(graph, [frames[:7], frames[7:]]).activity == profiled.activity
    with pytest.raises(gx.ShapeError, match="no frames"):
        gx.profile(graph, frames[:0])


def test_networks_carry_what_training_saw_through_files_and_compiler(tmp_path):
    network, frames = networks.lenet(), lenet_frames(0.3)
    profiled = profile_network(network, frames)
    assert set(profiled.activity) == {"input", *(layer.name for layer in network.layers if layer.kind == "Activation")}
    gx.save(profiled, tmp_path / "net.gxn")
    graph = gx.compile(gx.load_network(tmp_path / "net.gxn"))
    assert graph.activity == gx.profile(gx.compile(network), frames).activity
    gx.save(graph, tmp_path / "net.gxg")
    assert gx.load_graph(tmp_path / "net.gxg").activity == graph.activity


def test_files_without_a_profile_are_as_they_were(tmp_path):
    network = networks.lenet()
    for obj, path in ((network, tmp_path / "net.gxn"), (gx.compile(network), tmp_path / "net.gxg")):
        gx.save(obj, path)
        assert "activity" not in store.read(path, "any").body
        assert gx.load(path).activity == {}


def test_profiles_that_do_not_fit_are_refused():
    network = networks.lenet()
    graph = gx.compile(network)
    with pytest.raises(gx.NetworkError, match="no layer 'conv9'"):
        replace(network, activity={"conv9": 0.5})
    with pytest.raises(gx.NetworkError, match=r"layer 'act1': expected a share from 0 to 1, got 1\.5"):
        replace(network, activity={"act1": 1.5})
    with pytest.raises(gx.ShapeError, match="no population 'conv1' that sends events"):
        replace(graph, activity={"conv1": 0.5})
    with pytest.raises(gx.ShapeError, match="share from 0 to 1, got nan"):
        replace(graph, activity={"input": float("nan")})
    with pytest.raises(gx.ShapeError, match="share from 0 to 1, got 'half'"):
        replace(graph, activity={"input": "half"})


def test_the_cost_model_chooses_by_the_activity_expected():
    """Quiet layers share counters among many pixels; where nothing is known, ``costs.ACTIVITY`` is taken."""
    graph = gx.compile(networks.lenet())
    unknown, quiet, busy = (choices(g, KERNEL) for g in (graph, at(graph, 0.02), at(graph, 1.0)))
    assert unknown == choices(at(graph, costs.ACTIVITY), KERNEL)
    assert quiet != busy
    assert quiet["conv2"].tiling.tile != busy["conv2"].tiling.tile
    for chosen in (quiet, busy):
        assert list(chosen) == ["conv1", "conv2", "dense1", "dense2"]


def test_the_choice_is_the_quickest_of_its_own_model():
    graph = gx.compile(networks.lenet())
    works = {unit.projection.name: unit.work for unit in gx.Engine(graph)._lowered.units if unit.work is not None}
    for work in works.values():
        chosen = costs.choose(work, KERNEL)
        every = [costs.Choice("rows"), costs.Choice("counts")]
        every += [costs.Choice("slices", tiling) for tiling in work.conv.tilings()]
        assert costs.time_of(chosen, work, KERNEL) == min(costs.time_of(c, work, KERNEL) for c in every)


@pytest.mark.parametrize("one_by_one", [False, True])
@pytest.mark.parametrize("count", [False, True])
def test_engines_choose_anew_where_activity_is_other_than_expected(quiet, count, one_by_one):
    profiled, frames = quiet
    expected = gx.Engine(profiled, adapt=False)
    answer = expected.run(frames)
    engine = gx.Engine(at(profiled, 1.0))
    engine._watch.cost_ns = 0.0
    before = choices_of(engine)
    assert before != choices_of(expected)
    for _ in range(3):
        for part in frames[:, None] if one_by_one else [frames]:
            result = engine.run(part, count=count)
    assert choices_of(engine) == choices_of(expected)
    np.testing.assert_array_equal(engine.run(frames).accumulators, answer.accumulators)
    last = engine.run(frames).counts
    for name, gates in answer.counts.open_gates.items():
        np.testing.assert_array_equal(last.open_gates[name], gates)
    assert len(result.accumulators) == (1 if one_by_one else len(frames))


def test_what_is_not_worth_it_is_not_built(quiet):
    profiled, frames = quiet
    fixed, dear, right = gx.Engine(at(profiled, 1.0), adapt=False), gx.Engine(at(profiled, 1.0)), gx.Engine(profiled)
    dear._watch.cost_ns, right._watch.cost_ns = 1e12, 0.0
    for engine in (fixed, dear, right):
        before = engine._lowered
        for _ in range(4):
            engine.run(frames)
        assert engine._lowered is before


def test_units_that_stay_as_they_are_are_taken_over(quiet):
    graph, frames = quiet
    engine = gx.Engine(at(graph, 1.0))
    engine._watch.cost_ns = 0.0
    before = {unit.projection.name: unit for unit in engine._lowered.units}
    engine.run(frames)
    after = {unit.projection.name: unit for unit in engine._lowered.units}
    same = [name for name, unit in after.items() if unit.choice == before[name].choice and unit.choice is not None]
    assert same
    assert all(after[name].gates is before[name].gates for name in same)
    assert len(same) < len([unit for unit in after.values() if unit.choice is not None])


def test_looks_come_ever_more_seldom():
    engine = gx.Engine(gx.compile(networks.lenet()))
    frames, looks = lenet_frames(0.3, 16), 0
    look = engine._watch.look

    def counting(*seen):
        nonlocal looks
        looks += 1
        return look(*seen)

    engine._watch.look = counting
    for _ in range(100):
        engine.run(frames, count=False)
    assert looks == 3  # after 64, 256 and 1,024 samples


def test_an_engine_that_adapts_is_freed_when_nobody_uses_it():
    engine = gx.Engine(gx.compile(networks.lenet()))
    engine.run(lenet_frames(0.3))
    gone = weakref.ref(engine)
    gc.disable()
    try:
        del engine
        assert gone() is None
    finally:
        gc.enable()


def test_profiles_of_data_sets():
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    dataset, done = open_dataset(gx.shipped("digits_test.zip"), limit=12), []
    profiled = profile_on(graph, dataset, progress=done.append)
    assert done == [1] * 12
    assert 0.2 < profiled.activity["input"] < 0.5
    assert len(open_profile_data(gx.shipped("digits_test.zip"))) == 360  # no training part there
