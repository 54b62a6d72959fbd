"""Adam's step and the transition in one pass over the memory, for weights on a CPU: ``gxevent.core._dst``.

The same levels as :func:`gxevent.train.rules.adam` and :func:`gxevent.train.transition.transition` give from the same
draws (but for a draw within 2e-7 of its probability), in a quarter of their time; most of that is drawing.
"""

from __future__ import annotations

from typing import Any

from gxevent import grid
from gxevent.core import _dst
from gxevent.train import moments
from gxevent.train.backend import torch

BLOCK = 1 << 16
"""Weights that draws are made for at a time: they stay in the cache."""


def applies(levels: torch.Tensor, options: dict[str, Any]) -> bool:
    """Adam with averages in 32 bits and no residue, on a CPU."""
    rule = (options["rule"], options["moment_bits"], options["residue_bits"])
    return rule == ("adam", 32, 0) and levels.device.type == "cpu"


def move(
    levels: torch.Tensor,
    gradient: torch.Tensor,
    state: dict[str, Any],
    options: dict[str, Any],
    space: int,
    generator: torch.Generator,
) -> None:
    """Move ``levels`` (int8, of Z_space) in place, given their values' gradient; ``state`` is that of the rule."""
    beta1, beta2 = options["betas"]
    count = state["count"] = state.get("count", 0) + 1
    for name in ("first", "second"):
        moments.allocate(state, name, gradient, 32)
    given = (levels, gradient.contiguous(), state["first"], state["second"])
    moved, slope, first, second = (tensor.view(-1).numpy() for tensor in given)
    for begin in range(0, len(moved), BLOCK):
        part = slice(begin, begin + BLOCK)
        draws = torch.rand(len(moved[part]), generator=generator)
        _dst.adam_transition(
            moved[part],
            slope[part],
            first[part],
            second[part],
            draws.numpy(),
            betas=options["betas"],
            rate=options["lr"] / (1 - beta1**count),
            correction=1 / (1 - beta2**count),
            eps=options["eps"],
            unit=grid.unit(space),
            dz=grid.step(space),
            m=options["m"],
        )
    torch.autograd.graph.increment_version(levels)
