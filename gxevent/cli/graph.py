"""``gxevent graph``: the event graph in other programs' formats."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options


@click.command("graph", epilog=example("gxevent graph digits.gxg --to dot -o digits.dot"))
@click.argument("graph", type=click.Path(path_type=Path))
@click.option("--to", "fmt", type=click.Choice(["graphml", "dot", "json"]), required=True, help="Format to write.")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True)
@click.option("--units", is_flag=True, help="Every unit and synapse instead of populations and projections.")
@output_options
def command(graph: Path, fmt: str, target: Path, units: bool, output: Output) -> None:
    """Export the event graph GRAPH (.gxg) for other tools."""
    from gxevent import files
    from gxevent.interop.export import export_graph

    written = export_graph(files.load_graph(graph), fmt, target, units=units)
    output.show(written, [f"wrote {target}: {written['nodes']:,} nodes, {written['edges']:,} edges"])
