"""``gxevent map``: an event graph onto the cores of chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gxevent.cli.common import Output, example, output_options, table

if TYPE_CHECKING:
    from gxevent.graph import EventGraph
    from gxevent.mapping import Activity
    from gxevent.mapping.study import Point


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
@click.option(
    "--balance",
    type=click.Choice(["core", "step", "off"]),
    default="core",
    show_default=True,
    help="Lower the busiest receiving core of a frame, or of each layer's step (their sum bounds the latency).",
)
@click.option(
    "--rise",
    type=click.FloatRange(min=0),
    show_default="9; 0 after Mt-KaHyPar, which balances itself",
    metavar="PERCENT",
    help="Traffic that a last stage may spend on balancing.",
)
@click.option(
    "--samples",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="Samples that a study simulates; 0 leaves the simulation out.",
)
@click.option(
    "-o",
    "--output",
    "target",
    type=click.Path(path_type=Path),
    help="Write the mapping (MAP.json), a study's table (.json or .csv), or what is exported.",
)
@click.option("--figures", type=click.Path(path_type=Path), metavar="DIR", help="Write a study's figures (PNG).")
@click.option(
    "--cluster",
    metavar="tcp://HOST:PORT|local:K",
    help="Map and simulate on the workers of a Dask scheduler, or on K processes of this machine.",
)
@click.option("--check", type=click.Path(path_type=Path), metavar="MAP.json", help="Check a mapping instead.")
@click.option("--export", type=click.Path(path_type=Path), metavar="MAP.json", help="Export a mapping instead.")
@click.option("--to", "fmt", type=click.Choice(["graphml", "sanafe", "neucons"]), help="Format of --export.")
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
    balance: str,
    rise: float | None,
    samples: int,
    target: Path | None,
    figures: Path | None,
    cluster: str | None,
    check: Path | None,
    export: Path | None,
    fmt: str | None,
    output: Output,
) -> int:
    """Map the event graph GRAPH (.gxg) onto a chip: split, partition, place, route, check.

    Several chips or methods make a study: each is mapped and simulated, and one table has them all, with those that no
    other beats in latency and energy marked. With --check a mapping file is checked by the independent checker (against
    GRAPH too, if given). With --export it is written for other programs: cores and packets as graphml, SANA-FE's YAML
    (a folder), a NeuCoNS netlist; the latter two need GRAPH. Exit status 1 when a check fails or a chip cannot hold the
    network.
    """
    if cluster and (check or export):
        raise click.UsageError("--cluster is for mapping, not with --check or --export")
    if check:
        return _check(check, graph, output)
    if export:
        if not fmt or not target:
            raise click.UsageError("--export goes with --to graphml|sanafe|neucons and -o, where to")
        return _export(export, fmt, target, graph, activity, limit, output)
    if graph is None or not chips:
        raise click.UsageError("Missing argument 'GRAPH' or option '--chip': what to map, and on which chip")
    runs = [(chip.strip(), method.strip()) for chip in chips.split(",") for method in methods.split(",")]
    single = len(runs) == 1
    if target and not single and target.suffix not in (".json", ".csv"):
        raise click.UsageError("-o with several chips or methods writes a table: name a .json or .csv file")
    if figures and (single or not samples):
        raise click.UsageError("--figures draws a study: name several chips or methods, and --samples")
    _check_folder(target)
    options = {
        "seed": seed,
        "budget": budget,
        "cores": cores,
        "balance": balance,
        "rise": None if rise is None else rise / 100,
    }
    samples = 0 if single else samples
    return _study(graph, runs, activity, limit, save_activity, samples, options, target, figures, cluster, output)


def _check_folder(target: Path | None) -> None:
    """That the result can be written, said before anything takes time."""
    from gxevent.errors import FormatError

    if target is not None and not target.absolute().parent.is_dir():
        raise FormatError(f"{target}: cannot be written (there is no folder {target.parent})")


def _study(
    path: Path,
    runs: list[tuple[str, str]],
    activity: Path | None,
    limit: int | None,
    save_activity: Path | None,
    samples: int,
    options: dict[str, Any],
    target: Path | None,
    figures: Path | None,
    cluster: str | None,
    output: Output,
) -> int:
    from gxevent import files
    from gxevent.mapping import load_chip, study
    from gxevent.mapping.partition import checked_method
    from gxevent.mapping.sweep import sweep

    specs = [(load_chip(chip), checked_method(method)) for chip, method in runs]  # before anything takes time
    graph = files.load_graph(path)
    weights = _activity(graph, activity, limit, output)
    if save_activity:
        weights.save(save_activity)
    where = {"data": activity, "samples": samples, "cluster": cluster}
    unit = ("point", len(specs)) if cluster else ("step", None)
    with output.progress(unit[1], "mapping", unit[0]) as bar:

        def step(what: str) -> None:
            bar.set_description_str(what, refresh=False)
            bar.update()

        points = sweep(graph, specs, weights, **where, progress=step, **options)
    _write(points, target)
    lines = _lines(points, weights.line())
    if figures:
        lines += [f"wrote {made}" for made in study.write_figures(points, figures)]
    if target and any(point.mapping for point in points):
        lines.append(f"wrote {target}")
    rows = [point.as_dict() for point in points]
    answer: dict[str, Any] = {"activity": {"kind": weights.kind, "line": weights.line()}, "mappings": rows}
    if samples:
        answer["table"] = study.table(points)
    output.show(answer | (rows[0] if len(rows) == 1 else {}), lines)
    return 0 if all(point.mapping for point in points) else 1


def _write(points: list[Point], target: Path | None) -> None:
    """The mapping, or a study's table."""
    from gxevent.mapping import study
    from gxevent.store import atomic_write

    if target is None:
        return
    if len(points) == 1:
        if points[0].mapping is not None:
            points[0].mapping.save(target)
        return
    text = study.as_csv(points) if target.suffix == ".csv" else study.as_json(points)
    with atomic_write(target) as file:
        file.write(text.encode())


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


