"""The rules a network must obey, each problem as one line naming layer and field.

``check_arrays`` looks at one layer alone, ``check_flow`` at a layer and the signals it reads. A *signal* is what
travels between layers: its shape, and whether it consists of levels (events), integer sums, or batch-normed reals.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.layers import (
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MaxPool2d,
    Pad2d,
    SumPool2d,
    pair,
)

Shape = tuple[int, ...]
POOLS = (MaxPool2d, SumPool2d, AvgPool2d)


@dataclass(frozen=True)
class Signal:
    """What travels between two layers."""

    shape: Shape
    form: str
    """"levels" of ``Z_levels``, "sums" (integer accumulators) or "reals" (after a batch norm)."""
    levels: int = 1
    unit: float = 1.0
    """Real value of the integer 1."""
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """Zeros a Pad2d put around it (left, right, top, bottom), waiting for a convolution to take them over."""


class Problems(list[str]):
    """Problems of one layer, prefixed with where they are."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def add(self, field: str, text: str) -> None:
        where = f"layer {self.layer.name!r} ({self.layer.kind})"
        self.append(f"{where} {field}: {text}" if field else f"{where}: {text}")


# ---------------------------------------------------------------------------------------------- one layer alone


def check_arrays(layer: Layer) -> tuple[Layer, list[str]]:
    """Bring a layer's fields to their stored types; return it with the problems found."""
    found = Problems(layer)
    changes: dict[str, Any] = {}
    if isinstance(layer, Dense | Conv2d):
        _check_levels(layer, found, changes, ndim=2 if isinstance(layer, Dense) else 4)
    if isinstance(layer, BatchNorm):
        _check_batch_norm(layer, found, changes)
    if isinstance(layer, Activation):
        _check_activation(layer, found)
    for field, least in (("stride", 1), ("dilation", 1), ("padding", 0), ("kernel", 1)):
        if hasattr(layer, field) and not isinstance(layer, Pad2d):
            _check_pair(layer, field, least, found)
    if isinstance(layer, POOLS) and not found:
        kernel, padding = pair(layer.kernel), pair(layer.padding)
        if any(2 * p > k for p, k in zip(padding, kernel, strict=True)):
            found.add("padding", f"{padding} is more than half the kernel {kernel}")
    if isinstance(layer, Conv2d) and not _whole(layer.groups, 1):
        found.add("groups", f"expected a whole number >= 1, got {layer.groups!r}")
    if isinstance(layer, Pad2d) and not (len(layer.padding) == 4 and all(_whole(p, 0) for p in layer.padding)):
        found.add("padding", f"expected (left, right, top, bottom), each >= 0, got {layer.padding!r}")
    return (replace(layer, **changes) if changes else layer), list(found)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least


def _check_pair(layer: Layer, field: str, least: int, found: Problems) -> None:
    value = getattr(layer, field)
    if value is None:  # a pool's stride defaults to its kernel
        return
    parts = value if isinstance(value, tuple | list) else (value, value)
    if len(parts) != 2 or not all(_whole(part, least) for part in parts):
        found.add(field, f"expected a whole number >= {least}, or a pair (rows, columns) of them, got {value!r}")


def _check_levels(layer: Dense | Conv2d, found: Problems, changes: dict[str, Any], ndim: int) -> None:
    if not _whole(layer.levels, 0) or layer.levels > grid.MAX_N:
        found.add("levels", f"expected N of Z_N from 0 to {grid.MAX_N}, got {layer.levels!r}")
        return
    weight = np.asarray(layer.weight)
    layout = "(out, in)" if ndim == 2 else "(out, in / groups, rows, columns)"
    if weight.dtype.kind not in "iu":
        found.add(
            "weight",
            f"expected int8 levels of Z_{layer.levels}, got {weight.dtype}: quantise it first, see gxevent.grid",
        )
        return
    if weight.ndim != ndim or 0 in weight.shape:
        found.add("weight", f"expected {ndim} non-empty axes {layout}, got shape {weight.shape}")
        return
    outside = ~grid.contains(weight, layer.levels)
    if outside.any():
        place = tuple(int(i) for i in np.argwhere(outside)[0])
        found.add(
            "weight",
            f"{int(outside.sum())} levels outside Z_{layer.levels}, the first {int(weight[place])} at {list(place)}",
        )
        return
    changes["weight"] = np.ascontiguousarray(weight, dtype=np.int8)
    if layer.bias is not None:
        changes["bias"] = _floats(layer, "bias", layer.bias, weight.shape[0], found)


