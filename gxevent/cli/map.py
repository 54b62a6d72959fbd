"""``gxevent map``: an event graph onto the cores of chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gxevent.cli.common import Output, example, output_options, table

if TYPE_CHECKING:
    from gxevent.graph import EventGraph
    from gxevent.mapping import Activity


@click.command("map", epilog=example("gxevent map digits.gxg --chip loihi1 --activity digits_test.zip -o map.json"))
@click.argument("graph", type=click.Path(path_type=Path), required=False)
@click.option("--chip", "chips", metavar="NAME|FILE[,…]", help="Chip, or several; gxevent chips lists them.")
@click.option(
    "--activity",
    type=click.Path(path_type=Path),
    help="What weighs the traffic: data to run, a stored .gxa file, or a run folder (totals only).",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Measure activity on at most N samples.")
@click.option("--save-activity", type=click.Path(path_type=Path), metavar="FILE.gxa", help="Keep what was measured.")
@click.option(
    "--method", "methods", default="hypergraph", show_default=True, help="sequential, tiles, hypergraph, grown[,…]"
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True)
@click.option("--budget", type=click.FloatRange(min=0), default=6.0, show_default=True, help="Effort, nominal seconds.")
@click.option("--cores", type=click.IntRange(min=1), metavar="K", help="Use K cores; by default as few as fit.")
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), help="Write the mapping (MAP.json).")
@click.option("--check", type=click.Path(path_type=Path), metavar="MAP.json", help="Check a mapping instead.")
@output_options
def command(
    graph: Path | None,
    chips: str | None,
    activity: Path | None,
    limit: int | None,
    save_activity: Path | None,
    methods: str,
    seed: int,
    budget: float,
    cores: int | None,
    target: Path | None,
    check: Path | None,
    output: Output,
) -> int:
    """Map the event graph GRAPH (.gxg) onto a chip: split, partition, place, route, check.

    Several chips or methods give a table. With --check a mapping file is checked by the independent checker (against
    GRAPH too, if given). Exit status 1 when a check fails or a chip cannot hold the network.
    """
    from gxevent import files

    if check:
        return _check(check, graph, output)
    if graph is None or not chips:
        raise click.UsageError("Missing argument 'GRAPH' or option '--chip': what to map, and on which chip")
    runs = [(chip, method) for chip in chips.split(",") for method in methods.split(",")]
    if target and len(runs) > 1:
        raise click.UsageError("-o takes one mapping: name one chip and one method with it")
    loaded = files.load_graph(graph)
    weights = _activity(loaded, activity, limit, output)
    if save_activity:
        weights.save(save_activity)
    rows = [_run(loaded, chip, method, weights, seed, budget, cores, target, output) for chip, method in runs]
    answer: dict[str, Any] = {"activity": {"kind": weights.kind, "line": weights.line()}, "mappings": rows}
    output.show(answer | (rows[0] if len(rows) == 1 else {}), _lines(rows, weights.line(), target))
    return 0 if all(row["verdict"] == "fits" for row in rows) else 1


def _activity(graph: EventGraph, path: Path | None, limit: int | None, output: Output) -> Activity:
    from gxevent.events import open_dataset
    from gxevent.mapping import load_activity, measure_activity, uniform_activity
    from gxevent.mapping.activity import is_activity_file

    if path is None:
        return uniform_activity(graph)
    if is_activity_file(path):
        return load_activity(path, graph)
    dataset = open_dataset(path, limit=limit)
    with output.progress(len(dataset), "measuring activity", "sample") as bar:
        return measure_activity(graph, dataset, progress=bar.update)


def _run(
    graph: EventGraph,
    chip: str,
    method: str,
    activity: Activity,
    seed: int,
    budget: float,
    cores: int | None,
    target: Path | None,
    output: Output,
) -> dict[str, Any]:
    """One row: what a chip and a method give, or why it does not fit."""
    from gxevent.mapping import Infeasible, load_chip, map_graph

    spec = load_chip(chip)
    row: dict[str, Any] = {"chip": spec.name, "method": method}
    with output.progress(None, spec.name, "step") as bar:

        def step(what: str) -> None:
            bar.set_description_str(f"{spec.name}: {what}", refresh=False)
            bar.update()

        try:
            mapping = map_graph(
                graph, spec, activity, method=method, seed=seed, budget=budget, cores=cores, progress=step
            )
        except Infeasible as error:
            return row | {"verdict": "does not fit", "problems": list(error.problems)}
    if target:
        mapping.save(target)
    splits = {split.projection: len(split.cuts) - 1 for split in mapping.splits}
    settings = {"partitioner": mapping.settings.partitioner, "seed": seed, "budget": budget}
    return row | {"verdict": "fits", "splits": splits} | mapping.traffic | settings | {"problems": []}


def _lines(rows: list[dict[str, Any]], activity: str, target: Path | None) -> list[str]:
    head = ("chip", "method", "cores", "packets", "multicast traffic", "unicast traffic", "max link")
    head += ("busiest sender", "busiest receiver", "verdict")
    cells = []
    for row in rows:
        if row["problems"]:
            cells.append((row["chip"], row["method"], *[None] * 7, row["verdict"]))
            continue
        receiver = row["busiest_receiving"]
        figures = [row[key] for key in ("cores_used", "packets", "multicast_traffic", "unicast_traffic", "max_link")]
        cells.append(
            (
                *(row["chip"], row["method"]),
                *(round(value) for value in figures),
                f"{row['busiest_sending']['packets']:,.0f} (core {row['busiest_sending']['core']})",
                f"{receiver['work']:,.0f} {receiver['unit']} (core {receiver['core']})",
                row["verdict"] + "".join(f", {name} in {parts} parts" for name, parts in row["splits"].items()),
            )
        )
    lines = [f"activity     {activity}", "counted      a frame: packets, one for each target core other than the own;"]
    lines += ["             traffic, links they cross (multicast: each tree once)", "", *table(head, cells)]
    lines += [f"{row['chip']}: {problem}" for row in rows for problem in row["problems"]]
    return [*lines, f"wrote {target}"] if target and rows[0]["verdict"] == "fits" else lines


def _check(path: Path, graph: Path | None, output: Output) -> int:
    from gxevent import files
    from gxevent.mapping import check_mapping, load_mapping

    mapping = load_mapping(path)
    problems = check_mapping(mapping, files.load_graph(graph) if graph else None)
    scope = "against its graph" if graph else "the file alone"
    said = [f"{path}: {len(problems)} problems"] if problems else [f"{path}: holds ({scope})"]
    output.show({"mapping": str(path), "scope": scope, "problems": problems}, [*said, *problems])
    return 1 if problems else 0
