"""The page shows what the run record holds, and says what it does not."""

from __future__ import annotations

import csv
import json
import shutil
import sys

import numpy as np
import pytest

import gxevent as gx
from gxevent.report import read_inputs, report_page, run_page
from tests import networks
from tests.cli.conftest import refused, small_network
from tests.report.conftest import Page

matplotlib = pytest.importorskip("matplotlib", reason="figures need matplotlib")

SECTIONS = ["What ran", "Accuracy", "Events and gates", "Operations", "Latency", "Events by class"]
INSIDE = ["Anytime accuracy", "One sample through all layers"]


def page_of(*paths, **options) -> Page:
    return Page(report_page(read_inputs(paths), **options))


def plain(cell: str) -> float:
    return float(cell.split()[0].replace(",", "").rstrip("%"))


def test_a_run_from_its_record_and_data(made):
    page = page_of(made / "run", graphs=[made / "digits.gxg"])
    record = gx.load_run(made / "run")
    s, n = record.summary, record.summary["windows"]
    assert set(page.tables) >= {*SECTIONS, "Anytime accuracy"}
    head, *rows, total = page.tables["Events and gates"][0]
    assert head == ["projection", "events in", "connections", "open gates", "at rest", ""]
    for name, sent, connections, opened, rest, _ in rows:
        assert plain(opened) == pytest.approx(s["open_gates"][name] / n, abs=0.06)
        assert plain(connections) == s["synapses"][name] / n
        assert plain(rest) == pytest.approx(100 * s["resting_probability_by_layer"][name], abs=0.06)
        assert sent.split("of")[1].strip().replace(",", "").isdigit()
    assert plain(total[4]) == pytest.approx(100 * s["resting_probability"], abs=0.06)
    matrix = [[int(cell or 0) for cell in row[1:-1]] for row in page.tables["Accuracy"][0][1:]]
    assert matrix == record.confusion.tolist()
    wrong = [row.sample for row in record.rows if row.label != row.prediction]
    assert [row[0] for row in page.tables["Accuracy"][1][1:]] == wrong if wrong else len(page.tables["Accuracy"]) == 1
    by_class = page.tables["Events by class"][0][1:]
    assert [int(row[1]) for row in by_class] == record.confusion.sum(axis=1).tolist()
    names = page.tables["Events by class"][0][0][5:9]
    assert names == list(s["events"])
    for row in by_class:
        of = [r for r in record.rows if r.label == row[0]]
        means = np.mean([r.events_by_population for r in of], axis=0)
        assert [plain(cell) for cell in row[5:9]] == pytest.approx(means.tolist(), abs=0.51)
    operations = {row[0]: row for row in page.tables["Operations"][0][1:]}
    assert list(operations) == ["full precision", "BWN", "TWN", "BNN", "GXNOR"]
    assert plain(operations["GXNOR"][3]) == round(sum(s["open_gates"].values()) / n)
    assert "0 to M" in operations["GXNOR"][3]
    assert s["results_sha256"] in page.text
    assert "gxevent says hello" in page.text
    assert len(page.labels) == 6
    assert len(set(page.ids)) == len(page.ids)


