"""``gxevent compile``: from trained network to event graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gxevent.cli.common import Output, example, output_options, share, table

if TYPE_CHECKING:
    from gxevent.graph import EventGraph


@click.command(
    "compile", epilog=example("gxevent compile digits.gxn -o digits.gxg --check 20 --profile digits_test.zip")
)
@click.argument("network", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", "target", type=click.Path(path_type=Path), help="The event graph; NETWORK with .gxg by default."
)
@click.option(
    "--check",
    type=click.IntRange(min=0),
    default=0,
    metavar="N",
    help="Compare N random inputs, layer by layer, with the trained network.",
)
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    metavar="DATA",
    help="Measure how active the populations are on DATA (as of gxevent run) and choose gate units by it.",
)
@click.option("--split", help="Part of DATA: train, test, val or all; by default train where there is one.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    metavar="N",
    help="Profile on at most N samples.",
)
@output_options
def command(
    network: Path,
    target: Path | None,
    check: int,
    profile: Path | None,
    split: str | None,
    limit: int,
    output: Output,
) -> int:
    """Fold, lower and write the event graph of NETWORK (.gxn).

    With --check the compiled graph is run beside the network's own float32 evaluation before it is written; when one
    integer differs nothing is written and the exit status is 1.

    With --profile the graph keeps the share of active units of each population, by which gate units are chosen when it
    runs; otherwise it has what training saw, where NETWORK tells it. Results are the same with any profile.
    """
    from gxevent import files
    from gxevent.analysis.describe import describe_graph
    from gxevent.compiler import compile
    from gxevent.crosscheck.oracles import check_compiled, random_frames

    target = target or network.with_suffix(".gxg")
    source = files.load_network(network)
    graph = compile(source)
    if profile is not None:
        graph = _profiled(graph, profile, split, limit, output)
    report = check_compiled(source, graph, random_frames(graph, check)) if check else None
    answer = describe_graph(graph) | {"written": None, "check": report.as_dict() if report else None}
    lines = table(
        ("population", "role", "shape", "units", "active"),
        [
            (
                p["name"],
                p["role"],
                str(tuple(p["shape"])),
                p["units"],
                share(p["activity"]),
            )
            for p in answer["populations"]
        ],
    )
    lines += [
        "",
        *table(
            ("projection", "rule", "synapses", "gate units"),
            [(p["name"], p["rule"], p["synapses"], p["gate_units"]) for p in answer["projections"]],
        ),
        "",
    ]
    if report:
        lines.append(f"check: {report.line()}")
    if report is None or report.equal:
        answer["sha256"] = files.save(graph, target)
        answer["written"] = str(target)
        lines.append(f"wrote {target}")
    output.show(answer, lines)
    return 0 if report is None or report.equal else 1


def _profiled(graph: EventGraph, data: Path, split: str | None, limit: int, output: Output) -> EventGraph:
    from gxevent.runtime.profile import open_profile_data, profile_on

    dataset = open_profile_data(data, split, limit)
    with output.progress(len(dataset), "measuring activity", "sample") as bar:
        return profile_on(graph, dataset, progress=bar.update)
