"""Data of the recipes: one module a kind."""

from __future__ import annotations

import importlib
import os
from pathlib import Path

from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data

__all__ = ["Data", "load_data"]


def load_data(recipe: Recipe, path: str | os.PathLike[str] | None = None, *, quiet: bool = True) -> Data:
    """The data of a recipe; ``path`` is needed by all but ``digits``, which comes with scikit-learn.

    Raises
    ------
    OptionError
        for a path that is missing or not needed; FormatError when the files expected are not there.
    """
    source = importlib.import_module(f"gxevent.train.sources.{recipe.data.kind}")
    return source.load(recipe, None if path is None else Path(path), quiet)
