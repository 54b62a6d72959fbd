"""Lowering of an event graph to a compiled plan: one Cython gate unit a projection, in topological order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _batch, _gates, _plan
from gxevent.errors import OptionError
from gxevent.graph import EventGraph, Population
from gxevent.runtime import costs, samples, sliced
from gxevent.runtime.layout import Layout, layouts
from gxevent.runtime.units import Unit, lower


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


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plan ready to run, the layouts of its populations, its gate units, and its tail: the layers at its end that
    batches pass one by one."""

    plan: _plan.Plan
    layouts: dict[str, Layout]
    units: tuple[Unit, ...]
    tail: _batch.Tail | None = None


def gated(graph: EventGraph) -> list[str]:
    """Projections whose open gates are counted, in the order of the columns of counts: by target population."""
    return [p.name for name in graph.populations for p in graph.incoming(name) if p.rule.weighted]


def build_plan(
    graph: EventGraph, kernel: str, fused: bool = True, kept: Lowered | None = None, threads: int = 1
) -> Lowered:
    """Lower a graph for one kernel path.

    fused
        Whether gate units may fire by themselves, so that sums and levels of inner populations are never written.
        Without it every population keeps both, for traces and streams.
    kept
        An earlier plan of the graph (expecting another activity) with the same kernel and ``fused``: what would be
        built alike is taken over from it.
    threads
        How many may share the work of a large unit.
    """
    layout = layouts(graph)
    index = {name: i for i, name in enumerate(graph.populations)}
    before = {unit.projection.name: unit for unit in kept.units} if kept is not None else None
    units = sorted(lower(graph, layout, kernel, fused, before), key=lambda unit: index[unit.target])
    fired = {unit.target for unit in units if unit.fires}
    absorbed = {unit.projection.target for unit in units if unit.fires} - fired
    plan = _plan.Plan(len(graph.populations), len(graph.projections), kernel)
    for name, p in graph.populations.items():
        role = "absorbed" if name in absorbed else p.role
        planes = sliced.planes_of(p.top) if p.sends_events else 1
        forms = _forms(units, p, name in fired, fused)
        plan.add_population(role, p.size, layout[name].channels, forms, planes, thresholds(p, layout[name]))
    column = {name: i for i, name in enumerate(gated(graph))}
    for unit in units:
        p, opens, time = unit.projection, {}, unit.time(kernel)
        plan.time += time
        if p.rule.weighted:
            fan_out = layout[p.source].inward(p.rule.fan_out_counts())
            opens = {"classes": sliced.open_classes(fan_out)} if "planes" in unit.needs else {"fan_out": fan_out}
        ends = index[p.source], index[unit.target]
        chunk = costs.chunk(unit.gates.shares, time) if threads > 1 else 0
        plan.add_projection(unit.gates, *ends, unit.fires, column.get(p.name, -1), chunk, **opens)
    return Lowered(plan, layout, tuple(units), samples.tail(graph, units, plan, kernel) if fused else None)


def _forms(units: list[Unit], p: Population, fires: bool, fused: bool) -> set[str]:
    """Forms in which a population hands its outputs on: what its projections need, and one to count events by."""
    if not p.sends_events:
        return {"sums"}
    forms = {form for unit in units if unit.projection.source == p.name for form in unit.needs}
    if fires:
        forms.add("planes")
    elif p.role == "fire":
        forms |= {"sums", "levels"}
    if "planes" not in forms or not fused:
        forms |= {"events", "levels"}
    return forms


def thresholds(p: Population, layout: Layout) -> tuple[NDArray, NDArray, NDArray] | None:
    """hi, lo (steps, period) and polarity (period,): per channel of the layout where they repeat, else per unit."""
    if p.role != "fire":
        return None
    hi, lo, polarity = np.asarray(p.hi, np.int32).T, np.asarray(p.lo, np.int32).T, np.asarray(p.polarity, np.int8)
    if layout.channels != p.shape[0]:  # a flattened image: every unit has its own
        hi, lo, polarity = layout.inward(hi), layout.inward(lo), layout.inward(polarity)
    return np.ascontiguousarray(hi), np.ascontiguousarray(lo), np.ascontiguousarray(polarity)
