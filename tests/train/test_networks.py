"""Evaluation forward of the trainer's modules against integer NumPy, layer by layer, bit for bit."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

import gxevent as gx  # noqa: E402
from gxevent import files, grid  # noqa: E402
from gxevent.encoder import Encoder  # noqa: E402
from gxevent.errors import ShapeError, UnsupportedError  # noqa: E402
from gxevent.layers import (  # noqa: E402
    Activation,
    Add,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Dense,
    Flatten,
    MaxPool2d,
    Pad2d,
    SumPool2d,
)
from gxevent.network import TernaryNetwork  # noqa: E402
from gxevent.train.modules import (  # noqa: E402
    BatchNorm as TrainedNorm,
    random_levels,
)
from gxevent.train.networks import TernaryModule, to_network  # noqa: E402
from gxevent.train.topology import initial_network  # noqa: E402
from tests.train.reference import evaluate, values  # noqa: E402


def norm(channels, rng, scale=3.0):
    """A batch norm with positive, negative and zero gammas, and thresholds where the sums are."""
    gamma = rng.standard_normal(channels).astype(np.float32)
    gamma[::5] = 0
    return BatchNorm(
        gamma=gamma,
        beta=(0.5 * rng.standard_normal(channels)).astype(np.float32),
        mean=(scale * rng.standard_normal(channels)).astype(np.float32),
        var=(scale**2 * rng.uniform(0.2, 2, channels)).astype(np.float32),
    )


def residual(n1, n2, rng):
    w = lambda *shape: random_levels(shape, n1, rng)  # noqa: E731
    return (
        Pad2d((1, 0, 2, 1)),
        Conv2d(w(8, 2, 3, 3), levels=n1, name="c1"),
        norm(8, rng),
        Activation(levels=n2, r=0.3, name="a1"),
        Conv2d(w(8, 4, 3, 3), padding=1, groups=2, levels=n1, name="left", inputs=("a1",)),
        Conv2d(w(8, 8, 1, 1), levels=n1, name="right", inputs=("a1",)),
        Add(name="sum", inputs=("left", "right")),
        norm(8, rng),
        Activation(levels=n2, r=0.4),
        Flatten(),
        Dense(w(5, 8 * 10 * 10), levels=n1),
        norm(5, rng),
    )


def pooled(n1, n2, rng):
    w = lambda *shape: random_levels(shape, n1, rng)  # noqa: E731
    return (
        Conv2d(w(6, 2, 3, 2), stride=(1, 2), padding=(2, 1), dilation=(2, 1), levels=n1),
        MaxPool2d(3, stride=2, padding=1),
        norm(6, rng),
        Activation(levels=n2, r=0.5),
        Conv2d(w(6, 6, 2, 2), levels=n1),
        AvgPool2d((2, 1), stride=1),
        norm(6, rng),
        Activation(levels=n2, r=0.2),
        Conv2d(w(4, 3, 1, 1), groups=2, levels=n1),
        SumPool2d(2, padding=1),
        norm(4, rng),
        Activation(levels=n2, r=0.2),
        MaxPool2d(2, stride=1),
        Flatten(),
        Dense(w(5, 8), levels=n1),
    )


def averaged(n1, n2, rng):
    """Averages over three pixels, whose unit is no power of two, feeding an Add."""
    w = lambda *shape: random_levels(shape, n1, rng)  # noqa: E731
    return (
        Conv2d(w(3, 2, 2, 2), levels=n1, name="a", inputs=("input",)),
        AvgPool2d(3, name="pa", inputs=("a",)),
        Conv2d(w(3, 2, 2, 2), levels=n1, name="b", inputs=("input",)),
        AvgPool2d(3, name="pb", inputs=("b",)),
        Add(inputs=("pa", "pb")),
        norm(3, rng),
        Activation(levels=n2, r=0.1),
        Flatten(),
        Dense(w(5, 27), levels=n1),
        norm(5, rng),
    )


SHAPES = {residual: (2, 9, 11), pooled: (2, 12, 12), averaged: (2, 12, 12)}


@pytest.mark.parametrize("build", SHAPES)
@pytest.mark.parametrize(
    ("n1", "n2", "n0"), [(1, 1, 1), (0, 0, 1), (1, 0, 0), (0, 1, 7), (2, 3, 1), (6, 4, 2), (4, 6, 7)]
)
def test_eval_forward_is_the_integer_evaluation(build, n1, n2, n0):
    rng = np.random.default_rng([n1, n2, n0])
    network = TernaryNetwork(SHAPES[build], None, build(n1, n2, rng), input_levels=n0)
    frames = rng.choice(grid.levels(n0), (6, *network.input_shape)).astype(np.int8)
    module = TernaryModule(network).eval()
    made = evaluate(network, frames)
    padded = {layer.name for layer in network.layers if isinstance(layer, Pad2d)}  # the reference pads as values do
    for name, got in module.walk(torch.from_numpy(frames)):
        if name not in padded:
            np.testing.assert_array_equal(got.detach().numpy(), values(network, name, made), err_msg=name)
    last = network.layers[-1].name
    scores = module.scores(frames, batch=4)
    assert scores.dtype == np.float32
    np.testing.assert_array_equal(scores, values(network, last, made))
    np.testing.assert_array_equal(scores, gx.Engine(gx.compile(network)).run(frames).scores)


def test_long_sums_stay_exact():
    """Fan-in 10,000 with graded inputs: partial sums beyond what a float32 convolution keeps to the unit."""
    rng = np.random.default_rng(0)
    weight = random_levels((4, 100, 10, 10), 4, rng)
    network = TernaryNetwork((100, 12, 12), None, (Conv2d(weight, levels=4), MaxPool2d(3)), input_levels=7)
    frames = rng.integers(-64, 65, (2, 100, 12, 12)).astype(np.int8)
    module = TernaryModule(network)
    made = evaluate(network, frames)
    last = network.layers[-1].name
    assert np.abs(made[last]).max() > 10_000
    np.testing.assert_array_equal(module.scores(frames), values(network, last, made).reshape(2, -1))


def test_training_forward_is_close_to_evaluation():
    """Training mode computes the same network: the same sums, here with running statistics equal to the batch's."""
    rng = np.random.default_rng(3)
    network = TernaryNetwork(SHAPES[averaged], None, averaged(1, 1, rng))
    module = TernaryModule(network)
    frames = torch.from_numpy(rng.choice(grid.levels(1), (8, *network.input_shape)))
    module.eval()
    exact = dict(module.walk(frames))
    module.train()
    for name, value in module.walk(frames):
        if name in ("a", "pa", "b", "pb", "add1"):
            torch.testing.assert_close(value, exact[name], rtol=1e-5, atol=1e-5)


