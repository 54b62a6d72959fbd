"""What the commands share: their common options, the progress bar, tables."""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True)
class Output:
    """How a command answers: people read a table on standard output, machines one JSON object."""

    json: bool
    quiet: bool

    def show(self, data: dict[str, Any], lines: Iterable[str]) -> None:
        """Print ``data`` as JSON, or else the lines for people (nothing with --quiet)."""
        if self.json:
            print(json.dumps(data, indent=2, default=str))
        elif not self.quiet:
            for line in lines:
                print(line)

    def note(self, text: str) -> None:
        """A remark on what is going on: standard error, silent with --quiet."""
        if not self.quiet:
            print(text, file=sys.stderr)

    def progress(self, total: int | None, what: str, unit: str = "") -> Any:
        """Progress on standard error, for what takes over a second: a bar, or few lines where nobody watches it."""
        from tqdm import tqdm

        if not self.quiet and not sys.stderr.isatty():
            return ProgressLines(total, what, unit)
        return tqdm(
            total=total, desc=what, unit=unit or "it", file=sys.stderr, delay=1.0, disable=self.quiet, leave=False
        )


class ProgressLines:
    """Progress for log files: a line after ten seconds, then ever more seldom (a quarter later than the last)."""

    FIRST_S, GROWTH = 10.0, 1.25

    def __init__(self, total: int | None, what: str, unit: str) -> None:
        self.total, self.what, self.unit = total, what, f" {unit}s" if unit else ""
        self.detail = ""
        self.n = self.initial = 0
        """As tqdm's: ``initial`` were done before this began, and say nothing about the rate."""
        self.begun = time.monotonic()
        self.due = self.FIRST_S

    def __enter__(self) -> ProgressLines:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def set_description_str(self, what: str, refresh: bool = True) -> None:
        self.what = what

    def set_postfix_str(self, detail: str = "", refresh: bool = True) -> None:
        self.detail = f" ({detail})" if detail else ""

    def unpause(self) -> None:
        """Begin to count time now."""
        self.begun = time.monotonic()

    def update(self, n: int = 1) -> None:
        self.n += n
        took = time.monotonic() - self.begun
        if took < self.due:
            return
        self.due = max(took * self.GROWTH, took + self.FIRST_S)
        rate = (self.n - self.initial) / took
        of = f" of {self.total:,}" if self.total else ""
        left = f", {duration((self.total - self.n) / rate)} left" if self.total and rate else ""
        line = f"{self.what}: {self.n:,}{of}{self.unit}, {rate:,.0f} a second{left}{self.detail}"
        print(line, file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """A time for people: "42 s", "7 min", "3 h 20 min", "2 days 5 h"."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    return f"{minutes // 60} h {minutes % 60} min" if hours < 48 else f"{hours // 24} days {hours % 24} h"


def output_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """--json, --quiet and --debug; the command gets them as one ``output`` argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print one JSON object on standard output, nothing else.")
    @click.option("--quiet", "-q", is_flag=True, help="No progress, no remarks, no table.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @functools.wraps(function)
    def wrapped(*args: Any, as_json: bool, quiet: bool, debug: bool, **kwargs: Any) -> Any:
        return function(*args, output=Output(as_json, quiet), **kwargs)

    return wrapped


def names(known: Callable[[], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """For ``shell_complete``: the names that ``known`` gives, or any file."""

    def complete(ctx: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in known() if name.startswith(begun)]
        return found or [CompletionItem(begun, type="file")]

    return complete


def example(text: str) -> str:
    """Epilog of a command's help: an example as it is typed."""
    return "\b\nExample:\n  " + text.replace("\n", "\n  ")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[str]:
    """Columns aligned for reading; numbers to the right, with thousands separators."""
    cells = [[_cell(value) for value in row] for row in rows]
    numeric = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    widths = [max(len(head[i]), *(len(row[i]) for row in cells), 0) for i in range(len(head))]

    def line(row: Sequence[str]) -> str:
        parts = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
        return "  ".join(parts).rstrip()

    return [line(head), "  ".join("-" * width for width in widths), *(line(row) for row in cells)]


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return "-" if value is None else str(value)
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return str(value)


def share(value: float | None) -> str | None:
    """A cell of a table for a share; None stays unknown."""
    return None if value is None else f"{value:.1%}"


def run_table(summary: dict[str, Any]) -> list[str]:
    """A run's summary for people: accuracy, counts by layer, speed."""
    lines = [
        f"samples      {summary['samples']:,}"
        + (f" in {summary['windows']:,} windows" if summary["windows"] != summary["samples"] else "")
    ]
    if summary["accuracy"] is not None:
        lines.append(f"accuracy     {summary['accuracy']:.2%} ({summary['correct']:,} of {summary['labelled']:,})")
    lines.append(f"input        {summary['input_events']:,} events, {summary['input_events_per_s']:,.0f} a second")
    latency, threads = summary["latency_us"], summary["threads"]
    lines.append(
        f"speed        {summary['samples_per_s']:,.0f} samples a second, latency p50 {latency['p50']:,.0f} us, "
        f"p99 {latency['p99']:,.0f} us ({summary['kernel']} kernel, {threads} thread{'s' if threads > 1 else ''})"
    )
    lines.append("")
    n = summary["windows"]
    resting = summary["resting_probability_by_layer"]
    lines += table(
        ("population", "events a window"), [(name, round(total / n, 1)) for name, total in summary["events"].items()]
    )
    lines.append("")
    rows = [
        (name, summary["synapses"][name] // n, round(opened / n, 1), resting[name])
        for name, opened in summary["open_gates"].items()
    ]
    rows.append(
        (
            "all",
            sum(summary["synapses"].values()) // n,
            round(sum(summary["open_gates"].values()) / n, 1),
            summary["resting_probability"],
        )
    )
    lines += table(("projection", "synapses", "open gates a window", "resting"), rows)
    return [*lines, "", f"results      sha256 {summary['results_sha256']}"]
