"""The event-file toolbox behind ``gxevent events``: what a file holds, and other files made from it.

Everything here reads in chunks, so recordings may be larger than memory.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gxevent.encoder import parse_window
from gxevent.errors import FormatError, OptionError
from gxevent.events.readers import format_of, iter_events, write_chunks
from gxevent.events.stream import EventStream

RATE_BIN_US = 10_000
"""Peak rates are those of bins of this length."""

HOT_FACTOR = 50
"""A pixel with this many times the events of the average active pixel, and over 1% of all, is reported as hot."""


@dataclass(frozen=True)
class Cut:
    """Part of a recording.

    ``start_us`` and ``stop_us`` count from the first event (``start_us <= t < stop_us``); ``area`` is (x, y, width,
    height) in pixels; ``crop`` makes the area's corner the origin and its size the sensor.
    """

    start_us: int = 0
    stop_us: int | None = None
    area: tuple[int, int, int, int] | None = None
    crop: bool = False

    def __post_init__(self) -> None:
        if self.start_us < 0 or (self.stop_us is not None and self.stop_us <= self.start_us):
            raise OptionError(f"time from {self.start_us} to {self.stop_us} us is empty; give start < stop, from 0 on")
        if self.area is not None and (min(self.area[:2]) < 0 or min(self.area[2:]) < 1):
            raise OptionError(f"area {self.area}: expected x,y,width,height with width and height of at least 1")
        if self.crop and self.area is None:
            raise OptionError("crop needs an area to crop to")


def microseconds(text: str) -> int:
    """Microseconds of a time such as ``"1.5s"``, ``"200ms"`` or ``"0"``. OptionError for anything else."""
    if re.fullmatch(r"\s*0+(\.0*)?\s*(us|ms|s)?\s*", text):
        return 0
    window = parse_window(text)
    if window.unit != "us":
        raise OptionError(f"time {text!r}: expected a time such as 1.5s or 200ms")
    return window.length


def info(path: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """What a recording holds, as JSON values; ``options`` as for ``iter_events``.

    Damage that the policies can drop is dropped unless told otherwise, counted in ``dropped`` and said in
    ``anomalies``, a list of sentences.
    """
    tolerant = {"on_backward": "drop", "on_outside": "drop", "on_truncated": "drop"}
    dropped: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    bins: Counter[int] = Counter()
    n = on = longest = 0
    t_first = t_last = None
    counts = np.zeros(0, np.int64)
    width = height = 1
    for part in iter_events(path, **(tolerant | options)):
        width, height = part.width, part.height
        dropped.update(part.dropped)
        passed.update(part.passed)
        if not len(part):
            continue
        e = part.events
        t = e["t"].astype(np.int64)
        if t_first is None:
            t_first = t_last = int(t[0])
            counts = np.zeros(width * height, np.int64)
        longest = max(longest, int(t[0]) - t_last, int(np.diff(t).max(initial=0)))
        n, on, t_last = n + len(part), on + int(e["p"].sum()), int(t[-1])
        filled, size = np.unique((t - t_first) // RATE_BIN_US, return_counts=True)
        bins.update(dict(zip(filled.tolist(), size.tolist(), strict=True)))
        counts += np.bincount(e["y"].astype(np.int64) * width + e["x"], minlength=counts.size)
    found: dict[str, Any] = {
        "file": str(path),
        "format": format_of(path) if options.get("format") is None else options["format"],
        "bytes": os.path.getsize(path),
        "sensor": [width, height],
        "events": n,
        "on_share": on / n if n else None,
        "t_first_us": t_first,
        "t_last_us": t_last,
        "duration_us": t_last - t_first if n else 0,
        "events_per_s": None,
        "peak_events_per_s": None,
        "longest_pause_us": longest,
    }
    if found["duration_us"]:
        found["events_per_s"] = n * 1e6 / found["duration_us"]
        found["peak_events_per_s"] = max(bins.values()) * 1e6 / min(RATE_BIN_US, found["duration_us"])
    if n:
        y, x = (counts.reshape(height, width) > 0).nonzero()
        found |= {
            "x_range": [int(x.min()), int(x.max())],
            "y_range": [int(y.min()), int(y.max())],
            "active_pixels": len(x),
            "hot_pixels": _hot(counts, width),
        }
    found |= {"passed": dict(passed), "dropped": dict(+dropped)}
    return found | {"anomalies": _anomalies(found)}


def _hot(counts: np.ndarray, width: int) -> list[dict[str, int]]:
    """The pixels that stand out, the busiest first, five at most."""
    total, active = int(counts.sum()), int((counts > 0).sum())
    busiest = np.argsort(counts, kind="stable")[::-1][:5]
    return [
        {"x": int(i % width), "y": int(i // width), "events": int(counts[i])}
        for i in busiest
        if counts[i] * active > HOT_FACTOR * total and counts[i] * 100 > total
    ]


def _anomalies(found: dict[str, Any]) -> list[str]:
    says = {
        "backward": "events earlier than one before them",
        "outside": "events outside the sensor",
        "untimed": "events before the first time of the file",
        "truncated_bytes": "bytes at the end that are no whole event or packet",
        "missing_events": "events that the last packet states but the file lacks",
    }
    lines = [f"{count:,} {says.get(reason, reason)} left out" for reason, count in found["dropped"].items()]
    if found["passed"].get("unknown_words"):
        lines.append(f"{found['passed']['unknown_words']:,} words of no known type passed over")
    if found["passed"].get("invalid_events"):
        lines.append(f"{found['passed']['invalid_events']:,} events marked as invalid passed over")
    for pixel in found.get("hot_pixels", ()):
        share = pixel["events"] / found["events"]
        lines.append(f"pixel x={pixel['x']}, y={pixel['y']} sends {share:.1%} of the events")
    if found["events"] and found["on_share"] in (0, 1):
        lines.append(f"all events are {'ON' if found['on_share'] else 'OFF'}")
    return lines


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    to: str | None = None,
    cut: Cut | None = None,
    rebase: bool = False,
    flip_y: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Write a recording, or the part ``cut`` of it, in the format that ``target``'s name (or ``to``) says.

    Parameters
    ----------
    rebase
        Begin at time 0, for formats whose times are short.
    flip_y
        Turn the picture over. Formats that count rows upwards are taken care of without it.
    options
        As for ``iter_events``.

    Returns counts as JSON values. The events are written as they are read, so that reading the written file gives the
    same events; a format that cannot hold them is refused by name.
    """
    if Path(source).resolve() == Path(target).resolve():
        raise OptionError(f"{target}: is the file to read from; give another name")
    tally: dict[str, Any] = {"file": str(target), "events_read": 0, "events": 0, "dropped": Counter()}

    def parts() -> Iterator[EventStream]:
        first = None
        for part in iter_events(source, **options):
            tally["events_read"] += len(part)
            tally["dropped"].update(part.dropped)
            if first is None and len(part):
                first = int(part.events["t"][0])
            kept = _part(part, cut, first or 0) if cut else part
            if len(kept) and "shift" not in tally:
                tally["shift"] = int(kept.events["t"][0]) if rebase else 0
            kept = _moved(kept, tally.get("shift", 0), flip_y)
            tally["events"] += len(kept)
            tally["sensor"] = [kept.width, kept.height]
            yield kept
            stop = cut.stop_us if cut else None
            if stop is not None and len(part) and int(part.events["t"][-1]) - (first or 0) >= stop:
                return

    write_chunks(target, parts(), to)
    tally.pop("shift", None)
    return tally | {"dropped": dict(tally["dropped"]), "bytes": os.path.getsize(target)}


