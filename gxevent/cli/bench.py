"""``gxevent bench``: speed beside peers on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gxevent.cli.common import Output, example, output_options, table

if TYPE_CHECKING:
    from gxevent.bench import Results, Settings


def _numbers(text: str | None, option: str, kind: type = int) -> tuple | None:
    """ "1,256" as (1, 256); percent signs are allowed."""
    if text is None:
        return None
    try:
        return tuple(kind(part.strip().removesuffix("%")) for part in text.split(",") if part.strip())
    except ValueError:
        raise click.UsageError(f"{option}: expected numbers with commas between them, got {text!r}") from None


@click.command(
    "bench", epilog=example("gxevent bench --quick\ngxevent bench --network mlp,lenet --threads 1,2 -o bench")
)
@click.option("--peers", default="all", show_default=True, metavar="NAMES", help="torch,onnxruntime,…, all or none.")
@click.option(
    "--network",
    metavar="NAMES",
    help="mlp, lenet, vgg, zoo (shipped networks), sizes (layers of 128 to 4096), or a layer's width such as 1024.",
)
@click.option("--activity", metavar="PERCENT", help="Share of active units in every population, such as 5,20,100.")
@click.option("--batch", metavar="SIZES", help="Samples a call, such as 1,256; by default each network's own two.")
@click.option("--threads", default="1", show_default=True, metavar="COUNTS", help="Such as 1,2.")
@click.option("--rounds", type=click.IntRange(min=1), default=20, show_default=True, metavar="N")
@click.option("--kernel", default="auto", show_default=True, help="Our kernel path.")
@click.option("--quick", is_flag=True, help="A minute or two: 20 % active, batch 1, short slots.")
@click.option(
    "--data", type=click.Path(path_type=Path), metavar="DIR", help="Data of shipped networks that lies elsewhere."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, frames and the order of the slots.")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="DIR", help="Write bench.json, .csv, .md, .png there."
)
@click.option(
    "--markdown",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="BENCH.json",
    help="Measure nothing: print earlier measurements (may be given several times) beside the goals, in Markdown.",
)
@output_options
def command(
    peers: str,
    network: str | None,
    activity: str | None,
    batch: str | None,
    threads: str,
    rounds: int,
    kernel: str,
    quick: bool,
    data: Path | None,
    seed: int,
    out: Path | None,
    markdown: tuple[Path, ...],
    output: Output,
) -> int:
    """Measure the engine and every installed peer on the same networks and inputs, in the same interleaved rounds.

    Times are whole Python calls, processor time for one thread, pinned; ratios are paired round by round, given as
    median and middle half. Peers that run the same ternary network must give our sums (exit status 1 otherwise);
    the others run the plain ReLU network, or one time step of a spiking network, of the same shape.
    """
    if markdown:
        from gxevent.bench import join, read
        from gxevent.bench.page import page

        print(page(join([read(path) for path in markdown])), end="")
        return 0
    from gxevent.bench import bench, write
    from gxevent.bench.peers import registry
    from gxevent.bench.runner import Settings, rounds_of

    shares = _numbers(activity, "--activity", float)
    chosen = {
        "networks": tuple(part.strip() for part in network.split(",") if part.strip()) if network else None,
        "activities": tuple(share / 100 for share in shares) if shares else None,
        "batches": _numbers(batch, "--batch"),
    }
    more = {name: value for name, value in chosen.items() if value}
    make = Settings.quick if quick else Settings
    settings: Settings = make(
        peers=registry.choose(peers),
        threads=_numbers(threads, "--threads"),
        rounds=rounds,
        kernel=kernel,
        seed=seed,
        data=data,
        **more,
    )
    with output.progress(rounds_of(settings), "measuring", "round") as bar:

        def note(text: str) -> None:
            bar.clear()
            output.note(text)

        results = bench(settings, progress=bar, note=note, keep=lambda found: out and write(found, out))
    return _answer(results, out, output)


def _answer(results: Results, out: Path | None, output: Output) -> int:
    import msgspec

    from gxevent.bench.files import write_all
    from gxevent.bench.table import tables

    paths = write_all(results, out) if out else []
    lines: list[str] = []
    for title, head, rows in tables(results):
        lines += [title, *table(head, rows), ""]
    lines += [f"not measured  {s.peer} on {s.network}: {s.why}" for s in results.skipped if s.batch in (None, 1)]
    lines += [f"not installed {peer}: {how}" for peer, how in results.missing.items()]
    lines += [f"wrote         {path}" for path in paths]
    output.show(msgspec.to_builtins(results), lines)
    for row in results.differing:
        output.note(f"{row.peer} gives other sums than gxevent on {row.network}, batch {row.batch}")
    return 1 if results.differing or not results.rows else 0
