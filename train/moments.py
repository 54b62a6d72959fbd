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


def allocate(state: State, name: str, like: torch.Tensor, bits: int) -> None:
    """Zeros for the average ``name`` of values shaped as ``like`` (rows first), if there are none yet."""
    if name not in state:
        dtype = {32: torch.float32, 16: torch.bfloat16, 8: torch.int8}[bits]
        state[name] = torch.zeros_like(like, dtype=dtype, memory_format=torch.contiguous_format)
        if bits == 8:
            state[f"{name}_scale"] = torch.zeros_like(like.flatten(1)[:, 0])


def read(state: State, name: str, rows: slice) -> torch.Tensor:
    """Rows of the average as float32; with 32 bits these are the kept values themselves, to be updated in place."""
    kept = state[name][rows]
    if kept.dtype == torch.int8:
        return kept * _per_row(state[f"{name}_scale"][rows], kept)
    return kept.float()


def write(state: State, name: str, rows: slice, value: torch.Tensor, generator: torch.Generator) -> None:
    """Keep ``value`` (float32) as rows of the average, in the bits it was allocated with."""
    kept = state[name]
    if kept.dtype == torch.float32:
        kept[rows] = value
    elif kept.dtype == torch.bfloat16:
        kept[rows] = to_bfloat16(value, generator)
    else:
        scale = value.flatten(1).abs().amax(1).div_(127)
        step = _per_row(scale.clamp(min=torch.finfo(torch.float32).tiny), value)
        draw = torch.rand(value.shape, generator=generator, device=value.device)
        kept[rows] = draw.add_(value / step).floor_().clamp_(-127, 127).to(torch.int8)
        state[f"{name}_scale"][rows] = scale


def to_bfloat16(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """float32 -> bfloat16, away from zero with the probability that keeps the expectation.

    A bfloat16 is the upper half of a float32: adding a random lower half before cutting it off carries just so often.
    """
    bits = value.contiguous().view(torch.int32)
    draw = torch.randint(0, 1 << 16, value.shape, generator=generator, device=value.device, dtype=torch.int32)
    return ((bits + draw) & -(1 << 16)).view(torch.float32).to(torch.bfloat16)


def average_factored(state: State, name: str, gradient: torch.Tensor, beta: float) -> None:
    """Update the factored average of ``gradient**2`` (float32, rows first)."""
    flat = gradient.flatten(1)
    rows, columns = f"{name}_rows", f"{name}_columns"
    if rows not in state:
        state[rows], state[columns] = torch.zeros_like(flat[:, 0]), torch.zeros_like(flat[0])
    for kept, across in ((rows, 1), (columns, 0)):
        mean = torch.linalg.vector_norm(flat, dim=across).square_().div_(flat.shape[across])
        state[kept].lerp_(mean, 1 - beta)


def read_factored(state: State, name: str, rows: slice, like: torch.Tensor) -> torch.Tensor:
    """Rows of the full estimate, the shape of ``like``."""
    by_row, by_column = state[f"{name}_rows"], state[f"{name}_columns"]
    mean = by_row.mean().clamp(min=torch.finfo(torch.float32).tiny)
    return torch.outer(by_row[rows], by_column / mean).view(like.shape)


def _per_row(scale: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    return scale.view(-1, *[1] * (like.ndim - 1))
