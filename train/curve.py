"""The learning curve of a run: a CSV row an epoch, and its picture."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path
from typing import Any

from gxevent.errors import MissingExtraError, require
from gxevent.store import atomic_write
from gxevent.train.fit import Epoch


def write_csv(history: Sequence[Epoch], path: Path) -> None:
    """A header and a row an epoch; written whole or not at all."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow([field.name for field in fields(Epoch)])
    rows.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in astuple(epoch)] for epoch in history)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def figure(history: Sequence[Epoch], title: str = "") -> Any:
    """Matplotlib figure: losses, validation error, and shares of zeros over the epochs. Needs the extra ``report``."""
    figures = require("matplotlib.figure", extra="report", purpose="the picture of a learning curve")
    made = figures.Figure(figsize=(9, 3), layout="constrained")
    epochs = [epoch.epoch for epoch in history]
    loss, error, zeros = made.subplots(1, 3)
    loss.plot(epochs, [e.loss for e in history], label="training")
    loss.plot(epochs, [e.validation_loss for e in history], label="validation")
    loss.set(ylabel="loss", yscale="log")
    errors = [100 * (1 - e.validation_accuracy) for e in history]
    error.plot(epochs, errors, color="tab:orange")
    error.set(ylabel="validation error, %", yscale="log" if any(errors) else "linear")
    zeros.plot(epochs, [100 * e.zero_weights for e in history], label="weights")
    zeros.plot(epochs, [100 * e.zero_activations for e in history], label="activations")
    zeros.set(ylabel="zeros, %", ylim=(0, 100))
    for axes in (loss, error):  # 0.2 and 20, not 2 x 10^-1 and 2 x 10^1
        axes.yaxis.set_major_formatter("{x:g}")
        low, high = axes.get_ylim()
        axes.yaxis.set_minor_formatter(_plain if high > 5 * low else "{x:g}")
    for axes in (loss, error, zeros):
        axes.set_xlabel("epoch")
        axes.grid(alpha=0.3, which="both")
    for axes in (loss, zeros):
        axes.legend(frameon=False)
    made.suptitle(title)
    return made


def _plain(value: float, position: int | None = None) -> str:
    """A minor tick of a log axis that spans more than half a decade: 2 and 5 of each are enough."""
    text = f"{value:g}"
    return text if text.lstrip("0.")[:1] in ("2", "5") else ""


def write(history: Sequence[Epoch], stem: Path, title: str) -> list[Path]:
    """``STEM.curve.csv``, and ``STEM.curve.png`` where Matplotlib is installed; the files written."""
    table, picture = stem.with_suffix(".curve.csv"), stem.with_suffix(".curve.png")
    write_csv(history, table)
    try:
        made = figure(history, title)
    except MissingExtraError:
        return [table]
    with atomic_write(picture) as file:
        made.savefig(file, format="png", dpi=120)
    return [table, picture]
