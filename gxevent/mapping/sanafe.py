"""A mapping as SANA-FE's architecture and network YAML (TCAD 2025, 10.1109/TCAD.2025.3537971).

A frame becomes one of SANA-FE's time steps, in which all layers send at once. Every unit is a neuron of the model
"input", which replays who sends; weights are 0, since the integers have been computed already. Packets, hops, synaptic
operations and energy are those of ``gxevent simulate`` on a chip that sends one packet for each target core.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import UnsupportedError
from gxevent.mapping.chip import Chip, Costs
from gxevent.mapping.energy import COUNTED
from gxevent.mapping.export import Synapses
from gxevent.mapping.mapping import PORT, Mapping
from gxevent.mapping.problem import unit_neurons
from gxevent.mapping.quantity import Quantity
from gxevent.mapping.route import uses_trees

BUFFERS = 16
ENERGY, TIME = "e-12", "e-9"
"""What makes joules of picojoules, and seconds of nanoseconds, in text."""


def architecture(mapping: Mapping) -> tuple[str, list[str]]:
    """``architecture.yaml`` and what a reader must know. UnsupportedError for what SANA-FE cannot describe."""
    chip = mapping.typed_chip()
    if chip.mesh.topology != "mesh":
        raise UnsupportedError(f"sanafe: {chip.name} is a {chip.mesh.topology} torus, SANA-FE knows plain meshes only")
    notes = []
    if uses_trees(chip):
        notes.append("SANA-FE sends one packet for each target core: its hops are the unicast traffic of the mapping")
    names = [cost for costs in COUNTED.values() for cost in costs if cost != "memory_read"]
    for kind, costs in (("energy", chip.energy), ("latency", chip.latency)):
        unknown = [name for name in names if _base(getattr(costs, name)) is None]
        if unknown:
            notes.append(f"not known and written as 0: {kind} of {', '.join(unknown)}")
    if chip.energy.memory_read is not None or chip.latency.memory_read is not None:
        notes.append("SANA-FE has no reads of a synapse memory: their energy and time are left out")
    lines = [f"# {line}" for line in notes]
    lines += ["architecture:", f"  name: {_word(chip.name)}", "  attributes:", "    topology: mesh"]
    lines += [f"    width: {chip.width}", f"    height: {chip.height}", f"    link_buffer_size: {BUFFERS}"]
    lines += [*_barrier(chip), "  tile:"]
    many = _soma_counts(mapping)
    for x, y in itertools.product(range(chip.width), range(chip.height)):  # numbered column by column there
        lines += _tile(chip, x, y, many)
    return "\n".join([*lines, ""]), notes


def network(mapping: Mapping, synapses: Synapses, fired: NDArray[np.bool_]) -> str:
    """``network.yaml``; ``fired`` bool (frames, units) says which units send in each step."""
    groups = [f"p{i}_{_word(p.name)}" for i, p in enumerate(mapping.graph.populations)]
    names = [f"{group}.{i}" for group, p in zip(groups, mapping.graph.populations, strict=True) for i in range(p.size)]
    lines = ["network:", f"  name: {_word(mapping.graph.name or 'network')}", "  groups:"]
    at = 0
    for group, p in zip(groups, mapping.graph.populations, strict=True):
        lines += _group(group, fired[:, at : at + p.size])
        at += p.size
    silent = {name: count for name, _, count in _second_neurons(mapping, groups)}
    for name, count in silent.items():
        lines += _group(name, np.zeros((1, count), bool))
    lines.append("  edges:")
    pairs = zip(synapses.source.tolist(), synapses.target.tolist(), strict=True)
    lines += [f"    - {names[source]} -> {names[target]}: [weight: 0]" for source, target in pairs]
    lines.append("mappings:")
    lines += _mappings(mapping, groups)
    return "\n".join([*lines, ""])


# ------------------------------------------------------------------------------------------------- architecture


def _tile(chip: Chip, x: int, y: int, many: dict[tuple[int, bool], int]) -> Iterator[str]:
    router = y * chip.width + x
    cores = [c for c in range(router * chip.per_router, (router + 1) * chip.per_router) if c < chip.core_count]
    cores += [PORT] if (x, y) == chip.port and chip.inputs == "port" else []
    cost = {
        "energy_north_hop": chip.energy.hop_y, "energy_south_hop": chip.energy.hop_y,
        "energy_east_hop": chip.energy.hop_x, "energy_west_hop": chip.energy.hop_x,
        "latency_north_hop": chip.latency.hop_y, "latency_south_hop": chip.latency.hop_y,
        "latency_east_hop": chip.latency.hop_x, "latency_west_hop": chip.latency.hop_x,
    }  # fmt: skip
    yield f"    - name: tile_{x}_{y}"
    yield f"      attributes: {_attributes(cost)}"
    yield "      core:"
    for core in cores or [PORT]:  # a tile without cores is not allowed
        yield from _core(chip, core, many)


def _core(chip: Chip, core: int, many: dict[tuple[int, bool], int]) -> Iterator[str]:
    """A core: what arrives and leaves costs what the chip says; at the port nothing does."""
    costs = (None, None) if core == PORT else (chip.energy, chip.latency)

    def attributes(name: str, cost: str) -> str:
        energy, latency = (getattr(of, cost, None) for of in costs)
        return _attributes({f"energy_{name}": energy, f"latency_{name}": latency})

    room = sum(count for (at, _), count in many.items() if at == core)
    limits = f"{{buffer_position: soma, buffer_inside_unit: false, max_neurons_supported: {room + 1}}}"
    synapse = attributes("process_spike", "synop").replace("{", "{model: current_based, ", 1)
    dendrite = "{model: accumulator, energy_update: 0.0, latency_update: 0.0}"
    yield f"        - name: {'port' if core == PORT else f'core_{core}'}"
    yield f"          attributes: {limits}"
    yield f"          axon_in: [{{name: in, attributes: {attributes('message_in', 'packet_in')}}}]"
    yield f"          synapse: [{{name: synapses, attributes: {synapse}}}]"
    yield f"          dendrite: [{{name: sums, attributes: {dendrite}}}]"
    yield "          soma:"
    for free in (False, True):
        neurons = f'"{_soma(free)}[0..{max(many.get((core, free), 0), 1) - 1}]"'
        yield f"            - {{name: {neurons}, attributes: {_neuron(*((None, None) if free else costs))}}}"
    yield f"          axon_out: [{{name: out, attributes: {attributes('message_out', 'packet_out')}}}]"


def _neuron(energy: Costs | None, latency: Costs | None) -> str:
    """A neuron that replays its spikes. One that does not send is only accessed there, so updates count as access."""
    parts = ["model: input"]
    for kind, of, unit in (("energy", energy, ENERGY), ("latency", latency, TIME)):
        visit = sum(_base(getattr(of, name, None)) or 0.0 for name in ("neuron_access", "neuron_update"))
        spike = _base(getattr(of, "spike", None)) or 0.0
        parts += [f"{kind}_access_neuron: {_number(visit, unit)}", f"{kind}_update_neuron: 0.0"]
        parts.append(f"{kind}_spike_out: {_number(spike, unit)}")
    return "{" + ", ".join(parts) + "}"


def _barrier(chip: Chip) -> list[str]:
    known = [(int(b.tiles.base or 1), b.time.base) for b in chip.timing.barrier if b.time.base is not None]
    if not known:
        return ["    sync_model: fixed", "    latency_sync: 0.0"]
    steps = ", ".join(f"{tiles}: {_number(time, TIME)}" for tiles, time in known)
    return ["    sync_model: table", f"    latency_sync: {{{steps}}}"]


def _attributes(costs: dict[str, Quantity | None]) -> str:
    parts = []
    for name, cost in costs.items():
        parts.append(f"{name}: {_number(_base(cost) or 0.0, ENERGY if name.startswith('energy') else TIME)}")
    return "{" + ", ".join(parts) + "}"


def _number(value: float, unit: str) -> str:
    text = f"{value:.12g}"
    return repr(float(text) * float(f"1{unit}")) if "e" in text else text + unit


def _base(cost: Quantity | None) -> float | None:
    return None if cost is None else cost.base


# ------------------------------------------------------------------------------------------------------ network


def _group(name: str, fired: NDArray[np.bool_]) -> Iterator[str]:
    """A group of neurons with their spike trains; neighbours that are alike share a line."""
    yield f"    - name: {name}"
    yield "      attributes: []"
    yield "      neurons:"
    begin = 0
    for unit in range(1, fired.shape[1] + 1):
        if unit < fired.shape[1] and np.array_equal(fired[:, unit], fired[:, begin]):
            continue
        neurons = str(begin) if unit == begin + 1 else f"{begin}..{unit - 1}"
        train = ", ".join("1" if sends else "0" for sends in fired[:, begin])
        yield f"        - {neurons}: [spikes: [{train}]]"
        begin = unit


def _second_neurons(mapping: Mapping, groups: list[str]) -> Iterator[tuple[str, int, int]]:
    """Groups of the neurons beyond the first that units take for their sign: name, population, number. They are visited
    and never send: a unit's event counts once, whichever sign it has."""
    chip = mapping.typed_chip()
    core = mapping.core_of_units()
    at = 0
    for i, p in enumerate(mapping.graph.populations):
        more = unit_neurons(chip, p.role, p.partial) - 1
        on_core = bool((core[at : at + p.size] != PORT).all())
        at += p.size
        if more > 0 and on_core:
            yield f"{groups[i]}_sign", i, more * p.size


