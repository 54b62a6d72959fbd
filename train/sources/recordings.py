"""``recordings``: labelled recordings of one's own, of any format and sensor, a folder for each label.

Each recording makes one frame, or one for each window where the encoder has a window. What only the data can say is
filled into the recipe: the number of classes, and how far a large sensor is downsampled.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec
import numpy as np

from gxevent.errors import FormatError, OptionError
from gxevent.events import encode_stream
from gxevent.events.datasets import DataSet, Sample, natural, open_dataset
from gxevent.train.frames import Recordings
from gxevent.train.recipes import Recipe
from gxevent.train.sources.data import Data, frame_shape, progress

CLASSES = "classes"
"""Stands at the end of a network text for the number of labels found."""

_EXPECTED = (
    "expected recordings of events train/<label>/<file>, and for the test part the same under test, or <label>/<file> "
    "without a test part"
)


@dataclass(frozen=True)
class _Folder:
    """An opened data set: its training and test recordings by number, and the labels."""

    source: DataSet
    train: list[tuple[int, Sample]]
    test: list[tuple[int, Sample]]
    classes: tuple[str, ...]

    def size(self, quiet: bool) -> tuple[int, int]:
        """Rows and columns that hold every training recording (and the test ones, which have the same camera)."""
        streams = [self.source.load(i) for i, _ in progress(self.train, "looking", quiet)]
        return max(s.height for s in streams), max(s.width for s in streams)


def _open(recipe: Recipe, path: Path | None) -> _Folder:
    if path is None:
        raise OptionError(f"recipe {recipe.name!r} needs --data: {_EXPECTED}")
    try:
        source = open_dataset(path, split="all")
    except (FormatError, OptionError) as error:
        raise FormatError(f"{error} ({_EXPECTED})") from error
    if source.kind == "images":
        raise FormatError(f"{path}: holds images; {_EXPECTED}")
    members = list(enumerate(source.samples))
    splits = {sample.split for _, sample in members}
    train = [m for m in members if m[1].split == "train" or splits == {None}]
    test = [m for m in members if m[1].split == "test"]
    if not train:
        raise FormatError(f"{path}: has no recordings under train; {_EXPECTED}")
    if unlabelled := [sample.id for _, sample in train + test if sample.label is None]:
        raise FormatError(f"{path}: {unlabelled[0]}: has no label; {_EXPECTED}")
    classes = tuple(sorted({str(sample.label) for _, sample in train}, key=natural))
    if len(classes) < 2:
        raise FormatError(f"{path}: all training recordings have the label {classes[0]!r}: give two labels or more")
    for _, sample in test:
        if str(sample.label) not in classes:
            raise FormatError(f"{path}: {sample.id}: label {sample.label!r} has no training recording")
    return _Folder(source, train, test, classes)


def fitted(recipe: Recipe, path: Path | None, quiet: bool) -> Recipe:
    """The recipe with the number of classes, and with the sensor downsampled to ``data.side`` pixels at most."""
    folder = _open(recipe, path)
    network = recipe.network.layers
    if network.endswith(f"-{CLASSES}"):
        network = f"{network.removesuffix(CLASSES)}{len(folder.classes)}"
    encoder = recipe.encoder
    if recipe.data.side:
        step = -(-max(folder.size(quiet)) // recipe.data.side)
        encoder = msgspec.structs.replace(encoder, downsample=max(encoder.downsample, step))
    return msgspec.structs.replace(
        recipe, network=msgspec.structs.replace(recipe.network, layers=network), encoder=encoder
    )


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """The recordings of a folder, encoded; the test recordings only when they are asked for."""
    folder = _open(recipe, path)
    assert path is not None
    encoder = recipe.encoder.encoder()
    rows, columns = folder.size(quiet=True)
    shape = frame_shape(encoder, rows, columns)

    def encoded(part: list[tuple[int, Sample]], what: str) -> Recordings:
        frames, labels = [], []
        for i, sample in progress(part, what, quiet):
            stream = folder.source.load(i)
            if stream.height > rows or stream.width > columns:
                raise FormatError(
                    f"{path}: {sample.id}: a sensor of {stream.width}x{stream.height} pixels, the training recordings "
                    f"have {columns}x{rows}"
                )
            stream = replace(stream, width=columns, height=rows) if not stream.y_up else stream
            frames.append(encode_stream(encoder, stream, shape))
            if not len(frames[-1]):
                raise FormatError(f"{path}: {sample.id}: holds no events")
            labels.append(folder.classes.index(str(sample.label)))
        return Recordings.of(frames, np.array(labels))

    description: dict[str, Any] = {
        "name": PurePosixPath(path.name).name,
        "source": path.name,
        "train_recordings": len(folder.train),
        "test_recordings": len(folder.test),
        "sensor": [columns, rows],
    }
    notes = ()
    if not folder.test:
        notes = (f"{path}: no recordings under test: the accuracy on validation recordings will be the only one",)
    load_test = (lambda: encoded(folder.test, "test")) if folder.test else (lambda: None)
    return Data(encoded(folder.train, "reading"), load_test, folder.classes, description, notes=notes)
