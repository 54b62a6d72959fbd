"""Brian2: the same ternary network as a spiking simulation, a new sample every time step, many steps a run.

The network is the one of the cross-check (:mod:`gxevent.crosscheck.brian2_network`), without its recordings except of
the read-out, whose sums must be ours. Only time steps are timed, not the building of the network: in C++ by the
program's own processor clock around its loop, in Cython as a long run less a short one.
"""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.bench.peers.base import Contestant, Frames, Task
from gxevent.crosscheck.brian2_network import FRAMES, PipelinedNetwork
from gxevent.crosscheck.brian2_runtime import brian2_target
from gxevent.errors import UnsupportedError

STEPS = 256
"""Samples, and so time steps, of a run."""

LARGEST = 2_000_000
"""Synapses beyond which building the network takes minutes."""

FLAGS = ["-w", "-O3", "-ffast-math", "-march=native", "-std=c++11"]
"""How a user's standalone program is compiled: Brian2's own defaults."""


def standalone(task: Task) -> Contestant:
    """One C++ program; it is run anew every round."""
    made = _network(task, "standalone")
    folder = Path(_kept(tempfile.TemporaryDirectory(prefix="gxevent-bench-")))
    made.b2.prefs["codegen.cpp.extra_compile_args_gcc"] = FLAGS
    device = made.b2.device
    timed = _frames(made, np.zeros((STEPS, task.graph.input.size)))
    device.insert_code("before_network_run", "std::clock_t gx_begun = std::clock();")
    device.insert_code(
        "after_network_run",
        'std::ofstream("gx_seconds") << double(std::clock() - gx_begun) / CLOCKS_PER_SEC << std::endl;',
    )
    device.apply_run_args()  # frames are read before the clock starts
    made.network.run((STEPS + made.bins_to_flush) * made.clock.dt, namespace={FRAMES: timed})
    device.build(directory=str(folder), run=False, with_output=False)

    def run(samples: NDArray[np.float64]) -> float:
        device.run(with_output=False, run_args={timed: samples})
        return float((folder / "gx_seconds").read_text()) / (STEPS + made.bins_to_flush)

    return _contestant(made, run, STEPS)


def cython(task: Task) -> Contestant:
    """Compiled loops under a Python loop over time steps."""
    return stepwise(task, "cython")


def stepwise(task: Task, target: str, steps: int = 8 * STEPS) -> Contestant:
    """A target that runs in this process; setting up a run takes long, so only long runs tell."""
    made = _network(task, target)
    made.network.store()

    def seconds(samples: NDArray[np.float64], bins: int) -> float:
        made.network.restore()
        timed = _frames(made, samples)
        begun = time.process_time()
        made.network.run(bins * made.clock.dt, namespace={FRAMES: timed})
        return time.process_time() - begun

    def run(samples: NDArray[np.float64]) -> float:
        short, bins = seconds(samples, 1), steps + made.bins_to_flush
        return (seconds(samples, bins) - short) / (bins - 1)

    return _contestant(made, run, steps)


def _network(task: Task, target: str) -> PipelinedNetwork:
    if task.batch > 1:
        raise UnsupportedError("one sample a time step")
    if (synapses := sum(task.graph.synapses.values())) > LARGEST:
        raise UnsupportedError(f"{synapses:,} synapses take minutes to build, at most {LARGEST:,}")
    made = PipelinedNetwork(_kept(brian2_target(target)), task.graph)
    readout = task.graph.readout.name
    made.network.remove(*(monitor for name, monitor in made.sums.items() if name != readout))
    made.network.remove(*(monitor for pair in made.events.values() for monitor in pair))
    return made


_open = contextlib.ExitStack()


def _kept(context: Any) -> Any:
    """Enter a context that stays open until this process, which has no other peer, ends."""
    return _open.enter_context(context)


def _frames(made: PipelinedNetwork, samples: NDArray[np.float64]) -> Any:
    return made.b2.TimedArray(samples, dt=made.clock.dt, name=FRAMES)


def _contestant(made: PipelinedNetwork, run: Callable[[NDArray[np.float64]], float], steps: int) -> Contestant:
    def filled(inputs: Sequence[Frames]) -> NDArray[np.float64]:
        joined = np.concatenate([frames.reshape(len(frames), -1) for frames in inputs])
        return np.resize(joined, (steps, joined.shape[1])).astype(np.float64)

    def call(frames: Frames) -> NDArray[np.int64]:
        run(filled([frames]))
        depth = made.depth[made.graph.readout.name]
        return np.asarray(made.sums[made.graph.readout.name].s)[:, depth : depth + len(frames)].T

    return Contestant(lambda frames: frames, call, np.rint, timed=lambda inputs: run(filled(inputs)))
