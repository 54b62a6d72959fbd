"""``gxevent import``: trained networks of other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gxevent.cli.common import Output, example, output_options, table
from gxevent.encoder import IMAGE_KINDS, STREAM_KINDS


def _shape(ctx: click.Context, parameter: click.Parameter, text: str | None) -> tuple[int, ...] | None:
    """ "1x28x28" as (1, 28, 28)."""
    if text is None:
        return None
    parts = text.lower().split("x")
    if len(parts) not in (1, 3) or not all(p.isdigit() and int(p) for p in parts):
        raise click.BadParameter(f"{text!r}: expected CxHxW such as 1x28x28, or a number of inputs")
    return tuple(int(p) for p in parts)


_OPTIONS = (
    click.option("--layers", metavar="TEXT", help="Structure of a checkpoint, such as 32C5-MP2-64C5-MP2-512FC-10."),
    click.option("--input-shape", callback=_shape, metavar="CxHxW", help="Of one frame."),
    click.option("--input-levels", type=click.IntRange(0, 7), metavar="N", help="Frames hold levels of Z_N."),
    click.option("--pools", type=click.Choice(["sums", "levels"]), default="sums", show_default=True,
                 help="Checkpoint: pools of --layers take sums, before the activation, or levels, behind it."),
    click.option("--weights", type=click.IntRange(0, 7), default=1, show_default=True, metavar="N",
                 help="Checkpoint: weights lie in Z_N."),
    click.option("--activations", type=click.IntRange(0, 7), default=1, show_default=True, metavar="N",
                 help="Checkpoint: activations lie in Z_N (0: sign)."),
    click.option("--r", type=float, default=0.5, show_default=True, help="Checkpoint: zero window of the activations."),
    click.option("--eps", type=float, help="Checkpoint: of the batch norms; by default PyTorch's 1e-5."),
    click.option("--encoder", "kind", type=click.Choice([*STREAM_KINDS, *IMAGE_KINDS]), help="How data become frames."),
    click.option("--bins", type=click.IntRange(min=1), default=1, help="Encoder: parts in time."),
    click.option("--low", type=float, default=0.0, help="Encoder: lower cut of images."),
    click.option("--high", type=float, default=1.0, help="Encoder: upper cut of images."),
    click.option("--window", default="all", help="Encoder: what makes a frame, such as 100ms."),
    click.option("--classes", metavar="A,B,...", help="Names of the scores."),
    click.option("--name", default="", help="Of the network; the file's by default."),
)  # fmt: skip


def _network_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


@click.command(
    "import",
    epilog=example(
        "gxevent import model.onnx -o model.gxn\n"
        "gxevent import weights.pt -o net.gxn --layers 32C5-MP2-64C5-MP2-512FC-10 --input-shape 1x28x28"
    ),
)
@click.argument("model", type=click.Path(path_type=Path))
@click.option("-o", "--output", "target", type=click.Path(path_type=Path), required=True, help="Network file, .gxn.")
@_network_options
@output_options
def command(
    model: Path,
    target: Path,
    layers: str | None,
    input_shape: tuple[int, ...] | None,
    input_levels: int | None,
    pools: str,
    weights: int,
    activations: int,
    r: float,
    eps: float | None,
    kind: str | None,
    bins: int,
    low: float,
    high: float,
    window: str,
    classes: str | None,
    name: str,
    output: Output,
) -> None:
    """Write the network of MODEL: a PyTorch checkpoint, an ONNX or QONNX model, or a NIR graph.

    Weights must be ternary or binary up to a scale. A checkpoint of more than fully connected layers needs --layers
    and --input-shape, since a state dict does not hold strides, pools and activations.
    """
    from gxevent import files
    from gxevent.compiler import compile
    from gxevent.encoder import Encoder
    from gxevent.errors import OptionError
    from gxevent.interop.importing import file_format, import_network
    from gxevent.layers import Activation

    encoder = Encoder(kind, bins, low, high, window) if kind else None
    template = None
    if layers is not None:
        if file_format(model) != "pytorch":
            raise OptionError(f"{model}: describes its layers itself: leave out --layers")
        if input_shape is None:
            raise OptionError("--layers: say the shape of a frame with --input-shape, such as 1x28x28")
        from gxevent.interop.template import pools_behind_activations
        from gxevent.train.topology import initial_network

        spaces = {"weights": weights, "activations": activations, "r": r}
        template = initial_network(layers, input_shape, encoder=encoder, **spaces)
        template = pools_behind_activations(template) if pools == "levels" else template
    made = import_network(
        model,
        template=template,
        eps=eps,
        activation=Activation(levels=activations, r=r),
        encoder=encoder,
        classes=tuple(classes.split(",")) if classes else (),
        input_shape=input_shape,
        input_levels=input_levels,
        name=name,
    )
    compile(made.network)  # what cannot be compiled is not worth writing
    answer = {
        "format": made.format,
        "layers": [{"name": layer.name, "kind": layer.kind} for layer in made.network.layers],
        "weights": made.network.weight_count,
        "notes": list(made.notes),
        "sha256": files.save(made.network, target),
        "written": str(target),
    }
    signals = made.network.signals
    rows = [(layer.name, layer.kind, str(signals[layer.name].shape)) for layer in made.network.layers]
    lines = [*table(("layer", "kind", "output"), rows), *(f"note: {note}" for note in made.notes), f"wrote {target}"]
    output.show(answer, lines)
