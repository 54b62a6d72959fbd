"""Workloads: random ternary networks whose hidden populations all have a wanted activity, and the shipped ones.

Two thirds of the weights are nonzero, as in a trained network. Activity is set by calibration: every channel gets a
threshold ``k`` so that ``|s - centre| >= k`` holds as often as it must for the whole population to reach the wanted
share of nonzero outputs. Channels of one population have one of two neighbouring thresholds, since sums are integers
and a single one would miss the share by far where few events arrive.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gxevent import compiler, files
from gxevent.errors import OptionError
from gxevent.events import open_dataset
from gxevent.graph import EventGraph
from gxevent.layers import Activation, BatchNorm, Conv2d, Dense, Flatten, Layer, MaxPool2d, pair
from gxevent.network import TernaryNetwork
from gxevent.runtime.run import encode_samples

FRAMES = 256
"""Different inputs that are measured at least, so that no branch predictor learns them."""

CALIBRATED_ON = 512
"""Frames that thresholds are set on; an eighth of them for a large convolutional network."""


class Block(NamedTuple):
    """One hidden layer (or the read-out): outputs, convolution kernel (0: dense), padding, pooled by 2 or not."""

    outputs: int
    kernel: int = 0
    padding: int = 0
    pooled: bool = False


@dataclass(frozen=True)
class Architecture:
    """A network to be filled with random weights. ``batches``: sizes measured unless others are asked for."""

    title: str
    input_shape: tuple[int, ...]
    blocks: tuple[Block, ...]
    batches: tuple[int, ...]

    @property
    def synapses(self) -> int:
        """Weights met by one frame: multiply-accumulates of a dense evaluation."""
        total, (channels, *image) = 0, self.input_shape
        for b in self.blocks:
            if b.kernel:
                image = [n + 2 * b.padding - b.kernel + 1 for n in image]
                total += b.outputs * channels * b.kernel**2 * image[0] * image[1]
                image = [n // 2 for n in image] if b.pooled else image
            else:
                total += b.outputs * channels * int(np.prod(image))
                image = []
            channels = b.outputs
        return total


def square(n: int) -> Architecture:
    """An n x n layer: ternary events in, thresholds, ternary events out; ten units read them."""
    return Architecture(f"{n}x{n} layer", (n,), (Block(n), Block(10)), (1, 256))


ARCHITECTURES = {
    "mlp": Architecture("MLP 784-512-512-10", (784,), (Block(512), Block(512), Block(10)), (1, 1000)),
    "lenet": Architecture(
        "MNIST net 32C5-MP2-64C5-MP2-512FC-10",
        (1, 28, 28),
        (Block(32, 5, 0, True), Block(64, 5, 0, True), Block(512), Block(10)),
        (1, 256),
    ),
    "vgg": Architecture(
        "CIFAR VGG 2x128C3-MP2-2x256C3-MP2-2x512C3-MP2-1024FC-10",
        (3, 32, 32),
        (*(Block(c, 3, 1, second) for c in (128, 256, 512) for second in (False, True)), Block(1024), Block(10)),
        (1, 16),
    ),
}

SIZES = (128, 256, 512, 1024, 2048, 4096)
"""Layers for time against layer size."""

ZOO = {"digits": "digits_test.zip", "nmnist": "nmnist/nmnist_subset.zip"}
"""Shipped network -> its data: shipped with it, or in the folder that ``--data`` names."""


def architecture(name: str) -> Architecture:
    """By name; a number N is the N x N layer. OptionError for anything else."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name.isdecimal() and 1 <= int(name) <= 16384:
        return square(int(name))
    raise OptionError(
        f"network {name!r}: expected {', '.join(ARCHITECTURES)}, zoo, sizes, or a layer's width from 1 to 16384"
    )


