"""Max pools 2x2 of training on a CPU, in one pass each way (``gxevent.core._dst``): PyTorch's results bit for bit.

PyTorch keeps the place of every largest value in 8 bytes and adds into a gradient it has filled with zeros.
"""

from __future__ import annotations

from typing import Any

from gxevent.core import _dst
from gxevent.layers import Pair, pair
from gxevent.train.backend import innermost, nn, torch


class MaxPool2d(nn.MaxPool2d):
    """``nn.MaxPool2d``, faster where it trains 2x2 pools in float32 on a CPU with the channels innermost."""

    def __init__(self, kernel: Pair, stride: Pair | None, padding: Pair) -> None:
        super().__init__(pair(kernel), stride, padding)
        steps = [pair(kernel if stride is None else stride), pair(kernel)]
        self.halves = steps == [(2, 2), (2, 2)] and pair(padding) == (0, 0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ours = self.halves and self.training and x.device.type == "cpu" and x.dtype == torch.float32 and x.ndim == 4
        if ours and min(x.shape[2:]) > 1 and x.is_contiguous(memory_format=torch.channels_last):
            return _Pool.apply(x)
        return super().forward(x)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        frames, channels, rows, cols = x.shape
        y = torch.empty((frames, channels, rows // 2, cols // 2), memory_format=torch.channels_last)
        _dst.max_pool(innermost(x), innermost(y))
        ctx.save_for_backward(x, y)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, dy: torch.Tensor) -> torch.Tensor:
        x, y = ctx.saved_tensors
        dx = torch.empty_like(x)
        dy = dy.contiguous(memory_format=torch.channels_last)
        _dst.max_pool_back(*(innermost(part) for part in (x, y, dy, dx)))
        return dx
