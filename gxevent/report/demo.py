"""The demo: shipped network, shipped event recordings, and everything in between, with the base install only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gxevent import files
from gxevent.compiler import compile
from gxevent.crosscheck import CrosscheckReport, crosscheck_reference
from gxevent.events import open_dataset
from gxevent.graph import EventGraph
from gxevent.report.page import run_page
from gxevent.runtime import RunRecord, encode_samples, run_dataset
from gxevent.runtime.record import check_run_folder
from gxevent.store import atomic_write

NETWORK, RECORDINGS = "digits.gxn", "digits_test.zip"


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made."""

    graph: EventGraph
    record: RunRecord
    crosscheck: CrosscheckReport
    folder: Path
    seconds: float


def run_demo(folder: Path, progress: Callable[[str], Any] = lambda step: None) -> Demo:
    """Compile the shipped network, run it on the shipped recordings, cross-check it, write record and report.

    Writes ``digits.gxg``, the run's files and ``report.html`` into ``folder``. Raises OptionError when it holds a run.
    """
    begun = time.perf_counter()
    check_run_folder(folder)
    progress("compiling")
    graph = compile(files.load_network(files.shipped(NETWORK)))
    dataset = open_dataset(files.shipped(RECORDINGS), split="test")
    progress("running")
    record = run_dataset(graph, dataset)
    record.summary["data"] = RECORDINGS  # where this copy is installed is nobody's business
    progress("cross-checking")
    report = crosscheck_reference(graph, ((s.id, s.frames) for s in encode_samples(graph, dataset)))
    record.save(folder, [f"gxevent demo: {NETWORK} on {RECORDINGS}", report.line()])
    files.save(graph, folder / "digits.gxg")
    progress("drawing")
    title = "gxevent demo: digits before an emulated event camera"
    page = run_page(record, title, [report.line()], graph=graph, dataset=dataset)
    with atomic_write(folder / "report.html") as file:
        file.write(page.encode())
    return Demo(graph, record, report, folder, time.perf_counter() - begun)