def test_runs_stand_side_by_side(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    shutil.copy(made / "digits.gxg", tmp_path / "run" / "digits.gxg")  # found beside the record
    page = page_of(made / "run", tmp_path / "run")
    names = page.tables["What ran"][0][0][1:]
    assert names == [f"{made.name}/run", f"{tmp_path.name}/run"]
    assert len(page.tables["Events and gates"]) == 2
    assert [row[0] for row in page.tables["Latency"][0][1:]] == names
    assert len(set(page.ids)) == len(page.ids)
    assert sum("Histogram of host time" in label for label in page.labels) == 2
    assert sum("Raster" in label for label in page.labels) == 1, "only the second run has its graph beside it"


def test_what_is_missing_is_said_in_one_line(made, tmp_path):
    shutil.copytree(made / "run", tmp_path / "run")
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    for key in ("network", "versions", "window", "stride"):
        del summary[key]  # as records were written before
    (tmp_path / "run" / "summary.json").write_text(json.dumps(summary | {"data": "gone.zip"}))
    (tmp_path / "run" / "run.log").unlink()
    page = page_of(tmp_path / "run")
    assert "give --graph NET.gxg and --data DATA" in page.text
    assert not set(INSIDE) & set(page.tables)
    twn = next(row for row in page.tables["Operations"][0] if row[0] == "TWN")
    assert twn[2].startswith("0 to 1,526,784"), "what depends on the weights is a bound"
    assert "not recorded" in page.text
    whole = page_of(tmp_path / "run", graphs=[made / "digits.gxg"], data=[gx.shipped("digits_test.zip")])
    assert "Anytime accuracy" in whole.tables
    assert next(row for row in whole.tables["Operations"][0] if row[0] == "TWN")[2].startswith("1,035,413")


def test_other_data_with_the_same_names_are_noticed(gxevent, graph, recordings, tmp_path):
    gxevent("run", graph, recordings, "-o", tmp_path / "run")
    path = tmp_path / "run" / "samples.csv"
    rows = list(csv.DictReader(path.read_text().splitlines()))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(row | {"accumulators": "1 2 3"} for row in rows)
    page = page_of(tmp_path / "run")
    assert "are not those of the run" in page.text
    assert not set(INSIDE) & set(page.tables)


def test_a_recording_without_label(gxevent, graph, tmp_path):
    (tmp_path / "one.csv").write_text("# width=8 height=8\n0,1,1,1\n10,2,2,0\n500,3,2,0\n")
    gxevent("run", graph, tmp_path / "one.csv", "-o", tmp_path / "run")
    page = page_of(tmp_path / "run")
    assert "without labels" in page.text
    assert "The anytime curve needs labels" in page.text
    assert "Accuracy" not in page.tables
    assert any("Raster of one.csv" in label for label in page.labels)


def test_images_have_no_time(tmp_path):
    rng = np.random.default_rng(3)
    layers = [gx.Flatten(), gx.Dense(networks.levels(rng, (30, 16))), gx.Activation()]
    layers += [gx.Dense(networks.levels(rng, (2, 30)))]
    graph = gx.compile(gx.TernaryNetwork((1, 4, 4), gx.Encoder("levels"), layers, ("a", "b"), input_levels=7))
    Image = pytest.importorskip("PIL.Image")
    for label in "ab":
        (tmp_path / "data" / label).mkdir(parents=True)
        for i in range(3):
            Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).save(tmp_path / "data" / label / f"{i}.png")
    dataset = gx.open_dataset(tmp_path / "data")
    page = Page(run_page(gx.run_dataset(graph, dataset), "pictures", graph=graph, dataset=dataset))
    assert "Images have no time" in page.text
    assert any("Channels of" in label for label in page.labels)
    assert "add levels instead of XNORs" in page.text


def test_mappings_and_simulations(made):
    page = page_of(made / "map.json", made / "sim.json")
    mapping, simulation = page.tables["On chips"]
    facts = {row[0]: row[1] for row in mapping + simulation}
    read = json.loads((made / "sim.json").read_text())
    assert facts["hops a sample"].startswith(f"{read['per_sample']['hops']:,.1f}")
    assert [label.split(",")[0] for label in page.labels] == [
        "Units on the cores", "Link loads", "Energy by part with its band", "Time of every step",
    ]  # fmt: skip
    for line in read["assumptions"]:
        assert line in page.text
    alone = page_of(made / "sim.json")
    assert alone.labels == page.labels[2:]


def test_link_loads_need_their_activity(made, digits, tmp_path):
    from gxevent.mapping import load_chip, map_graph, measure_activity

    activity = measure_activity(digits, gx.open_dataset(gx.shipped("digits_test.zip"), limit=3))
    activity.save(tmp_path / "digits.gxa")
    chip = load_chip("gxnor-array")
    map_graph(digits, chip, activity, method="sequential", budget=0.1).save(tmp_path / "map.json")
    without = page_of(tmp_path / "map.json")
    assert "give --activity FILE.gxa" in without.text
    assert not any("Link loads" in label for label in without.labels)
    page = page_of(tmp_path / "map.json", activities=[tmp_path / "digits.gxa"])
    assert any("Link loads" in label for label in page.labels)


