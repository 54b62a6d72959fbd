"""A run folder while the run goes on: what is finished is on disk, whatever happens to the process.

``samples.csv`` is the journal itself: a sample is finished when its line is there whole. ``times.csv`` and the spool of
a trace are written before it, so they are never behind; continuing cuts all of them to the same sample.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from gxevent.errors import FormatError, GxError, NetworkError, OptionError
from gxevent.events import DataSet
from gxevent.graph import EventGraph
from gxevent.runtime import record, trace
from gxevent.runtime.record import SAMPLE_COLUMNS, TIME_COLUMNS, SampleRow
from gxevent.runtime.spool import Growing, TracePart, TraceSpool
from gxevent.runtime.tally import Part, Tally, senders
from gxevent.store import atomic_write, read_bytes

SYNC_S = 5.0
"""How often the disk is waited for: what a crash of the machine, not of the process, can cost at most."""
BLOCK = 4096
"""Lines added up at a time."""
SPOOL = "trace.spool"

MEANING = {
    "graph_sha256": "graph",
    "samples": "number of samples",
    "samples_sha256": "list of samples",
    "window": "--window",
    "stride": "--stride",
    "mode": "--mode",
    "trace": "--trace",
}
"""What decides the files of a run; threads, kernel and cluster do not."""


def samples_sha256(dataset: DataSet) -> str:
    """SHA-256 (hex) of the data set's list: ids, labels and splits in order."""
    h = hashlib.sha256()
    for s in dataset.samples:
        h.update(f"{s.id}\0{s.label or ''}\0{s.split or ''}\n".encode(errors="surrogateescape"))
    return h.hexdigest()


