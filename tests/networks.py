"""Random networks for tests: arrays from a seed, structure from whoever asks (Hypothesis or a plain test)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

import gxevent as gx
from gxevent import grid


def levels(rng: np.random.Generator, shape: tuple[int, ...], n: int = 1, density: float = 2 / 3) -> np.ndarray:
    """Random int8 levels of Z_n; the given share is nonzero (Z_0 has no zeros)."""
    choices = grid.levels(n)
    q = rng.choice(choices[choices != 0], size=shape)
    return q if n == 0 else np.where(rng.random(shape) < density, q, 0).astype(np.int8)


def batch_norm(rng: np.random.Generator, channels: int, spread: float = 3.0) -> gx.BatchNorm:
    """Random parameters with positive, negative and zero gamma; ``spread`` is the size of the sums to expect."""
    gamma = rng.normal(size=channels)
    gamma[rng.random(channels) < 0.1] = 0.0
    mean, var = spread * rng.normal(size=channels), spread**2 * rng.uniform(0.1, 2.0, channels)
    return gx.BatchNorm(gamma, 0.5 * rng.normal(size=channels), mean, var)


def lenet(seed: int = 0) -> gx.TernaryNetwork:
    """The paper's MNIST net, 32C5-MP2-64C5-MP2-512FC-10, with random weights and plausible batch norms."""
    rng = np.random.default_rng(seed)
    layers: list = []
    for out, inputs, spread in ((32, 1, 3.0), (64, 32, 15.0)):
        layers += [gx.Conv2d(levels(rng, (out, inputs, 5, 5))), gx.MaxPool2d(2), batch_norm(rng, out, spread)]
        layers += [gx.Activation()]
    layers += [gx.Flatten(), gx.Dense(levels(rng, (512, 1024))), batch_norm(rng, 512, 18.0), gx.Activation()]
    layers += [gx.Dense(levels(rng, (10, 512))), batch_norm(rng, 10, 12.0)]
    return gx.TernaryNetwork((1, 28, 28), None, layers)


class _Builder:
    """Draws one random network, block by block; ``shape`` is that of the signal so far."""

    def __init__(self, draw) -> None:
        self.draw = draw
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.density = draw(st.sampled_from([0.0, 0.1, 0.67, 1.0]))
        self.n_weight = draw(st.sampled_from([0, 1, 1, 2, 4]))
        self.n_act = draw(st.sampled_from([0, 1, 1, 2, 3]))
        self.r = draw(st.sampled_from([0.0, 0.25, 0.5]))
        self.layers: list = []

    def weight(self, *shape: int) -> np.ndarray:
        return levels(self.rng, shape, self.n_weight, self.density)

    def bias(self, channels: int) -> np.ndarray | None:
        return self.rng.normal(size=channels).astype(np.float32) if self.draw(st.booleans()) else None

    def norm(self, channels: int) -> None:
        if self.draw(st.booleans()):
            self.layers.append(batch_norm(self.rng, channels))

    def activation(self) -> None:
        self.layers.append(gx.Activation(levels=self.n_act, r=self.r))

    def pair(self, least: int, most: int) -> tuple[int, int]:
        return self.draw(st.tuples(st.integers(least, most), st.integers(least, most)))

    def dense(self, inputs: int, outputs: int) -> None:
        self.layers.append(gx.Dense(self.weight(outputs, inputs), levels=self.n_weight, bias=self.bias(outputs)))

    def conv_block(self, shape: tuple[int, int, int]) -> tuple[int, int, int]:
        """[pad] conv [pool] [norm] act [max-pool] [skip], as far as the image is large enough."""
        draw, (channels, height, width) = self.draw, shape
        groups = draw(st.sampled_from([1, 1, channels]))
        out = groups * draw(st.integers(1, 40 if groups == 1 else 3))
        if draw(st.integers(0, 3)) == 0:
            padding = draw(st.tuples(*[st.integers(0, 2)] * 4))
            self.layers.append(gx.Pad2d(padding))
            height, width = height + padding[2] + padding[3], width + padding[0] + padding[1]
        pad, dilation, stride = self.pair(0, 2), self.pair(1, 2), self.pair(1, 2)
        kernel = [
            draw(st.integers(1, max(1, min(4, (n + 2 * p - 1) // d))))
            for n, p, d in zip((height, width), pad, dilation, strict=True)
        ]
        weight = self.weight(out, channels // groups, *kernel)
        self.layers.append(gx.Conv2d(weight, stride, pad, dilation, groups, self.n_weight))
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip((height, width), pad, dilation, kernel, stride, strict=True)
        )
        height, width = self.pool(height, width, (gx.MaxPool2d, gx.SumPool2d, gx.AvgPool2d))
        self.norm(out)
        self.activation()
        height, width = self.pool(height, width, (gx.MaxPool2d,))
        if draw(st.integers(0, 2)) == 0:
            self.skip(out)
        return out, height, width

    def pool(self, height: int, width: int, kinds: tuple) -> tuple[int, int]:
        kind = self.draw(st.sampled_from((None, *kinds)))
        if kind is None or min(height, width) < 2:
            return height, width
        kernel, stride = self.pair(1, 2), self.pair(1, 2)
        padding = tuple(self.draw(st.integers(0, k // 2)) for k in kernel)
        self.layers.append(kind(kernel, stride, padding))
        sizes = zip((height, width), kernel, stride, padding, strict=True)
        height, width = ((n + 2 * p - k) // s + 1 for n, k, s, p in sizes)
        return height, width

    def skip(self, channels: int) -> None:
        """Residual block: two convolutions around which the events also travel directly."""
        name = f"skip{len(self.layers)}"
        self.layers[-1] = replace(self.layers[-1], name=name)
        conv = gx.Conv2d(self.weight(channels, channels, 3, 3), padding=1, levels=self.n_weight, name=f"{name}-conv")
        self.layers += [conv, gx.Add(inputs=(name, f"{name}-conv"))]
        self.norm(channels)
        self.activation()


@st.composite
def networks(draw, image: bool | None = None, input_levels: int | None = None) -> gx.TernaryNetwork:
    """Small networks over everything the compiler knows: kernels, strides, padding, dilation, groups, pools before
    and after the threshold, skips, all kinds of activation, bias, graded input, and no image at all."""
    build = _Builder(draw)
    if image or (image is None and draw(st.integers(0, 4))):
        input_shape = shape = draw(st.tuples(st.integers(1, 3), st.integers(3, 9), st.integers(3, 9)))
        for _ in range(draw(st.integers(1, 2))):
            shape = build.conv_block(shape)
        build.layers.append(gx.Flatten())
    else:
        input_shape = shape = (draw(st.integers(1, 40)),)
    size = int(np.prod(shape))
    if draw(st.booleans()):
        hidden = draw(st.integers(1, 300))
        build.dense(size, hidden)
        build.norm(hidden)
        build.activation()
        size = hidden
    classes = draw(st.integers(1, 12))
    build.dense(size, classes)
    build.norm(classes)
    input_levels = draw(st.sampled_from([1, 1, 0, 3, 7])) if input_levels is None else input_levels
    return gx.TernaryNetwork(input_shape, None, build.layers, input_levels=input_levels)


def frames(rng: np.random.Generator, network: gx.TernaryNetwork, n: int = 5) -> np.ndarray:
    """Frames int8 (n, *input_shape): an empty one, an all-active one, the rest at random density."""
    space = network.input_levels
    made = [levels(rng, network.input_shape, space, density) for density in (0.0, 1.0, *rng.random(n - 2))]
    return np.stack(made).astype(np.int8)
