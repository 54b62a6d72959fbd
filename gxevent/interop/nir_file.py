"""NIR files as plain nodes and edges, nested graphs resolved.

The file (HDF5) is read directly. The nir library up to 1.0.8 refuses valid ones: it takes every kernel for square and
every convolution for one group when it checks shapes, and checks nested graphs even where it is told not to.
"""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import networkx as nx

from gxevent.errors import FormatError, NetworkError, require
from gxevent.interop.about import read_about
from gxevent.store import read_bytes

KNOWN = ("Input", "Output", "Affine", "Linear", "Conv2d", "Flatten", "Scale", "SumPool2d", "AvgPool2d", "Threshold")
"""Types of nodes without memory; neurons that integrate over time (IF, LIF, CubaLIF, …) are not ternary units."""


@dataclass
class NirFile:
    """Nodes by name (their HDF5 fields as arrays and numbers), edges, and gxevent's metadata if it wrote the file."""

    nodes: dict[str, dict[str, Any]] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def of_type(self, kind: str) -> list[str]:
        return [name for name, node in self.nodes.items() if node["type"] == kind]

    def order(self) -> list[str]:
        """Names from input to output."""
        return list(nx.lexicographical_topological_sort(self.graph()))

    def graph(self) -> nx.DiGraph:
        made = nx.DiGraph()
        made.add_nodes_from(self.nodes)
        made.add_edges_from(self.edges)
        return made


def read_nir(path: Path) -> NirFile:
    """Read and check a NIR file.

    Raises FormatError for a file that is not NIR, NetworkError listing every unknown node, cycle and edge to nowhere.
    """
    h5py = require("h5py", extra="interop", purpose="reading NIR")
    data = read_bytes(path)
    try:
        with h5py.File(io.BytesIO(data), "r") as file:
            root = _plain(file["node"], h5py)
            if _text(root["type"]) != "NIRGraph":
                root = {"type": "NIRGraph", "nodes": {"node": root}, "edges": []}
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise FormatError(f"{path}: not a NIR graph, or damaged: fetch or write it again") from error
    made, problems = NirFile(), Counter()
    _flatten(root, "", made, problems)
    made.about = read_about(root.get("metadata", {}).get("gxevent", b""), path)
    _check(made, problems)
    if problems:
        raise NetworkError([f"{path}: {problem}" for problem in problems])
    return made


def _plain(node: Any, h5py: Any) -> dict[str, Any]:
    return {key: _plain(item, h5py) if isinstance(item, h5py.Group) else item[()] for key, item in node.items()}


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _flatten(graph: dict[str, Any], prefix: str, made: NirFile, problems: Counter[str]) -> tuple[str, str]:
    """Add a graph's nodes under ``prefix``; returns the names of its input and output."""
    ends: dict[str, tuple[str, str]] = {}
    nodes = graph.get("nodes", {})
    for name, node in nodes.items():
        kind = _text(node.get("type", b"none"))
        if kind == "NIRGraph":
            ends[name] = _flatten(node, f"{prefix}{name}.", made, problems)
            continue
        if kind not in KNOWN:
            problems[f"node {prefix + name!r}: {kind} is not supported; known are {', '.join(KNOWN)}"] += 1
        passes_on = prefix and kind in ("Input", "Output")  # the ends of a nested graph hand on what they get
        made.nodes[prefix + name] = node | {"type": "Identity" if passes_on else kind}
        ends[name] = (prefix + name,) * 2
    for edge in graph.get("edges", []):
        source, target = (_text(end) for end in edge)
        unknown = [end for end in (source, target) if end not in ends]
        if unknown:
            problems[f"edge {source!r} -> {target!r}: there is no node {unknown[0]!r}"] += 1
        else:
            made.edges.append((ends[source][1], ends[target][0]))
    first, last = (
        [f"{prefix}{name}" for name, node in nodes.items() if _text(node.get("type", b"")) == kind]
        for kind in ("Input", "Output")
    )
    where = f"graph {prefix.rstrip('.')!r}" if prefix else "the graph"
    for kind, found in (("Input", first), ("Output", last)):
        if len(found) != 1:
            problems[f"{where} has {len(found)} {kind} nodes, expected one"] += 1
    return (first or [""])[0], (last or [""])[0]


def _check(made: NirFile, problems: Counter[str]) -> None:
    graph = made.graph()
    try:
        cycle = [source for source, _ in nx.find_cycle(graph)]
        problems[f"nodes {' -> '.join([*cycle, cycle[0]])} form a cycle; gxevent's networks are feed-forward"] += 1
    except nx.NetworkXNoCycle:
        pass
    for name, node in made.nodes.items():
        if node["type"] != "Input" and not graph.in_degree(name):
            problems[f"node {name!r}: nothing leads to it"] += 1
        if node["type"] != "Output" and not graph.out_degree(name):
            problems[f"node {name!r}: leads nowhere"] += 1
