"""Bring a network from Brevitas: quantization-aware layers to QONNX, to an event graph, with the same events.

Needs `pip install brevitas onnxoptimizer 'gxevent[interop,train]'`; says so and stops where they are not installed.
"""

import contextlib
import io
import sys
import warnings

import numpy as np

import gxevent as gx

warnings.simplefilter("ignore")
try:
    import brevitas.nn as qnn
    import onnxoptimizer  # noqa: F401
    import torch
    from brevitas.export import export_qonnx
    from brevitas.quant import SignedTernaryActPerTensorConst, SignedTernaryWeightPerTensorConst
except ImportError as error:
    print(f"{error.name} is not installed: pip install brevitas onnxoptimizer 'gxevent[interop,train]'")
    sys.exit()

ternary = {"bias": False, "weight_quant": SignedTernaryWeightPerTensorConst}
model = torch.nn.Sequential(
    qnn.QuantConv2d(2, 16, 3, padding=1, **ternary),
    torch.nn.MaxPool2d(2),
    torch.nn.BatchNorm2d(16),
    qnn.QuantIdentity(act_quant=SignedTernaryActPerTensorConst),
    torch.nn.Flatten(),
    qnn.QuantLinear(16 * 8 * 8, 10, **ternary),
)
frames = np.random.default_rng(0).integers(-1, 2, (64, 2, 16, 16)).astype(np.int8)
x = torch.from_numpy(frames).float()
model(x)  # training would stand here; one step fills the batch norm's statistics
model.eval()

with contextlib.redirect_stdout(io.StringIO()):
    export_qonnx(model, x[:1], export_path="model.onnx", dynamo=False)
network = gx.import_network("model.onnx").network
result = gx.Engine(gx.compile(network)).run(frames)
with torch.no_grad():
    same = (model(x).numpy().argmax(axis=1) == result.predictions).mean()
print(
    f"{same:.0%} of {len(frames)} decisions are Brevitas', {result.counts.resting_probability:.1%} of the gates rested"
)
