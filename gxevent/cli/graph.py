"""``gxevent graph``: the event graph in other programs' formats."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options

FORMATS = ("graphml", "dot", "json", "onnx", "nir")


@click.command("graph", epilog=example("gxevent graph digits.gxg --to dot -o digits.dot"))
@click.argument("graph", type=click.Path(path_type=Path))
@click.option(
    "--to", "fmt", type=click.Choice(["graphml", "dot", "json", "onnx", "nir"]), required=True, help="Format to write."
)
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True)
@click.option("--units", is_flag=True, help="Every unit and synapse instead of populations and projections.")
@output_options
def command(graph: Path, fmt: str, target: Path, units: bool, output: Output) -> None:
    """Export the event graph GRAPH (.gxg) for other tools.

    GraphML, DOT and JSON draw or list it; ONNX (plain integers, for onnxruntime) and NIR (spikes on ON and OFF rails,
    for simulators) execute it, with the same integers.
    """
    from gxevent import files
    from gxevent.interop.export import export_graph

    written = export_graph(files.load_graph(graph), fmt, target, units=units)
    lines = [f"note: {note}" for note in written["notes"]]
    output.show(written, [*lines, f"wrote {target}: {written['nodes']:,} nodes, {written['edges']:,} edges"])
