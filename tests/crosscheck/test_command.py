"""``gxevent crosscheck`` against every oracle: what it prints, answers and refuses."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace

import pytest

import gxevent as gx
from gxevent.cli import crosscheck, oracles  # noqa: F401 - loaded now: its choices are made from all oracles
from gxevent.graph import EventGraph
from tests.cli.conftest import refused

FIELDS = {"against", "samples", "populations_compared", "events_compared", "mismatches", "first_mismatch", "equal"}

needs_brian2 = pytest.mark.skipif(importlib.util.find_spec("brian2") is None, reason="needs brian2")
needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="needs torch")


@needs_brian2
def test_against_brian2(gxevent, graph, recordings):
    report = gxevent("crosscheck", graph, recordings, "--against", "brian2", "--samples", 3, "--json")
    assert report.status == 0
    assert set(report.json) >= FIELDS | {"seconds", "values_compared", "differences"}
    assert (report.json["against"], report.json["samples"], report.json["equal"]) == ("brian2", 3, True)
    assert report.json["populations_compared"] == 4


@needs_torch
def test_against_the_trainer_with_the_network_beside_the_graph(gxevent, graph, network, recordings, tmp_path):
    for more in ((), ("--network", network)):
        report = gxevent("crosscheck", graph, recordings, "--against", "trainer", "--json", *more)
        assert report.status == 0
        assert report.json["equal"] is True
        assert report.json["values_compared"] == 9 * (6 * 64 + 96 + 96 + 3 + 3)
    network.rename(tmp_path / "of another name.gxn")  # found by its provenance
    assert gxevent("crosscheck", graph, recordings, "--against", "trainer", "--limit", 1).status == 0
    (tmp_path / "of another name.gxn").write_bytes(b"no network")
    answer = gxevent("crosscheck", graph, recordings, "--against", "trainer")
    refused(answer, "no small.gxn", "--network NET.gxn")


@needs_torch
def test_a_changed_weight_gives_status_1_and_names_the_unit(gxevent, graph, network, recordings, tmp_path):
    loaded = gx.load_graph(graph)
    p = loaded.projections["dense1"]
    weight = p.rule.weight.copy()
    weight[2] = -weight[2]
    changed = {**loaded.projections, "dense1": replace(p, rule=replace(p.rule, weight=weight))}
    more = {"encoder": loaded.encoder, "classes": loaded.classes, "provenance": loaded.provenance}
    gx.save(EventGraph(loaded.populations, changed, **more), tmp_path / "false.gxg")
    args = ("crosscheck", tmp_path / "false.gxg", recordings, "--against", "trainer", "--network", network)
    answer = gxevent(*args, "--json")
    assert answer.status == 1
    assert answer.json["equal"] is False
    first = answer.json["first_mismatch"]
    assert (first["population"], first["unit"], first["quantity"]) == ("dense1", 2, "accumulator")
    assert first["expected"] == -first["got"]
    assert set(answer.json["mismatches_by_population"]) == {"dense1"}
    said = gxevent(*args).out
    assert f"sample {first['sample']!r}, population 'dense1', unit 2: accumulator {first['got']}" in said


def test_against_all_runs_what_is_there_and_tells_how_to_get_the_rest(gxevent, graph, recordings, monkeypatch):
    def absent(job):
        raise gx.MissingExtraError("it needs the package 'nir': pip install 'gxevent[interop]'")

    kept = {"reference": oracles.ORACLES["reference"], "nir": absent}
    monkeypatch.setattr(oracles, "ORACLES", kept)
    answer = gxevent("crosscheck", graph, recordings, "--against", "all", "--samples", 2, "--json").json
    assert set(answer) >= FIELDS
    assert (answer["against"], answer["samples"], answer["equal"]) == ("all", 2, True)
    assert answer["oracles"]["reference"]["events_compared"] == answer["events_compared"] > 0
    assert "pip install 'gxevent[interop]'" in answer["not_run"]["nir"]
    said = gxevent("crosscheck", graph, recordings, "--against", "all", "--samples", 2)
    assert said.status == 0
    head, _, row = said.out.splitlines()[:3]
    assert head.split() == ["oracle", "samples", "populations", "events", "values", "mismatches", "seconds"]
    assert row.split()[:3] == ["reference", "2", "4"]
    assert "nir did not run: it needs the package 'nir': pip install 'gxevent[interop]'" in said.out


def test_against_all_fails_when_one_differs(gxevent, graph, recordings, monkeypatch):
    def liar(job):
        from gxevent.crosscheck import compare

        found = compare("liar")
        found.add("s", "conv1", "output", [1], [0])
        return found.report()

    monkeypatch.setitem(oracles.ORACLES, "nir", liar)
    for name in ("brian2", "trainer"):
        monkeypatch.delitem(oracles.ORACLES, name)
    answer = gxevent("crosscheck", graph, recordings, "--against", "all", "--samples", 1, "--json")
    assert answer.status == 1
    assert answer.json["first_mismatch"]["population"] == "conv1"
    assert (answer.json["mismatches"], answer.json["equal"]) == (1, False)


def test_what_does_not_fit_is_refused(gxevent, graph, network, recordings, tmp_path, monkeypatch):
    refused(gxevent("crosscheck", graph, recordings, "--against", "nobody"), "'nobody' is not one of")
    refused(gxevent("crosscheck", graph, recordings, "--against", "brian2", "--target", "gpu"), "'gpu' is not one of")
    refused(gxevent("crosscheck", graph, recordings, "--jitter", "1ms"), "--against brian2")
    refused(gxevent("crosscheck", graph, recordings, "--target", "cython"), "--target goes with --against brian2")
    refused(gxevent("crosscheck", graph, recordings, "--network", network), "--network goes with --against trainer")
    brian2 = ("crosscheck", graph, recordings, "--against", "brian2")
    refused(gxevent(*brian2, "--calibrated"), "go with --time-constant")
    refused(gxevent(*brian2, "--time-constant", "20"), "--time-constant: expected a time such as '20ms'", "got '20'")
    refused(gxevent(*brian2, "--jitter", "5ev"), "--jitter: expected a time")
    for against in ("brian2", "trainer", "all"):
        other = tmp_path / "wide.csv"
        other.write_text("# width=99 height=99\n0,98,98,1\n")
        refused(gxevent("crosscheck", graph, other, "--against", against), "wide.csv")
    monkeypatch.setitem(sys.modules, "brian2", None)
    refused(gxevent(*brian2), "pip install 'gxevent[brian2]'")


@needs_brian2
def test_circuits_answer_what_changes(gxevent, graph, recordings, tmp_path):
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    args = ("crosscheck", graph, recordings, "--against", "brian2", "--samples", 2, "--json")
    circuits = ("--time-constant", "5ms", "--time-constant", "none", "--jitter", "0ms")
    answer = gxevent(*args, *circuits, "--plot", tmp_path / "c.png")
    assert answer.status == 0
    leaky, calm = answer.json["circuits"]
    assert leaky["circuit"]["time_constant"] == 5.0
    assert calm["circuit"]["time_constant"] is None
    assert (calm["events"]["lost"], calm["events"]["spurious"], calm["decisions_changed"]) == (0, 0, 0)
    assert leaky["events"]["lost"] > 0
    assert (tmp_path / "c.png").read_bytes().startswith(b"\x89PNG")
    refused(gxevent(*args, *circuits, "--plot", tmp_path / "c.pdf"), "ends on .png")
