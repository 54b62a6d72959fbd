"""What recipes train on: recordings of digits, real and emulated, encoded and split.

``digits``
    The 1797 digits of 8x8 pixels that scikit-learn brings along, each before an emulated event camera of 16x16
    pixels. Every fifth (stratified, fixed) is a test recording.
``idx``
    Images in IDX files (the layout of MNIST and Fashion-MNIST), training and test part.
``nmnist``
    Real N-MNIST recordings in the published layout, plus, where MNIST's own files are found, emulated recordings of
    MNIST *training* digits that have no real recording here. So no validation or test digit is ever seen emulated.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError, require
from gxevent.events import EventStream, encode_images, encode_stream
from gxevent.events.datasets import DataSet, Sample, open_dataset
from gxevent.events.emulate import DIGITS as DIGITS_CAMERA, NMNIST
from gxevent.train.frames import Recordings, folds
from gxevent.train.recipes import Recipe

NMNIST_CAMERA = replace(NMNIST, jitter=0.3)
"""As fitted to N-MNIST; the jitter stands for the sessions it was recorded in."""
DIGITS_TEST_FOLDS = 5
NMNIST_SIZE = 34
IDX_HOMES = {
    "mnist": "http://yann.lecun.com/exdb/mnist",
    "fashion": "https://github.com/zalandoresearch/fashion-mnist",
}
NMNIST_HOME = "https://www.garrickorchard.com/datasets/n-mnist"


@dataclass(frozen=True, eq=False)
class Data:
    """Recordings of a recipe. The test recordings are not even read before ``load_test`` is called."""

    train: Recordings
    load_test: Callable[[], Recordings | None]
    classes: tuple[str, ...]
    description: dict[str, Any]
    emulated: Recordings | None = None
    """Further training recordings, of digits that neither ``train`` nor the test recordings show."""
    notes: tuple[str, ...] = field(default=())
    """What the user should know, a sentence each."""

    def split(self, count: int, fold: int, seed: int, repeat: int = 1) -> tuple[Recordings, Recordings]:
        """Training and validation recordings: fold ``fold`` of ``count`` is held out, emulated ones never are."""
        if len(self.train) < count:
            raise OptionError(f"data.folds: {count} folds of {len(self.train)} training recordings: take fewer")
        held_out = folds(self.train.labels, count, seed) == fold
        train = real = self.train.select(~held_out)
        for _ in range(repeat - 1):
            train = train.join(real)
        if self.emulated is not None:
            train = train.join(self.emulated)
        return train, self.train.select(held_out)


def load_data(recipe: Recipe, path: str | os.PathLike[str] | None = None, *, quiet: bool = True) -> Data:
    """The data of a recipe; ``path`` is needed by all but ``digits``, which comes with scikit-learn.

    Raises
    ------
    OptionError
        for a path that is missing or not needed; FormatError when the files expected are not there.
    """
    encoder = recipe.encoder.encoder()
    if recipe.data.kind == "digits":
        if path is not None:
            raise OptionError(f"recipe {recipe.name!r} brings its own data: leave out --data {os.fspath(path)}")
        return _digits(encoder, recipe.data.seed, quiet)
    if path is None:
        what = "N-MNIST" if recipe.data.kind == "nmnist" else "IDX files"
        home = IDX_HOMES.get(recipe.name, NMNIST_HOME)
        raise OptionError(f"recipe {recipe.name!r} needs --data: a folder or archive of {what}, see {home}")
    if recipe.data.kind == "idx":
        return _images(encoder, Path(path), recipe.name)
    return _nmnist(encoder, Path(path), recipe.data.emulated, quiet)


# ---------------------------------------------------------------------------------------------------------- digits


@dataclass(frozen=True, eq=False)
class Digits:
    """The digits as pictures: images float64 (1797, 8, 8) in 0 .. 1, labels, and which are for testing."""

    images: NDArray[np.float64]
    labels: NDArray[np.int64]
    test: NDArray[np.bool_]

    def record(self, number: int, seed: int) -> EventStream:
        """The emulated recording of one digit; its noise and its pixels' thresholds follow from number and seed."""
        return DIGITS_CAMERA(self.images[number], seed=seed * len(self.images) + number, source=f"digit {number}")


