"""What a peer is to the bench: how to prepare an input, how to run it, and what its answer must equal."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.bench.twin import Twin

Frames = NDArray[np.int8]


@dataclass(frozen=True)
class Task:
    """What a peer is to run: layers, frames to calibrate on (n, *input_shape), batch size, threads it may use."""

    twin: Twin
    graph: Any
    frames: Frames
    batch: int
    threads: int


@dataclass(frozen=True)
class Contestant:
    """One way to run a network, ready to be timed.

    prepare
        int8 frames (batch, *input_shape) to whatever ``call`` takes; not timed.
    call
        One inference of one prepared batch: the whole Python call is timed.
    sums
        The answer of ``call`` as read-out sums (batch, classes), where it runs the same ternary network; else None.
    timed
        For what cannot be timed call by call: runs all prepared inputs and returns the seconds that one took.
    """

    prepare: Callable[[Frames], Any]
    call: Callable[[Any], Any]
    sums: Callable[[Any], NDArray] | None = None
    timed: Callable[[Sequence[Any]], float] | None = None


@dataclass(frozen=True)
class Peer:
    """An entry of the registry.

    name, family
        What results and ``--peers`` call it; ``--peers`` takes families as well.
    runs
        "ternary": the same network, checked against ours; "relu": the plain network of its shape; "step": one time
        step of a spiking network of its shape.
    packages
        Distributions it needs, by the names they are imported by.
    own_process
        Runs beside us in a process without the other peers.
    """

    name: str
    family: str
    precision: str
    runs: str
    packages: dict[str, str]
    make: Callable[[Task], Contestant]
    own_process: bool = False

    def missing(self) -> list[str]:
        """Distributions that are not installed."""
        return [distribution for distribution in self.packages.values() if version(distribution) is None]

    def versions(self) -> dict[str, str | None]:
        return {distribution: version(distribution) for distribution in self.packages.values()}


def version(distribution: str) -> str | None:
    """Installed version of a distribution; None without it."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def as_float(frames: Frames) -> NDArray[np.float32]:
    """Frames as contiguous float32, what most peers take."""
    return np.ascontiguousarray(frames, dtype=np.float32)
