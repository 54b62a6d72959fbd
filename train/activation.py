"""The step activation into Z_N and the window that stands in for its derivative.

Forward: exactly :func:`gxevent.firing.fire`, as values ``q * unit`` (float32). Backward: a window round every step
edge e of ``|y|`` (Deng et al. 2018, arXiv 1705.09283, equations of phi_r and its approximations), half width a:

    rectangular   1 / (2 a)               where | |y| - e | <= a, else 0
    triangular    (a - | |y| - e |) / a^2 there, else 0

Each window has area 1; where windows of neighbouring edges overlap they add. The binary space has one edge, at 0.
"""

from __future__ import annotations

import math
from typing import Any

from gxevent import firing, grid
from gxevent.core import _dst
from gxevent.errors import OptionError
from gxevent.train.backend import F, nn, torch

WINDOWS = ("rectangular", "triangular")


class _Step(torch.autograd.Function):
    """``y -> unit * fire(y)`` with a window derivative; edges are float32 values as Python floats."""

    @staticmethod
    def forward(
        ctx: Any, y: torch.Tensor, edges: tuple[float, ...], binary: bool, unit: float, window: str, a: float
    ) -> torch.Tensor:
        ctx.window = (edges, window, a)
        # One rectangle is a yes or no a value: kept in a byte, where y would take four.
        ctx.rectangle = window == "rectangular" and len(edges) == 1
        ctx.save_for_backward((y.abs() - edges[0]).abs_() <= a if ctx.rectangle else y)
        if binary:
            return torch.where(y >= 0, 1.0, -1.0).to(y.dtype)
        if len(edges) == 1:
            return F.hardshrink(y, edges[0]).sign_()
        level = torch.zeros_like(y)
        for edge in edges:
            level += y > edge
            level -= (y < -edge).to(y.dtype)
        return level.mul_(unit)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (kept,) = ctx.saved_tensors
        if ctx.rectangle:
            # Multiplied as numbers: on a CPU many times faster than a masked fill.
            passed = (gradient * kept.view(torch.uint8).to(gradient.dtype)).mul_(1 / (2 * ctx.window[2]))
        else:
            passed = _in_one_pass(gradient, kept, *ctx.window)
            if passed is None:
                passed = gradient * derivative(kept, *ctx.window)
        return passed, None, None, None, None, None


def _in_one_pass(
    gradient: torch.Tensor, y: torch.Tensor, edges: tuple[float, ...], window: str, a: float
) -> torch.Tensor | None:
    """``gradient * derivative(y, ...)`` for a triangular window round one edge, float32 on a CPU; else None."""
    if window != "triangular" or len(edges) != 1 or y.device.type != "cpu":
        return None
    if not y.dtype == gradient.dtype == torch.float32:
        return None
    passed = torch.empty_like(y)  # dense, its dimensions in the order they have in y
    given = [part if part.stride() == passed.stride() else torch.empty_like(y).copy_(part) for part in (y, gradient)]
    flat = (part.as_strided((y.numel(),), (1,)).numpy() for part in (*given, passed))
    _dst.window(*flat, edge=edges[0], a=a, slope=1 / (a * a))
    return passed


def derivative(y: torch.Tensor, edges: tuple[float, ...], window: str, a: float) -> torch.Tensor:
    """Sum of the windows round all edges, the shape and dtype of ``y``."""
    size = y.abs()
    total = torch.zeros_like(y)
    for edge in edges:
        distance = (size - edge).abs_()
        if window == "rectangular":
            total += (distance <= a).to(y.dtype) * (1 / (2 * a))
        else:
            total += (a - distance).clamp_(min=0) * (1 / (a * a))
    return total


class DiscreteActivation(nn.Module):
    """Activation into Z_space: ternary ``phi_r`` (space 1), multi-level (2 … 7), binary sign (0).

    Parameters
    ----------
    space
        N of Z_N.
    r, h
        Zero window and range: ``|y| <= r`` gives 0, ``|y|`` beyond h the largest level (see ``firing.edges``).
    a, window
        Half width and shape (``"rectangular"`` or ``"triangular"``) of the derivative's windows.
    """

    def __init__(
        self, space: int = 1, r: float = 0.5, h: float = 1.0, *, a: float = 0.5, window: str = "rectangular"
    ) -> None:
        super().__init__()
        self.space = grid.check_space(space)
        if not (math.isfinite(r) and r >= 0):
            raise OptionError(f"activation r: expected a finite zero window >= 0, got {r!r}")
        if space >= 2 and not (math.isfinite(h) and h > r):
            raise OptionError(f"activation h: expected h > r = {r} for more than three levels, got {h!r}")
        if not (math.isfinite(a) and a > 0):
            raise OptionError(f"activation a: expected a finite half width > 0, got {a!r}")
        if window not in WINDOWS:
            raise OptionError(f"activation window {window!r} is not one of {', '.join(WINDOWS)}")
        self.r, self.h, self.a, self.window = float(r), float(h), float(a), window
        self.edges = (0.0,) if space == 0 else tuple(float(e) for e in firing.edges(space, r, h))

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        """float32 ``y``, any shape -> values of Z_space, the same shape."""
        return _Step.apply(y, self.edges, self.space == 0, grid.unit(self.space), self.window, self.a)

    def extra_repr(self) -> str:
        return f"space={self.space}, r={self.r}, h={self.h}, a={self.a}, window={self.window!r}"


class HardTanh(nn.Module):
    """The real activation: ``y`` kept within [-1, 1]; its 8-bit form is that of :mod:`gxevent.train.real`."""

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return y.clamp(-1, 1)