@dataclass(frozen=True, eq=False)
class Workload:
    """A compiled network and frames for it, int8 (n, *input_shape); asked: None for a network as it was trained."""

    name: str
    title: str
    graph: EventGraph
    frames: NDArray[np.int8]
    asked: float | None

    def inputs(self, batch: int) -> list[NDArray[np.int8]]:
        """Batches (batch, *input_shape), contiguous; frames are repeated where there are fewer than one batch takes."""
        frames = self.frames
        if len(frames) < batch:
            frames = np.concatenate([frames] * -(-batch // len(frames)))
        return [np.ascontiguousarray(frames[i : i + batch]) for i in range(0, len(frames) - batch + 1, batch)]


def random_workload(name: str, activity: float, frames: int = FRAMES, seed: int = 0) -> Workload:
    """A network of that architecture in which every hidden population, and the input, has about the given activity."""
    made = architecture(name)
    rng = np.random.default_rng([seed, round(activity * 1e6), zlib.crc32(name.encode())])
    x = random_ternary(rng, (max(frames, CALIBRATED_ON), *made.input_shape), activity)
    calibrated_on = CALIBRATED_ON if made.synapses < 1e8 else CALIBRATED_ON // 8
    layers = _layers(made, weights(name, seed), x[:calibrated_on], activity, rng)
    network = TernaryNetwork(made.input_shape, None, layers, name=name)
    return Workload(name, made.title, compiler.compile(network), x[:frames], activity)


def random_ternary(rng: np.random.Generator, shape: Sequence[int], density: float) -> NDArray[np.int8]:
    """-1 and +1 equally often, 0 with probability ``1 - density``."""
    signs = rng.integers(0, 2, shape, dtype=np.int8) * np.int8(2) - np.int8(1)
    return signs if density >= 1 else np.where(rng.random(shape, np.float32) < density, signs, np.int8(0))


@lru_cache(maxsize=2)
def weights(name: str, seed: int) -> tuple[NDArray[np.int8], ...]:
    """Random levels of every block: the same for every activity."""
    made, rng = architecture(name), np.random.default_rng([seed, zlib.crc32(name.encode())])
    found, (channels, *image) = [], made.input_shape
    for b in made.blocks:
        if b.kernel:
            shape: tuple[int, ...] = (b.outputs, channels, b.kernel, b.kernel)
            image = [(n + 2 * b.padding - b.kernel + 1) // (2 if b.pooled else 1) for n in image]
        else:
            shape, image = (b.outputs, channels * int(np.prod(image))), []
        found.append(random_ternary(rng, shape, 2 / 3))
        channels = b.outputs
    return tuple(found)


def _layers(
    made: Architecture,
    levels: Sequence[NDArray[np.int8]],
    x: NDArray[np.int8],
    activity: float,
    rng: np.random.Generator,
) -> list[Layer]:
    layers: list[Layer] = []
    for block, weight in zip(made.blocks, levels, strict=True):
        if block.kernel:
            layers.append(Conv2d(weight, padding=block.padding))
            sums = _convolve(x, weight, block.padding)
            if block.pooled:
                layers.append(MaxPool2d(2))
                n, c, height, width = sums.shape
                sums = sums.reshape(n, c, height // 2, 2, width // 2, 2).max(axis=(3, 5))
        else:
            if x.ndim > 2:
                layers.append(Flatten())
            layers.append(Dense(weight))
            sums = x.reshape(len(x), -1).astype(np.float32) @ weight.T.astype(np.float32)
        if weight is not levels[-1]:
            norm, x = calibrate(np.rint(sums).astype(np.int32), activity, rng)
            layers += [norm, Activation()]
    return layers


def _convolve(x: NDArray[np.int8], weight: NDArray[np.int8], padding: int) -> NDArray[np.float32]:
    """Sums of a convolution with stride 1; float32 holds them exactly and is what BLAS is fast at."""
    kernel = pair(weight.shape[2])
    real, rows = weight.astype(np.float32), []
    for frame in np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding))):
        view = sliding_window_view(frame.astype(np.float32), kernel, axis=(1, 2))
        rows.append(np.tensordot(real, view, axes=((1, 2, 3), (0, 3, 4))))
    return np.stack(rows)


def calibrate(sums: NDArray[np.int32], activity: float, rng: np.random.Generator) -> tuple[BatchNorm, NDArray[np.int8]]:
    """A batch norm behind which an activation fires for the wanted share of the sums (n, C, ...), and what fires.

    A channel of threshold k fires where its sum lies k or more from the channel's mean, rounded; threshold 0 stands
    for a channel that is never silent.
    """
    channels = sums.shape[1]
    flat = np.moveaxis(sums, 1, 0).reshape(channels, -1)
    centre = np.rint(flat.mean(axis=1)).astype(np.int32)
    distance = np.abs(flat - centre[:, None])
    top = int(distance.max()) + 2
    # fires[c, k]: how many sums of channel c lie at k or beyond.
    histogram = np.bincount((distance + top * np.arange(channels)[:, None]).ravel(), minlength=top * channels)
    fires = histogram.reshape(channels, top)[:, ::-1].cumsum(axis=1)[:, ::-1]
    wanted, totals = activity * flat.size, fires.sum(axis=0)
    k = int(np.searchsorted(-totals, -wanted, side="right")) - 1  # the last threshold that lets enough fire
    order = rng.permutation(channels)
    higher = fires[order, min(k + 1, top - 1)]
    left = totals[k] - np.concatenate([[0], np.cumsum(fires[order, k] - higher)])
    threshold = np.full(channels, k)
    threshold[order[: int(np.abs(left - wanted).argmin())]] += 1
    return _norm(threshold, centre), _fired(sums, threshold, centre)


def _norm(threshold: NDArray, centre: NDArray) -> BatchNorm:
    """``y = (s - centre) / (2 k - 1)``, so |y| > 0.5 says |s - centre| >= k; for k = 0, ``y = 2 (s - centre) + 1``."""
    never_silent = threshold == 0
    deviation = np.where(never_silent, 0.5, 2.0 * threshold - 1)
    mean = centre - np.where(never_silent, 0.5, 0.0)
    ones, eps = np.ones(len(threshold)), 1e-4
    return BatchNorm(*(a.astype(np.float32) for a in (ones, 0 * ones, mean, deviation**2 - eps)), eps=eps)


def _fired(sums: NDArray[np.int32], threshold: NDArray, centre: NDArray) -> NDArray[np.int8]:
    column = (-1, *[1] * (sums.ndim - 2))
    s, k = sums - centre.reshape(column), threshold.reshape(column)
    return ((s >= k).astype(np.int8) - ((s <= -k) & (s < k))).astype(np.int8)


def zoo_workload(name: str, frames: int = FRAMES, data: Path | None = None) -> Workload:
    """A shipped network on its own recordings, evenly spaced ones of the data's test part."""
    source = data_of(name, data)
    graph = compiler.compile(files.load_network(files.shipped(f"{name}.gxn")))
    dataset = open_dataset(source, limit=frames)
    made = [encoded.frames for encoded in encode_samples(graph, dataset)]
    return Workload(f"zoo:{name}", f"shipped network {name!r}, own recordings", graph, np.concatenate(made), None)


def data_of(name: str, data: Path | None) -> Path:
    """Where a shipped network's own data lies; OptionError where it is not, or for a name that is not known."""
    if name not in ZOO:
        raise OptionError(f"network zoo:{name}: expected one of {', '.join(f'zoo:{n}' for n in ZOO)}")
    if "/" not in ZOO[name]:
        return files.shipped(ZOO[name])
    if data is None or not (data / ZOO[name]).exists():
        raise OptionError(f"network zoo:{name}: its data {ZOO[name]} is not shipped: name its folder, --data DIR")
    return data / ZOO[name]


def build(name: str, activity: float | None, frames: int, seed: int = 0, data: Path | None = None) -> Workload:
    """The workload of that name: ``zoo:NETWORK`` on its own data (activity None), or a random network."""
    if name.startswith("zoo:"):
        return zoo_workload(name.removeprefix("zoo:"), frames, data)
    if activity is None:
        raise OptionError(f"network {name!r} has random weights: an activity is needed")
    return random_workload(name, activity, frames, seed)
