"""``gxevent inspect``: what a file holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gxevent.cli.common import Output, example, output_options, run_table, share, table


@click.command("inspect", epilog=example("gxevent inspect digits.gxn"))
@click.argument("file", type=click.Path(path_type=Path))
@output_options
def command(file: Path, output: Output) -> None:
    """What FILE holds: a network, event graph, run folder, trace, mapping (.json), data set or recording."""
    if file.suffix.lower() == ".json":
        from gxevent.mapping.describe import describe_mapping as describe
    else:
        from gxevent.analysis.describe import describe

    found = describe(file)
    output.show(found, _LINES[found["kind"]](found))


def _network(found: dict[str, Any]) -> list[str]:
    head = f"network {found['name'] or '(no name)'}, input {tuple(found['input_shape'])}, {found['weights']:,} weights"
    rows = [
        (
            e["name"],
            e["kind"],
            str(tuple(e["shape"])),
            e.get("weights"),
            e.get("space"),
            f"{e['zero']:.1%}" if "zero" in e else None,
        )
        for e in found["layers"]
    ]
    lines = [head, *_origin(found), "", *table(("layer", "kind", "output", "weights", "space", "zero"), rows)]
    if found["activity"]:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in found["activity"].items())
        lines += ["", f"active in training: {shares}"]
    return lines


def _graph(found: dict[str, Any]) -> list[str]:
    head = f"event graph {found['name'] or '(no name)'}, {found['units']:,} units, {found['synapses']:,} synapses"
    known = any(p["activity"] is not None for p in found["populations"])
    populations = [
        (p["name"], p["role"], str(tuple(p["shape"])), p["units"], share(p["activity"])) for p in found["populations"]
    ]
    projections = [
        (p["name"], p["source"], p["target"], p["rule"], p["synapses"], p["gate_units"]) for p in found["projections"]
    ]
    why = "the share of active units above"
    if not known:
        why = f"{found['activity_assumed']:.0%} active units, as no profile is known (gxevent compile --profile DATA)"
    return [
        head,
        *_origin(found),
        "",
        *table(("population", "role", "shape", "units", "active"), populations),
        "",
        *table(("projection", "from", "to", "rule", "synapses", "gate units"), projections),
        "",
        f"gate units     chosen for kernel {found['kernel']} by {why}",
    ]


def _origin(found: dict[str, Any]) -> list[str]:
    lines = [f"{'classes':<20} {', '.join(found['classes'])}"]
    if found["encoder"]:
        lines.append(f"{'encoder':<20} " + ", ".join(f"{key} {value}" for key, value in found["encoder"].items()))
    nested = [key for key, value in found["provenance"].items() if isinstance(value, dict | list)]
    lines += [f"{key:<20} {value}" for key, value in found["provenance"].items() if key not in nested]
    if nested:
        lines.append(f"and with --json       {', '.join(nested)}")
    return [*lines, f"{'sha256':<20} {found['sha256']} ({found['bytes']:,} bytes)"]


def _run(found: dict[str, Any]) -> list[str]:
    trace = found.get("trace")
    return [*run_table(found), *(["", *_trace(trace)] if trace else [])]


def _unfinished(found: dict[str, Any]) -> list[str]:
    return [
        f"unfinished run, {found['done']:,} of {found['samples']:,} samples done: continue with gxevent run … --resume",
        f"data         {found['data']}",
        f"graph        sha256 {found['graph_sha256']}",
        f"options      window {found['window'] or 'of the encoder'}, stride {found['stride'] or 'of the window'}, "
        f"mode {found['mode']}, {'with' if found['trace'] else 'no'} trace",
    ]


def _trace(found: dict[str, Any]) -> list[str]:
    if "needs" in found:
        return [f"trace        {found['bytes']:,} bytes; {found['needs']}"]
    windows = max(found["windows"], 1)
    rows = [
        (name, str(tuple(found["shapes"][name])), total, round(total / windows, 1))
        for name, total in found["events"].items()
    ]
    total = sum(found["events"].values())
    head = f"trace        {total:,} events of {found['samples']:,} samples in {found['windows']:,} windows, "
    return [
        f"{head}{found['bytes']:,} bytes ({found['bytes'] / max(total, 1):.2f} an event)",
        "",
        *table(("population", "shape", "events", "events a window"), rows),
    ]


def _events(found: dict[str, Any]) -> list[str]:
    if not found["events"]:
        return ["recording without events"]
    return [
        f"recording    {found['events']:,} events of a {found['sensor'][0]}x{found['sensor'][1]} sensor",
        f"time         {found['duration_us'] / 1e6:.3f} s from {found['t_first_us']:,} us",
        f"rate         {found['events_per_s'] or 0:,.0f} events a second, {found['on_share']:.1%} ON",
    ]


def _dataset(found: dict[str, Any]) -> list[str]:
    labels = list(dict.fromkeys(label for counts in found["splits"].values() for label in counts))
    labels = [c for c in found["classes"] if c in labels] + [c for c in labels if c not in found["classes"]]
    rows = [(label, *(counts.get(label, 0) for counts in found["splits"].values())) for label in labels]
    lines = [f"data set     {found['samples']:,} {'images' if found['of'] == 'images' else 'recordings of events'}"]
    if first := found.get("first"):
        lines.append(f"first        {first['id']}")
        size = {"images": lambda: [f"images of {'x'.join(map(str, first['shape']))}"], "events": lambda: _events(first)}
        lines += size[found["of"]]()
    totals = [("all", *(sum(counts.values()) for counts in found["splits"].values()))]
    return [*lines, "", *table(("label", *found["splits"]), [*rows, *totals])]


def _mapping(found: dict[str, Any]) -> list[str]:
    splits = ", ".join(f"{name} in {parts} parts" for name, parts in found["splits"].items())
    rows = [
        (c["core"], ", ".join(map(str, c["place"])), ", ".join(c["populations"]), c["units"], c["axons"], c["synapses"])
        for c in found["cores"]
    ]
    return [
        f"mapping of {found['graph'] or '(no name)'} onto {len(rows)} cores of {found['chip']}",
        f"method       {found['method']} ({found['partitioner']}), seed {found['seed']}",
        f"activity     {found['activity']['kind']}, {found['activity']['source']}",
        f"splits       {splits or 'none'}",
        f"graph        {found['graph_sha256']}",
        "",
        *table(("core", "x, y, slot", "populations", "units", "axons", "synapses"), rows),
    ]


_LINES = {
    "network": _network,
    "graph": _graph,
    "run": _run,
    "unfinished run": _unfinished,
    "trace": _trace,
    "dataset": _dataset,
    "events": _events,
    "mapping": _mapping,
}
