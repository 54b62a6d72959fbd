"""Data sets of other libraries as :class:`DataSet`: tonic's, or anything that looks like them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gxevent.errors import FormatError, MissingExtraError, OptionError
from gxevent.events.datasets import DataSet, Sample, natural
from gxevent.events.readers import columns
from gxevent.events.stream import EventStream, from_arrays

_ADDRESS = re.compile(r"^tonic:(\w+)(?:@(.+))?$")


def from_tonic(
    dataset: Any,
    *,
    name: str = "tonic",
    split: str | None = None,
    width: int | None = None,
    height: int | None = None,
    limit: int | None = None,
    on_backward: str = "error",
) -> DataSet:
    """A data set over ``dataset``, an object with ``len`` and ``dataset[i] -> (events, label)``.

    ``events`` is a structured array whose fields are called t, x, y, p or the usual variants, times in microseconds
    (an array without y gets y = 0); ``label`` is a number or text. The sensor is ``width`` x ``height``, else
    ``dataset.sensor_size`` (width, height, polarities). Labels are ``dataset.classes[label]`` where the data set has
    classes, else the label as text; all are taken from ``dataset.targets`` where it has them, else every sample is
    loaded once.

    Raises OptionError without a sensor size, FormatError for samples of another kind.
    """
    size = getattr(dataset, "sensor_size", None)
    width = width or (int(size[0]) if size is not None else None)
    height = height or (int(size[1]) if size is not None else None)
    if width is None or height is None:
        raise OptionError(f"{name}: has no sensor_size; pass width and height")
    total = len(dataset)
    if limit is not None and limit < 1:
        raise OptionError(f"limit: expected a whole number >= 1, got {limit!r}")
    chosen = range(total) if limit is None or limit >= total else [i * total // limit for i in range(limit)]
    targets = getattr(dataset, "targets", None)
    if targets is None or len(targets) != total:
        targets = {i: dataset[i][1] for i in chosen}
    names = getattr(dataset, "classes", None)
    samples = tuple(Sample(f"{split or name}/{i:05d}", _label(targets[i], names), split) for i in chosen)
    known = {str(c) for c in names} if isinstance(names, Sequence) else {s.label for s in samples}
    classes = tuple(sorted(known, key=natural))
    load = _Tonic(dataset, name, width, height, on_backward, {s.id: i for s, i in zip(samples, chosen, strict=True)})
    return DataSet(name, "events", samples, classes, load)


def open_tonic(
    address: str,
    *,
    split: str | None = None,
    limit: int | None = None,
    width: int | None = None,
    height: int | None = None,
) -> DataSet:
    """``"tonic:NMNIST"`` or ``"tonic:NMNIST@FOLDER"``: that class of ``tonic.datasets``, stored in FOLDER (".").

    Split train or test (the default). Raises MissingExtraError without tonic, which users install themselves.
    """
    match = _ADDRESS.match(address)
    if match is None:
        raise OptionError(f"{address!r}: expected tonic:NAME or tonic:NAME@FOLDER, such as tonic:NMNIST@data")
    if split not in (None, "train", "test"):
        raise OptionError(f"{address}: split {split!r}: tonic's data sets have train and test")
    try:
        import tonic.datasets
    except ImportError as error:
        raise MissingExtraError(f"{address} needs the package 'tonic' (GPL-3.0): pip install tonic") from error
    kind = getattr(tonic.datasets, match[1], None)
    if kind is None:
        raise OptionError(f"{address}: tonic.datasets has no {match[1]!r}")
    dataset = kind(save_to=match[2] or ".", train=split == "train")
    return from_tonic(dataset, name=address, split=split or "test", limit=limit, width=width, height=height)


@dataclass(frozen=True)
class _Tonic:
    """Loads samples by their number in the wrapped data set."""

    dataset: Any
    name: str
    width: int
    height: int
    on_backward: str
    numbers: dict[str, int]

    def __call__(self, sample: Sample) -> EventStream:
        where = f"{self.name}/{sample.id}"
        events = self.dataset[self.numbers[sample.id]][0]
        fields = getattr(getattr(events, "dtype", None), "names", None) or ()
        place, _ = columns.find(list(fields))
        if not {"t", "x", "p"} <= set(place):
            raise FormatError(f"{where}: a sample of {type(events).__name__} with fields {fields}; expected t, x, y, p")
        values = {letter: events[fields[i]] for letter, i in place.items()}
        return from_arrays(
            columns.microseconds(values["t"], where, "us"),
            columns.integers(values["x"], where, "x"),
            columns.integers(values["y"], where, "y") if "y" in values else np.zeros(len(events), np.int64),
            columns.polarity(values["p"], where),
            self.width,
            self.height,
            source=where,
            on_backward=self.on_backward,
        )


def _label(target: Any, names: Any) -> str:
    if isinstance(names, Sequence) and isinstance(target, int | np.integer) and 0 <= target < len(names):
        return str(names[target])
    return str(target)
