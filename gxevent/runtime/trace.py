"""Traces: every address event of every population of a run, in one HDF5 file; see docs/running.md for its layout.

with gx.open_trace("runs/nmnist") as trace:
    for sample, windows in trace:
        address, value = windows[0]["conv1"]
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError, require
from gxevent.graph import EventGraph
from gxevent.runtime.record import SAMPLES, TRACE, open_text, read_rows
from gxevent.runtime.spool import EVENT, TraceSpool
from gxevent.runtime.tally import senders

FORMAT, VERSION = "gxevent trace", 1
CHUNK = 1 << 16
"""Events, windows or samples a chunk of the file holds."""
BLOCK = 1 << 20
"""Events copied at a time."""
GROUP = 64
"""Samples read at a time."""


def h5py() -> Any:
    """The package, or how to install it."""
    return require("h5py", extra="events", purpose="a trace (HDF5)")


def pack(spool: TraceSpool, graph: EventGraph, folder: Path, attributes: dict[str, Any]) -> None:
    """Write a finished run's ``trace.h5`` from its spool; it appears whole or not at all.

    Raises FormatError when it cannot be written; the spool stays.
    """
    path, part = folder / TRACE, folder / f".{TRACE}.part"
    try:
        with _Target(part) as target, h5py().File(target, "w") as file:
            file.attrs.update({"format": FORMAT, "version": VERSION} | attributes)
            windows = _pack_samples(file.create_group("samples"), folder)
            for i, name in enumerate(senders(graph)):
                group = file.create_group(f"populations/{i:03d} {name.replace('/', '.')}")
                group.attrs.update({"name": name, "shape": graph.populations[name].shape})
                _pack_offsets(group, spool, windows, i)
                _pack_events(group, spool, i)
                target.check()
        target.sync()
        os.replace(part, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink()
        raise FormatError(f"{path}: cannot be written ({error.strerror or error})") from error


class _Target(io.RawIOBase):
    """A new file for HDF5 to write into, which is never told that a write failed: it may crash then (on a full disk, in
    its close). The failure is raised where this is left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: OSError | None = None
        self._file = open(path, "w+b", buffering=0)  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> _Target:
        return self

    def __exit__(self, *_: object) -> None:
        self._attempt(self._file.close)
        self.check()

    def check(self) -> None:
        if self._error is not None:
            raise self._error

    def sync(self) -> None:
        with open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def _attempt(self, call: Any, *args: Any) -> Any:
        if self._error is None:
            try:
                return call(*args)
            except OSError as error:
                self._error = error
        return None

    def write(self, data: Any) -> int:
        left = memoryview(data)
        while left and (written := self._attempt(self._file.write, left)):
            left = left[written:]
        return len(data)

    def readinto(self, data: Any) -> int:
        read = self._attempt(self._file.readinto, data) or 0
        memoryview(data)[read:] = bytes(len(data) - read)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def truncate(self, size: int | None = None) -> int:
        self._attempt(self._file.truncate, size)
        return size or 0

    def flush(self) -> None:
        pass


def _pack_samples(group: Any, folder: Path) -> int:
    """Ids and where each sample's windows begin; returns the number of windows."""
    ids = _growing(group, "id", h5py().string_dtype("utf-8"))
    first = _growing(group, "first_window", "<i8")
    ends = 0
    names: list[str] = []
    begins: list[int] = []
    with open_text(folder / SAMPLES) as lines:
        for row in read_rows(lines, folder):
            names.append(row.sample)
            begins.append(ends)
            ends += row.windows
            if len(names) == CHUNK:
                _extend(ids, names)
                _extend(first, begins)
                names, begins = [], []
    _extend(ids, names)
    _extend(first, [*begins, ends])
    return ends


def _pack_offsets(group: Any, spool: TraceSpool, windows: int, population: int) -> None:
    offset = _growing(group, "offset", "<i8")
    end = 0
    for block in spool.blocks(windows):
        ends = end + np.cumsum(block[:, population], dtype=np.int64)
        _extend(offset, np.concatenate([[end], ends[:-1]]))
        end = int(ends[-1])
    _extend(offset, [end])


def _pack_events(group: Any, spool: TraceSpool, population: int) -> None:
    source = spool.events[population]
    total = source.size // EVENT.itemsize
    how = {"shape": (total,), "chunks": (CHUNK,), "maxshape": (None,), "compression": "gzip", "compression_opts": 1}
    address = group.create_dataset("address", dtype="<i4", shuffle=True, **how)
    value = group.create_dataset("value", dtype="i1", **how)
    with open(source.path, "rb") as file:
        for begin in range(0, total, BLOCK):
            events = np.fromfile(file, EVENT, min(BLOCK, total - begin))
            address[begin : begin + len(events)] = events["address"]
            value[begin : begin + len(events)] = events["value"]


