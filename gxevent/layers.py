"""Layer specifications: what a trained ternary network consists of, as plain frozen data.

A layer holds its arrays and nothing else; ``gxevent.network`` checks how layers fit together, ``gxevent.compiler``
lowers them, ``gxevent.runtime.reference`` executes them. Shapes leave out the sample axis: (C, H, W) or (n,).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

Pair = int | tuple[int, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Base of all layers. ``name`` is made up from kind and position where it is empty; ``inputs`` names the layers
    it reads (``"input"`` for the network's input), by default the layer before it."""

    name: str = ""
    inputs: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return type(self).__name__

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Its array fields by name, absent ones left out."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in named if isinstance(value, np.ndarray)}

    def settings(self) -> dict[str, object]:
        """Its fields that are not arrays, by name."""
        named = ((f.name, getattr(self, f.name)) for f in fields(self))
        return {name: value for name, value in named if not isinstance(value, np.ndarray) and value is not None}


@dataclass(frozen=True, eq=False)
class Dense(Layer):
    """Fully connected: ``s[o] = sum_i weight[o, i] * x[i]``.

    weight: int8 levels (out, in) of Z_levels; bias: float32 (out,) or None.
    """

    weight: NDArray[np.int8]
    levels: int = 1
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Conv2d(Layer):
    """Cross-correlation as in PyTorch's Conv2d, zero padding.

    weight: int8 levels (out, in / groups, kh, kw) of Z_levels; bias: float32 (out,) or None.
    """

    weight: NDArray[np.int8]
    stride: Pair = 1
    padding: Pair = 0
    dilation: Pair = 1
    groups: int = 1
    levels: int = 1
    bias: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class MaxPool2d(Layer):
    """Maximum of accumulators (before the threshold) or of levels (after it); taps on padding do not exist."""

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0


@dataclass(frozen=True, eq=False)
class SumPool2d(Layer):
    """Sum over the kernel's area; taps on padding do not exist."""

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0


@dataclass(frozen=True, eq=False)
class AvgPool2d(Layer):
    """Sum over the kernel's area divided by the full kernel size (padding counts as zeros)."""

    kernel: Pair
    stride: Pair | None = None
    padding: Pair = 0


@dataclass(frozen=True, eq=False)
class Pad2d(Layer):
    """Zeros around the image: (left, right, top, bottom). Becomes part of the convolution that reads it."""

    padding: tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Flatten(Layer):
    """(C, H, W) to (C * H * W,) in that order."""


@dataclass(frozen=True, eq=False)
class Add(Layer):
    """Sum of the accumulators (or levels) of several layers of one shape; ``inputs`` names them."""


@dataclass(frozen=True, eq=False)
class BatchNorm(Layer):
    """Batch norm in evaluation mode, per channel (or per unit of a dense layer); all arrays float32 (out,)."""

    gamma: NDArray[np.float32]
    beta: NDArray[np.float32]
    mean: NDArray[np.float32]
    var: NDArray[np.float32]
    eps: float = 1e-4

    if TYPE_CHECKING:  # a network brings what is given to float32

        def __init__(
            self,
            gamma: NDArray[np.floating],
            beta: NDArray[np.floating],
            mean: NDArray[np.floating],
            var: NDArray[np.floating],
            eps: float = 1e-4,
            *,
            name: str = "",
            inputs: tuple[str, ...] = (),
        ) -> None: ...


@dataclass(frozen=True, eq=False)
class Activation(Layer):
    """The step function into Z_levels with zero window ``r`` on [-h, h]; ``levels=0`` is the binary sign."""

    levels: int = 1
    r: float = 0.5
    h: float = 1.0


LAYERS: dict[str, type[Layer]] = {
    cls.__name__: cls
    for cls in (Dense, Conv2d, MaxPool2d, SumPool2d, AvgPool2d, Pad2d, Flatten, Add, BatchNorm, Activation)
}


def pair(value: Pair) -> tuple[int, int]:
    """``3`` -> (3, 3); ``(3, 5)`` stays: (rows, columns)."""
    if isinstance(value, int | np.integer):
        return int(value), int(value)
    rows, columns = value
    return int(rows), int(columns)
