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


def test_several_chips_and_methods_make_a_table(gxevent, graph):  # noqa: F811
    answer = gxevent("map", graph, "--chip", "loihi1,brainscales2", "--method", "sequential,tiles", "--budget", "0")
    lines = answer.out.splitlines()
    assert answer.status == 0
    assert sum("fits" in line for line in lines) == 4
    assert any("busiest receiver" in line for line in lines)


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


def test_usage(gxevent, graph):  # noqa: F811
    refused(gxevent("map", graph), "--chip")
    refused(gxevent("map", graph, "--chip", "loihi1", "--method", "magic"), "method", "hypergraph")
    refused(gxevent("map", graph, "--chip", "loihi1,loihi2", "-o", "m.json"), "one chip")


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
