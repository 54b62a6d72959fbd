"""Recordings, folds and random motion."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

from gxevent.train.frames import Recordings, augment, folds
from gxevent.train.recipes import AugmentationSettings


def recordings():
    frames = [np.full((count, 1, 2, 2), i, np.int8) for i, count in enumerate((2, 1, 3))]
    return Recordings.of(frames, np.array([0, 1, 0]))


def test_select_and_join_keep_frames_with_their_recording():
    part = recordings().select(np.array([True, False, True]))
    assert part.labels.tolist() == [0, 0]
    assert part.recording.tolist() == [0, 0, 1, 1, 1]
    assert part.frames[:, 0, 0, 0].tolist() == [0, 0, 2, 2, 2]
    both = recordings().join(part)
    assert both.recording.tolist() == [0, 0, 1, 2, 2, 2, 3, 3, 4, 4, 4]
    assert both.frame_labels.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]


def test_scores_of_a_recordings_frames_add():
    scores = np.array([[0, 3], [4, 0], [1, 1], [0, 1], [0, 1], [1, 0]], np.float32)
    assert recordings().accuracy(scores) == pytest.approx(1 / 3)  # 4:3 right; a tie goes to class 0; 1:2 wrong


@given(labels=st.lists(st.integers(0, 4), min_size=10, max_size=80), count=st.integers(2, 6), seed=st.integers(0, 3))
def test_folds_are_even_in_size_and_class(labels, count, seed):
    labels = np.array(labels)
    fold = folds(labels, count, seed)
    assert np.array_equal(fold, folds(labels, count, seed))
    sizes = np.bincount(fold, minlength=count)
    assert sizes.max() - sizes.min() <= 1
    for label in np.unique(labels):
        sizes = np.bincount(fold[labels == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def settings(**amounts):
    return AugmentationSettings(**amounts)


def test_no_motion_is_no_change():
    frames = np.random.default_rng(0).integers(-1, 2, (4, 3, 7, 9)).astype(np.int8)
    assert augment(frames, settings(), np.random.default_rng(0)) is frames
    tiny = augment(frames, settings(rotate=1e-6, scale=1e-9, shear=1e-9, shift=1e-9), np.random.default_rng(0))
    np.testing.assert_array_equal(tiny, frames)


def test_shifts_move_whole_pixels():
    frames = np.zeros((200, 1, 9, 9), np.int8)
    frames[:, 0, 4, 4] = 1
    moved = augment(frames, settings(shift=2.4), np.random.default_rng(1))
    n, _, y, x = np.nonzero(moved)
    assert np.array_equal(n, np.arange(200))  # each keeps its one event
    assert (set(y.tolist()), set(x.tolist())) == ({2, 3, 4, 5, 6}, {2, 3, 4, 5, 6})


def test_a_quarter_turn_is_exact():
    class Quarter:
        """Draws the upper end of every range."""

        def uniform(self, low, high, size):
            return np.full(size, high)

    frame = np.arange(25, dtype=np.int8).reshape(1, 1, 5, 5)
    turned = augment(frame, settings(rotate=90.0), Quarter())
    np.testing.assert_array_equal(turned[0, 0], np.rot90(frame[0, 0], -1))


@pytest.mark.parametrize("levels", [[-1, 0, 1], [0, 1], [-64, -1, 0, 1, 30]])
def test_levels_stay_levels_and_channels_move_together(levels):
    """Ternary frames keep their very levels; graded ones stay between the smallest and the largest."""
    rng = np.random.default_rng(2)
    one = rng.choice(np.array(levels, np.int8), (20, 1, 16, 16))
    frames = np.concatenate([one, one], axis=1)
    before = frames.copy()
    moved = augment(frames, settings(rotate=20, scale=0.2, shear=0.2, shift=3), rng)
    assert moved.dtype == np.int8
    kept = set(np.unique(moved).tolist())
    assert kept <= {0, *levels} if max(levels) == 1 else min(levels) <= min(kept) <= max(kept) <= max(levels)
    np.testing.assert_array_equal(moved[:, 0], moved[:, 1])
    np.testing.assert_array_equal(frames, before)
    assert (moved != frames).any(axis=(1, 2, 3)).all()


def test_half_a_pixel_of_a_graded_image_is_the_mean_of_two():
    class Half:
        """Draws a shift of half a pixel to the right, and nothing else."""

        def uniform(self, low, high, size):
            return np.full(size, 0.0) if size != (2, 1) or high != 0.5 else np.array([[0.5], [0.0]])

    frame = np.zeros((1, 1, 3, 4), np.int8)
    frame[0, 0, 1] = [0, 40, 20, 0]
    moved = augment(frame, settings(shift=0.5), Half())
    np.testing.assert_array_equal(moved[0, 0, 1], [0, 20, 30, 10])


def test_elastic_motion_bends_smoothly():
    """A bar stays one bar: its pixels move, neighbours together."""
    rng = np.random.default_rng(3)
    frames = np.zeros((300, 1, 24, 30), np.int8)
    frames[:, 0, :, 12:17] = 64
    moved = augment(frames, settings(elastic=1.0), rng)[:, 0, 5:19].astype(float)
    centre = (moved * np.arange(30)).sum(2) / moved.sum(2) - 14
    assert 0.5 < centre.std() < 1.0  # between the nodes an interpolation is a little less than they are
    assert np.abs(centre.mean()) < 0.1
    steps = np.abs(np.diff(centre, axis=1))
    assert steps.mean() < 0.4
    assert np.abs(centre[:, 8] - centre[:, 0]).mean() > 2 * steps.mean()
    assert augment(frames, settings(elastic=1e-6), rng).tolist() == frames.tolist()


def test_whole_pixels_flips_and_losses_keep_every_level():
    rng = np.random.default_rng(0)
    frames = rng.integers(-1, 2, (400, 2, 5, 6)).astype(np.int8)
    moved = augment(frames, settings(shift=2), rng)
    seen = set()
    for before, after in zip(frames, moved, strict=True):
        padded = np.pad(before, ((0, 0), (2, 2), (2, 2)))
        found = [(y, x) for y in range(5) for x in range(5) if (padded[:, y : y + 5, x : x + 6] == after).all()]
        assert found
        seen.update(found)
    assert len(seen) == 25
    flipped = augment(frames, settings(flip=True), rng)
    mirrored = (flipped == frames[..., ::-1]).all((1, 2, 3))
    assert (mirrored | (flipped == frames).all((1, 2, 3))).all()
    assert 150 < mirrored.sum() < 250
    lost = augment(frames, settings(drop=0.8), rng)
    assert lost.dtype == np.int8
    assert ((lost == frames) | (lost == 0)).all()
    assert 0.5 < np.count_nonzero(lost) / np.count_nonzero(frames) < 0.7
