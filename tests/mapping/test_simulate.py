"""Simulation of mapped networks: by hand, against the mapper's own figures, and what it says it does not know."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gxevent as gx
from gxevent.mapping import chip_names, load_chip, map_graph, measure_activity, uniform_activity
from gxevent.mapping.chip import chip_from
from gxevent.mapping.frames import Frames, all_at_once, measured_frames, spread_frames
from gxevent.mapping.roofline import COUNTS
from gxevent.mapping.simulate import EDGES, simulate
from gxevent.mapping.simulation_plots import (
    energy_stack,
    gantt,
    gantt_rows,
    link_heat,
    packet_latency,
    pareto,
    pareto_front,
)
from tests.cli.conftest import gxevent, refused  # noqa: F401  (a fixture)
from tests.mapping.conftest import line_graph, quantity, spec
from tests.mapping.test_simulate_noc import costed


@pytest.fixture(scope="module")
def dataset() -> object:
    return gx.open_dataset(gx.shipped("digits_test.zip"), limit=4)


@pytest.fixture(scope="module", params=["loihi1", "gxnor-array"])
def mapped(request, digits, dataset) -> gx.Mapping:
    activity = measure_activity(digits, dataset)
    return map_graph(digits, load_chip(request.param), activity, method="tiles", budget=0.1)


@pytest.mark.parametrize(("sync", "tokens", "nanoseconds"), [
    ("barrier", False, 19.8 + 64.6 + 9.7),
    ("free", False, 19.8 + 64.6 + 9.7),
    ("free", True, 19.8 + 16.0 + 44.8 + 19.8 + 16.0 + 9.7),
])  # fmt: skip
def test_three_units_by_hand(sync, tokens, nanoseconds):
    """The port's packet, one that stays on the core, the read-out; tokens are a packet of 16 ns after each."""
    graph = line_graph((1, 1, 1))
    mapping = map_graph(graph, costed(2, 2), method="sequential", budget=0)
    assert [entry.core for entry in mapping.cores] == [0]
    result = simulate(mapping, all_at_once(mapping), sync=sync, tokens=tokens)
    assert result.latency.tolist() == [round(nanoseconds * 1000)]
    assert dict(zip(COUNTS, result.counts[0].tolist(), strict=True)) == {
        "visits": 2, "spikes": 1, "packets_out": 1 + tokens, "packets_in": 2 + 2 * tokens, "packets": 1,
        "tokens": 2 * tokens, "synops": 2, "reads": 2, "hops_x": 0, "hops_y": 0,
    }  # fmt: skip


@pytest.mark.parametrize("sync", ["barrier", "free"])
def test_counts_are_those_of_mapping_and_engine(mapped, digits, dataset, sync):
    """Three ways to the same numbers: the mapper's sums over routes, the engine's open gates, the simulated packets."""
    result = simulate(mapped, measured_frames(mapped, digits, dataset), sync=sync)
    summary, traffic, n = result.summary(), mapped.traffic, len(dataset)
    assert summary["packets"] == round(traffic["packets"] * n)
    assert summary["hops"] == round(traffic[f"{summary['convention']}_traffic"] * n) == result.link_load.sum()
    assert summary["synops"] == round(traffic["synapses_read"] * n)
    assert summary["synops"] == sum(gx.run_dataset(digits, dataset).summary["open_gates"].values())
    assert summary["max_link_load"] == round(traffic["max_link"] * n)
    assert summary["cores_used"] == traffic["cores_used"] == len(mapped.cores)
    receiving = summary["busiest_core"]["receiving"]
    assert receiving["core"] == traffic["busiest_receiving"]["core"] or sync == "free"
    assert receiving["busy_us"] == pytest.approx(max(result.receive_busy) / 1e6)
    assert (result.latency >= result.roofline).all()
    assert result.packet_latency.sum() == result.network_latency.sum() == result.total("packets_in")


@pytest.mark.parametrize("name", chip_names())
def test_every_chip_simulates_and_counts_as_the_mapper_does(name):
    """Ports and input cores, trees, tables and unicast, ticks and barriers, splits where a chip needs them."""
    graph = line_graph((30, 20, 10))
    mapping = map_graph(graph, load_chip(name), method="sequential", budget=0)
    _counts_agree(mapping)


@pytest.mark.parametrize("scheme", ["unicast", "multicast"])
def test_partial_sums_travel_and_take_a_step(scheme):
    graph = line_graph((12, 4, 2))
    values = spec(4, 4, neurons=2, fan_in=5, scheme=scheme)
    values["latency"] = {"synop": quantity(10, "ns"), "hop_x": quantity(1, "ns"), "hop_y": quantity(1, "ns")}
    mapping = map_graph(graph, chip_from(values, "test"), method="sequential", budget=0)
    assert mapping.splits
    result = _counts_agree(mapping)
    assert result.traffic.work.stages == 4


