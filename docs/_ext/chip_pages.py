"""Writes docs/chips/: one page a chip from its TOML specification, and a table of all of them. Not kept in git."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gxevent.mapping import Chip, load_chip
from gxevent.mapping.chip import chip_names

GROUPS = {
    "mesh": "Mesh",
    "routing": "Routing",
    "events": "Packets",
    "cores": "Cores",
    "energy": "Energy",
    "latency": "Time",
    "timing": "Steps",
    "static": "Static power",
}
"""First part of a quantity's path -> the heading it stands under."""

SCHEMES = {
    "unicast": "one packet for each target core",
    "multicast": "one packet that forks along an X-Y tree",
    "table": "one packet that forks, from entries in the routers' tables",
    "single": "a neuron has one target core; each further one takes a copy of the neuron",
    "layer": "from layer to layer, one packet for each target core",
}
GRANULARITIES = {
    "unit": "any unit goes on any core",
    "slice": "a core holds units of one layer",
    "layer": "a layer goes on one core",
}
STEPS = {
    "barrier": "a step ends when all cores are done",
    "tick": "steps have a fixed length",
    "free": "there are no steps",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head)]
    lines += [["---"] * len(lines[0]), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def chip_page(chip: Chip) -> str:
    """The page of one chip: what it is, every number with its source, the sources."""
    facts = [
        f"**Routing:** {chip.routing.scheme}, {SCHEMES[chip.routing.scheme]}.",
        f"**Placement:** {GRANULARITIES[chip.granularity]}.",
        f"**Steps:** {STEPS[chip.timing.mode]}.",
        f"**Input:** {'events enter at a port of the mesh' if chip.inputs == 'port' else 'input units take neurons'}.",
        f"**Packing of synapses:** {', '.join(sorted({core.packing.rule for core in chip.cores}))} "
        "(the rules are in [Mapping](../mapping.md#chip-files)).",
    ]
    parts = [
        f"# {chip.title}",
        f"`gxevent map … --chip {chip.name}`" + (f", {chip.process}" if chip.process else ""),
        chip.notes.strip(),
        "\n".join(f"- {fact}" for fact in facts),
    ]
    by_group: dict[str, list[tuple[str, ...]]] = {}
    unknown = []
    for path, quantity, _ in chip.quantities():
        if quantity.value is None:
            unknown.append(f"`{path}`")
        else:
            group = path.split(".")[0].split("[")[0]
            row = (f"`{path}`", str(quantity), quantity.source, quantity.condition)
            by_group.setdefault(group, []).append(row)
    for group, rows in by_group.items():
        parts += [f"## {GROUPS[group]}", table(("field", "value", "source", "condition"), rows)]
    parts += ["## Not known", f"Named as unknown: {', '.join(unknown)}." if unknown else ""]
    parts += ["What is not listed is not known either, and never taken as zero."]
    parts += ["## Sources", table(("tag", "source"), chip.sources.items())]
    return "\n\n".join(part for part in parts if part) + "\n"


def overview(chips: list[Chip]) -> str:
    """The page of all chips."""
    rows = [
        (
            f"[{chip.title}]({chip.name}.md)",
            f"`{chip.name}`",
            f"{chip.core_count:,}",
            f"{int(max(core.neurons.base or 0 for core in chip.cores)):,}",
            chip.routing.scheme,
            GRANULARITIES[chip.granularity],
        )
        for chip in chips
    ]
    listed = "\n".join(chip.name for chip in chips)
    return f"""# Chips

What gxevent knows of each chip, number by number, with the source of every number. These pages are made from the
specification files that `gxevent map` reads; `gxevent chips NAME` prints the same, `gxevent chips NAME --json` for
programs. How they are used, and how to write one of your own, is in [Mapping](../mapping.md#chip-files).

{table(("chip", "name", "cores", "neurons a core", "routing", "placement"), rows)}

```{{toctree}}
:hidden:

{listed}
```
"""


def write(folder: Path) -> None:
    """Write the pages into ``folder``; files that would not change are left alone."""
    chips = [load_chip(name) for name in chip_names()]
    pages = {"index": overview(chips)} | {chip.name: chip_page(chip) for chip in chips}
    folder.mkdir(exist_ok=True)
    for name, text in pages.items():
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()


def setup(app: Any) -> dict[str, bool]:
    app.connect("builder-inited", lambda app: write(Path(app.srcdir) / "chips"))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
