"""Quality and scale of mapping: traffic, busiest link and busiest receiving core, beside simpler methods.

    python benchmarks/mapping.py [--seeds 5] [--first-seed 0] [--budget 2.5] [--methods WORD ...] [--data DIR]
        [--case conv64 conv16 digits mnist16 mnist64 nmnist16 nmnist64 fashion16 fashion64 cifar64 large]

``conv64`` and ``conv16`` are a net of 3,354 units and 138,496 synapses (1x20x20 input, 8C5, pool 2, 16C5, 128FC, 10) on
a mesh of 8x8 and 4x4 cores, 5 % more neurons than units, input units on cores, Loihi's receiving times (16 ns a packet,
3.8 ns a synapse). Activity is drawn for each seed: exponential, scaled so that the sequential map (55 units a core, row
by row) has multicast traffic 1,082,714 on the 8x8 mesh. ``mnist``, ``fashion``, ``nmnist`` and ``cifar`` with 16 or 64
are trained networks on meshes of the same kind with activity of 40 training samples, ``digits`` the demo network on the
declared gate array with its own test recordings. ``--data`` holds mnist, fashion-mnist, nmnist and cifar10-jpeg;
``--cifar NET.gxn`` is a network for the CIFAR pictures (by default cifar10-small.gxn where it comes with gxevent, else
the paper's net with random weights, every unit counted alike). ``large`` is a net of a million units.

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import gxevent as gx
from gxevent import files
from gxevent.mapping import (
    Activity,
    Chip,
    check_mapping,
    load_chip,
    map_graph,
    measure_activity,
    uniform_activity,
)
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


SHIPPED = Path(gx.shipped("digits.gxn")).parent

SEEDLESS = ("sequential", "tiles, annealed")
"""Methods that a seed changes only by the search; what nets too large for the search can have."""


def compare(
    graph: gx.EventGraph,
    chip: Chip,
    activities: dict[int, Activity],
    cores: int | None,
    budget: float,
    words: list[str] | None = None,
) -> None:
    """One table: methods by row, medians over seeds, each with its activity; for large nets those without search."""
    large = Problem.of(graph, chip, next(iter(activities.values()))).large
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
        if (words and not any(word in name for word in words)) or (large and name not in SEEDLESS):
            continue
        rows = []
        same = len({id(activity) for activity in activities.values()}) == 1 and name in SEEDLESS[: 2 if large else 1]
        for seed, activity in list(activities.items())[: 1 if same else None]:  # where no seed goes into it, once
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


NETS = {"mnist": "mnist", "fashion": "fashion-mnist", "nmnist": "nmnist/nmnist_subset.zip", "cifar": "cifar10-jpeg"}
"""Trained networks and where ``--data`` holds what they were trained on."""


def untrained_vgg() -> gx.EventGraph:
    """The paper's CIFAR net, 2x(128C3)-MP2-2x(256C3)-MP2-2x(512C3)-MP2-1024FC-10, with random ternary weights."""
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-1, 2, size=shape).astype(np.int8)

    layers: list[Any] = []
    inputs = 3
    for out in (128, 256, 512):
        layers += [gx.Conv2d(weight(out, inputs, 3, 3), padding=1), gx.Activation()]
        layers += [gx.Conv2d(weight(out, out, 3, 3), padding=1), gx.MaxPool2d(2), gx.Activation()]
        inputs = out
    layers += [gx.Flatten(), gx.Dense(weight(1024, 512 * 16)), gx.Activation(), gx.Dense(weight(10, 1024))]
    return gx.compile(gx.TernaryNetwork((3, 32, 32), None, layers))


def trained(name: str, data: Path | None, cifar: Path | None) -> tuple[gx.EventGraph, Activity]:
    """A trained network with activity of 40 of its training samples; the untrained VGG counts every unit alike."""
    path = cifar if name == "cifar" and cifar else SHIPPED / f"{'cifar10-small' if name == 'cifar' else name}.gxn"
    if not path.exists():
        graph = untrained_vgg()
        return graph, uniform_activity(graph)
    if data is None:
        raise SystemExit(f"{name}: --data, the folder with {NETS[name]}, is missing")
    graph = gx.compile(gx.load_network(path))
    return graph, measure_activity(graph, gx.open_dataset(data / NETS[name], split="train", limit=40))


def neurons_of(graph: gx.EventGraph) -> int:
    """Neurons on a mesh of :func:`mesh`: one a unit."""
    return int(Problem.of(graph, mesh(1, 1), uniform_activity(graph)).size.sum())


def nets(case: str, options: argparse.Namespace, seeds: Sequence[int]) -> None:
    """One trained network on a square mesh with 5 % more neurons than units."""
    name, cores = case[:-2], int(case[-2:])
    graph, activity = trained(name, options.data, options.cifar)
    synapses = sum(p.rule.synapses for p in graph.projections.values())
    print(f"\n{case}: {graph.units:,} units, {synapses:,} synapses on {cores} cores, {activity.line()}, by frame")
    chip = mesh(int(cores**0.5), -(-neurons_of(graph) * 105 // (100 * cores)))
    compare(graph, chip, dict.fromkeys(seeds, activity), cores, options.budget, options.methods)


def digits(options: argparse.Namespace, seeds: Sequence[int]) -> None:
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    activity = measure_activity(graph, gx.open_dataset(gx.shipped("digits_test.zip"), limit=40))
    print(f"\ndigits.gxn on gxnor-array, {activity.line()}, by frame")
    compare(graph, load_chip("gxnor-array"), dict.fromkeys(seeds, activity), None, options.budget, options.methods)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--budget", type=float, default=2.5)
    parser.add_argument("--methods", nargs="+", metavar="WORD", help="only rows whose name has one of these words")
    parser.add_argument("--case", nargs="+", default=["conv64", "conv16", "digits", "large"])
    parser.add_argument("--data", type=Path, help="folder with the data that the trained networks ran on")
    parser.add_argument("--cifar", type=Path, help="a network for CIFAR pictures (.gxn)")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    for case in options.case:
        if case in ("conv64", "conv16"):
            side, neurons = (8, 55) if case == "conv64" else (4, 220)
            graph = conv_net()
            activities = {seed: drawn_activity(graph, seed) for seed in seeds}
            print(f"\n{case}: {graph.units:,} units on {side * side} cores, seeds {seeds[0]} to {seeds[-1]}")
            compare(graph, mesh(side, neurons), activities, side * side, options.budget, options.methods)
        elif case == "digits":
            digits(options, seeds)
        elif case == "large":
            large()
        elif case[:-2] in NETS and case[-2:] in ("16", "64"):
            nets(case, options, seeds)
        else:
            parser.error(f"--case: no case {case!r}")


if __name__ == "__main__":
    main()
