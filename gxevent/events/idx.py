"""IDX files, the format of MNIST: big-endian header (magic, sizes), then uint8 values; plain or gzip."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.archive import Store

_NAME = re.compile(r"^(train|t10k|test|val)[-_.](images|labels)[-_.]idx([13])[-_.]ubyte(\.gz)?$", re.IGNORECASE)
_SPLIT = {"t10k": "test"}


def decode_idx(data: bytes, name: str) -> NDArray[np.uint8]:
    """The array of an IDX file (uint8, of the shape it states), unpacked if it is gzip.

    Raises FormatError for another magic number or a length that does not fit, with the byte offset.
    """
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise FormatError(f"{name}: damaged or cut short gzip ({error}); fetch it again") from error
    if len(data) < 4 or data[:3] != b"\x00\x00\x08" or not 1 <= data[3] <= 4 or len(data) < 4 + 4 * data[3]:
        raise FormatError(
            f"{name}: not an IDX file of bytes (begins with {data[:4].hex(' ') or 'nothing'}); fetch it again"
        )
    start = 4 + 4 * data[3]
    shape = tuple(int(n) for n in np.frombuffer(data[4:start], ">u4"))
    size = int(np.prod(shape, dtype=object))
    if len(data) - start != size:
        raise FormatError(
            f"{name}: states {'x'.join(map(str, shape))} values, {size} bytes from byte {start}, but has "
            f"{len(data) - start}; fetch it again"
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape)


def find_idx(names: Iterable[str]) -> dict[str, dict[str, str]]:
    """IDX files among names, all in one folder: split -> {"images": name, "labels": name}; empty without images."""
    found: dict[str, dict[str, str]] = {}
    folders = set()
    for name in sorted(names):  # "...ubyte" comes before "...ubyte.gz", which is then left aside
        folder, _, file = name.rpartition("/")
        match = _NAME.match(file)
        if match:
            split = _SPLIT.get(match[1].lower(), match[1].lower())
            found.setdefault(split, {}).setdefault(match[2].lower(), name)
            folders.add(folder)
    if len(folders) > 1:
        return {}
    return {split: found[split] for split in sorted(found) if "images" in found[split]}


def open_idx(
    store: Store, files: Mapping[str, Mapping[str, str]], chosen: Sequence[str], path: Path
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, list[str | None]]]:
    """Images uint8 (n, H, W) of the chosen splits, and labels of all splits as text (None: no file of labels)."""
    images, labels = {}, {}
    for split, pair in files.items():
        size = None
        if split in chosen:
            image = decode_idx(store.read(pair["images"]), str(path / pair["images"]))
            if image.ndim != 3:
                raise FormatError(f"{path / pair['images']}: holds an array of shape {image.shape}, expected (n, H, W)")
            images[split], size = image, len(image)
            labels[split] = [None] * size
        if "labels" in pair:
            values = decode_idx(store.read(pair["labels"]), str(path / pair["labels"]))
            if values.ndim != 1 or len(values) != (len(values) if size is None else size):
                raise FormatError(f"{path / pair['labels']}: {values.shape} labels for {size} images; fetch it again")
            labels[split] = [str(v) for v in values.tolist()]
    return images, labels
