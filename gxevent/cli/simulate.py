"""``gxevent simulate``: latency, energy and traffic of a mapped network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gxevent.cli.common import Output, example, output_options, table


@click.command(
    "simulate", epilog=example("gxevent simulate map.json --graph digits.gxg --activity digits_test.zip --samples 20")
)
@click.argument("mapping", type=click.Path(path_type=Path), metavar="MAP.json")
@click.option(
    "--activity",
    type=click.Path(path_type=Path),
    metavar="DATA|FILE",
    help="Which units send: data to run (with --graph), a .gxa file or a run folder; without it every unit does.",
)
@click.option("--graph", type=click.Path(path_type=Path), metavar="NET.gxg", help="The mapped graph, to run data.")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="At most N samples (or made-up frames).")
@click.option("--sync", type=click.Choice(["barrier", "free", "tick"]), help="By default as the chip has it.")
@click.option(
    "--buffers",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    metavar="N",
    help="Packets that fit behind a link and at a core; 0 for no limit.",
)
@click.option("--tokens", is_flag=True, help="With --sync free: the end of a layer's events travels as packets.")
@click.option("--figures", type=click.Path(path_type=Path), metavar="DIR", help="Write the figures (PNG).")
@output_options
def command(
    mapping: Path,
    activity: Path | None,
    graph: Path | None,
    samples: int | None,
    sync: str | None,
    buffers: int,
    tokens: bool,
    figures: Path | None,
    output: Output,
) -> None:
    """Simulate a mapped network: discrete events on cores and links give latency, counting gives energy and traffic.

    The activity must be of the graph that was mapped. Everything assumed, and every cost that the chip does not
    publish, is listed under "assumptions". Counts are totals over the samples, energy is the mean of a sample.
    """
    from gxevent import files
    from gxevent.mapping import load_mapping
    from gxevent.mapping.checker import refuse_broken
    from gxevent.mapping.frames import open_frames
    from gxevent.mapping.simulate import simulate

    loaded = load_mapping(mapping)
    refuse_broken(loaded, mapping)
    if tokens and (sync or loaded.typed_chip().timing.mode) != "free":
        raise click.UsageError("--tokens goes with --sync free")
    with output.progress(samples, "simulating", "sample") as bar:
        frames = open_frames(loaded, activity, files.load_graph(graph) if graph else None, samples)
        result = simulate(loaded, frames, sync=sync, buffers=buffers or None, tokens=tokens, progress=bar.update)
    lines = _lines(result.summary())
    if figures:
        from gxevent.mapping.simulation_plots import write_figures

        lines += [f"wrote {path}" for path in write_figures(result, figures)]
    output.show(result.summary(), lines)


def _lines(s: dict[str, Any]) -> list[str]:
    n = s["samples"]
    took, least = s["latency_us"], s["roofline_us"]
    lines = [f"samples      {n:,} in {s['frames']:,} frames on {s['cores_used']:,} cores of {s['chip']}, {s['sync']}"]
    if took["p50"] is None:
        lines.append("latency      not given: the chip publishes no times")
    else:
        lines.append(f"latency      p50 {took['p50']:,.3f} us, p99 {took['p99']:,.3f} us, max {took['max']:,.3f} us")
        lines.append(f"at least     p50 {least['p50']:,.3f} us (the busiest core or link of each step)")
    packets, hops, synops = (s["per_sample"][name] for name in ("packets", "hops", "synops"))
    lines.append(
        f"a sample     {packets:,.1f} packets, {hops:,.1f} hops ({s['convention']}), {synops:,.1f} synops; "
        f"busiest link {s['max_link_load'] / n:,.1f} packets"
    )
    busy = [
        f"core {of['core']} {kind} {of['busy_us'] / n:,.3f} us a sample"
        for kind, of in s["busiest_core"].items()
        if of["core"] is not None
    ]
    lines += [f"busiest      {', '.join(busy)}"] if busy else []
    if s["layers"] and took["p50"] is not None:
        rows = [("+".join(layer["populations"]), layer["latency_us"]) for layer in s["layers"]]
        lines += ["", *table(("step of", "median us"), rows)]
    parts = s["energy_nj"]["parts"] | {"known parts" if s["energy_nj"]["unknown"] else "total": s["energy_nj"]["total"]}
    rows = [(name, *(band[key] if band else None for key in ("value", "low", "high"))) for name, band in parts.items()]
    lines += ["", *table(("energy nJ", "a sample", "low", "high"), rows), "", "assumed"]
    return lines + [f"  {line}" for line in s["assumptions"]]
