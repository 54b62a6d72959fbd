"""Batch norms of a trained network averaged anew over training frames that nothing moves, weights at rest.

Recipes with ``fit.norm_frames`` do so after every epoch; this does it once, to a network trained without.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np

from gxevent.errors import CrosscheckError
from gxevent.network import TernaryNetwork
from gxevent.runtime import profile_network
from gxevent.train.exactness import compare_with_engine
from gxevent.train.networks import TernaryModule, to_network
from gxevent.train.recipes import Recipe, load_recipe
from gxevent.train.sources import fit_recipe, load_data

PROFILED = 1024
"""Training frames, at most, that tell how active the layers are."""


def settle(network: TernaryNetwork, name: str, data: str | os.PathLike[str] | None) -> TernaryNetwork:
    """``network``, trained by recipe ``name``, with batch norms averaged over ``fit.norm_frames`` training frames.

    The provenance keeps the accuracies there were as ``before_settling``. The new network is taken where it has the
    lower loss on the validation part, and only then is the test part read; otherwise ``network`` comes back as it is.
    """
    recipe = fit_recipe(load_recipe(name), data, quiet=True)
    loaded, settings = load_data(recipe, data, quiet=True), recipe.data
    train, held_out = loaded.split(settings.folds, settings.fold, settings.seed, settings.repeat)
    model = TernaryModule(network)
    before = model.loss_on(held_out, recipe.network.loss)
    model.settle_norms(train, recipe.fit.batch, recipe.fit.norm_frames, np.random.default_rng(recipe.fit.seed))
    if model.loss_on(held_out, recipe.network.loss) >= before:
        return network
    test = loaded.load_test()
    made = to_network(model, recipe.encoder.encoder(), loaded.classes, {}, name=network.name)
    exactness = compare_with_engine(model, made, (test or held_out).frames)
    if not exactness.equal:
        raise CrosscheckError(f"{name}: the compiled network differs from the trainer; please report this")
    found = {"validation_accuracy": held_out.accuracy(model.scores(held_out.frames)), "exactness": exactness.summary()}
    if test is not None:
        found["test_accuracy"] = test.accuracy(model.scores(test.frames))
    provenance = _provenance(network, recipe, found)
    return profile_network(replace(made, provenance=provenance), train.frames[:: -(-len(train.frames) // PROFILED)])


def _provenance(network: TernaryNetwork, recipe: Recipe, found: dict[str, Any]) -> dict[str, Any]:
    old = dict(network.provenance)
    accuracies = {name: old.get(name) for name in ("validation_accuracy", "test_accuracy")}
    return old | found | {"before_settling": accuracies | {"norm_frames": recipe.fit.norm_frames}}
