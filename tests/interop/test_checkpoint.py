"""PyTorch checkpoints: ours and foreign ones, scales and biases folded, everything that does not fit named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings

import gxevent as gx
from gxevent.errors import FormatError, NetworkError, OptionError, UnsupportedError
from gxevent.interop.checkpoint import Checkpoint, read_checkpoint
from gxevent.interop.importing import import_network
from gxevent.interop.template import from_checkpoint
from tests import networks
from tests.interop import models

torch = pytest.importorskip("torch")


def blank(network: gx.TernaryNetwork) -> gx.TernaryNetwork:
    """The structure alone: other weights, neutral batch norms."""

    def cleared(layer):
        if isinstance(layer, gx.BatchNorm):
            ones = np.ones_like(layer.gamma)
            return replace(layer, gamma=ones, beta=0 * ones, mean=0 * ones, var=ones)
        return replace(layer, weight=np.ones_like(layer.weight)) if hasattr(layer, "weight") else layer

    return replace(network, layers=tuple(cleared(layer) for layer in network.layers))


def save(state, path):
    if path.suffix == ".safetensors":
        safetensors.numpy.save_file({k: v.float().numpy() for k, v in state.items() if v.is_floating_point()}, path)
    else:
        torch.save(state, path)
    return path


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_our_trainers_state_comes_back_bit_for_bit(tmp_path, suffix):
    import safetensors.torch

    from gxevent.train.networks import TernaryModule

    network = models.convolutional()
    state = TernaryModule(network).state_dict()
    path = tmp_path / f"net{suffix}"
    safetensors.torch.save_file(state, path) if suffix == ".safetensors" else torch.save({"model": state}, path)
    made, notes = from_checkpoint(read_checkpoint(path), blank(network))
    assert notes == []
    for layer, expected in zip(made.layers, network.layers, strict=True):
        assert layer.settings() == expected.settings()
        for name, values in expected.arrays().items():
            np.testing.assert_array_equal(layer.arrays()[name], values)


@settings(max_examples=25)
@given(networks.networks())
def test_random_networks_of_our_trainer_come_back(tmp_path_factory, network):
    """Skips, pads, groups, pools in any place, weights and activations of any space."""
    from gxevent.train.networks import TernaryModule

    if any(getattr(layer, "bias", None) is not None for layer in network.layers):
        return  # the trainer has no biases
    path = tmp_path_factory.mktemp("state") / "net.pt"
    torch.save(TernaryModule(network).state_dict(), path)
    made, _ = from_checkpoint(read_checkpoint(path), blank(network))
    for layer, expected in zip(made.layers, network.layers, strict=True):
        for name, values in expected.arrays().items():
            np.testing.assert_array_equal(layer.arrays()[name], values)


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("make", [models.dense, models.convolutional])
@pytest.mark.parametrize("scales", ["one", "tensor", "channel"])
def test_foreign_weights_give_the_same_integers(tmp_path, suffix, make, scales):
    """Ternary up to a scale a tensor or an output channel; the scales end up in the batch norms."""
    network, rng = make(), np.random.default_rng(5)
    draw = {
        "one": lambda layer: 1.0,
        "tensor": lambda layer: 0.37,
        "channel": lambda layer: rng.uniform(0.1, 2, len(layer.weight)),
    }
    net = models.sequential(network, draw[scales])
    made, _ = from_checkpoint(
        read_checkpoint(save(net.state_dict(), tmp_path / f"a{suffix}")), blank(network), eps=1e-4
    )
    frames = networks.frames(rng, network, 12)
    assert models.same_integers(network, made, frames) > 500
    with torch.no_grad():
        scores = net(torch.from_numpy(frames).float()).numpy()
    np.testing.assert_allclose(gx.Engine(gx.compile(made)).run(frames).scores, scores, rtol=1e-4, atol=1e-4)


def test_biases_and_missing_batch_norms(tmp_path):
    """Biases go into the batch norm, or stand as one where there is none."""
    rng = np.random.default_rng(2)
    layers = [gx.Dense(networks.levels(rng, (8, 12))), networks.batch_norm(rng, 8), gx.Activation()]
    template = gx.TernaryNetwork((12,), None, [*layers, gx.Dense(networks.levels(rng, (4, 8)))])
    net = models.sequential(template, lambda layer: 0.3)
    for at, out in ((0, 8), (3, 4)):
        net[at].bias = torch.nn.Parameter(torch.from_numpy(rng.normal(size=out).astype(np.float32)))
    made, _ = from_checkpoint(read_checkpoint(save(net.state_dict(), tmp_path / "a.pt")), blank(template), eps=1e-4)
    assert [layer.kind for layer in made.layers][-2:] == ["Dense", "BatchNorm"]
    frames = networks.frames(rng, template, 50)
    scores = net(torch.from_numpy(frames).float()).detach().numpy()
    np.testing.assert_allclose(gx.Engine(gx.compile(made)).run(frames).scores, scores, rtol=1e-5, atol=1e-5)


def test_fully_connected_networks_need_no_template(tmp_path):
    network = models.dense()
    path = save(models.sequential(network).state_dict(), tmp_path / "mlp.safetensors")
    made = import_network(path, eps=1e-4)
    assert (made.format, made.network.name, made.notes) == ("pytorch", "mlp", ())
    assert models.same_integers(network, made.network, networks.frames(np.random.default_rng(0), network, 20)) > 500
    signs = import_network(path, activation=gx.Activation(levels=0), input_levels=0)
    assert [layer.levels for layer in signs.network.layers if isinstance(layer, gx.Activation)] == [0, 0]
    assert signs.network.input_levels == 0
    assert signs.notes == ("the batch norms get eps 1e-05, PyTorch's own: a state dict does not hold it (--eps)",)


def test_named_modules_are_matched_by_shape_in_safetensors(tmp_path):
    """A safetensors file sorts its names: bn1, bn2, conv1, fc tell the order only together with the shapes."""
    network = models.convolutional()
    weighted, norms = ["input", "body", "fc2", "fc1"], ["bn1", "bn2", "bn3", "bn4"]
    state = {}
    for layer in network.layers:
        kind = weighted if hasattr(layer, "weight") else norms if isinstance(layer, gx.BatchNorm) else None
        if kind:
            name = kind.pop(0)
            state |= {f"{name}.{key}": value.astype(np.float32) for key, value in layer.arrays().items()}
    safetensors.numpy.save_file(state, tmp_path / "a.safetensors")
    made, _ = from_checkpoint(read_checkpoint(tmp_path / "a.safetensors"), blank(network))
    assert models.same_integers(network, made, networks.frames(np.random.default_rng(0), network, 5)) > 100


def test_pickled_code_is_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pt")
    with pytest.raises(FormatError, match=r"model\.pt: holds pickled code .* save model.state_dict\(\)"):
        read_checkpoint(tmp_path / "model.pt")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "junk.pt").write_bytes(b"PK\x03\x04 no zip at all")
    with pytest.raises(FormatError, match="not a PyTorch checkpoint, or damaged"):
        read_checkpoint(tmp_path / "junk.pt")
    torch.save({"epoch": 3}, tmp_path / "empty.pt")
    with pytest.raises(FormatError, match="holds no state dict"):
        read_checkpoint(tmp_path / "empty.pt")


def of(**tensors) -> Checkpoint:
    return Checkpoint("net.pt", {key.replace("__", "."): np.asarray(v) for key, v in tensors.items()}, in_order=True)


def test_everything_that_does_not_fit_is_listed():
    network = models.dense()
    with pytest.raises(NetworkError) as error:
        from_checkpoint(
            of(**{"0__weight": np.ones((40, 60)), "1__alpha": np.ones(3), "2__weight_g": np.ones(2)}), network
        )
    assert len(error.value.problems) == 2
    assert "'1.alpha' of shape (3,)" in error.value.problems[0]
    wrong = of(**{"0__weight": np.ones((40, 61)), "1__weight": np.ones((30, 40)), "2__weight": np.ones((9, 30))})
    with pytest.raises(NetworkError) as error:
        from_checkpoint(wrong, network)
    assert [p.split("weights ")[1] for p in error.value.problems] == [
        "'0' have shape (40, 61), layer 'dense1' needs (40, 60)",
        "'2' have shape (9, 30), layer 'dense3' needs (10, 30)",
    ]
    with pytest.raises(NetworkError, match=r"has 1 weight tensors \(40x60\), the network described has 3"):
        from_checkpoint(of(**{"0__weight": np.ones((40, 60))}), network)


def test_convolutions_need_a_template():
    with pytest.raises(OptionError, match=r"weights 4x2x3x3, 10x64.* --layers"):
        from_checkpoint(of(**{"0__weight": np.ones((4, 2, 3, 3)), "4__weight": np.ones((10, 64))}))


def test_batch_norms_in_the_wrong_place():
    norm = {f"{at}__running_{key}": np.ones(60) for at in (0,) for key in ("mean", "var")}
    weights = {"1__weight": np.ones((40, 60)), "2__weight": np.ones((30, 40)), "3__weight": np.ones((10, 30))}
    with pytest.raises(NetworkError, match="batch norm '0' stands before the first layer"):
        from_checkpoint(of(**norm, **weights), models.dense())


def test_quantizers_of_brevitas_are_left_aside_but_latent_weights_refused():
    rng = np.random.default_rng(0)
    latent = of(**{"0__weight": rng.normal(size=(4, 6)), "0__weight_quant__scale": np.ones(1)})
    with pytest.raises(UnsupportedError, match=r"layer '0': weights are not ternary up to a scale: nearest ternary is"):
        from_checkpoint(latent)
    baked = of(**{"0__weight": 0.2 * networks.levels(rng, (4, 6)), "0__weight_quant__scale": np.ones(1)})
    assert from_checkpoint(baked)[1] == ["left aside 1 tensors of quantizers, such as '0.weight_quant.scale'"]
