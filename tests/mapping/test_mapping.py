"""Mapping: hand-checked cases, invariants over random networks and chips, exactness, and what the checker finds."""

from __future__ import annotations

import copy

import msgspec
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gxevent as gx
from gxevent.mapping import (
    Activity,
    Infeasible,
    MappedNetwork,
    check_mapping,
    load_activity,
    load_chip,
    load_mapping,
    map_graph,
    measure_activity,
    uniform_activity,
)
from gxevent.mapping.mapping import Mapping, expand, to_ranges
from gxevent.mapping.split import apply_splits, plan_splits
from tests import networks
from tests.mapping.conftest import chip, line_graph, quantity


def test_a_line_of_layers_by_hand():
    """4 inputs at the port, 3 units on core 0, 2 on core 1: 4 packets go nowhere, 3 go one link."""
    mapping = map_graph(line_graph(), chip(2, 1, neurons=3), method="sequential", budget=0)
    assert [entry.units for entry in mapping.cores] == [{"dense1": [(0, 3)]}, {"dense2": [(0, 2)]}]
    assert mapping.cores[0].axons["dense1"].units == [(0, 4)]
    assert mapping.cores[1].axons["dense2"].synapses == [2, 2, 2]
    t = mapping.traffic
    assert (t["packets"], t["multicast_traffic"], t["unicast_traffic"], t["max_link"]) == (7, 3, 3, 3)
    assert t["synapses_read"] == 4 * 3 + 3 * 2
    assert mapping.activity.kind == "uniform"
    assert check_mapping(mapping, line_graph()) == []
    cores = mapping.core_graph()
    assert {(a, b): d["units"] for a, b, d in cores.edges(data=True)} == {(-1, 0): 4, (0, 1): 3}
    assert list(mapping.route("dense1", 2).edges) == [((0, 0), (1, 0))]


def random_case(draw):
    network = draw(networks.networks())
    graph = gx.compile(network)
    seed = draw(st.integers(0, 3))
    made = chip(
        draw(st.integers(2, 5)),
        draw(st.integers(2, 5)),
        neurons=draw(st.sampled_from([60, 150, 400])),
        topology=draw(st.sampled_from(["mesh", "torus", "triangular"])),
        scheme=draw(st.sampled_from(["unicast", "multicast", "table"])),
        inputs=draw(st.sampled_from(["port", "cores"])),
        per_router=draw(st.integers(1, 3)),
        entries=draw(st.sampled_from([5, 1000])),
        **draw(st.sampled_from([{}, {"axons_in": 48}, {"axons_in": 300, "fan_in": 20}])),
        packing=draw(
            st.sampled_from(
                [
                    {"rule": "crossbar", "weight": quantity(2, "bit")},
                    {
                        "rule": "list",
                        "weight": quantity(2, "bit"),
                        "index": quantity(6, "bit"),
                        "header": quantity(10, "bit"),
                        "block": quantity(4, "synapses"),
                        "word": quantity(32, "bit"),
                    },
                    {"rule": "kernel", "weight": quantity(8, "bit")},
                ]
            )
        ),
        memory=draw(st.sampled_from([20_000, 200_000])),
    )
    return network, graph, made, seed, draw(st.sampled_from(["sequential", "tiles", "grown"]))


@given(st.data())
@settings(max_examples=40)
def test_whatever_is_mapped_holds_and_computes_the_same_integers(data):
    network, graph, made, seed, method = random_case(data.draw)
    frames = networks.frames(np.random.default_rng(0), network, 4)
    try:
        mapping = map_graph(graph, made, method=method, seed=seed, budget=0.02)
    except Infeasible:
        return  # what it says is tested below
    assert check_mapping(mapping, graph) == []
    mapped = MappedNetwork(mapping, graph)
    np.testing.assert_array_equal(mapped.run(frames), gx.Engine(graph).run(frames).accumulators)
    again = map_graph(graph, made, method=method, seed=seed, budget=0.02)
    assert msgspec.json.encode(again) == msgspec.json.encode(mapping)
    t = mapping.traffic
    assert t["packets"] <= t["unicast_traffic"] + graph.units * t["cores_used"]
    assert t["max_link"] <= max(t["multicast_traffic"], t["unicast_traffic"])
    units = sum(end - begin for entry in mapping.cores for ranges in entry.units.values() for begin, end in ranges)
    ported = made.inputs == "port"
    split = apply_splits(graph, mapping.splits)
    assert units == split.units - (graph.input.size if ported else 0)


