"""The optimizer: what it keeps, that a seed fixes it, and that it trains."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import OptionError  # noqa: E402
from gxevent.train.dst import DST  # noqa: E402
from gxevent.train.modules import DiscreteConv2d, DiscreteLinear, random_levels  # noqa: E402
from gxevent.train.networks import TernaryModule  # noqa: E402
from gxevent.train.recipes import LEARNING_RATES  # noqa: E402
from gxevent.train.rules import RULES, adam  # noqa: E402
from gxevent.train.topology import initial_network  # noqa: E402


def linear(out=5, into=7, space=1, seed=0):
    return DiscreteLinear(torch.from_numpy(random_levels((out, into), space, np.random.default_rng(seed))), space)


def train_steps(layer, optimizer, count, seed=3):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(count):
        x = torch.randn(11, layer.levels.shape[1], generator=generator)
        (layer(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def tensors_of(*objects):
    """Every tensor reachable from the objects' attributes, once."""
    seen, found, queue = set(), {}, list(objects)
    while queue:
        item = queue.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, torch.Tensor):
            found[item.data_ptr()] = item
            if item.grad is not None:
                queue.append(item.grad)
        elif isinstance(item, dict):
            queue += [*item.keys(), *item.values()]
        elif isinstance(item, list | tuple | set):
            queue += list(item)
        elif hasattr(item, "__dict__") and type(item).__module__.startswith(("gxevent", "torch.nn")):
            queue += list(vars(item).values())
    return list(found.values())


@pytest.mark.parametrize(("rule", "per_weight"), [("sgd", 1), ("momentum", 5), ("adam", 9)])
def test_only_levels_and_the_declared_state_persist(rule, per_weight):
    layer = linear(30, 40)
    optimizer = DST(layer, lr=0.1, rule=rule, seed=1)
    train_steps(layer, optimizer, 3)
    kept = tensors_of(layer, optimizer)
    assert sum(t.nbytes for t in kept) == per_weight * 30 * 40
    memory = optimizer.memory()
    assert (memory.weights, memory.levels) == (1200, 1200)
    assert memory.per_weight == per_weight
    assert layer.levels.dtype == torch.int8


def test_adam_steps_as_pytorch_does():
    generator = torch.Generator().manual_seed(0)
    weight = torch.nn.Parameter(torch.randn(6, 4, generator=generator))
    reference = torch.optim.Adam([weight], lr=0.03, betas=(0.8, 0.99), eps=1e-8)
    state = {}
    for _ in range(5):
        before = weight.detach().clone()
        weight.grad = torch.randn(6, 4, generator=generator)
        reference.step()
        options = {"lr": 0.03, "betas": (0.8, 0.99), "eps": 1e-8, "moment_bits": 32}
        step = adam(weight.grad, state, options, generator)(slice(None))
        torch.testing.assert_close(before + step, weight.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("space", range(7))
def test_learns_in_every_space(rule, space):
    layer = linear(1, 12, space)
    optimizer = DST(layer, lr={"adam": 0.05, "residue": 1.0}.get(rule, 0.02), rule=rule, seed=2)
    before = float((layer.weight().detach() - 1).square().mean())
    train_steps(layer, optimizer, 60)
    after = float((layer.weight().detach() - 1).square().mean())
    assert after < before or after == 0  # the target is the sum of the inputs: all weights 1


def test_same_seed_same_levels_whatever_else_draws():
    runs = []
    for seed, noise in ((4, 0), (4, 1), (5, 0)):
        layer = linear(20, 20)
        torch.manual_seed(noise)
        optimizer = DST(layer, lr=0.05, seed=seed)
        train_steps(layer, optimizer, 5)
        torch.rand(noise + 1)
        runs.append(layer.levels.detach().clone())
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])


@pytest.mark.parametrize("rule", RULES)
def test_state_continues_exactly(rule):
    layer = linear(20, 20)
    optimizer = DST(layer, lr=0.05, rule=rule, seed=1)
    train_steps(layer, optimizer, 3)
    state, levels = copy.deepcopy(optimizer.state_dict()), layer.levels.detach().clone()
    train_steps(layer, optimizer, 4, seed=9)

    other = DiscreteLinear(levels)
    resumed = DST(other, lr=0.7, rule=rule, seed=77)
    resumed.load_state_dict(state)
    train_steps(other, resumed, 4, seed=9)
    assert torch.equal(other.levels, layer.levels)
    with pytest.raises(OptionError, match="generator"):
        resumed.load_state_dict({"state": {}, "param_groups": []})


