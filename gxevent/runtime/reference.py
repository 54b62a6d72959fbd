"""The plain NumPy reference: it defines the right answer, the compiled engine must equal it exactly.

Two readings of one network, written as plainly as possible and independent of each other:

* ``run_network`` evaluates the trained network layer by layer with the float32 expression of ``gxevent.firing``;
* ``run_graph`` evaluates the compiled event graph with integer thresholds.

Arrays carry the sample axis first: frames int8 (n, *input_shape).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gxevent import connectivity, firing, layers
from gxevent.checking import Signal
from gxevent.graph import EventGraph, Population
from gxevent.layers import pair
from gxevent.network import INPUT, TernaryNetwork

Ints = NDArray[np.int32]
Quad = tuple[int, int, int, int]

# ------------------------------------------------------------------------------------------- integer operations


def dense(x: NDArray[np.integer], weight: NDArray[np.int8]) -> Ints:
    """``s = x @ weight.T`` in int32; x (n, in), weight (out, in)."""
    return x.astype(np.int32) @ weight.T.astype(np.int32)


def windows(
    x: NDArray[np.integer],
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: Quad,
    dilation: tuple[int, int] = (1, 1),
    fill: int = 0,
) -> Ints:
    """All kernel windows of images (n, C, H, W): int32 (n, C, H_out, W_out, rows, columns)."""
    left, right, top, bottom = padding
    padded = np.pad(x.astype(np.int32), ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    span = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = sliding_window_view(padded, span, axis=(2, 3))
    return view[:, :, :: stride[0], :: stride[1], :: dilation[0], :: dilation[1]]


def conv2d(
    x: NDArray[np.integer],
    weight: NDArray[np.int8],
    stride: tuple[int, int],
    padding: Quad,
    dilation: tuple[int, int],
    groups: int,
) -> Ints:
    """Cross-correlation in int32; x (n, C, H, W), weight (out, C / groups, rows, columns)."""
    view = windows(x, weight.shape[2:], stride, padding, dilation)
    n, channels, height, width = view.shape[:4]
    view = view.reshape(n, groups, channels // groups, height, width, *weight.shape[2:])
    grouped = weight.reshape(groups, -1, *weight.shape[1:]).astype(np.int32)
    sums = [np.tensordot(view[:, g], grouped[g], axes=((1, 4, 5), (1, 2, 3))) for g in range(groups)]
    return np.concatenate(sums, axis=-1).transpose(0, 3, 1, 2)  # (n, H, W, out) to (n, out, H, W)


def pool2d(x: NDArray[np.integer], mode: str, kernel: tuple[int, int], stride: tuple[int, int], padding: Quad) -> Ints:
    """Maximum or sum over windows; taps on padding do not exist."""
    fill = np.iinfo(np.int32).min if mode == "max" else 0
    view = windows(x, kernel, stride, padding, fill=fill)
    return (view.max(axis=(4, 5)) if mode == "max" else view.sum(axis=(4, 5))).astype(np.int32)


# ------------------------------------------------------------------------------------------- the trained network


@dataclass(frozen=True, eq=False)
class LayerOutput:
    """What one layer gives: levels int8, sums int32 or reals float32, (n, *shape)."""

    form: str
    values: NDArray


def run_network(network: TernaryNetwork, frames: NDArray[np.int8]) -> dict[str, LayerOutput]:
    """Evaluate a trained network layer by layer; the outputs of all layers by name, the last one's are the scores.

    Sums are integers throughout; a batch norm turns them into reals by the shared float32 expression, and a last
    layer that gives sums gives its scores as reals too.
    """
    outputs: dict[str, LayerOutput] = {INPUT: LayerOutput("levels", frames)}
    bias: dict[str, NDArray | None] = {INPUT: None}
    for layer in network.layers:
        sources = [outputs[name].values for name in layer.inputs]
        signal = network.signals[layer.name]
        before = [network.signals[name] for name in layer.inputs]
        values, layer_bias = _evaluate(layer, sources, before, signal, [bias[name] for name in layer.inputs])
        outputs[layer.name], bias[layer.name] = LayerOutput(signal.form, values), layer_bias
    last = network.layers[-1]
    if outputs[last.name].form == "sums":
        signal = network.signals[last.name]
        column = _column(bias[last.name], signal.shape)
        scores = firing.preactivation(outputs[last.name].values, signal.unit, column, None, None)
        outputs["scores"] = LayerOutput("reals", scores.reshape(len(frames), -1))
    else:
        outputs["scores"] = LayerOutput("reals", outputs[last.name].values.reshape(len(frames), -1))
    return outputs


def _column(values: NDArray | None, shape: tuple[int, ...]) -> NDArray | None:
    """Per-channel values shaped to broadcast against (n, *shape)."""
    return None if values is None else values.reshape(-1, *[1] * (len(shape) - 1))


def _evaluate(
    layer: layers.Layer, sources: list[NDArray], before: list[Signal], signal: Signal, biases: list[NDArray | None]
) -> tuple[NDArray, NDArray | None]:
    """One layer's output, and the bias still to be added to its sums (per channel)."""
    x, source, bias = sources[0], before[0], biases[0]
    match layer:
        case layers.Dense():
            return dense(x, layer.weight), layer.bias
        case layers.Conv2d():
            rows, columns = pair(layer.padding)
            padding = tuple(a + b for a, b in zip(source.padding, (columns, columns, rows, rows), strict=True))
            sums = conv2d(x, layer.weight, pair(layer.stride), padding, pair(layer.dilation), layer.groups)
            return sums, layer.bias
        case layers.MaxPool2d() | layers.SumPool2d() | layers.AvgPool2d():
            kernel, (rows, columns) = pair(layer.kernel), pair(layer.padding)
            stride = kernel if layer.stride is None else pair(layer.stride)
            mode = "max" if isinstance(layer, layers.MaxPool2d) else "sum"
            pooled = pool2d(x, mode, kernel, stride, (columns, columns, rows, rows))
            if bias is not None and isinstance(layer, layers.SumPool2d):
                bias = bias * np.float32(kernel[0] * kernel[1])
            return pooled.astype(x.dtype) if signal.form == "levels" else pooled, bias
        case layers.Pad2d():
            return x, None
        case layers.Flatten():
            spread = None if bias is None else np.repeat(bias, int(np.prod(source.shape[1:])))
            return x.reshape(len(x), -1), spread
        case layers.Add():
            gains = [round(s.unit / signal.unit) for s in before]
            total = sum(s.astype(np.int32) * gain for s, gain in zip(sources, gains, strict=True))
            present = [b for b in biases if b is not None]
            return total, np.sum(present, axis=0, dtype=np.float32) if present else None
        case layers.BatchNorm():
            scale, offset = firing.affine(layer.gamma, layer.beta, layer.mean, layer.var, layer.eps)
            columns = [_column(a, source.shape) for a in (bias, scale, offset)]
            return firing.preactivation(x, source.unit, *columns), None
        case layers.Activation():
            if source.form == "sums":
                x = firing.preactivation(x, source.unit, _column(bias, source.shape), None, None)
            return firing.fire(x, layer.levels, layer.r, layer.h), None
    raise AssertionError(f"no reference for {layer.kind}")


