"""Runs written into a folder as they go: they survive what happens to the process, and may use many machines."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from time import perf_counter
from typing import Any

from gxevent import __version__, files
from gxevent.errors import FormatError, GxError
from gxevent.events import DataSet
from gxevent.graph import EventGraph
from gxevent.runtime import trace as traces
from gxevent.runtime.cluster import Cluster, open_cluster
from gxevent.runtime.journal import Journal, samples_sha256
from gxevent.runtime.record import SampleRow
from gxevent.runtime.run import Runner, Settings, check_data
from gxevent.runtime.spool import TracePart
from gxevent.runtime.tally import Part, Tally
from gxevent.runtime.tasks import run_on


def record_run(
    graph: EventGraph,
    dataset: DataSet,
    folder: str | os.PathLike[str] | None,
    *,
    window: str | None = None,
    stride: str | None = None,
    mode: str = "batch",
    threads: int = 1,
    kernel: str = "auto",
    trace: bool = False,
    resume: bool = False,
    cluster: str | None = None,
    progress: Callable[[int], Any] | None = None,
    found: Callable[[int], Any] | None = None,
    log: Sequence[str] = (),
) -> dict[str, Any]:
    """Run every sample of a data set, write each into a run folder as it is done, and return the summary.

    Memory stays flat however many samples there are; ``load_run`` reads the rows.

    Parameters
    ----------
    folder
        Run folder; None to keep the summary only.
    trace
        Whether to keep all address events of all populations (``trace.h5``, read by ``open_trace``).
    resume
        Whether to continue an unfinished run in the folder; where there is none it begins, a finished one is left as
        it is. Its files are those of an undisturbed run, times aside.
    cluster
        "tcp://HOST:PORT" of a Dask scheduler, or "local:K" for K processes on this machine.
    progress, found
        Called with the number of samples finished since the last call; and once, with that of those already there.
    log
        Lines for ``run.log``.

    Raises what ``encode_samples``, ``Engine``, the readers and ``open_cluster`` raise. When the run stops so, what is
    finished is safe, and the message says how to go on.
    """
    settings = Settings(window, stride, mode, trace)
    check_data(graph, dataset, settings)
    runner = Runner(graph, settings, threads, kernel)
    if trace:
        traces.h5py()
    identity = _identity(graph, dataset, settings)
    with ExitStack() as stack:
        pool = stack.enter_context(open_cluster(cluster)) if cluster else None
        journal = None
        if folder is not None:
            journal = Journal(folder, graph, dataset, identity, resume=resume, log=log)
            stack.callback(journal.close)
            if journal.summary is not None:
                return journal.summary
            _check_continued(runner, dataset, journal)
        tally = journal.tally if journal else Tally(graph)
        if found:
            found(tally.samples)
        begun = perf_counter()
        rest = replace(dataset, samples=dataset.samples[tally.samples :])
        used = {runner.kernel} if pool is None else set()
        try:
            for part, events in _parts(runner, rest, pool, used, threads, kernel):
                if journal:
                    journal.append(part, events)
                else:
                    tally.add(part)
                if progress:
                    progress(len(part.latency_us))
            summary = tally.summary(journal.elapsed if journal else perf_counter() - begun)
            summary |= {"kernel": ", ".join(sorted(used or {runner.kernel})), "mode": mode, "threads": threads}
            summary |= {"data": dataset.source, "graph_sha256": identity["graph_sha256"]}
            summary |= {"window": window, "stride": stride}
            if cluster:
                summary["cluster"] = cluster
            if journal:
                summary["run"] = identity
                journal.finish(summary, graph.classes)
        except (GxError, OSError) as error:
            if journal is None:
                raise
            raise journal.stopped(error) from error
    return summary


def _identity(graph: EventGraph, dataset: DataSet, settings: Settings) -> dict[str, Any]:
    return {
        "gxevent": __version__,
        "graph_sha256": files.sha256(graph),
        "data": dataset.source,
        "samples": len(dataset),
        "samples_sha256": samples_sha256(dataset),
        "window": settings.window,
        "stride": settings.stride,
        "mode": settings.mode,
        "trace": settings.trace,
    }


def _parts(
    runner: Runner, rest: DataSet, pool: Cluster | None, used: set[str], threads: int, kernel: str
) -> Iterator[tuple[Part, TracePart | None]]:
    """The outcome of samples in their order, from this process or a cluster's; the kernels that ran go to ``used``."""
    if pool is None or not rest.samples:
        for rows, events in runner.run(rest):
            yield Part.of(rows), events
        return
    for done in run_on(pool, runner.graph, rest, runner.settings, threads, kernel):
        used.add(done.kernel)
        yield done.part, done.events


def _check_continued(runner: Runner, dataset: DataSet, journal: Journal) -> None:
    """Run the first and the last sample that are there again: other data or another program would show."""
    ends = [(0, journal.first), (journal.done - 1, journal.last)]
    for i, there in ends[: min(journal.done, 2)]:
        ((again,), _) = next(runner.run(replace(dataset, samples=dataset.samples[i : i + 1])))
        if _results(again) != _results(there):
            raise FormatError(
                f"{journal.folder}: sample {there.sample} gives other results now than are recorded there: the data or "
                "gxevent changed, run again into another folder"
            )


def _results(row: SampleRow) -> tuple[Any, ...]:
    return (row.sample, row.label, row.prediction, row.windows, row.events_by_population, row.accumulators)