def test_names_are_text_not_markup(tmp_path):
    network = small_network()
    classes = ("<b>", "a&b", '"')
    graph = gx.compile(gx.TernaryNetwork((2, 8, 8), network.encoder, network.layers, classes, name="<script>"))
    frames = gx.Engine(graph).run(np.zeros((1, 2, 8, 8), np.int8))
    row = {"split": "", "windows": 1, "input_events": 0, "events": 9, "open_gates": 9, "latency_us": 1.0}
    rows = [
        gx.runtime.SampleRow(sample=f"<u>{k}", label=classes[k], prediction="<b>", accumulators=(0, 0, 0), **row)
        for k in range(3)
    ]
    summary = _summary(graph, frames) | {"samples": 3, "windows": 3, "labelled": 3, "correct": 1, "accuracy": 1 / 3}
    text = run_page(gx.RunRecord(tuple(rows), summary, classes), "<script>alert(1)</script>")
    assert "<script" not in text
    assert "<u>" not in text
    page = Page(text)
    assert page.tables["Accuracy"][0][0][1:4] == list(classes)


def _summary(graph: gx.EventGraph, result: gx.Result) -> dict:
    from gxevent.runtime.about import about_network

    n = {name: 3 * size for name, size in graph.synapses.items()}
    return {
        "events": dict.fromkeys(result.counts.events, 3), "open_gates": dict.fromkeys(n, 3), "synapses": n,
        "resting_probability": 0.5, "resting_probability_by_layer": dict.fromkeys(n, 0.5), "samples_per_s": 1.0,
        "input_events": 0, "input_events_per_s": 0.0, "latency_us": dict.fromkeys(("p50", "p90", "p99", "max"), 1.0),
        "kernel": "<k>", "threads": 1, "data": "<d>", "graph_sha256": "0" * 64, "results_sha256": "1" * 64,
        "network": about_network(graph),
    }  # fmt: skip


def test_without_matplotlib_the_page_has_its_tables(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    page = page_of(made / "run", made / "map.json", made / "sim.json", graphs=[made / "digits.gxg"])
    assert not page.labels
    assert "pip install 'gxevent[report]'" in page.text
    assert set(page.tables) >= {*SECTIONS, "On chips"}


def test_the_same_inputs_give_the_same_page(made):
    inputs = read_inputs([made / "run", made / "map.json"])
    assert report_page(inputs) == report_page(inputs)


def test_bad_input_is_one_line(gxevent, made, graph, tmp_path):
    out = tmp_path / "r.html"
    (tmp_path / "odd.json").write_text("[1, 2]")
    (tmp_path / "text.json").write_text("not json")
    (tmp_path / "empty").mkdir()
    run = made / "run"
    refused(gxevent("report", tmp_path / "gone", "-o", out), "gone", "no such file")
    refused(gxevent("report", tmp_path / "odd.json", "-o", out), "odd.json", "another kind", "gxevent simulate --json")
    refused(gxevent("report", tmp_path / "text.json", "-o", out), "text.json", "not a JSON file")
    refused(gxevent("report", tmp_path / "empty", "-o", out), "empty", "not a finished run")
    refused(gxevent("report", run, run, "-o", out), "given twice")
    answer = gxevent("report", run, "-o", out, "--graph", graph, "-q")
    refused(answer, "small.gxg", "graph of none of the runs")
    refused(gxevent("report", run, "-o", out, "--data", made / "map.json", "-q"), "map.json")
    missing = gxevent("report", run, "-o", out, "--sample", "test/none", "-q")
    refused(missing, "no 'test/none' in this run", "test/0/")
    assert not out.exists()


def test_the_command(gxevent, made, tmp_path):
    out = tmp_path / "r.html"
    answer = gxevent("report", made / "run", made / "map.json", made / "sim.json", "-o", out, "--json", "-q")
    assert answer.json == {
        "written": str(out), "bytes": out.stat().st_size, "runs": ["run"], "mappings": ["map"], "simulations": ["sim"],
    }  # fmt: skip
    assert out.stat().st_size < 6e6
