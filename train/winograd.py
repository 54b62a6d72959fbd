"""Convolutions of float32 training on a CPU in a fraction of their multiplications: ``gxevent.core._winograd``.

3x3 and 5x5 kernels, stride 1, channels in multiples of 16, by Winograd's minimal filtering (Lavin & Gray 2016, arXiv
1509.09308). Sums differ from PyTorch's by rounding, some 1e-6 of their size, as those of any two convolution algorithms
do. Training alone computes so: evaluation is exact (:mod:`gxevent.train.modules`).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _winograd
from gxevent.train.backend import innermost, torch

SMALL, LARGE, MANY = 48, 192, 1 << 14
"""Tiles at a time: few, so that their 36 points stay in the cache, unless there are so many pairs of channels that
going through the weights' points, once for each block, takes longer."""
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
FACTORS = (1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24)


@cache
def kernel_transform(kernel: int) -> torch.Tensor:
    """G x G: float32 (36, kernel * kernel), from a kernel to its values at the points and infinity."""
    g = np.zeros((6, kernel))
    g[:5] = np.array(FACTORS)[:, None] * np.array(POINTS)[:, None] ** np.arange(kernel)
    g[5, -1] = 1
    return torch.from_numpy(np.kron(g, g).astype(np.float32))


def applies(x: torch.Tensor, weight: torch.Tensor, stride: tuple, padding: tuple, dilation: tuple, groups: int) -> bool:
    """Whether :func:`conv2d` computes this convolution (of float32 weights), and the machine can."""
    outputs, channels, rows, cols = weight.shape
    return (
        _winograd.RUNS
        and x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and rows == cols
        and rows in (3, 5)
        and groups == 1
        and stride == dilation == (1, 1)
        and padding[0] == padding[1]
        and channels % _winograd.PANEL == outputs % _winograd.PANEL == 0
        and min(x.shape[2:]) + 2 * padding[0] >= rows
    )


def conv2d(x: torch.Tensor, weight: torch.Tensor, padding: int) -> torch.Tensor:
    """Cross-correlation float32 (n, out, rows, cols) of ``x`` (n, in, rows, cols), ``weight`` (out, in, k, k)."""
    return _Convolution.apply(x, weight, padding)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, weight: torch.Tensor, padding: int) -> torch.Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        kernel = weight.shape[2]
        rows, cols = (size + 2 * padding - kernel + 1 for size in x.shape[2:])
        y = torch.empty((len(x), len(weight), rows, cols), memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        options = {"kernel": kernel, "padding": padding, "block": _block(weight)}
        ctx.options = options
        panels, given, made = _panels(transformed(weight)), innermost(x), innermost(y)

        def part(frames: slice) -> None:
            _winograd.forward(given[frames], panels, made[frames], _work(weight), **options)

        _in_parts(len(x), part)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor, None]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        panels = None if dx is None else _panels(transformed(weight).transpose(1, 2))
        given, gradient, made = innermost(x), innermost(dy), None if dx is None else innermost(dx)

        def part(frames: slice) -> NDArray[np.float32]:
            du = np.zeros((36, x.shape[1], dy.shape[1]), np.float32)
            to = None if made is None else made[frames]
            _winograd.backward(given[frames], gradient[frames], panels, to, du, _work(weight), **ctx.options)
            return du

        first, *others = _in_parts(len(x), part)
        for other in others:
            first += other
        return dx, transformed_back(torch.from_numpy(first), ctx.options["kernel"]), None


def transformed(weight: torch.Tensor) -> torch.Tensor:
    """G w G', float32 (36, in, out), of ``weight`` (out, in, k, k)."""
    outputs, channels, kernel, _ = weight.shape
    taps = weight.permute(2, 3, 1, 0).reshape(kernel * kernel, channels * outputs)
    return (kernel_transform(kernel) @ taps).view(-1, channels, outputs)


def transformed_back(du: torch.Tensor, kernel: int) -> torch.Tensor:
    """The gradient of a weight (out, in, k, k), given that of what :func:`transformed` makes of it."""
    _, channels, outputs = du.shape
    taps = kernel_transform(kernel).T @ du.view(len(du), -1)
    return taps.view(kernel, kernel, channels, outputs).permute(3, 2, 0, 1)


def _panels(u: torch.Tensor) -> NDArray[np.float32]:
    """``u`` (36, a, b) in panels of 16 columns: (36, b / 16, a, 16)."""
    points, rows, cols = u.shape
    panels = u.reshape(points, rows, cols // _winograd.PANEL, _winograd.PANEL).transpose(1, 2)
    return panels.contiguous().numpy()


def _in_parts(frames: int, part: Callable[[slice], Any]) -> list[Any]:
    """``part`` of as many slices of the frames as PyTorch has threads, side by side; what they return, in order."""
    count = max(1, min(torch.get_num_threads(), frames))
    if count == 1:
        return [part(slice(0, frames))]
    cuts = [frames * i // count for i in range(count + 1)]
    return list(_pool(count).map(part, (slice(*pair) for pair in itertools.pairwise(cuts))))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "convolution")


def _block(weight: torch.Tensor) -> int:
    return SMALL if weight.shape[0] * weight.shape[1] < MANY else LARGE


def _work(weight: torch.Tensor) -> NDArray[np.float32]:
    """Memory of this thread to work in, kept from call to call."""
    outputs, channels = weight.shape[:2]
    size = _winograd.work_size(channels, outputs, _block(weight))
    if len(getattr(_kept, "work", ())) < size:
        _kept.work = np.empty(size, np.float32)
    return _kept.work


_kept = threading.local()
