"""Windows of long recordings, and letters under a tactile sensor."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import FormatError, OptionError
from gxevent.events import EVENT_DTYPE, EventStream, encode_stream, write_events
from gxevent.train.frames import Recordings
from gxevent.train.recipes import AugmentationSettings, from_settings, load_recipe, override
from gxevent.train.sources import braille, load_data, windows

STILL = AugmentationSettings()


def stream(seed=0, seconds=2.0, side=32, rate=3000):
    rng = np.random.default_rng(seed)
    events = np.zeros(int(seconds * rate), EVENT_DTYPE)
    events["t"] = np.sort(rng.integers(0, int(seconds * 1e6), len(events)))
    events["x"], events["y"] = rng.integers(0, side, (2, len(events)))
    events["p"] = rng.random(len(events)) < 0.5
    return EventStream(events, side, side)


def recipe(**encoder):
    settings = load_recipe("dvs-objects").settings()
    settings["data"] |= {"folds": 4, "fold": 1, "repeat": 2}
    settings["encoder"] |= encoder
    settings["network"]["layers"] = "4C3s4-2"
    settings["fit"] |= {"epochs": 1, "batch": 8}
    return from_settings(settings, "test")


@pytest.fixture
def folder(tmp_path):
    for i, name in enumerate(("mug", "box")):
        for split, seed in (("train", i), ("test", i + 5)):
            (tmp_path / "set" / split).mkdir(parents=True, exist_ok=True)
            write_events(tmp_path / "set" / split / f"{name}.es", stream(seed))
    return tmp_path / "set"


@pytest.mark.parametrize("kind", ["onoff", "signed"])
def test_a_window_not_moved_is_what_the_encoder_gives(kind):
    made = recipe(kind=kind, window="2s", downsample=2)
    encoder, one = made.encoder.encoder(), stream(seconds=2)
    stretch = windows.Stretch.of(one, 0, 1)
    shape = (encoder.channels, 16, 16)
    drawn = stretch.draw(encoder, shape, STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, encode_stream(encoder, one, shape, window="all")[0])


def test_training_and_validation_share_no_time(folder):
    made = load_data(recipe(), folder)
    train, held_out = made.split(4, 1, 0, repeat=2)
    spans = {round(s.span / 1e6, 1) for s in train.stretches}
    assert spans == {0.5, 1.0}  # before and behind the second of four quarters
    assert len(train.frames) == 2 * 2 * (2 + 4)  # the recordings end a little before 2 s
    assert len(held_out.frames) == windows.VALIDATION_COPIES * 2 * 2
    assert len(held_out) == len(held_out.frames)  # each window is judged for itself
    assert made.classes == ("box", "mug")
    test = made.load_test()
    assert len(test) == 2  # recordings, of ten windows each
    assert len(test.frames) == 20


def test_every_epoch_draws_anew_but_the_same_for_a_seed(folder):
    train, _ = load_data(recipe(), folder).split(4, 1, 0)
    one, two, same = (
        np.concatenate([frames for frames, _ in train.batches(8, recipe().augmentation, np.random.default_rng(seed))])
        for seed in (1, 2, 1)
    )
    assert one.shape == train.frames.shape
    assert np.array_equal(one, same)
    assert not np.array_equal(one, two)


def test_motion_keeps_events_on_the_sensor_and_drops_and_adds_some():
    stretch = windows.Stretch.of(stream(rate=20000), 0, 1)
    encoder = recipe(window="200ms", downsample=1, bins=1).encoder.encoder()
    count = {}
    for name, amount in {
        "still": STILL,
        "dropped": AugmentationSettings(drop=0.9),
        "noisy": AugmentationSettings(noise=3.0),
        "far": AugmentationSettings(shift=1000, rotate=180, scale=0.5, flip=True),
    }.items():
        rng = np.random.default_rng(3)
        frames = [stretch.draw(encoder, (2, 32, 32), amount, rng) for _ in range(20)]
        count[name] = np.mean([np.count_nonzero(frame) for frame in frames])
    assert count["far"] < count["dropped"] < count["still"] < count["noisy"]


def test_half_of_the_windows_are_played_backwards():
    """Bins in the other order, and what became brighter becomes darker."""
    encoder = recipe(window="200ms", downsample=1, bins=2).encoder.encoder()
    stretch = replace(windows.Stretch.of(stream(seconds=0.2), 0, 1), span=200_000)
    rng = np.random.default_rng(0)
    forwards = stretch.draw(encoder, (4, 32, 32), STILL, rng)
    frames = [stretch.draw(encoder, (4, 32, 32), AugmentationSettings(reverse=True), rng) for _ in range(40)]
    backwards = [not np.array_equal(frame, forwards) for frame in frames]
    assert 10 <= sum(backwards) <= 30
    for frame in np.array(frames)[backwards]:
        np.testing.assert_array_equal(frame, forwards[::-1])


def test_sensors_need_not_be_square(tmp_path):
    wide = np.zeros(4000, EVENT_DTYPE)
    rng = np.random.default_rng(0)
    wide["t"], wide["p"] = np.arange(4000) * 500, rng.random(4000) < 0.5
    wide["x"], wide["y"] = rng.integers(0, 48, 4000), rng.integers(0, 20, 4000)
    for split, name in (("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")):
        (tmp_path / split / name).mkdir(parents=True)
        write_events(tmp_path / split / name / "1.es", EventStream(wide, 48, 20))
    made = load_data(recipe(), tmp_path)
    train, held_out = made.split(4, 1, 0)
    assert train.frames.shape[1:] == held_out.frames.shape[1:] == (4, 10, 24)
    encoder, stretch = recipe(window="2s").encoder.encoder(), windows.Stretch.of(EventStream(wide, 48, 20), 0, 1)
    drawn = stretch.draw(encoder, (4, 10, 24), STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, encode_stream(encoder, EventStream(wide, 48, 20), (4, 10, 24), "all")[0])


def test_says_what_it_expects(folder, tmp_path):
    with pytest.raises(OptionError, match=r"needs --data.*train/<label>"):
        load_data(recipe())
    with pytest.raises(OptionError, match="expected a time as 200ms"):
        load_data(recipe(window="all"), folder)
    with pytest.raises(OptionError, match=r"encoder\.window: 3s: no training recording"):
        load_data(recipe(window="3s"), folder).split(4, 1, 0)
    for split, name in (("train", "mug"), ("train", "box"), ("test", "cup")):
        (tmp_path / "other" / split / name).mkdir(parents=True)
        write_events(tmp_path / "other" / split / name / "1.es", stream())
    with pytest.raises(FormatError, match="'cup' has no training recording"):
        load_data(recipe(), tmp_path / "other").load_test()


def test_windows_of_real_recordings_train(data, tmp_path):
    from gxevent.train import train_recipe

    result = train_recipe_from(recipe(), data / "dvs128-objects", tmp_path, train_recipe)
    assert result.test_samples == 6
    made = result.network.provenance
    assert made["test_windows"] == 568
    assert 0 < made["test_window_accuracy"] <= 1


def train_recipe_from(made, path, tmp_path, train):
    text = "\n".join(
        [
            "name = 'small'",
            "summary = 'small'",
            "[data]\nkind = 'windows'\nfolds = 4",
            "[encoder]\nkind = 'onoff'\nwindow = '200ms'\ndownsample = 4",
            f"[network]\nlayers = '{made.network.layers.replace('-2', '-6')}'",
            "[fit]\nepochs = 1\nbatch = 50",
        ]
    )
    (tmp_path / "small.toml").write_text(text)
    return train(tmp_path / "small.toml", path, quiet=True)


def test_delta_modulation_by_hand():
    values = np.array([[255, 250], [247, 255], [247, 255], [255, 255]], np.uint8)
    made = braille.delta_modulated(values, 4, 10)
    events = [(int(t), int(x), int(y), bool(p)) for t, x, y, p in made.events]
    # taxel 0 falls by 8 at step 1: two steps of 4; back at step 3. Taxel 1 falls by 5: one step, and returns.
    assert events == [(0, 1, 0, False), (10, 0, 0, False), (10, 1, 0, True), (20, 0, 0, False), (30, 0, 0, True)]
    assert (made.width, made.height) == (2, 1)


def test_braille_letters_are_learnt(data):
    from gxevent.train import Fit

    made = override(load_recipe("braille"), epochs=6)
    loaded = load_data(made, data / "braille")
    train, validation = loaded.split(8, 0, 0)
    assert train.frames.shape == (756, 157, 1, 12)
    assert len(loaded.classes) == 27
    run = Fit(made, train, validation, loaded.classes)
    run.run(quiet=True)
    assert run.best_accuracy > 0.5
    assert np.bincount(loaded.load_test().labels).tolist() == [8] * 27


def test_braille_says_what_it_expects(tmp_path):
    made = load_recipe("braille")
    labels = np.zeros(2, np.int64)
    letters = braille.Letters(
        Recordings(np.zeros((2, 1), np.int8), labels, labels), lambda: None, ("A",), {}, repetition=labels
    )
    with pytest.raises(OptionError, match="8 folds of 1 training repetitions"):
        letters.split(8, 0, 0)
    with pytest.raises(OptionError, match=r"needs --data.*braille_letters\.npz"):
        load_data(made)
    with pytest.raises(FormatError, match="no such file"):
        load_data(made, tmp_path)
    np.savez(tmp_path / "braille_letters.npz", taxels=np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(FormatError, match="label"):
        load_data(made, tmp_path)
