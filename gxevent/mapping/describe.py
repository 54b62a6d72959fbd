"""What a mapping file holds, as JSON values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gxevent.mapping.mapping import Mapping, load_mapping


def describe_mapping(path: str | Path) -> dict[str, Any]:
    """Chip, graph, splits, cores with their load and the traffic of MAP.json. FormatError when it is none."""
    mapping = load_mapping(path)
    return {
        "kind": "mapping",
        "chip": mapping.chip["name"],
        "graph": mapping.graph.name,
        "graph_sha256": mapping.graph.sha256,
        "method": mapping.settings.method,
        "partitioner": mapping.settings.partitioner,
        "seed": mapping.settings.seed,
        "activity": {"kind": mapping.activity.kind, "source": mapping.activity.source},
        "splits": {split.projection: len(split.cuts) - 1 for split in mapping.splits},
        "cores": _cores(mapping),
        "traffic": mapping.traffic,
    }


def _cores(mapping: Mapping) -> list[dict[str, Any]]:
    return [
        {
            "core": entry.core,
            "place": list(entry.place),
            "populations": list(entry.units),
            "units": sum(end - begin for ranges in entry.units.values() for begin, end in ranges),
            "axons": sum(end - begin for axons in entry.axons.values() for begin, end in axons.units),
            "synapses": sum(sum(axons.synapses) for axons in entry.axons.values()),
        }
        for entry in mapping.cores
    ]
