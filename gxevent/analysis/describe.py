"""What a file holds: networks, event graphs, runs, data sets and recordings described as JSON values and as lines."""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from gxevent import files, store
from gxevent.errors import FormatError, MissingExtraError
from gxevent.events import EventStream, open_dataset, open_events
from gxevent.graph import EventGraph
from gxevent.network import TernaryNetwork
from gxevent.runtime import load_run, open_trace
from gxevent.runtime.costs import ACTIVITY
from gxevent.runtime.journal import unfinished
from gxevent.runtime.plan import choose_kernel
from gxevent.runtime.record import TRACE, UNFINISHED
from gxevent.runtime.trace import is_trace
from gxevent.runtime.units import choices


def describe(path: str | Path) -> dict[str, Any]:
    """Describe a network, event graph, run folder, trace, data set or event file; the key ``kind`` says which.

    Raises FormatError when it is none of them, or damaged.
    """
    path = Path(path)
    if path.is_dir():
        if not (path / "summary.json").exists():
            if (path / UNFINISHED).exists():
                return {"kind": "unfinished run"} | unfinished(path)
            return describe_dataset(path)
        record = load_run(path)
        traced = {"trace": describe_trace(path / TRACE)} if (path / TRACE).exists() else {}
        return {"kind": "run", "rows": len(record.rows)} | record.summary | traced
    if is_trace(path):
        return {"kind": "trace"} | describe_trace(path)
    if (zipfile.is_zipfile(path) and path.suffix.lower() != ".npz") or (path.is_file() and tarfile.is_tarfile(path)):
        return describe_dataset(path)
    if path.suffix.lower() in (".gxn", ".gxg") or _is_container(path):
        obj = files.load(path)
        sha = {"sha256": files.sha256(obj), "bytes": path.stat().st_size}
        return (describe_network(obj) if isinstance(obj, TernaryNetwork) else describe_graph(obj)) | sha
    return describe_events(open_events(path))


def describe_trace(path: Path) -> dict[str, Any]:
    """Samples, windows and the events of each population of a trace; with "needs" alone where h5py is missing."""
    size = path.stat().st_size
    try:
        with open_trace(path) as trace:
            found = {"samples": len(trace), "windows": trace.windows, "events": trace.events}
            return found | {"shapes": {k: list(v) for k, v in trace.shapes.items()}, "bytes": size} | trace.attributes
    except MissingExtraError as error:
        return {"bytes": size, "needs": str(error)}


def _is_container(path: Path) -> bool:
    head = store.read_bytes(path)[:4096] if path.is_file() else b""
    return head[8:9] == b"{" and b'"__metadata__"' in head


def _origin(obj: TernaryNetwork | EventGraph) -> dict[str, Any]:
    return {"encoder": _encoder(obj), "classes": list(obj.classes), "provenance": dict(obj.provenance)}


def _encoder(obj: TernaryNetwork | EventGraph) -> dict[str, Any] | None:
    return None if obj.encoder is None else json.loads(json.dumps(obj.encoder.__dict__))


def describe_network(network: TernaryNetwork) -> dict[str, Any]:
    """Layers with their shapes and shares of zero weights."""
    layers = []
    for layer in network.layers:
        entry: dict[str, Any] = {
            "name": layer.name,
            "kind": layer.kind,
            "shape": list(network.signals[layer.name].shape),
        }
        weight = layer.arrays().get("weight")
        if weight is not None:
            entry |= {"weights": weight.size, "space": f"Z_{layer.levels}", "zero": float(np.mean(weight == 0))}
        layers.append(entry)
    return {
        "kind": "network",
        "name": network.name,
        "input_shape": list(network.input_shape),
        "weights": network.weight_count,
        "layers": layers,
        "activity": dict(network.activity),
    } | _origin(network)


def describe_graph(graph: EventGraph) -> dict[str, Any]:
    """Populations with their sizes and activity, projections with the gate units chosen for them on this machine.

    ``activity`` is the share of active units expected, None where nothing is known: the cost model then takes
    ``activity_assumed``.
    """
    kernel = choose_kernel("auto")
    chosen = {name: choice.text for name, choice in choices(graph, kernel).items()}
    populations = [
        {
            "name": p.name,
            "role": p.role,
            "shape": list(p.shape),
            "units": p.size,
            "activity": graph.activity.get(p.name),
        }
        for p in graph.populations.values()
    ]
    projections = [
        {
            "name": p.name,
            "source": p.source,
            "target": p.target,
            "rule": p.rule.kind,
            "synapses": p.rule.synapses,
            "gate_units": chosen.get(p.name),
        }
        for p in graph.projections.values()
    ]
    return {
        "kind": "graph",
        "name": graph.name,
        "units": graph.units,
        "synapses": sum(graph.synapses.values()),
        "kernel": kernel,
        "activity_assumed": ACTIVITY,
        "populations": populations,
        "projections": projections,
    } | _origin(graph)


def describe_dataset(path: Path) -> dict[str, Any]:
    """Samples of a folder or archive by split and label, and the sensor of its first recording."""
    try:
        dataset = open_dataset(path, split="all")
    except FormatError as error:
        raise FormatError(f"{error}; without summary.json it is no run either") from error
    splits: dict[str, dict[str, int]] = {}
    for sample in dataset.samples:
        labels = splits.setdefault(sample.split or "all", {})
        labels[str(sample.label)] = labels.get(str(sample.label), 0) + 1
    found = {"kind": "dataset", "of": dataset.kind, "samples": len(dataset), "classes": list(dataset.classes)}
    first = dataset.load(0) if len(dataset) else None
    if isinstance(first, EventStream):
        found["first"] = describe_events(first) | {"id": dataset.samples[0].id}
    elif first is not None:
        found["first"] = {"id": dataset.samples[0].id, "shape": list(first.shape)}
    return found | {"splits": splits}


def describe_events(stream: EventStream) -> dict[str, Any]:
    """Sensor, number of events, time span, rate and polarity of a recording."""
    events = stream.events
    n = len(events)
    span = int(events["t"][-1] - events["t"][0]) if n else 0
    return {
        "kind": "events",
        "sensor": [stream.width, stream.height],
        "events": n,
        "t_first_us": int(events["t"][0]) if n else None,
        "t_last_us": int(events["t"][-1]) if n else None,
        "duration_us": span,
        "events_per_s": n / (span * 1e-6) if span else None,
        "on_share": float(events["p"].mean()) if n else None,
    }
