"""A process that measures: a job on standard input, one JSON message a line on standard output.

Measuring has a process of its own for three reasons: libraries read how many threads they may have when they are
loaded, a peer that crashes takes only its own job with it, and some peers do not get along.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gxevent.bench import results, statistics, timing, workloads
from gxevent.bench.peers import registry
from gxevent.bench.peers.base import Contestant, Peer, Task
from gxevent.bench.twin import twin_of
from gxevent.errors import CrosscheckError, GxError, UnsupportedError
from gxevent.runtime import Engine, reference

Send = Callable[[dict[str, Any]], None]

CHECKED = 8
"""Inputs on which a peer's sums are compared with ours, at most."""


class Job(msgspec.Struct, kw_only=True):
    """Cases of one network: every activity with every batch size, by the named peers."""

    network: str
    activities: list[float | None]
    batches: list[int]
    threads: int = 1
    peers: list[str] = []
    rounds: int = 20
    slot_ms: float = 10.0
    limit_s: float = 2.0
    kernel: str = "auto"
    seed: int = 0
    data: str | None = None
    with_ours: bool = True


def run(job: Job, send: Send) -> None:
    """Measure all cases of a job; messages carry "doing", "round", "workload", "row" or "skipped"."""
    bench = _Bench(job, send)
    for activity in job.activities:
        bench.at(activity)


class _Bench:
    """The cases of one job. Peers that do not depend on thresholds are made once and kept for all activities."""

    def __init__(self, job: Job, send: Send) -> None:
        self.job, self.send = job, send
        self.peers = registry.by_name(job.peers)
        self.kept: dict[tuple[str, int], Contestant] = {}

    def at(self, activity: float | None) -> None:
        """Every batch size of the network at one activity."""
        job = self.job
        share = "" if activity is None else f", {activity:.0%} active"
        self.send({"doing": f"{job.network}{share}: making the network"})
        frames = max(workloads.FRAMES, 2 * max(job.batches))
        data = Path(job.data) if job.data else None
        work = workloads.build(job.network, activity, frames, job.seed, data)
        engine = Engine(work.graph, threads=job.threads, kernel=job.kernel)
        check_engine(engine, work)
        shares = activity_by_population(engine, work)
        work = replace(work, graph=replace(work.graph, activity=shares))
        engine = Engine(work.graph, threads=job.threads, kernel=job.kernel)
        check_engine(engine, work)
        self.send({"workload": msgspec.to_builtins(_described(work, shares, engine))})
        for batch in job.batches:
            self.case(work, engine, batch, hidden_activity(work, shares))

    def case(self, work: workloads.Workload, engine: Engine, batch: int, hidden: float) -> None:
        """Make the contestants, check what they answer, and run the rounds."""
        job = self.job
        frames = work.inputs(batch)
        expected = [engine.run(x, count=False).accumulators for x in frames[:CHECKED]]
        entries = [
            timing.Entry(results.OURS, partial(engine.run, count=False), frames, "ours"),
            timing.Entry(results.COUNTING, partial(engine.run, count=True), frames, "ours"),
        ]
        about: dict[str, tuple[Peer, bool | None]] = {}
        for peer in self.peers:
            self.send({"doing": f"{work.name}, batch {batch}: {peer.name}"})
            try:
                entry, equal = self.enter(peer, work, batch, frames, expected)
            except UnsupportedError as error:
                self.skip(peer, work, batch, str(error))
            except Exception as error:  # whatever another project's package does: it is named, and the others go on
                self.skip(peer, work, batch, f"{type(error).__name__}: {' '.join(str(error).split())[:200]}")
            else:
                entries.append(entry)
                about[peer.name] = peer, equal
        for entry in entries:
            timing.set_calls(entry, job.slot_ms / 1e3)
        self.send({"doing": f"{work.name}{'' if work.asked is None else f' {work.asked:.0%}'}, batch {batch}"})
        timing.run_rounds(entries, job.rounds, job.seed, lambda: self.send({"round": 1}))
        for row in self.rows(work, batch, hidden, entries, about):
            self.send({"row": msgspec.to_builtins(row)})

    def skip(self, peer: Peer, work: workloads.Workload, batch: int, why: str) -> None:
        self.send({"skipped": {"peer": peer.name, "network": work.name, "batch": batch, "why": why}})

    def enter(
        self,
        peer: Peer,
        work: workloads.Workload,
        batch: int,
        frames: Sequence[np.ndarray],
        expected: Sequence[np.ndarray],
    ) -> tuple[timing.Entry, bool | None]:
        """The peer ready for the rounds, and whether its sums are ours; UnsupportedError where it takes too long."""
        made = self.kept.get((peer.name, batch))
        if made is None:
            twin = twin_of(work.graph)
            twin = twin if peer.runs == "ternary" else twin.relu()
            made = peer.make(Task(twin, work.graph, work.frames, batch, self.job.threads))
            if peer.runs != "ternary":
                self.kept[peer.name, batch] = made
        entry = timing.Entry(peer.name, made.call, [made.prepare(x) for x in frames], timed=made.timed)
        took = 0.0 if made.timed else timing.first_call(entry)
        if took > self.job.limit_s:
            raise UnsupportedError(f"one call takes {took:.1f} s, over the limit of {self.job.limit_s:g} s")
        return entry, same_sums(made, entry.inputs, expected)

    def rows(
        self,
        work: workloads.Workload,
        batch: int,
        hidden: float,
        entries: Sequence[timing.Entry],
        about: dict[str, tuple[Peer, bool | None]],
    ) -> Iterator[results.Row]:
        job = self.job
        ours = entries[0].times(job.threads)
        for entry in entries:
            times, peer = entry.times(job.threads), about.get(entry.name)
            if peer is None and not job.with_ours:
                continue
            us = statistics.spread([t / batch * 1e6 for t in times])
            ratio = None if entry is entries[0] else statistics.paired_ratio(times, ours)
            yield results.Row(
                network=work.name,
                activity=work.asked,
                measured=hidden,
                batch=batch,
                threads=job.threads,
                peer=entry.name,
                family=peer[0].family if peer else "gxevent",
                precision=peer[0].precision if peer else "ternary",
                runs=peer[0].runs if peer else "ternary",
                us=us.median,
                us_low=us.low,
                us_high=us.high,
                wall_us=statistics.spread(entry.wall).median / batch * 1e6,
                clock="processor" if job.threads == 1 else "wall",
                ratio=ratio and ratio.median,
                ratio_low=ratio and ratio.low,
                ratio_high=ratio and ratio.high,
                ours_us=statistics.spread(ours).median / batch * 1e6,
                equal=peer[1] if peer else True,
                rounds=len(times),
                calls=entry.calls,
            )


