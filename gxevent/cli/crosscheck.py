"""``gxevent crosscheck``: independent evaluations beside the engine."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gxevent.cli.common import Output, example, output_options, table
from gxevent.cli.oracles import ORACLES, Job, run_all
from gxevent.cli.run import data_options

if TYPE_CHECKING:
    from gxevent.crosscheck import CrosscheckReport
    from gxevent.graph import EventGraph
    from gxevent.runtime.run import Encoded


def circuit_options(function: Any) -> Any:
    """The options that turn the Brian2 cross-check into a study of analog circuits."""
    for option in reversed(
        [
            click.option(
                "--time-constant",
                "time_constants",
                multiple=True,
                metavar="20ms|none",
                help="brian2: leaky membranes instead of exact sums; may be given several times.",
            ),
            click.option(
                "--jitter",
                "jitters",
                multiple=True,
                metavar="1ms",
                help="brian2: standard deviation of synaptic delays (a layer has 10 ms); may be given several times.",
            ),
            click.option(
                "--opens", type=click.FloatRange(0, 1), metavar="0..1", help="brian2: free-running comparators."
            ),
            click.option("--calibrated", is_flag=True, help="brian2: thresholds that make up for the mean leak."),
            click.option("--plot", type=click.Path(path_type=Path), metavar="FILE.png", help="Draw the circuits."),
        ]
    ):
        function = option(function)
    return function


@click.command("crosscheck", epilog=example("gxevent crosscheck nmnist.gxg nmnist.zip --against brian2 --samples 20"))
@click.argument("graph", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--against", type=click.Choice([*ORACLES, "all"]), default="reference", show_default=True)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="At most N samples; the same as --limit.")
@data_options
@click.option("--kernel", default="auto", show_default=True, help="Kernel path; gxevent info lists them.")
@click.option(
    "--target",
    type=click.Choice(["numpy", "cython", "standalone"]),
    default="numpy",
    show_default=True,
    help="How Brian2 runs.",
)
@click.option(
    "--network",
    type=click.Path(path_type=Path),
    metavar="NET.gxn",
    help="The trained network, for trainer; by default the one beside GRAPH.",
)
@circuit_options
@output_options
def command(
    graph: Path,
    data: Path,
    against: str,
    samples: int | None,
    window: str | None,
    stride: str | None,
    split: str | None,
    limit: int | None,
    kernel: str,
    target: str,
    network: Path | None,
    time_constants: tuple[str, ...],
    jitters: tuple[str, ...],
    opens: float | None,
    calibrated: bool,
    plot: Path | None,
    output: Output,
) -> int:
    """Run DATA through GRAPH twice and compare every population's events and accumulators.

    The second opinion is the plain NumPy reference, a Brian2 simulation of the event graph (extra brian2), the
    trainer's own PyTorch forward (extra train), or the graph written as NIR and run by NIRTorch (extra interop); all
    runs whatever is installed. Exit status 1 when a value differs; the first difference is named.

    With --time-constant, --jitter or --opens Brian2 runs freely with leaky membranes and scattered delays, as a
    mixed-signal chip would, and the answer says which events and decisions change (exit status 0).
    """
    from gxevent import files
    from gxevent.events import open_dataset
    from gxevent.runtime import encode_samples

    analog = bool(time_constants or jitters or opens is not None)
    if (analog and against != "brian2") or ((calibrated or plot) and not analog):
        raise click.UsageError(
            "--calibrated and --plot go with --time-constant, --jitter or --opens, and these with --against brian2"
        )
    if target != "numpy" and against not in ("brian2", "all"):
        raise click.UsageError("--target goes with --against brian2 or all")
    if network and against not in ("trainer", "all"):
        raise click.UsageError("--network goes with --against trainer or all")
    loaded = files.load_graph(graph)
    dataset = open_dataset(data, split=split, limit=samples or limit)
    if analog:
        circuits = _circuits(time_constants, jitters, 1.0 if opens is None else opens, calibrated)
        return _study(loaded, list(encode_samples(loaded, dataset, window, stride)), circuits, target, plot, output)
    rounds = len(ORACLES) if against == "all" else 1
    with output.progress(len(dataset) * rounds, "comparing", "sample") as bar:

        def encoded():
            for sample in encode_samples(loaded, dataset, window, stride):
                yield sample.id, sample.frames
                bar.update()

        job = Job(loaded, graph, encoded, kernel, target, network)
        if against == "all":
            reports, left_out = run_all(job)
        else:
            reports, left_out = [ORACLES[against](job)], {}
    if against == "all":
        output.show(_all_together(reports, left_out), _table(reports, left_out))
    else:
        output.show(reports[0].as_dict(), reports[0].lines())
    return 0 if all(report.equal for report in reports) else 1


def _all_together(reports: list[CrosscheckReport], left_out: dict[str, str]) -> dict[str, Any]:
    """The fields of one report for all of them, each one's own, and what did not run."""
    return {
        "against": "all",
        "samples": max(report.samples for report in reports),
        "populations_compared": max(report.populations_compared for report in reports),
        "events_compared": sum(report.events_compared for report in reports),
        "values_compared": sum(report.values_compared for report in reports),
        "mismatches": sum(report.mismatches for report in reports),
        "first_mismatch": next((r.as_dict()["first_mismatch"] for r in reports if r.first_mismatch), None),
        "seconds": sum(report.seconds for report in reports),
        "equal": all(report.equal for report in reports),
        "oracles": {report.against: report.as_dict() for report in reports},
        "not_run": left_out,
    }


