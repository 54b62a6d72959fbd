"""Presets with real weights or activations: they train, and their 8-bit form is what the network file holds."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent import layers  # noqa: E402
from gxevent.errors import OptionError  # noqa: E402
from gxevent.train.exactness import compare_with_engine  # noqa: E402
from gxevent.train.fit import Fit  # noqa: E402
from gxevent.train.networks import TernaryModule, to_network  # noqa: E402
from gxevent.train.recipes import PRESETS, override, preset_of  # noqa: E402
from tests.train.test_fit import CLASSES, RECIPE, patterns  # noqa: E402

PARTS = patterns(121, 0), patterns(40, 1)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains_and_compiles(preset):
    recipe = override(RECIPE, preset=preset, epochs=12)
    assert preset_of(recipe) == preset
    run = Fit(recipe, *PARTS, CLASSES)
    run.run(quiet=True)
    assert run.best_accuracy > 0.8
    network = to_network(run.model, None, CLASSES, {})
    found = compare_with_engine(run.model, network, PARTS[1].frames)
    weights, activations = PRESETS[preset]
    assert found.equal == ("real" not in (weights, activations))
    assert found.changed_decisions <= 2
    spaces = {layer.levels for layer in network.layers if isinstance(layer, layers.Dense | layers.Conv2d)}
    assert spaces == {7 if weights == "real" else weights}
    # The 8-bit form is a network of the house: its own module and the engine agree to the last bit.
    again = compare_with_engine(TernaryModule(network), network, PARTS[1].frames)
    assert again.equal
    assert again.accumulators == 40 * 3


def test_real_weights_stay_in_range_and_resume(tmp_path):
    recipe = override(RECIPE, preset="float", epochs=3)
    whole = Fit(recipe, *PARTS, CLASSES)
    whole.run(quiet=True)
    assert all(layer.weight.abs().max() <= 1 for layer in whole.model.real_layers())
    first = Fit(override(recipe, epochs=3), *PARTS, CLASSES)
    with pytest.raises(KeyboardInterrupt):
        first.run(tmp_path / "a.ckpt", quiet=True, on_epoch=_stop)
    second = Fit(recipe, *PARTS, CLASSES)
    second.restore(tmp_path / "a.ckpt")
    second.run(quiet=True)
    for a, b in zip(whole.model.real_layers(), second.model.real_layers(), strict=True):
        assert torch.equal(a.weight, b.weight)


def _stop(epoch):
    raise KeyboardInterrupt


def test_an_exact_network_that_was_changed_is_found():
    run = Fit(override(RECIPE, epochs=1), *PARTS, CLASSES)
    run.run(quiet=True)
    network = to_network(run.model, None, CLASSES, {})
    with torch.no_grad():
        levels = run.model.discrete_layers()[-1].levels
        levels[0, 0] = 1 if levels[0, 0] < 1 else 0
    found = compare_with_engine(run.model, network, PARTS[1].frames)
    assert not found.equal
    assert found.differing_accumulators > 0
    assert found.summary()["equal"] is False


def test_unknown_presets_are_refused():
    with pytest.raises(OptionError, match="gxnor, bnn, twn"):
        override(RECIPE, preset="xnor")


def test_bfloat16_training_is_evaluated_exactly():
    settings = RECIPE.settings()
    settings["fit"]["precision"] = "bfloat16"
    from gxevent.train.recipes import from_settings

    run = Fit(from_settings(settings, "test"), *PARTS, CLASSES)
    run.run(quiet=True)
    assert compare_with_engine(run.model, to_network(run.model, None, CLASSES, {}), PARTS[1].frames).equal
    assert 0 < run.history[-1].zero_activations < 1
    assert np.isfinite([e.loss for e in run.history]).all()
