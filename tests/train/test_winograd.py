"""Convolutions of training: those of PyTorch in float64, to the rounding of float32; evaluation has no part in them."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")
F = torch.nn.functional

from gxevent.core import _winograd  # noqa: E402
from gxevent.train import DST, winograd  # noqa: E402
from gxevent.train.modules import DiscreteConv2d, random_levels  # noqa: E402
from gxevent.train.real import RealConv2d  # noqa: E402

needs_instructions = pytest.mark.skipif(not _winograd.RUNS, reason="this processor has no AVX2 with FMA")

SHAPES = [
    # frames, channels, outputs, rows, cols, kernel, padding
    (3, 16, 16, 8, 8, 3, 1),
    (2, 32, 48, 7, 9, 3, 0),  # tiles that reach over the edge, odd sizes
    (5, 48, 64, 14, 14, 3, 1),
    (1, 16, 32, 3, 3, 3, 0),  # a single output
    (4, 32, 16, 1, 2, 3, 1),  # frames smaller than the kernel
    (3, 16, 16, 6, 6, 3, 4),  # more padding than the kernel reaches
    (2, 128, 128, 9, 9, 3, 1),  # large blocks
    (2, 32, 64, 12, 12, 5, 0),
    (3, 64, 32, 9, 7, 5, 2),
    (60, 16, 16, 8, 8, 5, 2),  # several blocks of tiles
]


def made(frames, channels, outputs, rows, cols, kernel, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(-1, 2, (frames, channels, rows, cols), generator=generator).float()
    weight = torch.randint(-1, 2, (outputs, channels, kernel, kernel), generator=generator).float()
    return x.contiguous(memory_format=torch.channels_last).requires_grad_(), weight.requires_grad_()


def results(convolution, x, weight, seed=1):
    """Output and both gradients, for one and the same gradient of the output."""
    y = convolution(x, weight)
    dy = torch.randn(y.shape, generator=torch.Generator().manual_seed(seed))
    return y.detach(), *torch.autograd.grad(y, (x, weight), dy.to(y.dtype))


def assert_close(found, expected, at_most=1e-5):
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == torch.float32
        assert a.shape == b.shape
        error = float((a.double() - b).abs().max() / b.abs().max())
        assert error < at_most


@needs_instructions
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_sums_and_gradients_are_pytorchs(shape, threads):
    *sizes, padding = shape
    x, weight = made(*sizes)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert winograd.applies(x, weight, (1, 1), (padding, padding), (1, 1), 1)
        found = results(lambda x, w: winograd.conv2d(x, w, padding), x, weight)
    finally:
        torch.set_num_threads(before)
    expected = results(lambda x, w: F.conv2d(x.double(), w.double(), padding=padding), x, weight)
    assert_close(found, expected)


@needs_instructions
def test_any_memory_layout_will_do():
    x, weight = made(3, 16, 32, 8, 8, 3)
    expected = results(lambda x, w: winograd.conv2d(x, w, 1), x, weight)
    rows = x.detach().contiguous().requires_grad_()
    inner = weight.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    found = results(lambda x, w: winograd.conv2d(x, w, 1), rows, inner)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    # a gradient that is one number stretched
    (stretched,) = torch.autograd.grad(winograd.conv2d(x, weight, 1).sum(), weight)
    (plain,) = torch.autograd.grad(F.conv2d(x.double(), weight.double(), padding=1).sum(), weight)
    assert_close([stretched], [plain])


@needs_instructions
def test_what_is_left_in_memory_does_not_matter(monkeypatch):
    """Blocks that no frame fills have rows of tiles that are multiplied with the others."""
    x, weight = made(1, 16, 16, 8, 8, 3)
    expected = results(lambda x, w: winograd.conv2d(x, w, 1), x, weight)
    rubbish = np.full(_winograd.work_size(16, 16, winograd.SMALL), np.nan, np.float32)
    monkeypatch.setattr(winograd, "_work", lambda weight: rubbish)
    found = results(lambda x, w: winograd.conv2d(x, w, 1), x, weight)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    whole = rubbish[: 36 * (winograd.SMALL * 16 + 16)].reshape(36, -1)[:, : 6 * 16]
    assert np.isfinite(whole).all()


@needs_instructions
def test_no_frames_give_none():
    x, weight = made(0, 16, 16, 8, 8, 3)
    y, dx, dw = results(lambda x, w: winograd.conv2d(x, w, 0), x, weight)
    assert y.shape == (0, 16, 6, 6)
    assert dx.shape == x.shape
    assert not dw.any()


@needs_instructions
def test_a_source_without_gradient_costs_none(monkeypatch):
    x, weight = made(2, 16, 16, 8, 8, 3)
    given = []
    backward = _winograd.backward
    monkeypatch.setattr(_winograd, "backward", lambda *a, **k: (given.append(a[3]), backward(*a, **k)))
    winograd.conv2d(x.detach(), weight, 1).sum().backward()
    assert set(given) == {None}
    (plain,) = torch.autograd.grad(F.conv2d(x.double(), weight.double(), padding=1).sum(), weight)
    assert_close([weight.grad], [plain])


@needs_instructions
@pytest.mark.parametrize("kind", [DiscreteConv2d, RealConv2d])
def test_layers_train_with_it_and_evaluate_without(kind, monkeypatch):
    levels = torch.from_numpy(random_levels((32, 16, 3, 3), 1, np.random.default_rng(0)))
    layer = DiscreteConv2d(levels, 1, 1, padding=1) if kind is DiscreteConv2d else RealConv2d(levels, padding=1)
    calls = []
    conv2d = winograd.conv2d
    monkeypatch.setattr(winograd, "conv2d", lambda *a: (calls.append(a), conv2d(*a))[1])
    x, _ = made(4, 16, 32, 6, 6, 3)
    layer.train()
    trained = layer(x)
    assert len(calls) == 1
    with torch.no_grad():
        layer.eval()
        evaluated = layer(x)
    assert len(calls) == 1
    torch.testing.assert_close(trained, evaluated, rtol=1e-5, atol=1e-4)
    if kind is DiscreteConv2d:
        assert torch.equal(evaluated, evaluated.round())


@needs_instructions
def test_bfloat16_is_left_to_pytorch():
    x, weight = made(2, 16, 16, 8, 8, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert not winograd.applies(x, weight, (1, 1), (1, 1), (1, 1), 1)
    assert not winograd.applies(x.bfloat16(), weight, (1, 1), (1, 1), (1, 1), 1)


@pytest.mark.parametrize(
    ("channels", "outputs", "kernel", "options"),
    [
        (24, 32, 3, {}),
        (32, 24, 3, {}),
        (16, 16, 1, {}),
        (16, 16, 7, {}),
        (16, 16, 3, {"stride": (2, 2)}),
        (16, 16, 3, {"dilation": (2, 2)}),
        (16, 16, 3, {"padding": (1, 0)}),
        (16, 16, 3, {"groups": 2}),
    ],
)
def test_what_it_does_not_compute(channels, outputs, kernel, options):
    x, weight = made(1, channels, outputs, 9, 9, kernel)
    given = {"stride": (1, 1), "padding": (0, 0), "dilation": (1, 1), "groups": 1} | options
    assert not winograd.applies(x, weight, **given)


@needs_instructions
def test_the_optimizer_moves_in_the_backward_pass_all_the_same():
    levels = torch.from_numpy(random_levels((16, 16, 3, 3), 1, np.random.default_rng(0)))
    moved = []
    for in_backward in (False, True):
        layer = DiscreteConv2d(levels, 1, 1, padding=1).train()
        optimizer = DST(torch.nn.ModuleList([layer]), lr=0.3, seed=1, in_backward=in_backward)
        for step in range(3):
            x, _ = made(4, 16, 16, 6, 6, 3, seed=step)
            layer(x).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()
        moved.append(layer.levels.clone())
    assert torch.equal(*moved)
    assert not torch.equal(moved[0], levels)


@needs_instructions
def test_arrays_that_do_not_fit_are_refused():
    x, y = np.zeros((2, 8, 8, 16), np.float32), np.zeros((2, 8, 8, 32), np.float32)
    u, work = np.zeros((36, 2, 16, 16), np.float32), np.zeros(_winograd.work_size(16, 32, 48), np.float32)
    options = {"kernel": 3, "padding": 1, "block": 48}
    _winograd.forward(x, u, y, work, **options)
    for given in [
        ((x[:1].copy(), u, y, work), options),
        ((x, u, y[:, :7].copy(), work), options),
        ((x, u[:, :1].copy(), y, work), options),
        ((x, u, y, work[:-1].copy()), options),
        ((x, u, y, work), options | {"kernel": 4}),
        ((x, u, y, work), options | {"block": 47}),
        ((x[..., :8].copy(), u, y, work), options),
    ]:
        with pytest.raises(ValueError, match="winograd"):
            _winograd.forward(*given[0], **given[1])
    du, back = np.zeros((36, 16, 32), np.float32), np.zeros((36, 1, 32, 16), np.float32)
    _winograd.backward(x, y, back, np.zeros_like(x), du, work, **options)
    for given in [
        (x, y, back, np.zeros_like(x), du[:, :8].copy(), work),
        (x, y, None, np.zeros_like(x), du, work),
        (x, y, u, np.zeros_like(x), du, work),
        (x, y, back, np.zeros_like(x[:1]), du, work),
        (x, y, back, np.zeros_like(x), du, work[:-1].copy()),
    ]:
        with pytest.raises(ValueError, match="winograd"):
            _winograd.backward(*given, **options)
