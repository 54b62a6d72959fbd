"""Lowering of an event graph to a compiled plan: one Cython gate unit a projection, in topological order.

Inside the plan units are laid out pixel by pixel, channels innermost (H, W, C), while graphs address them in C order
of (C, H, W). ``Layout`` carries the permutation between the two; this module is where every bound that the kernels
trust is established.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.core import _gates, _plan
from gxevent.errors import OptionError, UnsupportedError
from gxevent.graph import EventGraph, Population, Projection

INT16_MAX = 2**15 - 1


@dataclass(frozen=True, eq=False)
class Layout:
    """How a population's units are ordered inside the plan.

    order: int64 (size,), graph address of each plan address; None when they are the same.
    """

    shape: tuple[int, ...]
    order: NDArray[np.int64] | None

    @classmethod
    def of(cls, shape: tuple[int, ...]) -> Layout:
        if len(shape) == 1 or shape[0] == 1 or math.prod(shape[1:]) == 1:
            return cls(shape, None)
        return cls(shape, np.arange(math.prod(shape)).reshape(shape).transpose(1, 2, 0).ravel())

    @property
    def channels(self) -> int:
        return self.shape[0]

    def same_order(self, other: Layout) -> bool:
        """Whether both number their units alike."""
        if self.order is None or other.order is None:
            return self.order is other.order
        return bool((self.order == other.order).all())

    def inward(self, values: NDArray) -> NDArray:
        """Last axis (size) from graph order to plan order, contiguous."""
        return np.ascontiguousarray(values if self.order is None else values[..., self.order])

    def outward(self, values: NDArray) -> NDArray:
        """Last axis (size) from plan order to graph order."""
        if self.order is None:
            return values
        out = np.empty_like(values)
        out[..., self.order] = values
        return out


def available_kernels() -> tuple[str, ...]:
    """Kernel paths this machine can run, the best last."""
    return _gates.available_kernels()


def choose_kernel(kernel: str) -> str:
    """The kernel path for a request: "auto" is the best one; OptionError for one this machine cannot run."""
    found = available_kernels()
    if kernel == "auto":
        return found[-1]
    if kernel not in found:
        raise OptionError(f"kernel {kernel!r} cannot run on this machine: choose auto, {', '.join(found)}")
    return kernel


def layouts(graph: EventGraph) -> dict[str, Layout]:
    """Layout of every population: that of the images its convolutions and pools see, else its own shape."""
    shapes = {name: p.shape for name, p in graph.populations.items()}
    for p in graph.projections.values():
        if isinstance(p.rule, connectivity.Conv2d | connectivity.Pool2d):
            for end, seen in ((p.source, p.rule.source_shape), (p.target, p.rule.target_shape)):
                if len(shapes[end]) == 3 and shapes[end] != seen:
                    raise UnsupportedError(
                        f"projection {p.name!r} sees population {end!r} as {seen}, another one as {shapes[end]}"
                    )
                shapes[end] = seen
    return {name: Layout.of(shape) for name, shape in shapes.items()}


def build_plan(graph: EventGraph, kernel: str) -> tuple[_plan.Plan, dict[str, Layout]]:
    """Lower a graph for one kernel path; returns the plan and the populations' layouts."""
    layout = layouts(graph)
    index = {name: i for i, name in enumerate(graph.populations)}
    plan = _plan.Plan(len(graph.populations), len(graph.projections))
    for name, population in graph.populations.items():
        size, channels = population.size, layout[name].channels
        plan.add_population(population.role, size, channels, thresholds(population, layout[name]))
    for name in graph.populations:
        for p in graph.incoming(name):
            source = graph.populations[p.source]
            unit = _gate_unit(p, source, layout[p.source], layout[p.target], kernel)
            fan_out = layout[p.source].inward(p.rule.fan_out_counts()) if p.rule.weighted else None
            plan.add_projection(unit, index[p.source], index[p.target], fan_out)
    return plan, layout