@given(networks.networks(image=True))
@settings(max_examples=40)
def test_splits_keep_every_integer(network):
    graph = gx.compile(network)
    made = chip(8, 8, neurons=400, fan_in=12)
    splits = plan_splits(graph, made)
    split = apply_splits(graph, splits)
    frames = networks.frames(np.random.default_rng(1), network, 4)
    np.testing.assert_array_equal(gx.Engine(split).run(frames).accumulators, gx.Engine(graph).run(frames).accumulators)
    if splits:
        assert all(split_.cuts[0] == 0 for split_ in splits)
        assert split.units > graph.units


@pytest.mark.parametrize("name", ["loihi1", "loihi2", "gxnor-array", "akida"])
def test_digits_gives_the_engines_hash_on(name, digits):
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=6)
    mapping = map_graph(digits, load_chip(name), measure_activity(digits, dataset), method="grown", budget=0.3)
    assert (
        MappedNetwork(mapping, digits).run_dataset(dataset) == gx.run_dataset(digits, dataset).summary["results_sha256"]
    )


def test_nmnist_gives_the_engines_integers():
    graph = gx.compile(gx.load_network(gx.shipped("nmnist.gxn")))
    frames = (np.random.default_rng(0).random((3, *graph.input.shape)) < 0.1).astype(np.int8)
    mapping = map_graph(graph, load_chip("loihi2"), method="tiles", budget=0)
    np.testing.assert_array_equal(MappedNetwork(mapping, graph).run(frames), gx.Engine(graph).run(frames).accumulators)


def test_packets_that_run_are_those_the_mapping_counts(digits):
    """With the activity of the very frames, the figures of the mapping are those of the execution."""
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=4)
    activity = measure_activity(digits, dataset)
    mapping = map_graph(digits, load_chip("gxnor-array"), activity, method="tiles", budget=0.1)
    mapped = MappedNetwork(mapping, digits)
    mapped.run_dataset(dataset)
    assert mapped.packets == round(mapping.traffic["packets"] * activity.windows)
    counted = gx.run_dataset(digits, dataset).summary
    assert {name: int(activity.events[name].sum()) for name in counted["events"]} == counted["events"]


def test_search_and_figures_agree(images):
    """The compiled search counts traffic and busiest receiver as the plain count of the finished mapping does."""
    from gxevent.mapping.mapper import _Pipeline
    from gxevent.mapping.problem import Problem
    from gxevent.mapping.search import Searcher

    for scheme in ("multicast", "unicast"):
        for topology in ("mesh", "torus"):
            made = chip(6, 6, neurons=70, scheme=scheme, topology=topology)
            problem = Problem.of(images, made, uniform_activity(images))
            used, state, _ = _Pipeline(problem, "grown", 1, 0.3, "core").run(None)
            searcher = Searcher(problem, used, 0)
            tally, search = searcher.search(state).tally(), searcher.search(state)
            mapping = map_graph(images, made, method="grown", seed=1, budget=0.3)
            t = mapping.traffic
            expected = t["multicast_traffic"] if scheme == "multicast" else t["unicast_traffic"] + t["packets"]
            assert search.traffic == expected
            assert tally["load"].max() == t["max_link"]
            assert tally["receive"].max() == t["busiest_receiving"]["work"]
            assert tally["received"].sum(axis=1).tolist() == tally["receive"].tolist()
            assert tally["received"].max(axis=0).tolist() == t["busiest_receiving"]["by_step"]


# ----------------------------------------------------------------------------------------------------- capacity


def test_everything_that_does_not_fit_is_said_at_once():
    with pytest.raises(Infeasible) as error:
        map_graph(gx.compile(networks.lenet()), load_chip("truenorth"))
    said = str(error.value)
    for words in (
        "layer 'conv2': fan-in: need 1,",
        "a core takes 128",
        "a packet carries 0",
        "'dense1'",
        "maximum pooling",
    ):
        assert words in said
    assert isinstance(error.value, gx.CapacityError)
    assert len(error.value.problems) >= 5