def test_batch_norm_trains_as_pytorch_does():
    ours, theirs = TrainedNorm(3, eps=1e-3), torch.nn.BatchNorm2d(3, eps=1e-3)
    x = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.mean, theirs.running_mean)
    torch.testing.assert_close(ours.var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_round_trip_through_a_network_file(tmp_path):
    encoder = Encoder("onoff", bins=2)
    first = initial_network("8C3p1-MP2-4C3-AP2-16FC-3", (4, 14, 14), encoder=encoder, classes=("a", "b", "c"), seed=4)
    module = TernaryModule(first)
    frames = np.random.default_rng(0).integers(0, 2, (9, 4, 14, 14)).astype(np.int8)
    module(torch.from_numpy(frames)).square().mean().backward()  # moves the running statistics
    network = to_network(module, encoder, ("a", "b", "c"), {"seed": 4}, name="net")
    files.save(network, tmp_path / "net.gxn")
    loaded = files.load_network(tmp_path / "net.gxn")
    assert loaded.provenance == {"seed": 4}
    assert (loaded.encoder, loaded.classes) == (encoder, ("a", "b", "c"))
    np.testing.assert_array_equal(TernaryModule(loaded).scores(frames), module.scores(frames))
    made = evaluate(loaded, frames)
    np.testing.assert_array_equal(made[loaded.layers[-1].name], module.scores(frames))
    assert module.training


def test_zero_share_counts_weights():
    network = initial_network("2", (4, 1, 1))
    module = TernaryModule(network)
    with torch.no_grad():
        module.discrete_layers()[0].levels.copy_(torch.tensor([[0, 0, 0, 1], [0, 0, -1, 1]]))
    assert module.zero_share() == 5 / 8


def test_refuses_biases_and_wrong_frames():
    biased = TernaryNetwork((2,), None, (Dense(np.ones((2, 2), np.int8), bias=np.ones(2, np.float32)),))
    with pytest.raises(UnsupportedError, match="bias"):
        TernaryModule(biased)
    module = TernaryModule(initial_network("2", (4, 1, 1)))
    with pytest.raises(ShapeError, match=r"\(n, \*\(4, 1, 1\)\)"):
        module(torch.zeros(1, 4, 2, 2))
