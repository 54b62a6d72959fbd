"""Runs of data sets on a cluster: what a task is, how large, and what a worker does with it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from gxevent import __version__
from gxevent.errors import FormatError, GxError, OptionError
from gxevent.events import DataSet, Sample, open_dataset
from gxevent.graph import EventGraph
from gxevent.runtime.cluster import Cluster, worker_name
from gxevent.runtime.run import Runner, Settings
from gxevent.runtime.spool import TracePart
from gxevent.runtime.tally import Part

TASK_S = 1.0
"""Seconds a task takes at least, if there is enough to do: long beside what it costs to send it."""
TASKS_A_SECOND = 100
"""Tasks that all workers together finish in a second, at most: a scheduler does several times as many."""
RESULT_BYTES = 1 << 26
"""What a task gives at most, roughly: traces are large."""
SMALLEST, FIRST, LARGEST = 16, 64, 1 << 17
"""Samples a task may have; those it has before it is known how long they take."""
SHARED = "workers read the data from the path that the run was given: put it where all of them see it"


@dataclass(frozen=True)
class Job:
    """What every task of a run needs to know."""

    name: str
    source: str
    settings: Settings
    threads: int
    kernel: str
    version: str


@dataclass(frozen=True, eq=False)
class Done:
    """What a task of a run gave."""

    part: Part
    events: TracePart | None
    kernel: str
    seconds: float

    @property
    def samples(self) -> int:
        return len(self.part.latency_us)

    @property
    def nbytes(self) -> int:
        """About what it takes to send it."""
        traced = sum(events.nbytes for events in self.events.events) if self.events else 0
        return len(self.part.csv) + len(self.part.hashed) + self.part.latency_us.nbytes + traced


def run_on(
    cluster: Cluster, graph: EventGraph, dataset: DataSet, settings: Settings, threads: int, kernel: str
) -> Iterator[Done]:
    """Run a data set's samples on a cluster, in order. Workers read the data from the same path as this process.

    Raises OptionError for data that is not read from a path, and what the workers raise.
    """
    if not Path(dataset.source).exists():
        raise OptionError(f"{dataset.source}: a cluster run needs data on a path, which every worker sees")
    job = Job(uuid.uuid4().hex, str(Path(dataset.source).resolve()), settings, threads, kernel, __version__)
    size = TaskSize()
    shared = cluster.share(graph), cluster.share(job)
    for done in cluster.submit_all(_run_task, size.chunks(dataset.samples, cluster), *shared):
        size.learn(done, cluster.slots())
        yield done


class TaskSize:
    """How many samples a task gets: as many as take its time; fewer near the end, so that all workers end together."""

    def __init__(self) -> None:
        self.samples = FIRST

    def chunks(self, samples: tuple[Sample, ...], cluster: Cluster) -> Iterator[tuple[Sample, ...]]:
        at = 0
        while at < len(samples):
            share = -(-(len(samples) - at) // (2 * max(cluster.slots(), 1)))
            n = min(self.samples, max(share, SMALLEST))
            yield samples[at : at + n]
            at += n

    def learn(self, done: Done, slots: int) -> None:
        seconds = max(TASK_S, slots / TASKS_A_SECOND)
        wanted = done.samples * min(seconds / max(done.seconds, 1e-6), RESULT_BYTES / done.nbytes)
        self.samples = min(max(int(wanted), SMALLEST), 2 * self.samples, LARGEST)


def _run_task(samples: tuple[Sample, ...], graph: EventGraph, job: Job) -> Done:
    """Runs on a worker."""
    if job.version != __version__:
        raise FormatError(
            f"{worker_name()}: has gxevent {__version__}, the run began with {job.version}: install the same"
        )
    data = _worker.data_of(job)
    for sample in samples:
        if sample.id not in data.ids:
            raise FormatError(f"{worker_name()}: {job.source} has no sample {sample.id} there; {SHARED}")
    runner = _worker.runner_of(job, graph)
    begun = time.perf_counter()
    made = list(runner.run(replace(data.dataset, samples=samples)))
    rows = [row for batch, _ in made for row in batch]
    events = TracePart.join([part for _, part in made]) if job.settings.trace else None
    return Done(Part.of(rows), events, runner.kernel, time.perf_counter() - begun)


@dataclass(frozen=True, eq=False)
class _Data:
    dataset: DataSet
    ids: frozenset[str]


class _Worker:
    """What a worker keeps between the tasks of a run: the data set once, an engine for each of its threads."""

    def __init__(self) -> None:
        self._lock, self._local = threading.Lock(), threading.local()
        self._data: tuple[str, _Data] | None = None

    def data_of(self, job: Job) -> _Data:
        with self._lock:
            if self._data is None or self._data[0] != job.name:
                try:
                    dataset = open_dataset(job.source, split="all")
                except GxError as error:
                    raise type(error)(f"{worker_name()}: {error}; {SHARED}") from error
                self._data = job.name, _Data(dataset, frozenset(s.id for s in dataset.samples))
            return self._data[1]

    def runner_of(self, job: Job, graph: EventGraph) -> Runner:
        if getattr(self._local, "job", None) != job.name:
            self._local.runner = Runner(graph, job.settings, job.threads, job.kernel)
            self._local.job = job.name
        return self._local.runner


_worker = _Worker()
