"""Averages in few bits: rounded so that the expectation stays, and counted honestly."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.train import moments  # noqa: E402
from gxevent.train.dst import DST  # noqa: E402
from tests.train.test_dst import linear, tensors_of, train_steps  # noqa: E402


@pytest.fixture
def generator():
    return torch.Generator().manual_seed(0)


def test_bfloat16_rounds_to_either_neighbour_with_the_right_mean(generator):
    value = torch.tensor([1.001, -3.1415926, 1e-12, -7e20, 0.0, 1.5]).repeat(20000, 1)
    made = moments.to_bfloat16(value, generator)
    assert made.dtype == torch.bfloat16
    below, above = made.float().amin(0), made.float().amax(0)
    assert (below <= value[0]).all()
    assert (above >= value[0]).all()
    # bfloat16 has 8 significant bits
    assert torch.all((above - below) <= value[0].abs() * 2**-7)
    assert torch.equal(made[:, 4:].float(), value[:, 4:])  # 0 and 1.5 are bfloat16 values
    mean = made.double().mean(0)
    assert torch.allclose(mean, value[0].double(), rtol=2e-4)


def test_int8_keeps_mean_and_largest_of_each_row(generator):
    value = torch.tensor([[1.0, -0.3, 0.004], [2e-9, 1e-9, -5e-10]])
    total = torch.zeros_like(value)
    for _ in range(4000):
        state = {}
        moments.allocate(state, "first", value, 8)
        moments.write(state, "first", slice(0, 2), value, generator)
        assert state["first"].dtype == torch.int8
        total += moments.read(state, "first", slice(0, 2))
    assert torch.allclose(total[:, 0] / 4000, value[:, 0], rtol=1e-5)
    assert torch.allclose(total / 4000, value, atol=3e-4 * float(value[0, 0]))
    assert torch.allclose(total[1] / 4000, value[1], rtol=0.02)


def test_a_slow_average_is_not_lost_in_16_bits(generator):
    state, rows = {}, slice(0, 4000)
    moments.allocate(state, "second", torch.zeros(4000), 16)
    for _ in range(3000):
        average = moments.read(state, "second", rows).mul_(0.999).add_(0.001)
        moments.write(state, "second", rows, average, generator)
    expected = 1 - 0.999**3000
    assert abs(float(moments.read(state, "second", rows).mean()) - expected) < 0.01
    stuck = torch.zeros(1, dtype=torch.bfloat16)
    for _ in range(3000):
        stuck = (stuck.float() * 0.999 + 0.001).to(torch.bfloat16)
    assert abs(float(stuck) - expected) > 0.2  # what rounding to nearest would have given


def test_factored_average_is_exact_for_rank_one():
    rows, columns = torch.tensor([1.0, 2.0, 0.5]), torch.tensor([3.0, 0.1, 4.0, 1.0])
    square, state = torch.outer(rows, columns).view(3, 2, 2), {}
    for _ in range(3):
        moments.average_factored(state, "second", square.sqrt(), 0.5)
    torch.testing.assert_close(moments.read_factored(state, "second", slice(None), square), square * (1 - 0.5**3))
    torch.testing.assert_close(moments.read_factored(state, "second", slice(1, 2), square[1:2]), square[1:2] * 0.875)
    assert sum(t.numel() for t in state.values()) == 3 + 4


@pytest.mark.parametrize(
    ("options", "per_weight"),
    [
        ({"rule": "adam", "moment_bits": 16}, 5),
        ({"rule": "adam", "moment_bits": 8}, 2 + (30 * 4 + 30 * 4 + 40 * 4) / 1200),  # scales, rows, columns
        ({"rule": "momentum", "moment_bits": 16}, 3),
        ({"rule": "momentum", "moment_bits": 8}, 2 + 30 * 4 / 1200),
        ({"rule": "residue"}, 1 + 30 * 4 / 1200),  # in bits that the level leaves unused; a scale for each row
        ({"rule": "residue", "residue_bits": 8}, 2 + 30 * 4 / 1200),
        ({"rule": "sgd", "residue_bits": 8}, 2),
    ],
)
def test_only_the_declared_bytes_persist(options, per_weight):
    layer = linear(30, 40)
    optimizer = DST(layer, lr=0.1, seed=1, **options)
    train_steps(layer, optimizer, 3)
    assert sum(t.nbytes for t in tensors_of(layer, optimizer)) == pytest.approx(per_weight * 1200)
    memory = optimizer.memory()
    assert memory.per_weight == pytest.approx(per_weight)
    assert memory.gradients_peak == 4 * 1200
    assert memory.line() == (
        f"weights 1.00 B, optimizer {per_weight - 1:.2f} B, gradients peak 4.00 B a weight, 1,200 weights"
    )


def test_few_bits_train_like_many():
    errors = []
    for bits in moments.MOMENT_BITS:
        layer = linear(8, 12)
        optimizer = DST(layer, lr=0.05, moment_bits=bits, seed=2)
        train_steps(layer, optimizer, 80)
        errors.append(float(np.mean(layer.levels.numpy() != 1)))  # the target is the sum of the inputs
    assert max(errors) < 0.2
