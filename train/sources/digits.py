"""``digits``: 1797 digits of 8x8 pixels, which scikit-learn brings along, each before an emulated event camera.

Every fifth (stratified, fixed) is a test recording.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError, require
from gxevent.events import EventStream, encode_stream
from gxevent.events.emulate import DIGITS as DIGITS_CAMERA
from gxevent.train.frames import Recordings, folds
from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data, frame_shape, progress

TEST_FOLDS = 5


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
    return Digits(bunch.images / 16.0, labels, folds(labels, TEST_FOLDS, seed) == 0)


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """The emulated recordings; nothing is read, so ``path`` is to be None."""
    if path is not None:
        raise OptionError(f"recipe {recipe.name!r} brings its own data: leave out --data {path}")
    encoder, seed = recipe.encoder.encoder(), recipe.data.seed
    pictures = digits(seed)

    def encoded(chosen: NDArray[np.bool_]) -> Recordings:
        numbers = np.flatnonzero(chosen)
        shape = frame_shape(encoder, DIGITS_CAMERA.height, DIGITS_CAMERA.width)
        streams = (pictures.record(int(i), seed) for i in progress(numbers, "emulating", quiet))
        return Recordings.of([encode_stream(encoder, stream, shape) for stream in streams], pictures.labels[numbers])

    train = encoded(~pictures.test)
    description = {
        "name": "UCI optical recognition of handwritten digits (scikit-learn), before an emulated event camera",
        "camera": asdict(DIGITS_CAMERA),
        "train_recordings": len(train),
        "test_recordings": int(pictures.test.sum()),
        "test_split": f"1 of {TEST_FOLDS} stratified folds, seed {seed}; writers are shared between the parts",
        "emulation_seed": seed,
    }
    classes = tuple(str(i) for i in range(10))
    return Data(train, lambda: encoded(pictures.test), classes, description)
