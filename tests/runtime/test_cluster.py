"""Cluster runs give the files of a single process, over real worker processes and TCP, whatever happens to a worker."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gxevent as gx
from gxevent.mapping import load_chip, map_graph
from gxevent.runtime import cluster as clusters, tasks
from gxevent.runtime.cluster import open_cluster
from tests.runtime import runs
from tests.runtime.runs import SAME, killed, lines, one_line, run, size, summary

pytest.importorskip("distributed", reason="cluster runs need an extra")

ROOT = Path(__file__).parents[2]
QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


class Machines:
    """A scheduler and workers, started as one would by hand."""

    def __init__(self, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.started = folder, []
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.scheduler = self.start("scheduler", "--host", "127.0.0.1", "--port", self.port, "--no-dashboard")

    def start(self, *args, before=()):
        options = {"cwd": self.folder, "env": os.environ | {"PYTHONPATH": str(ROOT)}, **QUIET}
        process = subprocess.Popen([*before, sys.executable, "-m", "dask", *map(str, args)], **options)
        self.started.append(process)
        return process

    def worker(self, before=()):
        return self.start("worker", self.address, "--nthreads", 1, "--no-nanny", "--no-dashboard", before=before)

    def wait_for(self, workers, seconds=60):
        import distributed

        end = time.monotonic() + seconds
        while True:
            try:
                with distributed.Client(self.address, timeout=5, set_as_default=False) as client:
                    while len(client.nthreads()) != workers:
                        assert time.monotonic() < end, f"{client.nthreads()} are not {workers} workers"
                        time.sleep(0.05)
                return
            except OSError:
                assert time.monotonic() < end, "the scheduler does not answer"

    def close(self):
        for process in reversed(self.started):
            process.kill()
            process.wait()


@pytest.fixture
def machines(tmp_path):
    found = Machines(tmp_path)
    yield found
    found.close()


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory):
    found = Machines(tmp_path_factory.mktemp("machines"))
    found.worker()
    found.worker()
    found.wait_for(2)
    yield found
    found.close()


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    return runs.prepare(tmp_path_factory.mktemp("cluster"))


def same_as_whole(work, folder):
    runs.assert_same_run(folder, work / "whole")


def test_a_scheduler_and_two_workers_give_the_same_files(work, two_workers, tmp_path):
    done = run(work / "net.gxg", work / "images", "-o", tmp_path / "run", "--cluster", two_workers.address, "--json")
    assert done.returncode == 0, done.stderr
    same_as_whole(work, tmp_path / "run")
    assert summary(tmp_path / "run")["cluster"] == two_workers.address
    assert summary(tmp_path / "run")["latency_us"]["p50"] > 0


def test_processes_of_this_machine_give_the_same_files(work, tmp_path):
    done = run(work / "net.gxg", work / "images", "-o", tmp_path / "run", "--cluster", "local:2", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    same_as_whole(work, tmp_path / "run")


def test_a_worker_killed_in_the_middle_costs_no_result(work, machines, tmp_path):
    """SIGKILL to one of two workers; then to the other too, and a third one comes."""
    first, second = machines.worker(), machines.worker()
    machines.wait_for(2)
    csv = tmp_path / "run" / "samples.csv"
    args = ("--cluster", machines.address, "--mode", "reference")  # slow enough to be in the middle
    total = size(work / "whole" / "samples.csv")
    process = subprocess.Popen(
        runs.command(work / "net.gxg", work / "images", "-o", tmp_path / "run", *args), stderr=subprocess.PIPE
    )
    for worker, share in ((first, 0.2), (second, 0.5)):
        while size(csv) < share * total:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.005)
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    machines.worker()
    assert process.wait(120) == 0, process.stderr.read()
    same_as_whole(work, tmp_path / "run")


@pytest.mark.slow
def test_killed_here_it_continues_there(work, two_workers, tmp_path):
    """The client is killed on the cluster, continued by one process, killed, continued on the cluster."""
    csv = tmp_path / "run" / "samples.csv"
    total = size(work / "whole" / "samples.csv")
    args = (work / "net.gxg", work / "images", "-o", tmp_path / "run", "--resume")
    there = (*args, "--cluster", two_workers.address)
    assert killed(there, lambda: size(csv) > 0.2 * total)
    seen = size(csv)
    assert killed(args, lambda: size(csv) > 0.5 * total)
    assert size(csv) > seen
    assert run(*there).returncode == 0
    same_as_whole(work, tmp_path / "run")


def test_a_trace_from_a_cluster(work, two_workers, tmp_path):
    pytest.importorskip("h5py", reason="traces need an extra")
    graph, dataset = gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images", limit=500)
    for name, cluster in (("one", None), ("many", two_workers.address)):
        gx.record_run(graph, dataset, tmp_path / name, trace=True, cluster=cluster)
    with gx.open_trace(tmp_path / "one") as one, gx.open_trace(tmp_path / "many") as many:
        assert one.events == many.events
        for (name, windows), (other, found) in zip(one, many, strict=True):
            assert name == other
            for a, b in zip(windows, found, strict=True):
                assert all((a[p].address == b[p].address).all() and (a[p].value == b[p].value).all() for p in a)


def test_recordings_in_an_archive(two_workers, tmp_path):
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), split="test", limit=100)
    expected = gx.run_dataset(graph, dataset, window="50ms").summary
    found = gx.record_run(graph, dataset, None, window="50ms", cluster=two_workers.address)
    for key in SAME:
        assert found[key] == expected[key], key


def test_without_dask(work, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(gx.MissingExtraError, match=r"gxevent\[cluster\]"):
        gx.record_run(gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images"), None, cluster="local:1")


class TestErrors:
    def test_addresses(self, work, tmp_path):
        args = (work / "net.gxg", work / "images", "-o", tmp_path / "run", "--cluster")
        one_line(run(*args, "http://x"), "tcp://HOST:PORT", "local:K", "'http://x'")
        one_line(run(*args, "local:0"), "local:K")
        assert not (tmp_path / "run").exists()

    def test_nobody_answers(self, monkeypatch):
        monkeypatch.setattr(clusters, "CONNECT_S", 0.5)
        with pytest.raises(gx.ClusterError, match="no scheduler answers there"), open_cluster("tcp://127.0.0.1:9"):
            pass

    def test_a_scheduler_without_workers(self, machines, monkeypatch):
        monkeypatch.setattr(clusters, "WORKERS_S", 0.5)
        machines.wait_for(0)
        with pytest.raises(gx.ClusterError, match=r"no worker for .*dask worker"), open_cluster(machines.address):
            pass

    def test_the_workers_go_away_for_good(self, work, machines, monkeypatch, tmp_path):
        """What was done is safe, and a single process ends the run."""
        monkeypatch.setattr(clusters, "WORKERS_S", 1.0)
        worker = machines.worker()
        machines.wait_for(1)
        graph, dataset = gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images", limit=3000)

        def progress(_):
            worker.kill()

        with pytest.raises(gx.ClusterError, match=r"no worker for .* samples are safe in .* --resume"):
            gx.record_run(graph, dataset, tmp_path / "run", cluster=machines.address, progress=progress)
        gx.record_run(graph, dataset, tmp_path / "run", resume=True)
        there = (tmp_path / "run" / "samples.csv").read_bytes()
        assert (work / "whole" / "samples.csv").read_bytes().startswith(there)

    def test_the_scheduler_goes_away(self, work, machines, tmp_path):
        machines.worker()
        machines.wait_for(1)
        graph, dataset = gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images")

        def progress(_):
            machines.scheduler.kill()

        with pytest.raises(gx.ClusterError, match=r"the scheduler went away; .* samples are safe"):
            gx.record_run(graph, dataset, tmp_path / "run", cluster=machines.address, progress=progress)
        gx.record_run(graph, dataset, tmp_path / "run", resume=True)
        same_as_whole(work, tmp_path / "run")

    def test_a_worker_that_does_not_see_the_data(self, work, machines, tmp_path):
        """Its own name space, where an empty folder lies over the data."""
        hidden = f'mount -t tmpfs none {work / "images"} && exec "$@"'
        before = ("unshare", "--mount", "sh", "-c", hidden, "sh")
        if subprocess.run([*before, "true"], capture_output=True).returncode:
            pytest.skip("name spaces are not allowed here")
        machines.worker(before)
        machines.wait_for(1)
        done = run(work / "net.gxg", work / "images", "-o", tmp_path / "run", "--cluster", machines.address)
        one_line(done, str(work / "images"), "worker tcp://", "holds no recordings", "where all of them see it")
        assert not (tmp_path / "run").exists()

    def test_another_version(self, work, two_workers, monkeypatch):
        monkeypatch.setattr(tasks, "__version__", "99.0")
        with pytest.raises(gx.FormatError, match=r"has gxevent .*, the run began with 99\.0"):
            gx.record_run(
                gx.load_graph(work / "net.gxg"), gx.open_dataset(work / "images"), None, cluster=two_workers.address
            )

    def test_damaged_data_stop_it_where_they_are(self, work, two_workers, tmp_path):
        data = runs.write_recordings(tmp_path / "recordings", 200)
        layers = [gx.Flatten(), gx.Dense(runs.networks.levels(runs.np.random.default_rng(0), (3, 128)))]
        graph = gx.compile(gx.TernaryNetwork((2, 8, 8), gx.Encoder("onoff"), layers, ("a", "b", "c")))
        dataset = gx.open_dataset(data)
        at = [s.id for s in dataset.samples].index("test/c/110.csv")
        (data / "test" / "c" / "110.csv").write_text("t,x,y,p\n0,1\n")
        with pytest.raises(gx.FormatError, match=r"110\.csv.* samples are safe") as error:
            gx.record_run(graph, dataset, tmp_path / "run", cluster=two_workers.address)
        safe = int(re.search(r"(\d+) of 200 samples are safe", str(error.value))[1])
        assert 0 < safe <= at
        assert lines(tmp_path / "run" / "samples.csv") == 1 + safe


def double(item, *shared):
    if item == "stop":
        raise gx.OptionError("stopped")
    return (os.getpid(), item, *shared)


def die(item):
    os._exit(1)


def late(item):
    raise TimeoutError("its own")


class FailsAtTheEndOfTheFirstWait:
    """A future of the cluster, in the worst of moments."""

    def __init__(self, future):
        self.future, self.waited = future, False

    @property
    def status(self):
        return self.future.status

    def result(self, timeout):
        if self.waited:
            return self.future.result(timeout=timeout)
        self.waited = True
        self.future.exception()  # waits for it
        raise TimeoutError


class TestSubmitAll:
    def test_results_come_in_order_from_both_workers(self, two_workers):
        asked = []

        def items():
            for i in range(200):
                asked.append(i)
                yield i

        with open_cluster(two_workers.address) as cluster:
            shared = cluster.share({"big": list(range(1000))})
            found = cluster.submit_all(double, items(), shared)
            assert next(found)[1:] == (0, {"big": list(range(1000))})
            assert len(asked) <= clusters.AHEAD * 2 + 1, "more in flight than keeps the workers busy"
            rest = list(found)
        assert [result[1] for result in rest] == list(range(1, 200))
        assert len({result[0] for result in rest}) == 2

    def test_what_a_function_raises_comes_at_its_place(self, two_workers):
        with open_cluster(two_workers.address) as cluster:
            found = cluster.submit_all(double, [1, 2, "stop", 3])
            assert [next(found)[1], next(found)[1]] == [1, 2]
            with pytest.raises(gx.OptionError, match="stopped"):
                next(found)
            assert list(cluster.submit_all(double, [])) == []

    def test_a_timeout_may_be_the_tasks_own(self, two_workers):
        with open_cluster(two_workers.address) as cluster, pytest.raises(TimeoutError, match="its own"):
            list(cluster.submit_all(late, [0]))

    def test_a_task_that_fails_just_as_the_wait_for_it_ends(self, two_workers):
        """Its own error is raised, not that of the wait."""
        with open_cluster(two_workers.address) as cluster, pytest.raises(gx.OptionError, match="stopped"):
            cluster._result(FailsAtTheEndOfTheFirstWait(cluster.client.submit(double, "stop")))

    @pytest.mark.slow
    def test_a_task_that_ends_every_worker_is_given_up(self):
        with open_cluster("local:1") as cluster, pytest.raises(gx.ClusterError, match="ended every worker"):
            list(cluster.submit_all(die, [0]))

    def test_a_mapping_sweep(self, two_workers):
        """Chips by methods, as a loop and on the cluster."""
        graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
        items = [(chip, method) for chip in ("loihi2", "akida") for method in ("sequential", "tiles")]
        with open_cluster(two_workers.address) as cluster:
            found = list(cluster.submit_all(mapped, items, cluster.share(graph)))
        assert found == [mapped(item, graph) for item in items]
        assert len(set(found)) > 1


def mapped(item, graph):
    """Cores used and events routed of one (chip, method)."""
    chip, method = item
    try:
        made = map_graph(graph, load_chip(chip), method=method, seed=1, budget=0)
    except gx.CapacityError as error:
        return str(error)
    return len(made.cores), sum(len(routes) for routes in made.routes.values())