def _lines(points: list[Point], activity: str) -> list[str]:
    from gxevent.mapping import study

    simulated = any(point.simulation for point in points)
    head = ("chip", "method", "cores", "packets", "multicast traffic", "unicast traffic", "max link")
    head += ("busiest sender", "busiest receiver")
    head += ("latency us", "energy nJ", "front", "verdict") if simulated else ("verdict",)
    cells = []
    for point, best in zip(points, study.front(points), strict=True):
        if point.mapping is None:
            cells.append((point.chip, point.method, *[None] * (len(head) - 3), "does not fit"))
            continue
        t = point.mapping.traffic
        receiver = t["busiest_receiving"]
        row = [point.chip, point.method, t["cores_used"]]
        row += [round(t[key]) for key in ("packets", "multicast_traffic", "unicast_traffic", "max_link")]
        row.append(f"{t['busiest_sending']['packets']:,.0f} (core {t['busiest_sending']['core']})")
        row.append(f"{receiver['work']:,.0f} {receiver['unit']} (core {receiver['core']})")
        if simulated:
            row += [*_costs(point), "*" if best else ""]
        parts = {split.projection: len(split.cuts) - 1 for split in point.mapping.splits}
        row.append("fits" + "".join(f", {name} in {many} parts" for name, many in parts.items()))
        cells.append(tuple(row))
    lines = [f"activity     {activity}", "counted      a frame: packets, one for each target core other than the own;"]
    lines.append("             traffic, links they cross (multicast: each tree once)")
    if simulated:
        many = next(len(point.simulation.samples) for point in points if point.simulation)
        lines.append(
            f"simulated    {many} samples: median latency, mean energy with its band; > where costs are not known;"
        )
        lines.append("             * no other with all costs known is both quicker and thriftier")
    lines += ["", *table(head, cells)]
    return lines + [f"{point.chip}: {problem}" for point in points for problem in point.problems]


def _costs(point: Point) -> tuple[str, str]:
    """Latency and energy as text; > where a cost that the chip does not publish makes it a lower bound."""
    from gxevent.mapping import study

    if point.simulation is None:
        return "-", "-"
    said = point.simulation.summary()
    latency, total = said["latency_us"]["p50"], said["energy_nj"]["total"]
    more = "> " if point.simulation.unknown else ""
    text = "not known" if latency is None else f"{more}{latency:,.4g}"
    if total is None:
        return text, "not known"
    band = f" ({total['low']:,.4g} to {total['high']:,.4g})" if total["low"] != total["high"] else ""
    return text, f"{'' if study.complete(point) else '> '}{total['value']:,.4g}{band}"


def _export(
    path: Path, fmt: str, target: Path, graph: Path | None, activity: Path | None, limit: int | None, output: Output
) -> int:
    from gxevent import files
    from gxevent.mapping import load_mapping
    from gxevent.mapping.checker import refuse_broken
    from gxevent.mapping.export import export_mapping
    from gxevent.mapping.frames import open_frames

    mapping, loaded = load_mapping(path), files.load_graph(graph) if graph else None
    refuse_broken(mapping, path)
    frames = open_frames(mapping, activity, loaded, limit)
    made = export_mapping(mapping, fmt, target, graph=loaded, frames=frames)
    output.show(made, [f"note: {note}" for note in made["notes"]] + [f"wrote {file}" for file in made["written"]])
    return 0


def _check(path: Path, graph: Path | None, output: Output) -> int:
    from gxevent import files
    from gxevent.mapping import check_mapping, load_mapping

    mapping = load_mapping(path)
    problems = check_mapping(mapping, files.load_graph(graph) if graph else None)
    scope = "against its graph" if graph else "the file alone"
    said = [f"{path}: {len(problems)} problems"] if problems else [f"{path}: holds ({scope})"]
    output.show({"mapping": str(path), "scope": scope, "problems": problems}, [*said, *problems])
    return 1 if problems else 0
