"""Speed of the event simulation, and its figures beside SANA-FE's.

    python benchmarks/simulation.py [--case speed sanafe] [--rounds 7] [--python OTHER/bin/python]

``speed``: all neurons of Loihi's 128 cores fire at once, each with packets to 8 other cores, 32 synapses a packet, on
one thread; packets a second of the run alone (median of the rounds), tables laid out before. ``sanafe``: the same
traffic and the micro cases in SANA-FE 2.2.9 (GPL; a program of its own in another environment, ``pip install sanafe``,
whose interpreter is ``--python``), counts compared exactly, latency with its three models. Counts and energy are for
one step in which every neuron is updated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

import gxevent as gx
from gxevent.mapping import load_chip
from gxevent.mapping.energy import energy
from gxevent.mapping.roofline import Roofline
from gxevent.mapping.traffic import Traffic
from gxevent.mapping.workload import Workload

CHILD = '''
"""One step in SANA-FE, described as JSON on standard input; one JSON object on standard output."""
import json, sys, tempfile, time
from importlib.resources import files
import sanafe
case = json.load(sys.stdin)
text = (files("sanafe.examples") / "loihi.yaml").read_text()
begin, end = text.index("    sync_model: table"), text.index("  tile:")
text = text[:begin] + "    sync_model: fixed\\n    latency_sync: 0.0\\n" + text[end:]
with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
    file.write(text)
    file.flush()
    arch = sanafe.load_arch(file.name)
net = sanafe.Network()
count = len(case["core"])
group = net.create_neuron_group("g", count, model_attributes={"threshold": 0.5, "reset": 0.0, "leak_decay": 0.0})
cores = [core for tile in arch.tiles for core in tile.cores]
fires = set(case["fires"])
for i, place in enumerate(case["core"]):
    group[i].map_to_core(cores[place])
    group[i].set_attributes(model_attributes={"bias": 1.0 if i in fires else 0.001})  # below: updated, does not fire
edges = [tuple(edge) for edge in case["edges"]]
group.connect_neurons_sparse(group, {"weight": [0.0] * len(edges)}, edges)
chip = sanafe.SpikingChip(arch)
chip.load(net)
begun = time.perf_counter()
answer = chip.sim(1, timing_model=case["timing"], perf_trace=True)
took = time.perf_counter() - begun
kept = {k: v for k, v in answer.items() if isinstance(v, (int, float, dict))}
print(json.dumps(kept | {"took": took}))
'''
"""The other process: SANA-FE's public API alone. The barrier is left out, every neuron is updated once."""


MICRO: dict[str, tuple[list[int], list[tuple[int, int, int]]]] = {
    "A inside": ([0, 0], [(0, 0, 1)]),
    "B 1 hop": ([0, 4], [(0, 4, 1)]),
    "C 3 + 2 hops": ([0, 4 * 19], [(0, 4 * 19, 1)]),
    "D 10 to 1": ([0] * 10 + [4], [(i, 4, 1) for i in range(10)]),
    "F 4 to 1": ([0, 4, 8, 12] + [4 * 24] * 32, [(i, 4 * 24, 32) for i in range(4)]),
}
"""Core of each neuron and (neuron, core, synapses) of its packets, on Loihi's 8x4 routers with 4 cores each."""


def full_load(neurons: int, targets: int, synapses: int, share: float = 1.0) -> tuple[Traffic, np.ndarray, dict]:
    """Neurons of 128 cores, each with packets to ``targets`` other cores and ``synapses`` synapses at each."""
    rng = np.random.default_rng(0)
    chip = load_chip("loihi1")
    home = np.arange(neurons) * 128 // neurons
    away = np.argsort(rng.random((neurons, 127)), axis=1)[:, :targets]
    core = (home[:, None] + 1 + away) % 128
    unit = np.repeat(np.arange(neurons), targets)
    work = Workload.flat(chip, home, unit, core.ravel(), np.full(unit.size, synapses))
    traffic = Traffic.of(work)
    fires = rng.random(neurons) < share
    return traffic, fires, {"home": home, "unit": unit, "core": core.ravel(), "synapses": synapses}


