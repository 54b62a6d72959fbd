"""``gxevent chips`` and ``gxevent map``."""

from __future__ import annotations

import json

import pytest

import gxevent as gx
from tests.cli.conftest import gxevent, refused  # noqa: F401  (a fixture)
from tests.mapping.conftest import line_graph

QUICK = ("--method", "grown", "--budget", "0.05")


@pytest.fixture
def graph(tmp_path):
    gx.save(line_graph((30, 20, 10)), tmp_path / "line.gxg")
    return tmp_path / "line.gxg"


def test_chips_lists_and_prints(gxevent):  # noqa: F811
    listed = gxevent("chips", "--json").json["chips"]
    assert {"name": "loihi1", "title": "Intel Loihi (first generation)", "cores": 128, "routing": "unicast"} in listed
    answer = gxevent("chips", "loihi1")
    assert answer.status == 0
    assert "energy.synop" in answer.out
    assert "35.5 pJ (23.6 to 35.5)" in answer.out
    assert "SANA-FE" in answer.out
    printed = gxevent("chips", "loihi2", "--json").json
    assert printed["core_count"] == 120
    assert "energy.synop" in printed["unknown"]
    refused(gxevent("chips", "loihi9"), "no chip 'loihi9'", "akida")


def test_map_writes_checks_and_finds_hand_edits(gxevent, graph, tmp_path):  # noqa: F811
    target = tmp_path / "map.json"
    answer = gxevent("map", graph, "--chip", "loihi1", "-o", target, "--json", *QUICK).json
    assert answer["verdict"] == "fits"
    assert answer["activity"]["kind"] == "uniform"
    assert "none measured" in answer["activity"]["line"]
    assert gxevent("map", graph, "--check", target, "--json").json["problems"] == []
    assert gxevent("map", "--check", target).status == 0
    mapping = json.loads(target.read_text())
    mapping["chip"]["cores"][0]["neurons"]["value"] = 7
    target.write_text(json.dumps(mapping))
    found = gxevent("map", "--check", target)
    assert found.status == 1
    assert "neurons: need" in found.out


def test_several_chips_and_methods_make_a_study(gxevent, graph, tmp_path):  # noqa: F811
    options = ("--chip", "loihi1,gxnor-array,loihi2", "--method", "sequential,tiles", "--budget", "0")
    answer = gxevent("map", graph, *options)
    lines = answer.out.splitlines()
    assert answer.status == 0
    assert sum("  fits" in line for line in lines) == 6
    assert any("busiest receiver" in line and "latency us" in line for line in lines)
    made = gxevent("map", graph, *options, "--json", "-o", tmp_path / "study.json").json
    table = {(row["chip"], row["method"]): row for row in made["table"]}
    assert len(table) == 6
    assert table["loihi2", "tiles"]["latency_us"] is None  # it publishes no times
    assert table["loihi2", "tiles"]["front"] is False
    assert table["loihi1", "tiles"]["energy_low_nj"] < table["loihi1", "tiles"]["energy_high_nj"]
    assert any(row["front"] for row in table.values())
    for row, mapping in zip(made["table"], made["mappings"], strict=True):
        assert row["latency_us"] == mapping["simulation"]["latency_us"]["p50"]
        assert row["packets"] == mapping["packets"] == mapping["simulation"]["packets"]
    assert json.loads((tmp_path / "study.json").read_text())["table"] == made["table"]
    gxevent("map", graph, *options, "-o", tmp_path / "study.csv")
    written = (tmp_path / "study.csv").read_text().splitlines()
    assert written[0].startswith("chip,method,verdict,cores_used")
    assert len(written) == 7
    bare = gxevent("map", graph, *options, "--samples", "0", "--json").json
    assert "table" not in bare
    assert bare["mappings"][0]["simulation"] is None


def test_a_study_says_what_does_not_fit_and_draws(gxevent, tmp_path):  # noqa: F811
    gx.save(line_graph((2000, 600, 10)), tmp_path / "wide.gxg")
    figures = ("--figures", tmp_path / "figures")
    answer = gxevent("map", tmp_path / "wide.gxg", "--chip", "loihi1,brainscales2", "--budget", "0", *figures)
    assert answer.status == 1
    assert "does not fit" in answer.out
    assert "brainscales2: layer" in answer.out
    pytest.importorskip("matplotlib", reason="figures need matplotlib")
    drawn = {path.name for path in (tmp_path / "figures").iterdir()}
    assert drawn == {"pareto.png", "energy.png", "loihi1-hypergraph-occupancy.png", "loihi1-hypergraph-links.png"}


