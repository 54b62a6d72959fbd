"""``gxevent compile``: from trained network to event graph."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options, table


@click.command("compile", epilog=example("gxevent compile digits.gxn -o digits.gxg --check 20"))
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
@output_options
def command(network: Path, target: Path | None, check: int, output: Output) -> int:
    """Fold, lower and write the event graph of NETWORK (.gxn).

    With --check the compiled graph is run beside the network's own float32 evaluation before it is written; when one
    integer differs nothing is written and the exit status is 1.
    """
    from gxevent import files
    from gxevent.analysis.describe import describe_graph
    from gxevent.compiler import compile
    from gxevent.crosscheck.oracles import check_compiled, random_frames

    target = target or network.with_suffix(".gxg")
    source = files.load_network(network)
    graph = compile(source)
    report = check_compiled(source, graph, random_frames(graph, check)) if check else None
    answer = describe_graph(graph) | {"written": None, "check": report.as_dict() if report else None}
    lines = table(
        ("population", "role", "shape", "units"),
        [(p["name"], p["role"], str(tuple(p["shape"])), p["units"]) for p in answer["populations"]],
    )
    lines += [
        "",
        *table(
            ("projection", "rule", "synapses"), [(p["name"], p["rule"], p["synapses"]) for p in answer["projections"]]
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
