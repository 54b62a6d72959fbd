"""ONNX and QONNX models with ternary or binary weights as TernaryNetworks."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, NetworkError, OptionError, UnsupportedError, require
from gxevent.interop.about import read_about
from gxevent.interop.onnx_ops import AFFINE, ELEMENTWISE
from gxevent.interop.symbols import Assembly, Geometry, Quad, Spikes, Sums, Value
from gxevent.network import TernaryNetwork
from gxevent.store import read_bytes

DOMAINS = ("", "ai.onnx", "qonnx.custom_op.general", "onnx.brevitas", "finn.custom_op.general")
"""Operator domains that are understood: ONNX itself, and the quantizers of QONNX, Brevitas and FINN."""

_STRUCTURE = {
    "Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger", "MaxPool", "AveragePool", "GlobalAveragePool",
    "GlobalMaxPool", "Flatten", "Reshape", "Squeeze", "Identity", "Dropout", "Pad", "Shape", "Constant", "Softmax",
    "LogSoftmax", "Transpose",
}  # fmt: skip


def from_onnx(
    path: str | os.PathLike[str],
    *,
    encoder: Encoder | None = None,
    classes: tuple[str, ...] = (),
    input_shape: tuple[int, ...] | None = None,
    input_levels: int | None = None,
    name: str = "",
) -> tuple[TernaryNetwork, list[str]]:
    """The network of an ONNX file, and notes on what was done.

    Parameters
    ----------
    encoder, classes, name
        As in TernaryNetwork; by default what gxevent wrote into the file's metadata.
    input_shape
        (C, H, W) or (n,) where the file leaves it open.
    input_levels
        N of the space Z_N of the frames; by default the encoder's, else 1.

    Raises
    ------
    FormatError
        for a file that is not ONNX.
    NetworkError
        listing all operators that are not supported, with their nodes' names.
    UnsupportedError
        for a node whose values integers cannot give, naming it.
    """
    path = Path(path)
    model = _load(path)
    reader = _Reader(path, model)
    reader.check_operators()
    about = read_about(next((m.value for m in model.metadata_props if m.key == "gxevent"), ""), path)
    encoder = encoder or about.get("encoder")
    if input_levels is None:
        input_levels = encoder.levels if encoder else about.get("input_levels", 1)
    assembly = Assembly(reader.input_shape(input_shape), input_levels, 1.0 if about else None)  # gxevent takes levels
    scores, where = reader.walk(assembly)
    network = assembly.network(
        scores,
        where,
        encoder=encoder,
        classes=classes or about.get("classes", ()),
        name=name or about.get("name") or model.graph.name,
        source="onnx",
        producer=f"{model.producer_name} {model.producer_version}".strip(),
    )
    return network, reader.notes


def _load(path: Path) -> Any:
    onnx = require("onnx", extra="interop", purpose="reading ONNX")
    data = read_bytes(path)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:  # protobuf's decoding errors differ between its versions
        raise FormatError(
            f"{path}: neither a PyTorch checkpoint, an ONNX model nor a NIR graph, or damaged: fetch or write it again"
        ) from error
    if not model.graph.node:
        raise FormatError(f"{path}: neither a PyTorch checkpoint, an ONNX model nor a NIR graph: it has no nodes")
    outside = [t.name for t in model.graph.initializer if t.data_location == onnx.TensorProto.EXTERNAL]
    if outside:
        raise FormatError(
            f"{path}: keeps {len(outside)} tensors such as {outside[0]!r} in other files: save it as one file"
        )
    return model


class _Reader:
    """Walks a model's nodes in their order; constants are computed, everything else goes to the assembly."""

    def __init__(self, path: Path, model: Any) -> None:
        import onnx

        self.onnx, self.path, self.model, self.graph = onnx, path, model, model.graph
        self.values: dict[str, Value | NDArray] = {
            t.name: onnx.numpy_helper.to_array(t) for t in self.graph.initializer
        }
        self.notes: list[str] = []
        inputs = [i for i in self.graph.input if i.name not in self.values]
        if len(inputs) != 1:
            raise UnsupportedError(f"{path}: has {len(inputs)} inputs, gxevent's networks have one")
        self.input = inputs[0]

    def check_operators(self) -> None:
        """NetworkError listing all nodes that are not supported; what depends on constants alone is computed anyway."""
        live, found = {self.input.name}, []
        for node in self.graph.node:
            depends = not live.isdisjoint(node.input)
            if depends and node.op_type != "Shape":
                live.update(node.output)
            known = node.op_type in ELEMENTWISE or (
                node.op_type in _STRUCTURE if depends else node.domain in DOMAINS[:2]
            )
            if node.domain not in DOMAINS or not known:
                name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
                found.append(f"{self.where(node)}: operator {name} is not supported")
        if found:
            raise NetworkError([f"{self.path}: {len(found)} nodes: {found[0]}", *found[1:]])

    def input_shape(self, given: tuple[int, ...] | None) -> tuple[int, ...]:
        """Of one frame: the file's, without its first (sample) axis, or the given one where that is open."""
        dims = [d.dim_value for d in self.input.type.tensor_type.shape.dim][1:]
        if given is not None:
            if len(dims) not in (0, len(given)) or any(d not in (0, g) for d, g in zip(dims, given, strict=False)):
                raise OptionError(f"{self.path}: input {self.input.name!r} has shape {tuple(dims)}, not {given}")
            return given
        if len(dims) not in (1, 3) or 0 in dims:
            raise OptionError(
                f"{self.path}: input {self.input.name!r} leaves its shape open (n, {', '.join(map(str, dims))}): say "
                "it with --input-shape, such as 1x28x28"
            )
        return tuple(dims)

    def where(self, node: Any) -> str:
        return f"node {node.name or node.output[0]!r} ({node.op_type})"

    def walk(self, assembly: Assembly) -> tuple[Value, str]:
        """The value of the output that gives the scores, and where it comes from."""
        self.assembly = assembly
        self.values[self.input.name] = assembly.input
        for node in self.graph.node:
            self.node(node)
        names = [o.name for o in self.graph.output]
        wanted = "scores" if "scores" in names else names[0]
        if len(names) > 1:
            self.notes.append(f"of {len(names)} outputs, {wanted!r} gives the scores")
        value = self.values.get(wanted)
        if not isinstance(value, Spikes | Sums):
            raise UnsupportedError(f"{self.path}: output {wanted!r} does not depend on the input")
        return value, f"{self.path}: output {wanted!r}"

    def node(self, node: Any) -> None:
        attributes = {a.name: _attribute(self.onnx, a) for a in node.attribute}
        missing = [name for name in node.input if name and name not in self.values]
        if missing:
            raise FormatError(f"{self.path}: {self.where(node)}: nothing gives its input {missing[0]!r}")
        inputs = [self.values[name] if name else None for name in node.input]
        if node.op_type == "Shape" and isinstance(inputs[0], Spikes | Sums):
            made: Any = np.array([1, *inputs[0].shape])  # one sample: only what follows the first axis matters
        elif not any(isinstance(x, Spikes | Sums) for x in inputs):
            made = self.constant(node, attributes, inputs)
        elif node.op_type in _STRUCTURE:
            made = getattr(self, f"_{node.op_type.lower()}")(node, inputs, attributes)
        else:
            made = self.elementwise(node, inputs, attributes)
        self.values[node.output[0]] = made

    def constant(self, node: Any, attributes: dict[str, Any], inputs: list[Any]) -> NDArray:
        """A node without live inputs, computed: quantized weights, and shapes."""
        if node.op_type in ELEMENTWISE and node.op_type not in ("Cast", "BatchNormalization", "MultiThreshold"):
            return np.asarray(ELEMENTWISE[node.op_type](attributes)(*inputs))
        from onnx.reference import ReferenceEvaluator

        feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        try:
            return np.asarray(ReferenceEvaluator(node).run(None, feeds)[0])
        except Exception as error:  # whatever a reference operator raises
            raise UnsupportedError(f"{self.path}: {self.where(node)}: its constants do not fit ({error})") from error

    # ------------------------------------------------------------------------------------------------- elementwise

    def elementwise(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        live = [x for x in inputs if isinstance(x, Spikes | Sums)]
        where = self.where(node)
        if node.op_type == "Add" and len(live) == 2 and not _same_sums(live):
            return self.assembly.add(live, where, _name(node))
        if len(live) > 1 and not _same_sums(live):
            raise UnsupportedError(f"{where}: joins different layers; only Add does that in gxevent")
        x = live[0]
        columns = [v if v is None or isinstance(v, Spikes | Sums) else self.column(v, x, node) for v in inputs]
        function = ELEMENTWISE[node.op_type](attributes)
        if len(live) > 1:
            return self.joined(function, columns)

        def apply(y: NDArray) -> NDArray:
            return function(*(y if v is x else v for v in columns))

        affine = None
        divides_by_it = node.op_type == "Div" and inputs[1] is x
        if node.op_type in AFFINE and not divides_by_it and isinstance(x, Sums) and x.expression.affine is not None:
            affine = _line(apply, *x.expression.affine)
        return self.assembly.elementwise(x, apply, affine, where)

    @staticmethod
    def joined(function: Any, inputs: list[Any]) -> Sums:
        """A function of several expressions of the same sums."""
        first = next(x for x in inputs if isinstance(x, Sums))

        def apply(s: NDArray) -> NDArray:
            whole = s.astype(np.int64)  # sums stay below 2**24, so that float32 gives them back as they were
            return function(*(x.expression(whole) if isinstance(x, Sums) else x for x in inputs))

        expression = type(first.expression)(first.expression.channels, (apply,))
        return replace(first, expression=expression)

    def column(self, constant: NDArray, x: Value, node: Any) -> NDArray:
        """A constant as (channels, 1), or as it is where it has one value."""
        constant = np.asarray(constant)
        if constant.dtype.kind == "f":
            constant = constant.astype(np.float32)
        if node.op_type == "MultiThreshold":
            return np.broadcast_to(constant, (x.shape[0], constant.shape[1]))
        if constant.size == 1:
            return constant.reshape(())
        if node.op_type == "BatchNormalization":
            return constant.reshape(-1, 1)
        try:
            spread = np.broadcast_to(constant, (1, *x.shape)).reshape(x.shape[0], -1)
        except ValueError:
            raise UnsupportedError(f"{self.where(node)}: a constant {constant.shape} does not fit {x.shape}") from None
        if (spread != spread[:, :1]).any():
            raise UnsupportedError(f"{self.where(node)}: a constant differs from pixel to pixel")
        return spread[:, :1]

    # ---------------------------------------------------------------------------------------------------- structure

    def _identity(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        return inputs[0]

    _dropout = _identity

    def _softmax(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        if node.output[0] not in {o.name for o in self.graph.output}:
            raise UnsupportedError(f"{self.where(node)}: only as the output, where it keeps the order of the scores")
        self.notes.append(f"left out {self.where(node)}: it keeps the order of the scores")
        return inputs[0]

    _logsoftmax = _softmax

    def weight(self, node: Any, value: Any) -> NDArray:
        if isinstance(value, Spikes | Sums):
            raise UnsupportedError(f"{self.where(node)}: multiplies two inputs that both depend on the data")
        return np.asarray(value)

    def bias(self, value: Any, out: int, factor: float = 1.0) -> NDArray | None:
        return None if value is None else np.broadcast_to(np.asarray(value, np.float32) * factor, (1, out))[0]

    def _conv(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        if node.op_type == "ConvInteger":
            self.no_zero_points(node, inputs)
            inputs = inputs[:2]
        weight, where = self.weight(node, inputs[1]), self.where(node)
        if weight.ndim != 4:
            raise UnsupportedError(f"{where}: {weight.ndim - 2}-dimensional kernels are not supported")
        how = self.geometry(node, inputs[0], weight.shape[2:], attributes)
        bias = self.bias(inputs[2] if len(inputs) > 2 else None, len(weight))
        return self.assembly.conv(inputs[0], weight, bias, how, attributes.get("group", 1), where, _name(node))

    _convinteger = _conv

    def _gemm(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        weight = self.weight(node, inputs[1])
        weight = weight if attributes.get("transB", 0) else weight.T
        if attributes.get("transA", 0):
            raise UnsupportedError(f"{self.where(node)}: transposes its input")
        weight = weight * np.float32(attributes.get("alpha", 1.0)) if attributes.get("alpha", 1.0) != 1 else weight
        bias = self.bias(inputs[2] if len(inputs) > 2 else None, len(weight), attributes.get("beta", 1.0))
        return self.assembly.dense(inputs[0], weight, bias, self.where(node), _name(node))

    def _matmul(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        if node.op_type == "MatMulInteger":
            self.no_zero_points(node, inputs)
        if not isinstance(inputs[0], Spikes | Sums) or self.weight(node, inputs[1]).ndim != 2:
            raise UnsupportedError(f"{self.where(node)}: expected the data times a matrix (in, out)")
        return self.assembly.dense(inputs[0], np.asarray(inputs[1]).T, None, self.where(node), _name(node))

    _matmulinteger = _matmul

    def no_zero_points(self, node: Any, inputs: list[Any]) -> None:
        if any(value is not None and np.any(np.asarray(value)) for value in inputs[2:]):
            raise UnsupportedError(f"{self.where(node)}: zero points other than 0 are not supported")

    def geometry(self, node: Any, x: Value, kernel: tuple[int, ...], attributes: dict[str, Any]) -> Geometry:
        stride = tuple(attributes.get("strides", (1, 1)))
        dilation = tuple(attributes.get("dilations", (1, 1)))
        top, left, bottom, right = attributes.get("pads", (0, 0, 0, 0))
        auto = attributes.get("auto_pad", "NOTSET")
        if auto.startswith("SAME"):
            over = [
                max(0, (-(-n // s) - 1) * s + d * (k - 1) + 1 - n)
                for n, s, d, k in zip(x.shape[1:], stride, dilation, kernel, strict=True)
            ]
            first = [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in over]
            (top, bottom), (left, right) = ((f, n - f) for f, n in zip(first, over, strict=True))
        if attributes.get("ceil_mode", 0):
            room = [(top + bottom), (left + right)]
            spare = [(n + p - k) % s for n, p, k, s in zip(x.shape[1:], room, kernel, stride, strict=True)]
            if any(spare):
                raise UnsupportedError(f"{self.where(node)}: ceil_mode reaches beyond the image")
        return Geometry(stride, (left, right, top, bottom), dilation)

    def _maxpool(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        kernel = tuple(attributes["kernel_shape"])
        how = self.geometry(node, inputs[0], kernel, attributes)
        return self.assembly.max_pool(inputs[0], kernel, how, self.where(node), _name(node))

    def _averagepool(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        kernel = tuple(attributes["kernel_shape"])
        how = self.geometry(node, inputs[0], kernel, attributes)
        if how.padding != (0, 0, 0, 0) and not attributes.get("count_include_pad", 0):
            raise UnsupportedError(f"{self.where(node)}: averages only what lies inside: set count_include_pad")
        return self.assembly.sum_pool(inputs[0], kernel, how, math.prod(kernel), self.where(node), _name(node))

    def _globalaveragepool(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        kernel = tuple(inputs[0].shape[1:])
        return self.assembly.sum_pool(inputs[0], kernel, Geometry(), math.prod(kernel), self.where(node), _name(node))

    def _globalmaxpool(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        return self.assembly.max_pool(inputs[0], tuple(inputs[0].shape[1:]), Geometry(), self.where(node), _name(node))

    def _pad(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        pads = [int(n) for n in (inputs[1] if len(inputs) > 1 else attributes["pads"])]
        value = inputs[2] if len(inputs) > 2 and inputs[2] is not None else attributes.get("value", 0.0)
        rank = len(inputs[0].shape) + 1
        if len(pads) != 2 * rank:
            raise UnsupportedError(f"{self.where(node)}: only pads of all axes are supported")
        before, after = pads[:rank], pads[rank:]
        if attributes.get("mode", "constant") != "constant" or np.any(np.asarray(value)) or rank != 4:
            raise UnsupportedError(f"{self.where(node)}: only zeros round an image are supported")
        if any((*before[:2], *after[:2])) or min(pads) < 0:
            raise UnsupportedError(f"{self.where(node)}: pads channels, or cuts")
        padding: Quad = (before[3], after[3], before[2], after[2])
        return self.assembly.pad(inputs[0], padding, self.where(node))

    def _flatten(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        if attributes.get("axis", 1) not in (1, -len(inputs[0].shape)):
            raise UnsupportedError(f"{self.where(node)}: flattens from axis {attributes['axis']}, expected 1")
        return self.assembly.flatten(inputs[0], self.where(node), _name(node))

    def _reshape(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        shape, size = inputs[0].shape, math.prod(inputs[0].shape)
        to = [int(n) for n in np.ravel(self.weight(node, inputs[1]))][1:]
        if tuple(to) == shape or (len(to) == len(shape) and to.count(-1) == 1 and -size // math.prod(to) in shape):
            return inputs[0]
        if to in ([-1], [size]):
            return self.assembly.flatten(inputs[0], self.where(node), _name(node))
        raise UnsupportedError(f"{self.where(node)}: reshapes {shape} to {tuple(to)}; only flattening is supported")

    def _squeeze(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        if math.prod(inputs[0].shape[1:]) != 1:
            raise UnsupportedError(f"{self.where(node)}: only as (C, 1, 1) to (C,)")
        return self.assembly.flatten(inputs[0], self.where(node), _name(node))

    def _transpose(self, node: Any, inputs: list[Any], attributes: dict[str, Any]) -> Value:
        rank = len(inputs[0].shape) + 1
        if list(attributes.get("perm", range(rank)[::-1])) != list(range(rank)):
            raise UnsupportedError(f"{self.where(node)}: moves axes of the data; gxevent keeps (C, H, W)")
        return inputs[0]


def _line(apply: Any, scale: NDArray, offset: NDArray) -> tuple[NDArray, NDArray]:
    """What an affine operation makes of ``scale * s + offset``: asked at s = 0 and from there, in float64."""
    at0 = np.asarray(apply(offset[:, None]), np.float64)[:, 0]
    zero = np.asarray(apply(np.zeros((len(scale), 1))), np.float64)[:, 0]
    slope = np.asarray(apply(scale[:, None]), np.float64)[:, 0] - zero
    return slope, at0


def _same_sums(values: list[Value]) -> bool:
    """Several expressions of the same sums, of which at least one is no longer a line."""
    if not all(isinstance(x, Sums) for x in values) or len({x.layer for x in values}) > 1:
        return False
    return any(x.expression.affine is None for x in values)


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    return value.decode() if isinstance(value, bytes) else value


def _name(node: Any) -> str:
    """What the layer made of a node is called; files that gxevent wrote get their own names back."""
    return re.sub(r"^projection/(.*)/(?:sums|pooled)$", r"\1", node.name or node.output[0])
