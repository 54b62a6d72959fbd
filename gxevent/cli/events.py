"""``gxevent events``: the event-file toolbox."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gxevent.cli.common import Output, example, output_options

_FILE = click.Path(path_type=Path)


def read_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How to read the file; all of them arguments of ``iter_events``."""
    policies = [
        ("--on-backward", ["error", "drop", "sort"], "Events whose time falls."),
        ("--on-outside", ["error", "drop"], "Events outside the sensor."),
        ("--on-truncated", ["error", "drop"], "A file that ends within an event."),
    ]
    for name, choices, text in reversed(policies):
        function = click.option(name, type=click.Choice(choices), help=text)(function)
    unit = click.Choice(["s", "ms", "us", "ns"])
    function = click.option("--time-unit", type=unit, help="Unit of times in text, NumPy and HDF5 files.")(function)
    function = click.option("--format", metavar="NAME", help="Format to read, instead of finding it out.")(function)
    function = click.option("--height", type=click.IntRange(1, 65536), help="Rows of the sensor.")(function)
    return click.option("--width", type=click.IntRange(1, 65536), help="Columns of the sensor.")(function)


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


@click.group("events", epilog=example("gxevent events info recording.raw --json"))
def command() -> None:
    """Look at recordings of event cameras, convert, cut and draw them.

    Every subcommand has --json, --quiet and --debug.
    """


@command.command("info", epilog=example("gxevent events info recording.aedat4"))
@click.argument("file", type=_FILE)
@read_options
@output_options
def info(file: Path, output: Output, **options: Any) -> None:
    """Sensor, events, rate, polarities, time span and anomalies of FILE.

    Bad events are left out and counted, unless a policy says error.
    """
    from gxevent.events import toolbox

    found = toolbox.info(file, **_given(options))
    output.show(found, _info_lines(found))


def _info_lines(found: dict[str, Any]) -> list[str]:
    lines = [
        f"file         {found['file']}, {found['format']}, {found['bytes']:,} bytes",
        f"sensor       {found['sensor'][0]}x{found['sensor'][1]}",
        f"events       {found['events']:,}" + (f", {found['on_share']:.1%} ON" if found["events"] else ""),
    ]
    if found["events"]:
        rate, peak = (found[key] or 0 for key in ("events_per_s", "peak_events_per_s"))
        lines += [
            f"time         {found['duration_us'] / 1e6:.6f} s, {found['t_first_us']:,} to {found['t_last_us']:,} us",
            f"rate         {rate:,.0f} events a second, peak {peak:,.0f} (10 ms)",
            f"pause        {found['longest_pause_us']:,} us at the longest",
            f"pixels       {found['active_pixels']:,} active, x {found['x_range'][0]} to {found['x_range'][1]}, "
            f"y {found['y_range'][0]} to {found['y_range'][1]}",
        ]
    if found["passed"]:
        lines.append(
            "besides      " + ", ".join(f"{n:,} {kind.replace('_', ' ')}" for kind, n in found["passed"].items())
        )
    return lines + [f"{'anomalies' if i == 0 else '':<12} {line}" for i, line in enumerate(found["anomalies"])]


def _written(found: dict[str, Any]) -> list[str]:
    lines = [f"wrote {found['file']}: {found['events']:,} events, {found['bytes']:,} bytes"]
    return lines + [f"left out {n:,} ({reason.replace('_', ' ')})" for reason, n in found["dropped"].items()]


@command.command("convert", epilog=example("gxevent events convert recording.aedat4 recording.es --rebase"))
@click.argument("file", type=_FILE)
@click.argument("target", type=_FILE)
@click.option("--to", metavar="NAME", help="Format to write; else by the ending (.raw is EVT3).")
@click.option("--rebase", is_flag=True, help="Begin at time 0, for formats whose times are short.")
@click.option("--flip-y", is_flag=True, help="Turn the picture over; formats that count rows upwards need no help.")
@read_options
@output_options
def convert(
    file: Path, target: Path, to: str | None, rebase: bool, flip_y: bool, output: Output, **options: Any
) -> None:
    """Write the events of FILE to TARGET: .es .csv .npz .dat .evt2 .evt3 .raw .bin .h5.

    Times, pixels and polarities stay as they are; a format that cannot hold them is refused.
    """
    from gxevent.events import toolbox

    found = toolbox.convert(file, target, to=to, rebase=rebase, flip_y=flip_y, **_given(options))
    output.show(found, _written(found))


@command.command(
    "slice", epilog=example("gxevent events slice long.raw part.raw --start 2s --stop 2.5s --area 100,80,64,64")
)
@click.argument("file", type=_FILE)
@click.argument("target", type=_FILE)
@click.option("--start", metavar="TIME", default="0", help="Such as 1.5s or 200ms, from the first event on.")
@click.option("--stop", metavar="TIME", help="Up to, not including, this time from the first event on.")
@click.option("--area", metavar="X,Y,W,H", help="Only these pixels.")
@click.option("--crop", is_flag=True, help="Make the area the whole sensor.")
@click.option("--rebase", is_flag=True, help="Begin at time 0.")
@click.option("--to", metavar="NAME", help="Format to write; else by the ending.")
@read_options
@output_options
def slice_(
    file: Path,
    target: Path,
    start: str,
    stop: str | None,
    area: str | None,
    crop: bool,
    rebase: bool,
    to: str | None,
    output: Output,
    **options: Any,
) -> None:
    """Write a part of FILE, by time and area, to TARGET."""
    from gxevent.events import toolbox

    cut = toolbox.Cut(
        toolbox.microseconds(start),
        None if stop is None else toolbox.microseconds(stop),
        None if area is None else toolbox.parse_area(area),
        crop,
    )
    found = toolbox.convert(file, target, to=to, cut=cut, rebase=rebase, **_given(options))
    output.show(found, _written(found))


@command.command("show", epilog=example("gxevent events show recording.raw -o recording.png --frames 6"))
@click.argument("file", type=_FILE)
@click.option("-o", "--output", "target", type=_FILE, required=True, help=".png or .gif")
@click.option("--frames", type=int, default=8, show_default=True, metavar="N")
@click.option("--scale", type=int, metavar="K", help="Enlarge pixels K times.")
@click.option("--fps", type=float, default=10.0, show_default=True, help="Frames a second of a GIF.")
@read_options
@output_options
def show(file: Path, target: Path, frames: int, scale: int | None, fps: float, output: Output, **options: Any) -> None:
    """Draw FILE: a strip of frames above the rate (.png), or a film (.gif)."""
    from gxevent.events import draw

    found = draw.show(file, target, frames=frames, scale=scale, fps=fps, **_given(options))
    output.show(found, [f"wrote {found['file']}: {found['frames']} frames of {found['frame_us'] / 1000:.3f} ms"])
