"""Cross-validation: a network for each fold of the training part, judged on the recordings held out of its training.

The last epoch is judged, so that nothing is chosen by the recordings that judge. The test part is not read.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from gxevent.errors import FormatError, OptionError
from gxevent.store import atomic_write, read_bytes
from gxevent.train.device import fastest_precision, open_device, precision_notes
from gxevent.train.recipes import Recipe, load_recipe, override, with_precision
from gxevent.train.sources import Data, fit_recipe, load_data
from gxevent.train.training import command_line, prepare, print_notes, threads_of_torch

FORMAT = "gxevent cross-validation 1"


@dataclass(frozen=True)
class Fold:
    """How the network of one fold did on the recordings held out."""

    fold: int
    correct: int
    samples: int
    seconds: float
    """Time spent in its epochs."""

    @property
    def accuracy(self) -> float:
        return self.correct / self.samples


@dataclass(frozen=True)
class CrossValidation:
    """All folds done so far."""

    recipe: Recipe
    folds: tuple[Fold, ...]
    out: Path | None

    @property
    def accuracy(self) -> float:
        """Share of all recordings held out, each judged once, that were right."""
        return sum(fold.correct for fold in self.folds) / sum(fold.samples for fold in self.folds)

    def line(self) -> str:
        """One line for people."""
        correct, samples = sum(fold.correct for fold in self.folds), sum(fold.samples for fold in self.folds)
        least, most = min(fold.accuracy for fold in self.folds), max(fold.accuracy for fold in self.folds)
        return (
            f"{self.accuracy:.2%}, {correct:,} of {samples:,} recordings held out, "
            f"in {len(self.folds)} folds from {least:.2%} to {most:.2%}"
        )

    def summary(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "recipe": self.recipe.settings(),
            "accuracy": self.accuracy,
            "folds": [asdict(fold) for fold in self.folds],
            "out": None if self.out is None else os.fspath(self.out),
        }


def cross_validate(
    name: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    quiet: bool = False,
    threads: int = 1,
    preset: str | None = None,
) -> CrossValidation:
    """Train and judge a network for each of the recipe's ``data.folds``.

    Parameters
    ----------
    name, data, epochs, seed, device, quiet, threads, preset
        As of :func:`gxevent.train.train_recipe`.
    out
        JSON file (``.json``) to write after each fold. One that is there already, of the same recipe and data, is gone
        on with: its folds are not trained again, and the fold that was under way continues from its checkpoint.

    Raises
    ------
    OptionError, FormatError
        as ``train_recipe``, and for a file of another recipe, other settings or data; it is left as it was.
    """
    recipe = override(load_recipe(name), epochs=epochs, seed=seed, preset=preset, fold=0)
    path = None if out is None else _checked(Path(out))
    opened = open_device(device)
    kept = None if path is None else _read(path)
    with threads_of_torch(threads):
        recipe = fit_recipe(recipe, data, quiet=quiet)
        loaded = load_data(recipe, data, quiet=quiet)
        recipe = with_precision(recipe, fastest_precision(opened) if kept is None else kept["precision"])
        if not quiet:
            print_notes(precision_notes(recipe.fit.precision, opened))
        head = {"format": FORMAT, "recipe": recipe.settings(), "data": _fingerprint(loaded), "command": command_line()}
        done = [] if path is None or kept is None else _folds(kept, head, path)
        for number in range(recipe.data.folds):
            if number in {fold.fold for fold in done}:
                continue
            done.append(_fold(override(recipe, fold=number), loaded, path, device, quiet))
            if path is not None:
                _write(path, head, done)
                _checkpoint(path, number).unlink(missing_ok=True)
            if not quiet:
                last = done[-1]
                print(f"fold {number + 1} of {recipe.data.folds}: {last.correct} of {last.samples}", file=sys.stderr)
    return CrossValidation(recipe, tuple(done), path)


def _fold(recipe: Recipe, data: Data, path: Path | None, device: str, quiet: bool) -> Fold:
    fit = prepare(recipe, data, device)
    saved = None if path is None else _checkpoint(path, recipe.data.fold)
    if saved is not None and saved.exists():
        fit.restore(saved)
    fit.run(saved, quiet=quiet)
    samples = len(fit.validation)
    correct = round(fit.history[-1].validation_accuracy * samples)
    return Fold(recipe.data.fold, correct, samples, round(fit.seconds, 1))


def _checkpoint(path: Path, fold: int) -> Path:
    return path.with_suffix(f".fold{fold}.ckpt")


def _checked(path: Path) -> Path:
    if path.suffix != ".json":
        raise OptionError(f"out: {path}: results of folds are named *.json")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"out: {path}: the folder {path.parent} does not exist")
    return path


def _fingerprint(data: Data) -> list[str]:
    return [part.sha256() for part in (data.train, data.emulated) if part is not None]


def _read(path: Path) -> dict[str, Any] | None:
    """What an earlier run wrote, and the precision it trained in; None where there is nothing yet."""
    if not path.exists():
        return None
    try:
        kept = json.loads(read_bytes(path))
        return {
            **{key: kept[key] for key in ("format", "recipe", "data")},
            "folds": [Fold(**fold) for fold in kept["folds"]],
            "precision": kept["recipe"]["fit"]["precision"],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: no results of folds ({error}); name another file") from error


def _folds(kept: dict[str, Any], head: dict[str, Any], path: Path) -> list[Fold]:
    """Folds of an earlier run; OptionError if it had other settings or data."""
    for key in ("format", "recipe", "data"):
        if kept[key] != json.loads(json.dumps(head[key])):
            raise OptionError(
                f"{path}: holds folds of another {key}: name another file, or go on with the recipe and options it was "
                "begun with"
            )
    return kept["folds"]


def _write(path: Path, head: dict[str, Any], folds: Iterable[Fold]) -> None:
    with atomic_write(path) as file:
        file.write(json.dumps({**head, "folds": [asdict(fold) for fold in folds]}, indent=1).encode())
