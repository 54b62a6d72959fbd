import hashlib

import numpy as np
import pytest

from gxevent.core import _emulate
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


def crossings(light, theta, step_us, refractory_us):
    """Threshold crossings in plain NumPy, step by step: times, pixels, polarities."""
    reference = light[0].copy()
    last = np.full(theta.size, -np.inf)
    found = [(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, bool))]
    for k in range(1, len(light)):
        before, now = light[k - 1], light[k]
        moved = np.flatnonzero(np.abs(now - reference) >= theta)
        while moved.size:
            rising = now[moved] > reference[moved]
            reference[moved] += np.where(rising, theta[moved], -theta[moved])
            slope = (now[moved] - before[moved]).astype(np.float64)
            part = (reference[moved] - before[moved]) / np.where(slope == 0, 1, slope)
            t = (k - 1 + np.clip(part, 0, 1)) * step_us
            heard = t - last[moved] >= refractory_us
            last[moved[heard]] = t[heard]
            found.append((t[heard], moved[heard], rising[heard]))
            moved = moved[np.abs(now[moved] - reference[moved]) >= theta[moved]]
    t, pixel, rising = (np.concatenate(part) for part in zip(*found, strict=True))
    order = np.lexsort((t, pixel))  # of one pixel they are in time's order already
    return t[order], pixel[order], rising[order]


@pytest.mark.parametrize("refractory_us", [0.0, 700.0, 5000.0])
@pytest.mark.parametrize("step", [0.0, 0.02, 0.3])
def test_compiled_crossings_are_those_of_plain_numpy(step, refractory_us):
    """Still pixels, slow and fast ones, resting in between, with many events a step."""
    rng = np.random.default_rng(5)
    moves = step * rng.standard_normal((60, 300)) * (rng.random((60, 300)) < 0.7)
    light = moves.cumsum(0).astype(np.float32)
    theta = (0.048 * rng.uniform(0.2, 2, 300)).astype(np.float32)
    wanted = crossings(light, theta, 2000.0, refractory_us)
    t, pixel, rising = _emulate.crossings(light, theta, 2000.0, refractory_us)
    order = np.argsort(pixel, kind="stable")
    for one, other in zip((t, pixel, rising), wanted, strict=True):
        np.testing.assert_array_equal(one[order], other)
        assert one.dtype == other.dtype
    assert (t.size > 1000) == (step > 0)


@pytest.mark.parametrize("top", [1.0, 1.00002])
def test_the_compiled_motion_is_that_of_plain_numpy(top):
    """Of a scene between whole pixels, up to its edges, with white that blurring made a little too white."""
    rng = np.random.default_rng(6)
    scene = (rng.random((14, 17)).astype(np.float32) * np.float32(top)).clip(0.2)
    scene[5:9, 4:12] = top
    row, col = rng.integers(0, 14 - 9, 40), rng.integers(0, 17 - 11, 40)
    row[0], col[0] = 14 - 9 - 1, 17 - 11 - 1
    fy, fx = rng.random((2, 40)).astype(np.float32)
    fy[:2], fx[1:3] = 1, 0
    table = np.log1p(np.arange(8192, dtype=np.float32))
    views = np.lib.stride_tricks.sliding_window_view(scene, (10, 12))[row, col]
    lines = views[:, :-1] + fy[:, None, None] * (views[:, 1:] - views[:, :-1])
    value = lines[:, :, :-1] + fx[:, None, None] * (lines[:, :, 1:] - lines[:, :, :-1])
    wanted = table[(value * np.float32(8191) + np.float32(0.5)).astype(np.int16)].reshape(40, -1)
    found = _emulate.moving(scene, row, col, fy, fx, table, (9, 11))
    np.testing.assert_array_equal(found, wanted)
    for outside in (row + 1, row - 5):
        with pytest.raises(ValueError, match="leaves the scene"):
            _emulate.moving(scene, outside, col, fy, fx, table, (9, 11))
    with pytest.raises(ValueError, match="outside 0"):
        _emulate.moving(scene * 2, row, col, fy, fx, table, (9, 11))
    with pytest.raises(ValueError, match="a place for each step"):
        _emulate.moving(scene, row[1:], col, fy, fx, table, (9, 11))
    for beyond in (fy + 1, fy - 2, fy * np.float32(np.nan)):
        with pytest.raises(ValueError, match="less than a pixel"):
            _emulate.moving(scene, row, col, beyond, fx, table, (9, 11))


def test_crossings_of_arrays_that_make_no_sense():
    light, theta = np.zeros((3, 4), np.float32), np.full(4, 0.1, np.float32)
    assert [part.size for part in _emulate.crossings(light[:, :0].copy(), theta[:0], 1.0, 1.0)] == [0, 0, 0]
    with pytest.raises(ValueError, match="a threshold for each pixel"):
        _emulate.crossings(light, theta[:3], 1.0, 1.0)
    for still in (theta * 0, theta * np.float32(np.nan)):
        with pytest.raises(ValueError, match="thresholds that change it"):
            _emulate.crossings(light, still, 1.0, 1.0)
    for value in (1e7, np.inf, np.nan):  # a threshold of 0.1 is lost in the first, and would be crossed for ever
        with pytest.raises(ValueError, match="expected finite light"):
            _emulate.crossings(np.float32([[0] * 4, [value] * 4]), theta, 1.0, 1.0)


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
    refused = ({"threshold": 1e-4}, {"width": 0}, {"noise_hz": -1}, {"step_us": 0}, {"blur": float("nan")})
    for settings in (*refused, {"contrast": float("inf")}, {"noise_hz": float("inf")}):
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
