"""The paper's table of operations, for a network that ran: what would full precision, BWN, TWN and BNN have cost?

Deng et al. 2018 (arXiv 1705.09283) compare kinds of networks by the operations of one neuron with fan-in M. Here the
same is added up over all neurons of a compiled network, by window. What follows from structure and weights alone is
exact; what depends on activations is counted in the run; what nobody counted is a bound and is marked as one.

Pools, thresholds and batch norms are left out in every row: they are the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.connectivity import Sparse
from gxevent.errors import OptionError
from gxevent.graph import EventGraph, Projection
from gxevent.runtime import reference


@dataclass(frozen=True)
class Count:
    """Operations of a window, between ``low`` and ``high``; ``measured`` where they were counted in a run."""

    low: float
    high: float
    measured: bool = False

    @property
    def exact(self) -> bool:
        return self.low == self.high


@dataclass(frozen=True)
class Operations:
    """One row: a kind of network and its operations by window; ``resting`` is the share of connections at rest."""

    network: str
    multiply: Count
    accumulate: Count
    xnor: Count
    bitcount: Count
    resting: Count


NOTHING = Count(0, 0)


def operation_table(
    summary: Mapping[str, Any],
    *,
    network: Mapping[str, Any] | None = None,
    bitcounts: Mapping[str, float] | None = None,
    layers: Iterable[str] | None = None,
) -> tuple[Operations, ...]:
    """Rows of full precision, BWN, TWN, BNN and of the network itself, by window.

    Parameters
    ----------
    summary
        A run's summary (``RunRecord.summary``, ``gxevent run --json``).
    network
        ``about_network`` of the graph; by default what the summary holds. Without either, TWN's additions and the
        bitcounts are bounds.
    bitcounts
        Bitcounts of each projection by window (:func:`bitcounts`); without them they are bounds.
    layers
        Projections to add up, by default all.

    The network's own row is called GXNOR where all levels are -1, 0, +1. A projection that reads graded input adds
    levels instead of XNORs; those open gates stand under ``accumulate``. OptionError for a layer that does not exist.
    """
    windows = summary["windows"]
    names = list(summary["synapses"]) if layers is None else list(layers)
    if unknown := [name for name in names if name not in summary["synapses"]]:
        raise OptionError(f"no projection {unknown[0]!r} in this run; there are {', '.join(summary['synapses'])}")
    about = _about(network or summary.get("network"))
    m = sum(summary["synapses"][name] for name in names) / windows
    opened = {name: summary["open_gates"][name] / windows for name in names}
    known = bool(about) and all(name in about for name in names)
    nonzero = sum(about[name]["nonzero"] for name in names) if known else None
    neurons = sum(about[name]["neurons"] for name in names) if known else None
    graded = [name for name in names if known and about[name]["source_top"] > 1]
    whole = Count(m, m)
    per_neuron = Count(0, m) if neurons is None else Count(neurons, neurons)
    additions = Count(0, m) if nonzero is None else Count(nonzero, nonzero)
    rest = Count(0, 1) if nonzero is None or not m else Count(1 - nonzero / m, 1 - nonzero / m)
    gates = sum(n for name, n in opened.items() if name not in graded)
    graded_gates = sum(opened[name] for name in graded)
    own = 1 - sum(opened.values()) / m if m else 1.0
    return (
        Operations("full precision", whole, whole, NOTHING, NOTHING, NOTHING),
        Operations("BWN", NOTHING, whole, NOTHING, NOTHING, NOTHING),
        Operations("TWN", NOTHING, additions, NOTHING, NOTHING, rest),
        Operations("BNN", NOTHING, NOTHING, whole, per_neuron, NOTHING),
        Operations(
            own_kind(about, names),
            NOTHING,
            Count(graded_gates, graded_gates, True) if graded else NOTHING,
            Count(gates, gates, True),
            _own_bitcounts(names, per_neuron, bitcounts),
            Count(own, own, True),
        ),
    )


def own_kind(about: Mapping[str, Any], names: Iterable[str]) -> str:
    """ "GXNOR" where weights and activations are ternary (graded input apart), else "this network"."""
    tops = [(about[name]["top"], about[name]["hidden_top"]) for name in names if name in about]
    return "GXNOR" if tops and all(w <= 1 and x <= 1 for w, x in tops) else "this network"


def _own_bitcounts(names: list[str], most: Count, counted: Mapping[str, float] | None) -> Count:
    if counted is not None and all(name in counted for name in names):
        total = sum(counted[name] for name in names)
        return Count(total, total, True)
    return Count(0, most.high)


def _about(network: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    """What is known of each projection: nonzero connections, target neurons, largest levels."""
    if not network:
        return {}
    populations = {p["name"]: p for p in network["populations"]}
    made = {}
    for p in network["projections"]:
        source, target = populations[p["source"]], populations[p["target"]]
        top = 1 if source["levels"] <= 1 else 2 ** (source["levels"] - 1)
        made[p["name"]] = {
            "nonzero": p["nonzero"],
            "top": p["top"],
            "neurons": int(np.prod(target["shape"])),
            "source_top": top,
            "hidden_top": 1 if source["role"] == "input" else top,
        }
    return made


def bitcounts(graph: EventGraph, frames: Iterable[NDArray[np.int8]]) -> dict[str, float]:
    """Bitcounts by projection and window, counted: neurons at which a gate opened at all.

    frames : int8 (n, *input_shape) each; n frames are one after the other. A neuron that no open gate reaches has
    nothing to count (0/1 in the paper's table).
    """
    total, n = dict.fromkeys((p.name for p in graph.gated), 0), 0
    for part in frames:
        for frame in part:
            made = reference.run_graph(graph, frame[None], count=False)
            for p in graph.gated:
                total[p.name] += int(np.count_nonzero(_open_gates(p, made.outputs[p.source])))
            n += 1
    if not n:
        raise OptionError("bitcounts: there are no frames to count")
    return {name: count / n for name, count in total.items()}


def _open_gates(p: Projection, levels: NDArray[np.int8]) -> NDArray[np.int32]:
    """Open gates of every target neuron: the projection over 0/1 indicators."""

    def indicator(a: NDArray[np.int8]) -> NDArray[np.int8]:
        return (a != 0).astype(np.int8)

    field = "level" if isinstance(p.rule, Sparse) else "weight"
    return reference.project(replace(p.rule, **{field: indicator(getattr(p.rule, field))}), indicator(levels))
