"""Event graphs as GraphML, DOT or node-link JSON, for graph tools to draw and study."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

import networkx as nx

from gxevent.errors import OptionError
from gxevent.graph import EventGraph
from gxevent.store import atomic_write


def export_graph(graph: EventGraph, fmt: str, path: str | os.PathLike[str], *, units: bool = False) -> dict[str, Any]:
    """Write the population graph, or with ``units`` every unit and synapse, as "graphml", "dot" or "json".

    Returns what was written. Raises CapacityError for a unit graph of over a million connections.
    """
    writers = {"graphml": _graphml, "dot": _dot, "json": _json}
    if fmt not in writers:
        raise OptionError(f"graph format {fmt!r} is not one of {', '.join(writers)}")
    plain = _plain_units(graph) if units else _plain_populations(graph)
    with atomic_write(path) as file:
        file.write(writers[fmt](plain))
    return {"written": str(Path(path)), "nodes": plain.number_of_nodes(), "edges": plain.number_of_edges()}


def _plain_populations(graph: EventGraph) -> nx.MultiDiGraph:
    """Populations and projections with attributes that every format can hold."""
    plain = nx.MultiDiGraph(name=graph.name or "event graph")
    for p in graph.populations.values():
        plain.add_node(p.name, role=p.role, shape="x".join(map(str, p.shape)), units=p.size)
    for p in graph.projections.values():
        plain.add_edge(p.source, p.target, key=p.name, rule=p.rule.kind, synapses=p.rule.synapses, gain=p.gain)
    return plain


def _plain_units(graph: EventGraph) -> nx.MultiDiGraph:
    units = graph.unit_graph()
    plain = nx.MultiDiGraph(name=graph.name or "event graph")
    plain.add_nodes_from((f"{name}/{unit}", data) for (name, unit), data in units.nodes(data=True))
    for (source, u), (target, v), key, data in units.edges(keys=True, data=True):
        plain.add_edge(f"{source}/{u}", f"{target}/{v}", key=key, **data)
    return plain


def _graphml(graph: nx.MultiDiGraph) -> bytes:
    buffer = io.BytesIO()
    nx.write_graphml(graph, buffer)
    return buffer.getvalue()


def _json(graph: nx.MultiDiGraph) -> bytes:
    return json.dumps(nx.node_link_data(graph, edges="edges"), indent=1).encode()


def _dot(graph: nx.MultiDiGraph) -> bytes:
    lines = [f"digraph {_quoted(graph.name)} {{", "  rankdir=LR; node [shape=box];"]
    for name, data in graph.nodes(data=True):
        label = "\\n".join([name, *(f"{key} {value}" for key, value in data.items())])
        lines.append(f"  {_quoted(name)} [label={_quoted(label)}];")
    for source, target, key, data in graph.edges(keys=True, data=True):
        label = "\\n".join([str(key), *(f"{name} {value}" for name, value in data.items())])
        lines.append(f"  {_quoted(source)} -> {_quoted(target)} [label={_quoted(label)}];")
    return "\n".join([*lines, "}", ""]).encode()


def _quoted(text: str) -> str:
    return '"' + str(text).replace('"', '\\"') + '"'
