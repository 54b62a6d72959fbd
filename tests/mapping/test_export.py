"""Mappings in other programs' formats: read back by plain rules, and by SANA-FE where it is installed."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys

import networkx as nx
import numpy as np
import pytest

import gxevent as gx
from gxevent.mapping import load_chip, map_graph, uniform_activity
from gxevent.mapping.export import export_mapping
from gxevent.mapping.frames import spread_frames
from gxevent.mapping.roofline import Roofline
from gxevent.mapping.simulate import simulate
from gxevent.mapping.traffic import Traffic
from gxevent.mapping.workload import Workload
from tests.cli.conftest import gxevent, refused  # noqa: F401  (a fixture)
from tests.mapping.conftest import chip, line_graph
from tests.mapping.test_simulate_noc import costed

SANAFE = os.environ.get("GXEVENT_SANAFE_PYTHON", sys.executable if importlib.util.find_spec("sanafe") else "")
"""An interpreter that has the package sanafe (GPL): it runs in a process of its own."""

CHILD = """
import json, sys, sanafe
arch = sanafe.load_arch(sys.argv[1] + "/architecture.yaml")
chip = sanafe.SpikingChip(arch)
chip.load(sanafe.load_net(sys.argv[1] + "/network.yaml", arch))
totals = {"packets": 0, "hops": 0, "synops": 0, "joules": 0.0, "seconds": []}
for _ in range(int(sys.argv[2])):
    made = chip.sim(1, timing_model="simple", perf_trace=True)
    totals["packets"] += made["packets_sent"]
    totals["hops"] += made["perf_trace"]["hops"][0]
    totals["synops"] += made["spikes"]
    totals["joules"] += made["energy"]["total"]
    totals["seconds"].append(made["sim_time"])
