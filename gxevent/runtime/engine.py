"""Engine: runs frames through a compiled event graph, counting events and open gates exactly."""

from __future__ import annotations

import os
import threading
import time
import weakref
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from gxevent import firing, grid
from gxevent.core import _runner
from gxevent.errors import OptionError, ShapeError
from gxevent.graph import EventGraph
from gxevent.runtime.counts import Columns, Counts
from gxevent.runtime.plan import Lowered, build_plan, choose_kernel, gated
from gxevent.runtime.watch import LOOKED_AT, Watch

if TYPE_CHECKING:
    from gxevent.runtime.result import Result
    from gxevent.runtime.stream import StreamSession
else:
    from gxevent.core._runner import Result


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
        Worker threads of ``run``: they share the samples of a batch, or the work of large layers where fewer samples
        than threads are run at a time (and there is a processor for each thread).
    kernel
        "auto", or one of ``gxevent.runtime.plan.available_kernels()``.
    adapt
        Whether gate units may be chosen anew where activity is other than ``graph.activity`` expects; see
        :mod:`gxevent.runtime.watch`. Results are the same either way.

    Raises OptionError for a thread count below 1 or a kernel this machine cannot run.
    """

    def __init__(self, graph: EventGraph, threads: int = 1, kernel: str = "auto", adapt: bool = True) -> None:
        if isinstance(threads, bool) or not isinstance(threads, int) or threads < 1:
            raise OptionError(f"threads: expected a whole number >= 1, got {threads!r}")
        self.graph = graph
        self.threads = threads
        self.kernel = choose_kernel(kernel)
        self._columns = Columns.of(graph, gated(graph))
        begun = time.perf_counter_ns()
        self._install(self._plan(graph))
        if adapt:
            self._turn = threading.Lock()
            self._watch = Watch(graph, self.kernel, time.perf_counter_ns() - begun)
            me = weakref.ref(self)  # a runner must not keep its engine alive
            self._on_review = lambda *seen: (engine := me()) and engine._review(*seen)
            self._await()

    def _await(self) -> None:
        self._runner.review, self._runner.due = self._on_review, self._watch.due

    def _plan(self, graph: EventGraph, kept: Lowered | None = None) -> Lowered:
        # Threads that wait for a processor would make a layer last longer.
        sharing = self.threads if self.threads <= usable_cpus() else 1
        return build_plan(graph, self.kernel, kept=kept, threads=sharing)

    def _install(self, lowered: Lowered) -> None:
        self._lowered = lowered
        self._runner = self._make_runner(lowered, self.threads)
        self._run = self._runner.run

    def _review(self, frames: NDArray[np.int8], result: Result, counted: bool) -> None:
        """Look at how active the samples of a run were; build other gate units where they pay."""
        if not self._turn.acquire(blocking=False):
            return  # another caller is at it
        try:
            ran = len(result.accumulators)
            if not counted:
                frames = frames.reshape(-1, *self.graph.input.shape)
                result = self._run(frames[:: -(-len(frames) // LOOKED_AT)].copy(), True, False)
            better = self._watch.look(self._lowered.units, result.counts, ran)
            if better is not None:
                self._install(self._plan(better, self._lowered))
            self._await()
        finally:
            self._turn.release()

    def _make_runner(self, lowered: Lowered, threads: int) -> _runner.Runner:
        source, out = self.graph.input, self.graph.readout
        terms = [None if a is None else np.ascontiguousarray(a, np.float32) for a in (out.bias, out.scale, out.offset)]
        return _runner.Runner(
            lowered.plan,
            threads,
            lowered.tail,
            source.shape,
            source.top,
            source.levels == 0,
            out.size,
            np.float32(out.unit),
            *terms,
            self._columns,
        )

    @cached_property
    def _inside(self) -> tuple[Lowered, _runner.Runner]:
        """A plan that keeps every population's sums and levels, for looking at one sample."""
        lowered = build_plan(self.graph, self.kernel, fused=False)
        return lowered, self._make_runner(lowered, 1)

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
        shared = mode == "batch"
        if not shared and mode != "sample":
            raise OptionError(f"mode: expected 'batch' or 'sample', got {mode!r}")
        made = self._run(frames, count, shared)
        if made is None:  # not ready as they are
            made = self._run(np.ascontiguousarray(self.check_frames(frames)), count, shared)
        return made

    def counts(self, events: NDArray[np.int64], open_gates: NDArray[np.int64]) -> Counts:
        """Counts of (samples, populations that send) and (samples, projections with levels), in the plan's order."""
        return self._columns.counts(events, open_gates)

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
        lowered, runner = self._inside
        scores = runner.run(np.ascontiguousarray(frames), False, False).scores
        outputs, accumulators = {}, {}
        for i, (name, p) in enumerate(self.graph.populations.items()):
            layout = lowered.layouts[name]
            if p.sends_events:
                levels = np.empty(p.size, np.int8)
                runner.levels(i, levels)
                outputs[name] = layout.outward(levels).reshape(p.shape)
            if p.role != "input":
                sums = np.empty(p.size, np.int32)
                runner.sums(i, sums)
                accumulators[name] = layout.outward(sums).reshape(p.shape)
        return Trace(outputs, accumulators, scores[0])


def usable_cpus() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
