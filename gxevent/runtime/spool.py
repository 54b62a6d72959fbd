"""Files that only grow: what they hold up to any sample stays, whatever happens behind it.

A run killed at any point leaves whole samples followed, perhaps, by a part of one; cutting that part off is all it
takes to go on. ``TraceSpool`` keeps the events of a traced run this way until ``gxevent.runtime.trace`` packs them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError
from gxevent.runtime.record import refusals

EVENT = np.dtype([("address", "<i4"), ("value", "i1")])
"""An address event of a known population and window, as spooled."""


class Growing:
    """A file to append to; what cannot be written whole is not written at all.

    Raises FormatError when the system refuses.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with refusals(path):
            self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed by close)
        self.size = os.path.getsize(path)

    def append(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            with refusals(self.path):
                while view:
                    view = view[self._file.write(view) :]
        except FormatError:
            with contextlib.suppress(OSError):
                self._file.truncate(self.size)
            raise
        self.size += len(data)

    def cut(self, size: int) -> None:
        """Drop all behind the first ``size`` bytes."""
        if size != self.size:
            with refusals(self.path):
                self._file.truncate(size)
            self.size = size

    def sync(self) -> None:
        """Return when the disk has it."""
        with refusals(self.path):
            os.fsync(self._file.fileno())

    def lock(self) -> bool:
        """Claim the file for this process, until it closes it or dies; False when another one has it."""
        try:
            import fcntl
        except ImportError:  # a system without such locks
            return True
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # a file system without such locks
            return True
        return True

    def close(self) -> None:
        self._file.close()


@dataclass(frozen=True, eq=False)
class TracePart:
    """Events of consecutive windows.

    counts : int32 (windows, populations that send). events : by population, EVENT records, window after window,
    addresses ascending within each.
    """

    counts: NDArray[np.int32]
    events: tuple[NDArray[np.void], ...]

    @classmethod
    def of(cls, outputs: Sequence[Sequence[NDArray[np.int8]]]) -> TracePart:
        """From the levels that each window's populations sent, in the order of the populations."""
        counts, events = [], []
        for levels in zip(*outputs, strict=True):
            sent = [_events(one) for one in levels]
            counts.append([len(one) for one in sent])
            events.append(np.concatenate(sent))
        return cls(np.array(counts, np.int32).T, tuple(events))

    @classmethod
    def join(cls, parts: Sequence[TracePart]) -> TracePart:
        """Parts of consecutive windows as one; at least one part."""
        events = zip(*(part.events for part in parts), strict=True)
        return cls(np.concatenate([part.counts for part in parts]), tuple(np.concatenate(e) for e in events))


def _events(levels: NDArray[np.int8]) -> NDArray[np.void]:
    flat = levels.ravel()
    sent = np.empty(np.count_nonzero(flat), EVENT)
    sent["address"] = np.flatnonzero(flat)
    sent["value"] = flat[sent["address"]]
    return sent


class TraceSpool:
    """A folder of growing files: ``counts`` (int32, windows by populations) and one of EVENT records a population."""

    def __init__(self, folder: Path, populations: int) -> None:
        self.folder, self.populations = folder, populations
        with refusals(folder):
            folder.mkdir(exist_ok=True)
        self.counts = Growing(folder / "counts")
        self.events = [Growing(folder / f"{i}.events") for i in range(populations)]

    @property
    def windows(self) -> int:
        """Windows that are there whole."""
        windows = self.counts.size // (4 * self.populations)
        ends = np.zeros(self.populations, np.int64)
        sizes = np.array([file.size // EVENT.itemsize for file in self.events])
        whole = 0
        for block in self.blocks(windows):
            ends_of = ends + np.cumsum(block, axis=0, dtype=np.int64)
            fits = (ends_of <= sizes).all(axis=1)
            if not fits.all():
                return whole + int(np.argmin(fits))
            ends, whole = ends_of[-1], whole + len(block)
        return whole

    def blocks(self, windows: int, size: int = 1 << 16):
        """Counts of the first ``windows`` windows, int32 (up to ``size``, populations) at a time."""
        with open(self.counts.path, "rb") as file:
            for begin in range(0, windows, size):
                n = min(size, windows - begin)
                yield np.fromfile(file, "<i4", n * self.populations).reshape(n, self.populations)

    def append(self, part: TracePart) -> None:
        for file, events in zip(self.events, part.events, strict=True):
            file.append(events.tobytes())
        self.counts.append(part.counts.astype("<i4").tobytes())

    def cut(self, windows: int) -> None:
        """Keep the first ``windows`` windows."""
        totals = np.zeros(self.populations, np.int64)
        for block in self.blocks(windows):
            totals += block.sum(axis=0, dtype=np.int64)
        for file, total in zip(self.events, totals.tolist(), strict=True):
            file.cut(total * EVENT.itemsize)
        self.counts.cut(4 * self.populations * windows)

    def sync(self) -> None:
        for file in (*self.events, self.counts):
            file.sync()

    def close(self) -> None:
        for file in (*self.events, self.counts):
            file.close()