def speed(rounds: int) -> None:
    head = f"{'neurons':>8} {'packets':>9} {'hops':>10} {'synops':>10} {'latency us':>11} {'packets/s':>11}"
    print(head + f" {'synops/s':>12} {'events/s':>11}  range of packets/s")
    for neurons in (1024, 8192, 32768):
        traffic, fires, _ = full_load(neurons, 8, 32)
        fired, rates, made = traffic.fired(fires), [], {}
        counts = Roofline(traffic).loads(fired).counts
        for _ in range(rounds):
            begun = time.perf_counter()
            made = traffic.run(fired)
            rates.append(made["deliveries"] / (time.perf_counter() - begun))
        rate = statistics.median(rates)
        per = rate / made["deliveries"]
        hops = counts["hops_x"] + counts["hops_y"]
        print(f"{neurons:>8,} {made['deliveries']:>9,} {hops:>10,} {counts['synops']:>10,} {made['end'] / 1e6:>11.3f} "
              f"{rate:>11,.0f} {per * counts['synops']:>12,.0f} {per * made['events']:>11,.0f}  "
              f"{min(rates):,.0f} to {max(rates):,.0f}", flush=True)  # fmt: skip


def sana_fe(python: Path, case: dict[str, Any], timing: str) -> dict[str, Any] | None:
    """One step there; None where the program ends abnormally."""
    run = subprocess.run([str(python), "-c", CHILD], input=json.dumps(case | {"timing": timing}), text=True,
                         capture_output=True, timeout=540)  # fmt: skip
    if run.returncode:
        print(f"  SANA-FE {timing}: ended with status {run.returncode}: {run.stderr.strip()[-300:]}")
        return None
    return json.loads(next(line for line in run.stdout.splitlines() if line.startswith('{"')))


def column_major(core: int) -> int:
    """Core number there of one of ours: routers column by column."""
    router, slot = divmod(core, 4)
    y, x = divmod(router, 8)
    return (x * 4 + y) * 4 + slot


def beside(python: Path, name: str, traffic: Traffic, fires: np.ndarray, edges: list, models: list[str]) -> None:
    """One line: counts and energy compared exactly, our latencies and theirs."""
    work, fired = traffic.work, traffic.fired(fires)
    home = np.empty(len(work.unit_number), np.int64)
    home[work.unit_number] = np.array(work.cores)[work.unit_sender]
    case = {"core": [column_major(int(c)) for c in home], "edges": edges, "fires": np.flatnonzero(fires).tolist()}
    loads = Roofline(traffic).loads(fired)
    c, terms = loads.counts, loads.terms()
    roof = max(int(terms["send"][0]), int(terms["receive"][0])) / 1000
    begun = time.perf_counter()
    ours = traffic.run(fired)["end"] / 1000
    took = time.perf_counter() - begun
    joules = energy(work.chip, c, 0.0).total.value
    said = {model: sana_fe(python, case, model) for model in models}
    there = next((answer for answer in said.values() if answer), None)
    if there is None:
        return
    mine = {"packets": c["packets_in"], "hops": c["hops_x"] + c["hops_y"], "synops": c["synops"]}
    theirs = {"packets": there["packets_sent"], "hops": there["perf_trace"]["hops"][0], "synops": there["spikes"]}
    same = mine == theirs and abs(joules - there["energy"]["total"] * 1e12) < 1e-6 * max(joules, 1)
    line = f"{name:<14} {mine['packets']:>8,} {mine['hops']:>8,} {mine['synops']:>9,} {joules / 1000:>12,.3f}"
    line += f" {'equal' if same else f'DIFFERS {theirs}':<7} | {roof:>10,.1f} {ours:>10,.1f}"
    for model in models:
        answer = said[model]
        ns = answer["sim_time"] * 1e9 if answer else None
        line += "          -        " if ns is None else f" {ns:>10,.1f} {(ours - ns) / ns:>+7.1%}"
    rates = [mine["packets"] / took] + [mine["packets"] / said[m]["took"] for m in models if said[m]]
    print(line + " | " + " ".join(f"{rate / 1000:>7,.0f}" for rate in rates), flush=True)