def test_the_front_leaves_out_what_is_not_known():
    """Two chips by hand: one quicker, one thriftier; a third without a part of its energy does not compete."""
    from gxevent.mapping.chip import chip_from
    from gxevent.mapping.frames import all_at_once
    from gxevent.mapping.study import front, study_point
    from tests.mapping.conftest import quantity, spec

    def costed(name: str, ns: float, pj: float, **more: float) -> gx.Chip:
        values = spec(2, 2) | {"name": name}
        values["latency"] = {"synop": quantity(ns, "ns")}
        parts = ("synop", "neuron_access", "neuron_update", "spike", "packet_out", "packet_in", "hop_x", "hop_y")
        values["energy"] = {part: quantity(pj, "pJ") for part in parts if part not in more}
        return chip_from(values, name)

    chips = [costed("quick", 1, 5), costed("thrifty", 2, 1), costed("beaten", 3, 6), costed("half", 1, 0.1, synop=0)]
    points = [study_point(line_graph(), chip, "sequential", None, all_at_once, budget=0) for chip in chips]
    assert front(points) == [True, True, False, False]
    assert points[0].cost < points[2].cost


def test_what_does_not_fit_exits_1_with_every_reason(gxevent, tmp_path):  # noqa: F811
    gx.save(line_graph((2000, 600, 10)), tmp_path / "wide.gxg")
    answer = gxevent("map", tmp_path / "wide.gxg", "--chip", "brainscales2", "--json")
    assert answer.status == 1
    problems = answer.json["problems"]
    assert len(problems) >= 3
    assert any("fan-in: need 2,000, a core takes 128" in problem for problem in problems)


def test_activity_of_the_graph_or_not_at_all(gxevent, digits, tmp_path):  # noqa: F811
    gx.save(digits, tmp_path / "digits.gxg")
    data, kept = gx.shipped("digits_test.zip"), tmp_path / "a.gxa"
    options = ("--chip", "loihi2", "--method", "tiles", "--budget", "0", "--json")
    first = gxevent("map", tmp_path / "digits.gxg", "--activity", data, "--limit", 3, "--save-activity", kept, *options)
    again = gxevent("map", tmp_path / "digits.gxg", "--activity", kept, *options)
    assert first.json["activity"]["kind"] == "measured"
    assert first.json["packets"] == again.json["packets"]
    gx.save(line_graph(), tmp_path / "other.gxg")
    refused(gxevent("map", tmp_path / "other.gxg", "--activity", kept, *options), "another graph", "measure it again")


def test_usage(gxevent, graph, tmp_path):  # noqa: F811
    refused(gxevent("map", graph), "--chip")
    refused(gxevent("map", graph, "--chip", "loihi1", "--method", "magic"), "method", "hypergraph")
    refused(gxevent("map", graph, "--chip", "loihi1,loihi2", "-o", "m.txt"), ".json or .csv")
    refused(gxevent("map", graph, "--chip", "loihi1", "--figures", "x"), "several chips")
    refused(gxevent("map", graph, "--chip", "loihi1,"), "expected a name")
    options = ("--chip", "loihi1", "-o", tmp_path / "none" / "m.json")
    refused(gxevent("map", graph, *options), "no folder")
    refused(gxevent("map", graph, "--chip", "loihi1,loihi9", *QUICK[2:]), "no chip 'loihi9'")


def test_inspect_shows_a_mapping(gxevent, graph, tmp_path):  # noqa: F811
    target = tmp_path / "map.json"
    gxevent("map", graph, "--chip", "loihi1", "--cores", "2", "-o", target, *QUICK)
    found = gxevent("inspect", target, "--json").json
    assert found["kind"] == "mapping"
    assert (found["chip"], found["method"]) == ("loihi1", "grown")
    assert found["graph_sha256"] == gx.files.sha256(gx.load_graph(graph))
    assert sum(core["units"] for core in found["cores"]) == 20 + 10
    assert sum(core["synapses"] for core in found["cores"]) == sum(gx.load_graph(graph).synapses.values())
    assert "cores of loihi1" in gxevent("inspect", target).out
    (tmp_path / "other.json").write_text("{}")
    refused(gxevent("inspect", tmp_path / "other.json"), "not a mapping")
