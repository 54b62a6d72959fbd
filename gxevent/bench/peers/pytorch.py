"""PyTorch: the network as a Sequential, in float32 and in the int8 forms that torch.ao offers."""

from __future__ import annotations

import warnings
from typing import Any

from gxevent.bench.peers.base import Contestant, Frames, Task, as_float
from gxevent.bench.twin import Step, Twin
from gxevent.errors import UnsupportedError, require


def load_torch(threads: int) -> Any:
    torch: Any = require("torch", extra="bench", purpose="the peer torch")
    torch.set_num_threads(threads)
    return torch


def sequential(torch: Any, twin: Twin, activation: Any) -> Any:
    """The twin as ``torch.nn.Sequential``; ``activation()`` makes the module behind each layer that fires."""
    modules: list[Any] = []
    flat = len(twin.input_shape) == 1
    for step in twin.steps:
        if step.kind == "dense" and not flat:
            modules.append(torch.nn.Flatten())
            flat = True
        modules += layer(torch, step)
        if step.fires:
            modules.append(activation())
    return torch.nn.Sequential(*modules).eval()


def layer(torch: Any, step: Step) -> list[Any]:
    """One step as modules, weights copied in."""
    left, right, top, bottom = step.padding
    before = [] if (left, top) == (right, bottom) else [torch.nn.ZeroPad2d(step.padding)]
    padding = (0, 0) if before else (top, left)
    if step.kind == "maxpool":
        if before:
            raise UnsupportedError("max-pools padded on one side")
        return [torch.nn.MaxPool2d(step.kernel, step.stride, padding)]
    out, inputs = step.weight.shape[:2]
    if step.kind == "dense":
        made = torch.nn.Linear(inputs, out, bias=step.bias is not None)
    else:
        made = torch.nn.Conv2d(
            inputs * step.groups,
            out,
            step.kernel,
            step.stride,
            padding,
            step.dilation,
            step.groups,
            bias=step.bias is not None,
        )
    with torch.no_grad():
        made.weight.copy_(torch.from_numpy(step.weight))
        if step.bias is not None:
            made.bias.copy_(torch.from_numpy(step.bias))
    return [*before, made]


def ternary_activation(torch: Any) -> Any:
    class Ternary(torch.nn.Module):
        def forward(self, y: Any) -> Any:
            return y.round_().clamp_(-1, 1)

    return Ternary


def contestant(torch: Any, model: Any, *, same: bool) -> Contestant:
    def call(x: Any) -> Any:
        with torch.inference_mode():
            return model(x)

    def prepare(frames: Frames) -> Any:
        return torch.from_numpy(as_float(frames))

    return Contestant(prepare, call, (lambda y: y.numpy()) if same else None)


def float32(task: Task) -> Contestant:
    torch = load_torch(task.threads)
    same = task.twin.activation == "ternary"
    activation = ternary_activation(torch) if same else torch.nn.ReLU
    return contestant(torch, sequential(torch, task.twin, activation), same=same)


def int8_dynamic(task: Task) -> Contestant:
    """Dense layers in int8, quantised as they come; convolutions stay in float32, as torch has it."""
    torch = load_torch(task.threads)
    model = sequential(torch, task.twin, torch.nn.ReLU)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        quantised = torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear}, dtype=torch.qint8)
    return contestant(torch, quantised, same=False)


def int8_static(task: Task) -> Contestant:
    """All layers in int8, ranges calibrated on frames beforehand (FX graph mode, x86 kernels)."""
    torch = load_torch(task.threads)
    model = sequential(torch, task.twin, torch.nn.ReLU)
    frames = torch.from_numpy(as_float(task.frames[:16]))
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        from torch.ao.quantization import get_default_qconfig_mapping
        from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx

        prepared = prepare_fx(model, get_default_qconfig_mapping("x86"), (frames,))
        prepared(frames)
        quantised = convert_fx(prepared)
    return contestant(torch, quantised, same=False)