def _part(part: EventStream, cut: Cut, first: int) -> EventStream:
    stop = None if cut.stop_us is None else first + cut.stop_us
    e = part.events
    a = int(np.searchsorted(e["t"], first + cut.start_us))
    b = len(e) if stop is None else max(a, int(np.searchsorted(e["t"], stop)))
    e = e[a:b]
    if cut.area is None:
        return replace(part, events=e)
    x, y, width, height = cut.area
    if x + width > part.width or y + height > part.height:
        raise OptionError(f"area {x},{y},{width},{height} reaches over the {part.width}x{part.height} sensor")
    inside = (e["x"] >= x) & (e["x"] < x + width) & (e["y"] >= y) & (e["y"] < y + height)
    e = e[inside]
    if not cut.crop:
        return replace(part, events=e)
    e = e.copy()
    e["x"] -= x
    e["y"] -= y
    return replace(part, events=e, width=width, height=height)


def _moved(part: EventStream, shift: int, flip_y: bool) -> EventStream:
    if not shift and not flip_y:
        return part
    e = part.events.copy()
    e["t"] -= shift
    if flip_y:
        e["y"] = part.height - 1 - e["y"]
    return replace(part, events=e)


def parse_area(text: str) -> tuple[int, int, int, int]:
    """(x, y, width, height) of ``"x,y,width,height"``. OptionError for anything else."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise OptionError(f"area {text!r}: expected x,y,width,height in pixels, such as 100,80,64,64") from None
    return x, y, width, height


def is_upward(path: str | os.PathLike[str], format: str | None = None) -> bool:
    """Whether the rows of a file count upwards, as those of Event Stream do."""
    return (format or format_of(path)) == "event-stream"


__all__ = ["Cut", "FormatError", "convert", "info", "is_upward", "microseconds", "parse_area"]
