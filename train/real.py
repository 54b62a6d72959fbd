"""Real weights and activations: what the presets ``twn``, ``bwn`` and ``float`` keep of an ordinary network.

Weights are float32 parameters in [-1, 1]; the activation is the hard tanh, which the multi-level activation on
[-1, 1] tends to as its levels become many. Both have an 8-bit form the runtime can execute, Z_7, to the nearest level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.layers import Pair, pair
from gxevent.train import winograd
from gxevent.train.backend import F, nn, torch
from gxevent.train.modules import channels_innermost

SPACE = 7
"""N of the space Z_N that stands for real numbers where levels are needed."""
R = 1 / 128
"""Zero window of its activation: half a step, so that edges lie midway between levels."""


class RealLayer(nn.Module):
    """Base of the layers with real weights, float32, kept within [-1, 1] by :meth:`clip`."""

    def __init__(self, levels: torch.Tensor) -> None:
        super().__init__()
        values = channels_innermost(levels) if levels.ndim == 4 else levels.float().clone()
        self.weight = nn.Parameter(values.mul_(grid.unit(SPACE)))

    @torch.no_grad()
    def clip(self) -> None:
        self.weight.clamp_(-1, 1)

    def nearest_levels(self) -> NDArray[np.int8]:
        """The weights as levels of Z_7, int8."""
        return grid.nearest_level(self.weight.detach().cpu().numpy(), SPACE)


class RealLinear(RealLayer):
    """Fully connected, no bias; weight float32 (out, in)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight)


class RealConv2d(RealLayer):
    """Cross-correlation, no bias; weight float32 (out, in / groups, kh, kw)."""

    def __init__(
        self, levels: torch.Tensor, stride: Pair = 1, padding: Pair = 0, dilation: Pair = 1, groups: int = 1
    ) -> None:
        super().__init__(levels)
        self.stride, self.padding, self.dilation, self.groups = pair(stride), pair(padding), pair(dilation), groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.training and winograd.applies(x, self.weight, self.stride, self.padding, self.dilation, self.groups):
            return winograd.conv2d(x, self.weight, self.padding[0])
        return F.conv2d(x, self.weight, None, self.stride, self.padding, self.dilation, self.groups)