def check_engine(engine: Engine, work: workloads.Workload) -> None:
    """One frame on the NumPy reference: a fast wrong answer is not worth timing."""
    frame = work.frames[:1]
    expected = reference.run_graph(work.graph, frame, count=False).accumulators[work.graph.readout.name]
    if not (engine.run(frame, count=False).accumulators == expected.reshape(1, -1)).all():
        raise CrosscheckError(f"{work.name}: kernel {engine.kernel} gives other sums than the reference")


def same_sums(made: Contestant, inputs: Sequence[Any], expected: Sequence[np.ndarray]) -> bool | None:
    """Whether the read-out sums are ours on all inputs looked at; None for another network."""
    if made.sums is None:
        return None
    return all(np.array_equal(made.sums(made.call(x)), y) for x, y in zip(inputs, expected, strict=False))


def activity_by_population(engine: Engine, work: workloads.Workload) -> dict[str, float]:
    """Share of nonzero values over all frames, counted by the engine."""
    events = engine.run(work.frames).counts.events
    return {name: float(n.mean()) / work.graph.populations[name].size for name, n in events.items()}


def hidden_activity(work: workloads.Workload, shares: dict[str, float]) -> float:
    """Share of nonzero values over all units that fire."""
    sizes = {name: p.size for name, p in work.graph.populations.items() if p.role == "fire"}
    return sum(shares[name] * n for name, n in sizes.items()) / max(sum(sizes.values()), 1)


def _described(work: workloads.Workload, shares: dict[str, float], engine: Engine) -> results.Workload:
    return results.Workload(
        network=work.name,
        title=work.title,
        activity=work.asked,
        synapses=sum(work.graph.synapses.values()),
        units=work.graph.units,
        by_population=shares,
        kernel=engine.kernel,
    )


def blas() -> list[dict[str, Any]]:
    """Thread pools of the libraries loaded so far, with the kernel a BLAS chose; [] without threadpoolctl."""
    try:
        from threadpoolctl import threadpool_info
    except ImportError:
        return []
    kept = ("user_api", "internal_api", "version", "architecture", "num_threads")
    return [{k: pool[k] for k in kept if k in pool} for pool in threadpool_info()]


def main() -> None:
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print stays out of the messages

    def send(message: dict[str, Any]) -> None:
        channel.write(json.dumps(message) + "\n")

    try:
        job = msgspec.json.decode(sys.stdin.buffer.read(), type=Job)
        cpus = timing.pin(job.threads)
        run(job, send)
        send({"process": {"cpus": cpus, "pools": blas()}})
    except GxError as error:
        send({"error": str(error)})


if __name__ == "__main__":
    main()
