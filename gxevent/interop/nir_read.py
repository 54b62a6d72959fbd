"""NIR graphs of sums and thresholds as TernaryNetworks; one frame is one time step.

Files that gxevent wrote come back with their populations: pairs of rails become ternary levels again, and spikes
counted by a convolution with ones the max pools they stand for. In other files a ``Threshold`` is a population that
sends +1 or nothing.
"""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError, UnsupportedError
from gxevent.interop.nir_file import NirFile, read_nir
from gxevent.interop.symbols import Assembly, Geometry, Sums, Value
from gxevent.layers import MaxPool2d
from gxevent.network import TernaryNetwork


def from_nir(
    path: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    classes: tuple[str, ...] = (),
    input_shape: tuple[int, ...] | None = None,
    input_levels: int | None = None,
    name: str = "",
) -> tuple[TernaryNetwork, list[str]]:
    """The network of a NIR file, and notes on what was done.

    Parameters as in :func:`gxevent.interop.onnx_read.from_onnx`; ``input_levels`` of a foreign file is 1 by default.

    Raises
    ------
    FormatError, NetworkError
        for a file that is not NIR, or listing unknown nodes, cycles and what is joined to nothing.
    UnsupportedError
        naming a node whose values integers cannot give.
    """
    path = Path(path)
    file = read_nir(path)
    about = file.about
    encoder = encoder or about.get("encoder")
    if input_levels is None:
        input_levels = encoder.levels if encoder else about.get("input_levels", 1)
    shape = tuple(int(n) for n in np.ravel(file.nodes[file.of_type("Input")[0]]["shape"]))
    railed = bool(about.get("nodes")) and input_levels <= 1
    shape = (shape[0] // 2, *shape[1:]) if railed else shape
    if input_shape is not None and shape != input_shape:
        raise OptionError(f"{path}: frames have shape {shape}, not {input_shape}")
    assembly = Assembly(shape, input_levels, 1.0 if about.get("nodes") else None)  # gxevent's own files take levels
    reader = (_RailReader if about.get("nodes") else _Reader)(path, file, assembly)
    scores = reader.walk()
    network = reader.assembly.network(
        scores,
        f"{path}: the output",
        encoder=encoder,
        classes=classes or about.get("classes", ()),
        name=name or about.get("name", ""),
    )
    notes = [
        f"node {node!r} has {rails} rails: a unit's level comes back as {rails // 2} ternary units that add up to it"
        for node, rails in about.get("rails", {}).items()
        if rails > 2
    ]
    return network, notes


class _Reader:
    """Walks the nodes from input to output; what several edges bring to a node adds up."""

    def __init__(self, path: Path, file: NirFile, assembly: Assembly) -> None:
        self.path, self.file, self.assembly = path, file, assembly
        self.values: dict[str, Value] = {}
        graph = file.graph()
        self.before = {name: list(graph.predecessors(name)) for name in file.nodes}
        self.after = {name: list(graph.successors(name)) for name in file.nodes}

    def walk(self) -> Value:
        for name in self.file.order():
            node = self.file.nodes[name]
            try:
                self.values[name] = self.node(name, node)
            except KeyError as error:
                raise FormatError(f"{self.path}: node {name!r} ({node['type']}) lacks {error}") from error
        return self.values[self.file.of_type("Output")[0]]

    def where(self, name: str) -> str:
        return f"node {name!r} ({self.file.nodes[name]['type']})"

    def joined(self, name: str) -> Value:
        parts = [self.values[before] for before in self.before[name]]
        return parts[0] if len(parts) == 1 else self.assembly.add(parts, self.where(name), f"{name}_sum")

    def node(self, name: str, node: dict[str, Any]) -> Value:
        if node["type"] == "Input":
            return self.assembly.input
        x, where = self.joined(name), self.where(name)
        match node["type"]:
            case "Identity":
                return x
            case "Output":
                return self.assembly.flatten(x, where, f"{name}_flat")
            case "Affine" | "Linear":
                return self.dense(name, x, np.asarray(node["weight"]), node.get("bias"))
            case "Conv2d":
                return self.conv(name, x, np.asarray(node["weight"]), node)
            case "Flatten":
                return self.assembly.flatten(x, where, name)
            case "Scale":
                return self.scaled(name, x, node["scale"])
            case "SumPool2d" | "AvgPool2d":
                kernel = _pair(node["kernel_size"])
                how = Geometry(_pair(node["stride"]), _quad(node["padding"]))
                divisor = math.prod(kernel) if node["type"] == "AvgPool2d" else 1
                return self.assembly.sum_pool(x, kernel, how, divisor, where, name)
        return self.threshold(name, x, np.asarray(node["threshold"], np.float32))

    def dense(self, name: str, x: Value, weight: NDArray, bias: Any) -> Value:
        eye = weight.shape[0] == weight.shape[1] and not (weight - np.diag(np.diag(weight))).any()
        if eye and isinstance(x, Sums) and x.expression.affine is not None:  # scores: a scale and an offset a class
            made = x.expression.times(np.diag(weight).astype(np.float32))
            made = made if bias is None else made.plus(np.asarray(bias, np.float32))
            return replace(x, expression=made)
        return self.assembly.dense(x, weight, bias, self.where(name), name)

    def conv(self, name: str, x: Value, weight: NDArray, node: dict[str, Any]) -> Value:
        how, groups = self.geometry(name, x, weight, node)
        bias = node.get("bias")
        bias = None if bias is None or not np.any(bias) else np.asarray(bias, np.float32)
        if isinstance(x, Sums) and x.expression.affine is not None and bias is None:
            return self.summed(name, x, weight, how, groups)
        return self.assembly.conv(x, weight, bias, how, groups, self.where(name), name)

    def summed(self, name: str, x: Sums, weight: NDArray, how: Geometry, groups: int) -> Value:
        """A kernel over sums, which have not fired: each channel's own sum over a rectangle, times a factor."""
        own = weight[:, 0] if groups == len(weight) else np.einsum("oo...->o...", weight) if _diagonal(weight) else None
        kernel, how, box = _cropped(weight.any(axis=(0, 1)), how)
        factor = None if own is None or len(own) != x.shape[0] else own[:, box[0], box[1]].reshape(len(own), -1)
        if factor is None or (factor != factor[:, :1]).any():
            raise UnsupportedError(f"{self.where(name)}: weighs sums that did not fire: put a Threshold before it")
        if kernel != (1, 1) or how != Geometry():
            x = self.assembly.sum_pool(x, kernel, how, 1.0, self.where(name), name)
        return replace(x, expression=x.expression.times(factor[:, 0].astype(np.float32)))

    def geometry(self, name: str, x: Value, weight: NDArray, node: dict[str, Any]) -> tuple[Geometry, int]:
        padding = node["padding"]
        dilation = _pair(node["dilation"])
        if isinstance(padding, bytes | str):
            same = padding in (b"same", "same")
            over = [d * (k - 1) if same else 0 for d, k in zip(dilation, weight.shape[2:], strict=True)]
            (top, left), (bottom, right) = ([n // 2 for n in over], [n - n // 2 for n in over])
            return Geometry(_pair(node["stride"]), (left, right, top, bottom), dilation), int(node["groups"])
        return Geometry(_pair(node["stride"]), _quad(padding), dilation), int(node["groups"])

    def scaled(self, name: str, x: Value, scale: Any) -> Value:
        column = self.column(name, np.asarray(scale, np.float32), x.shape)
        affine = None
        if isinstance(x, Sums) and x.expression.affine is not None:
            affine = tuple(a * column[:, 0] for a in x.expression.affine)
        return self.assembly.elementwise(x, lambda y: y * column, affine, self.where(name))

    def threshold(self, name: str, x: Value, threshold: NDArray[np.float32]) -> Value:
        """1 above the threshold, else 0."""
        column = self.column(name, threshold, x.shape)
        return self.fired(name, x, lambda y: (y > column).astype(np.float32))

    def fired(self, name: str, x: Value, function: Any) -> Value:
        if not isinstance(x, Sums):
            raise UnsupportedError(f"{self.where(name)}: compares levels that fired already")
        return self.assembly.elementwise(x, function, None, self.where(name))

    def column(self, name: str, values: NDArray[np.float32], shape: tuple[int, ...]) -> NDArray[np.float32]:
        """Values of every unit as (channels, 1): they must be the same over a channel."""
        if values.size not in (1, shape[0], math.prod(shape)):
            raise UnsupportedError(f"{self.where(name)}: {values.shape} values for sums of shape {shape}")
        rows = np.broadcast_to(values.reshape(-1, 1), (shape[0], 1)) if values.size <= shape[0] else None
        rows = values.reshape(shape[0], -1) if rows is None else rows
        if (rows != rows[:, :1]).any():
            raise UnsupportedError(f"{self.where(name)}: differs from pixel to pixel of a channel")
        return rows[:, :1]


class _RailReader(_Reader):
    """Reads back what :mod:`gxevent.interop.nir` wrote."""

    def __init__(self, path: Path, file: NirFile, assembly: Assembly) -> None:
        super().__init__(path, file, assembly)
        self.populations = set(file.about["nodes"].values())
        self.fires = set(file.of_type("Threshold")) | (
            {file.of_type("Input")[0]} if assembly.input_levels <= 1 else set()
        )
        self.flats = {name for name in file.of_type("Flatten") if self.before[name][0] in self.fires}

    def node(self, name: str, node: dict[str, Any]) -> Value:
        if node["type"] == "Threshold" and self.counts_spikes(self.before[name][0]):
            return self.values[self.before[name][0]]  # the pool before it is what was meant
        return super().node(name, node)

    def dense(self, name: str, x: Value, weight: NDArray, bias: Any) -> Value:
        return super().dense(name, x, self.unrailed(name, weight), bias)

    def conv(self, name: str, x: Value, weight: NDArray, node: dict[str, Any]) -> Value:
        if not self.counts_spikes(name):
            return super().conv(name, x, self.unrailed(name, weight), node)
        how, _ = self.geometry(name, x, weight, node)
        kernel, how, _ = _cropped(weight.any(axis=(0, 1)), how)
        if self.before[name][0] in self.populations:
            return self.assembly.max_pool(
                self.assembly.spikes(x, self.where(name)), kernel, how, self.where(name), name
            )
        shape = (x.shape[0], *how.out(x.shape[1:], kernel, self.where(name)))
        layer = MaxPool2d(kernel, how.stride, (how.padding[2], how.padding[0]), inputs=(x.layer,))
        return replace(x, layer=self.assembly.put(layer, name), shape=shape)

    def counts_spikes(self, name: str) -> bool:
        """Whether a node is the convolution with ones that stands for a max pool."""
        node = self.file.nodes[name]
        return node["type"] == "Conv2d" and name.endswith("_pool") and self.before[name][0] in self.fires

    def unrailed(self, name: str, weight: NDArray) -> NDArray:
        """Weights between channels of weights between rails, whose signs must be as they are written."""
        source, target = self.before[name][0], self.after[name][0]
        if source in self.fires | self.flats:
            half = weight.shape[1] // 2
            self.mirrored(name, weight[:, :half], weight[:, half:])
            weight = weight[:, :half]
        if target in self.fires:
            half = len(weight) // 2
            self.mirrored(name, weight[:half], weight[half:])
            sign = self.sign(target)
            weight = weight[:half] * sign.reshape(-1, *[1] * (weight.ndim - 1))
        return weight

    def mirrored(self, name: str, one: NDArray, other: NDArray) -> None:
        if one.shape != other.shape or not np.array_equal(one, -other):
            raise UnsupportedError(
                f"{self.where(name)}: is not written on two rails, as the file's metadata says (gxevent reads back "
                "ternary and binary populations; take the metadata away to read spikes as they are)"
            )

    def sign(self, name: str) -> NDArray[np.float32]:
        """-1 for channels of a comparison that are pooled the other way round: all up spikes, any down spike."""
        threshold = np.asarray(self.file.nodes[name]["threshold"])
        half = len(threshold) // 2
        after = self.after[name][0]
        if name in self.populations or not self.counts_spikes(after):
            return np.ones(half, np.float32)
        pooled = np.asarray(self.file.nodes[self.after[after][0]]["threshold"]).reshape(2 * half, -1)
        any_of = pooled.max(axis=1) == 0.5
        return np.where(any_of[:half] | ~any_of[half:], 1, -1).astype(np.float32)

    def threshold(self, name: str, x: Value, threshold: NDArray[np.float32]) -> Value:
        """+1 on the up rail, -1 on the down rail."""
        half = len(threshold) // 2
        up, down = (self.column(name, part, x.shape) for part in (threshold[:half], threshold[half:]))
        sign = self.sign(name)[:, None]
        made = self.fired(name, x, lambda y: (y * sign > up).astype(np.float32) - (-y * sign > down).astype(np.float32))
        if name in self.populations and len(self.after[name]) > 1:
            return self.assembly.spikes(made, self.where(name))
        return made


def _pair(values: Any) -> tuple[int, int]:
    rows, columns = np.broadcast_to(np.ravel(values), 2)
    return int(rows), int(columns)


def _quad(padding: Any) -> tuple[int, int, int, int]:
    rows, columns = _pair(padding)
    return columns, columns, rows, rows


def _diagonal(weight: NDArray) -> bool:
    """Whether each output channel sees its own input channel only."""
    out, inputs = weight.shape[:2]
    return out == inputs and not weight[~np.eye(out, dtype=bool)].any()


def _cropped(taps: NDArray[np.bool_], how: Geometry) -> tuple[tuple[int, int], Geometry, tuple[slice, slice]]:
    """The rectangle of taps in use: its size, the padding without the zero taps round it, and where it lies."""
    used = np.argwhere(taps) if taps.any() else np.zeros((1, 2), int)
    (top, left), (last_row, last_column) = used.min(axis=0).tolist(), used.max(axis=0).tolist()
    bottom, right = taps.shape[0] - 1 - last_row, taps.shape[1] - 1 - last_column
    rows, columns = how.dilation
    cut = (left * columns, right * columns, top * rows, bottom * rows)
    padding = tuple(p - n for p, n in zip(how.padding, cut, strict=True))
    box = slice(top, last_row + 1), slice(left, last_column + 1)
    if min(padding) < 0:  # taps that never lay on the padding are part of the kernel
        return taps.shape, how, (slice(None), slice(None))
    return (box[0].stop - top, box[1].stop - left), replace(how, padding=padding), box
