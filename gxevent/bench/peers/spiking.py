"""Spiking-network frameworks on PyTorch: one time step of the same shape, membrane state kept from step to step.

Weights and biases are the twin's; the neurons are the frameworks' own, with their default parameters, behind every
layer that fires. These are other networks than ours: only the cost of a step is compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from gxevent.bench.peers.base import Contestant, Task, as_float
from gxevent.bench.peers.pytorch import load_torch, sequential
from gxevent.errors import require


def _stepping(torch: Any, model: Any) -> Contestant:
    """A module that keeps its own state."""

    def call(x: Any) -> Any:
        with torch.no_grad():
            return model(x)

    return Contestant(lambda frames: torch.from_numpy(as_float(frames)), call)


def _load(module: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return require(module, extra="bench", purpose=f"the peer {module.split('.')[0]}")


def _own_state(module: str, neuron: Callable[[Any, Task], Any]) -> Callable[[Task], Contestant]:
    def make(task: Task) -> Contestant:
        torch, package = load_torch(task.threads), _load(module)
        return _stepping(torch, sequential(torch, task.twin, lambda: neuron(package, task)))

    return make


snntorch = _own_state("snntorch", lambda package, task: package.Leaky(beta=0.9, init_hidden=True))
spikingjelly = _own_state("spikingjelly.activation_based.neuron", lambda package, task: package.LIFNode())
sinabs = _own_state("sinabs.layers", lambda package, task: package.IAFSqueeze(batch_size=task.batch))


def norse(task: Task) -> Contestant:
    """State goes in and out by hand."""
    torch, package = load_torch(task.threads), _load("norse.torch")
    model = package.SequentialState(*sequential(torch, task.twin, package.LIFCell))
    state: Any = None

    def call(x: Any) -> Any:
        nonlocal state
        with torch.no_grad():
            out, state = model(x, state)
        return out

    return Contestant(lambda frames: torch.from_numpy(as_float(frames)), call)