def test_a_search_that_ends_beyond_a_limit_says_what_to_try():
    """Two units share no core for want of axons: on one core no search can help, on two it fits."""
    graph = gx.compile(
        gx.TernaryNetwork((8,), None, [gx.Dense(np.kron(np.eye(2, dtype=np.int8), np.ones(4, np.int8)))])
    )
    small = chip(2, 1, neurons=2, axons_in=4)
    with pytest.raises(Infeasible) as error:
        map_graph(graph, small, method="sequential", budget=0, cores=1)
    first, second = error.value.problems
    assert first.startswith("method 'sequential': placement: found none within every limit on 1 of 2 cores: try more")
    assert "the method hypergraph" in first
    assert "axons in: need 8, have 4" in second
    assert len(map_graph(graph, small, method="sequential", budget=0).cores) == 2


def test_units_in_order_go_pixel_by_pixel_where_channels_do_not_fit():
    """All channels of a pixel listen to the same units: 9 axons a pixel, 36 for a channel of four."""
    weight = np.ones((4, 1, 3, 3), np.int8)
    read = np.zeros((1, 16), np.int8)
    read[0, :4] = 1
    layers = [gx.Conv2d(weight, stride=3), gx.Activation(), gx.Flatten(), gx.Dense(read)]
    graph = gx.compile(gx.TernaryNetwork((1, 6, 6), None, layers))
    for axons, partitioner in ((36, "in order"), (9, "in order, pixel by pixel")):
        made = map_graph(graph, chip(5, 1, neurons=4, axons_in=axons), method="sequential", budget=0)
        assert made.settings.partitioner == partitioner
        heard = [len(core.axons["conv1"].synapses) for core in made.cores if "conv1" in core.axons]
        assert heard == [9] * 4 if axons == 9 else max(heard) > 18


def test_tiles_count_memory_too():
    """Units of the second layer store four times as much as those of the first: the cut goes by the scarcer need."""
    memory = {"packing": {"rule": "list", "weight": quantity(1, "bit"), "header": quantity(0, "bit"),
                          "block": quantity(64, "synapses"), "word": quantity(1, "bit")}}  # fmt: skip
    graph = line_graph((4, 32, 8))
    mapping = map_graph(graph, chip(2, 2, neurons=40, memory=110, **memory), method="tiles", budget=0, cores=4)
    stored = [sum(sum(axons.synapses) for axons in core.axons.values()) for core in mapping.cores]
    assert sum(stored) == 4 * 32 + 32 * 8
    assert max(stored) <= 110


def test_splitting_makes_it_fit():
    """Fan-in 20 on cores that take 8 inputs: three partial sums a unit."""
    graph = line_graph((20, 5, 2))
    mapping = map_graph(graph, chip(4, 4, neurons=20, axons_in=8), budget=0.1, method="grown")
    assert [len(split.cuts) - 1 for split in mapping.splits] == [3]
    assert all(len(axons.synapses) <= 8 for entry in mapping.cores for axons in entry.axons.values())
    with pytest.raises(Infeasible, match="partial sums of 6 bits would split it, but a packet carries 2"):
        map_graph(graph, chip(4, 4, neurons=20, axons_in=8, payload=2))


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda m: m.cores[0].units.update(dense2=[(0, 2)]), ["dense2", "on 2 cores"]),
        (lambda m: m.cores[0].units.pop("dense1"), ["dense1", "on no core"]),
        (lambda m: setattr(m.cores[0], "place", (1, 0, 0)), ["core 0", "place"]),
        (lambda m: m.routes["dense1"].clear(), ["dense1", "no route to core 1", "add it"]),
        (lambda m: m.routes["dense1"].append(m.routes["dense1"][0]), ["2 routes"]),
        (lambda m: m.routes["dense1"][0].cores.append(7), ["core 7", "holds nothing"]),
        (lambda m: m.cores[1].axons["dense2"].synapses.__setitem__(0, 1), ["'dense2'", "core 1", "unit 0"]),
        (lambda m: m.chip["cores"][0]["neurons"].update(value=2.0), ["neurons: need 3, have 2"]),
        (
            lambda m: m.chip["cores"][0].update(axons_in=quantity(2.0, "axons")),
            ["axons in: need 4, have 2", "move units"],
        ),
    ],
)
def test_the_checker_finds_what_hands_break(spoil, words):
    graph = line_graph()
    mapping = map_graph(graph, chip(2, 1, neurons=3), method="sequential", budget=0)
    broken = msgspec.json.decode(msgspec.json.encode(mapping), type=Mapping)
    spoil(broken)
    said = "; ".join(check_mapping(broken, graph))
    for word in words:
        assert word in said
    assert check_mapping(mapping, graph) == []