def digits(seed: int = 0) -> Digits:
    """scikit-learn's copy of the test part of the UCI optical recognition of handwritten digits data."""
    load = require("sklearn.datasets", extra="train", purpose="the digits recipe").load_digits
    bunch = load()
    labels = bunch.target.astype(np.int64)
    return Digits(bunch.images / 16.0, labels, folds(labels, DIGITS_TEST_FOLDS, seed) == 0)


def _digits(encoder: Encoder, seed: int, quiet: bool) -> Data:
    pictures = digits(seed)

    def encoded(chosen: NDArray[np.bool_]) -> Recordings:
        numbers = np.flatnonzero(chosen)
        shape = _shape(encoder, DIGITS_CAMERA.height)
        streams = (pictures.record(int(i), seed) for i in _progress(numbers, "emulating", quiet))
        return Recordings.of([encode_stream(encoder, stream, shape) for stream in streams], pictures.labels[numbers])

    train = encoded(~pictures.test)
    description = {
        "name": "UCI optical recognition of handwritten digits (scikit-learn), before an emulated event camera",
        "camera": asdict(DIGITS_CAMERA),
        "train_recordings": len(train),
        "test_recordings": int(pictures.test.sum()),
        "test_split": f"1 of {DIGITS_TEST_FOLDS} stratified folds, seed {seed}; writers are shared between the parts",
        "emulation_seed": seed,
    }
    classes = tuple(str(i) for i in range(10))
    return Data(train, lambda: encoded(pictures.test), classes, description)


# ---------------------------------------------------------------------------------------------------------- images


def _images(encoder: Encoder, path: Path, name: str) -> Data:
    """Training and test images of a folder of IDX files."""

    def part(split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        try:
            source = open_dataset(path, split=split)
        except (FormatError, OptionError) as error:
            raise FormatError(f"{error} ({_expected_idx(name)})") from error
        if source.kind != "images":
            raise FormatError(f"{path}: holds recordings of events; {_expected_idx(name)}")
        labels = [sample.label for sample in source.samples]
        if None in labels or not all(str(label).isdecimal() for label in labels):
            raise FormatError(f"{path}: the {split} images lack labels; {_expected_idx(name)}")
        return source.images(), np.array(labels, np.int64)

    def encoded(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Recordings:
        frames = encode_images(encoder, images, (1, *images.shape[1:]))
        return Recordings(frames, np.arange(len(frames)), labels)

    images, labels = part("train")
    classes = tuple(str(i) for i in range(int(labels.max()) + 1))
    train = encoded(images, labels)
    description = {"name": f"{name} images (IDX files)", "source": path.name, "train_recordings": len(train)}
    return Data(train, lambda: encoded(*part("test")), classes, description)


def _expected_idx(name: str) -> str:
    home = f"; the set is published at {IDX_HOMES[name]}" if name in IDX_HOMES else ""
    return (
        "expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
        f"t10k-labels-idx1-ubyte, each perhaps with .gz{home}"
    )


# --------------------------------------------------------------------------------------------------------- N-MNIST


def _nmnist(encoder: Encoder, path: Path, emulated: int, quiet: bool) -> Data:
    sources = _open_nmnist(path)
    shape = _shape(encoder, NMNIST_SIZE)
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
        streams = (source.load(i) for source, i, _ in _progress(part, what, quiet))
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
            description |= {"emulated_recordings": len(extra), "camera": asdict(NMNIST_CAMERA)}
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
        f"Train.zip and Test.zip; the set is published at {NMNIST_HOME}"
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
        encode_stream(encoder, NMNIST_CAMERA(source.load(i), seed=i), shape)
        for i in _progress(numbers, "emulating", quiet)
    ]
    return Recordings.of(frames, np.array([int(source.samples[i].label or 0) for i in numbers]))


# ---------------------------------------------------------------------------------------------------------- shared


def _shape(encoder: Encoder, size: int) -> tuple[int, int, int]:
    if encoder.takes_images:
        raise OptionError(f"encoder {encoder.kind!r} takes images, but these are recordings: use 'onoff' or 'signed'")
    side = -(-size // encoder.downsample)
    return encoder.channels, side, side


def _progress(items: Iterable[Any], what: str, quiet: bool) -> Iterable[Any]:
    return tqdm(items, desc=what, disable=quiet, leave=False)
