"""The file container of networks and graphs: safetensors with one JSON description, checksummed, written atomically.

The file's metadata holds a single entry ``"gxevent"``: JSON with the keys ``kind``, ``version``, ``sha256``,
``packed`` and ``body``. Integer levels in {-1, 0, +1} are stored as 2-bit codes, four a byte, least significant
first (0: 0, 1: +1, 2: -1); ``packed`` maps their names to their shapes. Everything else is stored as it is.
``sha256`` covers the description and all tensors, so an altered byte anywhere is noticed on reading.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError

VERSION = 1
_KEY = "gxevent"
_EXTENSION = {"network": ".gxn", "graph": ".gxg"}


@dataclass(frozen=True)
class Contents:
    """What a container holds: the body of its description, its tensors by name, its checksum."""

    kind: str
    body: dict[str, Any]
    tensors: dict[str, NDArray]
    sha256: str


def pack_levels(q: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Ternary levels (any shape) as 2-bit codes, four a byte; uint8 (ceil(size / 4),)."""
    codes = np.where(q < 0, 2, q).astype(np.uint8).ravel()
    codes = np.concatenate([codes, np.zeros(-codes.size % 4, np.uint8)]).reshape(-1, 4)
    return codes[:, 0] | codes[:, 1] << 2 | codes[:, 2] << 4 | codes[:, 3] << 6


def unpack_levels(packed: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Inverse of :func:`pack_levels`. FormatError for a code that does not exist or a size that does not fit."""
    size = math.prod(shape)
    if packed.ndim != 1 or packed.size != -(-size // 4):
        raise FormatError(f"{packed.size} packed bytes cannot hold {size} ternary levels")
    codes = (packed[:, None] >> np.array([0, 2, 4, 6], np.uint8) & 3).ravel()[:size]
    if (codes == 3).any():
        raise FormatError("a packed level has the unused code 3")
    return np.array([0, 1, -1, 0], np.int8)[codes].reshape(shape)


def digest(kind: str, body: Mapping[str, Any], tensors: Mapping[str, NDArray]) -> str:
    """SHA-256 (hex) over kind, body and tensors, independent of how they are packed."""
    h = hashlib.sha256()
    h.update(json.dumps([kind, VERSION, body], sort_keys=True, separators=(",", ":")).encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        h.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        h.update(array.tobytes())
    return h.hexdigest()


def write(path: str | os.PathLike[str], kind: str, body: dict[str, Any], tensors: Mapping[str, NDArray]) -> str:
    """Write a container; returns its SHA-256. The file appears whole or not at all."""
    import safetensors.numpy

    sha = digest(kind, body, tensors)
    stored: dict[str, NDArray] = {}
    packed: dict[str, list[int]] = {}
    for name, array in tensors.items():
        array = np.ascontiguousarray(array)
        if array.dtype == np.int8 and array.size and array.min() >= -1 and array.max() <= 1:
            packed[name] = list(array.shape)
            array = pack_levels(array)
        stored[name] = array
    head = {"kind": kind, "version": VERSION, "sha256": sha, "packed": packed, "body": body}
    data = safetensors.numpy.save(stored, metadata={_KEY: json.dumps(head, sort_keys=True)})
    with atomic_write(path) as file:
        file.write(data)
    return sha


def read(path: str | os.PathLike[str], kind: str) -> Contents:
    """Read a container of the given kind (``"network"``, ``"graph"`` or ``"any"``), checking version and checksum.

    Raises FormatError naming the file and what is wrong with it.
    """
    path = Path(path)
    data = read_bytes(path)
    head, stored = _decode(path, data)
    found = head.get("kind")
    if kind != "any" and found != kind:
        hint = {"network": "compile it first: gxevent compile", "graph": "give the network (.gxn) it came from"}
        raise FormatError(f"{path}: holds a {found}, not a {kind}; {hint.get(str(found), 'it is of another program')}")
    if head.get("version") != VERSION:
        raise FormatError(
            f"{path}: format version {head.get('version')!r}, this gxevent reads version {VERSION}: "
            "write it again with the matching gxevent"
        )
    try:
        tensors = dict(stored)
        for name, shape in head["packed"].items():
            tensors[name] = unpack_levels(stored[name], tuple(int(n) for n in shape))
        sha = digest(str(found), head["body"], tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(f"{path}: damaged description or packed levels ({error}): fetch or write it again") from error
    if sha != head.get("sha256"):
        raise FormatError(f"{path}: SHA-256 does not match, the file was altered or damaged: fetch or write it again")
    return Contents(str(found), head["body"], tensors, sha)


def _decode(path: Path, data: bytes) -> tuple[dict[str, Any], dict[str, NDArray]]:
    import safetensors
    import safetensors.numpy

    size = int.from_bytes(data[:8], "little")
    if len(data) < 10 or data[8:9] != b"{" or size > len(data) - 8:
        raise FormatError(
            f"{path}: {'is empty' if not data else 'not a gxevent file, or cut short'} ({len(data)} bytes)"
        )
    try:
        stored = safetensors.numpy.load(data)
        head = json.loads(json.loads(data[8 : 8 + size])["__metadata__"][_KEY])
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{path}: not a gxevent file, or damaged ({error}): fetch or write it again") from error
    if not isinstance(head, dict):
        raise FormatError(f"{path}: damaged description: fetch or write it again")
    return head, stored


def read_bytes(path: Path) -> bytes:
    """The whole file, with the system's refusal turned into one clear line."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise FormatError(f"{path}: is a folder, expected a file") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be read ({error.strerror})") from error


@contextlib.contextmanager
def atomic_write(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Write to a temporary neighbour, sync, rename: readers see the old file or the whole new one, never a part."""
    path = Path(path)
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    except OSError as error:
        raise FormatError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)  # mkstemp makes it private; a written file has the usual rights
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