def test_kinds_of_cores_run_kinds_of_layers(digits):
    """Akida's convolution processors take no dense layer: the mapper keeps to it, the checker finds it by itself."""
    mapping = map_graph(digits, load_chip("akida"), method="grown", budget=0.1)
    kinds = {name: {e.kind for e in mapping.cores if name in e.units} for name in ("dense1", "dense2")}
    assert not any("CNP" in found for found in kinds.values())
    broken = msgspec.json.decode(msgspec.json.encode(mapping), type=Mapping)
    for core in broken.chip["cores"]:
        core["layers"] = ["conv"]
    assert any("layer 'dense1' is dense, a FNP" in problem for problem in check_mapping(broken, digits))
    with pytest.raises(Infeasible, match="layer 'dense1': dense layer: no core runs one"):
        map_graph(line_graph(), chip(2, 1, layers=["conv"]))


def test_a_payload_of_input_events_alone():
    """Graded input of 8 bits where only the first layer takes them (Akida); graded layers are another matter."""
    level = np.ones((6, 10), np.int8)
    layers = [gx.Dense(level), gx.Activation(), gx.Dense(level.T[:4, :6]), gx.Activation(levels=7)]
    layers += [gx.Dense(np.ones((2, 4), np.int8))]
    graded = gx.compile(gx.TernaryNetwork((10,), None, layers, input_levels=7))
    plain = gx.compile(gx.TernaryNetwork((10,), None, layers[:3], input_levels=7))
    first = chip(4, 1, neurons=3, payload=4, payload_input=8)
    mapping = map_graph(plain, first, method="sequential", budget=0)
    assert check_mapping(mapping, plain) == []
    assert map_graph(plain, load_chip("akida"), method="sequential", budget=0).cores
    with pytest.raises(Infeasible, match=r"'input': payload: .* need 8 bits, a packet carries 4: encode the input"):
        map_graph(plain, chip(4, 1, neurons=3, payload=4))
    with pytest.raises(Infeasible, match=r"'dense2': payload: .* need 8 bits, a packet carries 4: train it with fewer"):
        map_graph(graded, first)
    mapping.chip["events"]["payload_input"]["value"] = 7
    assert any("'input': payload: packets need 8 bits, have 7" in problem for problem in check_mapping(mapping))


def test_memory_rules_by_hand():
    """Two axons of 5 synapses: blocks of 4 and 1, 10 + 4 * 8 = 42 -> 64 bits and 18 -> 32 bits; 192 in all."""
    packing = {
        "rule": "list",
        "weight": quantity(2, "bit"),
        "index": quantity(6, "bit"),
        "header": quantity(10, "bit"),
        "block": quantity(4, "synapses"),
        "word": quantity(32, "bit"),
    }
    graph = line_graph((2, 5))
    tight = {"packing": packing, "neurons": 9}
    mapping = map_graph(graph, chip(1, 1, memory=10_000, **tight), budget=0, method="sequential")
    mapping.chip["cores"][0]["memory"]["value"] = 192.0
    assert check_mapping(mapping, graph) == []
    mapping.chip["cores"][0]["memory"]["value"] = 191.0
    assert "memory, bits: need 192, have 191" in check_mapping(mapping, graph)[0]


def test_a_layer_a_core_on_speck():
    rng = np.random.default_rng(0)
    layers = [gx.Conv2d(networks.levels(rng, (8, 2, 3, 3))), gx.SumPool2d(2), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(networks.levels(rng, (10, 392)))]
    network = gx.TernaryNetwork((2, 16, 16), None, layers)
    graph = gx.compile(network)
    mapping = map_graph(graph, load_chip("speck"), budget=0.1)
    assert len(mapping.cores) == 2
    frames = networks.frames(rng, network, 3)
    np.testing.assert_array_equal(MappedNetwork(mapping, graph).run(frames), gx.Engine(graph).run(frames).accumulators)
    big = gx.compile(gx.TernaryNetwork((1024,), None, [gx.Dense(networks.levels(rng, (512, 1024)))]))
    with pytest.raises(gx.CapacityError, match="need 4,194,304, the largest core has 524,288"):
        map_graph(big, load_chip("speck"))


