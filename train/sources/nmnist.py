"""``nmnist``: real N-MNIST recordings in the published layout, plus emulated ones.

Where MNIST's own files are found, MNIST *training* digits that have no real recording here are recorded by an emulated
camera. So no validation or test digit is ever seen emulated.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError
from gxevent.events import encode_stream
from gxevent.events.datasets import DataSet, Sample, open_dataset
from gxevent.events.emulate import NMNIST
from gxevent.train.frames import Recordings
from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data, frame_shape, progress

CAMERA = replace(NMNIST, jitter=0.3)
"""As fitted to N-MNIST; the jitter stands for the sessions it was recorded in."""
SIZE = 34
HOME = "https://www.garrickorchard.com/datasets/n-mnist"


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """Recordings at ``path``, and as many emulated ones as the recipe says."""
    if path is None:
        raise OptionError(f"recipe {recipe.name!r} needs --data: a folder or archive of N-MNIST, see {HOME}")
    encoder, emulated = recipe.encoder.encoder(), recipe.data.emulated
    sources = _open_nmnist(path)
    shape = frame_shape(encoder, SIZE, SIZE)
    classes = tuple(str(i) for i in range(10))
    members = [(source, i, sample) for source in sources for i, sample in enumerate(source.samples)]
    parts = {split: [m for m in members if m[2].split == split] for split in ("train", "test")}
    for _, _, sample in members:
        if sample.label not in classes:
            raise FormatError(
                f"{path}: {sample.id}: label {sample.label!r} is no digit, expected Train/<digit>/<number>.bin"
            )
    if not parts["train"]:
        raise FormatError(f"{path}: has no Train folder; {_expected()}")

    def encoded(part: list[tuple[DataSet, int, Sample]], what: str) -> Recordings:
        streams = (source.load(i) for source, i, _ in progress(part, what, quiet))
        frames = [encode_stream(encoder, stream, shape) for stream in streams]
        return Recordings.of(frames, np.array([int(sample.label) for *_, sample in part]))

    description: dict[str, Any] = {
        "name": "N-MNIST (Orchard et al. 2015)",
        "source": path.name,
        "train_recordings": len(parts["train"]),
        "test_recordings": len(parts["test"]),
        "emulated_recordings": 0,
    }
    train = encoded(parts["train"], "encoding")
    extra, notes = None, ()
    if emulated:
        mnist = _find_mnist(path)
        if mnist is None:
            notes = (
                f"no MNIST files (train-images-idx3-ubyte) in, or in a folder mnist in or beside, {path}: training "
                "without emulated recordings, which costs accuracy",
            )
        else:
            extra = _emulated(
                encoder, shape, mnist, {_digit(sample, path) for *_, sample in parts["train"]}, emulated, quiet
            )
            description |= {"emulated_recordings": len(extra), "camera": asdict(CAMERA)}
    return Data(
        train,
        lambda: encoded(parts["test"], "test") if parts["test"] else None,
        classes,
        description,
        extra,
        notes,
    )


def _open_nmnist(path: Path) -> list[DataSet]:
    """The data set at ``path``: itself, or the archives in the folder (``Train.zip`` and ``Test.zip``, or one)."""
    if not path.exists():
        raise FormatError(f"{path}: no such file or folder; {_expected()}")
    archives: list[Path] = []
    if path.is_dir():
        entries = sorted(path.iterdir())
        if not any(entry.is_dir() and entry.name.lower() == "train" for entry in entries):
            archives = [e for e in entries if e.name.lower().endswith((".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz"))]
            if not archives:
                raise FormatError(f"{path}: holds neither a folder Train nor an archive; {_expected()}")
    try:
        return [open_dataset(source, split="all") for source in archives or [path]]
    except (FormatError, OptionError) as error:
        raise FormatError(f"{error} ({_expected()})") from error


def _expected() -> str:
    return (
        "expected the N-MNIST layout Train/<digit>/<number>.bin and Test/<digit>/<number>.bin, unpacked or as "
        f"Train.zip and Test.zip; the set is published at {HOME}"
    )


def _digit(sample: Sample, path: Path) -> int:
    """Number of the MNIST image (from 0) of an N-MNIST recording, whose file is named by it, from 1."""
    stem = PurePosixPath(sample.id).stem
    if not stem.isdecimal():
        raise FormatError(
            f"{path}: {sample.id}: cannot tell which MNIST digit this is, files are named by number, as 00001.bin; "
            "set data.emulated = 0 in the recipe to train on the real recordings alone"
        )
    return int(stem) - 1


def _find_mnist(path: Path) -> Path | None:
    folder = path.absolute() if path.is_dir() else path.absolute().parent
    for place in (folder, folder / "mnist", folder.parent / "mnist"):
        if any((place / f"train-images-idx3-ubyte{end}").is_file() for end in ("", ".gz")):
            return place
    return None


def _emulated(
    encoder: Encoder, shape: tuple[int, int, int], mnist: Path, real: set[int], count: int, quiet: bool
) -> Recordings:
    """Emulated recordings of the first ``count`` MNIST training digits not in ``real``; their numbers are the seeds."""
    source = open_dataset(mnist, split="train")
    numbers = [i for i in range(len(source)) if i not in real][:count]
    frames = [
        encode_stream(encoder, CAMERA(source.load(i), seed=i), shape) for i in progress(numbers, "emulating", quiet)
    ]
    return Recordings.of(frames, np.array([int(source.samples[i].label or 0) for i in numbers]))
