"""What knowing the activity is worth: the same networks with gate units chosen for it, for 40 % and for 100 %.

    python benchmarks/activity.py [--rounds 21]

Engines of the same random network (``gxevent.bench.workloads``) that expect the activity it has, what is taken where
nothing is known, and a wrong one (100 %, or 2 % where that is right); none adapts. Rounds are interleaved, times those
of the processor, one thread, batch 1; ratios are medians within rounds. ``adapted`` is the engine of the wrong
expectation after it was left to adapt, for as many samples as it took, or ten seconds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace

import gxevent as gx
from gxevent.bench.workloads import random_workload

NETWORKS = {"mlp": 256, "lenet": 256, "vgg": 32}
"""Frames a round."""


def expecting(graph: gx.EventGraph, share: float) -> gx.EventGraph:
    return replace(graph, activity={name: share for name, p in graph.populations.items() if p.sends_events})


def adapted(graph: gx.EventGraph, frames: object) -> tuple[gx.Engine, int]:
    """An engine left to adapt, and how many samples it ran until it had (0: it saw no reason to)."""
    engine, samples, begun = gx.Engine(graph), 0, time.thread_time()
    before = engine._lowered
    while engine._lowered is before and time.thread_time() - begun < 10:
        engine.run(frames, count=False)
        samples += len(frames)
    return engine, samples if engine._lowered is not before else 0


def microseconds(engine: gx.Engine, frames: object) -> float:
    begun = time.thread_time_ns()
    for frame in frames:
        engine.run(frame, count=False)
    return (time.thread_time_ns() - begun) / len(frames) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=21)
    options = parser.parse_args()
    print("| network | active | us | unknown / known | wrong / known | adapted / known, after samples |")
    print("|---|---|---|---|---|---|")
    for name, n in NETWORKS.items():
        for share in (0.02, 0.10, 0.45, 1.0):
            made = random_workload(name, share, n)
            frames = made.frames[:n]
            known = gx.profile(made.graph, frames)
            wrong = expecting(known, 1.0 if share < 1 else 0.02)
            late, samples = adapted(wrong, frames)
            engines = [gx.Engine(graph, adapt=False) for graph in (known, made.graph, wrong)]
            rounds = [[microseconds(e, frames) for e in (*engines, late)] for _ in range(options.rounds + 1)][1:]
            us = statistics.median(r[0] for r in rounds)
            ratios = [statistics.median(r[i] / r[0] for r in rounds) for i in (1, 2, 3)]
            cells = [f"{ratio:.2f}" for ratio in ratios]
            after = f", {samples:,}" if samples else ", never"
            print(f"| {name} | {share:.0%} | {us:.2f} | {cells[0]} | {cells[1]} | {cells[2]}{after} |", flush=True)


if __name__ == "__main__":
    main()
