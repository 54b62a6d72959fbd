"""``gxevent train``: discrete state transition, from a recipe to a network file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from gxevent.cli.common import Output, example, names, output_options, table
from gxevent.errors import OptionError

if TYPE_CHECKING:
    from gxevent.train.training import TrainingResult


def _known() -> list[str]:
    from gxevent.train import list_recipes

    return list(list_recipes())


@click.command("train", epilog=example("gxevent train digits --out digits.gxn --epochs 5"))
@click.argument("recipe", required=False, shell_complete=names(_known))
@click.option("--list", "list_all", is_flag=True, help="Name the recipes and stop.")
@click.option("--show", is_flag=True, help="Print RECIPE, to copy and change, and stop.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder or archive of the recipe's data.")
@click.option("--out", type=click.Path(path_type=Path), help="Network file to write; RECIPE.gxn by default.")
@click.option("--epochs", type=click.IntRange(min=1), help="Instead of the recipe's.")
@click.option("--seed", type=click.IntRange(min=0), help="Instead of the recipe's.")
@click.option("--preset", metavar="NAME", help="gxnor, bnn, twn, bwn, multilevel or float, instead of the recipe's.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda, …; auto takes CUDA where there is one.")
@click.option("--resume", type=click.Path(path_type=Path), metavar="CKPT", help="Continue from a checkpoint.")
@click.option(
    "--cross-validate",
    "folds",
    type=click.Path(path_type=Path),
    metavar="JSON",
    help="Train a network for each fold of the training part instead and write how they did; the same again goes on.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="One gives the same network for the same seed.",
)
@output_options
def command(
    recipe: str | None,
    list_all: bool,
    show: bool,
    data: Path | None,
    out: Path | None,
    epochs: int | None,
    seed: int | None,
    preset: str | None,
    device: str,
    resume: Path | None,
    folds: Path | None,
    threads: int,
    output: Output,
) -> None:
    """Train RECIPE (a name from --list, or a .toml file) without hidden full-precision weights.

    Needs the extra 'train'. A checkpoint is kept beside the network file; Ctrl-C leaves a usable one.
    """
    from gxevent.train.shelf import list_shelf

    if list_all or recipe is None:
        shelf = list_shelf()
        rows = [(name, item.accuracy(), item.size(), item.summary) for name, item in shelf.items()]
        shown = {name: item.as_dict() for name, item in shelf.items()}
        output.show({"recipes": shown}, table(("recipe", "shipped network", "size", "what it trains"), rows))
        return
    if show:
        from gxevent.train.recipes import recipe_text

        output.show({"recipe": recipe, "toml": recipe_text(recipe)}, [recipe_text(recipe).rstrip()])
        return
    if folds is not None:
        if out is not None or resume is not None:
            raise OptionError("--cross-validate writes no network: leave out --out and --resume")
        from gxevent.train.folds import cross_validate

        found = cross_validate(recipe, data, folds, epochs, seed, device, output.quiet, threads, preset)
        output.show(found.summary(), [f"last epoch   {found.line()}", f"wrote        {folds}"])
        return
    from gxevent.train.training import train_recipe

    out = out or Path(Path(recipe).stem + ".gxn")
    result = train_recipe(
        recipe,
        data,
        out=out,
        epochs=epochs,
        seed=seed,
        device=device,
        preset=preset,
        resume=resume,
        quiet=output.quiet,
        threads=threads,
    )
    output.show(result.summary(), _lines(result, out))


def _lines(result: TrainingResult, out: Path) -> list[str]:
    """What people want to know at the end."""
    lines = [
        f"validation   {result.validation_accuracy:.2%} of {result.validation_samples:,} samples, "
        f"best epoch {result.best_epoch}"
    ]
    if result.test_accuracy is not None:
        lines.append(f"test         {result.test_accuracy:.2%} of {result.test_samples:,} samples, used once")
    if result.test_windows != result.test_samples:
        lines.append(f"windows      {result.test_window_accuracy:.2%} of the test part's {result.test_windows:,}")
    found = result.exactness
    if result.approximated:
        lines.append(
            f"8-bit form   of the real numbers, as the runtime has it: {found.changed_decisions} of {found.frames:,} "
            f"decisions differ, scores by at most {found.largest_score_difference:.3g}"
        )
    else:
        lines.append(f"exact        {found.accumulators:,} accumulators of the compiled network equal the trainer's")
    if result.memory is not None:
        lines.append(f"memory       {result.memory.line()}")
    lines += [f"took         {result.seconds:.0f} s", f"wrote        {out}"]
    return [*lines, *(f"             {path}" for path in result.curve)]
