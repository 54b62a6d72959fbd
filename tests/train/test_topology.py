"""Networks written as text."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

import gxevent as gx  # noqa: E402
from gxevent import grid  # noqa: E402
from gxevent.errors import NetworkError, OptionError  # noqa: E402
from gxevent.train import DST  # noqa: E402
from gxevent.train.networks import TernaryModule, to_network  # noqa: E402
from gxevent.train.topology import initial_network, parse  # noqa: E402


def test_the_mnist_network_of_the_paper():
    network = initial_network("32C5-MP2-64C5-MP2-512FC-10", (1, 28, 28))
    assert [layer.kind for layer in network.layers] == [
        *("Conv2d", "MaxPool2d", "BatchNorm", "Activation"),
        *("Conv2d", "MaxPool2d", "BatchNorm", "Activation"),
        *("Flatten", "Dense", "BatchNorm", "Activation"),
        *("Dense", "BatchNorm"),
    ]
    assert network.weight_count == 581_408
    assert network.layers[2].eps == 1e-4


def test_the_cifar_network_of_the_paper():
    network = initial_network("2x128C3p1-MP2-2x256C3p1-MP2-2x512C3p1-MP2-1024FC-10", (3, 32, 32))
    assert network.weight_count == 12_973_440


def test_options_reach_the_layers():
    network = initial_network("8C3p2s2d2g2-MP3s1p1-AP2-SP2-4", (4, 20, 20), weights=3, activations=2, r=0.2)
    conv, maximum, average, total = network.layers[:4]
    assert (conv.padding, conv.stride, conv.dilation, conv.groups, conv.levels) == (2, 2, 2, 2, 3)
    assert (maximum.kernel, maximum.stride, maximum.padding) == (3, 1, 1)
    assert (average.kind, total.kind) == ("AvgPool2d", "SumPool2d")
    assert (network.layers[5].levels, network.layers[5].r) == (2, 0.2)


def test_residual_convolutions_add_to_the_sums_of_the_block_before():
    network = initial_network("4C3p1-MP2-2xR4C3p1-MP2-R4C3p1-8FC-10", (2, 8, 8))
    assert [layer.kind for layer in network.layers] == [
        *("Conv2d", "MaxPool2d", "BatchNorm", "Activation"),
        *("Conv2d", "Add", "BatchNorm", "Activation"),
        *("Conv2d", "Add", "MaxPool2d", "BatchNorm", "Activation"),
        *("Conv2d", "Add", "BatchNorm", "Activation"),
        *("Flatten", "Dense", "BatchNorm", "Activation", "Dense", "BatchNorm"),
    ]
    adds = [layer for layer in network.layers if layer.kind == "Add"]
    assert [layer.inputs for layer in adds] == [("sums1", "branch2"), ("sums2", "branch3"), ("sums3", "branch4")]
    sources = {layer.name: layer.kind for layer in network.layers}
    assert [sources[name] for name in ("sums1", "sums2", "sums3")] == ["MaxPool2d", "Add", "MaxPool2d"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("R4C3p1-10", "only a convolution behind another"),
        ("4C3p1-R8FC-10", "only a convolution behind another"),
        ("4C3p1-R10", "only a convolution behind another|ends on"),
        ("4C3p1-R8C3p1-10", r"block 2: sums of shape \(8, 8, 8\) cannot be added .* \(4, 8, 8\)"),
        ("4C3p1-R4C3-10", r"block 2: sums of shape \(4, 6, 6\)"),
    ],
)
def test_residuals_that_cannot_be(text, message):
    with pytest.raises(OptionError, match=message):
        initial_network(text, (2, 8, 8))


def test_a_residual_network_trains_and_compiles_to_what_it_evaluates():
    text = "16C3p1-MP2-2xR16C3p1-MP2-R16C3p1-10"
    network = initial_network(text, (2, 12, 12), classes=tuple("0123456789"), seed=3)
    module = TernaryModule(network, a=1.0, window="triangular").train()
    optimizer = DST(module, lr=0.3, seed=1)
    rng = np.random.default_rng(0)
    frames = rng.integers(-1, 2, (40, 2, 12, 12)).astype(np.int8)
    before = [layer.levels.clone() for layer in module.discrete_layers()]
    for _ in range(3):
        module(torch.from_numpy(frames).contiguous(memory_format=torch.channels_last)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    assert not any(torch.equal(a, b.levels) for a, b in zip(before, module.discrete_layers(), strict=True))
    trained = to_network(module, None, network.classes, {})
    scores = gx.Engine(gx.compile(trained)).run(frames).scores
    np.testing.assert_array_equal(scores, module.scores(frames))


@pytest.mark.parametrize("n", range(7))
def test_first_weights_lie_in_the_space_and_follow_the_seed(n):
    one, same, other = (initial_network("6C3-5", (2, 8, 8), weights=n, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.layers[0].weight, same.layers[0].weight)
    assert not np.array_equal(one.layers[0].weight, other.layers[0].weight)
    assert set(np.unique(one.layers[0].weight)) <= set(grid.levels(n).tolist())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "32C5",
        "32C5-MP2",
        "MP2-10",
        "32C0-10",
        "0C3-10",
        "10FC-3C3-10",
        "5FC-MP2-10",
        "8D3-10",
        "3x10",
        "8C3x-10",
    ],
)
def test_refuses_what_it_cannot_understand(text):
    with pytest.raises(OptionError, match="network"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [("8C9-10", "does not fit"), ("8C3-MP9-10", "does not fit"), ("9C3g2-10", "groups"), ("8C3s0-10", "stride")],
)
def test_refuses_what_does_not_fit(text, message):
    with pytest.raises(NetworkError, match=message):
        initial_network(text, (2, 8, 8))


def test_names_a_channel_count_the_encoder_does_not_make():
    from gxevent.encoder import Encoder

    with pytest.raises(NetworkError, match="3 channels"):
        initial_network("4C3-10", (3, 8, 8), encoder=Encoder("onoff"))
