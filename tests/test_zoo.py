"""The shipped networks do what their provenance says, on the engine and in the trainer alike."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import gxevent as gx
from gxevent import files
from gxevent.crosscheck import crosscheck_reference
from gxevent.events import encode_stream
from gxevent.runtime import encode_samples


def test_demo_network_on_all_its_recordings():
    network = gx.load_network(gx.shipped("digits.gxn"))
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"))
    record = gx.run_dataset(gx.compile(network), dataset)
    assert record.summary["samples"] == network.provenance["test_samples"]
    assert record.summary["accuracy"] == pytest.approx(network.provenance["test_accuracy"])
    assert record.summary["accuracy"] >= 0.95
    assert gx.shipped("digits_test.zip").stat().st_size <= 2 * 2**20


@pytest.mark.parametrize("name", ["digits.gxn", "nmnist.gxn"])
def test_trainer_and_engine_give_identical_scores(name, data):
    """Every recording there is: all 360 shipped ones, all 63 real test recordings."""
    pytest.importorskip("torch", reason="the trainer needs PyTorch")
    from gxevent.train.networks import TernaryModule

    network = gx.load_network(gx.shipped(name))
    source = gx.shipped("digits_test.zip") if name == "digits.gxn" else data / "nmnist" / "nmnist_subset.zip"
    dataset = gx.open_dataset(source, split="test")
    frames = np.concatenate([encode_stream(network.encoder, s, network.input_shape) for _, s in dataset])
    result = gx.Engine(gx.compile(network)).run(frames)
    np.testing.assert_array_equal(result.scores, TernaryModule(network).scores(frames))


SOURCES = {
    "braille": "braille",
    "cifar10-small": "cifar10-jpeg",
    "mnist": "mnist",
    "fashion": "fashion-mnist",
    "dvs-objects": "dvs128-objects",
}
"""Data of the recipes whose networks are shipped, but for digits and nmnist, which are tested on their own."""
SHIPPED = sorted({path.stem for path in gx.shipped("digits.gxn").parent.glob("*.gxn")} - {"digits", "nmnist"})


def test_the_zoo_is_small():
    assert sum(path.stat().st_size for path in gx.shipped("digits.gxn").parent.glob("*.gxn")) <= 8 * 2**20


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_networks_do_on_all_test_data_what_their_provenance_says(name, data):
    pytest.importorskip("torch", reason="the recipes' data need the trainer")
    from gxevent.train.recipes import from_settings
    from gxevent.train.sources import load_data

    network = gx.load_network(gx.shipped(f"{name}.gxn"))
    stated = network.provenance
    test = load_data(from_settings(stated["settings"], name), data / SOURCES[name]).load_test()
    scores = gx.Engine(gx.compile(network)).run(test.frames).scores
    assert len(test) == stated["test_samples"]
    assert test.accuracy(scores) == stated["test_accuracy"]
    assert stated["exactness"]["equal"]
    assert stated["exactness"]["frames"] == len(test.frames)
    if "test_windows" in stated:
        assert test.frame_accuracy(scores) == stated["test_window_accuracy"]


def test_demo_writes_record_and_report(tmp_path):
    from gxevent.report.demo import run_demo

    demo = run_demo(tmp_path / "demo")
    assert demo.crosscheck.equal
    assert demo.crosscheck.samples == 360
    assert {p.name for p in demo.folder.iterdir()} == {
        "digits.gxg",
        "report.html",
        "run.log",
        "samples.csv",
        "summary.json",
        "times.csv",
    }
    summary = json.loads((demo.folder / "summary.json").read_text())
    assert summary["graph_sha256"] == files.sha256(gx.load_graph(demo.folder / "digits.gxg"))
    with pytest.raises(gx.OptionError, match="holds a run already"):
        run_demo(tmp_path / "demo")


class TestRealNMNIST:
    """The 63 real test recordings."""

    @pytest.fixture
    def archive(self, data):
        return data / "nmnist" / "nmnist_subset.zip"

    def test_accuracy_and_results_of_every_way_to_run(self, archive):
        graph = gx.compile(gx.load_network(gx.shipped("nmnist.gxn")))
        dataset = gx.open_dataset(archive)
        assert len(dataset) == 63
        ways = [
            {},
            {"threads": 2},
            {"mode": "sample"},
            {"mode": "stream"},
            {"mode": "reference"},
            {"kernel": "generic"},
        ]
        found = [gx.run_dataset(graph, dataset, **way).summary for way in ways]
        assert found[0]["accuracy"] >= 0.96
        for key in ("results_sha256", "accuracy", "events", "open_gates", "resting_probability"):
            assert all(summary[key] == found[0][key] for summary in found), key

    def test_every_event_and_accumulator_equals_the_reference(self, archive):
        graph = gx.compile(gx.load_network(gx.shipped("nmnist.gxn")))
        samples = ((s.id, s.frames) for s in encode_samples(graph, gx.open_dataset(archive)))
        report = crosscheck_reference(graph, samples)
        assert report.equal, report.line()
        assert report.samples == 63

    def test_a_truncated_recording_in_the_archive_is_named(self, archive, tmp_path):
        with zipfile.ZipFile(archive) as real, zipfile.ZipFile(tmp_path / "cut.zip", "w") as cut:
            cut.writestr("Test/7/00001.bin", real.read("Test/7/00001.bin")[:-2])
        graph = gx.compile(gx.load_network(gx.shipped("nmnist.gxn")))
        with pytest.raises(gx.FormatError, match=r"cut\.zip/Test/7/00001\.bin"):
            gx.run_dataset(graph, gx.open_dataset(tmp_path / "cut.zip"))
