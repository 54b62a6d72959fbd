"""A small real bench from plan to files: processes, rows, CSV, JSON, Markdown, plot; and bad input."""

from __future__ import annotations

import csv
import json

import msgspec
import pytest

from gxevent.bench import Settings, bench, goals, read, results
from gxevent.bench.files import write_all
from gxevent.bench.page import page
from gxevent.bench.peers import registry
from gxevent.bench.peers.base import Contestant, Peer
from gxevent.bench.runner import environment, plan
from gxevent.bench.table import tables
from gxevent.bench.worker import Job, run
from gxevent.errors import CrosscheckError, FormatError, OptionError
from tests.cli.conftest import gxevent, refused

__all__ = ["gxevent"]

PEERS = "numpy fp32,numpy events,torch fp32,torch int8 dynamic,onnxruntime fp32,onnxruntime int8 static"


@pytest.fixture(scope="module")
def measured() -> results.Results:
    """A small layer at two activities with two batch sizes, three rounds of short slots."""
    peers = tuple(peer for peer in registry.choose(PEERS) if not peer.missing())
    settings = Settings(("128",), (0.2, 1.0), (1, 8), peers=peers, rounds=3, slot_ms=0.5)
    return bench(settings)


def test_every_case_has_a_row_for_everybody(measured):
    assert not [s for s in measured.skipped if s.peer != "numpy events"], measured.skipped
    cases = {(row.network, row.activity, row.batch) for row in measured.rows}
    assert len(cases) == 4
    for network, activity, batch in cases:
        rows = {r.peer: r for r in measured.rows if (r.network, r.activity, r.batch) == (network, activity, batch)}
        assert {"gxevent", "gxevent counting", "numpy fp32"} <= set(rows)
        assert ("numpy events" in rows) == (batch == 1)
        assert rows["gxevent"].ratio is None
        for row in rows.values():
            assert row.us_low <= row.us <= row.us_high
            assert (row.rounds, row.threads, row.clock) == (3, 1, "processor")
            assert row.equal is (True if row.runs == "ternary" else None), row
            assert row.measured == pytest.approx(activity, abs=0.02)
            if row.peer != "gxevent":
                assert row.ratio_low <= row.ratio <= row.ratio_high
                assert row.ours_us == rows["gxevent"].us
    assert measured.machine["processes"][0]["cpus"]


