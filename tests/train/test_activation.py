"""The activation's forward is firing.fire, bit for bit; its derivative is the windows of the definition."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import firing, grid  # noqa: E402
from gxevent.errors import OptionError  # noqa: E402
from gxevent.train.activation import DiscreteActivation  # noqa: E402


@settings(max_examples=200, deadline=None)
@given(
    y=arrays(np.float32, st.integers(1, 30), elements=st.floats(-3, 3, width=32)),
    n=st.integers(0, 6),
    r=st.floats(0, 0.9),
    h=st.floats(1, 2),
)
def test_forward_is_fire(y, n, r, h):
    if n:
        edges = firing.edges(n, r, h)
        ulp = np.float32(np.inf)
        y = np.concatenate([y, edges, -edges, np.nextafter(edges, ulp), np.nextafter(-edges, -ulp), [0.0, -0.0]])
        y = y.astype(np.float32)
    got = DiscreteActivation(n, r, h)(torch.from_numpy(y)).numpy()
    expected = grid.to_values(firing.fire(y, n, r, h), n)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, expected)


def slope(y, **arguments):
    x = torch.tensor(y, requires_grad=True)
    DiscreteActivation(**arguments)(x).sum().backward()
    return x.grad.numpy()


def test_rectangular_derivative_of_the_ternary_step():
    y = [-1.1, -1.0, -0.5, -0.1, 0.0, 0.05, 0.5, 1.0, 1.01]
    got = slope(y, space=1, r=0.5, a=0.5)
    np.testing.assert_array_equal(got, np.array([0, 1, 1, 1, 1, 1, 1, 1, 0], np.float32))
    narrow = slope([0.35, 0.45, 0.6, 0.65, -0.5], space=1, r=0.5, a=0.125)
    np.testing.assert_array_equal(narrow, np.array([0, 4, 4, 0, 4], np.float32))


def test_triangular_derivative_of_the_ternary_step():
    got = slope([0.5, -0.5, 0.75, 0.25, 1.0, 0.0, 1.5], space=1, r=0.5, a=0.5, window="triangular")
    np.testing.assert_allclose(got, [2, 2, 1, 1, 0, 0, 0])


def test_binary_derivative_is_round_zero():
    np.testing.assert_array_equal(slope([-0.6, -0.5, 0.0, 0.5, 0.6], space=0, a=0.5), np.array([0, 1, 1, 1, 0], "f4"))


@pytest.mark.parametrize("n", range(1, 7))
@pytest.mark.parametrize("window", ["rectangular", "triangular"])
def test_one_window_of_area_one_at_each_edge(n, window):
    edges = firing.edges(n, 0.3)
    a = 0.4 * (0.7 / len(edges)) if n > 1 else 0.1  # so narrow that windows do not overlap
    y = np.linspace(0, 2, 400_001, dtype=np.float32)
    got = slope(y, space=n, r=0.3, a=a, window=window)
    assert np.sum(got) * (y[1] - y[0]) == pytest.approx(len(edges), rel=0.01)
    inside = np.min(np.abs(y[:, None] - edges), axis=1) < 0.99 * a if len(edges) < 9 else got > 0
    assert (got[inside] > 0).all()
    assert np.all(slope((edges + 1.01 * a).astype(np.float32), space=n, r=0.3, a=a, window=window) == 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"space": 8}, "Z_N"),
        ({"r": -0.1}, "r:"),
        ({"r": float("nan")}, "r:"),
        ({"space": 2, "r": 1.0}, "h > r"),
        ({"a": 0.0}, "half width"),
        ({"window": "gauss"}, "rectangular, triangular"),
    ],
)
def test_refuses_impossible_settings(arguments, message):
    with pytest.raises(OptionError, match=message):
        DiscreteActivation(**arguments)
