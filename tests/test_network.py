"""TernaryNetwork: everything wrong is listed at once, naming layer and field."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from tests import networks

RNG = np.random.default_rng(0)
WEIGHT = networks.levels(RNG, (4, 9))


def problems(layers, shape=(9,), **more) -> tuple[str, ...]:
    with pytest.raises(gx.NetworkError) as caught:
        gx.TernaryNetwork(shape, None, layers, **more)
    assert isinstance(caught.value, gx.ShapeError)
    assert isinstance(caught.value, gx.FormatError)
    assert isinstance(caught.value, ValueError)
    return caught.value.problems


def test_names_inputs_and_classes_are_made_up():
    network = networks.lenet()
    assert [layer.name for layer in network.layers][:5] == ["conv1", "pool1", "norm1", "act1", "conv2"]
    assert network.layers[4].inputs == ("act1",)
    assert network.classes == tuple("0123456789")
    assert network.signals["pool2"].shape == (64, 4, 4)
    assert network.weight_count == 581_408
    assert network.layer("norm4").gamma.dtype == np.float32


def test_all_problems_at_once():
    found = problems(
        [
            gx.Dense(WEIGHT.astype(np.float32), name="floats"),
            gx.Activation(r=-1),
            gx.Dense(3 * WEIGHT[:, :4], name="outside"),
            gx.BatchNorm([1, 1], [0, np.nan], [0, 0], [1, -1]),
        ]
    )
    assert found[0].startswith("layer 'floats' (Dense) weight: expected int8 levels of Z_1, got float32")
    assert "'act1' (Activation) r:" in found[1]
    assert "'outside' (Dense) weight:" in found[2]
    assert "levels outside Z_1, the first" in found[2]
    assert "'norm1' (BatchNorm) beta: 1 values are not finite, the first nan at [1]" in found[3]
    assert "'norm1' (BatchNorm) var: var + eps must be positive" in found[4]


def test_shapes_that_do_not_chain_are_followed_downstream():
    found = problems([gx.Dense(WEIGHT), gx.Activation(), gx.Dense(WEIGHT), gx.Activation(), gx.Dense(WEIGHT)])
    assert len(found) == 2
    assert all("takes 9 inputs (axis 1), but the layer before has 4" in line for line in found)


@pytest.mark.parametrize(
    ("layers", "shape", "words"),
    [
        ([], (9,), "at least one layer"),
        ([gx.Dense(WEIGHT), gx.Activation()], (9,), "the last layer gives scores and does not fire"),
        ([gx.Dense(WEIGHT), gx.Dense(WEIGHT[:, :4])], (9,), "put an Activation before"),
        ([gx.Dense(WEIGHT)], (1, 3, 3), "put a Flatten before it"),
        ([gx.Dense(WEIGHT)], (0,), "input_shape"),
        ([gx.Dense(WEIGHT, inputs=("nobody",))], (9,), "no layer 'nobody' before it"),
        ([gx.Dense(WEIGHT, name="a"), gx.Activation(name="a"), gx.Dense(WEIGHT[:, :4])], (9,), "the name is taken"),
        ([gx.Dense(WEIGHT), gx.Dense(WEIGHT, inputs=("input",))], (9,), "'dense1': no layer reads it"),
        ([gx.Conv2d(WEIGHT)], (1, 3, 3), "expected 4 non-empty axes"),
        ([gx.Conv2d(np.ones((2, 1, 5, 5), np.int8)), gx.Flatten()], (1, 3, 3), "does not fit into the image"),
        (
            [gx.Conv2d(np.ones((2, 1, 2, 2), np.int8), stride=0), gx.Flatten()],
            (1, 3, 3),
            "stride: expected a whole number >= 1",
        ),
        ([gx.Conv2d(np.ones((3, 1, 2, 2), np.int8), groups=2), gx.Flatten()], (2, 3, 3), "groups: 2 does not divide"),
        ([gx.MaxPool2d(2, padding=2), gx.Flatten(), gx.Dense(WEIGHT)], (1, 3, 3), "more than half the kernel"),
        ([gx.Dense(np.zeros((2, 9), np.int8), levels=0)], (9,), "levels outside Z_0"),
        ([gx.Dense(WEIGHT, levels=9)], (9,), "levels: expected N of Z_N from 0 to 7"),
        ([gx.Dense(WEIGHT, bias=np.zeros(3))], (9,), "bias: expected shape (4,)"),
        ([gx.Dense(WEIGHT), gx.BatchNorm(*np.ones((4, 3)))], (9,), "gamma: has 3 channels, its input 4"),
        ([gx.Pad2d((1, 1, 1, 1)), gx.Flatten(), gx.Dense(WEIGHT)], (1, 3, 3), "a Pad2d can only be read by a Conv2d"),
        (
            [gx.Dense(WEIGHT), gx.BatchNorm(*np.ones((4, 4))), gx.Add(inputs=("norm1", "norm1"))],
            (9,),
            "put the batch norm behind the Add",
        ),
        (
            [gx.Dense(WEIGHT), gx.Activation(), gx.Activation(), gx.Dense(WEIGHT[:, :4])],
            (9,),
            "levels that fired already",
        ),
    ],
)
def test_each_problem_is_named(layers, shape, words):
    assert any(words in line for line in problems(layers, shape)), problems(layers, shape)


def test_classes_and_encoder_must_fit():
    assert "2 names for 4 scores" in problems([gx.Dense(WEIGHT)], classes=("a", "b"))[0]
    with pytest.raises(gx.NetworkError, match="3 channels, but encoder 'onoff' with 2 bins makes 4"):
        gx.TernaryNetwork((3, 1, 3), gx.Encoder("onoff", bins=2), [gx.Flatten(), gx.Dense(WEIGHT)])
    with pytest.raises(gx.OptionError, match="'spikes' is not one of"):
        gx.Encoder("spikes")
    with pytest.raises(gx.OptionError, match="window '5 bars'"):
        gx.Encoder("onoff", window="5 bars")
