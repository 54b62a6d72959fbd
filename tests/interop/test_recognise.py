"""Ternary weights in float tensors: scales found, everything else refused with the place and the distance."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gxevent.errors import FormatError, UnsupportedError
from gxevent.interop.recognise import weight_levels
from tests import networks


@given(
    st.integers(0, 2**32 - 1), st.sampled_from([0, 1]), st.booleans(), st.sampled_from([(5, 7), (4, 3, 3, 2), (1, 1)])
)
def test_scales_are_found(seed, space, per_channel, shape):
    rng = np.random.default_rng(seed)
    q = networks.levels(rng, shape, space)
    scale = rng.uniform(1e-3, 10, shape[0] if per_channel else 1).astype(np.float32)
    weight = (q * np.broadcast_to(scale, shape[0]).reshape(-1, *[1] * (len(shape) - 1))).astype(np.float32)
    found = weight_levels(weight, "w")
    np.testing.assert_array_equal(found.levels, q)
    assert found.space == int((q == 0).any())
    seen = np.abs(q.reshape(shape[0], -1)).max(axis=1) > 0
    np.testing.assert_allclose(found.scale[seen], np.broadcast_to(scale, shape[0])[seen], rtol=1e-6)


def test_weights_off_the_grid_are_named():
    weight = np.float32(0.5) * np.array([[1, -1, 0], [0, 1, 1]], np.float32)
    weight[1, 2] = 0.63
    with pytest.raises(UnsupportedError, match=r"layer '3': .* nearest ternary is 0\.13 off at weight \(1, 2\)"):
        weight_levels(weight, "layer '3'")


def test_positive_and_negative_scales_that_differ_are_refused():
    with pytest.raises(UnsupportedError, match="not ternary up to a scale"):
        weight_levels(np.array([[0.7, -0.4, 0.0, 0.7]]), "layer 'ttq'")


def test_numbers_must_be_finite():
    with pytest.raises(FormatError, match=r"layer 'a': weights are not finite, the first at \(0, 1\)"):
        weight_levels(np.array([[1.0, np.nan]]), "layer 'a'")


def test_whole_multiples_are_levels_of_a_larger_space():
    q = np.array([[3, -1, 0, 7], [2, 5, -8, 1]])
    found = weight_levels(np.float32(0.03) * q, "w")
    np.testing.assert_array_equal(found.levels, q)
    assert found.space == 4
    np.testing.assert_allclose(found.scale, 0.03, rtol=1e-6)
