"""Bad input gets one line that says what, where and how to mend it, exit status 2, and leaves nothing behind."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import pytest

import gxevent as gx
from gxevent import store
from tests.cli.conftest import refused, small_network


def test_usage(gxevent, graph):
    refused(gxevent("run"), "Missing argument 'GRAPH'", "gxevent run --help")
    refused(gxevent("fly"), "No such command 'fly'")
    refused(gxevent("run", graph, graph, "--mode", "magic"), "'magic' is not one of")


def test_files_that_are_not_there(gxevent, graph, tmp_path):
    refused(gxevent("compile", tmp_path / "no.gxn"), "no.gxn", "no such file")
    refused(gxevent("run", graph, tmp_path / "no.zip"), "no.zip", "no such file")
    refused(gxevent("inspect", tmp_path), "without summary.json")


@pytest.mark.parametrize("keep", [0, 5, 100, 400, -1])
def test_truncated_network(gxevent, network, tmp_path, keep):
    cut = tmp_path / "cut.gxn"
    cut.write_bytes(network.read_bytes()[:keep])
    refused(gxevent("compile", cut, "-o", tmp_path / "cut.gxg"), str(cut))
    assert not (tmp_path / "cut.gxg").exists()


def test_altered_network_and_graph(gxevent, network, graph, tmp_path):
    """Every altered byte of tensors and description is noticed; a sample of positions from the whole file."""
    for file in (network, graph):
        data = file.read_bytes()
        for at in np.linspace(0, len(data) - 1, 60).astype(int):
            altered = bytearray(data)
            altered[at] ^= 1
            bad = tmp_path / f"bad{file.suffix}"
            bad.write_bytes(altered)
            refused(gxevent("inspect", bad), str(bad))


def test_wrong_version(gxevent, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "VERSION", 99)
    gx.save(small_network(), tmp_path / "future.gxn")
    monkeypatch.undo()
    refused(gxevent("compile", tmp_path / "future.gxn"), "future.gxn", "format version 99", "reads version 1")


def test_network_where_a_graph_is_due(gxevent, network, graph, recordings):
    refused(gxevent("run", network, recordings), "holds a network", "gxevent compile")
    refused(gxevent("compile", graph), "holds a graph")


def test_other_safetensors_file(gxevent, tmp_path):
    import safetensors.numpy

    safetensors.numpy.save_file({"w": np.zeros(3, np.float32)}, tmp_path / "other.gxn")
    refused(gxevent("compile", tmp_path / "other.gxn"), "other.gxn", "not a gxevent file")


def test_network_with_many_faults_lists_them_all(gxevent, tmp_path):
    """A well-formed file whose network does not fit together: every problem in one line."""
    body = {"input_shape": [1, 6, 6], "input_levels": 1, "name": "", "encoder": None, "classes": [], "provenance": {}}
    layer = {
        "name": "c",
        "inputs": ["input"],
        "kind": "Conv2d",
        "levels": 1,
        "groups": 1,
        "stride": 1,
        "padding": 0,
        "dilation": 1,
    }
    norm = {"name": "n", "inputs": ["c"], "kind": "BatchNorm", "eps": 1e-4}
    tensors = {f"n/{field}": np.ones(4, np.float32) for field in ("gamma", "beta", "mean", "var")}
    tensors |= {"c/weight": np.full((4, 2, 3, 3), 1, np.int8), "n/mean": np.array([0, np.nan, 0, 0], np.float32)}
    store.write(tmp_path / "faulty.gxn", "network", body | {"layers": [layer, norm]}, tensors)
    refused(
        gxevent("compile", tmp_path / "faulty.gxn"),
        "faulty.gxn",
        "layer 'c' (Conv2d) weight: takes 2 channels",
        "layer 'n' (BatchNorm) mean: 1 values are not finite, the first nan at [1]",
    )
    assert not (tmp_path / "faulty.gxg").exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("empty",)),
        (b"t,x,y,p\n0,1,1,1\n10,2\n", ("line 3",)),
        (b"# width=8 height=8\nt,x,y,p\n0,1,9,1\n", ("9", "8")),
        (b"\x00\x01\x02garbage that is no event file" * 3, ("bad",)),
    ],
)
def test_event_files(gxevent, graph, tmp_path, content, words):
    (tmp_path / "bad.csv").write_bytes(content)
    refused(gxevent("run", graph, tmp_path / "bad.csv", "-o", tmp_path / "run"), "bad.csv", *words)
    assert not (tmp_path / "run").exists()


def test_damaged_recording_inside_an_archive_is_named(gxevent, graph, tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("test/a/0.csv", "# width=8 height=8\n0,1,1,1\n")
        archive.writestr("test/b/1.csv", "")
    refused(gxevent("run", graph, tmp_path / "data.zip"), "data.zip", "1.csv", "empty")


def test_recording_of_another_sensor(gxevent, graph, tmp_path):
    (tmp_path / "large.csv").write_text("# width=640 height=480\n0,500,400,1\n")
    refused(gxevent("run", graph, tmp_path / "large.csv"), "large.csv", "640", "8")


def test_labels_the_network_does_not_know(gxevent, graph, tmp_path):
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as archive:
        archive.writestr("test/zebra/0.csv", "# width=8 height=8\n0,1,1,1\n")
    refused(gxevent("run", graph, tmp_path / "data.zip"), "'zebra'", "a, b, c")


def test_options_out_of_range(gxevent, graph, recordings):
    refused(gxevent("run", graph, recordings, "--threads", 0), "threads", ">= 1")
    refused(gxevent("run", graph, recordings, "--kernel", "mmx"), "'mmx'", "generic")
    refused(gxevent("run", graph, recordings, "--window", "5 parsecs"), "window", "100ms")
    refused(gxevent("run", graph, recordings, "--split", "val"), "val", "test", "train")
    refused(gxevent("run", graph, recordings, "--limit", 0), "--limit")


def test_live_options_that_do_not_fit(gxevent, graph, recordings, tmp_path):
    refused(gxevent("run", graph, "--pace", "real"), "Missing argument 'DATA'")
    refused(gxevent("run", graph, "-", "-o", tmp_path / "run"), "-o records runs of data sets")
    assert not (tmp_path / "run").exists()


def test_a_run_is_never_overwritten(gxevent, graph, recordings, tmp_path):
    assert gxevent("run", graph, recordings, "-o", tmp_path / "run").status == 0
    before = (tmp_path / "run" / "summary.json").read_bytes()
    refused(gxevent("run", graph, recordings, "-o", tmp_path / "run"), "holds a run already")
    assert (tmp_path / "run" / "summary.json").read_bytes() == before


def test_unwritable_target_leaves_nothing(gxevent, network, tmp_path):
    refused(gxevent("compile", network, "-o", tmp_path / "nowhere" / "x.gxg"), "x.gxg", "cannot be written")
    (tmp_path / "folder").mkdir()
    refused(gxevent("compile", network, "-o", tmp_path / "folder"), "folder")
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


def test_unit_graph_too_large(gxevent, tmp_path):
    from tests import networks

    gx.save(gx.compile(networks.lenet()), tmp_path / "big.gxg")
    refused(
        gxevent("graph", tmp_path / "big.gxg", "--to", "dot", "--units", "-o", tmp_path / "u.dot"),
        "4,289,536 connections",
        "fan_out",
    )
    assert not (tmp_path / "u.dot").exists()


def test_debug_shows_the_traceback(network, tmp_path):
    from gxevent.cli import main

    with pytest.raises(gx.FormatError):
        main(["compile", str(tmp_path / "no.gxn"), "--debug"])


def test_damaged_run_folder(gxevent, graph, recordings, tmp_path):
    gxevent("run", graph, recordings, "-o", tmp_path / "run")
    (tmp_path / "run" / "samples.csv").write_text("sample,label\nx,a\n")
    refused(gxevent("inspect", tmp_path / "run"), "samples.csv", "line 2")
    (tmp_path / "run" / "summary.json").write_text(json.dumps([1]))
    refused(gxevent("inspect", tmp_path / "run"), "summary.json")
