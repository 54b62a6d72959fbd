"""Batch norms averaged anew over unmoved frames, with the weights at rest."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

import gxevent as gx
from tests import networks

torch = pytest.importorskip("torch", reason="needs the extra 'train'")

from gxevent.train.fit import Fit  # noqa: E402
from gxevent.train.frames import Recordings  # noqa: E402
from gxevent.train.networks import TernaryModule  # noqa: E402
from gxevent.train.recipes import Recipe  # noqa: E402
from tests.train.test_fit import CLASSES, RECIPE, patterns  # noqa: E402


def recordings(rng: np.random.Generator, n: int = 120) -> Recordings:
    frames = networks.levels(rng, (n, 1, 6, 6), density=0.5)
    return Recordings.of([frame[None] for frame in frames], np.arange(n) % 3)


def network(rng: np.random.Generator) -> gx.TernaryNetwork:
    layers = [gx.Conv2d(networks.levels(rng, (4, 1, 3, 3))), networks.batch_norm(rng, 4), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(networks.levels(rng, (3, 64))), networks.batch_norm(rng, 3)]
    return gx.TernaryNetwork((1, 6, 6), None, layers)


def changed(recipe: Recipe, **fit: int) -> Recipe:
    return msgspec.structs.replace(recipe, fit=msgspec.structs.replace(recipe.fit, **fit))


def test_averages_are_those_of_the_frames():
    """Means of whole batches of equal size, variances without bias, as PyTorch's running ones have it."""
    rng = np.random.default_rng(0)
    model, data = TernaryModule(network(rng)).eval(), recordings(rng)
    levels = [layer.levels.clone() for layer in model.discrete_layers()]
    model.settle_norms(data, 60, 120, np.random.default_rng(1))
    sums = torch.nn.functional.conv2d(torch.from_numpy(data.frames).float(), levels[0].float())
    np.testing.assert_allclose(model.norms()[0].mean.numpy(), sums.mean((0, 2, 3)).numpy(), rtol=1e-5, atol=1e-5)
    order = np.random.default_rng(1).permutation(120)
    variances = [sums[order[i : i + 60]].transpose(0, 1).reshape(4, -1).var(1) for i in (0, 60)]
    np.testing.assert_allclose(model.norms()[0].var.numpy(), torch.stack(variances).mean(0).numpy(), rtol=1e-5)
    assert all(torch.equal(a, layer.levels) for a, layer in zip(levels, model.discrete_layers(), strict=True))
    assert not model.training


def test_a_run_settles_after_every_epoch_and_resumes_to_the_same(tmp_path):
    train, held_out = patterns(121, 0), patterns(40, 1)
    recipe, without = (changed(RECIPE, epochs=3, norm_frames=frames) for frames in (60, 0))
    whole = Fit(recipe, train, held_out, CLASSES)
    whole.run(quiet=True)

    def stop(epoch):
        raise KeyboardInterrupt

    first = Fit(recipe, train, held_out, CLASSES)
    with pytest.raises(KeyboardInterrupt):
        first.run(tmp_path / "half.ckpt", quiet=True, on_epoch=stop)
    second = Fit(recipe, train, held_out, CLASSES)
    second.restore(tmp_path / "half.ckpt")
    second.run(quiet=True)
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, second.model.state_dict()[name]), name
    moved = Fit(without, train, held_out, CLASSES)
    moved.run(quiet=True)
    assert not torch.equal(whole.model.norms()[0].mean, moved.model.norms()[0].mean)
