"""What a peer runs: the event graph as the float layers that any framework has.

Batch norm and threshold of a population become one scale and offset per channel, folded into the weights before it:
``y = (s - (hi + lo) / 2) / (hi - lo - 1)``, so that ``y > 0.5`` says ``s >= hi`` and ``y < -0.5`` says ``s <= lo``.
The ternary activation is then ``clip(round(y), -1, 1)`` (halves round to even), the quickest exact form in PyTorch
and onnxruntime: hardly dearer than ReLU, and much cheaper than two comparisons.

The read-out keeps whole-number weights: its sums equal the engine's accumulators, and are compared with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.errors import UnsupportedError
from gxevent.graph import EventGraph, Population, Projection

Floats = NDArray[np.float32]
Quad = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Step:
    """One layer: "dense" (weight (out, in)), "conv" (weight (out, in / groups, rows, columns)) or "maxpool".

    fires: an activation follows. shape: (C, H, W) or (n,) of what it gives. padding: left, right, top, bottom.
    levels, hi, lo: the int8 weights without scale, and the thresholds of their sums, int16 (out,).
    """

    kind: str
    shape: tuple[int, ...]
    weight: Floats | None = None
    bias: Floats | None = None
    levels: NDArray[np.int8] | None = None
    hi: NDArray[np.int16] | None = None
    lo: NDArray[np.int16] | None = None
    fires: bool = False
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    padding: Quad = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1


@dataclass(frozen=True, eq=False)
class Twin:
    """The layers in order. activation: "ternary" for the same network, "relu" for the plain network of its shape."""

    input_shape: tuple[int, ...]
    steps: tuple[Step, ...]
    activation: str = "ternary"

    def relu(self) -> Twin:
        return replace(self, activation="relu")

    @property
    def dense_only(self) -> bool:
        return all(step.kind == "dense" for step in self.steps)


def twin_of(graph: EventGraph) -> Twin:
    """The float layers of a graph that is one chain of convolutions, max-pools and dense layers with ternary events.

    Raises UnsupportedError for any other graph.
    """
    steps: list[Step] = []
    polarity: NDArray[np.int8] | None = None
    for name, population in graph.populations.items():
        if population.role == "input":
            continue
        incoming = graph.incoming(name)
        if len(incoming) != 1 or incoming[0].gain != 1 or len(graph.outgoing(name)) > 1 or population.levels != 1:
            raise UnsupportedError(f"population {name!r}: peers are given chains of layers with ternary events only")
        steps.append(_step(incoming[0], polarity))
        polarity = None
        if population.role == "fire":
            at = max(i for i, step in enumerate(steps) if step.weight is not None)
            steps[at] = _scaled(steps[at], population, graph.bound(name))
            steps[-1] = replace(steps[-1], fires=True)
            polarity = population.polarity
    return Twin(graph.input.shape, tuple(steps))


def _step(p: Projection, polarity: NDArray[np.int8] | None) -> Step:
    """A projection as a layer; the polarity of the units it reads goes into its weights."""
    rule = p.rule
    match rule:
        case connectivity.Dense():
            weight = rule.weight.astype(np.float32)
            if polarity is not None:
                weight = weight * np.repeat(polarity, weight.shape[1] // len(polarity))
            return Step("dense", rule.target_shape, weight, levels=weight.astype(np.int8))
        case connectivity.Conv2d() if rule.groups == 1 or polarity is None or (polarity == 1).all():
            weight = rule.weight.astype(np.float32)
            if polarity is not None and rule.groups == 1:
                weight = weight * polarity[:, None, None]
            more = {name: getattr(rule, name) for name in ("kernel", "stride", "padding", "dilation", "groups")}
            return Step("conv", rule.target_shape, weight, levels=weight.astype(np.int8), **more)
        case connectivity.Pool2d() if rule.mode == "max" and (polarity is None or (polarity == 1).all()):
            return Step("maxpool", rule.target_shape, kernel=rule.kernel, stride=rule.stride, padding=rule.padding)
    raise UnsupportedError(f"projection {p.name!r}: no layer for rule {rule.kind!r} in the networks given to peers")


def _scaled(step: Step, p: Population, bound: int) -> Step:
    """Thresholds folded into the layer before them (a max-pool in between commutes, since scales are positive)."""
    if p.shape[0] != len(step.weight):
        raise UnsupportedError(f"population {p.name!r}: thresholds of single units behind a convolution")
    hi = np.clip(p.hi[:, 0].astype(np.int64), -bound - 1, bound + 1)
    lo = np.minimum(np.clip(p.lo[:, 0].astype(np.int64), -bound - 1, bound + 1), hi - 1)
    scale = 1 / np.maximum(hi - lo - 1, 0.5)
    column = (-1, *[1] * (step.weight.ndim - 1))
    weight = step.weight * scale.reshape(column)
    return replace(
        step,
        weight=weight.astype(np.float32),
        bias=(-(hi + lo) / 2 * scale).astype(np.float32),
        hi=hi.astype(np.int16),
        lo=lo.astype(np.int16),
    )
