"""What a report is made of: run folders, mappings (``gxevent map -o``), simulations (``gxevent simulate --json``)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gxevent.errors import FormatError, OptionError
from gxevent.mapping import Mapping, load_mapping
from gxevent.mapping.mapping import FORMAT
from gxevent.runtime import RunRecord, load_run
from gxevent.runtime.record import LOG, SUMMARY, UNFINISHED
from gxevent.store import read_bytes

_EXPECTED = (
    "expected a run folder (gxevent run -o), a mapping (gxevent map -o MAP.json) or a simulation "
    "(gxevent simulate --json > SIM.json)"
)


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder: its record, and the lines of ``run.log`` (what ran, and when)."""

    folder: Path
    record: RunRecord
    log: tuple[str, ...]


@dataclass(eq=False)
class Inputs:
    """Everything a report shows, by the name it has there, in the order given."""

    runs: dict[str, Run] = field(default_factory=dict)
    mappings: dict[str, Mapping] = field(default_factory=dict)
    simulations: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_inputs(paths: Iterable[str | os.PathLike[str]]) -> Inputs:
    """Read run folders and JSON files, told apart by content.

    Raises FormatError naming what is damaged or is none of them, OptionError when nothing, or the same twice, is given.
    """
    paths = [Path(path) for path in paths]
    if not paths:
        raise OptionError("a report needs something to show: " + _EXPECTED)
    if len({path.resolve() for path in paths}) < len(paths):
        raise OptionError("the same path is given twice: name each run, mapping and simulation once")
    made = Inputs()
    for path, name in zip(paths, _names(paths), strict=True):
        if path.is_dir():
            if not any((path / name).exists() for name in (SUMMARY, UNFINISHED)):
                raise FormatError(f"{path}: holds no summary.json, so it is not a finished run; {_EXPECTED}")
            made.runs[name] = Run(path, load_run(path), _log(path / LOG))
            continue
        data = _json(path)
        if data.get("format") == FORMAT:
            made.mappings[name] = load_mapping(path)
        elif {"energy_nj", "latency_us", "chip", "assumptions", "cores_used"} <= data.keys():
            made.simulations[name] = data
        else:
            raise FormatError(f"{path}: is JSON of another kind; {_EXPECTED}")
    return made


def _json(path: Path) -> dict[str, Any]:
    content = read_bytes(path)
    try:
        data = json.loads(content)
    except ValueError as error:
        raise FormatError(f"{path}: not a JSON file ({error}); {_EXPECTED}") from error
    if not isinstance(data, dict):
        raise FormatError(f"{path}: is JSON of another kind; {_EXPECTED}")
    return data


def _log(path: Path) -> tuple[str, ...]:
    return tuple(read_bytes(path).decode(errors="replace").splitlines()) if path.exists() else ()


def _names(paths: list[Path]) -> list[str]:
    """The shortest ends of the paths that tell them apart, endings of files left out."""
    parts = [(*path.resolve().parts[:-1], path.name if path.is_dir() else path.stem) for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(p[-depth:]) for p in parts]
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]
