"""CIFAR-10 as it is published: python batches (pickles) or binary batches.

Pickles are not executed: an unpickler that knows plain containers and the shape of a stored NumPy array reads them;
anything else in the file is refused.
"""

from __future__ import annotations

import io
import pickle
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.events.archive import Store

SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_NAME = re.compile(r"^(?:data_batch_(\d+)|(test)_batch)(\.bin)?$")


class _Stored:
    """Stands for a NumPy object of a pickle: keeps what it was built from, runs nothing."""

    def __init__(self, *args: Any) -> None:
        self.args, self.state = args, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encode(text: str, encoding: str) -> bytes:
    """``_codecs.encode`` of pickles that store bytes as text."""
    return text.encode("latin1")


class _Plain(pickle.Unpickler):
    """Knows containers, numbers, text, and the ways NumPy stores an array."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ("_reconstruct", "ndarray", "dtype", "scalar"):
            return _Stored
        if (module, name) == ("_codecs", "encode"):
            return _encode
        raise pickle.UnpicklingError(f"holds {module}.{name}")


def find_cifar(names: Iterable[str]) -> dict[str, list[str]]:
    """Batches among names, all in one folder: split -> names in order; empty where there are none."""
    found: dict[str, list[tuple[int, str]]] = {}
    folders = set()
    for name in names:
        folder, _, file = name.rpartition("/")
        if match := _NAME.match(file):
            found.setdefault("test" if match[2] else "train", []).append((int(match[1] or 0), name))
            folders.add(folder)
    if len(folders) != 1:
        return {}
    return {split: [name for _, name in sorted(found[split])] for split in sorted(found)}


def open_cifar(
    store: Store, files: Mapping[str, Sequence[str]], chosen: Sequence[str], path: Path
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, list[str]], tuple[str, ...]]:
    """(images uint8 (n, 3, 32, 32) of the chosen splits, labels by name of these, all class names)."""
    names = _class_names(store, next(iter(files.values()))[0].rpartition("/")[0], path)
    images, labels = {}, {}
    for split in chosen:
        batches = [_batch(store.read(name), f"{path}/{name}") for name in files[split]]
        images[split] = np.concatenate([image for image, _ in batches])
        numbers = np.concatenate([label for _, label in batches])
        labels[split] = [names[i] for i in numbers.tolist()]
    return images, labels, names


def _class_names(store: Store, folder: str, path: Path) -> tuple[str, ...]:
    """From the file of class names beside the batches; else the digits."""
    prefix = f"{folder}/" if folder else ""
    names: list[str] = []
    if f"{prefix}batches.meta.txt" in store.names:
        names = store.read(f"{prefix}batches.meta.txt").decode("ascii", "replace").split()
    elif f"{prefix}batches.meta" in store.names:
        meta = _load(store.read(f"{prefix}batches.meta"), f"{path}/{prefix}batches.meta")
        names = [_as_text(name) for name in _value(meta, "label_names") or ()]
    return tuple(names) if len(set(names)) == 10 else tuple("0123456789")


def _batch(data: bytes, name: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    if name.endswith(".bin"):
        if not data or len(data) % (1 + _PIXELS):
            raise FormatError(
                f"{name}: {len(data)} bytes are no whole number of records of {1 + _PIXELS}; fetch it again"
            )
        table = np.frombuffer(data, np.uint8).reshape(-1, 1 + _PIXELS)
        images, labels = table[:, 1:], table[:, 0]
    else:
        batch = _load(data, name)
        images, labels = _array(_value(batch, "data"), name), _value(batch, "labels")
        whole = isinstance(labels, list) and all(isinstance(v, int) and 0 <= v < 256 for v in labels)
        if not whole or len(labels) != len(images):
            raise FormatError(f"{name}: its labels do not fit its {len(images)} images; fetch it again")
        labels = np.array(labels, np.uint8)
    if len(labels) and labels.max() > 9:
        i = int((labels > 9).argmax())
        raise FormatError(f"{name}: image {i}: label {labels[i]}, expected 0 to 9; gxevent reads CIFAR-10")
    return images.reshape(-1, *SHAPE), labels


def _load(data: bytes, name: str) -> dict[Any, Any]:
    try:
        found = _Plain(io.BytesIO(data), encoding="bytes").load()
    except Exception as error:  # unpickling damaged bytes raises many kinds
        line = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise FormatError(f"{name}: not a CIFAR batch, or damaged ({line}); fetch it again") from error
    if not isinstance(found, dict):
        raise FormatError(f"{name}: holds a {type(found).__name__}, expected the dictionary of a CIFAR batch")
    return found


def _value(batch: dict[Any, Any], key: str) -> Any:
    return batch.get(key.encode(), batch.get(key))


def _array(stored: Any, name: str) -> NDArray[np.uint8]:
    """The uint8 array (n, 3072) of a stored NumPy array: version, shape, dtype, order, bytes."""
    state = getattr(stored, "state", None)
    if isinstance(state, tuple) and len(state) == 5:
        _, shape, kind, fortran, raw = state
        raw = raw.encode("latin1") if isinstance(raw, str) else raw
        code = _as_text(kind.args[0]) if isinstance(kind, _Stored) and kind.args else ""
        plain = code in ("u1", "|u1", "uint8") and isinstance(raw, bytes) and not fortran
        if plain and shape == (len(raw) // _PIXELS, _PIXELS) and len(raw) % _PIXELS == 0:
            return np.frombuffer(raw, np.uint8).reshape(shape)
    raise FormatError(f"{name}: its data is no uint8 array (n, {_PIXELS}); fetch it again")


def _as_text(value: Any) -> str:
    return value.decode("ascii", "replace") if isinstance(value, bytes) else str(value)
