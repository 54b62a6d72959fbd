"""``train_recipe``: from a recipe's name to a network file with its provenance."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gxevent import files
from gxevent.errors import CrosscheckError, OptionError
from gxevent.network import TernaryNetwork
from gxevent.runtime import profile_network
from gxevent.train import checkpoint, curve
from gxevent.train.backend import torch
from gxevent.train.device import open_device, precision_notes
from gxevent.train.dst import Memory
from gxevent.train.exactness import Exactness, compare_with_engine
from gxevent.train.fit import Epoch, Fit
from gxevent.train.frames import Recordings
from gxevent.train.networks import to_network
from gxevent.train.recipes import Recipe, load_recipe, override, preset_of
from gxevent.train.sources import Data, fit_recipe, load_data

PROFILED = 1024
"""Training frames, at most, that tell how active the layers are."""


@dataclass(frozen=True)
class TrainingResult:
    """What training gave. Accuracies are shares of recordings; test ones are None where the data has no test part."""

    network: TernaryNetwork
    validation_accuracy: float
    validation_samples: int
    test_accuracy: float | None
    test_samples: int
    test_windows: int
    """More than the samples where recordings were cut into windows."""
    test_window_accuracy: float | None
    best_epoch: int
    seconds: float
    memory: Memory | None
    """None where no weight is discrete."""
    exactness: Exactness
    """The trainer's evaluation beside the engine's, on all test (else validation) frames."""
    approximated: bool
    """The preset has real weights or activations; the network written has their 8-bit form."""
    history: tuple[Epoch, ...]
    out: Path | None
    checkpoint: Path | None
    curve: tuple[Path, ...]

    def summary(self) -> dict[str, Any]:
        """Plain JSON values, without the network."""
        made = {name: value for name, value in vars(self).items() if name != "network"}
        made["history"] = [asdict(epoch) for epoch in self.history]
        made["exactness"] = self.exactness.summary()
        made["memory"] = None if self.memory is None else self.memory.summary()
        made["curve"] = [os.fspath(path) for path in self.curve]
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
    preset: str | None = None,
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
    preset
        Override the recipe's spaces: one of ``gxevent.train.recipes.PRESETS``.

    Raises
    ------
    OptionError, FormatError, MissingExtraError
        for an unknown recipe or device, missing data, a checkpoint of another run, missing packages.
    TrainingError
        when the loss is no number.
    CrosscheckError
        when the compiled network does not compute what the trainer evaluates, which would be a bug.
    """
    recipe = load_recipe(name)
    if resume is not None and epochs is None:
        epochs = _planned_epochs(resume)
    recipe = override(recipe, epochs=epochs, seed=seed, preset=preset)
    path, saved = _outputs(out)
    open_device(device)  # one that is not there is refused before minutes of reading data
    with threads_of_torch(threads):
        recipe = fit_recipe(recipe, data, quiet=quiet)
        loaded = load_data(recipe, data, quiet=quiet)
        if not quiet:
            print_notes(loaded.notes)
        fit = prepare(recipe, loaded, device)
        if resume is not None:
            fit.restore(resume)
        if not quiet:
            print_notes(precision_notes(fit.recipe.fit.precision, fit.device))
        fit.run(saved, quiet=quiet)
        test = loaded.load_test()
        scores = None if test is None else fit.model.scores(test.frames)
        network, exactness = _compiled(fit, loaded, fit.validation if test is None else test)
    accuracy = windows = None
    samples = count = 0
    if test is not None and scores is not None:
        accuracy, windows = test.accuracy(scores), test.frame_accuracy(scores)
        samples, count = len(test), len(test.frames)
    measured = {"test_accuracy": accuracy, "test_samples": samples, "exactness": exactness.summary()}
    if count != samples:
        measured |= {"test_windows": count, "test_window_accuracy": windows}
    network = replace(network, provenance=_provenance(loaded, fit) | measured)
    seen = fit.train.frames
    network = profile_network(network, seen[:: -(-len(seen) // PROFILED)])
    if path is not None:
        files.save(network, path)
    return TrainingResult(
        network=network,
        validation_accuracy=fit.best_accuracy,
        validation_samples=len(fit.validation),
        test_accuracy=accuracy,
        test_samples=samples,
        test_windows=count,
        test_window_accuracy=windows,
        best_epoch=fit.best_epoch,
        seconds=fit.seconds,
        memory=None if fit.dst is None else fit.dst.memory(),
        exactness=exactness,
        approximated=fit.model.real_weights or fit.model.real_activations,
        history=tuple(fit.history),
        out=path,
        checkpoint=saved,
        curve=() if path is None else tuple(curve.write(fit.history, path.with_suffix(""), recipe.name)),
    )


def _compiled(fit: Fit, data: Data, recordings: Recordings) -> tuple[TernaryNetwork, Exactness]:
    """The network of a finished run, checked on ``recordings`` against the module it was made of."""
    network = to_network(fit.model, fit.recipe.encoder.encoder(), data.classes, {}, name=fit.recipe.name)
    exactness = compare_with_engine(fit.model, network, recordings.frames)
    if not exactness.equal and not (fit.model.real_weights or fit.model.real_activations):
        raise CrosscheckError(
            f"the compiled network differs from the trainer in {exactness.differing_accumulators} of "
            f"{exactness.accumulators} accumulators: nothing is written; please report this with the recipe and seed"
        )
    return network, exactness


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


def _provenance(data: Data, fit: Fit) -> dict[str, Any]:
    recipe = fit.recipe
    return {
        "recipe": recipe.name,
        "settings": recipe.settings(),
        "seed": recipe.fit.seed,
        "epochs": recipe.fit.epochs,
        "best_epoch": fit.best_epoch,
        "seconds": round(fit.seconds, 1),
        "device": str(fit.device),
        "precision": recipe.fit.precision,
        "data": data.description,
        "validation_accuracy": fit.best_accuracy,
        "validation_accuracy_last_epoch": fit.history[-1].validation_accuracy,
        "validation_samples": len(fit.validation),
        "zero_weights": fit.model.zero_share(),
        "zero_activations": fit.history[fit.best_epoch - 1].zero_activations,
        "preset": preset_of(recipe),
        "training_memory_bytes": None if fit.dst is None else fit.dst.memory().summary(),
        "versions": {
            "gxevent": importlib.metadata.version("gxevent"),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "command": command_line(),
    }


def print_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def command_line() -> str:
    """The command line without the places that its programs and files lie at: only names are of use to others."""
    words = sys.orig_argv
    words = ["python", *words[words.index("-m") :]] if "-m" in words[:4] else [Path(sys.argv[0]).name, *sys.argv[1:]]
    return shlex.join([Path(word).name if Path(word).is_absolute() else word for word in words])


@contextlib.contextmanager
def threads_of_torch(count: int) -> Iterator[None]:
    """PyTorch computes with ``count`` threads inside; OptionError for an impossible number."""
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise OptionError(f"threads: expected a whole number >= 1, got {count!r}")
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
