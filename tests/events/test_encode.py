"""The vectorised encoder against an obvious one: one loop over windows, one over events."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.encoder import Encoder, parse_window
from gxevent.errors import CapacityError, FormatError, OptionError, ShapeError, UnsupportedError
from gxevent.events import (
    EVENT_DTYPE,
    EventStream,
    encode as module,
    encode_images,
    encode_stream,
    from_arrays,
    windows,
)


def slow_windows(t, window, stride):
    """Lists of event numbers with begin and span, straight from the definition."""
    t = list(t)
    if not t:
        return [([], 0, 1)]
    if window.unit == "all":
        return [(list(range(len(t))), t[0], t[-1] - t[0] + 1)]
    found, k = [], 0
    while True:
        if window.unit == "us":
            begin = t[0] + k * stride
            if begin > t[-1]:
                return found
            found.append(([i for i, v in enumerate(t) if begin <= v < begin + window.length], begin, window.length))
            if begin + window.length > t[-1]:
                return found
        else:
            if k * stride >= len(t):
                return found
            numbers = list(range(k * stride, min(k * stride + window.length, len(t))))
            found.append((numbers, t[numbers[0]], t[numbers[-1]] - t[numbers[0]] + 1))
            if k * stride + window.length >= len(t):
                return found
        k += 1


def slow_encode(encoder, stream, shape, window, stride):
    frames = []
    for numbers, begin, span in slow_windows(stream.events["t"].tolist(), window, stride):
        net = np.zeros(shape, int)
        on_off = np.zeros(shape, np.int8)
        for i in numbers:
            t, x, y, p = (v.item() for v in stream.events[i])
            part = (t - begin) * encoder.bins // span
            at = (y // encoder.downsample, x // encoder.downsample)
            if encoder.kind == "onoff":
                on_off[(part * 2 + (0 if p else 1), *at)] = 1
            else:
                net[(part, *at)] += 1 if p else -1
        frames.append(on_off if encoder.kind == "onoff" else np.sign(net).astype(np.int8))
    return np.array(frames)


@st.composite
def cases(draw):
    width, height = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    n = draw(st.integers(0, 30))
    start = draw(st.sampled_from([0, 17, 1_700_000_000_000_000]))
    gaps = draw(st.lists(st.integers(0, 9), min_size=n, max_size=n))
    xs = draw(st.lists(st.integers(0, width - 1), min_size=n, max_size=n))
    ys = draw(st.lists(st.integers(0, height - 1), min_size=n, max_size=n))
    ps = draw(st.lists(st.booleans(), min_size=n, max_size=n))
    t = start + np.cumsum(np.array(gaps, np.int64))
    stream = from_arrays(t, np.array(xs, int), np.array(ys, int), np.array(ps, bool), width, height)
    window = draw(st.sampled_from(["all", "{}us", "{}ev"])).format(draw(st.integers(1, 40)))
    unit = window[-2:]
    stride = None if window == "all" else draw(st.none() | st.integers(1, 50).map(lambda k: f"{k}{unit}"))
    k = draw(st.integers(1, 3))
    encoder = Encoder(
        draw(st.sampled_from(["signed", "onoff"])), bins=draw(st.integers(1, 4)), window=window, downsample=k
    )
    return encoder, stream, (encoder.channels, -(-height // k), -(-width // k)), stride


@settings(max_examples=300, deadline=None)
@given(cases(), st.sampled_from([1, 1 << 22]))
def test_encoder_equals_the_obvious_one(case, chunk):
    encoder, stream, shape, stride = case
    window = parse_window(encoder.window)
    step = parse_window(stride).length if stride else window.length
    expected = slow_encode(encoder, stream, shape, window, step)
    kept, module._CHUNK = module._CHUNK, chunk  # one window at a time, and all at once
    try:
        frames = encode_stream(encoder, stream, shape, stride=stride)
    finally:
        module._CHUNK = kept
    assert frames.dtype == np.int8
    np.testing.assert_array_equal(frames, expected)
    slices = [list(range(len(stream)))[part] for part in windows(stream, encoder.window, stride)]
    assert slices == [numbers for numbers, _, _ in slow_windows(stream.events["t"].tolist(), window, step)]


def test_window_of_the_call_goes_before_the_encoders(stream):
    frames = encode_stream(Encoder("onoff"), stream, (2, 34, 34), window="10ms", stride="5ms")
    assert len(frames) == len(list(windows(stream, "10ms", "5ms"))) > 5


def test_polarities_that_cancel_are_silent_when_signed_and_two_events_when_on_off():
    stream = from_arrays([0, 1], [0, 0], [0, 0], [1, 0], 1, 1)
    assert encode_stream(Encoder("signed"), stream, (1, 1, 1)).tolist() == [[[[0]]]]
    assert encode_stream(Encoder("onoff"), stream, (2, 1, 1)).ravel().tolist() == [1, 1]


@pytest.mark.parametrize("window", ["all", "10ms", "5ev"])
def test_a_recording_without_events_gives_one_zero_frame(window):
    empty = EventStream(np.zeros(0, EVENT_DTYPE), 4, 3)
    frames = encode_stream(Encoder("onoff", bins=2), empty, (4, 3, 4), window=window)
    assert frames.shape == (1, 4, 3, 4)
    assert not frames.any()


def test_windows_without_events_are_kept_as_zero_frames():
    stream = from_arrays([0, 100], [0, 0], [0, 0], [1, 1], 1, 1)
    assert encode_stream(Encoder("signed"), stream, (1, 1, 1), window="10us").ravel().tolist() == [1] + [0] * 9 + [1]


def test_sizes_that_do_not_fit():
    stream = from_arrays([0, 1], [3, 33], [4, 33], [1, 1], 34, 34, source="a.bin")
    with pytest.raises(ShapeError, match=r"a.bin: event 1 at x=33, y=33 of the 34x34 sensor is outside .* 28x28"):
        encode_stream(Encoder("onoff"), stream, (2, 28, 28))
    with pytest.raises(ShapeError, match=r"a.bin: a 34x34 sensor is smaller than the network's input of 64x64"):
        encode_stream(Encoder("onoff"), stream, (2, 64, 64))
    with pytest.raises(ShapeError, match=r"makes \(4, H, W\)"):
        encode_stream(Encoder("onoff", bins=2), stream, (2, 34, 34))
    with pytest.raises(ShapeError, match=r"each 4x4 of the sensor"):  # 34 // 4 = 8: x = 32, 33 fall outside
        encode_stream(Encoder("onoff", downsample=4), stream, (2, 8, 8))
    assert encode_stream(Encoder("onoff", downsample=4), stream, (2, 9, 9)).sum() == 2
    assert encode_stream(Encoder("onoff"), stream[:1], (2, 28, 28)).sum() == 1  # a larger sensor, events inside


def test_options_that_cannot_be_meant(stream):
    with pytest.raises(OptionError, match="takes images"):
        encode_stream(Encoder("levels"), stream, (1, 34, 34))
    with pytest.raises(OptionError, match="stride '5ev' does not go with window '10ms'"):
        encode_stream(Encoder("onoff"), stream, (2, 34, 34), window="10ms", stride="5ev")
    with pytest.raises(OptionError, match="does not go with"):
        list(windows(stream, "all", "5ms"))
    far = from_arrays([0, 2**50], [0, 0], [0, 0], [1, 1], 34, 34)
    with pytest.raises(CapacityError, match="cut the recording or take longer windows"):
        encode_stream(Encoder("onoff"), far, (2, 34, 34), window="1us")
    with pytest.raises(CapacityError, match="GiB"):
        encode_stream(Encoder("onoff"), far[:], (2, 34, 34), window="100s")


def test_levels_of_eight_bit_and_float_images_agree():
    image = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    frames = encode_images(Encoder("levels"), image, (1, 16, 16))
    assert frames.dtype == np.int8
    assert frames.min() == 0
    assert frames.max() == 64
    np.testing.assert_array_equal(frames, encode_images(Encoder("levels"), image / 255.0, (1, 16, 16)))
    expected = [min(64, max(-64, round((v / 255 - 0.5) / 0.25 * 64))) for v in range(256)]
    assert encode_images(Encoder("levels", low=0.5, high=0.75), image, (256,)).ravel().tolist() == expected


def test_ternary_cuts_are_strict():
    v = np.array([[-0.6, -0.5, -0.4, 0.0, 0.5, 0.6]])
    assert encode_images(Encoder("ternary", low=-0.5, high=0.5), v, (6,)).tolist() == [[-1, 0, 0, 0, 0, 1]]


def test_shapes_of_images():
    encoder = Encoder("levels")
    grey, colour = np.zeros((2, 4, 5), np.uint8), np.zeros((2, 3, 4, 5), np.uint8)
    assert encode_images(encoder, grey, (1, 4, 5)).shape == (2, 1, 4, 5)
    assert encode_images(encoder, colour, (3, 4, 5)).shape == (2, 3, 4, 5)
    assert encode_images(encoder, grey, (20,)).shape == (2, 20)
    assert encode_images(encoder, grey[:0], (1, 4, 5)).shape == (0, 1, 4, 5)
    for images, shape in ((grey, (1, 5, 4)), (grey, (3, 4, 5)), (grey[0], (1, 4, 5)), (colour, (1, 4, 5))):
        with pytest.raises(ShapeError, match="do not fit"):
            encode_images(encoder, images, shape)


def test_images_that_cannot_be_encoded():
    with pytest.raises(OptionError, match="takes event streams"):
        encode_images(Encoder("onoff"), np.zeros((1, 2, 2), np.uint8), (1, 2, 2))
    with pytest.raises(OptionError, match="int32"):
        encode_images(Encoder("levels"), np.zeros((1, 2, 2), np.int32), (1, 2, 2))
    with pytest.raises(FormatError, match="image 1: holds a value that is not finite"):
        encode_images(Encoder("levels"), np.array([[[0.0]], [[np.nan]]]), (1, 1, 1))
    with pytest.raises(UnsupportedError, match="downsample"):
        encode_images(Encoder("levels", downsample=2), np.zeros((1, 2, 2), np.uint8), (1, 1, 1))


def test_rows_that_count_upwards_are_turned_over():
    """The same picture gives the same frame, whichever way its format counts rows."""
    stream = from_arrays([0, 5, 9], [1, 2, 3], [0, 1, 7], [1, 0, 1], 8, 8)
    encoder = Encoder("onoff")
    np.testing.assert_array_equal(
        encode_stream(encoder, stream.oriented(up=True), (2, 8, 8)), encode_stream(encoder, stream, (2, 8, 8))
    )
    assert stream.oriented(up=True).events["y"].tolist() == [7, 6, 0]
    assert stream.oriented() is stream
