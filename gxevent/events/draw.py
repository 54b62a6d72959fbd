"""Pictures of a recording: frames side by side above its rate, or frames one after the other as a GIF.

ON events are drawn warm, OFF events cold, both on black; a pixel is as bright as it was busy within its frame.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError, require
from gxevent.events.readers import iter_events
from gxevent.events.toolbox import is_upward
from gxevent.store import atomic_write

ON, OFF = np.array([255, 176, 64]), np.array([72, 150, 255])
BACK, INK, GRID = (16, 18, 24), (214, 218, 226), (58, 63, 75)
MAX_FRAMES = 500
RATE_HEIGHT, MARGIN, GAP = 120, 12, 8
_BINS = 600


def show(
    path: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    frames: int = 8,
    scale: int | None = None,
    fps: float = 10.0,
    **options: Any,
) -> dict[str, Any]:
    """Draw a recording cut into ``frames`` equal times: ``.png`` a strip with the rate below, ``.gif`` a film.

    The file is read twice, in chunks. ``scale`` enlarges pixels (by default small sensors are). Rows of Event Stream
    files are turned over, so that up is up. Returns what was written as JSON values.

    Raises
    ------
    MissingExtraError
        without Pillow (``pip install 'gxevent[report]'``).
    OptionError
        for another file ending, or frames or scale out of range.
    """
    target = Path(target)
    kind = target.suffix.lower()
    if kind not in (".png", ".gif"):
        raise OptionError(f"{target}: draws .png (a strip of frames and the rate) or .gif (a film); name it so")
    if not 1 <= frames <= MAX_FRAMES:
        raise OptionError(f"frames: expected 1 to {MAX_FRAMES}, got {frames}")
    if not 0.1 <= fps <= 50:
        raise OptionError(f"fps: expected 0.1 to 50, got {fps}")
    require("PIL.Image", extra="report", purpose="drawing recordings")
    first, last, width, height, events = _extent(path, options)
    film, rate = _count(path, options, frames, first, last, (width, height))
    if is_upward(path, options.get("format")):
        film = film[:, :, ::-1]
    if scale is None:
        scale = max(1, 240 // max(width, height))
    if not 1 <= scale <= 32 or frames * width * height * scale * scale > 1 << 28:
        raise OptionError(
            f"{frames} frames of {width}x{height} pixels, {scale} times enlarged, are too large a picture"
        )
    pictures = _colour(film).repeat(scale, axis=1).repeat(scale, axis=2)
    seconds = (last - first + 1) / 1e6
    data = (
        _gif(pictures, fps)
        if kind == ".gif"
        else _strip(pictures, rate, seconds, f"{Path(path).name}: {events:,} events")
    )
    with atomic_write(target) as file:
        file.write(data)
    return {
        "file": str(target),
        "frames": frames,
        "frame_us": (last - first + 1) / frames,
        "events": events,
        "sensor": [width, height],
        "scale": scale,
        "bytes": len(data),
    }


def _extent(path: str | os.PathLike[str], options: dict[str, Any]) -> tuple[int, int, int, int, int]:
    """(first time, last time, width, height, events)."""
    first, last, events = None, 0, 0
    for part in iter_events(path, **options):
        width, height = part.width, part.height
        if len(part):
            first = int(part.events["t"][0]) if first is None else first
            last = int(part.events["t"][-1])
            events += len(part)
    return first or 0, last if events else 0, width, height, events


def _count(
    path: str | os.PathLike[str], options: dict[str, Any], frames: int, first: int, last: int, sensor: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Events of each frame, polarity and pixel (frames, 2, height, width), and of each bin and polarity (bins, 2)."""
    width, height = sensor
    span = last - first + 1
    film = np.zeros(frames * 2 * height * width, np.int64)
    rate = np.zeros(_BINS * 2, np.int64)
    for part in iter_events(path, **options):
        e = part.events
        t, p = e["t"].astype(np.int64) - first, e["p"].astype(np.int64)
        frame = (t * frames) // span
        film += np.bincount(((frame * 2 + p) * height + e["y"]) * width + e["x"], minlength=film.size)
        rate += np.bincount(((t * _BINS) // span) * 2 + p, minlength=rate.size)
    return film.reshape(frames, 2, height, width), rate.reshape(_BINS, 2)


def _colour(film: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Frames as RGB (frames, height, width, 3)."""
    busy = film[film > 0]
    full = max(2.0, float(np.quantile(busy, 0.98))) if busy.size else 1.0
    light = np.where(film > 0, 0.35 + 0.65 * np.minimum(film / full, 1), 0)
    rgb = light[:, 1, :, :, None] * ON + light[:, 0, :, :, None] * OFF
    return np.maximum(np.minimum(rgb, 255), BACK).astype(np.uint8)


def _gif(pictures: NDArray[np.uint8], fps: float) -> bytes:
    from PIL import Image

    images = [Image.fromarray(picture) for picture in pictures]
    out = io.BytesIO()
    images[0].save(out, "GIF", save_all=True, append_images=images[1:], duration=round(1000 / fps), loop=0)
    return out.getvalue()


def _strip(pictures: NDArray[np.uint8], rate: NDArray[np.int64], seconds: float, title: str) -> bytes:
    from PIL import Image, ImageDraw

    n, height, width = pictures.shape[:3]
    columns = min(n, max(1, 1800 // (width + GAP)))
    rows = -(-n // columns)
    columns = -(-n // rows)
    total = max(2 * MARGIN + columns * (width + GAP) - GAP, 480)
    label = 16
    top = MARGIN + 20
    below = top + rows * (height + GAP + label)
    image = Image.new("RGB", (total, below + RATE_HEIGHT + 20 + MARGIN), BACK)
    draw = ImageDraw.Draw(image)
    draw.text((MARGIN, MARGIN), title, fill=INK)
    for i, picture in enumerate(pictures):
        x, y = MARGIN + i % columns * (width + GAP), top + i // columns * (height + GAP + label)
        image.paste(Image.fromarray(picture), (x, y))
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline=GRID)
        draw.text((x, y + height + 3), f"{i * seconds / n:.3f} s", fill=INK)
    left, right, base = MARGIN, total - MARGIN, below + RATE_HEIGHT
    peak = max(int(rate.sum(axis=1).max()), 1)
    span = right - left
    for column in range(span):
        a, b = column * len(rate) // span, max((column + 1) * len(rate) // span, column * len(rate) // span + 1)
        off, on = rate[a:b].mean(axis=0) / peak * (RATE_HEIGHT - 22)
        if off:
            draw.line((left + column, base, left + column, base - off), fill=tuple(OFF))
        if on:
            draw.line((left + column, base - off, left + column, base - off - on), fill=tuple(ON))
    draw.line((left, base, right, base), fill=GRID)
    draw.text((left, base + 4), "0 s", fill=INK)
    end = f"{seconds:.3f} s"
    draw.text((right - draw.textlength(end), base + 4), end, fill=INK)
    scale = f"peak {peak * len(rate) / seconds / 1e6:.3g} million events a second"
    draw.text((left, below), scale, fill=INK)
    legend = "ON above OFF"
    draw.text((right - draw.textlength(legend), below), legend, fill=INK)
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()
