"""Run records: what a run of a data set gave, sample by sample and in sum, in memory and as a folder.

A run folder holds ``summary.json`` (the figures), ``samples.csv`` (one line a sample) and ``run.log`` (what ran).
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError
from gxevent.store import atomic_write, read_bytes


@dataclass(frozen=True)
class SampleRow:
    """One sample's outcome; its windows are summed."""

    sample: str
    split: str
    """Empty where it is not known, as the label."""
    label: str
    prediction: str
    windows: int
    input_events: int
    """Sensor events of a recording; nonzero inputs of an image."""
    events: int
    """Address events sent by all populations."""
    open_gates: int
    latency_us: float
    """Host time inside the engine, all windows together."""
    accumulators: tuple[int, ...] = field(repr=False)
    """Of the read-out."""


@dataclass(frozen=True, eq=False)
class RunRecord:
    """Rows in sample order and the summary (fields as ``gxevent run --json`` prints them).

    confusion : int64 (classes, classes), labels by predictions, of the labelled samples.
    """

    rows: tuple[SampleRow, ...]
    summary: dict[str, Any]
    classes: tuple[str, ...]

    @property
    def confusion(self) -> NDArray[np.int64]:
        """Samples by label (rows) and prediction (columns), (classes, classes); unlabelled ones are left out."""
        index = {name: i for i, name in enumerate(self.classes)}
        matrix = np.zeros((len(index), len(index)), np.int64)
        for row in self.rows:
            if row.label in index:
                matrix[index[row.label], index[row.prediction]] += 1
        return matrix

    def save(self, folder: str | os.PathLike[str], log: Sequence[str] = ()) -> Path:
        """Write the run folder, each file whole or not at all; returns its path.

        Raises OptionError when the folder holds a run already, FormatError when it cannot be written.
        """
        folder = check_run_folder(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise FormatError(f"{folder}: cannot be made ({error.strerror})") from error
        with atomic_write(folder / "samples.csv") as file:
            file.write(self._csv().encode())
        with atomic_write(folder / "run.log") as file:
            file.write("".join(line + "\n" for line in log).encode())
        with atomic_write(folder / "summary.json") as file:  # last: a folder with a summary is a whole run
            file.write((json.dumps(self.summary | {"classes": list(self.classes)}, indent=2) + "\n").encode())
        return folder

    def _csv(self) -> str:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([f.name for f in fields(SampleRow)])
        for row in self.rows:
            values = asdict(row) | {
                "latency_us": f"{row.latency_us:.3f}",
                "accumulators": " ".join(map(str, row.accumulators)),
            }
            writer.writerow(values.values())
        return text.getvalue()


def check_run_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder as a Path; OptionError when it holds a run already, so that none is lost."""
    folder = Path(folder)
    if (folder / "summary.json").exists():
        raise OptionError(f"{folder}: holds a run already, name another folder or remove it first")
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder}: is a file, a run needs a folder")
    return folder


def load_run(folder: str | os.PathLike[str]) -> RunRecord:
    """Read a run folder. FormatError naming the file that is missing or damaged."""
    folder = Path(folder)
    try:
        summary = dict(json.loads(read_bytes(folder / "summary.json")))
        classes = tuple(summary.pop("classes"))
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder / 'summary.json'}: not a run summary ({error}): run again") from error
    rows = []
    lines = read_bytes(folder / "samples.csv").decode(errors="replace").splitlines()
    for number, line in enumerate(csv.DictReader(lines), start=2):
        try:
            rows.append(_row(line))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise FormatError(f"{folder / 'samples.csv'}: line {number} is damaged ({error}): run again") from error
    return RunRecord(tuple(rows), summary, classes)


def _row(line: dict[str, str]) -> SampleRow:
    return SampleRow(
        **{name: line[name] for name in ("sample", "split", "label", "prediction")},
        **{name: int(line[name]) for name in ("windows", "input_events", "events", "open_gates")},
        latency_us=float(line["latency_us"]),
        accumulators=tuple(int(a) for a in line["accumulators"].split()),
    )


def results_sha256(rows: Sequence[SampleRow]) -> str:
    """SHA-256 (hex) over each sample's id and int32 read-out accumulators, in sample order.

    The same for every mode, kernel, thread count and machine.
    """
    h = hashlib.sha256()
    for row in rows:
        h.update(row.sample.encode() + b"\0")
        h.update(np.asarray(row.accumulators, dtype="<i4").tobytes())
    return h.hexdigest()
