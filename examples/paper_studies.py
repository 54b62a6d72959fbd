"""The paper's studies on a small scale: what m, a, r, the levels, the batch and the step rule do to accuracy.

    python examples/paper_studies.py --data MNIST_FOLDER [--out studies] [--images 20000] [--epochs 6] [--seeds 2]

One network for each setting and seed, 16C5-MP2-32C5-MP2-128FC-10 on part of MNIST, everything else as in the base
setting. Accuracies are of held-out *training* images; the test part is not read. Results are kept in OUT/results.jsonl
as they come: a run that was stopped goes on where it was. Then OUT/studies.md and OUT/studies.png are written.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

import gxevent as gx
from gxevent.train import Fit
from gxevent.train.networks import to_network
from gxevent.train.recipes import Recipe, from_settings, load_recipe
from gxevent.train.sources import load_data

BASE = {"layers": "16C5-MP2-32C5-MP2-128FC-10", "derivative": "rectangular", "a": 0.5}
VALIDATION = 5000

STUDIES: dict[str, dict[str, dict[str, dict[str, Any]]]] = {
    "m, slope of the transition": {str(m): {"dst": {"m": m}} for m in (0.3, 1.0, 3.0, 10.0)},
    "a, half width of a rectangular derivative": {str(a): {"network": {"a": a}} for a in (0.25, 0.5, 1.0)},
    "a, half width of a triangular derivative": {
        str(a): {"network": {"a": a, "derivative": "triangular"}} for a in (0.25, 0.5, 1.0)
    },
    "r, zero window of the activation": {str(r): {"network": {"r": r}} for r in (0.0, 0.25, 0.5, 1.0, 1.5)},
    "N1, N2, levels of weights and activations": {
        f"{n1}, {n2}": {"network": {"weights": n1, "activations": n2}}
        for n1, n2 in ((0, 0), (1, 0), (0, 1), (1, 1), (1, 2), (2, 1), (2, 2), (4, 4), (6, 4))
    },
    "batch": {str(size): {"fit": {"batch": size}} for size in (50, 200, 1000)},
    "step rule": {
        "adam, 32-bit moments": {},
        "adam, 16-bit moments": {"dst": {"moment_bits": 16}},
        "adam, 8-bit moments": {"dst": {"moment_bits": 8}},
        "momentum, 16 bits, lr 1": {"dst": {"rule": "momentum", "moment_bits": 16, "lr": 1.0, "momentum": 0.99}},
        "sgd, lr 10": {"dst": {"rule": "sgd", "lr": 10.0}},
        "residue of 2 bits, lr 0.2": {"dst": {"rule": "residue", "residue_bits": 2, "lr": 0.2}},
        "residue of 2 bits, lr 0.5": {"dst": {"rule": "residue", "residue_bits": 2, "lr": 0.5}},
        "residue of 2 bits, lr 1.5": {"dst": {"rule": "residue", "residue_bits": 2, "lr": 1.5}},
        "residue of 4 bits, lr 0.2": {"dst": {"rule": "residue"}},
        "residue of 4 bits, lr 0.5": {"dst": {"rule": "residue", "residue_bits": 4, "lr": 0.5}},
        "residue of 8 bits, lr 0.5": {"dst": {"rule": "residue", "residue_bits": 8, "lr": 0.5}},
        "adam and a residue of 2 bits": {"dst": {"residue_bits": 2}},
    },
    "preset": {
        "gxnor": {},
        "bnn": {"network": {"weights": 0, "activations": 0}},
        "twn": {"network": {"weights": 1, "activations": "real"}},
        "bwn": {"network": {"weights": 0, "activations": "real"}},
        "float": {"network": {"weights": "real", "activations": "real"}},
    },
}


def recipe(change: dict[str, dict[str, Any]], seed: int, epochs: int) -> Recipe:
    settings = load_recipe("mnist").settings()
    settings["network"] |= BASE
    settings["fit"] |= {"epochs": epochs, "batch": 200, "seed": seed, "precision": "float32"}
    for section, values in change.items():
        settings[section] |= values
    return from_settings(settings, "study")


def resting(fit: Fit, frames: np.ndarray) -> dict[str, float]:
    """Measured share of gates at rest in each layer behind the first, whose input is graded."""
    counts = gx.Engine(gx.compile(to_network(fit.model, None, fit.classes, {}))).run(frames).counts
    return dict(list(counts.resting_probability_by_layer.items())[1:])


def measure(change: dict[str, dict[str, Any]], seed: int, options: argparse.Namespace, data: Any) -> dict[str, Any]:
    made = recipe(change, seed, options.epochs)
    chosen = np.arange(len(data.train))
    train = data.train.select((chosen >= VALIDATION) & (chosen < VALIDATION + options.images))
    validation = data.train.select(chosen < VALIDATION)
    fit = Fit(made, train, validation, data.classes)
    fit.run(quiet=True)
    last = fit.history[-1]
    real = fit.model.real_weights or fit.model.real_activations
    return {
        "accuracy": last.validation_accuracy,
        "zero_weights": last.zero_weights,
        "zero_activations": last.zero_activations,
        "bytes_a_weight": None if fit.dst is None else fit.dst.memory().per_weight,
        "resting": {} if real else resting(fit, validation.frames[:500]),
        "seconds": fit.seconds,
    }


def jobs(seeds: int, only: str) -> Iterator[tuple[str, str, int]]:
    for seed in range(1, seeds + 1):
        for study, settings in STUDIES.items():
            yield from ((study, name, seed) for name in settings if only in f"{study}: {name}")


def table(results: dict[tuple[str, str, int], dict[str, Any]]) -> str:
    """A Markdown section a study: mean and span over the seeds."""
    lines: list[str] = []
    for study in dict.fromkeys(study for study, *_ in results):
        lines += [
            f"### {study}",
            "",
            "| setting | accuracy % | zeros in weights, activations % | resting % | B a weight |",
        ]
        lines.append("|---|---|---|---|---|")
        for name in dict.fromkeys(name for s, name, _ in results if s == study):
            found = [result for (s, n, _), result in results.items() if (s, n) == (study, name)]
            accuracies = [100 * result["accuracy"] for result in found]
            rest = [100 * share for result in found for share in result["resting"].values()]
            size = found[0]["bytes_a_weight"]
            lines.append(
                f"| {name} | {np.mean(accuracies):.2f} ({min(accuracies):.2f} - {max(accuracies):.2f}) "
                f"| {100 * np.mean([r['zero_weights'] for r in found]):.0f}, "
                f"{100 * np.mean([r['zero_activations'] for r in found]):.0f} "
                f"| {f'{np.mean(rest):.0f}' if rest else '-'} | {'-' if size is None else f'{size:.2f}'} |"
            )
        lines.append("")
    return "\n".join(lines)


def picture(results: dict[tuple[str, str, int], dict[str, Any]]) -> Figure:
    studies = list(dict.fromkeys(study for study, *_ in results))
    columns = min(4, len(studies))
    rows = -(-len(studies) // columns)
    figure = Figure(figsize=(3.4 * columns, 3.4 * rows), layout="constrained")
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for spare in places[len(studies) :]:
        spare.remove()
    for axes, study in zip(places, studies, strict=False):
        settings = list(dict.fromkeys(name for s, name, _ in results if s == study))
        for x, name in enumerate(settings):
            found = [100 * r["accuracy"] for (s, n, _), r in results.items() if (s, n) == (study, name)]
            axes.plot([x] * len(found), found, "o", color="tab:blue", alpha=0.7)
        axes.set_xticks(range(len(settings)), settings, rotation=35, ha="right", fontsize=7)
        axes.set_title(study, fontsize=9)
        axes.grid(alpha=0.3)
    figure.supylabel("validation accuracy, %")
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of MNIST's IDX files")
    parser.add_argument("--out", type=Path, default=Path("studies"))
    parser.add_argument("--images", type=int, default=20000)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--only", default="", metavar="TEXT", help="settings whose 'study: setting' has this in it")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    kept = options.out / "results.jsonl"
    results = {}
    if kept.exists():
        for line in kept.read_text().splitlines():
            key, result = json.loads(line)
            results[tuple(key)] = result
    data = load_data(load_recipe("mnist"), options.data)
    for study, name, seed in jobs(options.seeds, options.only):
        if (study, name, seed) in results:
            continue
        started = time.time()
        result = measure(STUDIES[study][name], seed, options, data)
        results[study, name, seed] = result
        with kept.open("a") as file:
            file.write(json.dumps([[study, name, seed], result]) + "\n")
        print(f"{study}: {name}, seed {seed}: {result['accuracy']:.2%}, {time.time() - started:.0f} s", flush=True)
    (options.out / "studies.md").write_text(table(results))
    picture(results).savefig(options.out / "studies.png", dpi=110)
    print(f"wrote {options.out / 'studies.md'} and {options.out / 'studies.png'}")


if __name__ == "__main__":
    main()
