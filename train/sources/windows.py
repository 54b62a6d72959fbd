"""``windows``: long recordings cut into windows of time, one recording a class or more, as users make them.

What is learnt must hold for sessions not seen: every epoch cuts the training recordings anew, at random times, and
moves each window's events at random: turned, scaled, shifted, mirrored, slower or faster, played backwards, with events
missing and events of noise. Validation windows come from stretches of the same recordings that training never sees,
moved in the same ways, once and for all. Test windows are cut as ``gxevent run`` cuts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import Encoder, parse_window
from gxevent.errors import FormatError, OptionError
from gxevent.events import EventStream, encode_stream
from gxevent.events.datasets import Sample, open_dataset
from gxevent.train.frames import Recordings
from gxevent.train.recipes import AugmentationSettings, Recipe
from gxevent.train.sources.data import Data, frame_shape, progress

VALIDATION_COPIES = 4
"""Each validation window is moved this many times."""


@dataclass(frozen=True)
class Stretch:
    """A stretch of one recording: its events as plain arrays, times from 0 on."""

    t: NDArray[np.int64]
    x: NDArray[np.int64]
    y: NDArray[np.int64]
    p: NDArray[np.bool_]
    span: int
    """Length in microseconds."""
    width: int
    height: int

    @classmethod
    def of(cls, stream: EventStream, first: float, last: float) -> Stretch:
        """The part from share ``first`` to share ``last`` of the recording's time."""
        events = stream.oriented().events
        t = events["t"].astype(np.int64)
        begin, span = (int(t[0]), int(t[-1] - t[0]) + 1) if len(t) else (0, 0)
        low, high = begin + round(first * span), begin + round(last * span)
        chosen = events[np.searchsorted(t, low) : np.searchsorted(t, high)]
        x, y = chosen["x"].astype(np.int64), chosen["y"].astype(np.int64)
        t, p = chosen["t"].astype(np.int64) - low, chosen["p"].astype(bool)
        return cls(t, x, y, p, high - low, stream.width, stream.height)

    def draw(
        self, encoder: Encoder, shape: tuple[int, int, int], amount: AugmentationSettings, rng: np.random.Generator
    ) -> NDArray[np.int8]:
        """One frame (C, H, W) of a window at a random time, moved at random."""
        length = min(
            self.span, round(parse_window(encoder.window).length * 2 ** rng.uniform(-amount.speed, amount.speed))
        )
        begin = int(rng.integers(0, self.span - length + 1))
        part = slice(*np.searchsorted(self.t, (begin, begin + length)))
        t, p = self.t[part] - begin, self.p[part]
        if amount.reverse and rng.random() < 0.5:
            t, p = length - 1 - t, ~p
        x, y = self._moved(part, amount, rng)
        stay = (x >= 0) & (x < self.width) & (y >= 0) & (y < self.height)
        if amount.drop:
            stay &= rng.random(len(t)) >= rng.uniform(0, amount.drop)
        t, x, y, p = t[stay], x[stay], y[stay], p[stay]
        count = round(rng.uniform(0, amount.noise) * len(t))
        if count:
            t, p = np.append(t, rng.integers(0, length, count)), np.append(p, rng.random(count) < 0.5)
            x, y = np.append(x, rng.integers(0, self.width, count)), np.append(y, rng.integers(0, self.height, count))
        return _frame(encoder, shape, t * encoder.bins // max(1, length), x, y, p)

    def _moved(
        self, part: slice, amount: AugmentationSettings, rng: np.random.Generator
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pixels of some events under one random affine map about the sensor's centre."""
        angle = np.deg2rad(rng.uniform(-amount.rotate, amount.rotate))
        scale_x, scale_y = (
            1 + rng.uniform(-amount.scale, amount.scale) + rng.uniform(-amount.shear, amount.shear, 2) / 2
        )
        shift_x, shift_y = rng.uniform(-amount.shift, amount.shift, 2)
        centre_x, centre_y = (self.width - 1) / 2, (self.height - 1) / 2
        u, v = (self.x[part] - centre_x) * scale_x, (self.y[part] - centre_y) * scale_y
        if amount.flip and rng.random() < 0.5:
            u = -u
        cos, sin = np.cos(angle), np.sin(angle)
        made = cos * u - sin * v + centre_x + shift_x, sin * u + cos * v + centre_y + shift_y
        return np.rint(made[0]).astype(np.int64), np.rint(made[1]).astype(np.int64)


def _frame(
    encoder: Encoder,
    shape: tuple[int, int, int],
    bins: NDArray[np.int64],
    x: NDArray[np.int64],
    y: NDArray[np.int64],
    p: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """Events, each with its bin, as the encoder makes a frame of them."""
    pixel = (y // encoder.downsample) * shape[2] + x // encoder.downsample
    plane, size = shape[1] * shape[2], int(np.prod(shape))
    if encoder.kind == "onoff":
        frame = np.zeros(size, np.int8)
        frame[(2 * bins + ~p) * plane + pixel] = 1
    else:
        frame = np.sign(np.bincount(bins * plane + pixel, np.where(p, 1, -1), size)).astype(np.int8)
    return frame.reshape(shape)


@dataclass(frozen=True, eq=False)
class Windows(Recordings):
    """Training windows; ``frames`` are one drawing of them, by which the data is known, each epoch draws its own."""

    stretches: tuple[Stretch, ...] = ()
    encoder: Encoder | None = None

    def batches(
        self, size: int, augmentation: AugmentationSettings, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int64]]]:
        """As of the base class, but every frame is cut and moved anew; ``recording`` says of which stretch."""
        assert self.encoder is not None
        order = rng.permutation(len(self.frames))
        shape = self.frames.shape[1:]
        for first, last in self.cuts(size):
            chosen = self.recording[order[first:last]]
            yield (
                np.stack([self.stretches[i].draw(self.encoder, shape, augmentation, rng) for i in chosen]),
                self.labels[chosen],
            )


@dataclass(frozen=True, eq=False)
class WindowData(Data):
    """Recordings to be split in time: fold ``fold`` of the time of every recording is held out."""

    streams: tuple[EventStream, ...] = ()
    recipe: Recipe | None = None

    def split(self, count: int, fold: int, seed: int, repeat: int = 1) -> tuple[Recordings, Recordings]:
        assert self.recipe is not None
        rng = np.random.default_rng([seed, fold])
        train = self._windows(((0, fold / count), ((fold + 1) / count, 1)), repeat, rng, AugmentationSettings())
        held_out = self._windows(
            ((fold / count, (fold + 1) / count),), VALIDATION_COPIES, rng, self.recipe.augmentation
        )
        return train, Recordings(held_out.frames, np.arange(len(held_out.frames)), held_out.frame_labels)

    def _windows(
        self,
        parts: tuple[tuple[float, float], ...],
        repeat: int,
        rng: np.random.Generator,
        augmentation: AugmentationSettings,
    ) -> Windows:
        """As many windows of each part of each recording as fit side by side, ``repeat`` times."""
        encoder, shape = self.recipe.encoder.encoder(), self.train.frames.shape[1:]
        length = parse_window(encoder.window).length
        stretches, labels, counts = [], [], []
        for stream, label in zip(self.streams, self.train.labels, strict=True):
            for first, last in parts:
                stretch = Stretch.of(stream, first, last)
                if stretch.span >= length:
                    stretches.append(stretch)
                    labels.append(label)
                    counts.append(repeat * (stretch.span // length))
        if not counts:
            raise OptionError(
                f"encoder.window: {encoder.window}: no training recording holds one beside the part kept for "
                "validation: take shorter windows or, for longer validation parts, fewer data.folds"
            )
        recording = np.repeat(np.arange(len(counts)), counts)
        frames = [stretches[i].draw(encoder, shape, augmentation, rng) for i in recording]
        return Windows(np.stack(frames), recording, np.array(labels, np.int64), tuple(stretches), encoder)


def load(recipe: Recipe, path: Path | None, quiet: bool) -> Data:
    """Recordings ``train/<label>.<ext>`` or ``train/<label>/<file>`` and the same under ``test``, of any format."""
    expected = (
        "expected recordings of events train/<label>.<format> or train/<label>/<file>, and for the test part the same "
        "under test"
    )
    if path is None:
        raise OptionError(f"recipe {recipe.name!r} needs --data: {expected}")
    encoder = recipe.encoder.encoder()
    if parse_window(encoder.window).unit != "us":
        raise OptionError(f"recipe {recipe.name!r}: encoder.window: {encoder.window!r}, expected a time as 200ms")
    try:
        source = open_dataset(path, split="all")
    except (FormatError, OptionError) as error:
        raise FormatError(f"{error} ({expected})") from error
    if source.kind == "images":
        raise FormatError(f"{path}: holds images; {expected}")
    parts: dict[str | None, list[tuple[int, Sample]]] = {}
    for i, sample in enumerate(source.samples):
        parts.setdefault(sample.split, []).append((i, sample))
    if not parts.get("train"):
        raise FormatError(f"{path}: has no recordings under train; {expected}")
    classes = tuple(sorted({str(sample.label) for _, sample in parts["train"]}))

    def loaded(part: list[tuple[int, Sample]], what: str) -> tuple[tuple[EventStream, ...], Recordings]:
        streams = tuple(source.load(i) for i, _ in progress(part, what, quiet))
        shape = frame_shape(encoder, max(s.height for s in streams), max(s.width for s in streams))
        frames = [encode_stream(encoder, stream, shape) for stream in streams]
        return streams, Recordings.of(frames, np.array([_number(sample, classes, path) for _, sample in part]))

    streams, train = loaded(parts["train"], "reading")
    test = parts.get("test", [])
    description: dict[str, Any] = {
        "name": f"{PurePosixPath(path.name)}, windows of {encoder.window}",
        "source": path.name,
        "train_recordings": len(train),
        "test_recordings": len(test),
    }
    load_test = (lambda: loaded(test, "test")[1]) if test else (lambda: None)
    return WindowData(train, load_test, classes, description, streams=streams, recipe=recipe)


def _number(sample: Sample, classes: tuple[str, ...], path: Path) -> int:
    if str(sample.label) not in classes:
        raise FormatError(f"{path}: {sample.id}: label {sample.label!r} has no training recording")
    return classes.index(str(sample.label))
