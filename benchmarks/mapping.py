"""Quality and scale of mapping: traffic, busiest link and busiest receiving core, beside simpler methods.

    python benchmarks/mapping.py [--seeds 5] [--budget 2.5] [--case conv64 conv16 digits nmnist large] [--data DIR]

``conv64`` and ``conv16`` are a net of 3,354 units and 138,496 synapses (1x20x20 input, 8C5, pool 2, 16C5, 128FC, 10) on
a mesh of 8x8 and 4x4 cores, 5 % more neurons than units, input units on cores, Loihi's receiving times (16 ns a packet,
3.8 ns a synapse). Activity is drawn for each seed: exponential, scaled so that the sequential map (55 units a core, row
by row) has multicast traffic 1,082,714 on the 8x8 mesh. ``digits`` and ``nmnist`` are the shipped networks on the
declared gate array with measured activity (``--data`` holds nmnist_subset.zip). ``large`` is a net of a million units.

Counted: a packet is one event for one target core other than its own; traffic is the links crossed, each multicast tree
once. The busiest receiver is the core with most work in a frame; "steps added" is the busiest core of each layer's
step, added up, which bounds the latency of a frame from below. ``s`` is processor time of the whole mapping. Medians
over seeds, ranges in brackets.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np

import gxevent as gx
from gxevent import files
from gxevent.mapping import Activity, Chip, check_mapping, load_chip, map_graph, measure_activity
from gxevent.mapping.chip import chip_from
from gxevent.mapping.mapper import _Pipeline
from gxevent.mapping.problem import Problem
from gxevent.mapping.search import Cores, Searcher


def mesh(side: int, neurons: int) -> Chip:
    """A square mesh of plain cores that holds input units too."""

    def q(value: float, unit: str) -> dict[str, Any]:
        return {"value": value, "unit": unit, "source": "AS"}

    return chip_from(
        {
            "name": f"mesh{side}x{side}",
            "title": "benchmark mesh",
            "mesh": {"width": q(side, "routers"), "height": q(side, "routers"), "per_router": q(1, "cores")},
            "routing": {"scheme": "multicast"},
            "events": {
                "payload": q(32, "bit"),
                "neurons_per_unit": q(1, "neurons"),
                "axons_per_input": q(1, "axons"),
            },
            "cores": [
                {
                    "name": "core",
                    "count": q(side * side, "cores"),
                    "neurons": q(neurons, "neurons"),
                    "packing": {"rule": "crossbar", "weight": q(2, "bit")},
                }
            ],
            "latency": {"synop": q(3.8, "ns"), "packet_in": q(16, "ns")},
            "timing": {"mode": "barrier"},
            "inputs": "cores",
            "sources": {"AS": "assumption of the benchmark"},
        },
        "benchmark mesh",
    )


def conv_net() -> gx.EventGraph:
    """1x20x20 input, 8C5, pool 2, 16C5, 128FC, 10: every level is nonzero, so synapses are what the shapes say."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], size=shape).astype(np.int8)

    layers = [gx.Conv2d(weight(8, 1, 5, 5)), gx.Activation(), gx.MaxPool2d(2)]
    layers += [gx.Conv2d(weight(16, 8, 5, 5)), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(weight(128, 256)), gx.Activation(), gx.Dense(weight(10, 128))]
    graph = gx.compile(gx.TernaryNetwork((1, 20, 20), None, layers))
    synapses = sum(p.rule.synapses for p in graph.projections.values())
    assert (graph.units, synapses) == (3354, 138_496), (graph.units, synapses)
    return graph


def drawn_activity(graph: gx.EventGraph, seed: int) -> Activity:
    """Exponential events a unit, scaled by the sequential map on the 8x8 mesh."""
    rng = np.random.default_rng(seed)
    sha = files.sha256(graph)
    sizes = {name: p.size for name, p in graph.populations.items() if p.role != "readout"}
    drawn = {name: rng.exponential(32.0, n) for name, n in sizes.items()}

    def scaled(by: float) -> Activity:
        events = {name: np.maximum(np.round(values * by), 1).astype(np.int64) for name, values in drawn.items()}
        return Activity("measured", sha, 1, f"exponential, seed {seed}", events)

    sequential = map_graph(graph, mesh(8, 55), scaled(1.0), method="sequential", budget=0, cores=64)
    return scaled(1_082_714 / sequential.traffic["multicast_traffic"])


def hypergraph_and_annealing(
    graph: gx.EventGraph, chip: Chip, activity: Activity, seed: int, budget: float, cores: int
):
    """The usual recipe: least connectivity, then annealed places. Traffic, max link, busiest receiver."""
    problem = Problem.of(graph, chip, activity)
    used = Cores.near_port(chip, cores, chip.inputs == "port")
    state, _ = _Pipeline(problem, "hypergraph", seed, budget)._first(used, "hypergraph")
    searcher = Searcher(problem, used, seed)
    searcher.anneal(state, budget, vertices=False)
    search = searcher.search(state)
    tally = search.tally()
    frames = activity.windows
    receive = tally["receive"].max(), tally["received"].max(axis=0).sum()
    return search.traffic / frames, tally["load"].max() / frames, *(work / 1000 / frames for work in receive)


