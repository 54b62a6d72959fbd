"""Images in folders and archives, decoded by Pillow: JPEG, PNG and what else it reads."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, require
from gxevent.events.archive import Store

MAX_PIXELS = 1 << 26
"""Pixels of one image at most."""

_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"BM", b"GIF8", b"II*\0", b"MM\0*")


def is_image(head: bytes) -> bool:
    """Whether these are the first bytes of an image file."""
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """uint8 (H, W) of a grey image, (3, H, W) of any other: red, green, blue.

    Raises MissingExtraError without Pillow, FormatError for bytes that are no whole image.
    """
    image = require("PIL.Image", extra="report", purpose="reading images")
    try:
        with image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise FormatError(f"{name}: {opened.width}x{opened.height} pixels, more than {MAX_PIXELS}")
            grey = opened.mode in ("L", "1")
            pixels = np.array(opened.convert("L" if grey else "RGB"))
    except FormatError:
        raise
    except Exception as error:  # Pillow raises many kinds on damaged files
        line = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise FormatError(f"{name}: not an image, or damaged ({line}); fetch it again") from error
    return pixels if grey else np.ascontiguousarray(pixels.transpose(2, 0, 1))


@dataclass(frozen=True)
class Images:
    """Loads images from a store: sample id -> name of the file in it."""

    source: str
    store: Store
    members: dict[str, str]

    def __call__(self, sample: object) -> NDArray[np.uint8]:
        return decode_image(self.store.read(self.members[sample.id]), f"{self.source}/{sample.id}")
