"""Running averages kept in 32, 16 or 8 bits a value.

Rounding to the nearest value would lose a slow average for good: with ``beta = 0.999`` a step changes it by a
thousandth, less than half a bfloat16 step. So 16 and 8 bits are rounded at random, up or down with the probability
that keeps the expectation.

    32   float32
    16   bfloat16
     8   int8 times a float32 scale of each row (output unit), so that a row's largest value is 127

A second moment in 8 bits would need a wide range as well, and dividing by it makes small values matter most. It is
kept factored instead, as the averages of its rows and columns (Shazeer and Stern 2018, arXiv 1804.04235): next to
nothing for a large layer.
"""

from __future__ import annotations

from typing import Any

from gxevent.train.backend import torch

MOMENT_BITS = (32, 16, 8)
State = dict[str, Any]


def read(state: State, name: str, like: torch.Tensor) -> torch.Tensor:
    """The average ``name`` as float32, zeros before the first :func:`write`; the shape of ``like``.

    With 32 bits this is the kept tensor itself, to be updated in place.
    """
    kept = state.get(name)
    if kept is None:
        return torch.zeros_like(like)
    if kept.dtype == torch.int8:
        return kept * _per_row(state[f"{name}_scale"], kept)
    return kept.float()


def write(state: State, name: str, value: torch.Tensor, bits: int, generator: torch.Generator) -> None:
    """Keep ``value`` (float32) in ``bits`` bits."""
    if bits == 32:
        state[name] = value
    elif bits == 16:
        state[name] = to_bfloat16(value, generator)
    else:
        scale = value.flatten(1).abs().amax(1) / 127
        step = _per_row(scale.clamp(min=torch.finfo(torch.float32).tiny), value)
        draw = torch.rand(value.shape, generator=generator, device=value.device)
        state[name] = torch.floor(value / step + draw).clamp_(-127, 127).to(torch.int8)
        state[f"{name}_scale"] = scale


def to_bfloat16(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """float32 -> bfloat16, away from zero with the probability that keeps the expectation.

    A bfloat16 is the upper half of a float32: adding a random lower half before cutting it off carries just so often.
    """
    bits = value.contiguous().view(torch.int32)
    draw = torch.randint(0, 1 << 16, value.shape, generator=generator, device=value.device, dtype=torch.int32)
    return ((bits + draw) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


def average_factored(state: State, name: str, square: torch.Tensor, beta: float) -> torch.Tensor:
    """Update the factored average of ``square`` (float32, rows first) and return its full estimate, the same shape."""
    flat = square.flatten(1)
    rows, columns = f"{name}_rows", f"{name}_columns"
    if rows not in state:
        state[rows], state[columns] = torch.zeros_like(flat[:, 0]), torch.zeros_like(flat[0])
    state[rows].lerp_(flat.mean(1), 1 - beta)
    state[columns].lerp_(flat.mean(0), 1 - beta)
    mean = state[rows].mean().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.outer(state[rows], state[columns] / mean).view(square.shape)


def _per_row(scale: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (like.ndim - 1))
