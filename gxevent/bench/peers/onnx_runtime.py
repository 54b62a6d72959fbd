"""onnxruntime: the float network and its int8 forms, and the integer model that ``gxevent graph --to onnx`` writes."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from gxevent.bench.peers.base import Contestant, Frames, Task, as_float
from gxevent.bench.twin import Step, Twin
from gxevent.errors import require
from gxevent.interop.onnx_write import onnx_model

OPSET, IR = 17, 8


def float_model(twin: Twin) -> Any:
    """The twin as ONNX: Gemm, Conv, MaxPool, and Round and Clip (or Relu) as activation."""
    onnx: Any = require("onnx", extra="bench", purpose="the peer onnxruntime")
    nodes: list[Any] = []
    constants: dict[str, Any] = {}
    at, flat = "frames", len(twin.input_shape) == 1

    def node(kind: str, inputs: list[str], output: str, **settings: Any) -> str:
        nodes.append(onnx.helper.make_node(kind, inputs, [output], name=output, **settings))
        return output

    if twin.activation == "ternary":
        constants |= {"least": np.float32(-1), "most": np.float32(1)}
    for i, step in enumerate(twin.steps):
        if step.kind == "dense" and not flat:
            at, flat = node("Flatten", [at], f"flat{i}"), True
        at = _layer(node, constants, step, at, f"layer{i}")
        if step.fires and twin.activation == "relu":
            at = node("Relu", [at], f"fired{i}")
        elif step.fires:
            at = node("Clip", [node("Round", [at], f"whole{i}"), "least", "most"], f"fired{i}")
    tensor, real = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "twin",
        [tensor("frames", real, ["n", *twin.input_shape])],
        [tensor(at, real, ["n", *twin.steps[-1].shape])],
        [onnx.numpy_helper.from_array(np.asarray(values), name) for name, values in constants.items()],
    )
    return onnx.helper.make_model(graph, ir_version=IR, opset_imports=[onnx.helper.make_opsetid("", OPSET)])


def _layer(node: Any, constants: dict[str, Any], step: Step, at: str, name: str) -> str:
    left, right, top, bottom = step.padding
    geometry = {"kernel_shape": list(step.kernel), "strides": list(step.stride), "pads": [top, left, bottom, right]}
    if step.kind == "maxpool":
        return node("MaxPool", [at], name, **geometry)
    inputs = [at, f"{name}.weight"]
    constants[f"{name}.weight"] = step.weight
    if step.bias is not None:
        inputs.append(f"{name}.bias")
        constants[f"{name}.bias"] = step.bias
    if step.kind == "dense":
        return node("Gemm", inputs, name, transB=1)
    return node("Conv", inputs, name, dilations=list(step.dilation), group=step.groups, **geometry)


def session(model: bytes, threads: int) -> Any:
    """A CPU session of that many threads, whose threads sleep between runs."""
    runtime: Any = require("onnxruntime", extra="bench", purpose="the peer onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _contestant(model: bytes, task: Task, *, same: bool) -> Contestant:
    run = session(model, task.threads).run
    return Contestant(
        lambda frames: {"frames": as_float(frames)},
        lambda feed: run(None, feed),
        (lambda found: found[0]) if same else None,
    )


def float32(task: Task) -> Contestant:
    model = float_model(task.twin).SerializeToString()
    return _contestant(model, task, same=task.twin.activation == "ternary")


def int8_ternary(task: Task) -> Contestant:
    """The very integers: ConvInteger and MatMulInteger as ``gxevent graph --to onnx`` writes them."""
    run = session(onnx_model(task.graph).SerializeToString(), task.threads).run
    return Contestant(
        lambda frames: {"frames": frames}, lambda feed: run(["accumulators"], feed), lambda found: found[0]
    )


def int8_dynamic(task: Task) -> Contestant:
    """Weights in int8, activations quantised as they come."""
    with _quantiser() as (quantisation, source, target):
        source.write_bytes(float_model(task.twin).SerializeToString())
        quantisation.quantize_dynamic(source, target, weight_type=quantisation.QuantType.QInt8)
        return _contestant(target.read_bytes(), task, same=False)


def int8_static(task: Task) -> Contestant:
    """Weights and activations in int8, ranges calibrated on frames beforehand (QDQ form)."""
    return _contestant(static_model(task), task, same=False)


def static_model(task: Task) -> bytes:
    """The int8 model in QDQ form, which other runtimes read too."""
    feeds = iter([{"frames": as_float(task.frames[i : i + 1])} for i in range(min(len(task.frames), 16))])
    with _quantiser() as (quantisation, source, target):
        source.write_bytes(float_model(task.twin).SerializeToString())

        class Reader(quantisation.CalibrationDataReader):
            def get_next(self) -> dict[str, Frames] | None:
                return next(feeds, None)

        quantisation.quantize_static(
            source,
            target,
            Reader(),
            quant_format=quantisation.QuantFormat.QDQ,
            activation_type=quantisation.QuantType.QUInt8,
            weight_type=quantisation.QuantType.QInt8,
            per_channel=True,
        )
        return target.read_bytes()


@contextlib.contextmanager
def _quantiser() -> Iterator[tuple[Any, Path, Path]]:
    """onnxruntime's quantisation room, silent, with paths to read from and write to."""
    quantisation: Any = require("onnxruntime.quantization", extra="bench", purpose="the peer onnxruntime int8")
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with tempfile.TemporaryDirectory(prefix="gxevent-bench-") as folder:
            yield quantisation, Path(folder) / "float.onnx", Path(folder) / "int8.onnx"
    finally:
        root.setLevel(level)