def test_files_hold_all_of_it(measured, tmp_path):
    paths = write_all(measured, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["bench.json", "bench.csv", "bench.md", "bench.png"]
    assert paths[3].read_bytes()[:4] == b"\x89PNG"
    with paths[1].open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(results.Row.__struct_fields__)
    assert len(rows) == len(measured.rows)
    assert float(rows[1]["us"]) == measured.rows[1].us
    assert rows[0]["ratio"] == ""
    again = read(tmp_path / "new" / "folder")
    assert msgspec.to_builtins(again) == msgspec.to_builtins(measured)
    assert json.loads(paths[0].read_text())["machine"]["kernel"] == measured.machine["kernel"]


def test_tables_have_a_line_a_peer_and_a_column_an_activity(measured):
    found = tables(measured)
    assert len(found) == 2
    for title, head, rows in found:
        assert "layer, batch" in title
        assert head == ("", "runs", "20% active", "100% active")
        assert [row[0] for row in rows][:2] == ["gxevent", "gxevent counting"]
        assert all(len(row) == 4 for row in rows)


def row(**more) -> results.Row:
    plain = {
        "network": "mlp", "activity": 0.05, "measured": 0.05, "batch": 1, "threads": 1, "family": "onnxruntime",
        "precision": "int8", "runs": "relu", "us": 40.0, "us_low": 39.0, "us_high": 41.0, "wall_us": 41.0,
        "clock": "processor", "ratio": 40.0, "ratio_low": 38.0, "ratio_high": 42.0, "ours_us": 1.0, "equal": None,
        "rounds": 20, "calls": 100,
    }  # fmt: skip
    return results.Row(**(plain | more))


def test_markdown_sets_goals_beside_the_fastest_peer():
    found = results.Results(
        machine={"processor": "P", "kernel": "K", "versions": {"torch": "9"}},
        rows=[
            row(peer="onnxruntime int8 static", ratio=40.0),
            row(peer="onnxruntime int8 dynamic", ratio=50.0),
            row(peer="onnxruntime int8 static", activity=0.2, ratio=31.0, ratio_low=30.0, ratio_high=32.0),
            row(peer="onnxruntime fp32", ratio=200.0, equal=False),
            row(peer="gxevent counting", ratio=1.05, us=1.05, ratio_low=1.04, ratio_high=1.06),
        ],
    )
    lines = page(found).splitlines()
    mlp = next(line for line in lines if line.startswith("| MLP 784-512-512-10, batch 1 |"))
    assert "| 40x (38-42), goal 45x | **31x (30-32)**, goal 30x | goal 18x: not measured |" in mlp
    assert "| goal 115x: not measured |" in lines[3]  # other sums are no measurement
    assert "| mlp, batch 1, 1 thread | 5% | 1 | 1.05 | 1.05 (1.04-1.06) |" in lines
    assert lines[-1].startswith("Median ratio (middle half) of 20 interleaved rounds")
    grid = lines[lines.index("### mlp, batch 1") + 2 :][:4]
    assert grid == [
        "|  | 5% active | 20% active |",
        "|---|---|---|",
        "| onnxruntime int8 static | 40x | 31x |",
        "| onnxruntime int8 dynamic | 50x | - |",
    ]


def test_page_shows_shipped_networks_sizes_and_threads():
    ours = {"peer": "gxevent", "family": "gxevent", "ratio": None}
    found = results.Results(
        rows=[
            row(network="zoo:digits", activity=None, measured=0.41, us=8.0, **ours),
            row(network="zoo:digits", activity=None, measured=0.41, peer="onnxruntime fp32", ratio=9.0),
            *(row(network=n, activity=0.2, us=us, **ours) for n, us in (("1024", 1.6), ("128", 0.9))),
            row(network="128", activity=0.2, peer="onnxruntime fp32", ratio=21.0),
            row(network="1024", activity=0.2, batch=256, wall_us=2.0, **ours),
            row(network="1024", activity=0.2, batch=256, threads=2, wall_us=1.1, **ours),
        ]
    )
    lines = page(found).splitlines()
    at = lines.index("### The shipped networks at their own activity")
    assert lines[at + 2] == "|  | digits, 41% active, batch 1 |"
    assert lines[at + 4 : at + 6] == ["| gxevent | 8 us |", "| onnxruntime fp32 | 9.0x |"]
    at = lines.index("### Time against layer size")
    assert lines[at + 2] == "|  | 128x128 | 1024x1024 |"
    assert lines[at + 4 : at + 6] == ["| gxevent | 0.9 us | 1.6 us |", "| onnxruntime fp32 | 21x | - |"]
    at = lines.index("### Two threads and more")
    assert lines[at + 4] == "| 1024 | 256 | 20% | 2 | 1.1 | 1.82x |"


def test_goals_name_peers_that_there_are():
    names = {peer.name for peer in registry.PEERS}
    for goal in goals.GOALS:
        assert set(goal.peers) <= names, goal
        assert len(goal.ratios) == len(goals.SHARES)


def test_command_measures_prints_and_writes(gxevent, tmp_path):
    answer = gxevent(
        "bench", "--peers", "numpy", "--network", "64", "--activity", "20%", "--batch", "1", "--rounds", "2", "-o",
        tmp_path / "out", "--json",
    )  # fmt: skip
    assert answer.status == 0
    assert {row["peer"] for row in answer.json["rows"]} >= {"gxevent", "gxevent counting", "numpy fp32"}
    printed = gxevent("bench", "--markdown", tmp_path / "out")
    assert printed.status == 0
    assert printed.out == (tmp_path / "out" / "bench.md").read_text()
    twice = gxevent("bench", "--markdown", tmp_path / "out", "--markdown", tmp_path / "out" / "bench.json")
    assert twice.out.count("| 64, batch 1, 1 thread |") == 2


def test_bad_input(gxevent, tmp_path):
    refused(gxevent("bench", "--peers", "tensorflow"), "'tensorflow' is not known", "onnxruntime")
    refused(gxevent("bench", "--network", "resnet"), "'resnet'", "mlp, lenet, vgg", "width")
    refused(gxevent("bench", "--network", "zoo:frog"), "zoo:frog", "zoo:digits")
    refused(gxevent("bench", "--network", "zoo:nmnist", "--data", tmp_path), "nmnist_subset.zip", "--data DIR")
    refused(gxevent("bench", "--activity", "much"), "--activity", "numbers", "'much'")
    refused(gxevent("bench", "--activity", "0"), "activity", "100 %")
    refused(gxevent("bench", "--activity", "120"), "activity", "got 1.2")
    refused(gxevent("bench", "--batch", "0"), "batch", ">= 1")
    refused(gxevent("bench", "--threads", "0"), "threads", ">= 1")
    refused(gxevent("bench", "--threads", "4096"), "threads", "processors")
    refused(gxevent("bench", "--kernel", "cuda"), "'cuda' cannot run")
    refused(gxevent("bench", "--markdown", tmp_path), "bench.json", "no such file")
    (tmp_path / "bench.json").write_text('{"format": "other"}')
    refused(gxevent("bench", "--markdown", tmp_path / "bench.json"), "not a bench.json")
    (tmp_path / "bench.json").write_text('{"rows": 5}')
    with pytest.raises(FormatError, match="rows"):
        read(tmp_path)


def test_a_network_that_cannot_be_made_is_noted_and_the_others_go_on():
    settings = Settings(("32",), (0.2,), (1,), peers=(), rounds=1, slot_ms=0.1)
    object.__setattr__(settings, "networks", ("zoo:nothing", "32"))
    said: list[str] = []
    kept: list[int] = []
    found = bench(settings, note=said.append, keep=lambda results: kept.append(len(results.rows)))
    assert kept == [0, 2]  # after each job
    assert [row.network for row in found.rows] == ["32", "32"]
    assert "zoo:nothing" in said[0]
    assert found.skipped[0].network == "zoo:nothing"


def test_peers_with_a_process_of_their_own_get_a_job_each():
    peers = registry.choose("all")
    jobs = plan(Settings(("mlp",), (0.2, 0.45), peers=peers, threads=(1,)))
    alone = [peer.name for peer in peers if peer.own_process and not peer.missing()]
    assert [(job.peers, job.activities) for job in jobs[1:]] == [([name], [a]) for name in alone for a in (0.2, 0.45)]
    assert jobs[0].with_ours
    assert not any(job.with_ours for job in jobs[1:])


def test_measuring_processes_do_not_inherit_a_forced_blas_kernel(monkeypatch):
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Prescott")
    made = environment(2)
    assert "OPENBLAS_CORETYPE" not in made
    assert made["OMP_NUM_THREADS"] == made["OPENBLAS_NUM_THREADS"] == "2"


def test_settings_are_checked():
    with pytest.raises(OptionError, match="rounds"):
        Settings(rounds=0)


@pytest.mark.parametrize("fails_at", ["make", "prepare", "call"])
def test_a_peer_that_breaks_is_named_and_the_others_go_on(monkeypatch, fails_at):
    def broken(*_):
        raise RuntimeError("no such\nluck")

    def make(task):
        if fails_at == "make":
            broken()
        return Contestant(broken if fails_at == "prepare" else lambda x: x, broken)

    numpy = registry.choose("numpy fp32")[0]
    peers = (Peer("broken", "broken", "fp32", "relu", {}, make), numpy)
    monkeypatch.setattr(registry, "by_name", lambda names: peers)
    messages: list[dict] = []
    run(Job(network="16", activities=[0.5], batches=[2], peers=["broken"], rounds=1, slot_ms=0.1), messages.append)
    assert [m["row"]["peer"] for m in messages if "row" in m] == ["gxevent", "gxevent counting", "numpy fp32"]
    skipped = [m["skipped"] for m in messages if "skipped" in m]
    assert [(s["peer"], s["why"]) for s in skipped] == [("broken", "RuntimeError: no such luck")]


def test_a_peer_that_gives_other_sums_is_marked_and_is_no_measurement(monkeypatch):
    peer = Peer(
        "liar", "liar", "fp32", "ternary", {}, lambda task: Contestant(lambda x: x, lambda x: x, lambda x: 0 * x)
    )
    monkeypatch.setattr(registry, "by_name", lambda names: (peer,))
    found = results.Results()

    def take(message):
        if "row" in message:
            found.rows.append(msgspec.convert(message["row"], results.Row))

    run(Job(network="16", activities=[0.5], batches=[1], peers=["liar"], rounds=1, slot_ms=0.1), take)
    assert [r.peer for r in found.differing] == ["liar"]
    assert ("liar", "GIVES OTHER SUMS") in [line[:2] for line in tables(found)[0].rows]


def test_a_wrong_engine_is_not_timed(monkeypatch):
    wrong = type("Result", (), {"accumulators": 7})()
    monkeypatch.setattr("gxevent.runtime.engine.Engine.run", lambda *_, **__: wrong)
    with pytest.raises(CrosscheckError, match="other sums than the reference"):
        run(Job(network="16", activities=[0.5], batches=[1], rounds=1), lambda message: None)
