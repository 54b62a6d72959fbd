"""Training by discrete state transition (needs the extra ``train``).

The names below are loaded when they are first used, so that importing this package needs neither PyTorch nor time.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gxevent.train.activation import DiscreteActivation
    from gxevent.train.dst import DST
    from gxevent.train.fit import Epoch, Fit, TrainingError
    from gxevent.train.folds import CrossValidation, cross_validate
    from gxevent.train.modules import BatchNorm, DiscreteConv2d, DiscreteLinear
    from gxevent.train.networks import TernaryModule, to_network
    from gxevent.train.recipes import Recipe, list_recipes, load_recipe
    from gxevent.train.topology import initial_network
    from gxevent.train.training import TrainingResult, train_recipe

_HOME = {
    "BatchNorm": "modules",
    "CrossValidation": "folds",
    "DST": "dst",
    "DiscreteActivation": "activation",
    "DiscreteConv2d": "modules",
    "DiscreteLinear": "modules",
    "Epoch": "fit",
    "Fit": "fit",
    "Recipe": "recipes",
    "TernaryModule": "networks",
    "TrainingError": "fit",
    "TrainingResult": "training",
    "cross_validate": "folds",
    "initial_network": "topology",
    "list_recipes": "recipes",
    "load_recipe": "recipes",
    "to_network": "networks",
    "train_recipe": "training",
}

__all__ = [
    "DST",
    "BatchNorm",
    "CrossValidation",
    "DiscreteActivation",
    "DiscreteConv2d",
    "DiscreteLinear",
    "Epoch",
    "Fit",
    "Recipe",
    "TernaryModule",
    "TrainingError",
    "TrainingResult",
    "cross_validate",
    "initial_network",
    "list_recipes",
    "load_recipe",
    "to_network",
    "train_recipe",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
