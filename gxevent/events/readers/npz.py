"""NumPy files: ``.npz`` with arrays t, x, y, p (and width, height), or ``.npz`` / ``.npy`` with one array of events.

One array is either structured (fields t, x, y, p, or usual variants of these names) or a table (n, 4) whose order is
found as for text. Pickled objects are never loaded.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.readers import columns
from gxevent.events.readers.gate import Columns
from gxevent.events.readers.options import ReadOptions
from gxevent.events.readers.table import Table

_EXPECTED = "expected arrays t, x, y, p, a structured array with these fields, or a table (n, 4)"


def sniff(data: bytes, name: str) -> bool:
    return data.startswith((b"PK\x03\x04", b"PK\x05\x06", b"\x93NUMPY"))


def open_npz(file: BinaryIO, name: str, options: ReadOptions) -> Table:
    """Raises FormatError for a damaged file, pickled objects, and arrays that hold no events."""
    arrays = _load(file.read(), name)
    stated = None
    if "width" in arrays and "height" in arrays:
        stated = tuple(_size(arrays[key], name, key) for key in ("width", "height"))
    place, unit = columns.find(list(arrays))
    if set(place) == set("txyp"):
        keys = list(arrays)
        return _table({letter: arrays[keys[i]] for letter, i in place.items()}, unit, name, options, stated)
    for array in arrays.values():
        if array.dtype.names:
            place, unit = columns.find(list(array.dtype.names))
            if set(place) == set("txyp"):
                fields = {letter: array[array.dtype.names[i]] for letter, i in place.items()}
                return _table(fields, unit, name, options, stated)
    tables = [a for a in arrays.values() if a.ndim == 2 and a.shape[1] == 4 and a.dtype.kind in "iuf"]
    if len(tables) == 1:
        order = columns.guess_order(tables[0])
        return _table({letter: tables[0][:, i] for i, letter in enumerate(order)}, None, name, options, stated)
    found = ", ".join(f"{key} {a.dtype} {a.shape}" for key, a in arrays.items()) or "nothing"
    raise FormatError(f"{name}: holds {found[:200]}; {_EXPECTED}")


def _load(data: bytes, name: str) -> dict[str, NDArray]:
    try:
        loaded = np.load(io.BytesIO(data), allow_pickle=False)
        if not isinstance(loaded, Mapping):
            return {"array": loaded}
        if not all(member.endswith(".npy") for member in loaded.zip.namelist()):
            raise FormatError(
                f"{name}: is a zip archive but no .npz; to read a data set of recordings give it to open_dataset"
            )
        return {key: loaded[key] for key in loaded.files}
    except FormatError:
        raise
    except Exception as error:  # zipfile and numpy raise many kinds on damaged bytes
        if "allow_pickle" in str(error):
            raise FormatError(f"{name}: holds pickled objects, which gxevent does not load; {_EXPECTED}") from error
        raise FormatError(
            f"{name}: damaged or cut short at byte {len(data)} ({error}); fetch or write it again"
        ) from error


def _size(array: NDArray, name: str, key: str) -> int:
    if array.size != 1 or array.dtype.kind not in "iu":
        raise FormatError(f"{name}: {key} is {array.dtype} {array.shape}, expected one whole number")
    return int(array.reshape(()))


def _table(
    fields: Mapping[str, NDArray], unit: str | None, name: str, options: ReadOptions, stated: tuple[int, int] | None
) -> Table:
    shapes = {letter: array.shape for letter, array in fields.items()}
    if len(set(shapes.values())) != 1 or fields["t"].ndim != 1:
        raise FormatError(f"{name}: arrays of shapes {shapes}, expected the same (n,) for t, x, y and p")
    for letter, array in fields.items():
        if array.dtype.kind not in "biuf":
            raise FormatError(f"{name}: array {letter} of type {array.dtype}, expected numbers")
    events = Columns(
        columns.microseconds(fields["t"], name, options.time_unit or unit),
        columns.integers(fields["x"], name, "x"),
        columns.integers(fields["y"], name, "y"),
        columns.polarity(fields["p"], name),
    )
    return Table(events, stated)
