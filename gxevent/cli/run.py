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
@click.option(
    "--resume", is_flag=True, help="Continue the run in the folder -o where it stopped; begins it if need be."
)
@click.option("--trace", is_flag=True, help="Write all events of all populations too: trace.h5 in the folder -o.")
@click.option(
    "--cluster",
    metavar="tcp://HOST:PORT|local:K",
    help="Run on the workers of a Dask scheduler, or on K processes of this machine.",
)
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
    resume: bool,
    trace: bool,
    cluster: str | None,
    fmt: str,
    source: str | None,
    pace: str | None,
    policy: str,
    output: Output,
) -> None:
    """Run the data set DATA through the event graph GRAPH (.gxg).

    DATA is a folder or archive laid out split/label/file or label/file, a folder of IDX files, a CSV manifest, or one
    recording.

    With -o every sample is on disk as soon as it is done: a run that was stopped, by whatever, continues with the same
    command and --resume.

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
    if live and (resume or trace or cluster):
        raise click.UsageError("--resume, --trace and --cluster are for runs of data sets, not for live input")
    if folder is None and (resume or trace):
        raise click.UsageError(f"{'--resume' if resume else '--trace'} needs a run folder: -o RUN")
    loaded = files.load_graph(graph)
    if live:
        _live(loaded, data, window, stride, limit, kernel, fmt, source, pace, policy, output)
        return
    from gxevent import __version__
    from gxevent.events import open_dataset
    from gxevent.runtime import record_run

    dataset = open_dataset(data, split=split, limit=limit)
    log = [
        f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} gxevent {__version__}",
        f"command: {shlex.join(['gxevent', *sys.argv[1:]])}",
        f"graph: {graph}",
        f"data: {data}, {len(dataset)} samples",
    ]
    with output.progress(len(dataset), "running", "sample") as bar:

        def found(samples: int) -> None:
            bar.initial = bar.n = samples
            bar.unpause()  # its clock begins here: a cluster takes seconds to start

        try:
            summary = record_run(
                loaded,
                dataset,
                folder,
                window=window,
                stride=stride,
                mode=mode,
                threads=threads,
                kernel=kernel,
                trace=trace,
                resume=resume,
                cluster=cluster,
                progress=bar.update,
                found=found,
                log=log,
            )
        except KeyboardInterrupt:
            if folder:
                output.note(f"{folder}: {bar.n:,} of {len(dataset):,} samples are safe, continue with --resume")
            raise
    lines = run_table(summary)
    if folder:
        lines.append(f"wrote {folder}")
    output.show(summary, lines)


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
