"""Makes what gxevent ships: ``python -m gxevent.train.zoo digits --out gxevent/zoo``.

``--take NETWORK`` instead takes in a network that was trained from a copy of the recipe, or in parts: one whose
settings are the recipe's. Its provenance then has the command that trains by the recipe, and the one it was made by as
``made_by``.

``digits`` writes ``digits_test.zip``, the recipe's test recordings in the N-MNIST layout ``test/<label>/<number>.bin``,
and ``digits.gxn``, the network trained by the recipe. Other recipes (with ``--data``) write their network. ``digits``
and ``nmnist`` are then read back and tried on the recordings, as a user will.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from gxevent.encoder import Encoder
from gxevent.errors import GxError, OptionError
from gxevent.events import encode_stream
from gxevent.events.datasets import open_dataset
from gxevent.events.readers import dump_events
from gxevent.files import load_network, save
from gxevent.network import TernaryNetwork
from gxevent.store import atomic_write
from gxevent.train.frames import Recordings
from gxevent.train.recipes import from_settings, list_recipes, load_recipe, with_precision
from gxevent.train.sources.digits import digits

_EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time, so that the same recordings make the same bytes


def pack_digits(path: Path, seed: int = 0) -> int:
    """Write the test recordings of the digits recipe as a zip; returns their number.

    Stored, not deflated: compressors differ between builds, and these bytes are to be the same everywhere.
    """
    pictures = digits(seed)
    numbers = np.flatnonzero(pictures.test)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number in numbers:
            name = f"test/{pictures.labels[number]}/{number:04d}.bin"
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), dump_events(pictures.record(int(number), seed), "nmnist"))
    return len(numbers)


def accuracy_on(network: TernaryNetwork, path: Path, split: str = "test") -> float:
    """Share of a data set's recordings that the trainer's evaluation forward of a network gets right."""
    from gxevent.train.networks import TernaryModule

    source = open_dataset(path, split=split)
    encoder = network.encoder or Encoder("onoff")
    frames = [encode_stream(encoder, stream, network.input_shape) for _, stream in source]
    labels = np.array([network.classes.index(str(sample.label)) for sample in source.samples])
    recordings = Recordings.of(frames, labels)
    return recordings.accuracy(TernaryModule(network).scores(recordings.frames))


def take(path: Path, name: str, out: Path) -> TernaryNetwork:
    """Write the network at ``path`` to ``out`` as that of the shipped recipe ``name``.

    OptionError when its settings are not the recipe's, named by the first that differs.
    """
    network = load_network(path)
    made, recipe = dict(network.provenance), load_recipe(name)
    begun = from_settings(made["settings"], os.fspath(path))
    theirs, ours = begun.settings(), with_precision(recipe, begun.fit.precision).settings()
    for key in ours:
        if key != "summary" and theirs[key] != ours[key]:
            raise OptionError(f"{path}: was trained with {key} = {theirs[key]}, recipe {name!r} has {ours[key]}")
    made["settings"] = ours
    again = ["gxevent", "train", name, "--data", made["data"]["source"], "--out", f"{name}.gxn"]
    if made["command"] != shlex.join(again):
        made |= {"command": shlex.join(again), "made_by": made.get("made_by", made["command"])}
    taken = replace(network, provenance=made)
    save(taken, out)
    return taken


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit status: 1 when the files written do not give the accuracy they state."""
    from gxevent.train.training import train_recipe

    parser = argparse.ArgumentParser(prog="python -m gxevent.train.zoo", description=str(__doc__).split("\n")[0])
    parser.add_argument("name", choices=list(list_recipes()))
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--data", type=Path, help="folder or archive of the recipe's data; digits needs none")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--resume", type=Path, help="checkpoint to continue")
    parser.add_argument("--take", type=Path, metavar="NETWORK", help="take in this network, trained by the recipe")
    options = parser.parse_args(arguments)
    try:
        options.out.mkdir(parents=True, exist_ok=True)
        path = options.out / f"{options.name}.gxn"
        if options.take is not None:
            take(options.take, options.name, path)
            print(f"{path}: taken from {options.take}")
            return 0
        result = train_recipe(
            options.name, options.data, path, epochs=options.epochs, seed=options.seed, resume=options.resume
        )
        recordings = options.data
        if options.name == "digits":
            recordings = options.out / "digits_test.zip"
            pack_digits(recordings, load_recipe("digits").data.seed)
        for beside in (path.with_suffix(".ckpt"), *result.curve):
            beside.unlink(missing_ok=True)
        read_back = options.name in ("digits", "nmnist") and recordings and recordings.is_file()
        found = accuracy_on(load_network(path), recordings) if read_back else None
    except (GxError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(
        f"{path}: validation {result.validation_accuracy:.2%} of {result.validation_samples}, test "
        f"{result.test_accuracy:.2%} of {result.test_samples}, {result.seconds:.0f} s"
    )
    if found is not None and found != result.test_accuracy:
        print(f"error: {recordings} read back gives {found:.2%}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