def _floats(layer: Layer, field: str, value: Any, size: int | None, found: Problems) -> NDArray[np.float32] | None:
    try:
        array = np.ascontiguousarray(value, dtype=np.float32)
    except (TypeError, ValueError):
        found.add(field, "expected float32 numbers")
        return None
    if array.ndim != 1 or (size is not None and array.shape[0] != size):
        found.add(field, f"expected shape ({'n' if size is None else size},), got {array.shape}")
        return None
    bad = ~np.isfinite(array)
    if bad.any():
        at = int(np.argmax(bad))
        found.add(field, f"{int(bad.sum())} values are not finite, the first {array[at]} at [{at}]")
        return None
    return array


def _check_batch_norm(layer: BatchNorm, found: Problems, changes: dict[str, Any]) -> None:
    try:
        size = np.asarray(layer.gamma).shape[0]
    except IndexError:
        size = None
    for field in ("gamma", "beta", "mean", "var"):
        array = _floats(layer, field, getattr(layer, field), size, found)
        if array is not None:
            changes[field] = array
    if not (isinstance(layer.eps, float | int) and np.isfinite(layer.eps) and layer.eps >= 0):
        found.add("eps", f"expected a finite number >= 0, got {layer.eps!r}")
        return
    var = changes.get("var")
    if var is not None and (var + np.float32(layer.eps) <= 0).any():
        at = int(np.argmax(var + np.float32(layer.eps) <= 0))
        found.add("var", f"var + eps must be positive, is {var[at] + np.float32(layer.eps)} at [{at}]")


def _check_activation(layer: Activation, found: Problems) -> None:
    if not _whole(layer.levels, 0) or layer.levels > grid.MAX_N:
        found.add("levels", f"expected N of Z_N from 0 to {grid.MAX_N}, got {layer.levels!r}")
        return
    if layer.levels >= 1 and not (np.isfinite(layer.r) and layer.r >= 0):
        found.add("r", f"expected a finite zero window >= 0, got {layer.r!r}")
    elif layer.levels >= 2 and not (np.isfinite(layer.h) and layer.h > layer.r):
        found.add("h", f"expected h > r for more than three levels, got h={layer.h!r}, r={layer.r!r}")


# ------------------------------------------------------------------------------------ a layer and what it reads


def check_flow(layer: Layer, sources: list[Signal]) -> tuple[Signal | None, list[str]]:
    """Signal a layer makes of the signals it reads (None where that cannot be told), and the problems met."""
    found = Problems(layer)
    if not isinstance(layer, Add) and len(sources) != 1:
        found.add("inputs", f"reads one layer, got {len(sources)}")
        return None, list(found)
    source = sources[0]
    if any(signal.padding != (0, 0, 0, 0) for signal in sources) and not isinstance(layer, Conv2d | Pad2d):
        found.add("inputs", "a Pad2d can only be read by a Conv2d")
        return None, list(found)
    match layer:
        case Dense():
            made = _flow_dense(layer, source, found)
        case Conv2d():
            made = _flow_conv(layer, source, found)
        case MaxPool2d() | SumPool2d() | AvgPool2d():
            made = _flow_pool(layer, source, found)
        case Pad2d():
            made = _flow_pad(layer, source, found)
        case Flatten():
            made = replace(source, shape=(int(np.prod(source.shape)),))
        case Add():
            made = _flow_add(layer, sources, found)
        case BatchNorm():
            made = _flow_batch_norm(layer, source, found)
        case Activation():
            if source.form == "levels":
                found.add("inputs", "reads levels that fired already: an activation follows sums or a batch norm")
            made = Signal(source.shape, "levels", layer.levels, grid.unit(layer.levels))
        case _:
            found.add("", "not a layer gxevent knows")
            made = None
    return made, list(found)


def _needs_levels(layer: Layer, source: Signal, found: Problems) -> None:
    if source.form != "levels":
        found.add("inputs", f"reads {source.form} that did not fire: put an Activation before this layer")


def _needs_image(source: Signal, found: Problems) -> bool:
    if len(source.shape) != 3:
        found.add("inputs", f"needs an image (C, H, W), its input has shape {source.shape}")
    return len(source.shape) == 3


