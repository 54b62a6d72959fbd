"""``gxevent report``: a run as a page."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options


@click.command("report", epilog=example("gxevent report runs/nmnist -o report.html"))
@click.argument("run", type=click.Path(path_type=Path))
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), default="report.html", show_default=True)
@click.option("--title", default="gxevent run", show_default=True)
@output_options
def command(run: Path, target: Path, title: str, output: Output) -> None:
    """Write one self-contained HTML page of the run folder RUN; it opens offline."""
    from gxevent.report import run_page
    from gxevent.runtime import load_run
    from gxevent.store import atomic_write

    page = run_page(load_run(run), title)
    with atomic_write(target) as file:
        file.write(page.encode())
    output.show({"written": str(target)}, [f"wrote {target}"])
