"""``gxevent run``: a data set through an event graph."""

from __future__ import annotations

import json
import shlex
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gxevent.cli.common import Output, example, output_options, run_table

if TYPE_CHECKING:
    from gxevent.graph import EventGraph


def data_options(function: Any) -> Any:
    """The options that say which samples of DATA, cut how."""
    for option in reversed(
        [
            click.option(
                "--window",
                metavar="100ms|2000ev|all",
                help="Window of a recording that makes one frame; the encoder's own by default.",
            ),
            click.option("--stride", metavar="50ms|500ev", help="Distance of windows; the window's length by default."),
            click.option(
                "--split",
                type=click.Choice(["test", "train", "val", "all"]),
                help="Default: test where the data has one, else all.",
            ),
            click.option(
                "--limit",
                type=click.IntRange(min=1),
                metavar="N",
                help="At most N samples, spread evenly over recordings.",
            ),
        ]
    ):
        function = option(function)
    return function


def live_options(function: Any) -> Any:
    """The options of input that is still coming in."""
    for option in reversed(
        [
            click.option("--format", "fmt", default="es", show_default=True, help="Format of a pipe (DATA is -)."),
            click.option("--source", metavar="udp://HOST:PORT", help="Take AER datagrams instead of DATA."),
            click.option(
                "--pace",
                type=click.Choice(["real", "max"]),
                help="Run one recording live: at its own speed, or as fast as it goes, in constant memory.",
            ),
            click.option(
                "--policy",
                type=click.Choice(["block", "drop-oldest"]),
                default="block",
                show_default=True,
                help="When live input is faster than the machine; what is dropped is counted.",
            ),
        ]
    ):
        function = option(function)
    return function


@click.command("run", epilog=example("gxevent run nmnist.gxg nmnist.zip -o runs/nmnist --threads 2"))
@click.argument("graph", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path, allow_dash=True), required=False)
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), help="Write the run record into this folder."
)
@data_options
@click.option(
    "--mode",
    type=click.Choice(["batch", "sample", "stream", "reference"]),
    default="batch",
    show_default=True,
    help="All give the same integers.",
)
@click.option("--threads", type=int, default=1, show_default=True, metavar="K")
@click.option("--kernel", default="auto", show_default=True, help="Kernel path; gxevent info lists them.")
@live_options
@output_options
def command(
    graph: Path,
    data: Path | None,
    folder: Path | None,
    window: str | None,
    stride: str | None,
    split: str | None,
    limit: int | None,
    mode: str,
    threads: int,
    kernel: str,
    fmt: str,
    source: str | None,
    pace: str | None,
    policy: str,
    output: Output,
) -> None:
    """Run the data set DATA through the event graph GRAPH (.gxg).

    DATA is a folder or archive laid out split/label/file or label/file, a folder of IDX files, a CSV manifest, or one
    recording.

    Live: DATA is - (a pipe, with --format), or --source udp://HOST:PORT, or one recording with --pace. Each
    decision is then one line of JSON: event time, wall time, latency, decision and scores; --window and --stride say
    how often (every event by default), --limit after how many to stop.
    """
    from gxevent import files

    if data is None and not source:
        raise click.UsageError("Missing argument 'DATA': a data set, a recording, - for a pipe, or --source udp://…")
    live = bool(source or pace or str(data) == "-")
    if live and folder:
        raise click.UsageError("-o records runs of data sets; live decisions go to standard output, line by line")
    loaded = files.load_graph(graph)
    if live:
        _live(loaded, data, window, stride, limit, kernel, fmt, source, pace, policy, output)
        return
    from gxevent import __version__
    from gxevent.events import open_dataset
    from gxevent.runtime import run_dataset
    from gxevent.runtime.record import check_run_folder

    if folder:
        check_run_folder(folder)
    begun = datetime.now(UTC)
    dataset = open_dataset(data, split=split, limit=limit)
    with output.progress(len(dataset), "running", "sample") as bar:
        record = run_dataset(
            loaded,
            dataset,
            window=window,
            stride=stride,
            mode=mode,
            threads=threads,
            kernel=kernel,
            progress=bar.update,
        )
    lines = run_table(record.summary)
    if folder:
        log = [
            f"{begun:%Y-%m-%dT%H:%M:%SZ} gxevent {__version__}",
            f"command: {shlex.join(['gxevent', *sys.argv[1:]])}",
            f"graph: {graph} sha256 {record.summary['graph_sha256']}",
            f"data: {data}, {record.summary['samples']} samples",
            f"finished after {record.summary['wall_s']:.3f} s, results sha256 {record.summary['results_sha256']}",
        ]
        record.save(folder, log)
        lines.append(f"wrote {folder}")
    output.show(record.summary, lines)


def _live(
    graph: EventGraph,
    data: Path | None,
    window: str | None,
    stride: str | None,
    limit: int | None,
    kernel: str,
    fmt: str,
    source: str | None,
    pace: str | None,
    policy: str,
    output: Output,
) -> None:
    from gxevent.runtime.live import LiveRun

    where = source or str(data)
    settings = {"format": fmt, "pace": pace or "real", "window": window, "stride": stride}
    run = LiveRun(graph, where, **settings, kernel=kernel, policy=policy)
    try:
        for decision in run.decisions(limit):
            print(json.dumps(decision.as_dict()), flush=True)
    except KeyboardInterrupt:  # the usual way to end a camera's run
        run.stop()
    output.note(run.line())