# ------------------------------------------------------------------------------------------- activity and files


def test_activity_files(tmp_path, digits):
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=3)
    activity = measure_activity(digits, dataset)
    sha = activity.save(tmp_path / "a.gxa")
    again = load_activity(tmp_path / "a.gxa", digits)
    assert again.sha256() == sha == activity.sha256()
    record = gx.run_dataset(digits, dataset)
    record.save(tmp_path / "run")
    totals = load_activity(tmp_path / "run", digits)
    assert totals.kind == "totals"
    for name, n in record.summary["events"].items():
        if name in totals.events:
            assert totals.events[name].sum() == n == activity.events[name].sum()
    with pytest.raises(gx.FormatError, match="activity of another graph"):
        load_activity(tmp_path / "a.gxa", line_graph())
    with pytest.raises(gx.FormatError, match="activity of another graph"):
        load_activity(tmp_path / "run", line_graph())


def test_mapping_files(tmp_path):
    graph = line_graph()
    mapping = map_graph(graph, chip(2, 1, neurons=3), budget=0, method="sequential")
    mapping.save(tmp_path / "m.json")
    assert msgspec.json.encode(load_mapping(tmp_path / "m.json")) == msgspec.json.encode(mapping)
    assert [p.name for p in tmp_path.iterdir()] == ["m.json"]
    text = (tmp_path / "m.json").read_text()
    for spoiled, words in (
        (text.replace('"version":1', '"version":9').replace('"version": 1', '"version": 9'), "version 9"),
        (text[:200], "not JSON"),
        (text.replace('"dense1":[[0,3]]', '"dense1":[[0,4]]'), "outside its 3 units"),
        (text.replace('"dense1":[[0,3]]', '"other":[[0,3]]'), "'other' is not in the graph"),
        (text.replace('"seed"', '"sead"'), "sead"),
    ):
        assert spoiled != text
        (tmp_path / "bad.json").write_text(spoiled)
        with pytest.raises(gx.FormatError, match=words):
            load_mapping(tmp_path / "bad.json")
    with pytest.raises(gx.FormatError, match="another graph"):
        MappedNetwork(mapping, line_graph((4, 3, 3)))


def test_a_missing_route_shows_as_a_wrong_integer():
    graph = line_graph()
    mapping = map_graph(graph, chip(2, 1, neurons=3), budget=0, method="sequential")
    frames = np.ones((1, 4), np.int8)
    right = gx.Engine(graph).run(frames).accumulators
    assert (MappedNetwork(mapping, graph).run(frames) == right).all()
    broken = copy.deepcopy(mapping)
    broken.routes["dense1"].clear()
    assert (MappedNetwork(broken, graph).run(frames) != right).all()


@given(st.sets(st.integers(0, 40)))
def test_ranges_round_trip(units):
    units = np.array(sorted(units), np.int64)
    np.testing.assert_array_equal(expand(to_ranges(units)), units)


def test_options_are_checked():
    with pytest.raises(gx.OptionError, match="method"):
        map_graph(line_graph(), chip(2, 1), method="magic")
    with pytest.raises(gx.OptionError, match="cores: expected 1 … 2"):
        map_graph(line_graph(), chip(2, 1), cores=3)


# ------------------------------------------------------------------------------------------------------ quality


def test_searching_pays(images):
    """The search lowers what it says it lowers, on a small budget."""
    made = chip(6, 6, neurons=50)
    plain = map_graph(images, made, method="sequential", budget=0, cores=30).traffic
    for method in ("tiles", "grown"):
        searched = map_graph(images, made, method=method, budget=0.3, cores=30).traffic
        assert searched["multicast_traffic"] < 0.7 * plain["multicast_traffic"]


