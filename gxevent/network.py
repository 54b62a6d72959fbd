"""TernaryNetwork: what training produces and the compiler takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gxevent import grid
from gxevent.checking import Shape, Signal, check_arrays, check_flow
from gxevent.encoder import Encoder
from gxevent.errors import NetworkError
from gxevent.layers import Layer

INPUT = "input"

_SHORT = {
    "Dense": "dense",
    "Conv2d": "conv",
    "MaxPool2d": "pool",
    "SumPool2d": "pool",
    "AvgPool2d": "pool",
    "Pad2d": "pad",
    "Flatten": "flatten",
    "Add": "add",
    "BatchNorm": "norm",
    "Activation": "act",
}


@dataclass(frozen=True, eq=False)
class TernaryNetwork:
    """A trained network with weights and activations on grids Z_N, checked on construction.

    Parameters
    ----------
    input_shape
        (C, H, W) or (n,) of one frame.
    encoder
        How streams or images become frames; None: the network is fed frames only.
    layers
        Run in the listed order unless they carry ``inputs``. The last one gives the scores: a Dense, Conv2d, pool
        or Add layer, or the BatchNorm behind it; it does not fire.
    classes
        Names of the scores; empty: "0", "1", ….
    input_levels
        N of the frames' space Z_N; by default the encoder's, or 1 (ternary) without an encoder.
    name, provenance
        Free: where it comes from, how it was trained, its accuracy on which data (JSON values).
    activity
        By name of layers that give levels, and ``"input"``, as far as it is known: the mean share of their nonzero
        levels, 0 to 1, as seen in training. It guides the choice of kernels and never changes a result.

    Raises
    ------
    NetworkError (a ShapeError and FormatError)
        listing every problem found, each naming layer and field.
    """

    input_shape: Shape
    encoder: Encoder | None
    layers: tuple[Layer, ...]
    classes: tuple[str, ...] = ()
    input_levels: int | None = None
    name: str = ""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    activity: Mapping[str, float] = field(default_factory=dict)
    signals: dict[str, Signal] = field(init=False, repr=False)
    """By layer name (and ``"input"``): the shape and form of what it gives."""

    if TYPE_CHECKING:  # what may be given; the fields say what is kept

        def __init__(
            self,
            input_shape: Sequence[int],
            encoder: Encoder | None,
            layers: Sequence[Layer],
            classes: Sequence[str] = (),
            input_levels: int | None = None,
            name: str = "",
            provenance: Mapping[str, Any] = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        problems: list[str] = []
        put = object.__setattr__
        try:
            shape = tuple(int(n) for n in self.input_shape)
        except (TypeError, ValueError):
            shape = ()
        put(self, "input_shape", shape)
        if len(shape) not in (1, 3) or min(shape, default=0) < 1:
            problems.append(f"input_shape: expected (C, H, W) or (n,) of positive sizes, got {self.input_shape!r}")
        if self.input_levels is None:
            put(self, "input_levels", self.encoder.levels if self.encoder else 1)
        if not isinstance(self.input_levels, int) or not 0 <= self.input_levels <= grid.MAX_N:
            problems.append(f"input_levels: expected N of Z_N from 0 to {grid.MAX_N}, got {self.input_levels!r}")
            put(self, "input_levels", 1)
        problems += self._check_encoder()
        put(self, "layers", _named(self.layers))
        put(self, "classes", tuple(str(c) for c in self.classes))
        if not problems:
            problems += self._check_layers()
        if not problems:
            problems += self._check_activity()
        if problems:
            raise NetworkError(problems)

    def _check_encoder(self) -> list[str]:
        if self.encoder is None or not self.input_shape:
            return []
        found = []
        if self.input_levels != self.encoder.levels:
            made = f"encoder {self.encoder.kind!r} makes frames of Z_{self.encoder.levels}"
            found.append(f"input_levels: {self.input_levels}, but {made}")
        if not self.encoder.takes_images and self.input_shape[0] != self.encoder.channels:
            found.append(
                f"input_shape: {self.input_shape[0]} channels, but encoder {self.encoder.kind!r} with "
                f"{self.encoder.bins} bins makes {self.encoder.channels}"
            )
        if not self.encoder.takes_images and len(self.input_shape) != 3:
            found.append(f"input_shape: an encoder of event streams makes images (C, H, W), got {self.input_shape}")
        return found

    def _check_layers(self) -> list[str]:
        if not self.layers:
            return ["layers: a network needs at least one layer"]
        problems, names = [], [layer.name for layer in self.layers]
        for name in sorted({n for n in names if names.count(n) > 1} | ({INPUT} & set(names))):
            problems.append(f"layer {name!r}: the name is taken, each layer needs its own")
        checked: list[Layer] = []
        broken = set()
        for layer in self.layers:
            layer, found = check_arrays(layer)
            checked.append(layer)
            problems += found
            if found:
                broken.add(layer.name)
        object.__setattr__(self, "layers", tuple(checked))
        signals, found = self._flow(broken)
        object.__setattr__(self, "signals", signals)
        return problems + found

    def _flow(self, broken: set[str]) -> tuple[dict[str, Signal], list[str]]:
        """Carry signals through the layers, skipping what depends on a broken one: its problem is listed already."""
        problems: list[str] = []
        n = int(self.input_levels or 0)
        signals = {INPUT: Signal(self.input_shape, "levels", n, grid.unit(n))}
        known, read = {INPUT}, set()
        for layer in self.layers:
            sources = [s for s in layer.inputs if s in known]
            for name in set(layer.inputs) - known:
                problems.append(f"layer {layer.name!r} ({layer.kind}) inputs: no layer {name!r} before it")
            known.add(layer.name)
            read.update(sources)
            if layer.name in broken or len(sources) < len(layer.inputs) or any(s not in signals for s in sources):
                continue
            made, found = check_flow(layer, [signals[s] for s in sources])
            problems += found
            if made is not None:
                signals[layer.name] = made
        for name in [layer.name for layer in self.layers[:-1] if layer.name not in read]:
            problems.append(f"layer {name!r}: no layer reads it")
        return signals, problems + self._check_readout(signals.get(self.layers[-1].name))

    def _check_readout(self, last: Signal | None) -> list[str]:
        if last is None:
            return []
        name = self.layers[-1].name
        if last.form == "levels":
            return [f"layer {name!r}: the last layer gives scores and does not fire, end on a Dense or BatchNorm layer"]
        if last.padding != (0, 0, 0, 0) or int(np.prod(last.shape)) != last.shape[0]:
            return [f"layer {name!r}: scores need one number a class, got shape {last.shape}: end on a Dense layer"]
        if not self.classes:
            object.__setattr__(self, "classes", tuple(str(i) for i in range(last.shape[0])))
        if len(self.classes) != last.shape[0]:
            return [f"classes: {len(self.classes)} names for {last.shape[0]} scores of layer {name!r}"]
        return []

    def _check_activity(self) -> list[str]:
        found = []
        for name, share in self.activity.items():
            if name not in self.signals or self.signals[name].form != "levels":
                found.append(f"activity: there is no layer {name!r} that gives levels")
            elif not (isinstance(share, int | float) and 0 <= share <= 1):
                found.append(f"activity of layer {name!r}: expected a share from 0 to 1, got {share!r}")
        return found

    def layer(self, name: str) -> Layer:
        """The layer of that name (KeyError if there is none)."""
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise KeyError(name)

    @property
    def weight_count(self) -> int:
        """Number of discrete weights in all layers."""
        return sum(layer.arrays()["weight"].size for layer in self.layers if "weight" in layer.arrays())


def _named(layers: Sequence[Layer]) -> tuple[Layer, ...]:
    """Give every layer a name and its inputs: by default the layer before it."""
    taken = {layer.name for layer in layers if layer.name}
    counts: dict[str, int] = {}
    named: list[Layer] = []
    before = INPUT
    for layer in layers:
        name = layer.name
        if not name:
            short = _SHORT.get(layer.kind, layer.kind.lower())
            while not name or name in taken:
                counts[short] = counts.get(short, 0) + 1
                name = f"{short}{counts[short]}"
            taken.add(name)
        inputs = (layer.inputs,) if isinstance(layer.inputs, str) else tuple(layer.inputs)
        named.append(replace(layer, name=name, inputs=inputs or (before,)))
        before = name
    return tuple(named)
