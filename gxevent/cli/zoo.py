"""``gxevent zoo``: the networks and recordings that come with gxevent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gxevent.cli.common import Output, example, names as complete, output_options, table


def _known() -> tuple[str, ...]:
    from gxevent.files import shipped_names

    return shipped_names()


@click.command("zoo", epilog=example("gxevent zoo digits.gxn digits_test.zip"))
@click.argument("names", nargs=-1, metavar="[NAME]…", shell_complete=complete(_known))
@click.option(
    "-o",
    "--output",
    "folder",
    type=click.Path(path_type=Path),
    default=".",
    help="Folder to copy into.",
)
@output_options
def command(names: tuple[str, ...], folder: Path, output: Output) -> None:
    """List the shipped networks and recordings, or copy those named NAME."""
    from gxevent.analysis.shipped import copy_shipped, list_shipped

    if names:
        copies = [str(path) for path in copy_shipped(names, folder)]
        output.show({"written": copies}, [f"wrote {path}" for path in copies])
        return
    found = list_shipped()
    output.show({"files": found}, table(("file", "KiB", "what it is"), [_row(entry) for entry in found]))


def _row(entry: dict[str, Any]) -> tuple[str, int, str]:
    if entry["kind"] == "network":
        what = f"network, {entry['data']}: {entry['test_accuracy']:.2%} of {entry['test_samples']:,}"
    else:
        what = f"{entry['samples']:,} recordings of {len(entry['classes'])} classes"
    return entry["name"], round(entry["bytes"] / 1024), what
