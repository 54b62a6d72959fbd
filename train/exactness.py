"""The last check of a training: what the compiled network computes, beside the trainer's own evaluation."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.compiler import compile
from gxevent.network import TernaryNetwork
from gxevent.runtime import Engine
from gxevent.train.backend import torch
from gxevent.train.modules import DiscreteLayer
from gxevent.train.networks import TernaryModule


@dataclass(frozen=True)
class Exactness:
    """Module and engine on the same frames; accumulators and scores are those of the read-out."""

    frames: int
    accumulators: int
    """Accumulators compared."""
    differing_accumulators: int
    differing_scores: int
    changed_decisions: int
    largest_score_difference: float

    @property
    def equal(self) -> bool:
        return not (self.differing_accumulators or self.differing_scores)

    def summary(self) -> dict[str, Any]:
        return asdict(self) | {"equal": self.equal}


def compare_with_engine(module: TernaryModule, network: TernaryNetwork, frames: NDArray[np.int8]) -> Exactness:
    """Run frames int8 (n, *input_shape) through both.

    ``network`` is what :func:`gxevent.train.networks.to_network` made of the module. Where the module has real weights
    or activations, the network is an approximation, and the numbers say how close; else all must be equal.
    """
    result = Engine(compile(network)).run(frames)
    scores, sums = _evaluated(module, frames)
    return Exactness(
        frames=len(frames),
        accumulators=result.accumulators.size,
        differing_accumulators=int(np.count_nonzero(sums != result.accumulators)),
        differing_scores=int(np.count_nonzero(scores != result.scores)),
        changed_decisions=int(np.count_nonzero(scores.argmax(1) != result.scores.argmax(1))),
        largest_score_difference=float(np.abs(scores - result.scores).max(initial=0.0)),
    )


def _evaluated(module: TernaryModule, frames: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Scores (n, classes) and, in units of the grid, what enters the last batch norm (n, classes)."""
    kept: list[torch.Tensor] = []
    *_, last, norm = module.layers
    unit = last.unit if isinstance(last, DiscreteLayer) else 1.0
    hook = norm.register_forward_hook(lambda _, given, out: kept.append(given[0].flatten(1).double().cpu() / unit))
    try:
        scores = module.scores(frames)
    finally:
        hook.remove()
    return scores, torch.cat(kept).numpy() if kept else np.zeros(scores.shape)