def _soma_counts(mapping: Mapping) -> dict[tuple[int, bool], int]:
    """Neurons by (core, whether they cost nothing)."""
    many: dict[tuple[int, bool], int] = {}
    for core, free, _ in _assigned(mapping, [""] * len(mapping.graph.populations)):
        many[core, free] = many.get((core, free), 0) + 1
    return many


def _assigned(mapping: Mapping, groups: list[str]) -> Iterator[tuple[int, bool, str]]:
    """Core, whether it costs nothing, and name of every neuron."""
    chip, core, at = mapping.typed_chip(), mapping.core_of_units().tolist(), 0
    second = {i: (name, count) for name, i, count in _second_neurons(mapping, groups)}
    for i, p in enumerate(mapping.graph.populations):
        none = unit_neurons(chip, p.role, p.partial) == 0
        here = core[at : at + p.size]
        for unit, of in enumerate(here):
            yield of, none or of == PORT, f"{groups[i]}.{unit}"
        if i in second:
            name, count = second[i]
            for k in range(count):
                yield here[k % p.size], False, f"{name}.{k}"
        at += p.size


def _mappings(mapping: Mapping, groups: list[str]) -> Iterator[str]:
    chip = mapping.typed_chip()
    place = {core: _address(chip, core) for core in {entry.core for entry in mapping.cores} | {PORT}}
    next_soma: dict[tuple[int, bool], int] = {}
    for core, free, name in _assigned(mapping, groups):
        number = next_soma.get((core, free), 0)
        next_soma[core, free] = number + 1
        yield f'  - {name}: [core: {place[core]}, soma: "{_soma(free)}[{number}]"]'


def _address(chip: Chip, core: int) -> str:
    """``tile.core`` there."""
    (x, y), slot = (chip.port, chip.per_router) if core == PORT else (chip.place(core)[:2], chip.place(core)[2])
    if core == PORT:
        first = (y * chip.width + x) * chip.per_router
        slot = max(min(first + chip.per_router, chip.core_count) - first, 0)
    return f"{x * chip.height + y}.{slot}"


def _soma(free: bool) -> str:
    return "free" if free else "unit"


def _word(name: str) -> str:
    return re.sub(r"\W", "_", name)
