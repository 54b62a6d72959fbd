"""``gxevent chips``: the chip specifications, each number with its source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from gxevent.cli.common import Output, example, names, output_options, table

if TYPE_CHECKING:
    from gxevent.mapping.chip import Chip


def _known() -> list[str]:
    from gxevent.mapping.chip import chip_names

    return chip_names()


@click.command("chips", epilog=example("gxevent chips loihi1"))
@click.argument("name", required=False, shell_complete=names(_known))
@output_options
def command(name: str | None, output: Output) -> None:
    """List the chips, or print one (NAME, or a .toml file of your own) with the source of every number."""
    from gxevent.mapping.chip import chip_names, load_chip

    if name:
        chip = load_chip(name)
        output.show(_values(chip), _lines(chip))
        return
    chips = [load_chip(known) for known in chip_names()]
    rows = [
        (
            c.name,
            c.title,
            c.core_count,
            int(max(core.neurons.base or 0 for core in c.cores)),
            c.routing.scheme,
            c.granularity,
        )
        for c in chips
    ]
    output.show(
        {"chips": [_summary(chip) for chip in chips]},
        table(("chip", "title", "cores", "neurons a core", "routing", "a core takes"), rows),
    )


def _summary(chip: Chip) -> dict[str, Any]:
    return {"name": chip.name, "title": chip.title, "cores": chip.core_count, "routing": chip.routing.scheme}


def _values(chip: Chip) -> dict[str, Any]:
    unknown = [path for path, q, _ in chip.quantities() if q.value is None]
    return chip.as_dict() | {"core_count": chip.core_count, "unknown": unknown}


def _lines(chip: Chip) -> list[str]:
    rows = [(path, str(q), q.source, q.condition or None) for path, q, _ in chip.quantities()]
    return [
        f"{chip.name}: {chip.title}" + (f", {chip.process}" if chip.process else ""),
        *chip.notes.strip().splitlines(),
        f"routing {chip.routing.scheme}, {chip.mesh.topology}, steps: {chip.timing.mode}, inputs at the "
        + ("port" if chip.inputs == "port" else "cores"),
        "",
        *table(("field", "value", "source", "condition"), rows),
        "",
        *(f"{tag:<4} {text}" for tag, text in chip.sources.items()),
        "What is not listed is not known, and never taken as zero.",
    ]
