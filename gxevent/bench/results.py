"""What a measurement gives: rows, and the CSV and JSON files they are kept in."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from gxevent.errors import FormatError
from gxevent.store import atomic_write

OURS, COUNTING = "gxevent", "gxevent counting"
FORMAT = "gxevent bench"


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One contestant on one workload. Times are microseconds a sample by ``clock``, with their middle half.

    activity: asked for; None for a trained network. measured: share of nonzero outputs over the hidden units.
    ratio: how many times longer than gxevent without counting, in the same rounds (None for gxevent itself; for
    ``gxevent counting`` the price of counting). equal: whether its sums were ours; None where it runs another network.
    """

    network: str
    activity: float | None
    measured: float
    batch: int
    threads: int
    peer: str
    family: str
    precision: str
    runs: str
    us: float
    us_low: float
    us_high: float
    wall_us: float
    clock: str
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    ours_us: float
    equal: bool | None
    rounds: int
    calls: int


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """A network as it was measured: share of nonzero values by population, the input's among them."""

    network: str
    title: str
    activity: float | None
    synapses: int
    units: int
    by_population: dict[str, float]
    kernel: str


class Skipped(msgspec.Struct, frozen=True, kw_only=True):
    """A peer that did not run on a network, and why."""

    peer: str
    network: str
    batch: int | None
    why: str


class Results(msgspec.Struct, kw_only=True):
    """A whole bench: ``bench.json``."""

    format: str = FORMAT
    machine: dict[str, Any] = msgspec.field(default_factory=dict)
    settings: dict[str, Any] = msgspec.field(default_factory=dict)
    workloads: list[Workload] = msgspec.field(default_factory=list)
    rows: list[Row] = msgspec.field(default_factory=list)
    skipped: list[Skipped] = msgspec.field(default_factory=list)
    missing: dict[str, str] = msgspec.field(default_factory=dict)

    @property
    def differing(self) -> list[Row]:
        """Rows of peers that should run the same network and gave other sums."""
        return [row for row in self.rows if row.equal is False]


def join(parts: Sequence[Results]) -> Results:
    """Several measurements as one; machine and settings are the first one's, versions those of all."""
    joined = Results(machine=dict(parts[0].machine), settings=parts[0].settings)
    joined.machine["versions"] = {}
    for part in parts:
        joined.machine["versions"] |= part.machine.get("versions", {})
        joined.workloads += part.workloads
        joined.rows += part.rows
        joined.skipped += part.skipped
        joined.missing |= part.missing
    return joined


def write(results: Results, folder: Path) -> list[Path]:
    """Write bench.json and bench.csv into a folder, which is made; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "bench.json", folder / "bench.csv"]
    with atomic_write(paths[0]) as file:
        file.write(json.dumps(msgspec.to_builtins(results), indent=1).encode())
    with atomic_write(paths[1]) as file:
        file.write(as_csv(results.rows).encode())
    return paths


def as_csv(rows: Iterable[Row]) -> str:
    """One line a row, in the order of Row's fields; what is unknown is empty."""
    text = io.StringIO()
    writer = csv.DictWriter(text, Row.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(row) for row in rows)
    return text.getvalue()


def read(path: str | os.PathLike[str]) -> Results:
    """Results from ``bench.json``, or the folder that holds it.

    Raises FormatError for a file that is not one.
    """
    path = Path(path)
    path = path / "bench.json" if path.is_dir() else path
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Results)
    except FileNotFoundError:
        raise FormatError(f"{path}: no such file; gxevent bench -o DIR writes bench.json there") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: not a bench.json of gxevent bench: {error}") from error
    if found.format != FORMAT:
        raise FormatError(f"{path}: not a bench.json of gxevent bench: format is {found.format!r}")
    return found
