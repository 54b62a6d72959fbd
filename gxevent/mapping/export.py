"""A mapping in other programs' formats: the core graph as GraphML, SANA-FE's YAML, a NeuCoNS netlist."""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.errors import CapacityError, FormatError, OptionError
from gxevent.graph import EventGraph
from gxevent.mapping.frames import Frames, unit_values
from gxevent.mapping.mapping import Mapping
from gxevent.mapping.split import apply_splits
from gxevent.mapping.units import Units
from gxevent.store import atomic_write

FORMATS = ("graphml", "sanafe", "neucons")
MOST_SYNAPSES = 4_000_000
"""Synapses that are written one by one; text of more is of no use to the programs that read it."""


@dataclass(frozen=True, eq=False)
class Synapses:
    """Every synapse of a mapped (split) graph that an event travels for, by number of unit over all populations.

    source, target int64 (synapses,). A sum's way to the reader on its own core is no synapse, nor is level 0.
    """

    source: NDArray[np.int64]
    target: NDArray[np.int64]

    @classmethod
    def of(cls, mapping: Mapping, graph: EventGraph) -> Synapses:
        if files.sha256(graph) != mapping.graph.sha256:
            raise FormatError(
                "the mapping was made for another graph (its sha256 differs): give the one that was mapped"
            )
        split = apply_splits(graph, mapping.splits)
        many = sum(p.rule.synapses for p in split.projections.values())
        if many > MOST_SYNAPSES:
            raise CapacityError(
                f"{many:,} synapses are too many to be written one by one (at most {MOST_SYNAPSES:,}): "
                "export a smaller network, or the core graph (graphml)"
            )
        units, core = Units.of(split), mapping.core_of_units()
        sources, targets = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for p in split.projections.values():
            for source, target, _ in units.pieces(p):
                if split.populations[p.source].role == "sum":
                    away = core[source] != core[target]
                    source, target = source[away], target[away]
                sources.append(source)
                targets.append(target)
        return cls(np.concatenate(sources), np.concatenate(targets))


def fired_steps(mapping: Mapping, frames: Frames) -> NDArray[np.bool_]:
    """Which units send in each frame, bool (frames, units)."""
    rows = [unit_values(mapping, frame) for _, listed in frames for frame in listed]
    if not rows:
        raise OptionError("export: there are no frames")
    return np.stack(rows)


def export_mapping(
    mapping: Mapping,
    fmt: str,
    path: str | os.PathLike[str],
    *,
    graph: EventGraph | None = None,
    frames: Frames | None = None,
) -> dict[str, Any]:
    """Write a mapping as "graphml" (cores and what they send each other), "sanafe" (a folder with ``architecture.yaml``
    and ``network.yaml``) or "neucons" (a netlist).

    ``graph`` is the graph that was mapped; SANA-FE and NeuCoNS list its synapses. ``frames`` says who sends; without
    them every unit sends once. Returns what was written, with ``notes`` on what a reader must know. Raises OptionError,
    FormatError for another graph, UnsupportedError for a chip that the format cannot say, CapacityError for too many
    synapses; nothing is written then.
    """
    if fmt not in FORMATS:
        raise OptionError(f"mapping format {fmt!r} is not one of {', '.join(FORMATS)}")
    from gxevent.mapping.frames import all_at_once

    frames = all_at_once(mapping) if frames is None else frames
    if fmt == "graphml":
        return _write({Path(path): _graphml(mapping, frames)}, ["packets are totals over the frames: " + frames.line])
    if graph is None:
        raise OptionError(f"{fmt} lists synapses: give the graph that was mapped too")
    synapses = Synapses.of(mapping, graph)
    if fmt == "neucons":
        from gxevent.mapping.neucons import netlist

        text, notes = netlist(mapping, synapses, fired_steps(mapping, frames))
        return _write({Path(path): text.encode()}, notes)
    from gxevent.mapping.sanafe import architecture, network

    architecture_text, notes = architecture(mapping)
    network_text = network(mapping, synapses, fired_steps(mapping, frames))
    folder = Path(path)
    made = {folder / "architecture.yaml": architecture_text.encode(), folder / "network.yaml": network_text.encode()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FormatError(f"{folder}: cannot be made ({error.strerror})") from error
    return _write(made, [*notes, "frames: " + frames.line])


def _write(contents: dict[Path, bytes], notes: list[str]) -> dict[str, Any]:
    for path, content in contents.items():
        with atomic_write(path) as file:
            file.write(content)
    return {"written": [str(path) for path in contents], "notes": notes}


def _graphml(mapping: Mapping, frames: Frames) -> bytes:
    """The core graph with plain attributes: x, y, slot of a core; units and packets of an edge."""
    graph = mapping.core_graph()
    events = fired_steps(mapping, frames).sum(axis=0)
    core, starts = mapping.core_of_units(), mapping.population_starts()
    plain = nx.DiGraph(name=f"{mapping.graph.name or 'network'} on {mapping.chip['name']}")
    for node, data in graph.nodes(data=True):
        x, y, slot = (int(part) for part in data["place"])
        plain.add_node(node, x=x, y=y, slot=slot, kind=data["kind"], units=data["units"])
    plain.add_edges_from((a, b, {"units": int(n), "packets": 0}) for a, b, n in graph.edges(data="units"))
    for name, routes in mapping.routes.items():
        for route in routes:
            units = np.concatenate([np.arange(begin, end) for begin, end in route.units]) + starts[name]
            for of in np.unique(core[units]).tolist():
                sent = int(events[units[core[units] == of]].sum())
                for to in route.cores:
                    plain.edges[of, to]["packets"] += sent
    buffer = io.BytesIO()
    nx.write_graphml(plain, buffer)
    return buffer.getvalue()
