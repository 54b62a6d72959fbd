"""What cannot fit whatever the placement: said before any search, all at once, with a remedy each."""

from __future__ import annotations

from collections.abc import Sequence

from gxevent.connectivity import Pool2d
from gxevent.errors import CapacityError
from gxevent.graph import EventGraph
from gxevent.mapping.build import packet_bits, padded_entries
from gxevent.mapping.chip import NO_LIMIT, Chip, whole
from gxevent.mapping.problem import ability, is_partial, unit_neurons
from gxevent.mapping.split import fan_in, fan_in_room, sum_bits


class Infeasible(CapacityError):
    """A network that a chip cannot hold; ``problems`` lists every reason."""

    def __init__(self, chip: str, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{chip}: " + "; ".join(self.problems))


def infeasible(graph: EventGraph, chip: Chip) -> list[str]:
    """Reasons why the (split) graph fits no placement on the chip; each names layer, resource, need, have, remedy."""
    problems = [*_fan_in(graph, chip), *_kernels(graph, chip), *_layers(graph, chip)]
    problems += [*_operations(graph, chip), *_payload(graph, chip)]
    neurons = {
        name: unit_neurons(chip, p.role, is_partial(graph, name)) * p.size for name, p in graph.populations.items()
    }
    have = sum(whole(core.count) * whole(core.neurons) for core in chip.cores)
    if sum(neurons.values()) > have:
        layer = max(neurons, key=lambda name: neurons[name])
        problems.append(
            f"layer {layer!r} and others: neurons: need {sum(neurons.values()):,}, the chip has {have:,}: "
            "use a smaller network, or several chips"
        )
    return problems


def _fan_in(graph: EventGraph, chip: Chip) -> list[str]:
    room, payload = fan_in_room(chip), chip.payload("sum")
    problems = []
    for p in graph.projections.values():
        need = fan_in(graph, p) if p.rule.weighted else 0
        if need <= room or room >= NO_LIMIT or chip.granularity == "layer":
            continue
        bits = sum_bits(graph, p.target)
        remedy = (
            f"partial sums of {bits} bits would split it, but a packet carries {payload}: use fewer inputs"
            if bits > payload
            else "it cannot be split further: use fewer inputs"
        )
        problems.append(f"layer {p.target!r}: fan-in: need {need:,}, a core takes {room:,}: {remedy}")
    return problems


def _kernels(graph: EventGraph, chip: Chip) -> list[str]:
    """Layers whose padded kernels no core of a chip of whole layers can hold."""
    if chip.granularity != "layer":
        return []
    most = max(whole(core.memory) for core in chip.cores)
    problems = []
    for p in graph.projections.values():
        need = padded_entries(p.rule) * whole(chip.cores[0].packing.weight)
        if need > most:
            problems.append(
                f"layer {p.target!r}: kernel memory, bits: need {need:,}, the largest core has {most:,}: "
                "use a smaller layer or another chip"
            )
    return problems


def _layers(graph: EventGraph, chip: Chip) -> list[str]:
    """Kinds of layers that no core runs."""
    able = {kind for core in chip.cores for kind in core.layers}
    wanted = {p.target: ability(p.rule) for p in graph.projections.values() if p.rule.weighted}
    return [
        f"layer {name!r}: {kind} layer: no core runs one: use another chip"
        for name, kind in wanted.items()
        if kind not in able
    ]


def _operations(graph: EventGraph, chip: Chip) -> list[str]:
    if any("max" in core.operations for core in chip.cores):
        return []
    pools = [p.target for p in graph.projections.values() if isinstance(p.rule, Pool2d) and p.rule.mode == "max"]
    return [
        f"layer {name!r}: maximum pooling: no core has it: train with sum pooling or strides instead" for name in pools
    ]


def _payload(graph: EventGraph, chip: Chip) -> list[str]:
    problems = []
    for name, p in graph.populations.items():
        bits, payload = packet_bits(graph, name), chip.payload(p.role)
        if p.sends_events and bits > payload:
            remedy = "encode the input as ternary events" if p.role == "input" else "train it with fewer levels"
            problems.append(
                f"layer {name!r}: payload: levels up to {p.top} need {bits} bits, a packet carries {payload}: {remedy}"
            )
    return problems
