"""NumPy and SciPy, as one would write a dense ternary network by hand (no convolutions)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.bench.peers.base import Contestant, Frames, Task, as_float
from gxevent.bench.twin import Step
from gxevent.errors import UnsupportedError, require


def _dense_steps(task: Task) -> tuple[Step, ...]:
    if not task.twin.dense_only:
        raise UnsupportedError("dense layers only")
    return task.twin.steps


def _fire(y: NDArray[np.float32]) -> NDArray[np.float32]:
    np.rint(y, out=y)
    return np.clip(y, -1, 1, out=y)


def numpy_blas(task: Task) -> Contestant:
    """float32 matrix products on the BLAS that NumPy brings."""
    layers = [(np.ascontiguousarray(s.weight.T), s.bias, s.fires) for s in _dense_steps(task)]

    def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
        for weight, bias, fires in layers:
            x = x @ weight
            if fires:
                x = _fire(np.add(x, bias, out=x))
        return x

    return Contestant(_flat, call, np.asarray)


def numpy_events(task: Task) -> Contestant:
    """Event-driven: the int8 weight rows of the nonzero inputs are gathered and added; one sample."""
    if task.batch > 1:
        raise UnsupportedError("one sample at a time")
    layers = [(np.ascontiguousarray(s.levels.T), s.hi, s.lo) for s in _dense_steps(task)]

    def call(x: NDArray[np.int8]) -> NDArray[np.int32]:
        for rows, hi, lo in layers:
            sums = rows[np.flatnonzero(x > 0)].sum(0, np.int16) - rows[np.flatnonzero(x < 0)].sum(0, np.int16)
            x = sums if hi is None else (sums >= hi).view(np.int8) - (sums <= lo).view(np.int8)
        return x

    return Contestant(lambda frames: frames.reshape(-1), call, lambda sums: sums[None])


def scipy_weights(task: Task) -> Contestant:
    """Sparse weights (CSR), dense activations: what pruning tool-kits offer."""
    sparse: Any = require("scipy.sparse", extra="bench", purpose="the peer scipy")
    layers = [
        (sparse.csr_array(s.weight), None if s.bias is None else s.bias[:, None], s.fires) for s in _dense_steps(task)
    ]

    def call(x: NDArray[np.float32]) -> NDArray[np.float32]:
        for weight, bias, fires in layers:
            x = weight @ x
            if fires:
                x = _fire(np.add(x, bias, out=x))
        return x

    return Contestant(lambda frames: np.ascontiguousarray(_flat(frames).T), call, np.transpose)


def scipy_events(task: Task) -> Contestant:
    """Sparse activations (CSR), dense weights: only events are multiplied."""
    sparse: Any = require("scipy.sparse", extra="bench", purpose="the peer scipy")
    layers = [(np.ascontiguousarray(s.weight.T), s.bias, s.fires) for s in _dense_steps(task)]

    def call(x: Any) -> NDArray[np.float32]:
        for weight, bias, fires in layers:
            y = x @ weight
            if not fires:
                return y
            x = sparse.csr_array(_fire(np.add(y, bias, out=y)))
        raise AssertionError("the last layer does not fire")

    return Contestant(lambda frames: sparse.csr_array(_flat(frames)), call, np.asarray)


def _flat(frames: Frames) -> NDArray[np.float32]:
    return as_float(frames).reshape(len(frames), -1)
