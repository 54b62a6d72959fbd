"""``images``: still images as graded events: IDX files (MNIST), CIFAR batches, folders ``split/class/picture``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError
from gxevent.events import encode_images
from gxevent.events.datasets import open_dataset
from gxevent.train.frames import Recordings
from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data

HOMES = {
    "mnist": "http://yann.lecun.com/exdb/mnist",
    "fashion": "https://github.com/zalandoresearch/fashion-mnist",
    "cifar10": "https://www.cs.toronto.edu/~kriz/cifar.html",
}
"""Where the data sets of shipped recipes are published, by the beginning of the recipe's name."""
NAMES = {"mnist": "MNIST", "fashion": "Fashion-MNIST", "cifar10": "CIFAR-10"}


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """Training and test images at ``path``; test images are read when they are asked for."""
    known = next((name for name in HOMES if recipe.name.startswith(name)), None)
    expected = _expected(known)
    if path is None:
        raise OptionError(f"recipe {recipe.name!r} needs --data: {expected}")
    encoder = recipe.encoder.encoder()
    images, labels = _part(path, "train", expected)
    classes = tuple(sorted(set(labels), key=lambda label: (int(label), "") if label.isdecimal() else (-1, label)))
    train = _encoded(encoder, images, labels, classes, path, expected)
    description = {
        "name": NAMES.get(known or "", f"images of recipe {recipe.name}"),
        "source": path.name,
        "train_recordings": len(train),
    }
    return Data(
        train, lambda: _encoded(encoder, *_part(path, "test", expected), classes, path, expected), classes, description
    )


def _part(path: Path, split: str, expected: str) -> tuple[NDArray[np.uint8], list[str]]:
    """Images and labels of one split."""
    try:
        source = open_dataset(path, split=split)
    except (FormatError, OptionError) as error:
        raise FormatError(f"{error} ({expected})") from error
    if source.kind != "images":
        raise FormatError(f"{path}: holds recordings of events; {expected}")
    if not source.samples:
        raise FormatError(f"{path}: the {split} part is empty; {expected}")
    labels = [sample.label for sample in source.samples]
    if None in labels:
        raise FormatError(f"{path}: the {split} images lack labels; {expected}")
    return source.images(), [str(label) for label in labels]


def _encoded(
    encoder: Encoder,
    images: NDArray[np.uint8],
    labels: list[str],
    classes: tuple[str, ...],
    path: Path,
    expected: str,
) -> Recordings:
    number = {label: i for i, label in enumerate(classes)}
    if unknown := sorted(set(labels) - set(classes)):
        raise FormatError(
            f"{path}: test images have labels that no training image has: {', '.join(unknown)}; {expected}"
        )
    shape = images.shape[1:] if images.ndim == 4 else (1, *images.shape[1:])
    frames = encode_images(encoder, images, shape)
    return Recordings(frames, np.arange(len(frames)), np.array([number[label] for label in labels], np.int64))


def _expected(known: str | None) -> str:
    home = f"; the set is published at {HOMES[known]}" if known else ""
    if known == "cifar10":
        return f"expected CIFAR-10's batches (python or binary), or pictures train/<class>/ and test/<class>/{home}"
    return (
        "expected train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
        f"t10k-labels-idx1-ubyte, each perhaps with .gz{home}"
    )
