"""Event graphs as plain integer ONNX, which onnxruntime and other runtimes execute with the same integers.

Projections become ``ConvInteger`` and ``MatMulInteger`` (int8 levels in, int32 sums out), thresholds become
comparisons of int32 sums, the read-out the float32 expression of :mod:`gxevent.firing`. Pools run in float32, which
holds the sums exactly: the compiler keeps them below 2**24.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.errors import CapacityError, require
from gxevent.graph import EventGraph, Population, Projection
from gxevent.interop.about import about_graph

OPSET, IR = 17, 8
"""Operator set and file version: old enough for runtimes of 2022 and later."""

SPARSE_LIMIT = 2**26
"""Most entries of the matrix that a sparse projection is written as."""


def onnx_model(graph: EventGraph, *, populations: bool = False) -> Any:
    """The graph as an ONNX model (``onnx.ModelProto``).

    Input ``frames`` int8 (n, *input shape); outputs ``scores`` float32 (n, classes) and ``accumulators`` int32
    (n, classes) of the read-out. With ``populations`` also ``output/NAME`` int8 and ``accumulator/NAME`` int32 of
    every population. Encoder, classes and name are in the model's metadata under ``gxevent``.

    Raises MissingExtraError without the onnx package, CapacityError for a sparse projection too large to write.
    """
    writer = _Writer(require("onnx", extra="interop", purpose="writing ONNX"), graph)
    for population in graph.populations.values():
        writer.population(population)
    return writer.model(populations)


class _Writer:
    """Collects nodes and constants in the order the populations run."""

    def __init__(self, onnx: Any, graph: EventGraph) -> None:
        self.onnx, self.graph = onnx, graph
        self.nodes: list[Any] = []
        self.constants: dict[str, NDArray] = {}

    # ------------------------------------------------------------------------------------------------ small steps

    def node(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.onnx.helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, values: NDArray) -> str:
        self.constants[name] = np.ascontiguousarray(values)
        return name

    def cast(self, x: str, to: str, output: str) -> str:
        return self.node("Cast", [x], output, to=getattr(self.onnx.TensorProto, to))

    def reshape(self, x: str, shape: tuple[int, ...], output: str) -> str:
        """``x`` (n, …) as (n, *shape)."""
        return self.node("Reshape", [x, self.constant(f"{output}/shape", np.array([-1, *shape], np.int64))], output)

    def compare(self, operator: str, x: str, threshold: NDArray, output: str) -> str:
        """1 where the comparison of sums with a threshold a channel holds, int32."""
        held = self.node(operator, [x, self.constant(f"{output}/threshold", threshold)], f"{output}/held")
        return self.cast(held, "INT32", output)

    def total(self, parts: list[str], output: str) -> str:
        """Sum of int32 tensors."""
        while len(parts) > 2:
            parts = [self.node("Add", parts[:2], f"{output}/{len(parts)}"), *parts[2:]]
        return self.node("Add" if len(parts) == 2 else "Identity", parts, output)

    # ---------------------------------------------------------------------------------- populations, projections

    def population(self, p: Population) -> None:
        if p.role == "input":
            self.node("Identity", ["frames"], f"output/{p.name}")
            return
        parts = [self.projection(projection, p) for projection in self.graph.incoming(p.name)]
        sums = self.total(parts, f"accumulator/{p.name}")
        if p.role == "fire":
            self.fire(p, sums)
        elif p.role == "readout":
            self.read_out(p, sums)

    def projection(self, p: Projection, target: Population) -> str:
        """Sums (n, *target shape) int32 that the projection brings."""
        source = self.graph.populations[p.source]
        sent = f"output/{p.source}" if source.sends_events else f"accumulator/{p.source}"
        name, rule = f"projection/{p.name}", p.rule
        if rule.source_shape != source.shape:
            sent = self.reshape(sent, rule.source_shape, f"{name}/in")
        made = rule.target_shape
        match rule:
            case connectivity.Conv2d():
                sums = self.convolution(name, sent, rule)
            case connectivity.Pool2d():
                sums = self.pool(name, sent, rule)
            case connectivity.Identity():
                sums = self.cast(sent, "INT32", f"{name}/sums")
            case _:
                made = (rule.target_size,)
                vector = self.reshape(sent, (rule.source_size,), f"{name}/vector")
                sums = self.node("MatMulInteger", [vector, self.constant(f"{name}/weight", _matrix(p))], f"{name}/sums")
        if made != target.shape:
            sums = self.reshape(sums, target.shape, f"{name}/out")
        if p.gain != 1:
            sums = self.node("Mul", [sums, self.constant(f"{name}/gain", np.int32(p.gain))], f"{name}/scaled")
        return sums

    def convolution(self, name: str, sent: str, rule: connectivity.Conv2d) -> str:
        weight = self.constant(f"{name}/weight", rule.weight)
        geometry = _geometry(rule) | {"dilations": list(rule.dilation), "group": int(rule.groups)}
        return self.node("ConvInteger", [sent, weight], f"{name}/sums", **geometry)

    def pool(self, name: str, sent: str, rule: connectivity.Pool2d) -> str:
        real = self.cast(sent, "FLOAT", f"{name}/real")
        if rule.mode == "max":
            pooled = self.node("MaxPool", [real], f"{name}/pooled", **_geometry(rule))
        else:  # a convolution with ones: an average would divide, and round
            channels = rule.source_shape[0]
            ones = self.constant(f"{name}/ones", np.ones((channels, 1, *rule.kernel), np.float32))
            pooled = self.node("Conv", [real, ones], f"{name}/pooled", group=channels, **_geometry(rule))
        return self.cast(pooled, "INT32", f"{name}/sums")

    def fire(self, p: Population, sums: str) -> None:
        """``polarity * (sum over k of [s >= hi_k] - [s <= lo_k])``"""
        column = (-1, *[1] * (len(p.shape) - 1))
        name, steps = f"fire/{p.name}", range(p.hi.shape[1])
        up = [self.compare("GreaterOrEqual", sums, p.hi[:, k].reshape(column), f"{name}/up{k}") for k in steps]
        down = [self.compare("LessOrEqual", sums, p.lo[:, k].reshape(column), f"{name}/down{k}") for k in steps]
        level = self.node("Sub", [self.total(up, f"{name}/up"), self.total(down, f"{name}/down")], f"{name}/level")
        if (p.polarity != 1).any():
            polarity = self.constant(f"{name}/polarity", p.polarity.astype(np.int32).reshape(column))
            level = self.node("Mul", [level, polarity], f"{name}/signed")
        self.cast(level, "INT8", f"output/{p.name}")

    def read_out(self, p: Population, sums: str) -> None:
        """Scores, by the same float32 operations in the same order as ``firing.preactivation``."""
        flat = self.reshape(sums, (p.shape[0],), "accumulators")
        y = self.cast(flat, "FLOAT", "scores/sums")
        y = self.node("Mul", [y, self.constant("scores/unit", np.float32(p.unit))], "scores/values")
        steps = [("Add", "bias", p.bias), ("Mul", "scale", p.scale), ("Add", "offset", p.offset)]
        for operator, name, values in steps:
            if values is not None:
                y = self.node(operator, [y, self.constant(f"scores/{name}", values)], f"scores/with_{name}")
        self.node("Identity", [y], "scores")

    # --------------------------------------------------------------------------------------------------- the model

    def model(self, populations: bool) -> Any:
        helper, types = self.onnx.helper, self.onnx.TensorProto
        classes = self.graph.readout.shape[0]
        outputs = [("scores", types.FLOAT, (classes,)), ("accumulators", types.INT32, (classes,))]
        for p in self.graph.populations.values() if populations else ():
            if p.sends_events:
                outputs.append((f"output/{p.name}", types.INT8, p.shape))
            if p.role != "input":
                outputs.append((f"accumulator/{p.name}", types.INT32, p.shape))
        graph = helper.make_graph(
            self.nodes,
            self.graph.name or "event graph",
            [helper.make_tensor_value_info("frames", types.INT8, ["n", *self.graph.input.shape])],
            [helper.make_tensor_value_info(name, kind, ["n", *shape]) for name, kind, shape in outputs],
            [self.onnx.numpy_helper.from_array(values, name) for name, values in self.constants.items()],
        )
        model = helper.make_model(
            graph, producer_name="gxevent", ir_version=IR, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        helper.set_model_props(model, {"gxevent": about_graph(self.graph)})
        self.onnx.checker.check_model(model)
        return model


def _geometry(rule: connectivity.Conv2d | connectivity.Pool2d) -> dict[str, Any]:
    left, right, top, bottom = rule.padding
    return {"kernel_shape": list(rule.kernel), "strides": list(rule.stride), "pads": [top, left, bottom, right]}


def _matrix(p: Projection) -> NDArray[np.int8]:
    """Levels (in, out) of a dense or sparse projection."""
    rule = p.rule
    if isinstance(rule, connectivity.Dense):
        return rule.weight.T
    if rule.source_size * rule.target_size > SPARSE_LIMIT:
        raise CapacityError(
            f"projection {p.name!r}: ONNX has no sparse integer matrix, written out it would have "
            f"{rule.source_size * rule.target_size:,} entries, at most {SPARSE_LIMIT:,}"
        )
    source, target, level = rule.connections()
    matrix = np.zeros((rule.source_size, rule.target_size), np.int64)
    np.add.at(matrix, (source, target), level)
    if np.abs(matrix).max(initial=0) > 127:
        raise CapacityError(f"projection {p.name!r}: parallel synapses add up to more than int8 holds")
    return matrix.astype(np.int8)
