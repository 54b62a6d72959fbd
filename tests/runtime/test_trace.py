"""Traces hold every event of every population, whatever happened to the run that wrote them."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from gxevent.runtime import encode_samples
from gxevent.runtime.spool import TracePart, TraceSpool
from tests.runtime import runs
from tests.runtime.runs import killed, run, size

h5py = pytest.importorskip("h5py", reason="traces need an extra")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trace")
    gx.save(gx.compile(runs.network()), folder / "net.gxg")
    runs.write_images(folder / "images", 4_000)
    assert run(folder / "net.gxg", folder / "images", "-o", folder / "whole", "--trace").returncode == 0
    return folder


def contents(path):
    """All values of an HDF5 file by name, attributes too."""
    found = {}
    with h5py.File(path) as file:
        found |= {key: np.asarray(value).tolist() for key, value in file.attrs.items()}

        def visit(name, node):
            found.update({f"{name}@{key}": np.asarray(value).tolist() for key, value in node.attrs.items()})
            if isinstance(node, h5py.Dataset):
                found[name] = node[:].tolist()

        file.visititems(visit)
    return found


@pytest.mark.parametrize("window", ["all", "20ms"])
def test_every_event_is_that_of_the_engine(tmp_path, window):
    """The shipped network on shipped recordings, event for event, with one window a recording and with several."""
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=20)
    summary = gx.record_run(graph, dataset, tmp_path / "run", window=window, trace=True)
    engine = gx.Engine(graph)
    with gx.open_trace(tmp_path / "run") as trace:
        assert (len(trace), trace.windows, trace.events) == (20, summary["windows"], summary["events"])
        assert trace.attributes["results_sha256"] == summary["results_sha256"]
        assert trace.ids() == [s.id for s in dataset.samples]
        samples = list(encode_samples(graph, dataset, window))
        assert (max(s.windows for s in samples) > 1) == (window == "20ms")
        for expected, (name, windows) in zip(samples, trace, strict=True):
            assert (name, len(windows)) == (expected.id, expected.windows)
            for frame, found in zip(expected.frames, windows, strict=True):
                outputs = engine.trace(frame).outputs
                assert list(found) == list(outputs)
                for population, levels in outputs.items():
                    np.testing.assert_array_equal(trace.levels(population, found[population]), levels)
                    assert (np.diff(found[population].address) > 0).all()
        again = trace.sample(samples[7].id)
        np.testing.assert_array_equal(again[0]["pool1"].address, trace.sample(7)[0]["pool1"].address)


def test_the_reference_gives_the_same_trace(tmp_path):
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=5)
    for mode in ("batch", "reference"):
        gx.record_run(graph, dataset, tmp_path / mode, mode=mode, trace=True)
    assert contents(tmp_path / "batch" / "trace.h5") == contents(tmp_path / "reference" / "trace.h5")
    with pytest.raises(gx.OptionError, match="stream mode sends changes"):
        gx.record_run(graph, dataset, tmp_path / "stream", mode="stream", trace=True)
    assert not (tmp_path / "stream").exists()


@pytest.mark.slow
def test_killed_while_spooling_and_while_packing(work, tmp_path):
    """Twelve kills; the trace at the end is that of the undisturbed run, value for value."""
    rng = np.random.default_rng(2)
    folder = tmp_path / "run"
    args = (work / "net.gxg", work / "images", "-o", folder, "--trace", "--resume")
    spooled = folder / "trace.spool" / "1.events"
    with gx.open_trace(work / "whole") as whole:
        total = 5 * list(whole.events.values())[1]
    kills = 0
    for k in range(1, 10):
        kills += killed(args, lambda k=k: size(spooled) >= total * k // 10, delay=rng.uniform(0, 0.01))
    for _ in range(3):  # packing has begun: its file is there, or is there already whole
        kills += killed(args, lambda: (folder / ".trace.h5.part").exists(), delay=rng.uniform(0, 0.05))
    assert kills >= 10
    assert run(*args).returncode == 0
    assert contents(folder / "trace.h5") == contents(work / "whole" / "trace.h5")
    assert (folder / "samples.csv").read_bytes() == (work / "whole" / "samples.csv").read_bytes()
    assert {p.name for p in folder.iterdir()} == {"run.log", "samples.csv", "summary.json", "times.csv", "trace.h5"}


def test_a_spool_keeps_whole_windows_only(tmp_path):
    rng = np.random.default_rng(0)
    frames = [[rng.integers(-1, 2, (4, 4)).astype(np.int8), rng.integers(-1, 2, 9).astype(np.int8)] for _ in range(10)]
    spool = TraceSpool(tmp_path / "spool", 2)
    spool.append(TracePart.join([TracePart.of(frames[:6]), TracePart.of(frames[6:])]))
    assert spool.windows == 10
    spool.events[1].cut(spool.events[1].size - 1)
    assert spool.windows < 10
    whole = spool.windows
    spool.cut(whole)
    assert spool.events[1].size == 5 * sum(np.count_nonzero(f[1]) for f in frames[:whole])
    spool.append(TracePart.of(frames[whole:]))
    expected = np.concatenate([np.flatnonzero(f[0]) for f in frames])
    np.testing.assert_array_equal(np.fromfile(spool.events[0].path, "<i4,i1")["f0"], expected)
    spool.close()


class TestReader:
    def test_what_is_no_trace(self, tmp_path):
        with pytest.raises(gx.FormatError, match="no such file"):
            gx.open_trace(tmp_path)
        (tmp_path / "trace.h5").write_bytes(b"text")
        with pytest.raises(gx.FormatError, match="damaged"):
            gx.open_trace(tmp_path)
        with h5py.File(tmp_path / "other.h5", "w") as file:
            file["x"] = 1
        with pytest.raises(gx.FormatError, match="no trace of gxevent"):
            gx.open_trace(tmp_path / "other.h5")
        with h5py.File(tmp_path / "new.h5", "w") as file:
            file.attrs.update({"format": "gxevent trace", "version": 9})
        with pytest.raises(gx.FormatError, match="trace version 9"):
            gx.open_trace(tmp_path / "new.h5")

    def test_samples_that_are_not_there(self, work):
        with gx.open_trace(work / "whole") as trace:
            with pytest.raises(gx.OptionError, match="'nobody'"):
                trace.sample("nobody")
            with pytest.raises(gx.OptionError, match="4000 samples"):
                trace.sample(4000)

    def test_cut_short_anywhere_it_says_so(self, work, tmp_path):
        data = (work / "whole" / "trace.h5").read_bytes()
        for keep in (0, 8, 100, 2000, len(data) // 2):
            (tmp_path / "trace.h5").write_bytes(data[:keep])
            with pytest.raises(gx.FormatError, match="damaged"):
                gx.open_trace(tmp_path)


def test_inspect_shows_it(work, tmp_path):
    import subprocess
    import sys

    for path in (work / "whole", work / "whole" / "trace.h5"):
        done = subprocess.run(
            [sys.executable, "-m", "gxevent", "inspect", str(path)], capture_output=True, text=True, check=True
        )
        assert "of 4,000 samples in 4,000 windows" in done.stdout
        assert "pool1" in done.stdout


def test_without_h5py_nothing_begins(work, tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "h5py", None)
    graph, dataset = gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images")
    with pytest.raises(gx.MissingExtraError, match=r"gxevent\[events\]"):
        gx.record_run(graph, dataset, tmp_path / "run", trace=True)
    assert not (tmp_path / "run").exists()
