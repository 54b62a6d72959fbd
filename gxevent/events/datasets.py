"""Data sets: labelled recordings or images in a folder or archive, read as they lie there.

Layouts
-------
- ``split/label/file`` or ``label/file`` in a folder, zip or tar (below any one folder that holds everything); splits
  are named train, test, val (also training, testing, valid, validation) in any case;
- ``split/label.ext``: long recordings whose label is the file's name; every split holds the same names;
- images (JPEG, PNG …) instead of recordings in the first layout, read by Pillow;
- IDX files in one folder or archive (MNIST layout: ``train-images-idx3-ubyte``, …, plain or gzip);
- CIFAR-10's python or binary batches (``data_batch_1``, ``test_batch.bin`` …) in one folder or archive;
- a CSV manifest with the columns ``path``, ``label`` and perhaps ``split``, paths relative to it;
- one recording, without label;
- a folder that holds nothing but one such archive, notes aside.

A recording is one sample, however long: the encoder's window, or ``--window``, cuts it, and the scores of its windows
add. ``tonic:NAME`` opens a data set of tonic (:mod:`gxevent.events.adapters`).
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError
from gxevent.events import pictures
from gxevent.events.archive import Folder, Store, open_store
from gxevent.events.cifar import find_cifar, open_cifar
from gxevent.events.idx import find_idx, open_idx
from gxevent.events.readers import decode_events
from gxevent.events.stream import EventStream
from gxevent.store import read_bytes

SPLITS = {
    "train": "train",
    "training": "train",
    "test": "test",
    "testing": "test",
    "val": "val",
    "valid": "val",
    "validation": "val",
}
"""Folder name in lower case -> name of the split."""

_EXPECTED = (
    "expected split/label/file, label/file or split/label.ext (splits: train, test, val), IDX files, CIFAR batches, "
    "or one recording"
)
_ASIDE = re.compile(r"(^|/)(\.|__MACOSX/|README|LICEN[CS]E)|\.(md|sha256)$", re.IGNORECASE)


@dataclass(frozen=True)
class Sample:
    """One recording or image: its path inside the data set, its class, its split (None: not known)."""

    id: str
    label: str | None
    split: str | None = None


@dataclass(frozen=True, eq=False)
class DataSet:
    """Samples in a fixed order, loaded one at a time.

    ``kind`` is ``"events"`` or ``"images"``; ``classes`` are the label names of the whole source, whatever the split,
    numbers in numeric order. The index of a class is the network's matter: compare names. May be shared by threads
    and pickled.
    """

    source: str
    kind: str
    samples: tuple[Sample, ...]
    classes: tuple[str, ...]
    _load: Callable[[Sample], EventStream | NDArray[np.uint8]]

    def __len__(self) -> int:
        return len(self.samples)

    def load(self, i: int) -> EventStream | NDArray[np.uint8]:
        """Sample ``i``: an EventStream, or an image uint8 (H, W) or (3, H, W). FormatError names archive and file."""
        return self._load(self.samples[i])

    def __iter__(self) -> Iterator[tuple[Sample, EventStream | NDArray[np.uint8]]]:
        """Pairs of sample and what :meth:`load` gives, in order."""
        return ((sample, self._load(sample)) for sample in self.samples)

    def images(self) -> NDArray[np.uint8]:
        """All images at once, uint8 (n, H, W) or (n, 3, H, W). OptionError for a data set of events."""
        if self.kind != "images":
            raise OptionError(f"{self.source}: holds recordings of events, not images; load them one at a time")
        return (
            np.stack([self._load(sample) for sample in self.samples]) if self.samples else np.zeros((0, 0, 0), np.uint8)
        )


def open_dataset(
    path: str | os.PathLike[str],
    *,
    split: str | None = None,
    limit: int | None = None,
    width: int | None = None,
    height: int | None = None,
) -> DataSet:
    """Open a data set in any of the layouts above.

    Parameters
    ----------
    split
        ``"test"``, ``"train"``, ``"val"`` or ``"all"``; by default ``"test"`` where there is one, else ``"all"``.
    limit
        Take this many: of images the first, of recordings evenly spaced ones, since those lie sorted by class.
    width, height
        Sensor of the recordings, where their files do not say it.

    Samples are sorted by id, numbers in ids by their value ("2.bin" before "10.bin").

    Raises
    ------
    FormatError
        when there is nothing there, or nothing that has one of the layouts.
    OptionError
        for a split that the source does not have (the message lists those it has), or a limit below 1.
    """
    if str(path).startswith("tonic:"):
        from gxevent.events.adapters import open_tonic

        return open_tonic(str(path), split=split, limit=limit, width=width, height=height)
    path = Path(path)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | np.integer) or limit < 1):
        raise OptionError(f"limit: expected a whole number >= 1, got {limit!r}")
    if not path.exists():
        raise FormatError(f"{path}: no such file or folder")
    store = open_store(path)
    if isinstance(store, Folder) and (inside := _only_archive(store)):
        path, store = inside
    if store is not None and (found := find_idx(store.names)):
        chosen = _choose(tuple(found), split, path)
        images, labels = open_idx(store, found, chosen, path)
        samples = [Sample(f"{s}/{i:05d}", label, s) for s in images for i, label in enumerate(labels[s])]
        classes = _classes(label for known in labels.values() for label in known)
        return DataSet(str(path), "images", tuple(samples[:limit]), classes, _Images(images))
    if store is not None and (batches := find_cifar(store.names)):
        chosen = _choose(tuple(batches), split, path)
        images, labels, classes = open_cifar(store, batches, chosen, path)
        samples = [Sample(f"{s}/{i:05d}", label, s) for s in images for i, label in enumerate(labels[s])]
        return DataSet(str(path), "images", tuple(samples[:limit]), classes, _Images(images))
    kind = "events"
    if store is not None:
        samples, members = _labelled(store, path)
        load = _Members(str(path), store, members, width, height)
        if samples and pictures.is_image(store.read(members[samples[0].id])[:64]):
            kind, load = "images", pictures.Images(str(path), store, members)
    elif (manifest := _manifest(path)) is not None:
        samples = manifest
        load = _Members(str(path.parent), Folder(path.parent), {s.id: s.id for s in samples}, width, height)
    else:
        _choose((), split, path)
        sample = Sample(path.name, None)
        return DataSet(str(path), "events", (sample,), (), _Single(str(path), width, height))
    classes = _classes(sample.label for sample in samples)
    chosen = _choose(tuple(dict.fromkeys(s.split for s in samples if s.split)), split, path)
    samples = [s for s in samples if s.split in chosen or s.split is None]
    if limit is not None and limit < len(samples):
        samples = [samples[i * len(samples) // limit] for i in range(limit)]
    return DataSet(str(path), kind, tuple(samples), classes, load)


@dataclass(frozen=True)
class _Members:
    """Loads recordings from a store: sample id -> name of the file in it."""

    source: str
    store: Store
    members: dict[str, str]
    width: int | None
    height: int | None

    def __call__(self, sample: Sample) -> EventStream:
        data = self.store.read(self.members[sample.id])
        return decode_events(data, f"{self.source}/{sample.id}", width=self.width, height=self.height)


@dataclass(frozen=True)
class _Single:
    """Loads the one recording."""

    path: str
    width: int | None
    height: int | None

    def __call__(self, sample: Sample) -> EventStream:
        return decode_events(read_bytes(Path(self.path)), self.path, width=self.width, height=self.height)


@dataclass(frozen=True)
class _Images:
    """Gives images of IDX files, by the split and number in the sample's id."""

    images: dict[str, NDArray[np.uint8]]

    def __call__(self, sample: Sample) -> NDArray[np.uint8]:
        split, _, number = sample.id.partition("/")
        return self.images[split][int(number)]


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key: runs of digits by their value, all else as text."""
    return tuple((0, int(part), part) if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name))


def _classes(labels: Iterable[str | None]) -> tuple[str, ...]:
    return tuple(sorted({label for label in labels if label is not None}, key=natural))


def _choose(present: tuple[str, ...], split: str | None, path: Path) -> tuple[str, ...]:
    """Splits to take, of those present."""
    if split is None:
        return ("test",) if "test" in present else present
    if split.lower() == "all":
        return present
    wanted = SPLITS.get(split.lower())
    if wanted not in present:
        has = ", ".join(sorted(present)) or "no splits"
        raise OptionError(f"{path}: has no split {split!r}; it has {has}; choose one of them or 'all'")
    return (wanted,)


def _only_archive(folder: Folder) -> tuple[Path, Store] | None:
    """The archive that is all a folder holds beside notes, as data sets are fetched."""
    names = [name for name in folder.names if not _ASIDE.search(name)]
    if len(names) != 1 or "/" in names[0]:
        return None
    store = open_store(folder.path / names[0])
    return None if store is None else (folder.path / names[0], store)


def _labelled(store: Store, path: Path) -> tuple[list[Sample], dict[str, str]]:
    """Samples of a store in natural order, and the name in the store of each id."""
    names = [name for name in store.names if not _ASIDE.search(name)]
    if not names:
        raise FormatError(f"{path}: holds no recordings; {_EXPECTED}")
    parts = {name: PurePosixPath(name).parts for name in sorted(names, key=natural)}
    split_layout = any(len(p) >= 3 and p[-3].lower() in SPLITS for p in parts.values())
    depth = 3 if split_layout else 2
    # Archives often hold everything in one folder: ``outer``. Shallower files are notes beside the folders.
    outer = max((p for p in parts.values()), key=len)[:-depth]
    samples, members, misfits = [], {}, []
    for name, p in parts.items():
        inner = p[len(outer) :]
        if len(inner) != depth or p[: len(outer)] != outer or (split_layout and inner[0].lower() not in SPLITS):
            misfits.append(name)
            continue
        if not split_layout and inner[0].lower() in SPLITS:
            if labelled := _by_file_name(parts, outer):
                return labelled
            raise FormatError(f"{path}: {name} has no label: no folder between split and file; {_EXPECTED}")
        sample = Sample("/".join(inner), inner[-2], SPLITS[inner[0].lower()] if split_layout else None)
        samples.append(sample)
        members[sample.id] = name
    if len(samples) < len(misfits) or not samples:
        hint = (
            "open the archive itself"
            if misfits[0].lower().endswith((".zip", ".tar", ".gz", ".tgz", ".xz"))
            else _EXPECTED
        )
        raise FormatError(f"{path}: {len(misfits)} of {len(names)} files, such as {misfits[0]}, have no label; {hint}")
    return samples, members


def _by_file_name(
    parts: dict[str, tuple[str, ...]], outer: tuple[str, ...]
) -> tuple[list[Sample], dict[str, str]] | None:
    """Samples of the layout ``split/label.ext``: two splits or more that hold the same names, two or more of them."""
    stems: dict[str, list[str]] = {}
    samples, members = [], {}
    for name, p in parts.items():
        inner = p[len(outer) :]
        if len(inner) != 2 or p[: len(outer)] != outer or inner[0].lower() not in SPLITS:
            return None
        label = PurePosixPath(inner[1]).stem
        stems.setdefault(SPLITS[inner[0].lower()], []).append(label)
        samples.append(Sample("/".join(inner), label, SPLITS[inner[0].lower()]))
        members[samples[-1].id] = name
    names = [sorted(found) for found in stems.values()]
    same = all(found == names[0] for found in names)
    return (samples, members) if same and len(names) > 1 and len(set(names[0])) == len(names[0]) > 1 else None


def _manifest(path: Path) -> list[Sample] | None:
    """Samples of a CSV manifest in its order; None when the file is none."""
    if path.suffix.lower() not in (".csv", ".tsv"):
        return None
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",")
        header = [name.strip().lower() for name in next(rows, [])]
        if "path" not in header or "label" not in header:
            return None
        samples = []
        for number, row in enumerate(rows, 2):
            if not row:
                continue
            if len(row) < len(header):
                raise FormatError(f"{path}: line {number} has {len(row)} of {len(header)} columns; complete it")
            cell = dict(zip(header, row, strict=False))
            split = cell.get("split", "").strip().lower()
            if split and split not in SPLITS:
                raise FormatError(f"{path}: line {number}: split {split!r} is not one of {', '.join(sorted(SPLITS))}")
            samples.append(Sample(cell["path"].strip(), cell["label"].strip() or None, SPLITS.get(split)))
    if not samples:
        raise FormatError(f"{path}: a manifest without rows; expected lines path,label[,split]")
    return samples
