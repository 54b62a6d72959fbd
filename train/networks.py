"""TernaryModule: a network in training, made from a TernaryNetwork and turned back into one.

Structure and checks are those of the domain model: whatever :class:`gxevent.network.TernaryNetwork` accepts (without
biases) can be trained, evaluated and written back; :func:`gxevent.train.topology.initial_network` makes the first one.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import grid, layers
from gxevent.checking import Signal
from gxevent.encoder import Encoder
from gxevent.errors import ShapeError, UnsupportedError
from gxevent.network import INPUT, TernaryNetwork
from gxevent.train.activation import DiscreteActivation, HardTanh
from gxevent.train.backend import nn, torch
from gxevent.train.frames import Recordings
from gxevent.train.modules import Add, BatchNorm, DiscreteConv2d, DiscreteLayer, DiscreteLinear, SumPool2d
from gxevent.train.pools import MaxPool2d
from gxevent.train.real import RealConv2d, RealLayer, RealLinear
from gxevent.train.recipes import AugmentationSettings


@dataclass(frozen=True)
class Template:
    """A network's structure without its weights: those live in the module, and only there."""

    input_shape: tuple[int, ...]
    input_levels: int
    classes: tuple[str, ...]
    layers: tuple[layers.Layer, ...]

    @classmethod
    def of(cls, network: TernaryNetwork) -> Template:
        bare = (
            replace(layer, weight=np.empty(0, np.int8)) if isinstance(layer, layers.Dense | layers.Conv2d) else layer
            for layer in network.layers
        )
        return cls(network.input_shape, int(network.input_levels or 0), network.classes, tuple(bare))


@dataclass
class ZeroCount:
    """Values that activations put out, and how many of them were 0."""

    values: int = 0
    zeros: int = 0

    @property
    def share(self) -> float:
        return self.zeros / max(1, self.values)