# ------------------------------------------------------------------------------------------- the compiled graph


@dataclass(frozen=True, eq=False)
class GraphOutput:
    """Outcome of ``run_graph``, sample axis first.

    outputs: int8 levels of every population that sends events; accumulators: int32 sums of every other than the
    input; scores float32 (n, classes); events and open_gates: int64 (n,) by population and projection.
    """

    outputs: dict[str, NDArray[np.int8]]
    accumulators: dict[str, Ints]
    scores: NDArray[np.float32]
    events: dict[str, NDArray[np.int64]]
    open_gates: dict[str, NDArray[np.int64]]


def run_graph(graph: EventGraph, frames: NDArray[np.int8], *, count: bool = True) -> GraphOutput:
    """Evaluate an event graph with plain integer arithmetic; frames int8 (n, *input_shape).

    ``count=False`` leaves ``open_gates`` empty, which halves the work.
    """
    outputs: dict[str, NDArray[np.int8]] = {}
    accumulators: dict[str, Ints] = {}
    open_gates: dict[str, NDArray[np.int64]] = {}
    for name, population in graph.populations.items():
        if population.role == "input":
            outputs[name] = frames.reshape(len(frames), *population.shape)
            continue
        total = np.zeros((len(frames), *population.shape), np.int32)
        for p in graph.incoming(name):
            sent = outputs[p.source] if p.source in outputs else accumulators[p.source]
            total += np.int32(p.gain) * project(p.rule, sent).reshape(total.shape)
            if count and p.rule.weighted:
                open_gates[p.name] = count_open(p.rule, sent)
        accumulators[name] = total
        if population.role == "fire":
            outputs[name] = threshold(population, total)
    events = {name: np.count_nonzero(q.reshape(len(q), -1), axis=1) for name, q in outputs.items()}
    open_gates = {p.name: open_gates[p.name] for p in graph.gated if count}
    return GraphOutput(outputs, accumulators, readout(graph.readout, accumulators), events, open_gates)