@pytest.mark.parametrize("by", ["core", "step"])
def test_balancing_lowers_the_busiest_receiver(images, by):
    made = chip(6, 6, neurons=50)
    plain, balanced = (
        map_graph(images, made, method="grown", budget=1.0, cores=30, balance=balance).traffic
        for balance in ("off", by)
    )

    def busiest(t: dict) -> float:
        return t["busiest_receiving"]["work"] if by == "core" else sum(t["busiest_receiving"]["by_step"])

    assert busiest(balanced) < busiest(plain)
    assert balanced["multicast_traffic"] < 1.15 * plain["multicast_traffic"]
    with pytest.raises(gx.OptionError, match="balance: expected one of core, step, off"):
        map_graph(images, made, balance="layer")


def test_groups_of_units_leave_a_busy_core_together_and_come_back_whole(images):
    """Whatever the moves were, the search's sums are those of the mapping it ends with, and the limits hold."""
    from gxevent.mapping.partition import partition
    from gxevent.mapping.problem import Problem
    from gxevent.mapping.search import Cores, Searcher, State

    problem = Problem.of(images, chip(6, 6, neurons=50), uniform_activity(images))
    used = Cores.near_port(problem.chip, 30, True)
    searcher = Searcher(problem, used, 0)
    state = State(partition(problem, used, "grown", 0)[0], searcher.first_slots())
    search = searcher.search(state)
    before = search.tally()["receive"].max()
    search.receive_cap, search.receive_price = int(0.6 * before), 1.0
    for price in (0.05, 0.5, 5.0):
        search.receive_price = price
        search.groups(500, 0.1)
    search.relieve(2000, 1.0, 0.1, 0.5)
    search.arrange(2000, 0.2, 0.01)
    again = searcher.search(state)
    assert search.traffic == again.traffic
    for name, values in search.tally().items():
        np.testing.assert_array_equal(values, again.tally()[name], err_msg=name)
    assert again.excess == 0
    assert again.tally()["receive"].max() < before


def test_mtkahypar_where_it_is_installed(digits):
    pytest.importorskip("mtkahypar", reason="needs the extra mapping")
    graph = line_graph((40, 60, 30))
    first, second = (map_graph(graph, chip(4, 4, neurons=12), budget=0.1, seed=3) for _ in range(2))
    assert first.settings.partitioner.startswith("Mt-KaHyPar")
    assert msgspec.json.encode(first) == msgspec.json.encode(second)


def test_a_partition_spreads_the_receiving_work(images):
    """By Mt-KaHyPar, with weights that count it too; the search then keeps it, and a last stage lowers it further."""
    pytest.importorskip("mtkahypar", reason="needs the extra mapping")
    from gxevent.mapping.partition import even_work, partition
    from gxevent.mapping.problem import Problem
    from gxevent.mapping.search import Cores, Searcher, State

    made = chip(6, 6, neurons=50)
    problem = Problem.of(images, made, uniform_activity(images))
    used = Cores.near_port(made, 30, True)
    aim, searcher = even_work(problem, used), Searcher(problem, used, 0)
    joins = [p.rule.connections()[2] for p in images.projections.values() if p.rule.weighted]
    assert problem.work.sum() == sum(np.count_nonzero(level) for level in joins)
    assert problem.work.max() < aim < problem.work.sum() / 4

    def busiest(work: float | None) -> float:
        state = State(partition(problem, used, "hypergraph", 0, work)[0], searcher.first_slots())
        return np.bincount(state.core, weights=problem.work)[:30].max()

    assert busiest(aim) < 1.05 * aim
    assert busiest(aim) < 0.9 * busiest(None)
    plain, kept, further = (
        map_graph(images, made, budget=0.3, cores=30, **options).traffic["busiest_receiving"]["work"]
        for options in ({"balance": "off"}, {}, {"rise": 0.3})
    )
    assert further < kept < 0.95 * plain
    assert even_work(problem, Cores.near_port(made, 1, True)) is None


def test_core_graph_and_activity_of_a_kind():
    activity = Activity("measured", "x", 2, "s", {"input": np.array([1, 2])})
    assert "measured unit by unit over 2 frames" in activity.line()
    graph = map_graph(line_graph(), chip(2, 1, neurons=3), budget=0, method="sequential").core_graph()
    assert isinstance(graph, nx.DiGraph)
    assert graph.nodes[0]["place"] == (0, 0, 0)
