"""A teacher: a float network of the recipe, trained first, whose scores say more of a sample than its label does.

Hinton, Vinyals and Dean 2015, arXiv 1503.02531. It sees the training part and its motions as the network itself will;
the network written remembers nothing of it but what it learnt.
"""

from __future__ import annotations

from gxevent.train.backend import F, torch
from gxevent.train.recipes import PRESETS, Recipe, from_settings


def recipe_of(recipe: Recipe) -> Recipe:
    """The teacher's own recipe."""
    settings = recipe.settings()
    settings["name"] = f"{recipe.name}, teacher"
    settings["fit"]["epochs"] = recipe.teacher.epochs
    settings["network"]["weights"], settings["network"]["activations"] = PRESETS["float"]
    if recipe.teacher.layers:
        settings["network"]["layers"] = recipe.teacher.layers
    del settings["teacher"]
    return from_settings(settings, f"teacher of recipe {recipe.name!r}")


def distilled(
    loss: torch.Tensor, scores: torch.Tensor, taught: torch.Tensor, share: float, temperature: float
) -> torch.Tensor:
    """``(1 - share) * loss + share * T**2 * KL(softmax(taught / T) || softmax(scores / T))``, mean over the batch.

    scores, taught float32 (n, classes); T is the temperature, and T**2 keeps the gradients' size.
    """
    soft = F.softmax(taught / temperature, 1)
    divergence = F.kl_div(F.log_softmax(scores / temperature, 1), soft, reduction="batchmean")
    return (1 - share) * loss + share * temperature**2 * divergence
