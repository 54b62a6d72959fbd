"""Engine: runs frames through a compiled event graph, counting events and open gates exactly."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing, grid
from gxevent.core import _plan
from gxevent.errors import OptionError, ShapeError
from gxevent.graph import EventGraph
from gxevent.runtime.counts import Counts
from gxevent.runtime.plan import build_plan, choose_kernel

if TYPE_CHECKING:
    from gxevent.runtime.stream import StreamSession

CHUNK = 64
"""Samples a thread takes at a time: enough work to make the hand-over cheap, few enough to share evenly."""


@dataclass(frozen=True, eq=False)
class Result:
    """What a run of n frames gave.

    scores float32 (n, classes), accumulators int32 (n, classes) of the read-out, counts (per sample), latency_ns
    int64 (n,): host time each sample took.
    """

    scores: NDArray[np.float32]
    accumulators: NDArray[np.int32]
    counts: Counts
    latency_ns: NDArray[np.int64]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """Index of the highest score (n,); the lowest index where scores tie."""
        return self.scores.argmax(axis=1)


@dataclass(frozen=True, eq=False)
class Trace:
    """One sample seen from inside: by population, levels sent (int8) and accumulators (int32), in its shape."""

    outputs: dict[str, NDArray[np.int8]]
    accumulators: dict[str, NDArray[np.int32]]
    scores: NDArray[np.float32]


class Engine:
    """Runs an :class:`~gxevent.graph.EventGraph`; the same integers for every mode, kernel and thread count.

    Parameters
    ----------
    graph
        The compiled network.
    threads
        Worker threads for ``run`` in batch mode.
    kernel
        "auto", or one of ``gxevent.runtime.plan.available_kernels()``.

    Raises OptionError for a thread count below 1 or a kernel this machine cannot run.
    """

    def __init__(self, graph: EventGraph, threads: int = 1, kernel: str = "auto") -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise OptionError(f"threads: expected a whole number >= 1, got {threads!r}")
        self.graph = graph
        self.threads = threads
        self.kernel = choose_kernel(kernel)
        self._plan, self._layouts = build_plan(graph, self.kernel)
        self._workspaces = [_plan.Workspace(self._plan) for _ in range(threads)]
        self._senders = [name for name, p in graph.populations.items() if p.sends_events]
        # Projections are counted in the order the plan runs them: by target population.
        self._gated = [p.name for name in graph.populations for p in graph.incoming(name) if p.rule.weighted]

    def check_frames(self, frames: Any) -> NDArray[np.int8]:
        """Frames as int8 (n, *input_shape); one frame without the sample axis is taken as a batch of one.

        Raises ShapeError for another dtype or shape, or levels outside the input's space.
        """
        frames = np.asarray(frames)
        shape, levels = self.graph.input.shape, self.graph.input.levels
        if frames.dtype == np.bool_:
            frames = frames.view(np.int8)
        if frames.dtype.kind not in "iu":
            raise ShapeError(f"frames: expected int8 levels of Z_{levels}, got {frames.dtype}: encode them first")
        if frames.shape == shape:
            frames = frames[None]
        if frames.shape[1:] != shape:
            raise ShapeError(f"frames: expected shape (n, {', '.join(map(str, shape))}), got {frames.shape}")
        if frames.size and not grid.contains(np.array([frames.min(), frames.max()]), levels).all():
            raise ShapeError(f"frames: levels {frames.min()} … {frames.max()} are outside Z_{levels} of the input")
        if levels == 0 and not frames.all():
            raise ShapeError("frames: a 0 is outside the binary input space Z_0")
        return frames.astype(np.int8, copy=False)

    def run(self, frames: Any, *, mode: str = "batch", count: bool = True) -> Result:
        """Run n frames, int8 (n, *input_shape).

        mode
            "batch" shares the frames among the threads; "sample" runs them one by one, as they would arrive.
        count
            Whether to count events and open gates (empty counts otherwise).
        """
        if mode not in ("batch", "sample"):
            raise OptionError(f"mode: expected 'batch' or 'sample', got {mode!r}")
        frames = self.check_frames(frames)
        n = len(frames)
        inward = self._layouts[self.graph.input.name].inward(frames.reshape(n, self.graph.input.size))
        accumulators = np.zeros((n, self.graph.readout.size), np.int32)
        events = np.zeros((n if count else 0, len(self._senders)), np.int64)
        open_gates = np.zeros((n if count else 0, max(len(self._gated), 1)), np.int64)
        latency = np.zeros(n, np.int64)

        def work(worker: int, begin: int, end: int) -> None:
            part = slice(begin, end)
            self._workspaces[worker].run(
                inward[part], accumulators[part], events[part], open_gates[part], latency[part]
            )

        if mode == "sample":
            for i in range(n):
                work(0, i, i + 1)
        elif self.threads == 1 or n <= CHUNK:
            work(0, 0, n)
        else:
            self._share(work, n)
        counts = self.counts(events, open_gates[:, : len(self._gated)])
        return Result(self.scores(accumulators), accumulators, counts, latency)

    def _share(self, work: Any, n: int) -> None:
        """Let every thread take chunk after chunk until none is left."""
        waiting = deque(range(0, n, CHUNK))

        def loop(worker: int) -> None:
            with contextlib.suppress(IndexError):  # none is left
                while True:
                    begin = waiting.popleft()
                    work(worker, begin, min(begin + CHUNK, n))

        with ThreadPoolExecutor(self.threads) as pool:
            for done in [pool.submit(loop, worker) for worker in range(self.threads)]:
                done.result()

    def counts(self, events: NDArray[np.int64], open_gates: NDArray[np.int64]) -> Counts:
        """Counts of (samples, populations that send) and (samples, projections with levels), in the plan's order."""
        gates = {name: open_gates[:, i] for i, name in enumerate(self._gated)}
        return Counts(
            events={name: events[:, i] for i, name in enumerate(self._senders)},
            open_gates={p.name: gates[p.name] for p in self.graph.gated},
            synapses=self.graph.synapses,
            samples=len(events),
        )

    def scores(self, accumulators: NDArray[np.int32]) -> NDArray[np.float32]:
        """Scores float32 (n, classes) of read-out accumulators int32 (n, classes)."""
        p = self.graph.readout
        return firing.preactivation(accumulators, p.unit, p.bias, p.scale, p.offset)

    def stream(
        self,
        window_us: int | None = None,
        stride_us: int | None = None,
        *,
        window: str | None = None,
        stride: str | None = None,
        reevaluate: bool = True,
    ) -> StreamSession:
        """Begin incremental inference on a sliding window; see :class:`~gxevent.runtime.stream.StreamSession`.

        The window and the distance of decisions are given in microseconds, or as text ("600ev", "10ms").
        """
        from gxevent.runtime.stream import StreamSession

        for name, us, text in (("window", window_us, window), ("stride", stride_us, stride)):
            if us is not None and text is not None:
                raise OptionError(f"{name}: give {name}_us or {name}, not both")
        window = window if window_us is None else f"{window_us}us"
        stride = stride if stride_us is None else f"{stride_us}us"
        return StreamSession(self, window, stride, reevaluate)

    def trace(self, frame: Any) -> Trace:
        """Run one frame and return every population's output and accumulators, in the population's shape."""
        frames = self.check_frames(frame)
        if len(frames) != 1:
            raise ShapeError(f"trace takes one frame, got {len(frames)}")
        result = self.run(frames, count=False)
        outputs, accumulators = {}, {}
        for i, (name, p) in enumerate(self.graph.populations.items()):
            layout = self._layouts[name]
            if p.sends_events:
                levels = np.empty(p.size, np.int8)
                self._workspaces[0].levels(i, levels)
                outputs[name] = layout.outward(levels).reshape(p.shape)
            if p.role != "input":
                sums = np.empty(p.size, np.int32)
                self._workspaces[0].sums(i, sums)
                accumulators[name] = layout.outward(sums).reshape(p.shape)
        return Trace(outputs, accumulators, result.scores[0])


def usable_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
