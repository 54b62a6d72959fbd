"""A study on a cluster has the table of a single process."""

from __future__ import annotations

from pathlib import Path

import pytest

import gxevent as gx
from gxevent.mapping import load_chip, measure_activity, sweep as sweeps, uniform_activity
from gxevent.mapping.sweep import sweep
from tests.cli.conftest import gxevent, network, recordings, refused  # noqa: F401  (fixtures)
from tests.mapping.conftest import line_graph

CHIPS = ("--chip", "loihi1,gxnor-array,brainscales2", "--method", "sequential,grown", "--budget", "0.05")


@pytest.fixture
def graph(tmp_path):
    gx.save(line_graph((2000, 60, 10)), tmp_path / "line.gxg")
    return tmp_path / "line.gxg"


def test_a_cluster_gives_the_table_of_one_process(gxevent, graph, tmp_path):  # noqa: F811
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    for name, more in (("one", ()), ("many", ("--cluster", "local:2"))):
        answer = gxevent("map", graph, *CHIPS, "-o", tmp_path / f"{name}.json", *more, "--quiet")
        assert (answer.status, answer.out, answer.err) == (1, "", "")  # one chip cannot hold it
    written = (tmp_path / "one.json").read_text()
    assert written.count('"does not fit"') > 2
    assert written.count('"latency_us"') > 4
    assert (tmp_path / "many.json").read_text() == written


def test_measured_activity(network, recordings, tmp_path):  # noqa: F811
    """Workers run the data again for the simulation; mappings and simulations come back whole."""
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    graph = gx.compile(gx.load_network(network))
    weights = measure_activity(graph, gx.open_dataset(recordings))
    runs = [(load_chip(chip), "tiles") for chip in ("loihi1", "gxnor-array")]
    options = {"data": Path(recordings), "samples": 3, "seed": 1, "budget": 0.05}
    alone, said = sweep(graph, runs, weights, **options), []
    there = sweep(graph, runs, weights, cluster="local:1", progress=said.append, **options)
    assert [point.as_dict() for point in there] == [point.as_dict() for point in alone]
    for i, points in enumerate(zip(alone, there, strict=True)):
        for name, point in zip(("alone", "there"), points, strict=True):
            point.mapping.save(tmp_path / f"{name}{i}.json")
        assert (tmp_path / f"there{i}.json").read_bytes() == (tmp_path / f"alone{i}.json").read_bytes()
    assert said == ["loihi1, tiles: through", "gxnor-array, tiles: through"]
    assert len(there[0].simulation.samples) == 3


def test_workers_that_lack_something_say_so(monkeypatch):
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    graph = line_graph((20, 10))
    runs = [(load_chip("loihi1"), "sequential")]
    with pytest.raises(gx.FormatError, match=r"worker tcp://.*/nowhere\.zip: no such file .* all of them see it"):
        sweep(graph, runs, uniform_activity(graph), data=Path("nowhere.zip"), samples=1, cluster="local:1", budget=0)
    monkeypatch.setattr(sweeps, "__version__", "99.0")
    with pytest.raises(gx.FormatError, match=r"has gxevent .*, the study began with 99\.0"):
        sweep(graph, runs, uniform_activity(graph), cluster="local:1", budget=0)


def test_bad_addresses(gxevent, graph, tmp_path):  # noqa: F811
    pytest.importorskip("distributed", reason="cluster runs need an extra")
    refused(gxevent("map", graph, *CHIPS, "--cluster", "http://x"), "tcp://HOST:PORT", "local:K")
    refused(gxevent("map", graph, "--check", tmp_path / "x.json", "--cluster", "local:1"), "--cluster is for mapping")
