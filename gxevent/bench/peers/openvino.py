"""OpenVINO: the float network, and the int8 model that onnxruntime's calibration makes (QDQ form)."""

from __future__ import annotations

from typing import Any

from gxevent.bench.peers.base import Contestant, Task, as_float
from gxevent.bench.peers.onnx_runtime import float_model, static_model
from gxevent.errors import require


def _contestant(model: bytes, task: Task, *, same: bool) -> Contestant:
    """A latency-minded CPU request. Precision is set to float32: on some processors OpenVINO would take bfloat16."""
    openvino: Any = require("openvino", extra="bench", purpose="the peer openvino")
    core = openvino.Core()
    read = core.read_model(model)
    read.reshape([task.batch, *task.twin.input_shape])
    settings = {
        "INFERENCE_NUM_THREADS": task.threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(read, "CPU", settings).create_infer_request()

    def call(x: Any) -> Any:
        return request.infer(x, share_inputs=True, share_outputs=True)

    return Contestant(lambda frames: [as_float(frames)], call, (lambda found: found[0]) if same else None)


def float32(task: Task) -> Contestant:
    return _contestant(float_model(task.twin).SerializeToString(), task, same=task.twin.activation == "ternary")


def int8_static(task: Task) -> Contestant:
    return _contestant(static_model(task), task, same=False)
