"""Frames for training: encoded recordings with labels, and their random affine motion."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.train.recipes import AugmentationSettings


@dataclass(frozen=True, eq=False)
class Recordings:
    """Encoded recordings. A recording has one frame, or several where the encoder cuts it into windows."""

    frames: NDArray[np.int8]
    """(n, C, H, W) levels."""
    recording: NDArray[np.int64]
    """(n,) number of the recording each frame belongs to, rising from 0."""
    labels: NDArray[np.int64]
    """(recordings,) class numbers."""

    @classmethod
    def of(cls, frames: list[NDArray[np.int8]], labels: NDArray[np.int64]) -> Recordings:
        """From one array (windows, C, H, W) a recording."""
        counts = [len(part) for part in frames]
        return cls(np.concatenate(frames), np.repeat(np.arange(len(frames)), counts), np.asarray(labels, np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def frame_labels(self) -> NDArray[np.int64]:
        return self.labels[self.recording]

    def select(self, chosen: NDArray[np.bool_]) -> Recordings:
        """The recordings where ``chosen`` (recordings,) is true."""
        keep = chosen[self.recording]
        number = np.cumsum(chosen) - 1
        return Recordings(self.frames[keep], number[self.recording[keep]], self.labels[chosen])

    def join(self, other: Recordings) -> Recordings:
        return Recordings(
            np.concatenate([self.frames, other.frames]),
            np.concatenate([self.recording, other.recording + len(self)]),
            np.concatenate([self.labels, other.labels]),
        )

    def batches(
        self, size: int, augmentation: AugmentationSettings, rng: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.int8], NDArray[np.int64]]]:
        """One epoch: all frames in random order, moved at random, with their labels; :meth:`cuts` of them."""
        order = rng.permutation(len(self.frames))
        labels = self.frame_labels
        for first, last in self.cuts(size):
            chosen = order[first:last]
            yield augment(self.frames[chosen], augmentation, rng), labels[chosen]

    def cuts(self, size: int) -> list[tuple[int, int]]:
        """First and last (exclusive) position of each batch of an epoch.

        A last batch of one frame would have no variance for the batch norms: it joins the batch before it.
        """
        count = len(self.frames)
        starts = [i for i in range(0, count, size) if count - i > 1 or i == 0]
        return list(zip(starts, [*starts[1:], count], strict=True))

    def accuracy(self, scores: NDArray[np.float32]) -> float:
        """Share of recordings whose label has the highest score, added over their frames (ties: lowest index)."""
        total = np.zeros((len(self), scores.shape[1]), np.float32)
        np.add.at(total, self.recording, scores)
        return float(np.mean(total.argmax(1) == self.labels))

    def frame_accuracy(self, scores: NDArray[np.float32]) -> float:
        """Share of single frames (windows) whose label has the highest score."""
        return float(np.mean(scores.argmax(1) == self.frame_labels))

    def sha256(self) -> str:
        h = hashlib.sha256()
        for array in (self.frames, self.recording, self.labels):
            h.update(np.ascontiguousarray(array))
        return h.hexdigest()


def folds(labels: NDArray[np.int64], count: int, seed: int) -> NDArray[np.int64]:
    """Fold number (n,) of each sample: every class spread evenly over ``count`` folds, at random but fixed by seed."""
    rng = np.random.default_rng(seed)
    fold = np.empty(len(labels), np.int64)
    first = 0  # where the next class begins to deal, so that the folds' sizes stay within one of each other
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        fold[members] = (first + np.arange(len(members))) % count
        first += len(members)
    return fold


def augment(frames: NDArray[np.int8], amount: AugmentationSettings, rng: np.random.Generator) -> NDArray[np.int8]:
    """Each frame (n, C, H, W) under its own random affine map about the centre; int8, the same shape.

    Every pixel of ternary frames takes the level of the pixel nearest to where it comes from, so levels stay levels and
    no holes open; graded frames (images) are interpolated between the four around it and rounded. What comes from
    outside is 0.
    """
    n, _, height, width = frames.shape
    if amount.drop:
        frames = frames * (rng.random(frames.shape) >= rng.uniform(0, amount.drop, (n, 1, 1, 1)))
    if amount.flip:
        frames = np.where(rng.random((n, 1, 1, 1)) < 0.5, frames[..., ::-1], frames)
    if float(amount.shift).is_integer() and not any((amount.rotate, amount.scale, amount.shear)):
        return _shifted(frames, int(amount.shift), rng)
    angle = np.deg2rad(rng.uniform(-amount.rotate, amount.rotate, n))
    scale = 1 + rng.uniform(-amount.scale, amount.scale, (2, n))
    shear = rng.uniform(-amount.shear, amount.shear, n)
    shift = rng.uniform(-amount.shift, amount.shift, (2, n))
    y, x = np.mgrid[:height, :width].reshape(2, 1, -1) - np.array([height - 1, width - 1]).reshape(2, 1, 1) / 2
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    u, v = (x - shift[0][:, None]) / scale[0][:, None], (y - shift[1][:, None]) / scale[1][:, None]
    col = cos * u + sin * v + shear[:, None] * v + (width - 1) / 2
    row = cos * v - sin * u + (height - 1) / 2
    if np.abs(frames, dtype=np.int16).max(initial=0) <= 1:
        return _taken(frames, np.rint(row).astype(np.int64), np.rint(col).astype(np.int64)).reshape(frames.shape)
    top, left = np.floor(row).astype(np.int64), np.floor(col).astype(np.int64)
    down, right = (row - top).astype(np.float32)[:, None], (col - left).astype(np.float32)[:, None]
    upper = _taken(frames, top, left) * (1 - right) + _taken(frames, top, left + 1) * right
    lower = _taken(frames, top + 1, left) * (1 - right) + _taken(frames, top + 1, left + 1) * right
    return np.rint(upper * (1 - down) + lower * down).astype(np.int8).reshape(frames.shape)


def _shifted(frames: NDArray[np.int8], most: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Each frame moved by whole pixels, at most ``most`` each way."""
    if not most:
        return frames
    n, _, height, width = frames.shape
    padded = np.pad(frames, ((0, 0), (0, 0), (most, most), (most, most)))
    top, left = rng.integers(0, 2 * most + 1, (2, n))
    views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
    return np.ascontiguousarray(views[np.arange(n), :, top, left])


def _taken(frames: NDArray[np.int8], row: NDArray[np.int64], col: NDArray[np.int64]) -> NDArray[np.int8]:
    """Levels (n, C, pixels) at rows and columns (n, pixels), 0 outside the image."""
    n, channels, height, width = frames.shape
    inside = (col >= 0) & (col < width) & (row >= 0) & (row < height)
    source = np.where(inside, row * width + col, 0)
    taken = np.take_along_axis(frames.reshape(n, channels, -1), source[:, None, :], axis=2)
    taken *= inside[:, None, :]
    return taken
