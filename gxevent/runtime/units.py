"""The choice of gate units: which compiled class runs a projection, laid out how, and where it may fire by itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity
from gxevent.core import _gates
from gxevent.errors import UnsupportedError
from gxevent.graph import EventGraph, Population, Projection
from gxevent.runtime import costs, pixels, sliced
from gxevent.runtime.layout import Layout, geometry, layouts, sparse_arrays
from gxevent.runtime.sliced import Convolution

INT16_MAX = 2**15 - 1
COUNTER_BITS = 31
"""Counters of more bits are not sliced."""


@dataclass(frozen=True, eq=False)
class Unit:
    """A projection's gate unit.

    target : the population it writes; another than the projection's where it takes in a pool and fires
    needs : forms of its source's outputs, as in ``_plan.FORMS``
    choice, work : the cost model's choice and what it was made for, of dense and convolutional projections
    conv : as it was built, where its source's outputs are bit planes
    """

    projection: Projection
    gates: _gates.GateUnit
    target: str
    needs: tuple[str, ...]
    fires: bool = False
    choice: costs.Choice | None = None
    work: costs.Work | None = None
    conv: Convolution | None = None

    def time(self, kernel: str) -> float:
        """Nanoseconds of a sample that the cost model expects; 0 where it does not know the rule."""
        return costs.time_of(self.choice, self.work, kernel) if self.choice and self.work else 0.0


def work_of(graph: EventGraph, p: Projection, fires: bool) -> costs.Work | None:
    """A projection as the cost model sees it; None for rules that it does not know."""
    source, rule = graph.populations[p.source], p.rule
    if isinstance(rule, connectivity.Dense):
        conv = Convolution.of_dense(rule.weight)
    elif isinstance(rule, connectivity.Conv2d):
        conv = Convolution.of_rule(rule)
    else:
        return None
    top = max(int(rule.weight.max(initial=0)), -int(rule.weight.min(initial=0)))
    return costs.Work(
        conv,
        costs.expected(source, graph.activity),
        sliced.planes_of(source.top),
        sliced.planes_of(top),
        fires,
        sliced.counter_bits(rule.bound(source.top)) <= COUNTER_BITS,
    )


def choices(graph: EventGraph, kernel: str) -> dict[str, costs.Choice]:
    """What the cost model chooses for every dense and convolutional projection, without building it."""
    layout, found = layouts(graph), {}
    for p in graph.projections.values():
        work = work_of(graph, p, _firing(graph, p, layout) is not None) if p.rule.weighted else None
        if work is not None:
            found[p.name] = costs.choose(work, kernel)
    return found


def lower(
    graph: EventGraph, layout: dict[str, Layout], kernel: str, fused: bool, kept: Mapping[str, Unit] | None = None
) -> list[Unit]:
    """Gate units of all projections; a pool that another unit takes in has none.

    kept : units of the same graph and kernel by projection; those that would be built alike are taken over
    """
    units, taken = [], set()
    for target in graph.populations:
        for p in graph.incoming(target):
            fires = _firing(graph, p, layout) if fused else None
            before = (kept or {}).get(p.name)
            unit = _weighted_unit(graph, p, layout, kernel, fires, before) if p.rule.weighted else None
            if unit is not None and unit.fires and fires is not None and fires.pool is not None:
                taken.add(fires.pool.name)
            if p.name not in taken:
                units.append(unit or _other_unit(graph, p, layout))
    return units


@dataclass(frozen=True, eq=False)
class _Firing:
    """A population that one projection alone feeds, directly or through a max pool: its unit can fire by itself."""

    population: Population
    pool: Projection | None = None


def _firing(graph: EventGraph, p: Projection, layout: dict[str, Layout]) -> _Firing | None:
    target, pool = graph.populations[p.target], None
    if target.role == "sum":
        if not isinstance(p.rule, connectivity.Conv2d):
            return None
        onward = [q for q in graph.projections.values() if q.source == p.target]
        if len(onward) != 1 or not isinstance(onward[0].rule, connectivity.Pool2d):
            return None
        pool = onward[0]
        if pool.rule.mode != "max" or pool.gain != 1 or pool.rule.dilation != (1, 1):
            return None
        target = graph.populations[pool.target]
    alone = all(len(graph.incoming(q.target)) == 1 for q in (p, pool) if q is not None)
    if not alone or target.role != "fire" or p.gain != 1 or layout[target.name].channels != target.shape[0]:
        return None
    if target.hi.shape[1] > 1:  # several steps
        return None
    hi, above_lo = sliced.reachable(target, p.rule.bound(graph.populations[p.source].top))
    if (hi < above_lo).any():  # sums that reach both
        return None
    shape = (pool or p).rule.target_shape
    return _Firing(target, pool) if target.shape == shape else None


def _weighted_unit(
    graph: EventGraph,
    p: Projection,
    layout: dict[str, Layout],
    kernel: str,
    fires: _Firing | None,
    kept: Unit | None,
) -> Unit | None:
    """The quickest unit of a dense or convolutional projection; None for other rules."""
    work = work_of(graph, p, fires is not None)
    if work is None:
        return None
    choice = costs.choose(work, kernel)
    if kept is not None and kept.choice == choice:
        return replace(kept, work=work)
    source, rule, of, to = graph.populations[p.source], p.rule, layout[p.source], layout[p.target]
    if isinstance(rule, connectivity.Dense):
        rows = to.inward(rule.weight.T if of.order is None else rule.weight.T[of.order])
        conv = Convolution.of_dense(rows.T)
    else:
        conv = work.conv
    if choice.unit == "counts":
        head = sliced.head(conv.weight[:, :, 0, 0], p.gain, kernel)
        return Unit(p, head, p.target, ("planes",), choice=choice, work=work, conv=conv)
    if choice.unit == "rows":
        return Unit(p, _row_unit(p, source, conv, kernel), p.target, ("events",), choice=choice, work=work)
    bound, tiling = rule.bound(source.top), choice.tiling
    if tiling is None:
        gates, needs = pixels.build(conv, source, bound, p.gain, kernel), ("planes",)
    else:
        gates, needs = sliced.build(conv, tiling, source, bound, p.gain, kernel), ("planes", "lists")
    if fires is None:
        return Unit(p, gates, p.target, needs, choice=choice, work=work, conv=conv)
    population = fires.population
    pool = geometry(fires.pool.rule) if fires.pool is not None else None
    if tiling is None:
        pixels.set_thresholds(gates, bound, population, pool)
    else:
        sliced.set_thresholds(gates, conv, tiling, bound, population, pool)
    return Unit(p, gates, population.name, needs, fires=True, choice=choice, work=work, conv=conv)


def _row_unit(p: Projection, source: Population, conv: Convolution, kernel: str) -> _gates.GateUnit:
    """Gates on int8 rows."""
    chunk = _chunk(conv.weight, source)
    if isinstance(p.rule, connectivity.Dense):
        return _gates.DenseGates(_gates.aligned_rows(conv.weight[:, :, 0, 0].T), chunk, kernel, p.gain)
    return _gates.ConvGates(conv_rows(p.rule), chunk, kernel, p.gain, geometry(p.rule), p.rule.groups)


def _other_unit(graph: EventGraph, p: Projection, layout: dict[str, Layout]) -> Unit:
    """Pools, identities and listed connections."""
    source, rule, of, to = graph.populations[p.source], p.rule, layout[p.source], layout[p.target]
    events = ("events",) if source.sends_events else ()
    match rule:
        case connectivity.Pool2d():
            needs = ("levels",) if source.sends_events else ()
            return Unit(p, _gates.PoolGates(geometry(rule), rule.mode == "max", p.gain), p.target, needs)
        case connectivity.Identity() if of.same_order(to):
            return Unit(p, _gates.IdentityGates(rule.source_size, p.gain), p.target, events)
        case connectivity.Identity() | connectivity.Sparse():
            if not source.sends_events:
                raise UnsupportedError(f"projection {p.name!r}: hands sums on between different layouts")
            return Unit(p, _gates.SparseGates(*sparse_arrays(rule, of, to), p.gain), p.target, events)
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