def compare(graph: gx.EventGraph, chip: Chip, activities: list[Activity], cores: int | None, budget: float) -> None:
    """One table: methods by row, medians over the activities (each with a seed of its own)."""
    methods: dict[str, Any] = {
        "sequential": {"method": "sequential", "budget": 0},
        "tiles, annealed": {"method": "tiles", "budget": budget},
        "hypergraph + annealed places": None,
        "hypergraph, traffic only": {"method": "hypergraph", "budget": budget, "balance": "off"},
        "hypergraph (gxevent)": {"method": "hypergraph", "budget": budget},
        "the same, balanced by step": {"method": "hypergraph", "budget": budget, "balance": "step"},
        "gxevent without Mt-KaHyPar": {"method": "grown", "budget": budget},
    }
    print(f"{'method':<30} {'traffic':>26} {'max link':>22} {'busiest receiver':>28} "
          f"{'the same, steps added':>28} {'s':>6}")  # fmt: skip
    for name, options in methods.items():
        rows = []
        for seed, activity in enumerate(activities):
            begun = time.process_time()
            if options is None:
                used = cores or map_graph(graph, chip, activity, budget=0).traffic["cores_used"]
                begun = time.process_time()
                figures = hypergraph_and_annealing(graph, chip, activity, seed, budget, used)
            else:
                mapping = map_graph(graph, chip, activity, seed=seed, cores=cores, **options)
                assert not check_mapping(mapping, graph)
                t = mapping.traffic
                receiving = t["busiest_receiving"]
                figures = t["multicast_traffic"], t["max_link_multicast"], receiving["work"], sum(receiving["by_step"])
            rows.append((*figures, time.process_time() - begun))
        cells = []
        for column in zip(*rows, strict=True):
            middle = statistics.median(column)
            cells.append(f"{middle:,.0f} [{min(column):,.0f}-{max(column):,.0f}]")
        seconds = statistics.median(row[-1] for row in rows)
        print(f"{name:<30} {cells[0]:>26} {cells[1]:>22} {cells[2]:>28} {cells[3]:>28} {seconds:>6.1f}", flush=True)


def large() -> None:
    """A convolutional net of a million units and about a hundred million synapses, on the declared gate array."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.choice([-1, 1], size=shape).astype(np.int8)

    layers: list[Any] = []
    inputs = 2
    for out in (16, 16, 16):
        layers += [gx.Conv2d(weight(out, inputs, 3, 3), padding=1), gx.Activation()]
        inputs = out
    layers += [gx.MaxPool2d(4), gx.Conv2d(weight(16, 16, 3, 3), padding=1), gx.Activation(), gx.MaxPool2d(4)]
    layers += [gx.Flatten(), gx.Dense(weight(10, 16 * 8 * 9))]
    graph = gx.compile(gx.TernaryNetwork((2, 128, 150), None, layers))
    synapses = sum(p.rule.synapses for p in graph.projections.values())
    chip = load_chip("gxnor-array")
    begun, cpu = time.perf_counter(), time.process_time()
    mapping = map_graph(graph, chip, method="tiles")
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    t = mapping.traffic
    print(
        f"large, tiles: {graph.units:,} units, {synapses:,} synapses, {t['cores_used']} cores, packets "
        f"{t['packets']:,.0f}, traffic {t['multicast_traffic']:,.0f}, {took:.0f} s ({cpu:.0f} s processor), "
        f"peak {peak:.1f} GiB",
        flush=True,
    )


def shipped(name: str, data: Path, count: int, budget: float) -> None:
    graph = gx.compile(gx.load_network(gx.shipped(f"{name}.gxn")))
    activity = measure_activity(graph, gx.open_dataset(data, limit=40))
    print(f"\n{name}.gxn on gxnor-array, {activity.line()}, by frame")
    compare(graph, load_chip("gxnor-array"), [activity] * count, None, budget)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--budget", type=float, default=2.5)
    parser.add_argument("--case", nargs="+", default=["conv64", "conv16", "digits", "large"])
    parser.add_argument("--data", type=Path, help="folder with nmnist_subset.zip")
    options = parser.parse_args()
    if {"conv64", "conv16"} & set(options.case):
        graph = conv_net()
        activities = [drawn_activity(graph, seed) for seed in range(options.seeds)]
        for case, side, neurons in (("conv64", 8, 55), ("conv16", 4, 220)):
            if case in options.case:
                print(f"\n{case}: 3,354 units on {side * side} cores, {options.seeds} seeds")
                compare(graph, mesh(side, neurons), activities, side * side, options.budget)
    if "digits" in options.case:
        shipped("digits", gx.shipped("digits_test.zip"), options.seeds, options.budget)
    if "nmnist" in options.case:
        shipped("nmnist", options.data / "nmnist_subset.zip", options.seeds, options.budget)
    if "large" in options.case:
        large()


if __name__ == "__main__":
    main()
