"""Adam and transition in one pass: the same as the rule and the transition one after the other."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import grid  # noqa: E402
from gxevent.core import _dst  # noqa: E402
from gxevent.train import fused  # noqa: E402
from gxevent.train.activation import DiscreteActivation, derivative  # noqa: E402
from gxevent.train.dst import DST  # noqa: E402
from gxevent.train.modules import DiscreteConv2d, DiscreteLinear, random_levels  # noqa: E402
from gxevent.train.rules import adam  # noqa: E402
from gxevent.train.transition import transition  # noqa: E402

OPTIONS = {"rule": "adam", "moment_bits": 32, "residue_bits": 0, "eps": 1e-8, "betas": (0.99, 0.999)}


def random_gradient(shape, generator):
    return torch.randn(shape, generator=generator) * torch.rand(shape, generator=generator) ** 4


@pytest.mark.parametrize("space", range(7))
@pytest.mark.parametrize(("lr", "m"), [(0.03, 3.0), (0.5, 10.0), (3.0, 0.3), (0.0, 3.0)])
def test_levels_are_those_of_rule_and_transition(space, lr, m):
    options = OPTIONS | {"lr": lr, "m": m}
    shape = (37, 3001)  # no multiple of a block, nor of a vector
    levels = torch.from_numpy(random_levels(shape, space, np.random.default_rng(space)))
    moved, state, expected_state, generator = levels.clone(), {}, {}, torch.Generator().manual_seed(space)
    for step in range(4):
        gradient = random_gradient(shape, torch.Generator().manual_seed(step))
        draws = torch.Generator().manual_seed(100 + step)
        proposed = adam(gradient, expected_state, options, generator)(slice(None))
        before = moved.clone()
        expected = transition(before, proposed, space, m, torch.rand(shape, generator=draws))
        draws.manual_seed(100 + step)
        fused.move(moved, gradient, state, options, space, draws)
        assert bool(grid.contains(moved.numpy(), space).all())
        # A draw that lies within the rounding of its probability may fall either way.
        assert int((moved != expected).sum()) <= 2
        assert lr == 0 or int((moved != before).sum()) > 0
        moved = expected.clone()
        for name in ("first", "second"):
            torch.testing.assert_close(state[name], expected_state[name], rtol=1e-5, atol=1e-7)
    assert state["count"] == 4


@pytest.mark.parametrize("kernel", _dst.KERNELS)
def test_every_instruction_set_gives_the_same_bits(kernel):
    generator = torch.Generator().manual_seed(5)
    count = 1003
    levels = torch.from_numpy(random_levels((count,), 1, np.random.default_rng(0)))
    gradient, first, uniform = (torch.randn(count, generator=generator) for _ in range(3))
    second, uniform = gradient.square() + 0.1, uniform.sigmoid()
    made = []
    for name in ("generic", kernel):
        given = [tensor.clone() for tensor in (levels, gradient, first, second, uniform)]
        _dst.adam_transition(
            *(tensor.numpy() for tensor in given),
            betas=(0.9, 0.99),
            rate=0.5,
            correction=1.5,
            eps=1e-8,
            unit=1.0,
            dz=1.0,
            m=3.0,
            kernel=name,
        )
        made.append(given)
    for expected, found in zip(*made, strict=True):
        assert torch.equal(expected, found)
    assert not torch.equal(made[0][0], levels)


@pytest.mark.parametrize("kernel", _dst.KERNELS)
@pytest.mark.parametrize(("edge", "a"), [(0.5, 1.0), (0.0, 0.3), (0.25, 0.125)])
def test_a_window_in_one_pass_is_the_definition_bit_for_bit(kernel, edge, a):
    generator = torch.Generator().manual_seed(3)
    y, gradient = (torch.randn(1003, generator=generator) for _ in range(2))
    y[:6] = torch.tensor([edge, -edge, edge + a, -edge - a, 0.0, -0.0])
    passed = torch.full_like(y, 7)
    given = (tensor.numpy() for tensor in (y, gradient, passed))
    _dst.window(*given, edge=edge, a=a, slope=1 / (a * a), kernel=kernel)
    assert torch.equal(passed, gradient * derivative(y, (edge,), "triangular", a))


LAYOUTS = {
    "as made": lambda x: x,
    "channels innermost": lambda x: x.contiguous(memory_format=torch.channels_last),
    "turned": lambda x: x.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0),
    "every other": lambda x: x.repeat_interleave(2, -1)[..., ::2],
    "one number": lambda x: x[:1, :1, :1, :1].expand(x.shape),
}
"""The same numbers (but for the last), otherwise in memory."""


@pytest.mark.parametrize("of_gradient", LAYOUTS)
@pytest.mark.parametrize("of_y", LAYOUTS)
def test_the_activation_takes_it_whatever_the_layout(of_y, of_gradient, monkeypatch):
    passes = []
    window = _dst.window
    monkeypatch.setattr(_dst, "window", lambda *given, **options: (passes.append(1), window(*given, **options)))
    drawn = torch.randn((2, 3, 4, 5, 6), generator=torch.Generator().manual_seed(1))
    y, gradient = LAYOUTS[of_y](drawn[0]).requires_grad_(), LAYOUTS[of_gradient](drawn[1])
    DiscreteActivation(1, r=0.5, a=0.7, window="triangular")(y).backward(gradient)
    assert passes == [1]
    assert torch.equal(y.grad, gradient * derivative(y.detach(), (0.5,), "triangular", 0.7))


def test_arrays_of_different_lengths_are_refused():
    short, long = np.zeros(3, np.float32), np.zeros(4, np.float32)
    numbers = {"betas": (0.9, 0.99), "rate": 1, "correction": 1, "eps": 1e-8, "unit": 1, "dz": 1, "m": 3}
    with pytest.raises(ValueError, match="different lengths"):
        _dst.adam_transition(np.zeros(3, np.int8), short, short.copy(), short.copy(), long, **numbers)
    with pytest.raises(ValueError, match="different lengths"):
        _dst.window(short, long, short.copy(), edge=0.5, a=1, slope=1)


def test_the_optimizer_takes_it_for_every_kind_of_layer_and_forgets_the_transient_weights():
    """A convolution's gradient lies with its input channels innermost; levels and averages do not."""
    rng = np.random.default_rng(1)
    conv = DiscreteConv2d(torch.from_numpy(random_levels((6, 3, 5, 5), 1, rng)), 1, 1)
    dense = DiscreteLinear(torch.from_numpy(random_levels((4, 6), 1, rng)), 1, 1)
    before = [conv.levels.clone(), dense.levels.clone()]
    optimizer = DST(torch.nn.ModuleList([conv, dense]), lr=0.2, seed=3)
    assert all(fused.applies(layer.levels, optimizer.param_groups[0]) for layer in (conv, dense))
    for _ in range(3):
        x = torch.randn(8, 3, 9, 9, generator=torch.Generator().manual_seed(0))
        dense(conv(x).mean((2, 3))).square().mean().backward()
        gradient = conv._weight.grad.clone()
        optimizer.step()
    state = optimizer.state[conv.levels]
    assert state["first"].is_contiguous()
    assert state["first"].shape == gradient.shape
    correlation = torch.corrcoef(torch.stack([state["first"].flatten(), gradient.flatten()]))[0, 1]
    assert correlation > 0.5  # each weight's average is of its own gradient
    assert not any(torch.equal(a, b) for a, b in zip(before, (conv.levels, dense.levels), strict=True))
    assert torch.equal(conv.weight().detach(), conv.levels.float())
