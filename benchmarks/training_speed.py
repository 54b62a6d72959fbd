"""A training step of a recipe's net beside the same net with float weights and Adam, in one process.

    python benchmarks/training_speed.py [mnist|fashion|cifar10-small] [--rounds 15] [--threads 1] [--precision bfloat16]

The float net is plain PyTorch (convolutions, max pools, batch norms, hard tanh, ``torch.optim.Adam`` over all of it),
in the memory layout that is fastest here. Ours has the recipe's window and, in float32, the convolutions of
``gxevent.train.winograd`` where the machine can. Both see the same images in turn, block by block; the ratio is the
median of the blocks' ratios. What the loader does is the same for both and not timed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from gxevent.train import DST, initial_network
from gxevent.train.networks import TernaryModule
from gxevent.train.recipes import load_recipe
from gxevent.train.topology import parse

FRAMES = {"mnist": (1, 28, 28), "fashion": (1, 28, 28), "cifar10-small": (3, 32, 32)}


def float_net(layers: str, channels: int, batch: torch.Tensor) -> nn.Module:
    """Plain PyTorch; ``batch`` tells how many inputs the first fully connected layer has."""
    made: list[nn.Module] = []
    for block in parse(layers):
        if block.kernel:
            made.append(nn.Conv2d(channels, block.out, block.kernel, bias=False, **block.options))
            made += [nn.MaxPool2d(pool.kernel) for pool in block.pools]
            made.append(nn.BatchNorm2d(block.out))
        else:
            if not any(isinstance(module, nn.Flatten) for module in made):
                made.append(nn.Flatten())
                channels = nn.Sequential(*made)(batch).shape[1]
            made += [nn.Linear(channels, block.out, bias=False), nn.BatchNorm1d(block.out)]
        channels = block.out
        made.append(nn.Hardtanh())
    return nn.Sequential(*made[:-1]).to(memory_format=torch.channels_last)


def stepper(net: nn.Module, optimizers: list, precision: str, images: torch.Tensor, labels: torch.Tensor) -> Callable:
    loss_of = nn.CrossEntropyLoss()

    def step() -> None:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            scores = net(images)
        loss_of(scores.float(), labels).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()

    return step


def timed(step: Callable, count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=FRAMES, default="mnist", nargs="?")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--steps", type=int, default=5, help="steps a block")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    recipe = load_recipe(options.recipe)
    layers, batch, shape = recipe.network.layers, recipe.fit.batch, FRAMES[options.recipe]
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 65, (batch, *shape)).astype(np.int8))
    labels = torch.from_numpy(rng.integers(0, 10, batch))

    window = {"a": recipe.network.a, "window": recipe.network.derivative}
    ours = TernaryModule(initial_network(layers, shape, classes=tuple("0123456789")), **window).train()
    rest = torch.optim.Adam([p for p in ours.parameters() if p.requires_grad], lr=0.01)
    # The network text has no encoder here, so both are fed values, ours ternary ones.
    signs = (frames > 32).to(torch.int8).contiguous(memory_format=torch.channels_last)
    plain = float_net(layers, shape[0], signs.float())
    steps = {
        "float weights, Adam": stepper(
            plain, [torch.optim.Adam(plain.parameters(), lr=0.001)], options.precision, signs.float(), labels
        ),
        "DST, adam": stepper(ours, [DST(ours, lr=0.01), rest], options.precision, signs, labels),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for step in steps.values():
        timed(step, 2)
    for _ in range(options.rounds):
        for name, step in steps.items():
            times[name].append(timed(step, options.steps))
    base = times["float weights, Adam"]
    print(f"{layers}, batch {batch}, {options.precision}, {options.threads} thread(s), {options.rounds} rounds")
    for name, measured in times.items():
        ratios = sorted(a / b for a, b in zip(measured, base, strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(
            f"{name:22} {1e3 * statistics.median(measured):7.1f} ms a step   "
            f"{statistics.median(ratios):.2f}x ({low:.2f} - {high:.2f})"
        )


if __name__ == "__main__":
    main()