def _table(reports: list[CrosscheckReport], left_out: dict[str, str]) -> list[str]:
    head = ("oracle", "samples", "populations", "events", "values", "mismatches", "seconds")
    rows = [
        (r.against, r.samples, r.populations_compared, r.events_compared, r.values_compared, r.mismatches, r.seconds)
        for r in reports
    ]
    lines = table(head, rows)
    if left_out:
        lines += ["", *(f"{name} did not run: {why}" for name, why in left_out.items())]
    for report in reports:
        if not report.equal:
            lines += ["", *report.lines()]
    return lines


def _circuits(time_constants: tuple[str, ...], jitters: tuple[str, ...], opens: float, calibrated: bool) -> list[Any]:
    """A circuit for each time constant and jitter; without one there is no leak, or no jitter."""
    from gxevent.crosscheck.mixed_signal import Circuit

    constants = [inf if text == "none" else _milliseconds("--time-constant", text) for text in time_constants]
    spreads = [0.0 if text in ("0", "0ms") else _milliseconds("--jitter", text) for text in jitters]
    return [
        Circuit(constant, jitter, opens, calibrated) for jitter in spreads or [0.0] for constant in constants or [inf]
    ]


def _milliseconds(option: str, text: str) -> float:
    from gxevent.encoder import parse_window
    from gxevent.errors import OptionError

    try:
        window = parse_window(text)
    except OptionError:
        window = None
    if window is None or window.unit != "us":
        raise OptionError(f"{option}: expected a time such as '20ms' or '500us', got {text!r}")
    return window.length / 1000


def _study(
    graph: EventGraph, samples: list[Encoded], circuits: list[Any], target: str, plot: Path | None, output: Output
) -> int:
    from gxevent.crosscheck.mixed_signal import study
    from gxevent.errors import OptionError, require
    from gxevent.store import atomic_write

    if plot:  # what a figure needs is asked for before the simulation, not after it
        require("matplotlib", extra="report", purpose="plotting")
        if plot.suffix.lower() != ".png":
            raise OptionError(f"--plot: expected a file name that ends on .png, got {plot}")
    labels = {sample.id: sample.label for sample in samples if sample.label}
    found = study(graph, [(s.id, s.frames) for s in samples], circuits, labels=labels, target=target)
    lines = [result.line() for result in found]
    if plot:
        from gxevent.crosscheck.mixed_signal_plot import degradation

        with atomic_write(plot) as file:
            degradation(found).savefig(file, format="png", dpi=110)
        lines.append(f"wrote {plot}")
    answer = {"against": "brian2", "target": target, "circuits": [result.as_dict() for result in found]}
    output.show(answer | {"written": str(plot) if plot else None}, lines)
    return 0
