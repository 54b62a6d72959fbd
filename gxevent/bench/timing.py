"""Rounds of timed slots: every contestant once a round, in an order that changes, so that ratios are paired.

One thread is timed by the processor time of the process, which a busy machine does not lengthen, several threads by
the wall clock. Each slot begins with untimed calls: caches and clocks are then as they are for somebody who runs this
network and nothing else. Calls walk through different inputs, as branch predictors learn a repeated one by heart.
"""

from __future__ import annotations

import gc
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle, islice
from typing import Any

Call = Callable[[Any], Any]

WARM = 5e-3
"""Seconds of calls before each slot that are not timed: enough to bring the weights of a large layer back into a cache
that the contestant before has filled. None where a call takes much longer than that."""


@dataclass
class Entry:
    """A contestant in the rounds: what is called on which inputs, and the times of a call so far, in seconds.

    group: entries of one group are neighbours in every round, for close comparisons.
    timed: for what times itself: runs all inputs and returns the seconds of one.
    """

    name: str
    call: Call
    inputs: Sequence[Any]
    group: str = ""
    timed: Callable[[Sequence[Any]], float] | None = None
    calls: int = 1
    warm: int = 1
    processor: list[float] = field(default_factory=list)
    wall: list[float] = field(default_factory=list)

    def times(self, threads: int) -> list[float]:
        """Of each round, by the clock that counts."""
        return self.processor if threads == 1 else self.wall


def first_call(entry: Entry) -> float:
    """Wall seconds of one call after a first one (which may allocate or compile)."""
    entry.call(entry.inputs[0])
    begun = time.perf_counter()
    entry.call(entry.inputs[-1])
    return time.perf_counter() - begun


def set_calls(entry: Entry, slot: float) -> None:
    """Choose how many calls fill a slot of so many seconds."""
    if entry.timed:
        return
    took = first_call(entry)
    tried = max(1, min(200, math.ceil(slot / 4 / max(took, 1e-7))))
    begun = time.perf_counter()
    for x in islice(cycle(entry.inputs), tried):
        entry.call(x)
    took = min(took, (time.perf_counter() - begun) / tried)
    entry.calls = max(1, min(100_000, math.ceil(slot / max(took, 1e-7))))
    entry.warm = min(100_000, round(WARM / max(took, 1e-7)))


def run_rounds(
    entries: Sequence[Entry], rounds: int, seed: int = 0, progress: Callable[[], Any] = lambda: None
) -> None:
    """Time every entry once a round; times are appended to the entries."""
    groups: dict[str, list[Entry]] = {}
    for entry in entries:
        groups.setdefault(entry.group or entry.name, []).append(entry)
    order, shuffle = list(groups.values()), random.Random(seed)
    with _undisturbed():
        for _ in range(rounds):
            shuffle.shuffle(order)
            for group in order:
                shuffle.shuffle(group)
            for entry in (e for group in order for e in group):
                _slot(entry)
            gc.collect()
            progress()


def _slot(entry: Entry) -> None:
    if entry.timed:
        took = entry.timed(entry.inputs)
        entry.processor.append(took)
        entry.wall.append(took)
        return
    call, n = entry.call, entry.calls
    for x in islice(cycle(entry.inputs), entry.warm):
        call(x)
    inputs = islice(cycle(entry.inputs), n)
    wall, processor = time.perf_counter_ns(), time.process_time_ns()
    for x in inputs:
        call(x)
    processor, wall = time.process_time_ns() - processor, time.perf_counter_ns() - wall
    entry.processor.append(processor / n * 1e-9)
    entry.wall.append(wall / n * 1e-9)


@contextmanager
def _undisturbed() -> Iterator[None]:
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def pin(threads: int) -> list[int]:
    """Keep this process on as many processors as it has threads, the last ones; returns them ([] where it cannot)."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    chosen = sorted(os.sched_getaffinity(0))[-threads:]
    os.sched_setaffinity(0, chosen)
    return chosen
