"""The residue: what is kept of a step, that it packs and shares a byte without loss, and that it resumes exactly."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import grid  # noqa: E402
from gxevent.train import residue  # noqa: E402
from gxevent.train.dst import DST  # noqa: E402
from gxevent.train.modules import DiscreteConv2d, DiscreteLinear, random_levels  # noqa: E402
from gxevent.train.residue import fits, join, level_of, pack, spend, unpack  # noqa: E402

SPACES = range(7)


def spent(levels, d, kept, n, bits):
    arrays = (np.asarray(levels, np.int8), np.asarray(d, np.float32), np.asarray(kept, np.int8))
    moved, rest = spend(*map(torch.from_numpy, arrays), n, bits)
    return moved.numpy(), rest.numpy()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("n", SPACES)
def test_at_most_half_a_notch_is_lost_when_the_residue_is_kept(n, bits):
    rng = np.random.default_rng([n, bits])
    size, dz, notches = 5000, grid.step(n), 1 << (bits - 1)
    levels = rng.choice(grid.levels(n), size)
    kept = rng.integers(1 - notches, notches, size)
    d = (rng.standard_normal(size) * rng.choice([0.01, 0.3, 1, 5], size)).astype(np.float32)
    moved, rest = spent(levels, d, kept, n, bits)
    assert moved.dtype == rest.dtype == np.int8
    assert grid.contains(moved, n).all()
    assert (np.abs(rest) < notches).all()
    before = levels * grid.unit(n) + kept * dz / notches
    after = moved * grid.unit(n) + rest * dz / notches
    wanted = np.clip(before + d.astype(np.float64), -1, 1)
    assert (np.abs(after - wanted) <= dz / notches / 2 + 1e-6).all()


@pytest.mark.parametrize(
    ("level", "kept", "d", "moved", "rest"),
    [
        (0, 0, 0.24, 0, 0),  # notches of a half: less than half of one is lost
        (0, 0, 0.26, 0, 1),
        (0, 1, 0.26, 1, 0),  # two notches are a grid step, and spent
        (0, 1, -0.4, 0, 0),
        (0, -1, 0.5, 0, 0),
        (0, -1, 1.6, 1, 0),
        (0, 0, -0.8, -1, 0),  # rounded up to a whole step
        (1, 0, 0.9, 1, 0),  # at the boundary nothing is left to move, and nothing to keep
        (1, -1, -0.5, 0, 0),
        (1, -1, 0.3, 1, 0),
        (-1, 0, 9.0, 1, 0),
        (1, 0, -1.5, 0, -1),
    ],
)
def test_residues_by_hand(level, kept, d, moved, rest):
    assert [int(made[0]) for made in spent([level], [d], [kept], 1, 2)] == [moved, rest]


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("count", [1, 4, 7, 64])
def test_notches_are_packed_without_loss(bits, count):
    notches = (
        np.random.default_rng(count).integers(1 - (1 << (bits - 1)), 1 << (bits - 1), (count, 3, 1)).astype(np.int8)
    )
    packed = pack(torch.from_numpy(notches), bits)
    assert packed.dtype == torch.uint8
    assert packed.shape == (count, -(-3 * bits // 8))
    np.testing.assert_array_equal(unpack(packed, bits, torch.from_numpy(notches)).numpy(), notches)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("n", SPACES)
def test_a_byte_that_holds_both_gives_both_back(n, bits):
    levels, notches = np.meshgrid(grid.levels(n), np.arange(1 - (1 << (bits - 1)), 1 << (bits - 1)))
    whole = (levels.astype(int) << bits) + notches
    assert fits(n, bits) == (np.abs(whole).max() <= 127)
    if fits(n, bits):
        pair = [torch.from_numpy(part.astype(np.int8)) for part in (levels, notches)]
        cells = join(*pair, bits)
        np.testing.assert_array_equal(cells.numpy(), whole)
        np.testing.assert_array_equal(level_of(cells, bits).numpy(), levels)


def layer_of(space=1):
    return DiscreteLinear(torch.from_numpy(random_levels((20, 30), space, np.random.default_rng(0))), space)


def train(layer, optimizer, count, seed=3):
    """Levels after each of some steps."""
    generator, moved = torch.Generator().manual_seed(seed), []
    for _ in range(count):
        x = torch.randn(11, 30, generator=generator)
        (layer(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        moved.append(layer.levels.clone())
    return torch.stack(moved)


@pytest.mark.parametrize("rule", ["residue", "sgd"])
@pytest.mark.parametrize(("space", "bits"), [(0, 4), (1, 2), (1, 4), (3, 4)])
def test_where_the_residue_lies_changes_nothing(space, bits, rule, monkeypatch):
    moved, sizes = [], []
    for apart in (False, True):
        if apart:
            monkeypatch.setattr(residue, "fits", lambda n, bits: False)
        layer = layer_of(space)
        optimizer = DST(layer, lr={"residue": 0.2, "sgd": 10.0}[rule], rule=rule, residue_bits=bits)
        moved.append(train(layer, optimizer, 12))
        sizes.append(optimizer.memory().state)
        torch.testing.assert_close(layer.weight().detach(), layer.levels * grid.unit(space), rtol=0, atol=0)
    assert torch.equal(*moved)
    assert len(torch.unique(moved[0], dim=0)) > 6
    assert sizes[1] - sizes[0] == -(-30 * bits // 8) * 20


@pytest.mark.parametrize("space", [1, 6])
def test_training_goes_on_exactly_from_saved_state(space):
    """The layer's state has levels only; the optimizer's has the residue, wherever it lies."""
    layer = layer_of(space)
    optimizer = DST(layer, lr=0.1, rule="residue")
    train(layer, optimizer, 6)
    states = copy.deepcopy((layer.state_dict(), optimizer.state_dict()))
    assert list(states[0]) == ["levels"]
    assert grid.contains(states[0]["levels"].numpy(), space).all()
    wanted = train(layer, optimizer, 6, seed=9)

    for order in (0, 1), (1, 0):
        other = layer_of(space)
        resumed = DST(other, lr=0.7, rule="residue", seed=5)
        train(other, resumed, 2)  # has a residue of its own, which the loaded one replaces
        for i in order:
            (other, resumed)[i].load_state_dict(copy.deepcopy(states[i]))
        assert torch.equal(train(other, resumed, 6, seed=9), wanted)


@pytest.mark.parametrize(("space", "bits"), [(0, 4), (1, 2), (1, 4), (3, 4)])
def test_a_convolution_computes_with_the_levels_alone(space, bits):
    rng = np.random.default_rng(bits)
    levels = torch.from_numpy(random_levels((6, 4, 3, 3), space, rng))
    plain, shared = DiscreteConv2d(levels, space), DiscreteConv2d(levels, space)
    notches = rng.integers(1 - (1 << (bits - 1)), 1 << (bits - 1), levels.shape).astype(np.int8)
    shared.share(bits, torch.from_numpy(notches))
    assert not torch.equal(shared.cells, levels)
    x = torch.from_numpy(rng.integers(-1, 2, (2, 4, 5, 5)).astype(np.float32))
    for train in (True, False):
        assert torch.equal(shared.train(train)(x), plain.train(train)(x))


def test_another_rule_goes_on_from_the_levels_alone():
    layer, plain = layer_of(), layer_of()
    train(layer, DST(layer, rule="residue"), 6)
    plain.load_state_dict(layer.state_dict())
    assert not torch.equal(layer.cells, plain.cells)
    moved = [train(one, DST(one, lr=0.1, seed=4), 3) for one in (layer, plain)]
    assert torch.equal(*moved)
    assert layer.levels is layer.cells
