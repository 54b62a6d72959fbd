import hashlib

import numpy as np
import pytest

from gxevent.encoder import Encoder
from gxevent.errors import OptionError, ShapeError
from gxevent.events import Emulator, emulate, encode_stream, open_dataset


@pytest.fixture
def digit():
    """A ring and a bar, 28x28, values 0 .. 1."""
    y, x = np.mgrid[:28, :28] - 13.5
    ring = (x * x + y * y > 36) & (x * x + y * y < 100)
    return (ring | ((np.abs(x) < 1.5) & (np.abs(y) < 8))).astype(np.float32)


def test_same_seed_same_events(digit):
    first, again, other = emulate(digit, seed=3), emulate(digit, seed=3), emulate(digit, seed=4)
    np.testing.assert_array_equal(first.events, again.events)
    assert first.events.tobytes() != other.events.tobytes()
    as_bytes = emulate((digit * 255).astype(np.uint8), seed=3)
    np.testing.assert_array_equal(first.events, as_bytes.events)


def test_events_are_the_same_on_every_machine(digit):
    stream = emulate(digit, seed=3, emulator=Emulator(jitter=0.3, spread=0.1))
    assert hashlib.sha256(stream.events.tobytes()).hexdigest().startswith("cf7f4207d1882ba3")


def test_statistics_are_those_of_nmnist(digit):
    stream = emulate(digit, seed=0, source="ring")
    assert (stream.width, stream.height, stream.source) == (34, 34, "ring")
    assert 2500 < len(stream) < 9000
    assert 0.4 < stream.events["p"].mean() < 0.6
    assert 280_000 < stream.duration_us <= 310_000
    rate = np.histogram(stream.events["t"], bins=31, range=(0, 310_000))[0]
    assert rate[[5, 15, 25]].min() > 5 * rate[[0, 10, 21]].max()  # three saccades with rests between


def test_a_dark_image_shows_noise_only():
    black = np.zeros((28, 28), np.uint8)
    assert len(emulate(black, seed=0, emulator=Emulator(noise_hz=0))) == 0
    counts = [len(emulate(black, seed=s)) for s in range(20)]
    assert abs(np.mean(counts) - 0.4 * 34 * 34 * 0.31) < 20


def test_polarity_turns_with_the_contrast(digit):
    quiet = {"noise_hz": 0.0, "spread": 0.0, "blur": 0.0}
    dark = emulate(digit, seed=0, emulator=Emulator(**quiet))
    light = emulate(digit, seed=0, emulator=Emulator(negative=False, **quiet))
    np.testing.assert_array_equal(dark.events[["t", "x", "y"]], light.events[["t", "x", "y"]])
    assert (dark.events["p"] != light.events["p"]).all()


def test_a_higher_threshold_sends_less_and_deaf_time_is_kept(digit):
    few, many = (len(emulate(digit, seed=0, emulator=Emulator(threshold=t))) for t in (0.1, 0.03))
    assert few < many / 2
    stream = emulate(digit, seed=0, emulator=Emulator(refractory_us=4000, noise_hz=0))
    e = stream.events
    order = np.lexsort((e["t"], e["x"], e["y"]))
    same = (np.diff(e["x"][order].astype(int)) == 0) & (np.diff(e["y"][order].astype(int)) == 0)
    assert np.diff(e["t"][order])[same].min() >= 3999  # times are rounded


def test_small_digits_and_other_sensors():
    image = np.zeros((8, 8))
    image[2:6, 3:5] = 1
    stream = emulate(image, seed=0, emulator=Emulator(width=16, height=20, zoom=1.5, amplitude=0.6, jitter=0.5))
    assert (stream.width, stream.height) == (16, 20)
    assert len(stream) > 200
    frames = encode_stream(Encoder("onoff", bins=3), stream, (6, 20, 16))
    assert frames.shape == (1, 6, 20, 16)


def test_settings_and_images_that_make_no_sense():
    for settings in ({"threshold": 0}, {"width": 0}, {"noise_hz": -1}, {"step_us": 0}, {"blur": float("nan")}):
        with pytest.raises(OptionError, match=f"Emulator {next(iter(settings))}: expected"):
            Emulator(**settings)
    with pytest.raises(ShapeError, match="larger than the 34x34 sensor"):
        emulate(np.zeros((40, 28)), seed=0)
    with pytest.raises(ShapeError, match="one image"):
        emulate(np.zeros((2, 28, 28)), seed=0)
    with pytest.raises(OptionError, match=r"from 0.0 to 255.0, expected 0 .. 1"):
        emulate(np.eye(4) * 255, seed=0)
    with pytest.raises(OptionError, match="type int64"):
        emulate(np.eye(4, dtype=np.int64), seed=0)


def test_recordings_resemble_the_real_ones(data):
    """The defaults are fitted: event counts by pixel, polarity and third correlate with the real recordings'."""
    real = open_dataset(data / "nmnist" / "nmnist_subset.zip", split="train", limit=30)
    images = open_dataset(data / "mnist", split="train")
    encoder = Encoder("onoff", bins=3)
    frames, counts, sizes = [], [], []
    for sample, stream in real:
        made = emulate(images.load(int(sample.id[-9:-4]) - 1), seed=1)
        frames.append(np.corrcoef(*(encode_stream(encoder, s, (6, 34, 34)).ravel() for s in (stream, made)))[0, 1])
        counts.append(np.corrcoef(*(histogram(s) for s in (stream, made)))[0, 1])
        sizes.append(len(made) / len(stream))
    assert np.mean(counts) > 0.91
    assert np.mean(frames) > 0.78
    assert 0.9 < np.mean(sizes) < 1.1


def histogram(stream):
    e = stream.events
    third = np.minimum(e["t"] // 105_000, 2)
    cell = ((third * 2 + e["p"]) * 34 + e["y"]) * 34 + e["x"]
    return np.bincount(cell, minlength=6 * 34 * 34)