def _flow_dense(layer: Dense, source: Signal, found: Problems) -> Signal | None:
    _needs_levels(layer, source, found)
    if len(source.shape) != 1:
        found.add("inputs", f"needs a vector, its input has shape {source.shape}: put a Flatten before it")
    elif layer.weight.shape[1] != source.shape[0]:
        found.add(
            "weight", f"takes {layer.weight.shape[1]} inputs (axis 1), but the layer before has {source.shape[0]}"
        )
    return Signal((layer.weight.shape[0],), "sums", 1, grid.unit(layer.levels) * source.unit)


def conv_size(size: int, kernel: int, stride: int, padding: int, dilation: int = 1) -> int:
    """Output length along one axis; ``padding`` is the total of both sides."""
    return (size + padding - dilation * (kernel - 1) - 1) // stride + 1


def _flow_conv(layer: Conv2d, source: Signal, found: Problems) -> Signal | None:
    _needs_levels(layer, source, found)
    if not _needs_image(source, found):
        return None
    channels, *size = source.shape
    out, per_group, *kernel = layer.weight.shape
    if channels % layer.groups or out % layer.groups:
        found.add("groups", f"{layer.groups} does not divide {channels} input and {out} output channels")
    elif per_group * layer.groups != channels:
        found.add("weight", f"takes {per_group * layer.groups} channels (axis 1 x groups), its input has {channels}")
    left, right, top, bottom = source.padding
    extra = [top + bottom, left + right]
    made = [
        conv_size(n, k, s, 2 * p + e, d)
        for n, k, s, p, e, d in zip(
            size, kernel, pair(layer.stride), pair(layer.padding), extra, pair(layer.dilation), strict=True
        )
    ]
    if min(made) < 1:
        found.add("weight", f"kernel {tuple(kernel)} does not fit into the image {tuple(size)}")
        return None
    return Signal((out, *made), "sums", 1, grid.unit(layer.levels) * source.unit)


def _flow_pool(layer: MaxPool2d | SumPool2d | AvgPool2d, source: Signal, found: Problems) -> Signal | None:
    if not _needs_image(source, found):
        return None
    if source.form == "reals":
        found.add("inputs", "pools after the batch norm: put the pool before it, or after the activation")
    kernel = pair(layer.kernel)
    stride = pair(layer.kernel if layer.stride is None else layer.stride)
    made = tuple(
        conv_size(n, k, s, 2 * p)
        for n, k, s, p in zip(source.shape[1:], kernel, stride, pair(layer.padding), strict=True)
    )
    if min(made) < 1:
        found.add("kernel", f"{kernel} does not fit into the image {source.shape[1:]}")
        return None
    shape = (source.shape[0], *made)
    if isinstance(layer, MaxPool2d):
        return replace(source, shape=shape)
    area = kernel[0] * kernel[1] if isinstance(layer, AvgPool2d) else 1
    return Signal(shape, "sums", 1, source.unit / area)


def _flow_pad(layer: Pad2d, source: Signal, found: Problems) -> Signal | None:
    _needs_levels(layer, source, found)
    if not _needs_image(source, found):
        return None
    padding = tuple(a + b for a, b in zip(source.padding, layer.padding, strict=True))
    return replace(source, padding=padding)  # the shape stays: the convolution adds the padding


def _flow_add(layer: Add, sources: list[Signal], found: Problems) -> Signal | None:
    if len(sources) < 2:
        found.add("inputs", "joins at least two layers, name them as inputs=(…)")
        return None
    if len({signal.shape for signal in sources}) > 1:
        found.add("inputs", f"shapes differ: {', '.join(str(signal.shape) for signal in sources)}")
    if any(signal.form == "reals" for signal in sources):
        found.add("inputs", "adds after a batch norm: sums add as integers, so put the batch norm behind the Add")
    unit = min(signal.unit for signal in sources)
    if any(signal.unit / unit % 1 for signal in sources):
        found.add("inputs", "the branches' units are not whole multiples of each other: use the same average pool")
    return Signal(sources[0].shape, "sums", 1, unit)


def _flow_batch_norm(layer: BatchNorm, source: Signal, found: Problems) -> Signal | None:
    if source.form != "sums":
        found.add("inputs", f"reads {source.form}: a batch norm follows a dense, convolution, pool or add layer")
    if layer.gamma.shape[0] != source.shape[0]:
        found.add("gamma", f"has {layer.gamma.shape[0]} channels, its input {source.shape[0]}")
    return replace(source, form="reals")
