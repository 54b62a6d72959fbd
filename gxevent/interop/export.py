"""Event graphs in other programs' formats: GraphML, DOT and JSON to draw and study, ONNX and NIR to execute."""

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

FORMATS = ("graphml", "dot", "json", "onnx", "nir")


def export_graph(graph: EventGraph, fmt: str, path: str | os.PathLike[str], *, units: bool = False) -> dict[str, Any]:
    """Write the graph as "graphml", "dot" or "json" (populations, or with ``units`` every unit and synapse), or as
    "onnx" or "nir" to be executed by other programs.

    Returns what was written, with ``notes`` on what a reader must know. Raises CapacityError for a unit graph of over
    a million connections, UnsupportedError for what a format cannot say, MissingExtraError for a missing package.
    """
    if fmt not in FORMATS:
        raise OptionError(f"graph format {fmt!r} is not one of {', '.join(FORMATS)}")
    if fmt in ("onnx", "nir"):
        if units:
            raise OptionError(f"units: {fmt} describes populations, single units are for graphml, dot and json")
        return _executable(graph, fmt, path)
    writers = {"graphml": _graphml, "dot": _dot, "json": _json}
    plain = _plain_units(graph) if units else _plain_populations(graph)
    with atomic_write(path) as file:
        file.write(writers[fmt](plain))
    return _written(path, plain.number_of_nodes(), plain.number_of_edges())


def _written(path: str | os.PathLike[str], nodes: int, edges: int, notes: list[str] | None = None) -> dict[str, Any]:
    return {"written": str(Path(path)), "nodes": nodes, "edges": edges, "notes": notes or []}


def _executable(graph: EventGraph, fmt: str, path: str | os.PathLike[str]) -> dict[str, Any]:
    if fmt == "nir":
        from gxevent.interop.nir import write_nir

        made = write_nir(graph, path)
        return _written(path, len(made.graph.nodes), len(made.graph.edges), made.notes)
    from gxevent.interop.onnx_write import onnx_model

    model = onnx_model(graph)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())
    nodes = model.graph.node
    return _written(path, len(nodes), sum(len(node.input) for node in nodes))


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
