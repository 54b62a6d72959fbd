"""Folding: integer thresholds fire exactly where the float32 batch norm and activation do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent import firing
from gxevent.compiler.fold import Expression, fold
from gxevent.graph import ALWAYS, NEVER

FLOATS = st.floats(-50, 50, width=32)


def fire(thresholds, s: np.ndarray) -> np.ndarray:
    """Levels of channel 0 for sums s, by the definition in ``graph.Population``."""
    up = (s[:, None] >= thresholds.hi[0]).sum(axis=1)
    down = (s[:, None] <= thresholds.lo[0]).sum(axis=1)
    return thresholds.polarity[0] * (up - down)


@given(
    gamma=st.one_of(FLOATS, st.just(0.0), st.sampled_from([1e-38, -1e-38, 1e-20])),
    beta=FLOATS,
    mean=FLOATS,
    var=st.floats(0, 2500, width=32),
    unit=st.sampled_from([1.0, 0.5, 1 / 64, 1 / 9, 0.25 / 9]),
    bias=st.one_of(st.none(), FLOATS),
    levels=st.integers(0, 7),
    r=st.floats(0, 0.9),
    bound=st.integers(1, 3000),
)
def test_thresholds_fire_exactly_as_the_expression(gamma, beta, mean, var, unit, bias, levels, r, bound):
    one = [np.array([v], np.float32) for v in (gamma, beta, mean, var)]
    scale, offset = firing.affine(*one, eps=1e-4)
    bias = None if bias is None else np.array([bias], np.float32)
    s = np.arange(-bound, bound + 1)
    expected = firing.fire(firing.preactivation(s, unit, bias, scale, offset), levels, r)
    thresholds = fold(Expression(1, unit, bias, scale, offset), gx.Activation(levels, r), bound)
    np.testing.assert_array_equal(fire(thresholds, s), expected)


def test_exactly_at_the_threshold_stays_silent():
    """Ternary phi_r is strict: y == r gives 0, so with the identity norm s must reach r + 1."""
    one = np.ones(1, np.float32)
    thresholds = fold(Expression(1, 1.0, None, one, 0 * one), gx.Activation(1, r=3.0), 10)
    assert (thresholds.hi.item(), thresholds.lo.item()) == (4, -4)


def test_negative_gamma_flips_the_polarity():
    one = np.ones(1, np.float32)
    thresholds = fold(Expression(1, 1.0, None, -one, one), gx.Activation(1, r=0.5), 10)  # y = 1 - s
    assert (thresholds.polarity.item(), thresholds.hi.item(), thresholds.lo.item()) == (-1, 2, 0)


@pytest.mark.parametrize(("beta", "hi", "lo"), [(1.0, ALWAYS, ALWAYS), (0.0, NEVER, ALWAYS), (-1.0, NEVER, NEVER)])
def test_zero_gamma_is_a_constant(beta, hi, lo):
    """+1 everywhere, 0 everywhere, -1 everywhere; ``lo`` ALWAYS lies below every sum, so it is never reached."""
    zero = np.zeros(1, np.float32)
    thresholds = fold(Expression(1, 1.0, None, zero, zero + np.float32(beta)), gx.Activation(1, r=0.5), 10)
    assert (thresholds.hi.item(), thresholds.lo.item()) == (hi, lo if beta >= 0 else NEVER)
    s = np.array([-10, 0, 10])
    assert fire(thresholds, s).tolist() == [int(beta)] * 3


def test_binary_units_are_never_silent():
    one = np.ones(1, np.float32)
    thresholds = fold(Expression(1, 1.0, None, one, 0 * one), gx.Activation(0), 5)
    assert fire(thresholds, np.arange(-5, 6)).tolist() == [-1] * 5 + [1] * 6
