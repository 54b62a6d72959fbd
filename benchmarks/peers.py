"""The same ternary network in other runtimes, for benchmarks. Needs onnx and onnxruntime; both are optional here."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import gxevent as gx
from gxevent.layers import pair


def onnxruntime_session(network: gx.TernaryNetwork) -> Callable[[np.ndarray], np.ndarray] | None:
    """A function from float32 frames (1, *input_shape) to scores, one thread; None where the packages are missing.

    Float32 arithmetic on the same ternary weights and activations; convolutions, max pools, dense layers and
    activations without batch norm.
    """
    try:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    nodes, constants, at = [], [], "frames"

    def constant(name: str, values: np.ndarray) -> str:
        constants.append(numpy_helper.from_array(values, name))
        return name

    def node(kind: str, inputs: list[str], output: str, **settings: object) -> str:
        nodes.append(helper.make_node(kind, inputs, [output], **settings))
        return output

    for layer in network.layers:
        name = layer.name
        match layer:
            case gx.Conv2d():
                weight = constant(f"{name}.w", layer.weight.astype(np.float32))
                pads, strides = [*pair(layer.padding)] * 2, list(pair(layer.stride))
                at = node("Conv", [at, weight], name, pads=pads, strides=strides)
            case gx.MaxPool2d():
                kernel = list(pair(layer.kernel))
                at = node("MaxPool", [at], name, kernel_shape=kernel, strides=kernel)
            case gx.Flatten():
                at = node("Flatten", [at], name)
            case gx.Dense():
                at = node("MatMul", [at, constant(f"{name}.w", layer.weight.T.astype(np.float32))], name)
            case gx.Activation():
                up = node("Greater", [at, constant(f"{name}.hi", np.float32(layer.r).reshape(1))], f"{name}.up")
                down = node("Less", [at, constant(f"{name}.lo", np.float32(-layer.r).reshape(1))], f"{name}.down")
                casts = [node("Cast", [side], f"{side}.f", to=TensorProto.FLOAT) for side in (up, down)]
                at = node("Sub", casts, name)
            case _:
                raise NotImplementedError(f"{layer.kind} is not part of this benchmark's networks")
    frames = helper.make_tensor_value_info("frames", TensorProto.FLOAT, [1, *network.input_shape])
    scores = helper.make_tensor_value_info(at, TensorProto.FLOAT, [1, len(network.classes)])
    graph = helper.make_graph(nodes, "twin", [frames], [scores], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda x: session.run(None, {"frames": x})[0]
