"""``gxevent crosscheck``: independent evaluations beside the engine."""

from __future__ import annotations

from pathlib import Path

import click

from gxevent.cli.common import Output, example, output_options
from gxevent.cli.run import data_options


@click.command("crosscheck", epilog=example("gxevent crosscheck nmnist.gxg nmnist.zip --against reference --limit 20"))
@click.argument("graph", type=click.Path(path_type=Path))
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--against", type=click.Choice(["reference"]), default="reference", show_default=True)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="At most N samples; the same as --limit.")
@data_options
@click.option("--kernel", default="auto", show_default=True, help="Kernel path; gxevent info lists them.")
@output_options
def command(
    graph: Path,
    data: Path,
    against: str,
    samples: int | None,
    window: str | None,
    stride: str | None,
    split: str | None,
    limit: int | None,
    kernel: str,
    output: Output,
) -> int:
    """Run DATA through GRAPH twice and compare every population's events and accumulators.

    Exit status 1 when one differs; the first difference is named.
    """
    from gxevent import files
    from gxevent.crosscheck import crosscheck_reference
    from gxevent.events import open_dataset
    from gxevent.runtime import encode_samples

    loaded = files.load_graph(graph)
    dataset = open_dataset(data, split=split, limit=samples or limit)
    with output.progress(len(dataset), "comparing", "sample") as bar:

        def encoded():
            for sample in encode_samples(loaded, dataset, window, stride):
                yield sample.id, sample.frames
                bar.update()

        report = crosscheck_reference(loaded, encoded(), kernel)
    output.show(report.as_dict(), [report.line()])
    return 0 if report.equal else 1
