"""Convolutions on lanes of output pixels equal the NumPy reference: all geometries, graded sources, sums, threads."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent.runtime import costs, pixels, reference
from gxevent.runtime.plan import available_kernels
from gxevent.runtime.sliced import Convolution
from gxevent.runtime.units import choices
from tests import networks
from tests.runtime.test_engine import assert_same_counts

KERNELS = available_kernels()


@pytest.fixture
def preferred():
    """The cost model takes lanes of pixels wherever they can run."""
    with pytest.MonkeyPatch.context() as patch:
        prefer(patch)
        yield


def prefer(patch: pytest.MonkeyPatch) -> None:
    by_pixels = costs.by_pixels
    patch.setitem(costs.WITHOUT_TILING, "pixels", lambda work, kernel: by_pixels(work, kernel) - 1e12)


def units_of(engine: gx.Engine) -> list[str]:
    return [unit.choice.unit for unit in engine._lowered.units if unit.choice is not None]


def assert_equals_reference(engine: gx.Engine, frames: np.ndarray) -> None:
    expected = reference.run_graph(engine.graph, frames)
    for result in (engine.run(frames), engine.run(frames, mode="sample")):
        np.testing.assert_array_equal(result.accumulators, expected.accumulators[engine.graph.readout.name])
        assert_same_counts(result.counts, expected)


@given(networks.networks(image=True), st.sampled_from(KERNELS), st.integers(1, 2), st.integers(0, 99))
def test_random_networks(network, kernel, threads, seed):
    with pytest.MonkeyPatch.context() as patch:
        prefer(patch)
        engine = gx.Engine(gx.compile(network), kernel=kernel, threads=threads)
    assert_equals_reference(engine, networks.frames(np.random.default_rng(seed), network))


def convolution(rng: np.random.Generator, shape: tuple[int, int, int], out: int, **options) -> gx.TernaryNetwork:
    """One convolution of ``options``, thresholds, sums of 2x2, a small dense read-out."""
    kernel, groups = options.pop("kernel", (3, 3)), options.get("groups", 1)
    conv = gx.Conv2d(networks.levels(rng, (out, shape[0] // groups, *kernel)), **options)
    padding, dilation = options.get("padding", 0), options.get("dilation", 1)
    height, width = (n + 2 * padding - (k - 1) * dilation for n, k in zip(shape[1:], kernel, strict=True))
    layers = [conv, networks.batch_norm(rng, out), gx.Activation(), gx.SumPool2d(2), gx.Activation(), gx.Flatten()]
    layers.append(gx.Dense(networks.levels(rng, (3, out * (height // 2) * (width // 2)))))
    return gx.TernaryNetwork(shape, None, layers)


CASES = {
    "several chunks": ((3, 40, 40), 5, {"padding": 1}),
    "lines of several words": ((2, 5, 150), 4, {"padding": 2, "kernel": (3, 5)}),
    "57 columns": ((1, 9, 57), 3, {"padding": 1}),
    "more than 64 channels on both sides": ((70, 6, 7), 130, {"padding": 1}),
    "depthwise": ((65, 9, 9), 65, {"groups": 65, "padding": 1}),
    "dilated past the image": ((2, 6, 6), 3, {"dilation": 5, "padding": 5}),
    "even kernel": ((4, 11, 16), 8, {"kernel": (2, 4)}),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("density", [0.0, 0.3, 1.0])
def test_shapes(preferred, kernel, case, density):
    shape, out, options = CASES[case]
    rng = np.random.default_rng(len(case))
    engine = gx.Engine(gx.compile(convolution(rng, shape, out, **options)), kernel=kernel)
    assert units_of(engine)[0] == "pixels"
    assert_equals_reference(engine, networks.levels(rng, (5, *shape), density=density))


@pytest.mark.parametrize("kernel", KERNELS)
def test_weights_that_all_agree_with_the_events(preferred, kernel):
    """The largest sums, channels without a weight of one sign, and one without any."""
    frame = np.random.default_rng(1).choice(np.array([-1, 1], np.int8), (1, 12, 12))
    window = frame[:, :7, :7]
    weight = np.stack([window, -window, 0 * window, np.abs(window), -np.abs(window)])
    high = gx.BatchNorm(np.full(5, 0.0103), np.zeros(5), np.zeros(5), np.ones(5) - 1e-4)  # fires at 49 and -49 alone
    layers = [gx.Conv2d(weight), high, gx.Activation(), gx.Flatten(), gx.Dense(np.eye(180, dtype=np.int8))]
    engine = gx.Engine(gx.compile(gx.TernaryNetwork((1, 12, 12), None, layers)), kernel=kernel)
    assert units_of(engine)[0] == "pixels"
    frames = np.stack([frame, -frame, 0 * frame, np.abs(frame)])
    assert_equals_reference(engine, frames)
    assert engine.run(frames).accumulators[:2, [0, 36]].tolist() == [[1, -1], [-1, 1]]


def test_what_does_not_fit():
    weight = np.ones((8, 4, 3, 3), np.int8)
    conv = Convolution(weight, (4, 10, 10), (8, 8, 8))
    assert pixels.fits(conv, 1)
    assert not pixels.fits(conv, 2)
    assert not pixels.fits(replace(conv, stride=(2, 1)), 1)
    assert not pixels.fits(Convolution.of_dense(weight[:, :, 0, 0]), 1)
    huge = Convolution(np.broadcast_to(np.int8(1), (8, 2048, 3, 3)), (2048, 1026, 1026), (8, 1024, 1024))
    assert not pixels.fits(huge, 1)


def test_the_model_takes_them_for_busy_sources():
    graph = gx.compile(networks.lenet())
    wide = gx.compile(convolution(np.random.default_rng(0), (64, 16, 16), 64, padding=1))
    for share, unit in ((0.02, "slices"), (1.0, "pixels")):
        activity = {name: share for name, p in wide.populations.items() if p.sends_events}
        assert choices(replace(wide, activity=activity), KERNELS[-1])["conv1"].unit == unit
    assert choices(graph, KERNELS[-1])["dense1"].unit == "slices"