def beside_sana_fe(python: Path) -> None:
    models = ["simple", "detailed", "cycle"]
    head = f"{'case':<14} {'packets':>8} {'hops':>8} {'synops':>9} {'energy nJ':>12} {'counts':<7} |"
    head += f" {'roofline':>10} {'DES ns':>10}" + "".join(f" {model:>10} {'DES off':>7}" for model in models)
    print(head + " | k packets/s: ours, " + ", ".join(models))
    for name, (home, pairs) in MICRO.items():
        unit, core, synapses = np.array(pairs).T
        traffic = Traffic.of(Workload.flat(load_chip("loihi1"), np.array(home), unit, core, synapses))
        edges = [(i, j) for i, to, n in pairs for j in [j for j, c in enumerate(home) if c == to and j != i][:n]]
        beside(python, name, traffic, np.isin(np.arange(len(home)), unit), edges, models)
    for share in (0.02, 0.1, 0.5, 1.0):
        traffic, fires, edges = random_net(3072, 4, 8, share)
        beside(python, f"3,072 {share:.0%}", traffic, fires, edges, models)
    for method in ("sequential", "hypergraph"):
        traffic, fires, edges = mapped_net(method)
        beside(python, f"conv {method}", traffic, fires, edges, models)
    traffic, fires, edges = random_net(8192, 8, 16, 1.0)
    beside(python, "full 8,192", traffic, fires, edges, models)


def random_net(neurons: int, targets: int, synapses: int, share: float) -> tuple[Traffic, np.ndarray, list]:
    """As ``full_load``, with the synapses one by one (onto the first neurons of each core)."""
    traffic, fires, made = full_load(neurons, targets, synapses, share)
    first = np.searchsorted(made["home"], np.arange(128))
    to = first[made["core"]][:, None] + np.arange(synapses)
    edges = np.stack([np.repeat(made["unit"], synapses), to.ravel()], axis=1)
    return traffic, fires, edges.tolist()


def mapped_net(method: str) -> tuple[Traffic, np.ndarray, list]:
    """A convolutional net on Loihi with input units on cores, all its layers in one step, a third of it firing."""
    layers: list[Any] = []
    rng = np.random.default_rng(0)

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-1, 2, size=shape).astype(np.int8)

    layers = [gx.Conv2d(weight(8, 1, 5, 5)), gx.Activation(), gx.Conv2d(weight(16, 8, 5, 5), stride=2), gx.Activation()]
    layers += [gx.Flatten(), gx.Dense(weight(128, 16 * 6 * 6)), gx.Activation(), gx.Dense(weight(10, 128))]
    graph = gx.compile(gx.TernaryNetwork((1, 20, 20), None, layers))
    chip = load_chip("loihi1")
    plain = msgspec.structs.replace(
        chip.events, neurons_per_unit=msgspec.structs.replace(chip.events.neurons_per_unit, value=1)
    )
    chip = msgspec.structs.replace(chip, events=plain, inputs="cores")
    mapping = gx.map_graph(graph, chip, method=method, budget=1.0, cores=32)
    work = Workload.of(mapping)
    flat = Workload.flat(chip, np.array(work.cores)[work.unit_sender[np.argsort(work.unit_number)]],
                         work.unit_number[work.pair_unit], np.array(work.cores)[work.pair_core], work.pair_synapses,
                         work.unit_neurons[np.argsort(work.unit_number)])  # fmt: skip
    start = mapping.population_starts()
    edges = []
    for p in graph.projections.values():
        source, target, level = p.rule.connections()
        keep = level != 0
        edges.append(np.stack([source[keep] + start[p.source], target[keep] + start[p.target]], axis=1))
    fires = rng.random(len(work.unit_number)) < 1 / 3
    fires[start[graph.readout.name] :] = False
    return Traffic.of(flat), fires, np.concatenate(edges).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--case", nargs="+", default=["speed"], choices=["speed", "sanafe"])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", type=Path, help="interpreter that has the package sanafe")
    options = parser.parse_args()
    if "speed" in options.case:
        speed(options.rounds)
    if "sanafe" in options.case:
        if options.python is None:
            parser.error("--case sanafe needs --python, an interpreter with the package sanafe")
        beside_sana_fe(options.python)


if __name__ == "__main__":
    main()
