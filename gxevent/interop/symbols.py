"""Building a TernaryNetwork from another program's graph, tensor by tensor.

What a foreign graph computes with floats is one of two things here:

    Spikes   values ``scale * q`` with levels q that a layer of ours sends
    Sums     a float expression of the integer sums that a layer of ours gathers

Elementwise operations only lengthen the expression. Where a weighted layer reads it, the expression must have become
a step function of two or three values; its thresholds become a batch norm and an activation of ours.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.checking import Shape, conv_size
from gxevent.encoder import Encoder
from gxevent.errors import UnsupportedError
from gxevent.interop.recognise import Levels, weight_levels
from gxevent.interop.steps import Expression, find_steps
from gxevent.layers import Add, BatchNorm, Conv2d, Dense, Flatten, Layer, MaxPool2d, Pad2d, SumPool2d
from gxevent.network import INPUT, TernaryNetwork

Quad = tuple[int, int, int, int]


@dataclass(frozen=True)
class Spikes:
    """Levels that ``layer`` sends, as real values ``scale * level``; |level| <= top. ``pad`` are zeros round it,
    ``unit`` is what gxevent takes level 1 for."""

    layer: str
    shape: Shape
    scale: float
    top: int
    pad: Quad = (0, 0, 0, 0)
    unit: float = 1.0


@dataclass(frozen=True, eq=False)
class Sums:
    """A float expression of the sums of ``layer``, |sum| <= bound; ``unit`` is what gxevent takes sum 1 for."""

    layer: str
    shape: Shape
    bound: int
    expression: Expression
    unit: float = 1.0


Value = Spikes | Sums


@dataclass(frozen=True)
class Geometry:
    """Of a convolution or pool; padding as (left, right, top, bottom)."""

    stride: tuple[int, int] = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def out(self, size: Shape, kernel: tuple[int, ...], where: str) -> Shape:
        """Rows and columns that an image of this size gives."""
        left, right, top, bottom = self.padding
        pads = (top + bottom, left + right)
        made = tuple(
            conv_size(n, k, s, p, d)
            for n, k, s, p, d in zip(size, kernel, self.stride, pads, self.dilation, strict=True)
        )
        if min(made) < 1:
            raise UnsupportedError(f"{where}: kernel {tuple(kernel)} does not fit into the image {size}")
        return made

    @property
    def even(self) -> bool:
        """Whether both sides are padded alike, as our pools need."""
        return self.padding[0] == self.padding[1] and self.padding[2] == self.padding[3]


class Assembly:
    """A network in the making. Methods take ``where``, which begins the message of what cannot be brought over.

    ``input_scale`` is the value the foreign program takes for level 1 of a frame, by default that of Z_input_levels.
    """

    def __init__(self, input_shape: Shape, input_levels: int = 1, input_scale: float | None = None) -> None:
        self.input_shape, self.input_levels = tuple(input_shape), input_levels
        self.layers: list[Layer] = []
        self.closed: dict[int, Spikes] = {}
        self.kept: list[Sums] = []  # so that the ids in ``closed`` stay taken
        unit, top = grid.unit(input_levels), grid.max_level(input_levels)
        self.input = Spikes(INPUT, self.input_shape, unit if input_scale is None else input_scale, top, unit=unit)

    def put(self, layer: Layer, name: str) -> str:
        """Add a layer under this name, or one near it that is free."""
        taken, free, n = {layer.name for layer in self.layers} | {INPUT}, name, 1
        while free in taken:
            n += 1
            free = f"{name}.{n}"
        self.layers.append(replace(layer, name=free))
        return free

    # ---------------------------------------------------------------------------------------------- weighted layers

    def dense(self, x: Value, weight: NDArray, bias: NDArray | None, where: str, name: str) -> Sums:
        """``x @ weight.T + bias``; weight (out, in) with levels up to a scale."""
        source = self.spikes(x, where)
        if len(source.shape) != 1 or weight.shape[1] != source.shape[0]:
            raise UnsupportedError(f"{where}: weights {weight.shape} do not fit an input of shape {source.shape}")
        found = weight_levels(weight, where)
        layer = self.put(Dense(found.levels, levels=found.space, inputs=(source.layer,)), name)
        return self.gathered(layer, (len(weight),), found, source, bias)

    def conv(
        self, x: Value, weight: NDArray, bias: NDArray | None, how: Geometry, groups: int, where: str, name: str
    ) -> Sums:
        """Cross-correlation; weight (out, in / groups, rows, columns) with levels up to a scale."""
        source = self.spikes(x, where)
        if len(source.shape) != 3 or weight.ndim != 4 or weight.shape[1] * groups != source.shape[0]:
            raise UnsupportedError(f"{where}: weights {weight.shape} do not fit an input of shape {source.shape}")
        found = weight_levels(weight, where)
        how = replace(how, padding=tuple(a + b for a, b in zip(how.padding, source.pad, strict=True)))
        before, padding = source.layer, (how.padding[2], how.padding[0])
        if not how.even:
            before, padding = self.put(Pad2d(how.padding, inputs=(before,)), f"{name}.pad"), (0, 0)
        made = Conv2d(found.levels, how.stride, padding, how.dilation, groups, found.space, inputs=(before,))
        shape = (len(weight), *how.out(source.shape[1:], weight.shape[2:], where))
        return self.gathered(self.put(made, name), shape, found, source, bias)

    def gathered(self, layer: str, shape: Shape, found: Levels, source: Spikes, bias: NDArray | None) -> Sums:
        most = np.abs(found.levels.astype(np.int64)).reshape(len(found.levels), -1).sum(axis=1).max()
        factor = found.scale * np.float32(source.scale)
        unit = source.unit * grid.unit(found.space)
        return Sums(layer, shape, max(1, int(most) * source.top), Expression.of_sums(factor, bias), unit)

    # ------------------------------------------------------------------------------------------------ other layers

    def pad(self, x: Value, padding: Quad, where: str) -> Spikes:
        source = self.spikes(x, where)
        return replace(source, pad=tuple(a + b for a, b in zip(source.pad, padding, strict=True)))

    def max_pool(self, x: Value, kernel: tuple[int, int], how: Geometry, where: str, name: str) -> Value:
        """Of sums: maximum and expression change places, since the expression rises with the sums or, in some
        channels, with the sums of the negated weights; of levels where it has fired already."""
        self._fits_pool(x, how, where)
        shape = (x.shape[0], *how.out(x.shape[1:], kernel, where))
        if isinstance(x, Sums):
            direction = x.expression.direction(x.bound)
            if (direction < 1).any():
                x = self.spikes(x, where) if x.expression.affine is None else self.turned(x, direction, where)
        layer = MaxPool2d(kernel, how.stride, (how.padding[2], how.padding[0]), inputs=(x.layer,))
        return replace(x, layer=self.put(layer, name), shape=shape)

    def turned(self, x: Sums, sign: NDArray[np.float32], where: str) -> Sums:
        """The same value, of sums that have the other sign where ``sign`` is -1."""
        layer = next((layer for layer in self.layers if layer.name == x.layer), None)
        if not isinstance(layer, Dense | Conv2d) or not sign.all():
            raise UnsupportedError(f"{where}: takes the maximum of values that fall in some channel as sums rise")
        weight = layer.weight * sign.astype(np.int8).reshape(-1, *[1] * (layer.weight.ndim - 1))
        made = self.put(replace(layer, weight=weight), f"{layer.name}.turned")
        return replace(x, layer=made, expression=x.expression.turned(sign))

    def sum_pool(self, x: Value, kernel: tuple[int, int], how: Geometry, divisor: float, where: str, name: str) -> Sums:
        """Sum over the kernel, divided (an average pool, when the divisor is the kernel's area)."""
        self._fits_pool(x, how, where)
        shape = (x.shape[0], *how.out(x.shape[1:], kernel, where))
        area = math.prod(kernel)
        if isinstance(x, Sums) and x.expression.affine is None:
            x = self.spikes(x, where)
        if isinstance(x, Sums):
            scale, bias = x.expression.affine
            if (bias != 0).any() and how.padding != (0, 0, 0, 0):
                raise UnsupportedError(f"{where}: averages padding beside values that have a bias")
            expression = Expression.of_sums(scale / divisor, bias * area / divisor if (bias != 0).any() else None)
            bound = x.bound * area
        else:
            expression = Expression.of_sums(np.full(shape[0], x.scale / divisor))
            bound = x.top * area
        layer = SumPool2d(kernel, how.stride, (how.padding[2], how.padding[0]), inputs=(x.layer,))
        return Sums(self.put(layer, name), shape, bound, expression, x.unit)

    @staticmethod
    def _fits_pool(x: Value, how: Geometry, where: str) -> None:
        if len(x.shape) != 3:
            raise UnsupportedError(f"{where}: needs an image (C, H, W), its input has shape {x.shape}")
        if not how.even or how.dilation != (1, 1) or (isinstance(x, Spikes) and x.pad != (0, 0, 0, 0)):
            raise UnsupportedError(f"{where}: pools with uneven padding or dilation are not brought over")

    def flatten(self, x: Value, where: str, name: str) -> Value:
        """(C, H, W) to (C * H * W,)."""
        if len(x.shape) == 1:
            return x
        if isinstance(x, Sums) and x.expression.affine is None:
            x = self.spikes(x, where)
        size = math.prod(x.shape)
        layer = self.put(Flatten(inputs=(x.layer,)), name)
        if isinstance(x, Sums):
            x = replace(x, expression=x.expression.flattened(size // x.shape[0]))
        return replace(x, layer=layer, shape=(size,))

    def add(self, parts: list[Value], where: str, name: str) -> Sums:
        """Sum of several branches, whose values must be the same multiple of their integers."""
        parts = [self.spikes(x, where) if isinstance(x, Sums) and x.expression.affine is None else x for x in parts]
        if len({x.shape for x in parts}) > 1:
            raise UnsupportedError(f"{where}: adds shapes {', '.join(str(x.shape) for x in parts)}")
        channels = parts[0].shape[0]
        lines = [_line(x, channels) for x in parts]
        scale = lines[0][0]
        if any(np.abs(other / scale - 1).max() > 1e-6 for other, _ in lines) or len({x.unit for x in parts}) > 1:
            raise UnsupportedError(f"{where}: adds branches of different scales, which integers cannot")
        bias = sum(b for _, b in lines)
        bound = sum(x.bound if isinstance(x, Sums) else x.top for x in parts)
        layer = self.put(Add(inputs=tuple(x.layer for x in parts)), name)
        expression = Expression.of_sums(scale, bias if (bias != 0).any() else None)
        return Sums(layer, parts[0].shape, bound, expression, parts[0].unit)

    # --------------------------------------------------------------------------------------- elementwise functions

    def elementwise(self, x: Value, function: Callable[[NDArray], NDArray], affine: Any, where: str) -> Value:
        """Apply a function to values (channels, k); ``affine`` is what it makes of (scale, offset), or None."""
        if isinstance(x, Sums):
            return replace(x, expression=x.expression.then(function, affine))
        q = grid.levels(self.input_levels) if x.layer == INPUT else np.arange(-x.top, x.top + 1)
        q = np.tile(q, (x.shape[0], 1))
        values = np.asarray(function((q * np.float32(x.scale)).astype(np.float32)), np.float64)
        ratio = values[q != 0] / q[q != 0]
        if (values[q == 0] != 0).any() or (ratio != ratio[0]).any() or ratio[0] <= 0:
            raise UnsupportedError(
                f"{where}: changes levels that fired already; gxevent takes frames of levels in "
                f"Z_{self.input_levels} as they are, and a factor behind an activation"
            )
        return replace(x, scale=float(ratio[0]))

    def spikes(self, x: Value, where: str) -> Spikes:
        """The value as levels: where it is an expression of sums, its steps become a batch norm and an activation."""
        if isinstance(x, Spikes):
            return x
        if id(x) not in self.closed:
            steps = find_steps(x.expression, x.bound, where)
            norm, activation = steps.layers(where, x.unit)
            before = self.put(replace(norm, inputs=(x.layer,)), f"{x.layer}.norm")
            layer = self.put(replace(activation, inputs=(before,)), f"{x.layer}.act")
            self.closed[id(x)] = Spikes(layer, x.shape, steps.scale, 1)
            self.kept.append(x)
        return self.closed[id(x)]

    # -------------------------------------------------------------------------------------------------- the network

    def read(self, last: str) -> tuple[Layer, ...]:
        """The layers that lead to the last one."""
        needed = {last}
        for layer in reversed(self.layers):
            needed.update(layer.inputs if layer.name in needed else ())
        return tuple(layer for layer in self.layers if layer.name in needed)

    def network(
        self,
        scores: Value,
        where: str,
        *,
        encoder: Encoder | None,
        classes: tuple[str, ...],
        name: str,
        **provenance: Any,
    ) -> TernaryNetwork:
        """The network that ends on these scores."""
        if isinstance(scores, Spikes) or scores.expression.affine is None:
            raise UnsupportedError(
                f"{where}: its output fires; gxevent's networks end on scores, the sums of a last layer"
            )
        scale, bias = scores.expression.affine
        scale, last = scale / scores.unit, scores.layer
        if (scale != 1).any() or (bias != 0).any():
            zeros = np.zeros(len(scale), np.float32)
            norm = BatchNorm(scale, bias, zeros, zeros + 1, eps=0.0, inputs=(scores.layer,))
            last = self.put(norm, f"{last}.norm")
        return TernaryNetwork(self.input_shape, encoder, self.read(last), classes, self.input_levels, name, provenance)


def _line(x: Value, channels: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if isinstance(x, Spikes):
        return np.full(channels, x.scale), np.zeros(channels)
    return x.expression.affine
