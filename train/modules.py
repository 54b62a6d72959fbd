"""Layers of a network in training: discrete weights, batch norm and pools whose evaluation forward is exact.

In training mode these are ordinary float32 layers, so gradients flow as usual. In evaluation mode they give exactly
what the compiled network gives: accumulators are rounded to the integers they are (convolution algorithms such as
Winograd do not keep integers), and everything behind them is the float32 expression of :mod:`gxevent.firing`.

Signals between layers are real values: levels times the unit of their space, or integer sums times theirs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gxevent import firing, grid
from gxevent.errors import OptionError
from gxevent.layers import Pair, pair
from gxevent.train import winograd
from gxevent.train.backend import F, nn, torch
from gxevent.train.residue import join, level_of

FLOAT32_IS_SAFE = 2.0**16
"""Accumulators that can grow beyond this are computed in float64: far below 2**24, so that the rounding errors of any
float32 convolution stay far below the half that rounding to integers can mend."""


def random_levels(shape: tuple[int, ...], n: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Weights before training: Uniform(-1, 1) rounded to Z_n, as the released code starts (half zeros for n = 1)."""
    return grid.nearest_level(rng.uniform(-1, 1, shape), n)


def channels_innermost(levels: torch.Tensor) -> torch.Tensor:
    """float32 copy of (out, in, kh, kw) whose input channels lie innermost in memory.

    A convolution follows its weights' layout, and pools and batch norms behind it are several times faster so. (With
    one input channel ``channels_last`` alone changes nothing.)
    """
    _, channels, rows, cols = levels.shape
    strides = (rows * cols * channels, 1, cols * channels, channels)
    return torch.empty_strided(levels.shape, strides, dtype=torch.float32, device=levels.device).copy_(levels)