def test_gradients_of_several_forwards_add_up():
    layer = linear()
    x = torch.randn(3, 7, generator=torch.Generator().manual_seed(0))
    layer(x).sum().backward()
    layer(2 * x).sum().backward()
    torch.testing.assert_close(layer.take_gradient(), 3 * x.sum(0).expand(5, 7))
    assert layer.take_gradient() is None


def test_levels_loaded_between_forward_and_step_are_seen():
    layer = linear()
    x = torch.eye(7)
    layer(x)
    layer.load_state_dict({"levels": torch.ones(5, 7, dtype=torch.int8)})
    assert torch.equal(layer(x), torch.ones(7, 5))


def test_groups_have_their_own_options():
    still, moving = linear(seed=1), linear(seed=2)
    optimizer = DST([{"params": still, "lr": 0.0}, {"params": [moving]}], lr=1.0)
    before = still.levels.detach().clone(), moving.levels.detach().clone()
    x = torch.randn(4, 7, generator=torch.Generator().manual_seed(0))
    (still(x) + moving(x)).square().sum().backward()
    optimizer.step()
    assert torch.equal(still.levels, before[0])
    assert not torch.equal(moving.levels, before[1])


def test_a_layer_that_took_no_part_stays():
    used, idle = linear(seed=1), linear(seed=2)
    optimizer = DST([used, idle], lr=0.5)
    before = idle.levels.detach().clone()
    train_steps(used, optimizer, 2)
    assert torch.equal(idle.levels, before)


def test_copies_and_modes_keep_int8():
    model = TernaryModule(initial_network("4C3-MP2-3", (1, 8, 8)))
    for other in (copy.deepcopy(model), model.double(), model.half()):
        assert all(layer.levels.dtype == torch.int8 for layer in other.discrete_layers())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rule": "newton"}, "adam, sgd, momentum, residue"),
        ({"lr": -1.0}, "lr"),
        ({"lr": float("nan")}, "lr"),
        ({"lr": float("inf")}, "lr"),
        ({"m": 0.0}, "m"),
        ({"m": float("nan")}, "m"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"momentum": 1.5}, "momentum"),
        ({"moment_bits": 4}, "moment_bits"),
        ({"residue_bits": 3}, "residue_bits"),
        ({"rule": "residue", "residue_bits": 0}, "residue_bits"),
    ],
)
def test_refuses_impossible_options(arguments, message):
    with pytest.raises(OptionError, match=message):
        DST(linear(), **arguments)


def test_refuses_what_has_no_discrete_layer():
    with pytest.raises(OptionError, match="no discrete layer"):
        DST(torch.nn.Linear(2, 2))
    with pytest.raises(OptionError, match="not parameters"):
        DST(torch.nn.Linear(2, 2).parameters())


def test_layers_refuse_levels_outside_their_space():
    with pytest.raises(OptionError, match="Z_1"):
        DiscreteLinear(torch.full((2, 2), 2, dtype=torch.int8), 1)
    with pytest.raises(OptionError, match="int8"):
        DiscreteConv2d(torch.zeros(1, 1, 3, 3), 1)


@pytest.mark.parametrize("rule", RULES)
def test_moving_during_backward_gives_the_same_and_holds_one_gradient(rule):
    x = torch.randint(-1, 2, (6, 1, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.int8)
    made = []
    for in_backward in (False, True):
        model = TernaryModule(initial_network("4C3-MP2-20FC-3", (1, 8, 8), seed=5))
        optimizer = DST(model, lr=0.2, rule=rule, in_backward=in_backward, seed=9)
        for _ in range(3):
            model.train()(x).square().mean().backward()
            if in_backward:
                assert all(layer.gradient_bytes() == 0 for layer in model.discrete_layers())
            optimizer.step()
            optimizer.zero_grad()
        made.append([layer.levels.clone() for layer in model.discrete_layers()])
        sizes = [layer.levels.numel() * 4 for layer in model.discrete_layers()]
        assert optimizer.memory().gradients_peak == (max(sizes) if in_backward else sum(sizes))
    assert all(torch.equal(a, b) for a, b in zip(*made, strict=True))


def test_default_learning_rates():
    for rule, rate in LEARNING_RATES.items():
        assert DST(linear(1, 4, 1), rule=rule).param_groups[0]["lr"] == rate
