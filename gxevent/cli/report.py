"""``gxevent report``: runs, mappings and simulations as a page."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options

PATH = click.Path(path_type=Path)


@click.command("report", epilog=example("gxevent report runs/nmnist map.json sim.json -o report.html"))
@click.argument("inputs", type=PATH, nargs=-1, required=True, metavar="RUN|MAP|SIM…")
@click.option("-o", "--output", "target", type=PATH, default="report.html", show_default=True)
@click.option("--title", default="", help="By default the network and its data.")
@click.option("--graph", "graphs", type=PATH, multiple=True, metavar="NET.gxg", help="A run's graph, if it has moved.")
@click.option("--data", type=PATH, multiple=True, metavar="DATA", help="A run's data, if they have moved.")
@click.option(
    "--activity", "activities", type=PATH, multiple=True, metavar="FILE.gxa", help="What a mapping was made for."
)
@click.option("--sample", metavar="ID", help="Sample to look into (samples.csv names them); a typical one by default.")
@output_options
def command(
    inputs: tuple[Path, ...],
    target: Path,
    title: str,
    graphs: tuple[Path, ...],
    data: tuple[Path, ...],
    activities: tuple[Path, ...],
    sample: str | None,
    output: Output,
) -> None:
    """Write one self-contained HTML page that opens offline and prints well.

    It shows run folders (gxevent run -o), mappings (gxevent map -o) and simulations (gxevent simulate --json >
    SIM.json); several of a kind stand side by side. A look into one sample and the anytime curve are run again from
    the run's graph and data, which are taken from where the run found them.
    """
    from gxevent.report import read_inputs, report_page
    from gxevent.store import atomic_write

    read = read_inputs(inputs)
    page = report_page(
        read,
        title,
        graphs=graphs,
        data=data,
        activities=activities,
        sample=sample,
        progress=lambda step: output.note(f"{step} …"),
    )
    with atomic_write(target) as file:
        file.write(page.encode())
    shown = {"runs": list(read.runs), "mappings": list(read.mappings), "simulations": list(read.simulations)}
    size = len(page.encode())
    output.show({"written": str(target), "bytes": size} | shown, [f"wrote {target} ({size / 2**20:.1f} MB)"])
