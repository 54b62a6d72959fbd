"""The discrete state transition against a plain transcription of its definition, exactly and in the mean."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import grid  # noqa: E402
from gxevent.train.transition import transition  # noqa: E402

SPACES = range(7)


def transcription(level, d, n, m, uniform):
    """One weight, in float64, written as the definition reads."""
    dz = 2.0 if n == 0 else 1 / 2 ** (n - 1)
    w = float(level) if n == 0 else level * dz
    rho = min(max(d, -1 - w), 1 - w)
    kappa = int(rho / dz)  # int() cuts towards zero
    nu = rho - kappa * dz
    tau = np.tanh(m * abs(nu) / dz)
    sign = (rho > 0) - (rho < 0)
    w = w + dz * (kappa + sign * (uniform < tau))
    return int(w) if n == 0 else int(w / dz)


def apply(levels, d, n, m, uniform):
    as_float = (torch.from_numpy(np.asarray(v, np.float32)) for v in (d, uniform))
    return transition(torch.from_numpy(np.asarray(levels, np.int8)), next(as_float), n, m, next(as_float)).numpy()


@pytest.mark.parametrize("n", SPACES)
def test_equals_the_transcription(n):
    rng = np.random.default_rng(n)
    size = 4000
    levels = rng.choice(grid.levels(n), size)
    d = (rng.standard_normal(size) * rng.choice([0.01, 0.3, 1, 5], size)).astype(np.float32)
    d[::17] = 0
    d[1::17] = rng.choice([-1, 1], d[1::17].size) * grid.step(n)  # whole steps leave no remainder
    uniform = rng.random(size).astype(np.float32)
    moved = apply(levels, d, n, 3.0, uniform)
    dz = grid.step(n)
    for i in range(size):
        weight = float(levels[i]) * grid.unit(n)
        rho = min(max(float(d[i]), -1 - weight), 1 - weight)
        tau = np.tanh(3 * abs(rho - int(rho / dz) * dz) / dz)
        if abs(tau - uniform[i]) > 1e-6:  # float32 and float64 tanh may fall on either side of the draw
            assert moved[i] == transcription(int(levels[i]), float(d[i]), n, 3.0, float(uniform[i]))
    assert moved.dtype == np.int8
    assert grid.contains(moved, n).all()


@pytest.mark.parametrize(
    ("n", "level", "d", "uniform", "expected"),
    [
        (1, 0, 0.5, 0.90, 1),  # tanh(1.5) = 0.905
        (1, 0, 0.5, 0.91, 0),
        (1, 0, -0.5, 0.90, -1),
        (1, 1, 0.7, 0.0, 1),  # at the boundary nothing is left to move
        (1, 1, -2.0, 0.999, -1),  # two whole steps, no remainder
        (1, -1, 9.0, 0.0, 1),  # the boundary cuts the step
        (1, 0, 0.0, 0.0, 0),
        (0, 1, -1.0, 0.90, -1),  # nu / dz = 1/2 of a step of 2
        (0, 1, -1.0, 0.91, 1),
        (0, -1, -1.0, 0.0, -1),
        (3, 1, 0.3, 0.53, 3),  # one step of 0.25, then tanh(0.6) = 0.537
        (3, 1, 0.3, 0.54, 2),
    ],
)
def test_cases_by_hand(n, level, d, uniform, expected):
    assert apply([level], [d], n, 3.0, [uniform])[0] == expected


@pytest.mark.parametrize("n", [0, 1, 4])
def test_the_share_of_extra_steps_is_tau(n):
    rng = np.random.default_rng(5)
    size, dz = 200_000, grid.step(n)
    start = grid.levels(n)[0]
    for part in (0.05, 0.4):
        moved = apply(np.full(size, start), np.full(size, part * dz), n, 3.0, rng.random(size))
        share = np.mean(moved != start)
        tau = np.tanh(3 * part)
        assert abs(share - tau) < 5 * np.sqrt(tau * (1 - tau) / size)


@settings(max_examples=200, deadline=None)
@given(
    n=st.integers(0, 6),
    d=st.floats(-100, 100, width=32),
    uniform=st.floats(0, 1, exclude_max=True, width=32),
    m=st.floats(0.1, 20),
    data=st.data(),
)
def test_never_leaves_the_space(n, d, uniform, m, data):
    level = data.draw(st.sampled_from(grid.levels(n).tolist()))
    moved = int(apply([level], [d], n, m, [uniform])[0])
    assert grid.contains(np.array(moved), n)
    assert (moved - level) * d >= 0  # never against the step
