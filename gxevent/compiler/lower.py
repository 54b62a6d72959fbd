"""Lowering: the layers of a TernaryNetwork become populations and projections of an EventGraph.

Walking the layers once, each one turns into one of three things:

    Events   levels that a population sends
    Sums     integer accumulators still being gathered: the projections that will add up in some population, and
             the float32 expression (unit, bias, batch norm) that will be folded into its thresholds
    (nothing new) a Flatten, Pad2d or BatchNorm only changes what is already there

An Activation closes Sums into a firing population, a pool closes them into a population that hands its sums on.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity, firing, grid
from gxevent.compiler.fold import Expression, Thresholds, fold
from gxevent.errors import UnsupportedError
from gxevent.graph import EventGraph, Population, Projection
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
    Pad2d,
    SumPool2d,
    pair,
)
from gxevent.network import INPUT, TernaryNetwork

EXACT_IN_FLOAT32 = 2**24
"""Accumulators stay below this, so that their conversion to float32 rounds nothing."""

Shape = tuple[int, ...]
Floats = NDArray[np.float32] | None


@dataclass(frozen=True)
class Events:
    """Levels sent by a population, seen in some shape, with zeros around them (left, right, top, bottom)."""

    population: str
    shape: Shape
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)


@dataclass(frozen=True)
class Term:
    """A projection in the making: its source and rule, the target is not yet there."""

    name: str
    source: str
    rule: connectivity.Rule
    gain: int = 1


@dataclass(frozen=True, eq=False)
class Sums:
    """Accumulators of a population in the making, named after the layer that makes them."""

    name: str
    shape: Shape
    terms: tuple[Term, ...]
    unit: float
    bias: Floats = None
    scale: Floats = None
    offset: Floats = None

    def per_channel(self) -> tuple[Floats, Floats, Floats]:
        return self.bias, self.scale, self.offset


Value = Events | Sums


def compile(network: TernaryNetwork) -> EventGraph:
    """Compile a trained network to an event graph that gives the same integers as the trainer's evaluation forward.

    Raises UnsupportedError naming the layer where something cannot be brought to integers exactly.
    """
    return _Lowering(network).run()


class _Lowering:
    def __init__(self, network: TernaryNetwork) -> None:
        self.network = network
        self.populations: dict[str, Population] = {}
        self.projections: dict[str, Projection] = {}
        self.bounds: dict[str, int] = {}
        self.readers = Counter(source for layer in network.layers for source in layer.inputs)

    def run(self) -> EventGraph:
        net = self.network
        levels = int(net.input_levels or 0)
        self.populations[INPUT] = Population(INPUT, net.input_shape, "input", levels, grid.unit(levels), INPUT)
        values: dict[str, Value] = {INPUT: Events(INPUT, net.input_shape)}
        for layer in net.layers:
            value = self.lower(layer, [values[name] for name in layer.inputs])
            if isinstance(value, Sums) and self.readers[layer.name] > 1:
                value = self.shared(value)
            values[layer.name] = value
        last = values[net.layers[-1].name]
        assert isinstance(last, Sums), "the network's own check lets only sums through to the read-out"
        self.close(last, "readout", net.layers[-1].name, bias=last.bias, scale=last.scale, offset=last.offset)
        return EventGraph(
            self.populations,
            self.projections,
            encoder=net.encoder,
            classes=net.classes,
            name=net.name,
            provenance=net.provenance,
            activity={
                name: net.activity[p.layer]
                for name, p in self.populations.items()
                if p.sends_events and p.layer in net.activity
            },
        )

    def lower(self, layer: Layer, sources: list[Value]) -> Value:
        source = sources[0]
        match layer:
            case Dense() | Conv2d():
                return self.weighted(layer, source)
            case MaxPool2d() | SumPool2d() | AvgPool2d():
                return self.pool(layer, source)
            case Pad2d():
                added = tuple(a + b for a, b in zip(source.padding, layer.padding, strict=True))
                return replace(source, padding=added)
            case Flatten():
                return self.flatten(source)
            case Add():
                return self.add(layer, sources)
            case BatchNorm():
                scale, offset = firing.affine(layer.gamma, layer.beta, layer.mean, layer.var, layer.eps)
                if not (np.isfinite(scale).all() and np.isfinite(offset).all()):
                    at = int(np.argmin(np.isfinite(scale) & np.isfinite(offset)))
                    raise UnsupportedError(f"layer {layer.name!r}: gamma / sqrt(var + eps) overflows float32 at [{at}]")
                return replace(source, scale=scale, offset=offset)
            case Activation():
                return self.fire(layer, source)
        raise UnsupportedError(f"layer {layer.name!r}: {layer.kind} cannot be lowered")

    # ---------------------------------------------------------------------------------------- layers that add up

    def weighted(self, layer: Dense | Conv2d, source: Events) -> Sums:
        made = self.network.signals[layer.name]
        if isinstance(layer, Dense):
            rule = connectivity.Dense(source.shape, made.shape, layer.weight)
        else:
            rows, columns = pair(layer.padding)
            padding = tuple(a + b for a, b in zip(source.padding, (columns, columns, rows, rows), strict=True))
            rule = connectivity.Conv2d(
                source.shape,
                made.shape,
                layer.weight.shape[2:],
                pair(layer.stride),
                padding,
                pair(layer.dilation),
                layer.weight,
                int(layer.groups),
            )
        return Sums(layer.name, made.shape, (Term(layer.name, source.population, rule),), made.unit, layer.bias)

    def pool(self, layer: MaxPool2d | SumPool2d | AvgPool2d, source: Value) -> Value:
        made = self.network.signals[layer.name]
        rows, columns = pair(layer.padding)
        rule = connectivity.Pool2d(
            source.shape,
            made.shape,
            pair(layer.kernel),
            pair(layer.kernel if layer.stride is None else layer.stride),
            (columns, columns, rows, rows),
            (1, 1),
            "max" if isinstance(layer, MaxPool2d) else "sum",
        )
        if isinstance(source, Sums):
            self.close(source, "sum", source.name)
            bias = self._pooled_bias(layer, source)
            return Sums(layer.name, made.shape, (Term(layer.name, source.name, rule),), made.unit, bias)
        sums = Sums(layer.name, made.shape, (Term(layer.name, source.population, rule),), made.unit)
        return self.hand_on(sums, made.levels) if isinstance(layer, MaxPool2d) else sums

    @staticmethod
    def _pooled_bias(layer: MaxPool2d | SumPool2d | AvgPool2d, source: Sums) -> Floats:
        if source.bias is None or isinstance(layer, MaxPool2d):
            return source.bias
        if pair(layer.padding) != (0, 0):
            raise UnsupportedError(
                f"layer {layer.name!r}: sums over padding while layer {source.name!r} has a bias, which would count "
                "differently at the border: move the bias into a batch norm behind the pool"
            )
        area = pair(layer.kernel)[0] * pair(layer.kernel)[1]
        return source.bias * np.float32(area) if isinstance(layer, SumPool2d) else source.bias

    def flatten(self, source: Value) -> Value:
        size = int(np.prod(source.shape))
        if isinstance(source, Events) or len(source.shape) == 1:
            return replace(source, shape=(size,))
        area = size // source.shape[0]
        spread = [None if a is None else np.repeat(a, area) for a in source.per_channel()]
        return replace(source, shape=(size,), bias=spread[0], scale=spread[1], offset=spread[2])

    def add(self, layer: Add, sources: list[Value]) -> Sums:
        made = self.network.signals[layer.name]
        terms: list[Term] = []
        biases = []
        for source in sources:
            if isinstance(source, Events):
                population = self.populations[source.population]
                rule = connectivity.Identity(population.shape, made.shape)
                gain = int(population.unit / made.unit)
                terms.append(Term(f"{layer.name}:{source.population}", source.population, rule, gain))
            else:
                gain = int(source.unit / made.unit)
                terms += [replace(term, gain=term.gain * gain) for term in source.terms]
                biases += [] if source.bias is None else [source.bias]
        bias = None if not biases else np.sum(biases, axis=0, dtype=np.float32)
        return Sums(layer.name, made.shape, tuple(terms), made.unit, bias)

    # ------------------------------------------------------------------------------------------- closing the sums

    def close(self, sums: Sums, role: str, layer: str, **parameters: Any) -> Population:
        """Make the population in which the sums add up, and the projections into it; it gives ``layer``'s output."""
        population = Population(sums.name, sums.shape, role, unit=sums.unit, layer=layer, **parameters)
        self.populations[sums.name] = population
        for term in sums.terms:
            name = term.name
            while name in self.projections:  # one layer read by several Adds makes a projection into each
                name += "'"
            self.projections[name] = Projection(name, term.source, sums.name, term.rule, term.gain)
        bound = self._bound(sums)
        if bound >= EXACT_IN_FLOAT32:
            raise UnsupportedError(
                f"layer {sums.name!r}: accumulators could reach {bound:,}, float32 is exact below "
                f"{EXACT_IN_FLOAT32:,}: use fewer inputs or levels"
            )
        return population

    def _bound(self, sums: Sums) -> int:
        total = 0
        for term in sums.terms:
            source = self.populations[term.source]
            top = source.top if source.sends_events else self.bounds[term.source]
            total += abs(term.gain) * term.rule.bound(top)
        self.bounds[sums.name] = total
        return total

    def shared(self, sums: Sums) -> Sums:
        """Sums that several layers read get a population of their own, so that they are added up once."""
        if sums.scale is not None:
            return sums  # a batch norm is closed by each activation behind it
        self.close(sums, "sum", sums.name)
        rule = connectivity.Identity(sums.shape, sums.shape)
        return replace(sums, name=f"{sums.name}.shared", terms=(Term(f"{sums.name}.shared", sums.name, rule),))

    def fire(self, layer: Activation, sums: Sums) -> Events:
        """A firing population; it takes the name of the layer its sums come from."""
        name = layer.name if sums.name in self.populations else sums.name
        sums = replace(sums, name=name)
        expression = Expression(sums.shape[0], sums.unit, *sums.per_channel())
        thresholds = fold(expression, layer, max(self._bound(sums), 1))
        return self._firing(sums, thresholds, layer.levels, layer.name)

    def hand_on(self, sums: Sums, levels: int) -> Events:
        """A population that sends its sums on as they are: the maximum of levels is a level again."""
        steps = np.arange(1, grid.max_level(levels) + 1, dtype=np.int32)
        hi = np.tile(steps, (sums.shape[0], 1))
        return self._firing(sums, Thresholds(hi, -hi, np.ones(sums.shape[0], np.int8)), levels, sums.name)

    def _firing(self, sums: Sums, thresholds: Thresholds, levels: int, layer: str) -> Events:
        population = self.close(
            sums, "fire", layer, levels=levels, hi=thresholds.hi, lo=thresholds.lo, polarity=thresholds.polarity
        )
        self.populations[sums.name] = replace(population, unit=grid.unit(levels))
        return Events(sums.name, sums.shape)
