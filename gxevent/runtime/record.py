"""Run records: what a run of a data set gave, sample by sample and in sum, in memory and as a folder.

A run folder holds ``samples.csv`` (one line a sample, the same bytes however it was run), ``times.csv`` (what depends
on the machine: latency, and when each sample was done), ``summary.json`` (the figures) and ``run.log`` (what ran).
``gxevent.runtime.journal`` writes such folders while a run goes on.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import FormatError, OptionError
from gxevent.store import atomic_write, read_bytes

SUMMARY, SAMPLES, TIMES, LOG, TRACE = "summary.json", "samples.csv", "times.csv", "run.log", "trace.h5"
"""Files of a run folder."""
UNFINISHED = "unfinished.json"
"""Says what a run is that has not ended yet; gone when ``summary.json`` is there."""

SAMPLE_COLUMNS = (
    "sample", "split", "label", "prediction", "windows", "input_events", "events", "open_gates", "accumulators",
    "events_by_population", "open_gates_by_projection",
)  # fmt: skip
TIME_COLUMNS = ("sample", "latency_us", "elapsed_s")


@dataclass(frozen=True, slots=True)
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
    """Host time inside the engine, all windows together; NaN where a record says nothing of it."""
    accumulators: tuple[int, ...] = field(repr=False)
    """Of the read-out."""
    events_by_population: tuple[int, ...] = field(default=(), repr=False)
    """In the order of ``summary["events"]``."""
    open_gates_by_projection: tuple[int, ...] = field(default=(), repr=False)
    """In the order of ``summary["open_gates"]``."""
    elapsed_s: float = float("nan")
    """When the sample was done, in seconds of the run."""


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
        with refusals(folder, "made"):
            folder.mkdir(parents=True, exist_ok=True)
        contents = {
            SAMPLES: csv_lines([SAMPLE_COLUMNS]) + sample_lines(self.rows),
            TIMES: csv_lines([TIME_COLUMNS]) + time_lines(self.rows),
            LOG: "".join(line + "\n" for line in log),
            SUMMARY: summary_text(self.summary, self.classes),  # last: a folder with a summary is a whole run
        }
        for name, text in contents.items():
            with atomic_write(folder / name) as file:
                file.write(text.encode(errors="surrogateescape"))
        return folder


def check_run_folder(folder: str | os.PathLike[str]) -> Path:
    """The folder as a Path; OptionError when it holds a run already, so that none is lost."""
    folder = Path(folder)
    if (folder / SUMMARY).exists():
        raise OptionError(f"{folder}: holds a run already, name another folder or remove it first")
    if (folder / UNFINISHED).exists():
        raise OptionError(f"{folder}: holds an unfinished run, continue it with --resume or remove it first")
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"{folder}: is a file, a run needs a folder")
    return folder


def load_run(folder: str | os.PathLike[str]) -> RunRecord:
    """Read a run folder. FormatError naming the file that is missing or damaged."""
    folder = Path(folder)
    if not (folder / SUMMARY).exists() and (folder / UNFINISHED).exists():
        raise FormatError(f"{folder}: holds an unfinished run: continue it with gxevent run … --resume")
    try:
        summary = dict(json.loads(read_bytes(folder / SUMMARY)))
        classes = tuple(summary.pop("classes"))
    except FormatError:
        raise
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"{folder / SUMMARY}: not a run summary ({error}): run again") from error
    with open_text(folder / SAMPLES) as samples:
        if not (folder / TIMES).exists():
            return RunRecord(tuple(read_rows(samples, folder)), summary, classes)
        with open_text(folder / TIMES) as times:
            rows = tuple(read_rows(samples, folder, times))
    return RunRecord(rows, summary, classes)


@contextlib.contextmanager
def refusals(path: Path, done: str = "written") -> Iterator[None]:
    """The system's refusal to write, as one clear line."""
    try:
        yield
    except OSError as error:
        raise FormatError(f"{path}: cannot be {done} ({error.strerror or error})") from error


def open_text(path: Path) -> io.TextIOWrapper:
    """A CSV file for reading, with the system's refusal turned into one clear line."""
    try:
        return open(path, newline="", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
        raise FormatError(f"{path}: {reason}") from error


def read_rows(samples: Iterable[str], folder: Path, times: Iterable[str] | None = None) -> Iterator[SampleRow]:
    """Rows of ``samples.csv``, one at a time, with their times where these are given.

    Raises FormatError naming file and line that are damaged.
    """
    rows = csv.DictReader(samples)
    clock = csv.DictReader(times) if times is not None else None
    for line in rows:
        try:
            at = next(clock, {}) if clock is not None else {}
            row = parse_row(line, at)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            where = folder / SAMPLES
            raise FormatError(f"{where}: line {rows.line_num} is damaged ({error}): run again") from error
        if clock is not None and at.get("sample") != row.sample:
            raise FormatError(f"{folder / TIMES}: line {clock.line_num} is damaged, or of another run: run again")
        yield row


def parse_row(line: dict[str, str], times: dict[str, str]) -> SampleRow:
    """A row from its cells by column. KeyError, TypeError or ValueError when they are damaged."""
    unknown = float("nan")
    return SampleRow(
        **{name: line[name] for name in ("sample", "split", "label", "prediction")},
        **{name: int(line[name]) for name in ("windows", "input_events", "events", "open_gates")},
        **{name: _numbers(line[name]) for name in ("accumulators", "events_by_population", "open_gates_by_projection")},
        latency_us=float(times.get("latency_us", unknown)),
        elapsed_s=float(times.get("elapsed_s", unknown)),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split())


def csv_lines(lines: Iterable[Iterable[Any]]) -> str:
    """CSV as all files of a run have it."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def sample_lines(rows: Iterable[SampleRow]) -> str:
    """Lines of ``samples.csv``, all that is the same on every machine."""
    return csv_lines(
        (
            row.sample,
            row.split,
            row.label,
            row.prediction,
            row.windows,
            row.input_events,
            row.events,
            row.open_gates,
            " ".join(map(str, row.accumulators)),
            " ".join(map(str, row.events_by_population)),
            " ".join(map(str, row.open_gates_by_projection)),
        )
        for row in rows
    )


def time_lines(rows: Iterable[SampleRow]) -> str:
    """Lines of ``times.csv``."""
    return csv_lines((row.sample, f"{row.latency_us:.3f}", f"{row.elapsed_s:.3f}") for row in rows)


def summary_text(summary: dict[str, Any], classes: Sequence[str]) -> str:
    """Contents of ``summary.json``."""
    return json.dumps(summary | {"classes": list(classes)}, indent=2) + "\n"


def hashed(rows: Sequence[SampleRow]) -> bytes:
    """What ``results_sha256`` covers: each sample's id, a zero byte, and its read-out accumulators as int32."""
    numbers = (np.asarray(row.accumulators, dtype="<i4").tobytes() for row in rows)
    names = (row.sample.encode(errors="surrogateescape") + b"\0" for row in rows)
    return b"".join(part for both in zip(names, numbers, strict=True) for part in both)


def results_sha256(rows: Sequence[SampleRow]) -> str:
    """SHA-256 (hex) over each sample's id and int32 read-out accumulators, in sample order.

    The same for every mode, kernel, thread count and machine.
    """
    return hashlib.sha256(hashed(rows)).hexdigest()
