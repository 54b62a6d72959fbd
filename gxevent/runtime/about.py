"""What a run record keeps of its network and software, so that a report needs neither the graph's file nor the data."""

from __future__ import annotations

import platform
from dataclasses import asdict
from typing import Any

import numpy as np

from gxevent import __version__
from gxevent.connectivity import Sparse
from gxevent.graph import EventGraph, Projection


def about_network(graph: EventGraph) -> dict[str, Any]:
    """Encoder, populations and projections as JSON values.

    By projection that carries levels: ``synapses`` (existing connections), ``nonzero`` (those whose level is not 0) and
    ``top``, the largest |level|; fan-in is synapses over the target's units.
    """
    populations = [
        {"name": p.name, "role": p.role, "shape": list(p.shape), "levels": p.levels} for p in graph.populations.values()
    ]
    projections = [_about(p) for p in graph.gated]
    encoder = None if graph.encoder is None else asdict(graph.encoder)
    return {"name": graph.name, "encoder": encoder, "populations": populations, "projections": projections}


def versions() -> dict[str, str]:
    """Versions of what computes a run."""
    return {"gxevent": __version__, "python": platform.python_version(), "numpy": np.__version__}


def _about(p: Projection) -> dict[str, Any]:
    levels = p.rule.level if isinstance(p.rule, Sparse) else p.rule.weight
    return {
        "name": p.name,
        "source": p.source,
        "target": p.target,
        "rule": p.rule.kind,
        "synapses": p.rule.synapses,
        "nonzero": int(p.rule.fan_out_counts().sum()),
        "top": int(np.abs(levels.astype(np.int64)).max(initial=0)),
    }
