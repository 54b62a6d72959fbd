"""An event camera in front of a still image: recordings of saccades over digits, as N-MNIST was made.

Orchard et al. (Frontiers in Neuroscience 9:437, 2015) moved an ATIS camera along a triangle of three saccades in
front of MNIST digits. Here the image moves over an ideal sensor instead. A pixel sends an event each time the
logarithm of its light has moved by its threshold since its last event, as the pixels of Lichtsteiner et al. (IEEE
JSSC 43:566, 2008) do. Defaults are fitted to real N-MNIST recordings of the same MNIST images.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _emulate
from gxevent.errors import OptionError, ShapeError
from gxevent.events.stream import EVENT_DTYPE, EventStream

NMNIST_PATH = np.array([
    # time us, x and y of the image relative to the sensor's centre, in pixels of N-MNIST
    (0, -2.64, -1.91), (18_000, -2.70, -1.40), (26_000, -2.70, -0.88), (34_000, -2.64, -0.27), (42_000, -2.64, 0.66),
    (50_000, -2.44, 1.69), (58_000, -2.13, 2.52), (66_000, -1.62, 3.24), (74_000, -1.27, 3.54), (82_000, -1.11, 3.60),
    (98_000, -0.76, 3.54), (106_000, -0.71, 3.54), (114_000, -0.60, 3.54), (122_000, -0.40, 3.49),
    (130_000, -0.09, 3.24), (138_000, 0.42, 2.72), (146_000, 0.93, 2.10), (154_000, 1.33, 1.18),
    (162_000, 1.64, 0.15), (170_000, 1.90, -0.78), (178_000, 2.25, -1.35), (186_000, 2.51, -1.60),
    (202_000, 2.71, -1.60), (210_000, 2.86, -1.60), (222_000, 2.97, -1.60), (234_000, 2.66, -1.60),
    (242_000, 1.95, -1.60), (250_000, 1.28, -1.60), (258_000, 0.52, -1.60), (266_000, -0.30, -1.66),
    (274_000, -1.01, -1.71), (282_000, -1.73, -1.76), (290_000, -2.13, -1.81), (300_000, -2.54, -1.86),
    (310_000, -2.64, -1.91),
])  # fmt: skip
"""Three saccades of about 105 ms, (35, 3). Measured: for each time, the position whose shifted MNIST image explains
best the net polarity counted since the start, over 80 training recordings; then scaled and shifted a little (2 %, 0.1
pixels) with the other settings, to fit the on/off frames of 40 of them."""


_TABLE = 8192  # steps of light between black and white


@dataclass(frozen=True)
class Emulator:
    """The camera and its motion. ``Emulator()(image, seed=...)`` or :func:`emulate` make a recording.

    ``width, height``
        Sensor in pixels; the image lies in its middle. The default holds 28x28 images with N-MNIST's margin.
    ``zoom``
        Sensor pixels a pixel of the image covers along each side (bilinear). 8x8 digits on 16x16: 1.5.
    ``amplitude``
        Motion as a multiple of N-MNIST's path (about 5.5 pixels across).
    ``contrast``
        Light is ``1 + contrast * value``, value 0 to 1: the white of an image is ``1 + contrast`` times its black.
    ``negative``
        True: bright strokes of the image darken the sensor, as in N-MNIST, whose polarity is so for MNIST images.
    ``threshold``
        Change of log light that makes an event, above 0.0001.
    ``spread``
        Standard deviation of the pixels' thresholds, as a part of ``threshold``.
    ``blur``
        Standard deviation of the optics, sensor pixels.
    ``noise_hz, noise_on``
        Events without cause, per pixel and second, and the part of them that is ON. In the corners of N-MNIST, where
        no digit comes, 0.39 events a second fall on a pixel, 96 % of them ON.
    ``refractory_us``
        A pixel is deaf for so long after an event; changes in that time are lost.
    ``jitter``
        Standard deviation of where the image lies, sensor pixels, drawn once a recording. Recording sessions differ:
        give about 0.3 when emulated recordings are to train a network for others.
    ``step_us``
        Time between samples of the moving image; events get interpolated times between samples.
    """

    width: int = 34
    height: int = 34
    zoom: float = 1.0
    amplitude: float = 1.0
    contrast: float = 0.3
    negative: bool = True
    threshold: float = 0.048
    spread: float = 0.01
    blur: float = 0.0
    noise_hz: float = 0.4
    noise_on: float = 0.96
    refractory_us: int = 1000
    jitter: float = 0.0
    step_us: int = 2000

    def __post_init__(self) -> None:
        above = {"width": 0, "height": 0, "zoom": 0, "contrast": 0, "threshold": 1e-4, "step_us": 0}
        for field, low in above.items():
            if not low < getattr(self, field) < math.inf:
                raise OptionError(f"Emulator {field}: expected a value above {low}, got {getattr(self, field)!r}")
        for field in ("amplitude", "spread", "blur", "noise_hz", "refractory_us", "jitter"):
            if not 0 <= getattr(self, field) < math.inf:
                raise OptionError(f"Emulator {field}: expected 0 or more, got {getattr(self, field)!r}")

    def __call__(self, image: NDArray[Any], *, seed: int, source: str = "") -> EventStream:
        """The recording of ``image``, uint8 (H, W) or float 0 .. 1 (H, W).

        The same image, seed and settings give the same events, always.

        Raises
        ------
        ShapeError
            when the image is not two-dimensional or, zoomed, larger than the sensor.
        OptionError
            for pixels of another type or outside 0 .. 1.
        """
        rng = np.random.default_rng(seed)
        light = self._moving(self._scene(image), rng)
        theta = self.threshold * np.maximum(1 + self.spread * rng.standard_normal(light.shape[1]), 0.2)
        t, pixel, p = _emulate.crossings(light, theta.astype(np.float32), self.step_us, self.refractory_us)
        noise = rng.poisson(self.noise_hz * light.shape[1] * NMNIST_PATH[-1, 0] * 1e-6)
        t = np.concatenate([t, rng.uniform(0, NMNIST_PATH[-1, 0], noise)])
        pixel = np.concatenate([pixel, rng.integers(0, light.shape[1], noise)])
        p = np.concatenate([p, rng.random(noise) < self.noise_on])
        t = np.rint(t).astype(np.int64)
        order = np.lexsort((p, pixel, t))  # ties get a fixed order too
        events = np.empty(t.size, EVENT_DTYPE)
        events["t"], events["p"] = t[order], p[order]
        events["y"], events["x"] = np.divmod(pixel[order], self.width)
        return EventStream(events, self.width, self.height, source)

    def _scene(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """The image's values 0 .. 1, zoomed and blurred, in the middle of a field with a margin for the motion."""
        image = np.asarray(image)
        if image.ndim != 2 or not image.size:
            raise ShapeError(f"emulate: expected one image (H, W), got shape {image.shape}")
        if image.dtype == np.uint8:
            value = image.astype(np.float32) / np.float32(255)
        elif image.dtype.kind == "f":
            value = image.astype(np.float32)
        else:
            raise OptionError(f"emulate: image of type {image.dtype}, expected uint8 or float 0 .. 1")
        if not (value.min() >= 0 and value.max() <= 1):
            raise OptionError(f"emulate: image values from {value.min()} to {value.max()}, expected 0 .. 1")
        if self.zoom != 1:
            value = _zoom(_zoom(value, self.zoom).T, self.zoom).T
        h, w = value.shape
        if h > self.height or w > self.width:
            raise ShapeError(
                f"emulate: an image of {w}x{h} pixels (zoomed by {self.zoom}) is larger than the "
                f"{self.width}x{self.height} sensor; give a larger width, height or a smaller zoom"
            )
        margin = self._margin
        field = np.zeros((self.height + 2 * margin, self.width + 2 * margin), np.float32)
        top, left = margin + (self.height - h) // 2, margin + (self.width - w) // 2
        field[top : top + h, left : left + w] = value
        if self.blur:
            field = _blur(_blur(field, self.blur).T, self.blur).T
        return field

    @property
    def _margin(self) -> int:
        return int(np.ceil(4 * self.amplitude + 4 * self.jitter)) + 2

    def _moving(self, scene: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        """Log light of every pixel at every step, float32 (steps, height * width)."""
        times = np.arange(0, NMNIST_PATH[-1, 0] + self.step_us, self.step_us)
        place = np.clip(self.jitter * rng.standard_normal(2), -4 * self.jitter, 4 * self.jitter)
        x, y = (np.interp(times, NMNIST_PATH[:, 0], NMNIST_PATH[:, i]) * self.amplitude + place[i - 1] for i in (1, 2))
        # An image that moved to the right by x shows, at a pixel, what was x to the left of it.
        col, row = np.floor(-x).astype(np.int64), np.floor(-y).astype(np.int64)
        fx, fy = (-x - col).astype(np.float32), (-y - row).astype(np.float32)
        # A table, because the last bit of a vectorised logarithm depends on the processor; table and sums do not.
        table = _log_light(self.contrast) * np.float32(-1 if self.negative else 1)
        corner = (row + self._margin, col + self._margin, fy, fx)
        return _emulate.moving(np.ascontiguousarray(scene), *corner, table, (self.height, self.width))


@functools.lru_cache(maxsize=16)
def _log_light(contrast: float) -> NDArray[np.float32]:
    """Log light of the values 0 .. 1 in _TABLE steps."""
    return np.array([math.log1p(contrast * i / (_TABLE - 1)) for i in range(_TABLE)], np.float32)


NMNIST = Emulator()
"""The defaults, fitted to N-MNIST."""


DIGITS = Emulator(
    width=16,
    height=16,
    zoom=1.5,
    amplitude=0.5,
    contrast=0.3,
    threshold=0.048,
    spread=0.02,
    blur=0.2,
    noise_hz=0.4,
    noise_on=0.96,
    refractory_us=1500,
)
"""The camera of the shipped recordings of 8x8 digits; every setting that matters is spelled out, so that they stay the
same when the defaults are refitted."""


def emulate(image: NDArray[Any], *, seed: int, emulator: Emulator = NMNIST, source: str = "") -> EventStream:
    """The recording that ``emulator`` makes of ``image``; see :meth:`Emulator.__call__`."""
    return emulator(image, seed=seed, source=source)


def _zoom(image: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Bilinear scaling of the first axis."""
    n = max(1, round(image.shape[0] * factor))
    at = np.clip((np.arange(n) + 0.5) * image.shape[0] / n - 0.5, 0, image.shape[0] - 1)
    low = np.minimum(at.astype(int), max(0, image.shape[0] - 2))
    high = np.minimum(low + 1, image.shape[0] - 1)
    part = (at - low).astype(np.float32)[:, None]
    return image[low] * (1 - part) + image[high] * part


def _blur(field: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    """Gaussian along the first axis; light outside the field is black, as around MNIST digits."""
    reach = int(np.ceil(3 * sigma))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    padded = np.pad(field, ((reach, reach), (0, 0)))
    return sum(kernel[i] * padded[i : i + field.shape[0]] for i in range(kernel.size))
