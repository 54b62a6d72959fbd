"""Networks for the tests of exchange: random ones, and PyTorch twins that know nothing of gxevent."""

from __future__ import annotations

import numpy as np

import gxevent as gx
from tests import networks


def convolutional(seed: int = 0, channels: int = 2) -> gx.TernaryNetwork:
    """Convolutions with padding, stride and groups, max pools before the threshold, fully connected layers."""
    rng = np.random.default_rng(seed)
    layers = [gx.Conv2d(networks.levels(rng, (8, channels, 3, 3)), padding=1), gx.MaxPool2d(2)]
    layers += [networks.batch_norm(rng, 8), gx.Activation()]
    layers += [gx.Conv2d(networks.levels(rng, (12, 4, 3, 3)), groups=2, stride=(1, 2)), networks.batch_norm(rng, 12, 5)]
    layers += [gx.Activation(r=0.25), gx.Flatten(), gx.Dense(networks.levels(rng, (20, 12 * 4 * 2)))]
    layers += [networks.batch_norm(rng, 20, 7), gx.Activation()]
    layers += [gx.Dense(networks.levels(rng, (10, 20))), networks.batch_norm(rng, 10, 3)]
    return gx.TernaryNetwork((channels, 12, 12), None, layers)


def dense(seed: int = 0) -> gx.TernaryNetwork:
    """Fully connected, 60-40-30-10."""
    rng = np.random.default_rng(seed)
    layers: list = []
    for inputs, out in ((60, 40), (40, 30), (30, 10)):
        layers += [gx.Dense(networks.levels(rng, (out, inputs))), networks.batch_norm(rng, out, 5), gx.Activation()]
    return gx.TernaryNetwork((60,), None, layers[:-1])


def sequential(network: gx.TernaryNetwork, scale=lambda layer: 1.0, dtype=None):
    """A PyTorch ``nn.Sequential`` of ordinary layers; ``scale`` of a weighted layer multiplies its weights (a number or
    one an output channel). The batch norms undo it, so that the network computes the same."""
    import torch
    from torch import nn

    class Ternary(nn.Module):
        def __init__(self, r: float) -> None:
            super().__init__()
            self.r = r

        def forward(self, x):
            return (x > self.r).to(x.dtype) - (x < -self.r).to(x.dtype)

    def tensor(values):
        return torch.from_numpy(np.array(values, np.float64))

    made, factor = [], 1.0
    for layer in network.layers:
        match layer:
            case gx.Conv2d() | gx.Dense():
                out, inputs = layer.weight.shape[:2]
                if isinstance(layer, gx.Dense):
                    module = nn.Linear(inputs, out, bias=False)
                else:
                    how = (layer.stride, layer.padding, layer.dilation, layer.groups)
                    module = nn.Conv2d(inputs * layer.groups, out, layer.weight.shape[2:], *how, bias=False)
                factor = np.broadcast_to(scale(layer), (out,))
                module.weight = nn.Parameter(tensor(layer.weight * factor.reshape(-1, *[1] * (layer.weight.ndim - 1))))
            case gx.BatchNorm():
                kind = nn.BatchNorm2d if len(network.signals[layer.name].shape) == 3 else nn.BatchNorm1d
                module = kind(len(layer.gamma), eps=layer.eps)
                module.weight, module.bias = nn.Parameter(tensor(layer.gamma)), nn.Parameter(tensor(layer.beta))
                module.running_mean = tensor(layer.mean * factor)
                module.running_var = tensor((layer.var + layer.eps) * factor**2 - layer.eps)
            case gx.MaxPool2d():
                module = nn.MaxPool2d(layer.kernel, layer.stride, layer.padding)
            case gx.AvgPool2d():
                module = nn.AvgPool2d(layer.kernel, layer.stride, layer.padding)
            case gx.Activation():
                module = Ternary(layer.r)
            case gx.Flatten():
                module = nn.Flatten()
        made.append(module)
    return nn.Sequential(*made).to(dtype or torch.float32).eval()


def same_integers(a: gx.TernaryNetwork, b: gx.TernaryNetwork, frames: np.ndarray, *, sums: bool = True) -> int:
    """Assert that two networks send the same events and gather the same read-out sums; returns the events compared.

    Populations are compared in order, their names may differ. Without ``sums`` the read-outs may count in other units.
    """
    one, other = gx.Engine(gx.compile(a)), gx.Engine(gx.compile(b))
    compared = 0
    for frame in frames:
        x, y = one.trace(frame), other.trace(frame)
        assert len(x.outputs) == len(y.outputs)
        for (name, sent), got in zip(x.outputs.items(), y.outputs.values(), strict=True):
            np.testing.assert_array_equal(sent, got, err_msg=name)
            compared += np.count_nonzero(sent)
        readout = one.graph.readout.name, other.graph.readout.name
        if sums:
            np.testing.assert_array_equal(x.accumulators[readout[0]], y.accumulators[readout[1]])
        np.testing.assert_allclose(x.scores, y.scores, rtol=1e-4, atol=1e-4)
    return compared
