"""``train_recipe``: from a recipe's name to a network file with its provenance."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gxevent import files
from gxevent.errors import OptionError
from gxevent.network import TernaryNetwork
from gxevent.train import checkpoint
from gxevent.train.backend import torch
from gxevent.train.data import Data, load_data
from gxevent.train.fit import Epoch, Fit
from gxevent.train.networks import to_network
from gxevent.train.recipes import Recipe, load_recipe, override


@dataclass(frozen=True)
class TrainingResult:
    """What training gave. Accuracies are shares of recordings; test ones are None where the data has no test part."""

    network: TernaryNetwork
    validation_accuracy: float
    validation_samples: int
    test_accuracy: float | None
    test_samples: int
    best_epoch: int
    seconds: float
    history: tuple[Epoch, ...]
    out: Path | None
    checkpoint: Path | None

    def summary(self) -> dict[str, Any]:
        """Plain JSON values, without the network."""
        made = {name: value for name, value in vars(self).items() if name != "network"}
        made["history"] = [asdict(epoch) for epoch in self.history]
        return {name: os.fspath(value) if isinstance(value, Path) else value for name, value in made.items()}


def train_recipe(
    name: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    resume: str | os.PathLike[str] | None = None,
    quiet: bool = False,
    threads: int = 1,
) -> TrainingResult:
    """Train a network by discrete state transition and write it.

    Parameters
    ----------
    name
        A shipped recipe (see ``list_recipes``) or a path to a ``.toml`` file.
    data
        Folder or archive of the recipe's data; not needed by ``digits``.
    out
        Network file (``.gxn``) to write; the checkpoint is written beside it as ``.ckpt``. None: neither is written.
    epochs, seed
        Override the recipe's.
    resume
        Checkpoint of an earlier run of the same recipe, seed and data to continue; ``epochs`` then defaults to that
        run's number.
    threads
        Of PyTorch. One thread gives the same network for the same seed; more may add in another order.

    Raises
    ------
    OptionError, FormatError, MissingExtraError
        for an unknown recipe or device, missing data, a checkpoint of another run, missing packages.
    TrainingError
        when the loss is no number.
    """
    recipe = load_recipe(name)
    if resume is not None and epochs is None:
        epochs = _planned_epochs(resume)
    recipe = override(recipe, epochs=epochs, seed=seed)
    path, saved = _outputs(out)
    loaded = load_data(recipe, data, quiet=quiet)
    if not quiet:
        for note in loaded.notes:
            print(f"note: {note}", file=sys.stderr)
    with _threads(threads):
        fit = prepare(recipe, loaded, device)
        if resume is not None:
            fit.restore(resume)
        fit.run(saved, quiet=quiet)
        test = loaded.load_test()
        accuracy = None if test is None else test.accuracy(fit.model.scores(test.frames))
    samples = 0 if test is None else len(test)
    provenance = _provenance(recipe, loaded, fit) | {"test_accuracy": accuracy, "test_samples": samples}
    network = to_network(fit.model, recipe.encoder.encoder(), loaded.classes, provenance, name=recipe.name)
    if path is not None:
        files.save(network, path)
    return TrainingResult(
        network=network,
        validation_accuracy=fit.best_accuracy,
        validation_samples=len(fit.validation),
        test_accuracy=accuracy,
        test_samples=samples,
        best_epoch=fit.best_epoch,
        seconds=fit.seconds,
        history=tuple(fit.history),
        out=path,
        checkpoint=saved,
    )


def cross_validate(
    name: str | os.PathLike[str],
    data: str | os.PathLike[str] | None = None,
    epochs: int | None = None,
    seed: int | None = None,
    device: str = "cpu",
    quiet: bool = False,
    threads: int = 1,
) -> tuple[float, ...]:
    """Validation accuracy of the *last* epoch on each fold, a network trained for each; no epoch is selected by it.

    The test recordings are not read.
    """
    recipe = override(load_recipe(name), epochs=epochs, seed=seed)
    loaded = load_data(recipe, data, quiet=quiet)
    made = []
    with _threads(threads):
        for fold in range(recipe.data.folds):
            fit = prepare(override(recipe, fold=fold), loaded, device)
            fit.run(quiet=quiet)
            made.append(fit.history[-1].validation_accuracy)
    return tuple(made)


def prepare(recipe: Recipe, data: Data, device: str = "cpu") -> Fit:
    """A run ready to begin."""
    settings = recipe.data
    train, validation = data.split(settings.folds, settings.fold, settings.seed, settings.repeat)
    return Fit(recipe, train, validation, data.classes, device)


def _planned_epochs(path: str | os.PathLike[str]) -> int | None:
    """Epochs of the run a checkpoint is of (None when it does not say: restoring it reports that)."""
    recipe = checkpoint.load(path).get("recipe")
    return recipe.get("fit", {}).get("epochs") if isinstance(recipe, dict) else None


def _outputs(out: str | os.PathLike[str] | None) -> tuple[Path | None, Path | None]:
    if out is None:
        return None, None
    path = Path(out)
    if path.suffix != ".gxn":
        raise OptionError(f"out: {path}: networks are named *.gxn")
    if not path.absolute().parent.is_dir():
        raise OptionError(f"out: {path}: the folder {path.parent} does not exist")
    return path, path.with_suffix(".ckpt")


def _provenance(recipe: Recipe, data: Data, fit: Fit) -> dict[str, Any]:
    return {
        "recipe": recipe.name,
        "settings": recipe.settings(),
        "seed": recipe.fit.seed,
        "epochs": recipe.fit.epochs,
        "best_epoch": fit.best_epoch,
        "seconds": round(fit.seconds, 1),
        "device": str(fit.device),
        "data": data.description,
        "validation_accuracy": fit.best_accuracy,
        "validation_accuracy_last_epoch": fit.history[-1].validation_accuracy,
        "validation_samples": len(fit.validation),
        "zero_weights": fit.model.zero_share(),
        "training_memory_bytes": fit.dst.memory().summary(),
        "versions": {
            "gxevent": importlib.metadata.version("gxevent"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "command": _command(),
    }


def _command() -> str:
    """The command line without the places its programs lie at."""
    words = sys.orig_argv
    if "-m" in words[:4]:
        return shlex.join(["python", *words[words.index("-m") :]])
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise OptionError(f"threads: expected a whole number >= 1, got {count!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
