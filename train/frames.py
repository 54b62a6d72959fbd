"""Frames for training: encoded recordings with labels, and their random affine motion."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.train.backend import F, torch
from gxevent.train.recipes import AugmentationSettings

NODES = 5
"""Pixels between the nodes of an elastic motion."""


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
    """Each frame (n, C, H, W) under its own random affine map about the centre, perhaps bent; int8, the same shape.

    Every pixel of ternary frames takes the level of the pixel nearest to where it comes from, so levels stay levels and
    no holes open; graded frames (images) are interpolated between the four around it and rounded. What comes from
    outside is 0.
    """
    n = len(frames)
    if amount.drop:
        frames = frames * (rng.random(frames.shape) >= rng.uniform(0, amount.drop, (n, 1, 1, 1)))
    if amount.flip:
        frames = np.where(rng.random((n, 1, 1, 1)) < 0.5, frames[..., ::-1], frames)
    if float(amount.shift).is_integer() and not any((amount.rotate, amount.scale, amount.shear, amount.elastic)):
        return _shifted(frames, int(amount.shift), rng)
    angle = np.deg2rad(rng.uniform(-amount.rotate, amount.rotate, n))
    scale = 1 + rng.uniform(-amount.scale, amount.scale, (2, n))
    shear = rng.uniform(-amount.shear, amount.shear, n)
    shift = rng.uniform(-amount.shift, amount.shift, (2, n))
    # Where each pixel comes from: a matrix and an origin for each frame.
    cos, sin = np.cos(angle), np.sin(angle)
    turn = np.stack([cos / scale[0], (sin + shear) / scale[1], -sin / scale[0], cos / scale[1]], 1).reshape(n, 2, 2)
    origin = -np.einsum("nij,jn->ni", turn, shift)
    return _taken(frames, turn, origin, _bent(frames.shape, amount.elastic, rng) if amount.elastic else None)


def _shifted(frames: NDArray[np.int8], most: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Each frame moved by whole pixels, at most ``most`` each way."""
    if not most:
        return frames
    n, _, height, width = frames.shape
    padded = np.pad(frames, ((0, 0), (0, 0), (most, most), (most, most)))
    top, left = rng.integers(0, 2 * most + 1, (2, n))
    views = np.lib.stride_tricks.sliding_window_view(padded, (height, width), (2, 3))
    return np.ascontiguousarray(views[np.arange(n), :, top, left])


def _bent(shape: tuple[int, ...], size: float, rng: np.random.Generator) -> torch.Tensor:
    """Smooth random displacements (n, 2, H, W) in pixels: normal ones of deviation ``size`` at nodes 5 pixels apart."""
    n, _, height, width = shape
    rows, cols = _spline(height), _spline(width)
    nodes = rng.normal(0, size, (n, 2, rows.shape[1], cols.shape[1])).astype(np.float32)
    return rows @ torch.from_numpy(nodes) @ cols.T


@functools.cache
def _spline(length: int) -> torch.Tensor:
    """What each node is worth at each pixel (length, nodes) of one axis, by cubic interpolation."""
    count = length // NODES + 2
    return F.interpolate(torch.eye(count)[None, None], (length, count), mode="bicubic", align_corners=True)[0, 0]


def _taken(
    frames: NDArray[np.int8], turn: NDArray[np.float64], origin: NDArray[np.float64], bent: torch.Tensor | None
) -> NDArray[np.int8]:
    """Levels at ``turn`` (n, 2, 2) times a pixel's (x, y) plus ``origin`` (n, 2), both counted in pixels from the
    frame's centre, moved on by ``bent``; 0 outside the frame."""
    n, _, height, width = frames.shape
    # The sampler counts from -1 at the frame's first edge to 1 at its last.
    size = np.array([width, height]) / 2
    theta = np.concatenate([turn * size / size[:, None], (origin / size)[:, :, None]], 2).astype(np.float32)
    places = F.affine_grid(torch.from_numpy(theta), [n, 1, height, width], align_corners=False)
    if bent is not None:
        places += bent.permute(0, 2, 3, 1) / torch.tensor(size, dtype=torch.float32)
    ternary = np.abs(frames, dtype=np.int16).max(initial=0) <= 1
    levels = torch.from_numpy(np.ascontiguousarray(frames)).float()
    taken = F.grid_sample(levels, places, "nearest" if ternary else "bilinear", "zeros", align_corners=False)
    return taken.round_().to(torch.int8).numpy()
