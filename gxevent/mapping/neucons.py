"""A mapping as a NeuCoNS netlist (Kleijnen et al., Front. Neurosci. 2022, 10.3389/fnins.2022.958343).

A netlist is JSON, ``{neuron: {"FR": events, "connected_to": [neurons]}}``. NeuCoNS places neurons itself; its mapping
"sequentially" fills node after node in the order of the file, row by row, so that padding every node to the same number
of neurons carries our places over. A node is a router: cores that share one are one node there.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import UnsupportedError
from gxevent.mapping.export import Synapses
from gxevent.mapping.mapping import PORT, Mapping


def netlist(mapping: Mapping, synapses: Synapses, fired: NDArray[np.bool_]) -> tuple[str, list[str]]:
    """The netlist and what a reader must know. ``fired`` bool (frames, units): FR is the events over all frames."""
    chip = mapping.typed_chip()
    if chip.mesh.topology != "mesh":
        raise UnsupportedError(f"neucons: {chip.name} is a {chip.mesh.topology} torus, only plain meshes are exported")
    side = max(chip.width, chip.height)
    names, at = _names(mapping), _routers(mapping)
    listeners: dict[int, list[int]] = defaultdict(list)
    for source, target in zip(synapses.source.tolist(), synapses.target.tolist(), strict=True):
        listeners[source].append(target)
    rate = fired.sum(axis=0).tolist()
    held: dict[tuple[int, int], list[int]] = defaultdict(list)
    for unit, router in enumerate(at):
        held[router].append(unit)
    room = max(map(len, held.values()))
    made: dict[str, dict[str, Any]] = {}
    for y in range(side):
        for x in range(side):
            units = held[x, y]
            for unit in units:
                to = listeners[unit]
                made[names[unit]] = {"FR": rate[unit] if to else 0, "connected_to": [names[t] for t in to]}
            for i in range(len(units), room):
                made[f"pad_{x}-{y}-{i}"] = {"FR": 0, "connected_to": []}
    notes = [
        f"NeuCoNS settings: topology Mesh4, torus False, algorithm sequentially, neurons per node {room}, routing dor; "
        "casting lmc gives unicast traffic, mc multicast traffic",
        f"the mesh is {side}x{side} there; neurons named pad_ never fire and only keep places",
    ]
    if chip.per_router > 1:
        notes.append("cores that share a router are one node: packets between them, and their copies, are not counted")
    return json.dumps(made, indent=0), notes


def _names(mapping: Mapping) -> list[str]:
    """``population_unit`` of every unit; an underscore ends the population there, so names have none themselves."""
    return [f"{p.name.replace('_', '-')}_{unit}" for p in mapping.graph.populations for unit in range(p.size)]


def _routers(mapping: Mapping) -> list[tuple[int, int]]:
    chip = mapping.typed_chip()
    place = {entry.core: chip.place(entry.core)[:2] for entry in mapping.cores} | {PORT: chip.port}
    return [place[core] for core in mapping.core_of_units().tolist()]
