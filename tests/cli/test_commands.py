"""The commands as people and scripts use them: what they print, write and answer."""

from __future__ import annotations

import json
import subprocess
import sys

import networkx as nx
import pytest

import gxevent as gx
from gxevent.cli import COMMANDS
from gxevent.runtime import load_run

SUMMARY = {
    "samples", "correct", "accuracy", "events", "open_gates", "synapses", "resting_probability",
    "resting_probability_by_layer", "wall_s", "samples_per_s", "input_events", "input_events_per_s", "latency_us",
    "kernel", "threads", "graph_sha256", "results_sha256",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(gxevent, command):
    answer = gxevent(command, "--help")
    assert answer.status == 0
    assert f"gxevent {command}" in answer.out.split("Example:")[1]
    assert "--json" in answer.out


def test_python_dash_m():
    done = subprocess.run([sys.executable, "-m", "gxevent", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"gxevent, version {gx.__version__}"


def test_info_names_the_kernel(gxevent):
    info = gxevent("info", "--json").json
    assert info["kernel"] == info["kernels"][-1]
    assert set(info["packages"]) >= {"numpy", "networkx"}
    assert f"kernel       {info['kernel']}" in gxevent("info").out


def test_compile_writes_a_graph_and_checks_it(gxevent, network, tmp_path):
    answer = gxevent("compile", network, "-o", tmp_path / "made.gxg", "--check", 6, "--json").json
    assert answer["check"]["equal"] is True
    assert answer["check"]["samples"] == 6
    assert answer["check"]["events_compared"] > 0
    graph = gx.load_graph(tmp_path / "made.gxg")
    assert list(graph.populations) == ["input", "conv1", "pool1", "dense1"]
    assert gxevent("compile", network).out.strip().endswith("small.gxg")  # beside the network by default


def test_compile_profiles_and_inspect_shows_what_is_chosen(gxevent, network, recordings, tmp_path):
    made = tmp_path / "made.gxg"
    answer = gxevent("compile", network, "-o", made, "--profile", recordings, "--split", "train", "--json").json
    shares = {p["name"]: p["activity"] for p in answer["populations"]}
    assert {name for name, share in shares.items() if share is not None} == {"input", "pool1"}
    found = gxevent("inspect", made, "--json").json
    assert {p["name"]: p["activity"] for p in found["populations"]} == shares
    assert all(p["gate_units"] for p in found["projections"] if p["rule"] in ("dense", "conv2d"))
    shown = gxevent("inspect", made).out
    assert f"{shares['input']:.1%}" in shown
    assert f"kernel {found['kernel']} by the share" in shown
    plain = gxevent("compile", network, "-o", tmp_path / "plain.gxg", "--json").json
    assert all(p["activity"] is None for p in plain["populations"])
    assert "40% active units, as no profile" in gxevent("inspect", tmp_path / "plain.gxg").out
    same = [gxevent("run", g, recordings, "--json").json["results_sha256"] for g in (made, tmp_path / "plain.gxg")]
    assert same[0] == same[1]
    bad = gxevent("compile", network, "--profile", recordings, "--split", "night")
    assert bad.status == 2
    assert "has no split 'night'" in bad.err


def test_run_prints_the_contract_and_writes_a_record(gxevent, graph, recordings, tmp_path):
    answer = gxevent("run", graph, recordings, "-o", tmp_path / "run", "--json")
    summary = answer.json
    assert set(summary) >= SUMMARY
    assert summary["samples"] == 9  # the test split
    assert set(summary["latency_us"]) == {"p50", "p90", "p99", "max"}
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["results_sha256"] == summary["results_sha256"]
    record = load_run(tmp_path / "run")
    assert [row.label for row in record.rows] == list("aaabbbccc")
    assert {row.split for row in record.rows} == {"test"}
    assert record.confusion.sum() == 9
    assert record.summary["correct"] == record.confusion.trace()
    assert "results sha256" in (tmp_path / "run" / "run.log").read_text()


def test_results_are_equal_for_every_mode_kernel_and_thread_count(gxevent, graph, recordings):
    info = gxevent("info", "--json").json
    ways = [("--mode", mode) for mode in ("batch", "sample", "stream", "reference")]
    ways += [("--kernel", kernel) for kernel in info["kernels"]] + [("--threads", 2)]
    found = [gxevent("run", graph, recordings, "--split", "all", "--json", *way).json for way in ways]
    for key in ("results_sha256", "events", "open_gates", "resting_probability", "accuracy"):
        assert all(summary[key] == found[0][key] for summary in found), key


def test_windows_of_a_recording_add_up(gxevent, graph, recordings):
    one = gxevent("run", graph, recordings, "--window", "30ms", "--json").json
    assert one["samples"] == 9
    assert 3 * 9 < one["windows"] <= 4 * 9  # recordings of just under 100 ms
    other = gxevent("run", graph, recordings, "--window", "20ev", "--stride", "10ev", "--limit", 3, "--json").json
    assert other["samples"] == 3
    assert other["windows"] > 3


def test_a_single_recording_has_no_accuracy(gxevent, graph, tmp_path):
    (tmp_path / "one.csv").write_text("# width=8 height=8\n0,1,1,1\n10,2,2,0\n")
    summary = gxevent("run", graph, tmp_path / "one.csv", "--json").json
    assert summary["accuracy"] is None
    assert summary["input_events"] == 2
    assert "accuracy" not in gxevent("run", graph, tmp_path / "one.csv").out


def test_crosscheck_against_the_reference(gxevent, graph, recordings):
    answer = gxevent("crosscheck", graph, recordings, "--against", "reference", "--samples", 4, "--json")
    assert answer.status == 0
    report = answer.json
    assert report["equal"] is True
    assert (report["samples"], report["mismatches"], report["first_mismatch"]) == (4, 0, None)
    assert report["events_compared"] > 0
    assert "all equal" in gxevent("crosscheck", graph, recordings, "--samples", 1).out


def test_inspect_knows_networks_graphs_runs_and_recordings(gxevent, network, graph, recordings, tmp_path):
    found = gxevent("inspect", network, "--json").json
    assert (found["kind"], found["weights"]) == ("network", 6 * 2 * 9 + 3 * 96)
    found = gxevent("inspect", graph, "--json").json
    assert (found["kind"], found["units"]) == ("graph", 2 * 64 + 6 * 64 + 96 + 3)
    gxevent("run", graph, recordings, "-o", tmp_path / "run")
    assert gxevent("inspect", tmp_path / "run", "--json").json["kind"] == "run"
    (tmp_path / "one.csv").write_text("# width=8 height=8\n0,1,1,1\n1000,2,2,0\n")
    found = gxevent("inspect", tmp_path / "one.csv", "--json").json
    assert (found["kind"], found["events"], found["duration_us"], found["on_share"]) == ("events", 2, 1000, 0.5)
    for file in (network, graph, tmp_path / "run", tmp_path / "one.csv"):
        assert gxevent("inspect", file).out.strip()


def test_graph_exports_what_other_tools_read(gxevent, graph, tmp_path):
    assert gxevent("graph", graph, "--to", "graphml", "-o", tmp_path / "g.graphml").status == 0
    read = nx.read_graphml(tmp_path / "g.graphml", force_multigraph=True)
    assert set(read.nodes) == {"input", "conv1", "pool1", "dense1"}
    assert read.edges["input", "conv1", "conv1"]["synapses"] == 6 * 2 * (8 * 8 * 9 - 4 * 8 * 3 + 4)
    gxevent("graph", graph, "--to", "json", "-o", tmp_path / "g.json")
    assert nx.node_link_graph(json.loads((tmp_path / "g.json").read_text()), edges="edges").number_of_edges() == 3
    gxevent("graph", graph, "--to", "dot", "-o", tmp_path / "g.dot")
    assert '"input" -> "conv1"' in (tmp_path / "g.dot").read_text()
    answer = gxevent("graph", graph, "--to", "graphml", "--units", "-o", tmp_path / "u.graphml", "--json").json
    loaded = gx.load_graph(graph)
    nonzero = sum(int((p.rule.connections()[2] != 0).sum()) for p in loaded.projections.values())
    assert (answer["nodes"], answer["edges"]) == (loaded.units, nonzero)


def test_report_is_one_page_that_needs_nothing_else(gxevent, graph, recordings, tmp_path):
    gxevent("run", graph, recordings, "-o", tmp_path / "run")
    assert gxevent("report", tmp_path / "run", "-o", tmp_path / "r.html", "--title", "a < b").status == 0
    page = (tmp_path / "r.html").read_text()
    assert "a &lt; b" in page
    assert "http" not in page.replace("http-equiv", "")
    assert "Confusion matrix" in page


def test_quiet_says_nothing(gxevent, graph, recordings):
    assert gxevent("run", graph, recordings, "--quiet")[1:] == ("", "")


def test_train_lists_its_recipes(gxevent):
    pytest.importorskip("torch", reason="training needs PyTorch")
    assert {"digits", "nmnist"} <= set(gxevent("train", "--list", "--json").json["recipes"])
