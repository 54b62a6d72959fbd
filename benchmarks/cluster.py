"""What a task on a cluster costs: time of client, scheduler and workers, and bytes, beside the work itself.

    python benchmarks/cluster.py [--tasks 2000] [--samples 20000] [--workers 2]

Starts a scheduler and worker processes on this machine, talks to them over TCP, and measures processor time of each
process, so that a busy machine disturbs little. docs/cluster.md builds its estimate for 1,000 workers on these figures.
"""

from __future__ import annotations

import argparse
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np

import gxevent as gx
from gxevent.runtime.cluster import open_cluster
from gxevent.runtime.run import Runner, Settings
from gxevent.runtime.tally import Part
from gxevent.runtime.tasks import Done

HERE = Path(__file__).resolve().parents[1]


def nothing(item, *shared):
    return item


@contextmanager
def machines(workers: int, port: int = 8791):
    """A scheduler and workers as processes of their own; yields their address and processes."""
    import psutil

    def start(*args):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return psutil.Popen([sys.executable, "-m", "dask", *map(str, args)], cwd=HERE, **quiet)

    address = f"tcp://127.0.0.1:{port}"
    scheduler = start("scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard")
    started = [start("worker", address, "--nthreads", 1, "--no-nanny", "--no-dashboard") for _ in range(workers)]
    try:
        yield address, scheduler, started
    finally:
        for process in (*started, scheduler):
            process.kill()
            process.wait()


class Clock:
    """Processor seconds of client, scheduler and workers between two looks."""

    def __init__(self, scheduler, workers) -> None:
        self.processes = scheduler, workers

    def look(self) -> np.ndarray:
        scheduler, workers = self.processes
        return np.array(
            [
                time.process_time(),
                sum(scheduler.cpu_times()[:2]),
                sum(sum(worker.cpu_times()[:2]) for worker in workers),
                time.perf_counter(),
            ]
        )

    def of(self, work) -> tuple[np.ndarray, object]:
        before = self.look()
        result = work()
        return self.look() - before, result


def tasks(clock: Clock, cluster, n: int) -> None:
    print(f"\n{'empty tasks':<34}{'client':>9}{'scheduler':>11}{'workers':>9}{'wall':>8}   ms a task")
    for what, size in (("carrying 100 bytes there and back", 100), ("carrying 64 KiB there and back", 1 << 16)):
        list(cluster.submit_all(nothing, [bytes(size)] * 50))  # warm

        def work(size: int = size) -> None:
            for _ in cluster.submit_all(nothing, [bytes(size)] * n):
                pass

        rounds = [clock.of(work)[0] for _ in range(3)]
        ms = 1e3 * np.median(rounds, axis=0) / n
        print(f"{what:<34}{ms[0]:>9.2f}{ms[1]:>11.2f}{ms[2]:>9.2f}{ms[3]:>8.2f}")


def runs(clock: Clock, address: str, graph: gx.EventGraph, data: gx.events.DataSet) -> None:
    with tempfile.TemporaryDirectory() as folder:
        gx.record_run(graph, data, None, cluster=address)  # warm: workers open the data
        many, summary = clock.of(lambda: gx.record_run(graph, data, f"{folder}/many", cluster=address))
        begun = time.process_time()
        expected = gx.record_run(graph, data, f"{folder}/alone")
        alone = time.process_time() - begun
        csv = [(Path(folder) / name / "samples.csv").read_bytes() for name in ("many", "alone")]
        assert csv[0] == csv[1]
        assert summary["results_sha256"] == expected["results_sha256"]
    us = 1e6 * many / len(data)
    print(f"\n{len(data):,} images, {graph.name}: same samples.csv and results_sha256 as one process")
    print(f"one process          {1e6 * alone / len(data):8.1f} us of processor time a sample")
    print(f"cluster, workers     {us[2]:8.1f}")
    print(f"cluster, client      {us[0]:8.1f}")
    print(f"cluster, scheduler   {us[1]:8.1f}")


def merging(graph: gx.EventGraph, data: gx.events.DataSet) -> None:
    """What the client does for each sample once its part is there, and how many bytes come and go."""
    from gxevent.runtime.journal import Journal
    from gxevent.runtime.recorded import _identity

    settings = Settings()
    rows = [row for batch, _ in Runner(graph, settings).run(data) for row in batch]
    n = len(rows)
    done = Done(Part.of(rows), None, "avx512", 1.0)
    packed = pickle.dumps(done)
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(f"{folder}/run", graph, data, _identity(graph, data, settings))
        begun = time.process_time()
        journal.append(pickle.loads(packed).part)
        took = time.process_time() - begun
        journal.close()
    print(f"\nbytes a sample       {len(pickle.dumps(data.samples)) / n:8.1f} there, {len(packed) / n:.1f} back")
    print(f"graph                {len(pickle.dumps(graph)):8,} bytes, once to each worker")
    print(f"client, merging      {1e6 * took / n:8.2f} us of processor time a sample (read, add up, hash, write)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=2000)
    parser.add_argument("--samples", type=int, default=20_000)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    sys.path.insert(0, str(HERE))
    from tests import networks
    from tests.runtime.runs import write_images

    with tempfile.TemporaryDirectory() as folder, machines(args.workers) as (address, scheduler, workers):
        data = gx.open_dataset(write_images(Path(folder) / "images", args.samples, shape=(28, 28), classes=10))
        net = networks.lenet()
        encoder = gx.Encoder("ternary", low=-0.5, high=0.5)
        net = gx.TernaryNetwork(
            (1, 28, 28), encoder, net.layers, tuple("0123456789"), name="32C5-MP2-64C5-MP2-512FC-10"
        )
        graph = gx.compile(net)
        clock = Clock(scheduler, workers)
        with open_cluster(address) as cluster:
            while cluster.slots() < args.workers:
                time.sleep(0.5)
            tasks(clock, cluster, args.tasks)
        runs(clock, address, graph, data)
        merging(graph, data)


if __name__ == "__main__":
    main()
