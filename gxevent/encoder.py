"""The encoder's specification: how a stream or an image becomes one integer input frame.

Plain data only, so that it travels inside network and graph files; ``gxevent.events.encode`` gives it behaviour.
"""

from __future__ import annotations

from dataclasses import dataclass

from gxevent.errors import OptionError

STREAM_KINDS = ("signed", "onoff")
IMAGE_KINDS = ("levels", "ternary")


@dataclass(frozen=True)
class Encoder:
    """How input becomes events.

    ``kind``
        ``"signed"``: sign of the net polarity at each pixel, 1 channel a bin.
        ``"onoff"``: 1 where any ON, any OFF event fell; 2 channels (ON, OFF) a bin.
        ``"levels"``: images to graded events, ``q = round((v - low) / (high - low) * 64)`` clipped to -64 .. 64
        (Z_7, so 8-bit events); with the default low = 0, high = 1 black stays silent.
        ``"ternary"``: images, +1 where v > high, -1 where v < low.
        Image values ``v`` are pixels as float, 8-bit pixels divided by 255.
    ``bins``
        A window of a stream is cut into this many equal parts in time, stacked as channels, oldest first.
    ``low, high``
        Cut points of the image encoders.
    ``window``
        What makes one frame of a stream: ``"all"``, a time such as ``"100ms"``, a count such as ``"2000ev"``.
    ``downsample``
        Sensor pixels along each side that share one input pixel.
    """

    kind: str
    bins: int = 1
    low: float = 0.0
    high: float = 1.0
    window: str = "all"
    downsample: int = 1

    def __post_init__(self) -> None:
        kinds = STREAM_KINDS + IMAGE_KINDS
        if self.kind not in kinds:
            raise OptionError(f"encoder kind {self.kind!r} is not one of {', '.join(kinds)}")
        for field in ("bins", "downsample"):
            value = getattr(self, field)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise OptionError(f"encoder {field}: expected a whole number >= 1, got {value!r}")
        if self.kind in IMAGE_KINDS and self.bins != 1:
            raise OptionError(f"encoder bins: an image has no time to cut, {self.kind!r} takes bins=1")
        if not self.low < self.high:
            raise OptionError(f"encoder low, high: expected low < high, got {self.low} and {self.high}")
        parse_window(self.window)

    @property
    def takes_images(self) -> bool:
        """True for the image encoders, False for the encoders of event streams."""
        return self.kind in IMAGE_KINDS

    @property
    def channels(self) -> int:
        """Channels that one frame gets from a stream (images keep their own)."""
        return self.bins * (2 if self.kind == "onoff" else 1)

    @property
    def levels(self) -> int:
        """N of the space Z_N its frames live in: 7 for graded events, else 1."""
        return 7 if self.kind == "levels" else 1


@dataclass(frozen=True)
class Window:
    """One parsed window length: a time in microseconds, a number of events, or the whole recording."""

    unit: str  # "us", "ev" or "all"
    length: int = 0


_TIME_UNITS = {"us": 1, "ms": 1_000, "s": 1_000_000}


def parse_window(text: str) -> Window:
    """Parse ``"all"``, ``"100ms"``, ``"1.5s"``, ``"250us"`` or ``"2000ev"``.

    Raises OptionError for anything else, and for lengths that are not positive.
    """
    if text == "all":
        return Window("all")
    number = text.rstrip("abcdefghijklmnopqrstuvwxyz")
    suffix = text[len(number) :]
    try:
        if suffix == "ev":
            window = Window("ev", int(number))
        else:
            window = Window("us", round(float(number) * _TIME_UNITS[suffix]))
    except (ValueError, KeyError, OverflowError):
        window = Window("us", 0)
    if window.length < 1:
        raise OptionError(f"window {text!r}: expected 'all', a time such as '100ms', or a count such as '2000ev'")
    return window
