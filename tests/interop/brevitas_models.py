"""A small Brevitas network, trained for a moment and exported the way its users do."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from pathlib import Path
from typing import Any


def trained(torch: Any) -> tuple[Any, dict[str, Any]]:
    """An evaluation-mode network of 2x8x8 ternary frames, and what its activations give, filled by each forward."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import brevitas.nn as qnn
        from brevitas.quant import (
            SignedBinaryWeightPerTensorConst,
            SignedTernaryActPerTensorConst,
            SignedTernaryWeightPerTensorConst,
        )
    nn = torch.nn
    torch.manual_seed(0)
    ternary = {"weight_quant": SignedTernaryWeightPerTensorConst, "bias": False}

    def activation() -> Any:
        return qnn.QuantIdentity(act_quant=SignedTernaryActPerTensorConst)

    net = nn.Sequential(
        qnn.QuantConv2d(2, 12, 3, padding=1, **ternary), nn.MaxPool2d(2), nn.BatchNorm2d(12), activation(),
        qnn.QuantConv2d(12, 16, 3, **ternary), nn.BatchNorm2d(16), activation(), nn.Flatten(),
        qnn.QuantLinear(64, 32, **ternary), nn.BatchNorm1d(32), activation(),
        qnn.QuantLinear(32, 10, bias=True, weight_quant=SignedBinaryWeightPerTensorConst),
    )  # fmt: skip
    x, y = torch.randint(-1, 2, (128, 2, 8, 8)).float(), torch.randint(0, 10, (128,))
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    for _ in range(10):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(net(x), y).backward()
        optimizer.step()
    seen: dict[str, Any] = {}
    for name, module in net.named_children():
        if isinstance(module, qnn.QuantIdentity):
            module.register_forward_hook(lambda _m, _i, out, name=name: seen.__setitem__(name, out.detach()))
    return net.eval(), seen


def export(net: Any, path: Path) -> Path:
    """Write QONNX with PyTorch's older exporter, which is quick; the exporters talk a lot."""
    import torch
    from brevitas.export import export_qonnx

    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        export_qonnx(net, torch.zeros(1, 2, 8, 8), export_path=str(path), dynamo=False)
    return path