class Journal:
    """Writes a run folder, part by part.

    identity
        What the run is: the keys of ``MEANING`` and what else is worth keeping.
    resume
        Whether to continue a run that is there; where there is none it begins.
    log
        Lines for ``run.log``.

    ``summary`` is that of a run that is finished already (nothing is left to do then), else None; ``first`` and
    ``last`` are the first and last row that were there.

    Raises OptionError when the folder holds another run, or one that must not be touched; FormatError when it is
    damaged or cannot be written.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        graph: EventGraph,
        dataset: DataSet,
        identity: dict[str, Any],
        *,
        resume: bool = False,
        log: Sequence[str] = (),
    ) -> None:
        self.folder, self.graph, self.dataset, self.identity = Path(folder), graph, dataset, identity
        self.tally = Tally(graph)
        self.summary: dict[str, Any] | None = None
        self.first: SampleRow | None = None
        self.last: SampleRow | None = None
        self._files: list[Growing | TraceSpool] = []
        self._made: list[Path] = []
        self._begun = resume and (self.folder / record.UNFINISHED).exists()
        if resume and (self.folder / record.SUMMARY).exists():
            self.summary = self._finished()
            return
        try:
            if self._begun:
                self._check(self._identity_there())
            else:
                self._begin()
            self._open()
            self._recover()
            self.log(*log)
            if self._begun:
                self.log(f"continued at sample {self.done:,} of {len(dataset):,}")
        except BaseException:
            self.close()
            if not self._begun:
                self._remove()
            raise
        self._before = self.last.elapsed_s if self.last else 0.0
        self._started = self._synced = time.perf_counter()

    @property
    def done(self) -> int:
        """Samples that are safe."""
        return self.tally.samples

    @property
    def elapsed(self) -> float:
        """Seconds the run has taken, all sittings together."""
        return self._before + time.perf_counter() - self._started

    def append(self, part: Part, events: TracePart | None = None) -> None:
        """Add the outcome of the next samples; they are finished when this returns."""
        samples = self.dataset.samples[self.done : self.done + len(part.latency_us)]
        if self._spool is not None and events is not None:
            self._spool.append(events)
        now = f"{self.elapsed:.3f}"
        rows = zip(samples, part.latency_us.tolist(), strict=True)
        self._times.append(_encoded(record.csv_lines((sample.id, f"{us:.3f}", now) for sample, us in rows)))
        self._samples.append(_encoded(part.csv))
        self.tally.add(part)
        if time.perf_counter() - self._synced > SYNC_S:
            self.sync()

    def log(self, *lines: str) -> None:
        """Add lines to ``run.log``."""
        self._log.append(_encoded("".join(line + "\n" for line in lines)))

    def sync(self) -> None:
        """Return when the disk has everything."""
        for file in reversed(self._files):  # samples.csv was opened first: it must not be ahead of the others
            file.sync()
        self._synced = time.perf_counter()

    def finish(self, summary: dict[str, Any], classes: Sequence[str]) -> None:
        """Write the trace and the summary: from here on the folder holds a whole run."""
        self.sync()
        if self._spool is not None:
            said = {key: summary[key] for key in ("graph_sha256", "results_sha256", "data")}
            trace.pack(self._spool, self.graph, self.folder, said | {"network": self.graph.name})
        self.log(f"finished after {summary['wall_s']:.3f} s, results sha256 {summary['results_sha256']}")
        with record.refusals(self.folder / record.SUMMARY), atomic_write(self.folder / record.SUMMARY) as file:
            file.write(record.summary_text(summary, classes).encode())
        self.close()
        self._tidy()

    def stopped(self, error: Exception) -> Exception:
        """Close the folder after an error; returns the error with what is safe, and how to go on.

        A run that finished nothing leaves nothing.
        """
        reason = str(error)
        if isinstance(error, OSError) and error.strerror:
            reason = f"{error.filename or self.dataset.source}: {error.strerror}"
        if not self.done and not self._begun:
            self.close()
            self._remove()
            return error if isinstance(error, GxError) else FormatError(reason)
        with contextlib.suppress(GxError):
            self.sync()
            self.log(f"stopped at sample {self.done:,} of {len(self.dataset):,}: {reason}")
        self.close()
        kind = type(error) if isinstance(error, GxError) and not isinstance(error, NetworkError) else FormatError
        return kind(
            f"{reason}; {self.done:,} of {len(self.dataset):,} samples are safe in {self.folder}: "
            "mend it and continue with --resume"
        )

    def close(self) -> None:
        for file in self._files:
            file.close()

    # ------------------------------------------------------------------------------------------------- beginning

    def _begin(self) -> None:
        record.check_run_folder(self.folder)
        for name in (record.SAMPLES, record.TIMES, record.LOG, record.TRACE):
            if (self.folder / name).exists():
                raise OptionError(f"{self.folder / name}: is there, but not of a whole run: name another folder")
        with record.refusals(self.folder, "made"):
            if not self.folder.exists():
                self.folder.mkdir(parents=True)
                self._made.append(self.folder)
        self._made += [self.folder / name for name in (record.SAMPLES, record.TIMES, record.LOG)]
        with record.refusals(self.folder / record.UNFINISHED), atomic_write(self.folder / record.UNFINISHED) as file:
            file.write((json.dumps(self.identity, indent=2) + "\n").encode())

    def _remove(self) -> None:
        """Remove what this object made."""
        if self._made:
            self._tidy()
        with contextlib.suppress(OSError):
            for path in reversed(self._made):
                path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)

    def _tidy(self) -> None:
        """Remove what only an unfinished run needs."""
        shutil.rmtree(self.folder / SPOOL, ignore_errors=True)
        with contextlib.suppress(OSError):
            (self.folder / record.UNFINISHED).unlink(missing_ok=True)

    def _open(self) -> None:
        def opened(name: str) -> Growing:
            self._files.append(Growing(self.folder / name))
            return self._files[-1]

        self._samples = opened(record.SAMPLES)
        if not self._samples.lock():
            raise OptionError(f"{self.folder}: another process is writing this run")
        self._times, self._log = opened(record.TIMES), opened(record.LOG)
        self._spool = None
        if self.identity["trace"]:
            self._spool = TraceSpool(self.folder / SPOOL, len(senders(self.graph)))
            self._files.append(self._spool)

    # ------------------------------------------------------------------------------------------------ continuing

    def _identity_there(self) -> Any:
        try:
            return json.loads(read_bytes(self.folder / record.UNFINISHED))
        except FormatError:
            raise
        except ValueError:
            return None

    def _finished(self) -> dict[str, Any]:
        """The summary of a run that needs no continuing."""
        try:
            summary = json.loads(read_bytes(self.folder / record.SUMMARY))
            self._check(summary["run"])
            summary.pop("classes")
        except FormatError:
            raise
        except (ValueError, KeyError, TypeError) as error:
            if isinstance(error, GxError):
                raise
            raise OptionError(f"{self.folder}: holds a run already, name another folder or remove it first") from error
        self._tidy()  # it may have been killed between the last two steps
        return summary

    def _check(self, there: Any) -> None:
        """Whether the run in the folder is this one."""
        if not isinstance(there, dict) or not MEANING.keys() <= there.keys():
            raise FormatError(f"{self.folder / record.UNFINISHED}: damaged: remove the folder and run again")
        for key, meaning in MEANING.items():
            if there[key] != self.identity[key]:
                was, now = (str(value)[:12] for value in (there[key], self.identity[key]))
                raise OptionError(
                    f"{self.folder}: the run there was begun with another {meaning} ({was}, now {now}): "
                    "give the same, or name another folder"
                )

    def _recover(self) -> None:
        """Add up the samples that are there whole, and cut off what is behind them."""
        lines = _whole_lines(self._samples.path, SAMPLE_COLUMNS), _whole_lines(self._times.path, TIME_COLUMNS)
        spooled = self._spool.windows if self._spool else None
        ends, windows, rows = [next(line, ((), 0))[1] for line in lines], 0, []
        for sample, (cells, end), (time_cells, time_end) in zip(self.dataset.samples, *lines, strict=False):
            row = _row(cells, time_cells)
            if row is None or row.sample != sample.id:
                break
            windows += row.windows
            if spooled is not None and windows > spooled:
                windows -= row.windows
                break
            ends = [end, time_end]
            self.first, self.last = self.first or row, row
            rows.append(row)
            if len(rows) == BLOCK:
                self.tally.add(Part.of(rows))
                rows = []
        if rows:
            self.tally.add(Part.of(rows))
        for file, end, columns in zip((self._samples, self._times), ends, (SAMPLE_COLUMNS, TIME_COLUMNS), strict=True):
            file.cut(end)
            if not end:
                file.append(record.csv_lines([columns]).encode())
        if self._spool is not None:
            self._spool.cut(windows)


def unfinished(folder: Path) -> dict[str, Any]:
    """What an unfinished run is, and ``done``, the samples that are safe. FormatError when its folder is damaged."""
    try:
        found = dict(json.loads(read_bytes(folder / record.UNFINISHED)))
    except (ValueError, TypeError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"{folder / record.UNFINISHED}: damaged: remove the folder and run again") from error
    there = folder / record.SAMPLES
    lines = sum(1 for _ in _whole_lines(there, SAMPLE_COLUMNS)) if there.exists() else 0
    return found | {"done": max(lines - 1, 0)}


def _encoded(text: str) -> bytes:
    return text.encode(errors="surrogateescape")  # names of files need not be UTF-8


def _whole_lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[list[str], int]]:
    """Cells of each line of CSV, the header first, and the byte it ends at; stops before anything not whole."""
    end, line = 0, b""

    def lines() -> Iterator[str]:
        nonlocal end, line
        with open(path, "rb") as file:
            for line in file:
                end += len(line)
                yield line.decode(errors="surrogateescape")

    with contextlib.suppress(csv.Error):
        for number, cells in enumerate(csv.reader(lines())):
            if not line.endswith(b"\n") or (number == 0 and cells != list(columns)):
                return
            yield cells, end


def _row(cells: list[str], times: list[str]) -> SampleRow | None:
    """The row, None where it is damaged."""
    try:
        found = record.parse_row(
            dict(zip(SAMPLE_COLUMNS, cells, strict=True)), dict(zip(TIME_COLUMNS, times, strict=True))
        )
    except (ValueError, TypeError):
        return None
    return found if times[0] == found.sample else None