def thresholds(p: Population, layout: Layout) -> tuple[NDArray, NDArray, NDArray] | None:
    """hi, lo (steps, period) and polarity (period,): per channel of the layout where they repeat, else per unit."""
    if p.role != "fire":
        return None
    hi, lo, polarity = np.asarray(p.hi, np.int32).T, np.asarray(p.lo, np.int32).T, np.asarray(p.polarity, np.int8)
    if layout.channels != p.shape[0]:  # a flattened image: every unit has its own
        hi, lo, polarity = layout.inward(hi), layout.inward(lo), layout.inward(polarity)
    return np.ascontiguousarray(hi), np.ascontiguousarray(lo), np.ascontiguousarray(polarity)


def _gate_unit(p: Projection, source: Population, of: Layout, to: Layout, kernel: str) -> _gates.GateUnit:
    rule, gain = p.rule, int(p.gain)
    match rule:
        case connectivity.Dense():
            rows = to.inward(rule.weight.T if of.order is None else rule.weight.T[of.order])
            return _gates.DenseGates(_gates.aligned_rows(rows), _chunk(rule.weight, source), kernel, gain)
        case connectivity.Conv2d():
            return _gates.ConvGates(
                conv_rows(rule), _chunk(rule.weight, source), kernel, gain, geometry(rule), rule.groups
            )
        case connectivity.Pool2d():
            return _gates.PoolGates(geometry(rule), rule.mode == "max", gain)
        case connectivity.Identity():
            if of.same_order(to):
                return _gates.IdentityGates(rule.source_size, gain)
            if not source.sends_events:
                raise UnsupportedError(f"projection {p.name!r}: hands sums on between different layouts")
            return _gates.SparseGates(*sparse_arrays(rule, of, to), gain)
        case connectivity.Sparse():
            return _gates.SparseGates(*sparse_arrays(rule, of, to), gain)
    raise UnsupportedError(f"projection {p.name!r}: no gate unit for rule {rule.kind!r}")


def _chunk(weight: NDArray[np.int8], source: Population) -> int:
    """0 for ternary levels and events, else how many products an int16 sum holds at least."""
    largest = int(np.abs(weight, dtype=np.int16).max(initial=1))
    if largest <= 1 and source.top == 1:
        return 0
    return INT16_MAX // (largest * source.top)


def conv_rows(rule: connectivity.Conv2d) -> NDArray[np.int8]:
    """Weight rows in the order (group, kernel row, kernel column, input channel), lanes over the group's outputs."""
    out, inputs, rows, columns = rule.weight.shape
    grouped = rule.weight.reshape(rule.groups, out // rule.groups, inputs, rows, columns)
    return _gates.aligned_rows(grouped.transpose(0, 3, 4, 2, 1).reshape(-1, out // rule.groups))


def geometry(rule: connectivity.Conv2d | connectivity.Pool2d) -> dict[str, tuple[int, ...]]:
    names = ("source_shape", "target_shape", "kernel", "stride", "padding", "dilation")
    return {name: getattr(rule, name) for name in names}


def sparse_arrays(rule: connectivity.Rule, of: Layout, to: Layout) -> tuple[NDArray, NDArray, NDArray]:
    """start, target and level (see ``connectivity.Sparse``) of any rule, units in plan order."""
    source, target, level = rule.connections()
    inverse = [_inverse(layout) for layout in (of, to)]
    source = source if inverse[0] is None else inverse[0][source]
    target = target if inverse[1] is None else inverse[1][target]
    made = connectivity.Sparse.from_connections((rule.source_size,), (rule.target_size,), source, target, level)
    return made.start, made.target, made.level


def _inverse(layout: Layout) -> NDArray[np.int64] | None:
    if layout.order is None:
        return None
    inverse = np.empty_like(layout.order)
    inverse[layout.order] = np.arange(layout.order.size)
    return inverse