def _counts_agree(mapping: gx.Mapping) -> gx.Simulation:
    result = simulate(mapping, all_at_once(mapping))
    said, traffic = result.summary(), mapping.traffic
    assert said["packets"] == traffic["packets"]
    assert said["hops"] == traffic[f"{said['convention']}_traffic"]
    assert said["synops"] == traffic["synapses_read"]
    assert said["max_link_load"] == traffic["max_link"]
    assert said["latency_us"]["max"] is None or result.latency[0] >= result.roofline[0] > 0
    return result


def test_the_same_arguments_give_the_same_picoseconds(mapped, digits, dataset):
    one, two = (simulate(mapped, measured_frames(mapped, digits, dataset)) for _ in range(2))
    assert (one.latency == two.latency).all()
    assert one.summary() == two.summary()


def test_frames_from_counts_send_exactly_what_was_counted(mapped, digits, dataset):
    activity = measure_activity(digits, dataset)
    frames = list(spread_frames(activity, mapped))
    assert len(frames) == activity.windows
    for name, events in activity.events.items():
        if name in frames[0][1][0] and digits.populations[name].sends_events:
            assert (sum(listed[0][name].astype(int) for _, listed in frames) == events).all()
    result = simulate(mapped, spread_frames(activity, mapped))
    assert result.summary()["packets"] == round(mapped.traffic["packets"] * activity.windows)
    assert any("made up" in line for line in result.summary()["assumptions"])


sizes = st.lists(st.integers(1, 12), min_size=2, max_size=4)