class TernaryModule(nn.Module):
    """The network as a PyTorch module: frames in, scores out.

    Parameters
    ----------
    network
        Structure and starting values.
    a, window
        Half width and shape of the activations' derivative windows (training only; a network file has none).
    real_weights, real_activations
        Train real numbers in the place of Z_7, the space the network must then have there: see
        :mod:`gxevent.train.real`.

    Raises
    ------
    UnsupportedError
        for layers with a bias: a batch norm carries it.
    """

    def __init__(
        self,
        network: TernaryNetwork,
        *,
        a: float = 0.5,
        window: str = "rectangular",
        real_weights: bool = False,
        real_activations: bool = False,
    ) -> None:
        super().__init__()
        self.template = Template.of(network)
        self.real_weights, self.real_activations = real_weights, real_activations
        made = []
        fired = real_weights  # whether a real number has come up on the way
        for layer in network.layers:
            module = self._module(layer, [network.signals[name] for name in layer.inputs], a, window)
            if hasattr(module, "exact"):
                module.exact = not fired
            fired |= isinstance(module, HardTanh)
            made.append(module)
        self.layers = nn.ModuleList(made)

    def _module(self, layer: layers.Layer, sources: list[Signal], a: float, window: str) -> nn.Module:
        if self.real_activations and isinstance(layer, layers.Activation):
            return HardTanh()
        if self.real_weights and isinstance(layer, layers.Dense):
            return RealLinear(torch.from_numpy(layer.weight))
        if self.real_weights and isinstance(layer, layers.Conv2d):
            return RealConv2d(torch.from_numpy(layer.weight), layer.stride, layer.padding, layer.dilation, layer.groups)
        return _module(layer, sources, a, window)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Scores float32 (n, classes) of int8 frames (n, *input_shape)."""
        *_, scores = self.walk(frames)
        return scores[1].flatten(1)

    def walk(self, frames: torch.Tensor):
        """Yield ``(layer name, its output as real values)`` in order: for comparing layer by layer."""
        if tuple(frames.shape[1:]) != self.template.input_shape:
            raise ShapeError(f"frames: expected (n, *{self.template.input_shape}), got {tuple(frames.shape)}")
        made = {INPUT: frames.float() * grid.unit(self.template.input_levels)}
        for layer, module in zip(self.template.layers, self.layers, strict=True):
            made[layer.name] = module(*(made[name] for name in layer.inputs))
            yield layer.name, made[layer.name]

    @torch.no_grad()
    def scores(self, frames: NDArray[np.int8], batch: int = 256) -> NDArray[np.float32]:
        """Evaluation-mode scores (n, classes) of NumPy frames; the module's mode is as before afterwards."""
        training, device = self.training, next(self.parameters()).device
        self.eval()
        try:
            parts = [self(tensor(frames[i : i + batch], device)).cpu() for i in range(0, len(frames), batch)]
        finally:
            self.train(training)
        return torch.cat(parts).numpy() if parts else np.zeros((0, len(self.template.classes)), np.float32)

    def settle_norms(self, recordings: Recordings, batch: int, frames: int, rng: np.random.Generator) -> None:
        """Average the batch norms anew over so many frames, in batches, with nothing moved and the weights at rest.

        That is how they will be used. Averages of training itself are of moved frames, and of weights on their way.
        """
        training, device = self.training, next(self.parameters()).device
        batches = recordings.batches(batch, AugmentationSettings(), rng)
        self.train()
        with torch.no_grad():
            for k, (found, _) in enumerate(itertools.islice(batches, frames // batch)):
                for norm in self.norms():
                    norm.momentum = 1 / (k + 1)
                self(tensor(found, device))
        self.train(training)

    def discrete_layers(self) -> list[DiscreteLayer]:
        return [module for module in self.layers if isinstance(module, DiscreteLayer)]

    def real_layers(self) -> list[RealLayer]:
        return [module for module in self.layers if isinstance(module, RealLayer)]

    def norms(self) -> list[BatchNorm]:
        return [module for module in self.layers if isinstance(module, BatchNorm)]

    def zero_share(self) -> float:
        """Share of the weights that are 0."""
        weights = [layer.levels for layer in self.discrete_layers()] + [layer.weight for layer in self.real_layers()]
        return sum(int((w == 0).sum()) for w in weights) / sum(w.numel() for w in weights)

    @contextlib.contextmanager
    def counting_zeros(self) -> Iterator[ZeroCount]:
        """Count the zeros that activations put out inside the block."""
        count = ZeroCount()

        def look(module: nn.Module, given: object, out: torch.Tensor) -> None:
            count.zeros += out.numel() - int(out.count_nonzero())
            count.values += out.numel()

        chosen = [m for m in self.layers if isinstance(m, DiscreteActivation | HardTanh)]
        hooks = [module.register_forward_hook(look) for module in chosen]
        try:
            yield count
        finally:
            for hook in hooks:
                hook.remove()


def tensor(frames: NDArray[np.int8], device: torch.device) -> torch.Tensor:
    """The frames on the device, channels innermost in memory: pools and batch norms are several times faster so."""
    x = torch.from_numpy(frames).to(device)
    return x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x


def to_network(
    module: TernaryModule,
    encoder: Encoder | None,
    classes: tuple[str, ...],
    provenance: Mapping[str, Any],
    name: str = "",
) -> TernaryNetwork:
    """What training produced: the module's levels and batch-norm parameters as a TernaryNetwork.

    Real weights become the nearest levels of Z_7, real activations the activation into Z_7.
    """
    made = []
    for layer, part in zip(module.template.layers, module.layers, strict=True):
        if isinstance(part, DiscreteLayer):
            layer = replace(layer, weight=part.levels.detach().cpu().numpy().copy())
        elif isinstance(part, RealLayer):
            layer = replace(layer, weight=part.nearest_levels())
        elif isinstance(part, BatchNorm):
            layer = replace(layer, **part.arrays(), eps=part.eps)
        made.append(layer)
    return TernaryNetwork(
        input_shape=module.template.input_shape,
        encoder=encoder,
        layers=tuple(made),
        classes=classes,
        input_levels=module.template.input_levels,
        name=name,
        provenance=dict(provenance),
    )


def _module(layer: layers.Layer, sources: list[Signal], a: float, window: str) -> nn.Module:
    """The module of one layer, given the signals it reads."""
    source = sources[0]
    match layer:
        case layers.Dense() | layers.Conv2d() if layer.bias is not None:
            raise UnsupportedError(
                f"layer {layer.name!r} has a bias: fold it into the beta of the batch norm behind it"
            )
        case layers.Dense():
            return DiscreteLinear(torch.from_numpy(layer.weight), layer.levels, source.levels)
        case layers.Conv2d():
            return _conv(layer, source)
        case layers.MaxPool2d():
            return MaxPool2d(layer.kernel, layer.stride, layer.padding)
        case layers.SumPool2d() | layers.AvgPool2d():
            average = isinstance(layer, layers.AvgPool2d)
            return SumPool2d(layer.kernel, layer.stride, layer.padding, source.unit, average=average)
        case layers.Pad2d():
            return nn.ZeroPad2d(layer.padding)
        case layers.Flatten():
            return nn.Flatten()
        case layers.Add():
            return Add(tuple(signal.unit for signal in sources))
        case layers.BatchNorm():
            return _batch_norm(layer)
        case layers.Activation():
            return DiscreteActivation(layer.levels, layer.r, layer.h, a=a, window=window)
    raise UnsupportedError(f"layer {layer.name!r}: the trainer does not know {layer.kind} layers")


def _conv(layer: layers.Conv2d, source: Signal) -> DiscreteConv2d:
    return DiscreteConv2d(
        torch.from_numpy(layer.weight),
        layer.levels,
        source.levels,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        groups=layer.groups,
    )


def _batch_norm(layer: layers.BatchNorm) -> BatchNorm:
    module = BatchNorm(len(layer.gamma), layer.eps)
    with torch.no_grad():
        for name in ("gamma", "beta", "mean", "var"):
            getattr(module, name).copy_(torch.from_numpy(getattr(layer, name)))
    return module
