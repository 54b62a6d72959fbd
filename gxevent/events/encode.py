"""Encoding: from event streams and images to the ternary or graded frames that a network reads.

Gives behaviour to the specification ``gxevent.encoder.Encoder``. One window of a stream becomes one frame; its
nonzero entries are the input events.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.encoder import Encoder, Window, parse_window
from gxevent.errors import CapacityError, FormatError, OptionError, ShapeError, UnsupportedError
from gxevent.events.stream import EventStream

MAX_FRAME_BYTES = 8 << 30
"""Frames of one recording beyond this are refused: a stray time stamp can ask for millions of windows."""

_CHUNK = 1 << 22  # events and cells worked on at once: bounds the memory of overlapping windows


@dataclass(frozen=True)
class _Cut:
    """Windows of a recording: events ``first[k]:stop[k]`` fall in the ``span[k]`` us from time ``begin[k]`` on."""

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    begin: NDArray[np.int64]
    span: NDArray[np.int64]


def windows(
    events: EventStream | NDArray[np.void], window: str | Window = "all", stride: str | Window | None = None
) -> Iterator[slice]:
    """Slices of ``events``, one a window, oldest first.

    - ``"all"``: the whole recording.
    - a time such as ``"100ms"``: window k covers ``[t0 + k * stride, t0 + k * stride + length)`` microseconds, ``t0``
      being the time of the first event. Windows without events are kept (empty slices), as is the last, partly
      filled one; they end with the first window that reaches past the last event.
    - a count such as ``"2000ev"``: window k covers the events ``k * stride`` to ``k * stride + length - 1``; the last
      one may hold fewer.

    ``stride`` is in the same unit and defaults to the window's length (tumbling windows). A recording without events
    has one empty window of any kind, so that every recording gets an answer.

    Raises
    ------
    OptionError
        for a window or stride that cannot be understood, or a stride in another unit.
    """
    t = (events.events if isinstance(events, EventStream) else events)["t"]
    cut = _cut(t, *_parse(window, stride))
    for first, stop in zip(cut.first.tolist(), cut.stop.tolist(), strict=True):
        yield slice(first, stop)


def window_bounds(
    stream: EventStream, window: str | Window, stride: str | Window | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """(first, stop, last_us) int64 of every window: it holds events ``first:stop`` and ends at time ``last_us``."""
    cut = _cut(stream.events["t"].astype(np.int64), *_parse(window, stride))
    return cut.first, cut.stop, cut.begin + cut.span - 1


def encode_stream(
    encoder: Encoder,
    stream: EventStream,
    input_shape: tuple[int, ...],
    window: str | Window | None = None,
    stride: str | Window | None = None,
) -> NDArray[np.int8]:
    """Frames of a recording, int8 (n_windows, C, H, W), n_windows >= 1.

    ``signed``: the sign of the net polarity at a pixel. ``onoff``: 1 where any ON event (channel ``2 * bin``) or any
    OFF event (channel ``2 * bin + 1``) fell. The ``bins`` parts of a window are equal in time, oldest first: parts of
    a time window's own span, or of the time from the first to the last event (both included) of a count window or a
    whole recording; event t goes to bin ``(t - begin) * bins // span``. Sensor pixel (x, y) is input pixel
    ``(x // k, y // k)`` with k = ``encoder.downsample``.

    Parameters
    ----------
    input_shape
        (C, H, W) of the network, C = ``encoder.channels``.
    window, stride
        As for :func:`windows`; the window defaults to the encoder's own.

    Raises
    ------
    ShapeError
        when an event falls outside the input, or the sensor is smaller than the input.
    OptionError
        for an encoder of images, or a window that cannot be understood.
    CapacityError
        when the frames would need more than 8 GiB.
    """
    if encoder.takes_images:
        raise OptionError(f"encoder {encoder.kind!r} takes images, not event streams; use 'signed' or 'onoff'")
    stream = stream.oriented()
    shape = _check_sizes(encoder, stream, input_shape)
    t = stream.events["t"].astype(np.int64)  # contiguous: the packed structure is slow to compute with
    cut = _cut(t, *_parse(encoder.window if window is None else window, stride))
    n, cells = cut.first.size, shape[0] * shape[1] * shape[2]
    if n * cells > MAX_FRAME_BYTES:
        raise CapacityError(
            f"{_name(stream)}: {n} windows of {cells} inputs need {n * cells / 2**30:.0f} GiB; "
            "cut the recording or take longer windows"
        )
    frames = np.zeros((n, cells), np.int8)
    pixel = _pixels(encoder, stream, shape)
    on = np.ascontiguousarray(stream.events["p"])
    for a, b in _chunks(cut, cells):
        event, row, begin, span = _spread(cut, a, b)
        bin_ = (t[event] - begin) * encoder.bins // span if encoder.bins > 1 else 0
        plane = shape[1] * shape[2]
        if encoder.kind == "onoff":
            cell = row * cells + (bin_ * 2 + ~on[event]) * plane + pixel[event]
            frames[a:b].reshape(-1)[cell] = 1
        else:
            cell = row * cells + bin_ * plane + pixel[event]
            net = np.bincount(cell, weights=np.where(on[event], 1.0, -1.0), minlength=(b - a) * cells)
            frames[a:b].reshape(-1)[:] = np.sign(net)
    return frames.reshape(n, *shape)


def encode_images(encoder: Encoder, images: NDArray[Any], input_shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Frames of images, int8 (n, *input_shape).

    ``levels``: ``q = rint((v - low) / (high - low) * 64)`` clipped to -64 .. 64. ``ternary``: +1 where v > high, -1
    where v < low, else 0. Computed in float64; ``v`` is an 8-bit pixel divided by 255 or a float as it is.

    Parameters
    ----------
    images
        uint8, bool (0, 1) or float, (n, *input_shape), (n, H, W) for an input of one channel, or any (n, ...) of the
        right number of values for a flat input (m,).

    Raises
    ------
    ShapeError
        when the images do not have the input's shape.
    OptionError
        for an encoder of streams or pixels of another type; FormatError for a pixel that is not finite.
    """
    if not encoder.takes_images:
        raise OptionError(f"encoder {encoder.kind!r} takes event streams, not images; use 'levels' or 'ternary'")
    if encoder.downsample != 1:
        raise UnsupportedError(
            f"encoder downsample={encoder.downsample}: images are not downsampled, scale them before"
        )
    images = np.asarray(images)
    shape = tuple(int(n) for n in input_shape)
    each = images.shape[1:]
    fits = each == shape or (len(shape) == 3 and shape[0] == 1 and each == shape[1:])
    if not images.ndim or not (fits or (len(shape) == 1 and int(np.prod(each)) == shape[0] and each)):
        raise ShapeError(
            f"images of shape {images.shape} do not fit the network's input {shape}: expected (n, *{shape})"
        )
    if images.dtype == np.uint8:
        frames = _quantise(encoder, np.arange(256) / 255.0)[images]
    elif images.dtype.kind in "fb":
        frames = np.empty(images.shape, np.int8)
        step = max(1, _CHUNK // max(1, int(np.prod(each))))
        for a in range(0, len(images), step):
            v = images[a : a + step].astype(np.float64)
            if not np.isfinite(v).all():
                bad = a + int((~np.isfinite(v)).reshape(len(v), -1).any(axis=1).argmax())
                raise FormatError(f"image {bad}: holds a value that is not finite")
            frames[a : a + step] = _quantise(encoder, v)
    else:
        raise OptionError(f"images of type {images.dtype}: expected uint8 (0 to 255), float or bool")
    return frames.reshape(len(images), *shape)


def _quantise(encoder: Encoder, v: NDArray[np.float64]) -> NDArray[np.int8]:
    if encoder.kind == "ternary":
        return (v > encoder.high).astype(np.int8) - (v < encoder.low)
    return np.clip(np.rint((v - encoder.low) / (encoder.high - encoder.low) * 64), -64, 64).astype(np.int8)


def _parse(window: str | Window, stride: str | Window | None) -> tuple[Window, int]:
    """The window and its stride in the window's unit (0 for the whole recording)."""
    parsed = parse_window(window) if isinstance(window, str) else window
    if stride is None:
        return parsed, parsed.length
    step = parse_window(stride) if isinstance(stride, str) else stride
    if step.unit != parsed.unit or parsed.unit == "all":
        raise OptionError(f"stride {stride!r} does not go with window {window!r}: give both as times or both as counts")
    return parsed, step.length


def _cut(t: NDArray[np.int64], window: Window, stride: int) -> _Cut:
    """Cut events with the rising times ``t`` into windows."""
    if not t.size:
        zero, one = np.zeros(1, np.int64), np.ones(1, np.int64)
        return _Cut(zero, zero, zero, one)
    if window.unit == "us":
        begin = int(t[0]) + _starts(int(t[-1]) - int(t[0]) + 1, window.length, stride)
        first, stop = np.searchsorted(t, begin), np.searchsorted(t, begin + window.length)
        return _Cut(first, stop, begin, np.full(begin.size, window.length))
    if window.unit == "ev":
        first = _starts(t.size, window.length, stride)
        stop = np.minimum(first + window.length, t.size)
    else:
        first, stop = np.zeros(1, np.int64), np.array([t.size])
    return _Cut(first, stop, t[first], t[stop - 1] - t[first] + 1)


def _starts(extent: int, length: int, stride: int) -> NDArray[np.int64]:
    """Where windows begin: up to the first that reaches the end of ``extent``, none beyond it."""
    count = max(0, -(-(extent - length) // stride)) + 1
    count = min(count, (extent - 1) // stride + 1)  # strides longer than windows may jump over the end
    if count > MAX_FRAME_BYTES:
        raise CapacityError(f"{count} windows of {length}: cut the recording or take longer windows")
    return np.arange(count, dtype=np.int64) * stride


def _chunks(cut: _Cut, cells: int) -> Iterator[tuple[int, int]]:
    """Ranges of windows whose events and cells stay near the chunk size (at least one window each)."""
    load = np.cumsum(np.maximum(cut.stop - cut.first, cells))
    a, n = 0, load.size
    while a < n:
        done = load[a - 1] if a else 0
        b = max(a + 1, int(np.searchsorted(load, done + _CHUNK, side="right")))
        yield a, b
        a = b


def _spread(cut: _Cut, a: int, b: int) -> tuple[NDArray[np.int64] | slice, NDArray | int, NDArray | int, NDArray | int]:
    """For every event of the windows a .. b-1: its number, its window (counted from a), the window's begin, span."""
    if b - a == 1:
        return slice(int(cut.first[a]), int(cut.stop[a])), 0, int(cut.begin[a]), int(cut.span[a])
    first, size = cut.first[a:b], cut.stop[a:b] - cut.first[a:b]
    row = np.repeat(np.arange(b - a), size)
    event = np.arange(row.size) + np.repeat(first - (np.cumsum(size) - size), size)
    return event, row, cut.begin[a:b][row], cut.span[a:b][row]


def _check_sizes(encoder: Encoder, stream: EventStream, input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    shape = tuple(int(n) for n in input_shape)
    if len(shape) != 3 or shape[0] != encoder.channels:
        raise ShapeError(
            f"network input {shape}: encoder {encoder.kind!r} with {encoder.bins} bins makes ({encoder.channels}, H, W)"
        )
    k = encoder.downsample
    if -(-stream.width // k) < shape[2] or -(-stream.height // k) < shape[1]:
        raise ShapeError(
            f"{_name(stream)}: a {stream.width}x{stream.height} sensor is smaller than the network's input of "
            f"{shape[2]}x{shape[1]} pixels{_by(k)}; open the recording with width/height of its sensor, or take "
            "the network trained for it"
        )
    return shape


def _pixels(encoder: Encoder, stream: EventStream, shape: tuple[int, int, int]) -> NDArray[np.int64]:
    """Input pixel of every event, ``y * W + x``, or ShapeError for the first that falls outside."""
    _, height, width = shape
    x, y = stream.events["x"].astype(np.int64), stream.events["y"].astype(np.int64)
    if encoder.downsample > 1:
        x //= encoder.downsample
        y //= encoder.downsample
    if x.size and (x.max() >= width or y.max() >= height):
        i = int(((x >= width) | (y >= height)).argmax())
        event = stream.events[i]
        raise ShapeError(
            f"{_name(stream)}: event {i} at x={event['x']}, y={event['y']} of the {stream.width}x{stream.height} "
            f"sensor is outside the network's input of {width}x{height} pixels{_by(encoder.downsample)}; take "
            "the network trained for this sensor, or cut the recording"
        )
    return y * width + x


def _by(downsample: int) -> str:
    return f" (each {downsample}x{downsample} of the sensor)" if downsample > 1 else ""


def _name(stream: EventStream) -> str:
    return stream.source or "the recording"