@settings(max_examples=40)
@given(
    sizes, st.sampled_from(["mesh", "torus", "triangular"]), st.sampled_from(["unicast", "multicast"]),
    st.sampled_from(["barrier", "free", "tick"]), st.sampled_from([1, 3, None]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_roofline_never_exceeds_the_simulation(layers, topology, scheme, sync, buffers, seed):
    rng = np.random.default_rng(seed)
    values = spec(3, 3, neurons=5, topology=topology, scheme=scheme)
    names = ("synop", "neuron_access", "neuron_update", "spike", "packet_out", "packet_in", "hop_x", "hop_y")
    values["latency"] = {name: quantity(float(rng.integers(0, 40)), "ns") for name in names}
    values["timing"]["tick"] = quantity(0.5, "us")
    graph = line_graph(tuple(layers))
    mapping = map_graph(graph, chip_from(values, "test"), method="sequential", budget=0)
    activity = uniform_activity(graph)
    for name, events in activity.events.items():
        activity.events[name][:] = rng.random(events.size) < 0.6
    tokens = sync == "free" and bool(rng.integers(0, 2))
    result = simulate(mapping, spread_frames(activity, mapping), sync=sync, buffers=buffers, tokens=tokens)
    assert result.roofline[0] <= result.latency[0]
    if sync == "tick":
        assert result.latency[0] % 500_000 == 0
        assert result.slack < 500_000


def test_more_energy_with_every_cost_and_the_band_holds_the_value(mapped, digits, dataset):
    result = simulate(mapped, measured_frames(mapped, digits, dataset))
    said = result.summary()["energy_nj"]
    bands = [band for band in (*said["parts"].values(), said["total"]) if band]
    assert bands
    assert all(0 <= band["low"] <= band["value"] <= band["high"] for band in bands)
    known = [band["value"] for band in said["parts"].values() if band]
    assert said["total"]["value"] == pytest.approx(sum(known))
    by_sample = np.mean([e.total.value for e in result.energies]) / 1000
    assert said["total"]["value"] == pytest.approx(by_sample)


def test_unknown_costs_are_named_never_zero(digits):
    mapping = map_graph(digits, load_chip("loihi2"), method="tiles", budget=0)
    said = simulate(mapping, all_at_once(mapping)).summary()
    assert said["latency_us"] == {"p50": None, "p99": None, "max": None}
    assert said["energy_nj"]["total"] is None
    assert said["energy_nj"]["parts"]["synapses"] is None
    assert "energy.synop" in said["energy_nj"]["unknown"]
    assert any("latency.synop is not published" in line for line in said["assumptions"])
    assert said["synops"] == sum(np.count_nonzero(p.rule.connections()[2]) for p in digits.gated)


def test_static_energy_is_power_times_time():
    values = spec(2, 2)
    values["latency"], values["static"] = {"synop": quantity(1000, "ns")}, quantity(3, "mW", low=2, high=4)
    graph = line_graph((5, 2))
    mapping = map_graph(graph, chip_from(values, "test"), method="sequential", budget=0)
    result = simulate(mapping, all_at_once(mapping))
    assert result.latency[0] == 10 * 1_000_000
    assert result.energy.parts["static"].as_nj() == {"value": 30.0, "low": 20.0, "high": 40.0}


def test_barriers_and_ticks_are_added_to_every_step():
    values = spec(2, 2)
    values["latency"] = {"synop": quantity(600, "ns")}
    values["timing"] |= {
        "tick": quantity(1, "us"),
        "barrier": [{"tiles": quantity(t, "routers"), "time": quantity(us, "us")} for t, us in ((1, 7), (4, 9))],
    }
    mapping = map_graph(line_graph((2, 1, 1)), chip_from(values, "test"), method="sequential", budget=0)
    assert simulate(mapping, all_at_once(mapping)).latency[0] == 1_200_000 + 600_000 + 3 * 7_000_000
    ticked = simulate(mapping, all_at_once(mapping), sync="tick")
    assert ticked.latency[0] == 4 * 1_000_000
    assert (ticked.overruns, ticked.slack) == (1, 400_000)


def test_several_windows_of_a_sample_run_one_after_the_other():
    mapping = map_graph(line_graph((12, 9, 4)), costed(3, 2), method="sequential", budget=0)
    one = next(iter(all_at_once(mapping)))
    single = simulate(mapping, Frames([one], "one"))
    twice = simulate(mapping, Frames([(one[0], one[1] * 2)], "twice"))
    assert twice.latency[0] == 2 * single.latency[0]
    assert (twice.counts == 2 * single.counts).all()
    assert twice.stage_latency.sum() == twice.latency[0]


@settings(max_examples=30)
@given(sizes, st.sampled_from(["barrier", "free"]), st.booleans(), st.integers(0, 2**32 - 1))
def test_no_group_begins_before_all_it_waits_for_is_there(layers, sync, tokens, seed):
    """After the end of every group that feeds it, and of the work that core had from the layer before."""
    rng = np.random.default_rng(seed)
    graph = line_graph(tuple(layers))
    mapping = map_graph(graph, costed(4, 3, neurons=4), method="sequential", budget=0)
    activity = uniform_activity(graph)
    for events in activity.events.values():
        events[:] = rng.random(events.size) < 0.5
    result = simulate(mapping, spread_frames(activity, mapping), sync=sync, tokens=tokens, buffers=2)
    work, arrays = result.traffic.work, result.traffic.arrays
    for group in range(len(work.group_sender)):
        for fed in arrays["feed_group"][arrays["feed_start"][group] : arrays["feed_start"][group + 1]]:
            assert result.group_begin[fed] >= result.group_end[group]
    assert (result.group_begin >= 0).all()
    if sync == "barrier":
        stage = arrays["group_stage"]
        begins = [result.group_begin[stage == s].min() for s in range(work.stages)]
        assert begins == sorted(begins)
        assert all(b >= result.receive_end[s - 1].max() for s, b in enumerate(begins) if s)


def test_without_a_barrier_the_quicker_half_goes_on():
    """Two chains on cores of their own, one of them slow: free running lets the other one finish its layer early."""
    graph = line_graph((6, 6, 2))
    mapping = map_graph(graph, costed(4, 3, neurons=3), method="sequential", budget=0)
    barrier, free = (simulate(mapping, all_at_once(mapping), sync=sync) for sync in ("barrier", "free"))
    assert free.latency[0] <= barrier.latency[0]
    assert (free.counts == barrier.counts).all()


def test_the_chart_covers_the_frame(mapped, digits, dataset):
    for sync in ("barrier", "free"):
        result = simulate(mapped, measured_frames(mapped, digits, dataset), sync=sync)
        rows = gantt_rows(result)
        assert min(row[0] for row in rows) == 0
        assert 0 < max(row[1] for row in rows) <= result.latency[0] / 1e6 + 1e-9
        assert (result.group_end >= result.group_begin).all()


def test_figures_draw():
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    mapping = map_graph(line_graph((12, 9, 4)), costed(3, 2), method="sequential", budget=0)
    result = simulate(mapping, all_at_once(mapping))
    figures = [gantt(result), energy_stack({"a": result, "b": result}), packet_latency(result), link_heat(result)]
    for figure in [*figures, pareto({"a": (1.0, 2.0), "b": (2.0, 1.0), "c": (3.0, 3.0)})]:
        image = io.BytesIO()
        figure.savefig(image, format="png")
        assert image.getvalue().startswith(b"\x89PNG")
    assert len(EDGES) == len(result.packet_latency)


def test_pareto_front_by_hand():
    values = np.array([[3, 3], [1, 5], [2, 2], [2, 4], [4, 1], [5, 1]], float)
    assert pareto_front(values).tolist() == [1, 2, 4]
    with pytest.raises(gx.OptionError, match="finite"):
        pareto_front(np.array([[1, np.nan]]))


# ---------------------------------------------------------------------------------------------------------- CLI


@pytest.fixture(scope="module")
def files(tmp_path_factory, digits, dataset):
    tmp_path = tmp_path_factory.mktemp("simulate")
    gx.save(digits, tmp_path / "digits.gxg")
    activity = measure_activity(digits, dataset)
    activity.save(tmp_path / "a.gxa")
    map_graph(digits, load_chip("loihi1"), activity, method="tiles", budget=0).save(tmp_path / "map.json")
    return tmp_path


def test_simulate_gives_the_fields_of_the_contract(gxevent, files):  # noqa: F811
    data = gx.shipped("digits_test.zip")
    options = ("--activity", data, "--graph", files / "digits.gxg", "--samples", 3)
    answer = gxevent("simulate", files / "map.json", *options, "--json").json
    assert list(answer["latency_us"]) == ["p50", "p99", "max"]
    assert answer["latency_us"]["p50"] <= answer["latency_us"]["p99"] <= answer["latency_us"]["max"]
    assert set(answer["energy_nj"]["total"]) == {"value", "low", "high"}
    assert set(answer["energy_nj"]["parts"]) == {"synapses", "neurons", "packets", "hops", "static"}
    assert set(answer["busiest_core"]) == {"sending", "receiving"}
    assert (answer["samples"], answer["convention"]) == (3, "unicast")
    for field in ("packets", "hops", "synops", "max_link_load", "cores_used"):
        assert answer[field] > 0
    assert isinstance(answer["assumptions"], list)
    layers = [layer["populations"] for layer in answer["layers"]]
    assert layers == [["input"], ["conv1", "pool1"], ["conv2", "pool2"], ["dense1"], ["dense2"]]
    printed = gxevent("simulate", files / "map.json", *options)
    assert printed.status == 0
    assert "latency      p50" in printed.out


@pytest.mark.parametrize("sync", ["barrier", "free"])
def test_simulate_takes_stored_activity(gxevent, files, sync):  # noqa: F811
    answer = gxevent("simulate", files / "map.json", "--activity", files / "a.gxa", "--sync", sync, "--json").json
    assert (answer["sync"], answer["samples"]) == (sync, 4)
    traffic = json.loads((files / "map.json").read_text())["traffic"]
    assert answer["packets"] == round(traffic["packets"] * 4)


@pytest.mark.parametrize(("change", "said"), [
    (lambda m: next(iter(m["routes"].values()))[0]["cores"].append(99), "core 99, which holds nothing"),
    (lambda m: m["cores"][0].update(core=128), "core 128: the chip has cores 0 … 127"),
    (lambda m: m["chip"]["cores"][0]["neurons"].update(value=7), "neurons: need"),
    (lambda m: m["cores"][0]["units"].popitem(), "on no core"),
    (lambda m: next(iter(m["cores"][0]["axons"].values()))["synapses"].__setitem__(0, -1), "number of synapses"),
])  # fmt: skip
def test_mappings_that_were_broken_by_hand_are_refused(gxevent, files, tmp_path, change, said):  # noqa: F811
    mapping = json.loads((files / "map.json").read_text())
    change(mapping)
    (tmp_path / "broken.json").write_text(json.dumps(mapping))
    refused(gxevent("simulate", tmp_path / "broken.json"), said, "map again")


def test_simulate_refuses(gxevent, files, tmp_path):  # noqa: F811
    other = line_graph((30, 20, 10))
    uniform_activity(other).save(tmp_path / "other.gxa")
    gx.save(other, tmp_path / "other.gxg")
    target, data = files / "map.json", gx.shipped("digits_test.zip")
    refused(gxevent("simulate", target, "--activity", tmp_path / "other.gxa"), "another graph", "measure it again")
    refused(gxevent("simulate", target, "--activity", data, "--graph", tmp_path / "other.gxg"), "another graph")
    refused(gxevent("simulate", target, "--activity", data), "--graph")
    refused(gxevent("simulate", target, "--sync", "tick"), "no tick", "barrier")
    refused(gxevent("simulate", target, "--tokens"), "--sync free")
    refused(gxevent("simulate", target, "--activity", tmp_path / "none.gxa"), "no such file")
    refused(gxevent("simulate", tmp_path / "none.json"), "no such file")