def project(rule: connectivity.Rule, x: NDArray[np.integer]) -> Ints:
    """Sums (n, *target_shape) that a projection brings for what its source sent (n, …)."""
    x = x.reshape(len(x), *rule.source_shape)
    match rule:
        case connectivity.Dense():
            return dense(x.reshape(len(x), -1), rule.weight)
        case connectivity.Conv2d():
            return conv2d(x, rule.weight, rule.stride, rule.padding, rule.dilation, rule.groups)
        case connectivity.Pool2d():
            return pool2d(x, rule.mode, rule.kernel, rule.stride, rule.padding)
        case connectivity.Identity():
            return x.astype(np.int32)
        case connectivity.Sparse():
            sums = np.zeros((rule.target_size, len(x)), np.int32)
            source, target, level = rule.connections()
            np.add.at(sums, target, level[:, None].astype(np.int32) * x.reshape(len(x), -1).T[source])
            return sums.T
    raise AssertionError(f"no reference for rule {rule.kind}")


def count_open(rule: connectivity.Rule, x: NDArray[np.integer]) -> NDArray[np.int64]:
    """Gates with nonzero level and nonzero input, per sample: the same projection over 0/1 indicators."""

    def indicator(a: NDArray[np.integer]) -> NDArray[np.int8]:
        return (a != 0).astype(np.int8)

    if isinstance(rule, connectivity.Sparse):
        source, _, level = rule.connections()
        return indicator(x.reshape(len(x), -1))[:, source[level != 0]].sum(axis=1, dtype=np.int64)
    gates = project(replace(rule, weight=indicator(rule.weight)), indicator(x))
    return gates.reshape(len(x), -1).sum(axis=1, dtype=np.int64)


def threshold(population: Population, s: Ints) -> NDArray[np.int8]:
    """Levels that a firing population sends for sums s (n, *shape)."""
    q = np.zeros(s.shape, np.int8)
    for k in range(population.hi.shape[1]):
        q += (s >= _column(population.hi[:, k], population.shape)).view(np.int8)
        q -= (s <= _column(population.lo[:, k], population.shape)).view(np.int8)
    return q * _column(population.polarity, population.shape)


def readout(population: Population, accumulators: dict[str, Ints]) -> NDArray[np.float32]:
    """Scores float32 (n, classes) of the read-out's sums."""
    s = accumulators[population.name].reshape(-1, population.shape[0])
    return firing.preactivation(s, population.unit, population.bias, population.scale, population.offset)