class DiscreteLayer(nn.Module):
    """Base of the layers with weights on a grid.

    ``cells`` (int8, a Parameter that needs no gradient, so that it moves like any other) is all that persists: the
    weights' ``levels``, and in bits that those leave unused what the optimizer could not spend, if it keeps that. In
    training mode ``weight()`` makes a transient float32 copy of the weights' values that autograd differentiates; the
    optimizer takes its gradient and frees it. ``state_dict`` has the levels alone, as ``levels``.

    Parameters
    ----------
    levels
        int8 levels of Z_space.
    space, input_space
        N of the weights' and of the inputs' space Z_N.
    """

    def __init__(self, levels: torch.Tensor, space: int, input_space: int) -> None:
        super().__init__()
        self.space, self.input_space = grid.check_space(space), grid.check_space(input_space)
        if levels.dtype != torch.int8 or not bool(grid.contains(levels.cpu().numpy(), space).all()):
            raise OptionError(f"weights: expected int8 levels of Z_{space}, got {levels.dtype} or levels outside")
        self.cells = nn.Parameter(levels.clone(), requires_grad=False)
        self.spare = 0
        """Low bits of a cell that are not the level's but the optimizer's."""
        self.unit = grid.unit(space) * grid.unit(input_space)
        self._weight: torch.Tensor | None = None
        self._version = -1  # of the cells that the transient copy was made from
        self.exact = True
        """Inputs are values of Z_input_space; False where they are real numbers, whose sums are no integers."""
        self.on_gradient: Callable[[], None] | None = None
        """Called in ``backward`` as soon as the gradient of the transient copy is there."""

    @property
    def levels(self) -> torch.Tensor:
        """int8 levels of the weights: the cells themselves, or a new tensor where those hold more."""
        return level_of(self.cells, self.spare) if self.spare else self.cells

    @torch.no_grad()
    def share(self, spare: int, residue: torch.Tensor | None = None) -> None:
        """Keep ``spare`` low bits of every cell for a residue (int8, by default 0); 0 takes them back."""
        levels = self.levels
        self.cells.copy_(join(levels, torch.zeros_like(levels) if residue is None else residue, spare))
        self.spare = spare

    def _save_to_state_dict(self, destination: dict[str, torch.Tensor], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "levels"] = self.levels if keep_vars else self.levels.detach()

    def _load_from_state_dict(self, state_dict: dict[str, torch.Tensor], prefix: str, *rest: object) -> None:
        if prefix + "levels" in state_dict:
            state_dict[prefix + "cells"] = state_dict.pop(prefix + "levels")
            self.spare = 0
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def weight(self) -> torch.Tensor:
        """Values of the weights, float32; with gradients enabled the one transient copy of this training step."""
        if not torch.is_grad_enabled():
            return self.levels * grid.unit(self.space) + 0.0
        if self._weight is None or self._version != self.cells._version:
            self._weight = self.transient().requires_grad_()
            self._version = self.cells._version
            if self.on_gradient is not None:
                self._weight.register_post_accumulate_grad_hook(lambda _: self.on_gradient())
        return self._weight

    def transient(self) -> torch.Tensor:
        """A new float32 tensor of the weights' values."""
        return self.values_of(self.cells.float())

    def values_of(self, cells: torch.Tensor) -> torch.Tensor:
        """The weights' values, in place of their cells' numbers as float32: no second copy is made."""
        if self.spare:  # level_of, exact in float32
            cells.add_(1 << (self.spare - 1)).mul_(0.5**self.spare).floor_()
        return cells.mul_(grid.unit(self.space))

    def take_gradient(self) -> torch.Tensor | None:
        """Gradient with respect to the weights' values (None if the layer took no part), freeing the copy."""
        weight, self._weight = self._weight, None
        if weight is None:
            return None
        gradient, weight.grad = weight.grad, None
        if self.on_gradient is not None:
            # The graph of the pass under way still refers to the copy, but has no more use for what is in it.
            weight.untyped_storage().resize_(0)
        return gradient

    def gradient_bytes(self) -> int:
        """Bytes that the gradient takes at present."""
        return 0 if self._weight is None or self._weight.grad is None else self._weight.grad.nbytes

    def release(self) -> None:
        """Free the transient copy of the weights and its gradient."""
        self._weight = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weighted sums as real values ``s * unit``; float32 ``x`` holds values of Z_input_space."""
        if self.training or not self.exact:
            return self.apply_weight(x, self.weight())
        return self.accumulate(x) * self.unit

    @torch.no_grad()
    def accumulate(self, x: torch.Tensor) -> torch.Tensor:
        """The integer accumulators s (as float32) for values ``x``, exact."""
        largest = self.cells[0].numel() * grid.max_level(self.space) * grid.max_level(self.input_space)
        dtype = torch.float32 if largest < FLOAT32_IS_SAFE else torch.float64
        q = (x / grid.unit(self.input_space)).to(dtype)
        levels = channels_innermost(self.levels) if self.cells.ndim == 4 else self.levels
        return self.apply_weight(q, levels.to(dtype)).round_().float() + 0.0  # + 0.0 turns -0.0 into 0.0

    def apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError


class DiscreteLinear(DiscreteLayer):
    """Fully connected, no bias (the batch norm behind it has one); levels int8 (out, in), x (n, in)."""

    def __init__(self, levels: torch.Tensor, space: int = 1, input_space: int = 1) -> None:
        super().__init__(levels, space, input_space)

    def apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.linear(x, weight)

    def extra_repr(self) -> str:
        return f"{self.cells.shape[1]}, {self.cells.shape[0]}, space={self.space}, input_space={self.input_space}"


class DiscreteConv2d(DiscreteLayer):
    """Cross-correlation, no bias; levels int8 (out, in / groups, kh, kw), x (n, in, H, W), zero padding."""

    def __init__(
        self,
        levels: torch.Tensor,
        space: int = 1,
        input_space: int = 1,
        *,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(levels, space, input_space)
        self.stride, self.padding, self.dilation, self.groups = pair(stride), pair(padding), pair(dilation), groups

    def transient(self) -> torch.Tensor:
        """Values with the input channels innermost."""
        return self.values_of(channels_innermost(self.cells))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and winograd.applies(x, self.cells, self.stride, self.padding, self.dilation, self.groups):
            return winograd.conv2d(x, self.weight(), self.padding[0])
        return super().forward(x)

    def apply_weight(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, weight, None, self.stride, self.padding, self.dilation, self.groups)

    def extra_repr(self) -> str:
        out, per_group, *kernel = self.cells.shape
        return (
            f"{per_group * self.groups}, {out}, kernel={tuple(kernel)}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, groups={self.groups}, space={self.space}, input_space={self.input_space}"
        )


class BatchNorm(nn.Module):
    """Batch norm over (n, C) or (n, C, H, W), per channel.

    Training: the ordinary one (biased variance of the batch, running averages with factor ``momentum``). Evaluation:
    ``v * scale + offset`` with scale and offset from ``firing.affine``, a separate multiplication and addition.
    """

    def __init__(self, channels: int, eps: float = 1e-4, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.gamma = nn.Parameter(torch.ones(channels))
        self.beta = nn.Parameter(torch.zeros(channels))
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("var", torch.ones(channels))

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """``gamma``, ``beta``, ``mean``, ``var`` as NumPy copies, float32 (channels,)."""
        names = ("gamma", "beta", "mean", "var")
        return {name: getattr(self, name).detach().cpu().numpy().copy() for name in names}

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        if self.training:
            return F.batch_norm(v, self.mean, self.var, self.gamma, self.beta, True, self.momentum, self.eps)
        shape = (1, -1) + (1,) * (v.ndim - 2)
        scale, offset = (
            torch.from_numpy(a).to(v.device).view(shape) for a in firing.affine(**self.arrays(), eps=self.eps)
        )
        return torch.add(torch.mul(v, scale), offset)

    def extra_repr(self) -> str:
        return f"{self.gamma.numel()}, eps={self.eps}, momentum={self.momentum}"


class SumPool2d(nn.Module):
    """Sum over the kernel, or its average; ``unit`` is the real value of the integer 1 in its input.

    The average divides by the full kernel (padding counts as zeros) and keeps integer sums: unit / area is the unit of
    what it gives.
    """

    def __init__(self, kernel: Pair, stride: Pair | None, padding: Pair, unit: float, *, average: bool) -> None:
        super().__init__()
        self.kernel, self.padding = pair(kernel), pair(padding)
        self.stride = pair(kernel if stride is None else stride)
        self.unit_in = unit
        self.area = self.kernel[0] * self.kernel[1]
        self.exact = True
        self.unit = unit / self.area if average else unit

    def forward(self, v: torch.Tensor) -> torch.Tensor:
        if self.training or not self.exact:
            return self._sum(v) * (self.unit / self.unit_in)
        return self._sum((v / self.unit_in).round_().double()).round_().float() * self.unit

    def _sum(self, v: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(v, self.kernel, self.stride, self.padding, divisor_override=1)

    def extra_repr(self) -> str:
        return f"{self.kernel}, stride={self.stride}, padding={self.padding}, unit={self.unit}"


class Add(nn.Module):
    """Sum of branches; ``units`` are the real values of the integer 1 in each, whole multiples of the smallest."""

    def __init__(self, units: tuple[float, ...]) -> None:
        super().__init__()
        self.units, self.unit = units, min(units)
        self.exact = True

    def forward(self, *branches: torch.Tensor) -> torch.Tensor:
        if self.training or not self.exact:
            return sum(branches[1:], start=branches[0])
        scaled = [(v / u).round_() * (u / self.unit) for v, u in zip(branches, self.units, strict=True)]
        return sum(scaled[1:], start=scaled[0]) * self.unit

    def extra_repr(self) -> str:
        return f"units={self.units}"