def _growing(group: Any, name: str, dtype: Any) -> Any:
    return group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), compression="gzip")


def _extend(dataset: Any, values: Any) -> None:
    n = len(dataset)
    dataset.resize(n + len(values), axis=0)
    dataset[n:] = values


class Events(NamedTuple):
    """What a population sent in one window: address int32 (n,), in C order of its shape and ascending; value int8."""

    address: NDArray[np.int32]
    value: NDArray[np.int8]


def open_trace(path: str | os.PathLike[str]) -> TraceFile:
    """Open the trace of a run, by its folder or file; see :class:`TraceFile`."""
    return TraceFile(path)


class TraceFile:
    """Reads a trace, sample by sample; a context manager.

    shapes : by population that sends events, in running order. attributes : graph and results hashes, data, network.

    Raises FormatError when the file is missing, damaged or no trace; MissingExtraError without h5py.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        self.path = path / TRACE if path.is_dir() else path
        if not self.path.exists():
            raise FormatError(f"{self.path}: no such file; gxevent run … --trace writes one when the run is finished")
        try:
            self._file = h5py().File(self.path, "r")
            self.attributes = {k: v.item() if hasattr(v, "item") else v for k, v in self._file.attrs.items()}
            if self.attributes.get("format") != FORMAT:
                raise FormatError(f"{self.path}: is HDF5, but no trace of gxevent")
            if self.attributes["version"] != VERSION:
                raise FormatError(
                    f"{self.path}: trace version {self.attributes['version']}, this gxevent reads {VERSION}"
                )
            self._groups = {group.attrs["name"]: group for group in self._file["populations"].values()}
            self.shapes = {name: tuple(group.attrs["shape"].tolist()) for name, group in self._groups.items()}
            self._first = self._file["samples/first_window"]
        except (OSError, KeyError) as error:
            raise FormatError(f"{self.path}: not a trace, or damaged ({error})") from error

    def __enter__(self) -> TraceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def __len__(self) -> int:
        """Samples."""
        return len(self._first) - 1

    @property
    def windows(self) -> int:
        return int(self._first[-1])

    @property
    def events(self) -> dict[str, int]:
        """Events of each population, as ``summary["events"]`` counts them."""
        return {name: len(group["address"]) for name, group in self._groups.items()}

    def ids(self) -> list[str]:
        """Ids of all samples, in order."""
        return self._file["samples/id"].asstr()[:].tolist()

    def sample(self, sample: int | str) -> list[dict[str, Events]]:
        """Events of a sample, by its number or id: for each window, by population."""
        if isinstance(sample, str):
            found = self.ids()
            if sample not in found:
                raise OptionError(f"{self.path}: has no sample {sample!r}")
            sample = found.index(sample)
        if not 0 <= sample < len(self):
            raise OptionError(f"{self.path}: has {len(self)} samples, numbered from 0; got {sample}")
        begin, end = self._first[sample : sample + 2].tolist()
        return self._windows(begin, end)

    def __iter__(self) -> Iterator[tuple[str, list[dict[str, Events]]]]:
        """Id and windows of every sample; see ``sample``."""
        for at in range(0, len(self), GROUP):
            first = self._first[at : at + GROUP + 1]
            names = self._file["samples/id"].asstr()[at : at + GROUP]
            windows = self._windows(int(first[0]), int(first[-1]))
            cuts = (first - first[0]).tolist()
            for name, begin, end in zip(names, cuts[:-1], cuts[1:], strict=True):
                yield name, windows[begin:end]

    def levels(self, population: str, events: Events) -> NDArray[np.int8]:
        """What a population sent in a window as levels in its shape, 0 where a unit was silent."""
        levels = np.zeros(self.shapes[population], np.int8)
        levels.ravel()[events.address] = events.value
        return levels

    def _windows(self, begin: int, end: int) -> list[dict[str, Events]]:
        windows: list[dict[str, Events]] = [{} for _ in range(end - begin)]
        for name, group in self._groups.items():
            offset = group["offset"][begin : end + 1]
            address, value = (group[part][offset[0] : offset[-1]] for part in ("address", "value"))
            cuts = offset[1:-1] - offset[0]
            parts = zip(np.split(address, cuts), np.split(value, cuts), strict=True)
            for window, (a, v) in zip(windows, parts, strict=True):
                window[name] = Events(a, v)
        return windows


def is_trace(path: Path) -> bool:
    """Whether a file is a trace of gxevent (False, too, without h5py)."""
    if path.suffix.lower() not in (".h5", ".hdf5") or not path.is_file():
        return False
    try:
        with h5py().File(path, "r") as file:
            return file.attrs.get("format") == FORMAT
    except (OSError, ImportError):
        return False