print(json.dumps(totals))
"""


@pytest.fixture(scope="module")
def sana_fe():
    if not SANAFE:
        pytest.skip("SANA-FE is not installed (pip install sanafe; or GXEVENT_SANAFE_PYTHON, an interpreter with it)")

    def run(folder: object, steps: int) -> dict:
        command = [SANAFE, "-c", CHILD, str(folder), str(steps)]
        made = subprocess.run(command, capture_output=True, text=True, timeout=300)
        assert made.returncode == 0, made.stderr[-2000:]
        return json.loads(made.stdout.splitlines()[-1])

    return run


def halves(graph: gx.EventGraph) -> object:
    """Activity of four frames in which each unit sends in some."""
    activity = uniform_activity(graph)
    rng = np.random.default_rng(1)
    events = {name: rng.integers(0, 5, values.size) for name, values in activity.events.items()}
    return type(activity)("measured", activity.graph_sha256, 4, "drawn", events)


@pytest.mark.parametrize(
    ("make", "method"),
    [
        (lambda: costed(6, 5, neurons=60), "sequential"),
        (lambda: costed(6, 5, neurons=60), "grown"),
        (lambda: costed(4, 6, neurons=80, inputs="cores"), "tiles"),
        (lambda: costed(5, 4, neurons=90, per_router=2, fan_in=60), "grown"),
        (lambda: load_chip("loihi1"), "sequential"),
    ],
)
def test_sana_fe_counts_what_the_simulation_counts(sana_fe, images, tmp_path, make, method):
    """Packets, hops, synaptic operations and energy, and its "simple" latency as the busiest sender or receiver."""
    made = make()
    mapping = map_graph(images, made, method=method, budget=0.05)
    frames = spread_frames(halves(images), mapping)
    export_mapping(mapping, "sanafe", tmp_path, graph=images, frames=frames)
    there = sana_fe(tmp_path, 4)
    result = simulate(mapping, spread_frames(halves(images), mapping))
    said = result.summary()
    assert there["packets"] == said["packets"] + said["local_packets"]
    assert there["hops"] == said["hops"]
    assert there["synops"] == said["synops"]
    parts = result.energy.parts
    dynamic = sum(band.value for name, band in parts.items() if band and name != "static") * 4
    assert there["joules"] * 1e12 == pytest.approx(dynamic, rel=1e-9)
    if made.name == "test":  # without a barrier, all layers at once: the closed form of one step
        assert [round(s * 1e12) for s in there["seconds"]] == whole_frames(mapping, images)


def whole_frames(mapping: gx.Mapping, graph: gx.EventGraph) -> list[int]:
    """Picoseconds of the busiest sender or receiver of each frame when all layers send at once."""
    from gxevent.mapping.frames import unit_values

    work = Workload.of(mapping)
    order = np.argsort(work.unit_number)
    cores = np.array([*work.cores, -1])
    flat = Workload.flat(
        work.chip,
        cores[work.unit_sender[order]],
        work.unit_number[work.pair_unit],
        cores[work.pair_core],
        work.pair_synapses,
        work.unit_neurons[order],
    )
    traffic, took = Traffic.of(flat), []
    for _, listed in spread_frames(halves(graph), mapping):
        terms = Roofline(traffic).loads(traffic.fired(unit_values(mapping, listed[0]))).terms()
        took.append(max(int(terms["send"][0]), int(terms["receive"][0])))
    return took


def test_the_folder_names_every_neuron_and_synapse_once(tmp_path):
    graph = line_graph((4, 3, 2))
    made = export_mapping(map_graph(graph, load_chip("loihi1"), budget=0), "sanafe", tmp_path / "out", graph=graph)
    assert [p.rpartition("/")[2] for p in made["written"]] == ["architecture.yaml", "network.yaml"]
    network = (tmp_path / "out" / "network.yaml").read_text()
    assert network.count(" -> ") == 4 * 3 + 3 * 2
    placed = network.partition("mappings:")[2].splitlines()[1:]
    assert len(placed) == len(set(placed)) == 4 + 2 * 3 + 2  # input, units of two neurons, read-out
    assert sum("core: 0.4" in line for line in placed) == 4  # the port, behind the four cores of its router
    assert (tmp_path / "out" / "architecture.yaml").read_text().count("name: tile_") == 32


def test_what_sana_fe_cannot_say_is_said(tmp_path):
    graph = line_graph()
    made = export_mapping(map_graph(graph, load_chip("gxnor-array"), budget=0), "sanafe", tmp_path, graph=graph)
    said = " ".join(made["notes"])
    for words in ("unicast traffic", "not known and written as 0: energy of neuron_access", "synapse memory"):
        assert words in said
    torus = map_graph(graph, chip(4, 4, topology="torus"), budget=0)
    for fmt in ("sanafe", "neucons"):
        with pytest.raises(gx.UnsupportedError, match="torus"):
            export_mapping(torus, fmt, tmp_path / "none", graph=graph)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("method", ["sequential", "grown"])
@pytest.mark.parametrize("scheme", ["unicast", "multicast"])
def test_a_netlist_gives_the_mappings_traffic(images, tmp_path, method, scheme):
    """Read as NeuCoNS reads it: nodes filled row by row, dimension order, once a target node or once a link."""
    mapping = map_graph(images, chip(6, 5, neurons=60, scheme=scheme), method=method, budget=0.05)
    made = export_mapping(mapping, "neucons", tmp_path / "net.json", graph=images)
    listed = json.loads((tmp_path / "net.json").read_text())
    room = int(made["notes"][0].partition("neurons per node ")[2].split(",")[0])
    assert len(listed) == room * 36  # a square of 6x6
    place = {name: divmod(i // room, 6)[::-1] for i, name in enumerate(listed)}
    local = multicast = 0
    for name, neuron in listed.items():
        begin = place[name]
        links: set = set()
        assert not neuron["FR"] or neuron["connected_to"]
        for x, y in {place[to] for to in neuron["connected_to"]}:
            row = [((a, begin[1]), (a + 1, begin[1]), x > begin[0]) for a in range(*sorted((begin[0], x)))]
            column = [((x, b), (x, b + 1), y > begin[1]) for b in range(*sorted((begin[1], y)))]
            local += neuron["FR"] * len(row + column)
            links.update(row + column)
        multicast += neuron["FR"] * len(links)
    t = mapping.traffic
    assert (local, multicast) == (t["unicast_traffic"], t["multicast_traffic"])
    assert sum(len(neuron["connected_to"]) for neuron in listed.values()) == sum(
        p.rule.synapses if not p.rule.weighted else int(np.count_nonzero(p.rule.connections()[2]))
        for p in images.projections.values()
        if images.populations[p.source].role != "sum"
    )


def test_the_core_graph_as_graphml(tmp_path):
    graph = line_graph((12, 9, 4))
    mapping = map_graph(graph, chip(3, 2, neurons=4), budget=0, method="sequential")
    export_mapping(mapping, "graphml", tmp_path / "cores.graphml")
    read = nx.read_graphml(tmp_path / "cores.graphml")
    assert sum(packets for *_, packets in read.edges(data="packets")) == mapping.traffic["packets"]
    assert sum(units for _, units in read.nodes(data="units")) == 25
    assert {(data["x"], data["y"]) for _, data in read.nodes(data=True)} <= {(x, y) for x in range(3) for y in range(2)}


def test_export_command(gxevent, tmp_path):  # noqa: F811
    graph = line_graph((12, 9, 4))
    gx.save(graph, tmp_path / "net.gxg")
    gx.save(line_graph(), tmp_path / "other.gxg")
    target = tmp_path / "map.json"
    map_graph(graph, costed(3, 3, neurons=6), budget=0, method="sequential").save(target)
    for fmt, out in (("graphml", "cores.graphml"), ("neucons", "net.json"), ("sanafe", "sanafe")):
        options = ("--export", target, "--to", fmt, "-o", tmp_path / out)
        answer = gxevent("map", tmp_path / "net.gxg", *options, "--json")
        assert answer.status == 0
        assert all((tmp_path / out).exists() for _ in answer.json["written"])
    refused(gxevent("map", tmp_path / "net.gxg", "--export", target), "--to", "-o")
    refused(gxevent("map", "--export", target, "--to", "neucons", "-o", tmp_path / "x"), "give the graph")
    options = ("--export", target, "--to", "neucons", "-o", tmp_path / "x")
    refused(gxevent("map", tmp_path / "other.gxg", *options), "another graph")
    refused(gxevent("map", tmp_path / "net.gxg", "--export", tmp_path / "none.json", *options[2:]), "no such file")
    assert not (tmp_path / "x").exists()


def test_too_many_synapses_are_refused(monkeypatch, tmp_path):
    graph = line_graph()
    mapping = map_graph(graph, chip(2, 1, neurons=3), budget=0, method="sequential")
    monkeypatch.setattr("gxevent.mapping.export.MOST_SYNAPSES", 10)
    with pytest.raises(gx.CapacityError, match="18 synapses are too many"):
        export_mapping(mapping, "neucons", tmp_path / "x", graph=graph)
    with pytest.raises(gx.OptionError, match="not one of graphml"):
        export_mapping(mapping, "dot", tmp_path / "x")
