"""Engine beside the plain NumPy reference on the paper's MNIST net, paired and interleaved.

    python benchmarks/engine_vs_reference.py [--rounds 20] [--samples 64] [--count]

Random ternary weights (2/3 nonzero) and thresholds set so that the share of active units is what each row says. One
thread; the engine counts events and open gates, the reference only with --count. Printed: medians, and the median of
the ratios of neighbouring runs.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable

import numpy as np

import gxevent as gx
from gxevent import firing
from gxevent.runtime import reference
from gxevent.runtime.plan import available_kernels


def network(rng: np.random.Generator, frames: np.ndarray, activity: float) -> gx.TernaryNetwork:
    """32C5-MP2-64C5-MP2-512FC-10 with thresholds that make the given share of units fire on the frames."""

    def weight(*shape: int) -> np.ndarray:
        return rng.choice([-1, 0, 1], size=shape).astype(np.int8)

    def silence(sums: np.ndarray) -> list:
        """A batch norm and activation behind which the given share of |sums| exceeds the threshold."""
        quantile = max(float(np.quantile(np.abs(sums), 1 - activity)), 0.5)
        channels = np.ones(sums.shape[1], np.float32)
        return [gx.BatchNorm(channels, 0 * channels, 0 * channels, (2 * quantile) ** 2 * channels), gx.Activation()]

    layers: list = []
    x = frames
    for out, inputs in ((32, 1), (64, 32)):
        conv = weight(out, inputs, 5, 5)
        sums = reference.conv2d(x, conv, (1, 1), (0, 0, 0, 0), (1, 1), 1)
        sums = reference.pool2d(sums, "max", (2, 2), (2, 2), (0, 0, 0, 0))
        layers += [gx.Conv2d(conv), gx.MaxPool2d(2), *silence(sums)]
        x = fired(layers[-2], layers[-1], sums)
    dense = weight(512, 1024)
    layers += [gx.Flatten(), gx.Dense(dense), *silence(reference.dense(x.reshape(len(x), -1), dense))]
    return gx.TernaryNetwork((1, 28, 28), None, [*layers, gx.Dense(weight(10, 512))])


def fired(norm: gx.BatchNorm, activation: gx.Activation, sums: np.ndarray) -> np.ndarray:
    scale, offset = firing.affine(norm.gamma, norm.beta, norm.mean, norm.var, norm.eps)
    columns = [a.reshape(-1, *[1] * (sums.ndim - 2)) for a in (scale, offset)]
    return firing.fire(firing.preactivation(sums, 1.0, None, *columns), activation.levels, activation.r)


def seconds(call: Callable[..., object], *args: object, **more: object) -> float:
    begun = time.perf_counter()
    call(*args, **more)
    return time.perf_counter() - begun


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--count", action="store_true", help="let the reference count open gates too: twice its work")
    options = parser.parse_args()
    print(
        f"{platform.machine()}, numpy {np.__version__}, {options.rounds} rounds of {options.samples} samples, 1 thread"
    )
    print(f"{'active':>7} {'kernel':>8} {'engine us':>10} {'reference us':>13} {'ratio':>7} {'min':>6} {'max':>6}")
    for activity in (0.05, 0.20, 0.45, 1.00):
        rng = np.random.default_rng(0)
        frames = np.where(
            rng.random((options.samples, 1, 28, 28)) < activity, rng.choice([-1, 1], (options.samples, 1, 28, 28)), 0
        )
        frames = frames.astype(np.int8)
        graph = gx.compile(network(rng, frames, activity))
        for kernel in available_kernels():
            engine = gx.Engine(graph, kernel=kernel)
            same = engine.run(frames).accumulators == reference.run_graph(graph, frames).accumulators["dense2"]
            assert same.all(), "the engine differs from the reference"
            ours, theirs = [], []
            for _ in range(options.rounds):
                ours.append(seconds(engine.run, frames))
                theirs.append(seconds(reference.run_graph, graph, frames, count=options.count))
            ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
            each = [statistics.median(side) / options.samples * 1e6 for side in (ours, theirs)]
            print(
                f"{activity:>7.0%} {kernel:>8} {each[0]:>10.1f} {each[1]:>13.1f} "
                f"{statistics.median(ratios):>7.1f} {min(ratios):>6.1f} {max(ratios):>6.1f}"
            )


if __name__ == "__main__":
    main()
