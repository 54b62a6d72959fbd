"""The folder of a bench: bench.json, bench.csv, bench.md and bench.png."""

from __future__ import annotations

from pathlib import Path

from gxevent.bench import results
from gxevent.bench.page import page
from gxevent.errors import MissingExtraError
from gxevent.store import atomic_write


def write_all(found: results.Results, folder: Path) -> list[Path]:
    """Write what there is to write into a folder, which is made (the plot only where matplotlib is installed)."""
    paths = [*results.write(found, folder), folder / "bench.md"]
    with atomic_write(paths[-1]) as file:
        file.write(page(found).encode())
    try:
        from gxevent.bench.plots import figure

        made = figure(found)
    except MissingExtraError:
        return paths
    with atomic_write(folder / "bench.png") as file:
        made.savefig(file, format="png", dpi=110)
    return [*paths, folder / "bench.png"]
