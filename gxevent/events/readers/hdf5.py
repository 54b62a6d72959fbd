"""HDF5 files: a group with datasets t, x, y, p (``events/t``, ``raw_events/t``, ``events/ts`` …), a compound dataset
with these fields (``CD/events``), or one table (n, 4), wherever in the file they lie.

Names are understood as for text. The first place found is read, ``events`` and the shortest path before others, and
its times stay as they are (the ``t_offset`` of DSEC is not added). A sensor is taken from the attributes ``width`` and
``height``, ``geometry`` or ``sensor_resolution`` (height, width) of the file, the group or the dataset. Needs h5py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np

from gxevent.errors import FormatError, require
from gxevent.events.readers import columns
from gxevent.events.readers.gate import Columns
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.source import Source

MAX_RATIO = 2000
"""Bytes that one stored byte may stand for, at most: what deflate reaches at its best is half of that."""

MAX_OBJECTS = 10_000
"""Groups and datasets looked at in one file."""

MAX_DEPTH = 8
"""Groups within groups, at most."""

_BLOCK = 1 << 20
_EXPECTED = "expected datasets t, x, y, p in one group, a compound dataset with these fields, or a table (n, 4)"


def sniff(data: bytes, _: str) -> bool:
    return data.startswith(b"\x89HDF\r\n\x1a\n")


def open_hdf5(file: BinaryIO, name: str, options: ReadOptions) -> Source:
    """Raises MissingExtraError without h5py, FormatError for damage or a file that holds no events."""
    h5py = require("h5py", extra="events", purpose="reading HDF5")
    try:
        return _Hdf5(h5py.File(file, "r"), name, options)
    except (FormatError, ImportError):
        raise
    except Exception as error:  # h5py raises many kinds on damaged files
        raise FormatError(f"{name}: damaged or cut short HDF5 file ({_first_line(error)}); fetch it again") from error


class _Hdf5(Source):
    def __init__(self, file: Any, name: str, options: ReadOptions) -> None:
        super().__init__()
        self.file, self.name = file, name
        self.fields = _find(file, name)
        lengths = {letter: dataset.shape for letter, (dataset, _) in self.fields.items()}
        if len({shape[0] if shape else None for shape in lengths.values()}) != 1 or () in lengths.values():
            raise FormatError(f"{name}: datasets of shapes {lengths}, expected the same (n,) for t, x, y and p")
        for letter, (dataset, field) in self.fields.items():
            kind = dataset.dtype[field].kind if isinstance(field, str) else dataset.dtype.kind
            if kind not in "biuf":
                raise FormatError(f"{name}: dataset {letter} of type {dataset.dtype}, expected numbers")
            stored, size = dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
            if size > MAX_RATIO * (stored + 4096):
                raise FormatError(
                    f"{name}: dataset {dataset.name} states {size} bytes but stores {stored}; fetch it again"
                )
        self.clock = columns.Clock(options.time_unit, name)
        self.stated = _sensor(self.fields["t"][0], name)
        self.order: str | None = None

    def blocks(self, size: int | None) -> Iterator[Columns]:
        n = self.fields["t"][0].shape[0]
        for at in range(0, n, size or max(n, 1)):
            try:
                part = {letter: self._read(letter, at, at + (size or n)) for letter in "txyp"}
            except OSError as error:
                remedy = "install hdf5plugin and import it first" if "filter" in str(error) else "fetch it again"
                raise FormatError(
                    f"{self.name}: events {at} on cannot be read ({_first_line(error)}); {remedy}"
                ) from error
            yield Columns(
                self.clock(part["t"], at),
                columns.integers(part["x"], self.name, "x"),
                columns.integers(part["y"], self.name, "y"),
                columns.polarity(part["p"], self.name),
            )

    def _read(self, letter: str, start: int, stop: int) -> np.ndarray:
        dataset, field = self.fields[letter]
        if isinstance(field, str):
            return dataset.fields(field)[start:stop]
        if isinstance(field, int):
            return dataset[start:stop, field]
        return dataset[start:stop]


def _find(file: Any, name: str) -> dict[str, tuple[Any, str | int | None]]:
    """Dataset of t, x, y and p, each with the field or column in it."""
    groups: dict[str, dict[str, Any]] = {}
    for path, item in _walk(file):
        if hasattr(item, "shape") and item.shape is not None:
            groups.setdefault(path.rpartition("/")[0], {})[path.rpartition("/")[2]] = item
    ordered = sorted(groups, key=lambda path: ("event" not in path.lower(), path.count("/"), path))
    for path in ordered:
        items = list(groups[path].items())
        place, _ = columns.find([key for key, _ in items])
        if set(place) == set("txyp"):
            return {letter: (items[i][1], None) for letter, i in place.items()}
    for path in ordered:
        for dataset in groups[path].values():
            fields = dataset.dtype.names or ()
            place, _ = columns.find(list(fields))
            if set(place) == set("txyp") and dataset.ndim == 1:
                return {letter: (dataset, fields[i]) for letter, i in place.items()}
    tables = [d for path in ordered for d in groups[path].values() if d.ndim == 2 and d.shape[1] == 4]
    if tables and tables[0].dtype.kind in "iuf":
        order = columns.guess_order(tables[0][:_BLOCK])
        return {letter: (tables[0], i) for i, letter in enumerate(order)}
    held = [f"{path}/{key} {d.dtype} {d.shape}".lstrip("/") for path in ordered for key, d in groups[path].items()]
    raise FormatError(f"{name}: holds {', '.join(held)[:200] or 'no datasets'}; {_EXPECTED}")


def _walk(file: Any) -> Iterator[tuple[str, Any]]:
    """(path, object) of what hard links lead to. Not h5py's own visit, which never ends on some damaged files."""
    waiting, seen = [("", file, 0)], 0
    while waiting:
        path, group, depth = waiting.pop()
        if not len(group):  # raises where the group is damaged; iterating it might not return
            continue
        for key in group:
            seen += 1
            if seen > MAX_OBJECTS:
                return
            if type(group.get(key, getlink=True)).__name__ != "HardLink":
                continue
            item = group[key]
            yield f"{path}/{key}".lstrip("/"), item
            if hasattr(item, "keys") and depth < MAX_DEPTH:
                waiting.append((f"{path}/{key}", item, depth + 1))


def _sensor(dataset: Any, name: str) -> tuple[int, int] | None:
    for item in (dataset, dataset.parent, dataset.file):
        attributes = item.attrs
        if "width" in attributes and "height" in attributes:
            return _whole(attributes["width"], name), _whole(attributes["height"], name)
        if "sensor_resolution" in attributes and np.size(attributes["sensor_resolution"]) == 2:
            height, width = np.ravel(attributes["sensor_resolution"])
            return _whole(width, name), _whole(height, name)
        if found := re.fullmatch(r"(\d{1,9})x(\d{1,9})", str(attributes.get("geometry", ""))):
            return int(found[1]), int(found[2])
    return None


def _whole(value: Any, name: str) -> int:
    try:
        return int(np.ravel(value)[0])
    except (TypeError, ValueError, IndexError, OverflowError):
        raise FormatError(f"{name}: states a sensor size of {value!r}, expected a whole number") from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
