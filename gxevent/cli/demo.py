"""``gxevent demo``: the whole way once, with what is shipped."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options, run_table


@click.command("demo", epilog=example("gxevent demo --out demo-run"))
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path),
    default="demo-run",
    show_default=True,
    help="Folder for run record and report.",
)
@output_options
def command(folder: Path, output: Output) -> int:
    """Compile the shipped network, run it on the shipped event recordings, cross-check it, write record and report."""
    from gxevent.report.demo import run_demo

    demo = run_demo(_fresh(folder), lambda step: output.note(f"{step} …"))
    populations = " -> ".join(f"{p.name} {'x'.join(map(str, p.shape))}" for p in demo.graph.populations.values())
    lines = [f"event graph  {populations}", *run_table(demo.record.summary)]
    lines += [
        f"cross-check  {demo.crosscheck.line()}",
        f"wrote        {demo.folder} (open {demo.folder / 'report.html'})",
    ]
    lines.append(f"took         {demo.seconds:.1f} s")
    output.show(demo.record.summary | {"crosscheck": demo.crosscheck.as_dict(), "written": str(demo.folder)}, lines)
    return 0 if demo.crosscheck.equal else 1


def _fresh(folder: Path) -> Path:
    """The folder, or the first of folder-2, folder-3, … that holds no run: a demo is tried more than once."""
    tried, number = folder, 1
    while (tried / "summary.json").exists():
        number += 1
        tried = folder.with_name(f"{folder.name}-{number}")
    return tried
