"""Data of the recipes: one module a kind."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import ModuleType

from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data

__all__ = ["Data", "fit_recipe", "load_data"]


def load_data(recipe: Recipe, path: str | os.PathLike[str] | None = None, *, quiet: bool = True) -> Data:
    """The data of a recipe; ``path`` is needed by all but ``digits``, which comes with scikit-learn.

    Raises
    ------
    OptionError
        for a path that is missing or not needed; FormatError when the files expected are not there.
    """
    return _source(recipe).load(recipe, None if path is None else Path(path), quiet)


def fit_recipe(recipe: Recipe, path: str | os.PathLike[str] | None = None, *, quiet: bool = True) -> Recipe:
    """The recipe with what only its data can say filled in (``recordings``: the classes, the sensor's size)."""
    source = _source(recipe)
    return source.fitted(recipe, None if path is None else Path(path), quiet) if hasattr(source, "fitted") else recipe


def _source(recipe: Recipe) -> ModuleType:
    return importlib.import_module(f"gxevent.train.sources.{recipe.data.kind}")
