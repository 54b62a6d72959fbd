"""Filling a network's structure with the tensors of a checkpoint.

A state dict holds weights and batch norms, but neither strides, pools nor activations: those come from a *template*, a
:class:`~gxevent.network.TernaryNetwork` of the right structure with any weights in it. The file's weights become
levels, and what scales and biases they leave is folded into the batch norm behind them.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gxevent import grid
from gxevent.errors import FormatError, NetworkError, OptionError, UnsupportedError
from gxevent.interop.checkpoint import Checkpoint, Part, parts_of
from gxevent.interop.recognise import weight_levels
from gxevent.layers import (
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MaxPool2d,
    SumPool2d,
    pair,
)
from gxevent.network import TernaryNetwork


def from_checkpoint(
    checkpoint: Checkpoint,
    template: TernaryNetwork | None = None,
    *,
    eps: float | None = None,
    activation: Activation | None = None,
) -> tuple[TernaryNetwork, list[str]]:
    """The template with the checkpoint's weights and batch norms, and notes on what was done.

    Parameters
    ----------
    template
        Structure, encoder, activations; None for fully connected networks.
    activation
        Of all hidden layers of a network without template; ternary with r = 0.5 by default.
    eps
        Of the batch norms, which a state dict does not hold: 1e-5 (PyTorch's) by default, 1e-4 for ``gxevent.train``.

    Raises
    ------
    NetworkError
        listing every tensor that does not fit its layer.
    UnsupportedError
        for weights that are not ternary up to a scale, naming the layer and how far off they are.
    """
    weights, norms, notes = parts_of(checkpoint)
    if not weights:
        raise FormatError(f"{checkpoint.path}: holds no weights")
    if template is None:
        template = _dense_template(checkpoint, weights, activation or Activation())
    layers = [layer for layer in template.layers if isinstance(layer, Dense | Conv2d)]
    given = dict(zip((layer.name for layer in layers), _match_weights(checkpoint, layers, weights), strict=True))
    norm_of = _match_norms(checkpoint, given, norms)
    if eps is None and any(norm.eps == 1e-5 for norm in norms):
        notes.append("the batch norms get eps 1e-05, PyTorch's own: a state dict does not hold it (--eps)")
    made = _Fold(template, given, norm_of, eps).run()
    return made, notes


def _dense_template(checkpoint: Checkpoint, weights: list[Part], activation: Activation) -> TernaryNetwork:
    shapes = [part.weight.shape for part in weights]
    if any(len(shape) == 4 for shape in shapes):
        found = ", ".join("x".join(map(str, shape)) for shape in shapes)
        raise OptionError(
            f"{checkpoint.path}: has convolutions (weights {found}), but a state dict holds no strides, padding or "
            "pools: say them with --layers and --input-shape, such as --layers 32C5-MP2-64C5-MP2-512FC-10"
        )
    layers: list[Layer] = []
    for shape in shapes:
        ones = np.ones(shape[0], np.float32)
        layers += [Dense(np.ones(shape, np.int8)), BatchNorm(ones, 0 * ones, 0 * ones, ones), activation]
    return TernaryNetwork((shapes[0][1],), None, tuple(layers[:-1]))


def _match_weights(checkpoint: Checkpoint, layers: list[Layer], parts: list[Part]) -> list[Part]:
    """The part of each layer: in order, or by shape where the file's order says nothing."""
    if len(parts) != len(layers):
        found = ", ".join("x".join(map(str, part.weight.shape)) for part in parts)
        raise NetworkError(
            [f"{checkpoint.path}: has {len(parts)} weight tensors ({found}), the network described has {len(layers)}"]
        )
    wanted = [layer.weight.shape for layer in layers]
    if [part.weight.shape for part in parts] != wanted and not _ordered(checkpoint, parts):
        left = list(parts)
        picked = [next((p for p in left if p.weight.shape == shape and not left.remove(p)), None) for shape in wanted]
        parts = picked if None not in picked else parts
    problems = [
        f"{checkpoint.path}: weights {part.path!r} have shape {part.weight.shape}, layer {layer.name!r} needs {shape}"
        for layer, part, shape in zip(layers, parts, wanted, strict=True)
        if part.weight.shape != shape
    ]
    if problems:
        raise NetworkError(problems)
    return parts


def _ordered(checkpoint: Checkpoint, parts: list[Part]) -> bool:
    """Whether the order of the parts is that of the network: a PyTorch file's is, and that of numbered modules."""
    return checkpoint.in_order or len({re.sub(r"\d+", "#", part.path) for part in parts}) == 1


def _match_norms(checkpoint: Checkpoint, given: dict[str, Part], norms: list[Part]) -> dict[str, Part]:
    """The batch norm behind each layer that has one."""
    names, parts = list(given), list(given.values())
    if _ordered(checkpoint, [*parts, *norms]):
        starts = [int(part.arrays["at"]) for part in parts]
        behind = [int(np.searchsorted(starts, int(norm.arrays["at"]))) - 1 for norm in norms]
    elif len(norms) in (len(names), len(names) - 1):
        behind = list(range(len(norms)))
    else:
        raise UnsupportedError(
            f"{checkpoint.path}: {len(norms)} batch norms for {len(names)} layers, and names that do not tell which "
            "belongs where: number the modules as nn.Sequential does, or save a .pt file, which keeps their order"
        )
    problems, made = [], {}
    for norm, at in zip(norms, behind, strict=True):
        where = f"{checkpoint.path}: batch norm {norm.path!r}"
        if at < 0:
            problems.append(f"{where} stands before the first layer: fold it into the data")
        elif names[at] in made:
            problems.append(f"{where}: layer {parts[at].path!r} already has batch norm {made[names[at]].path!r}")
        elif len(norm.arrays["mean"]) != len(parts[at].weight):
            problems.append(
                f"{where} has {len(norm.arrays['mean'])} channels, {parts[at].path!r} {len(parts[at].weight)}"
            )
        else:
            made[names[at]] = norm
    if problems:
        raise NetworkError(problems)
    return made


@dataclass(frozen=True, eq=False)
class Rest:
    """What still has to be applied to a layer's sums: ``value = scale * sum + bias``, float64 (out,), and the batch
    norm that follows."""

    scale: NDArray[np.float64]
    bias: NDArray[np.float64]
    norm: Part | None = None

    @property
    def nothing(self) -> bool:
        return bool((self.scale == 1).all() and (self.bias == 0).all())


class _Fold:
    """Walks the template, replacing weights and carrying scales and biases to the next batch norm."""

    def __init__(
        self, template: TernaryNetwork, given: dict[str, Part], norm_of: dict[str, Part], eps: float | None
    ) -> None:
        self.template, self.given, self.norm_of, self.eps = template, given, norm_of, eps
        self.made: list[Layer] = []
        self.rest: dict[str, Rest | None] = {"input": None}
        self.renamed: dict[str, str] = {}

    def run(self) -> TernaryNetwork:
        for layer in self.template.layers:
            layer = replace(layer, inputs=tuple(self.renamed.get(name, name) for name in layer.inputs))
            self.walk(layer)
        last = self.template.layers[-1].name
        self.settle(self.renamed.get(last, last), f"{last}.norm")
        return replace(self.template, layers=tuple(self.made), activity={})

    def put(self, layer: Layer, rest: Rest | None) -> None:
        self.made.append(layer)
        self.rest[layer.name] = rest

    def walk(self, layer: Layer) -> None:
        sources = [self.rest[name] for name in layer.inputs]
        match layer:
            case Dense() | Conv2d():
                self.weighted(layer)
            case BatchNorm():
                self.renamed[layer.name] = self.settle(layer.inputs[0], layer.name)
            case Activation():
                self.put(replace(layer, inputs=(self.settle(layer.inputs[0], f"{layer.name}.norm"),)), None)
            case MaxPool2d() | SumPool2d() | AvgPool2d():
                self.put(layer, _pooled(layer, sources[0]))
            case Flatten():
                self.put(layer, self.flattened(layer, sources[0]))
            case Add():
                self.put(layer, _added(layer, sources))
            case _:
                self.put(layer, sources[0])

    def weighted(self, layer: Dense | Conv2d) -> None:
        part = self.given[layer.name]
        where = f"layer {part.path!r}"
        out = len(part.weight)
        scale = np.ones(out)
        if "levels" in part.arrays or layer.levels > 1:
            values = part.weight if part.weight.dtype == np.int8 else grid_levels(part.weight, layer.levels, where)
            layer = replace(layer, weight=values)
        else:
            found = weight_levels(part.weight, where)
            scale = found.scale.astype(np.float64) / grid.unit(found.space)
            layer = replace(layer, weight=found.levels, levels=found.space, bias=None)
        bias = part.arrays.get("bias", np.zeros(out)).astype(np.float64)
        self.put(layer, Rest(scale, bias, self.norm_of.get(layer.name)))

    def flattened(self, layer: Flatten, rest: Rest | None) -> Rest | None:
        """Flattened sums have a scale and bias a unit."""
        if rest is None:
            return None
        area = math.prod(self.template.signals[layer.name].shape) // len(rest.scale)
        if rest.norm is not None and area > 1:
            raise UnsupportedError(
                f"layer {layer.name!r}: flattens before batch norm {rest.norm.path!r}: flatten after the activation"
            )
        return replace(rest, scale=np.repeat(rest.scale, area), bias=np.repeat(rest.bias, area))

    def settle(self, source: str, name: str) -> str:
        """Put the batch norm that carries what is left of ``source``'s values, if anything is; returns what to read."""
        rest = self.rest[source]
        if rest is None or (rest.norm is None and rest.nothing):
            return source
        if rest.norm is None:
            zeros = np.zeros(len(rest.scale), np.float32)
            norm = BatchNorm(rest.scale, rest.bias, zeros, zeros + 1, eps=0.0, name=name, inputs=(source,))
        else:
            a = {key: rest.norm.arrays[key].astype(np.float64) for key in ("gamma", "beta", "mean", "var")}
            fields = {**a, "gamma": a["gamma"] * rest.scale, "mean": (a["mean"] - rest.bias) / rest.scale}
            chosen = rest.norm.eps if self.eps is None else self.eps
            norm = BatchNorm(**fields, eps=chosen, name=name, inputs=(source,))
        self.put(norm, None)
        return name


def _pooled(layer: MaxPool2d | SumPool2d | AvgPool2d, rest: Rest | None) -> Rest | None:
    if rest is None or isinstance(layer, MaxPool2d):
        return rest
    if (rest.bias != 0).any() and pair(layer.padding) != (0, 0):
        raise UnsupportedError(f"layer {layer.name!r}: averages padding beside values that have a bias")
    area = math.prod(pair(layer.kernel)) if isinstance(layer, SumPool2d) else 1
    return replace(rest, bias=rest.bias * area)


def _added(layer: Add, rests: list[Rest | None]) -> Rest | None:
    present = [rest for rest in rests if rest is not None]
    if not present:
        return None
    plain = [rest.scale for rest in present] + [np.ones(1)] * (len(present) < len(rests))
    if any((scale != plain[0]).any() for scale in plain):
        raise UnsupportedError(f"layer {layer.name!r}: adds branches of different weight scales, which integers cannot")
    norms = [rest.norm for rest in present if rest.norm is not None]
    if len(norms) > 1 or (norms and present[-1].norm is None):
        raise UnsupportedError(f"layer {layer.name!r}: adds behind batch norm {norms[0].path!r}: put it behind the sum")
    return Rest(present[0].scale, sum(rest.bias for rest in present), norms[0] if norms else None)


def grid_levels(weight: NDArray, space: int, where: str) -> NDArray[np.int8]:
    """Levels of float weights that lie on the grid Z_space; UnsupportedError saying how far off they are."""
    levels = grid.nearest_level(weight, space)
    off = np.abs(np.asarray(weight, np.float64) - grid.to_values(levels, space))
    if off.max(initial=0.0) > 1e-6:
        at = tuple(int(i) for i in np.unravel_index(int(off.argmax()), off.shape))
        raise UnsupportedError(
            f"{where}: weights are not in Z_{space}: the nearest level is {off.max():.2g} off at {at}"
        )
    return levels


# ------------------------------------------------------------------------------------------------------- templates


def pools_behind_activations(network: TernaryNetwork) -> TernaryNetwork:
    """A sequential template whose max pools take levels (conv, norm, activation, pool) instead of sums."""
    ordered: list[Layer] = []
    waiting: list[Layer] = []
    for layer in network.layers:
        layer = replace(layer, name="", inputs=())
        if isinstance(layer, MaxPool2d | SumPool2d | AvgPool2d):
            waiting.append(layer)
        else:
            ordered.append(layer)
            if isinstance(layer, Activation):
                ordered += waiting
                waiting = []
    return replace(network, layers=(*ordered, *waiting), activity={})
