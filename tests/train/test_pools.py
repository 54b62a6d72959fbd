"""Max pools in one pass each way: PyTorch's, bit for bit, ties and odd sizes among them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.core import _dst  # noqa: E402
from gxevent.train.pools import MaxPool2d  # noqa: E402

SHAPES = [(2, 16, 8, 8), (3, 5, 6, 4), (1, 33, 7, 9), (2, 8, 2, 3), (2, 3, 5, 2), (0, 4, 4, 4)]


@pytest.fixture
def passes(monkeypatch):
    made = []
    pool, back = _dst.max_pool, _dst.max_pool_back
    monkeypatch.setattr(_dst, "max_pool", lambda *a, **k: (made.append("forward"), pool(*a, **k)))
    monkeypatch.setattr(_dst, "max_pool_back", lambda *a, **k: (made.append("backward"), back(*a, **k)))
    return made


def frames(shape, seed=0):
    """Few different values, so that most windows have a tie."""
    drawn = torch.randint(-2, 3, shape, generator=torch.Generator().manual_seed(seed)).float()
    return drawn.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_values_and_gradients_are_pytorchs(shape, passes):
    found, expected = (frames(shape).requires_grad_() for _ in range(2))
    y, plain = MaxPool2d(2, None, 0).train()(found), torch.nn.functional.max_pool2d(expected, 2)
    assert torch.equal(y, plain)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    y.backward(dy)
    plain.backward(dy)
    assert torch.equal(found.grad, expected.grad)
    assert passes == ["forward", "backward"]


def test_what_is_no_number_is_passed_on(passes):
    for place in range(4):
        x = frames((1, 3, 4, 4)).contiguous(memory_format=torch.channels_last)
        x[0, 1, place // 2, place % 2] = torch.nan
        y = MaxPool2d(2, 2, 0).train()(x)
        assert torch.equal(y.isnan(), torch.nn.functional.max_pool2d(x, 2).isnan())
        assert int(y.isnan().sum()) == 1
    assert passes == ["forward"] * 4


@pytest.mark.parametrize(
    ("options", "x"),
    [
        ((3, 2, 0), frames((2, 4, 8, 8))),
        ((2, 1, 0), frames((2, 4, 8, 8))),
        ((2, 2, 1), frames((2, 4, 8, 8))),
        ((2, 2, 0), frames((2, 4, 8, 8)).contiguous()),
        ((2, 2, 0), frames((2, 4, 8, 8)).bfloat16()),
    ],
)
def test_other_pools_are_left_to_pytorch(options, x, passes):
    kernel, stride, padding = options
    y = MaxPool2d(*options).train()(x)
    assert torch.equal(y, torch.nn.functional.max_pool2d(x, kernel, stride, padding))
    assert passes == []


@pytest.mark.parametrize("kernel", _dst.KERNELS)
def test_every_instruction_set_gives_the_same_bits(kernel):
    x = np.random.default_rng(0).integers(-2, 3, (3, 7, 6, 21)).astype(np.float32)
    dy = np.random.default_rng(1).normal(size=(3, 3, 3, 21)).astype(np.float32)
    made = []
    for name in ("generic", kernel):
        y, dx = np.full_like(dy, 7), np.full_like(x, 7)
        _dst.max_pool(x, y, kernel=name)
        _dst.max_pool_back(x, y, dy, dx, kernel=name)
        made.append((y, dx))
    for expected, found in zip(*made, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert float(made[0][1].sum()) == pytest.approx(float(dy.sum()), abs=1e-4)


def test_arrays_that_do_not_fit_are_refused():
    x, y = np.zeros((2, 4, 4, 3), np.float32), np.zeros((2, 2, 2, 3), np.float32)
    for other in (y[:1], y[:, :1], y[:, :, :1], y[..., :1]):
        with pytest.raises(ValueError, match="max_pool"):
            _dst.max_pool(x, other.copy())
        with pytest.raises(ValueError, match="max_pool"):
            _dst.max_pool_back(x, y, other.copy(), x.copy())
    with pytest.raises(ValueError, match="max_pool"):
        _dst.max_pool_back(x, y, y, np.zeros((2, 5, 4, 3), np.float32))
