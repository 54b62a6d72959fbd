"""Recipe ``recordings``: folders of one's own recordings, whatever the sensor, the labels and the formats."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gxevent as gx
from gxevent.cli import main
from gxevent.events import from_arrays, write_events

pytest.importorskip("torch", reason="training needs an extra")

from gxevent.train import load_recipe, train_recipe
from gxevent.train.recipes import recipe_text
from gxevent.train.sources import fit_recipe, load_data


def recording(side: str, seed: int, width: int = 100, height: int = 80):
    """A hundred events in the left or right half of a sensor."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, width // 2, 200) + (width // 2 if side == "right" else 0)
    t = np.sort(rng.integers(0, 50_000, 200))
    return from_arrays(t, x, rng.integers(0, height, 200), rng.random(200) < 0.5, width, height)


def lay_out(folder, parts=("train", "test"), ending="es", width: int = 100):
    for p, part in enumerate(parts):
        for side in ("left", "right"):
            for i in range(12):
                path = folder / part / side / f"{i}.{ending}"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_events(path, recording(side, 100 * p + i, width))
    return folder


def test_it_learns_labels_and_sensor_from_the_folder(tmp_path, recwarn):
    made = train_recipe("recordings", lay_out(tmp_path / "mine"), tmp_path / "mine.gxn", epochs=6, quiet=True)
    assert made.network.classes == ("left", "right")
    assert made.network.encoder.downsample == 2  # 100 pixels to at most 64
    assert made.network.input_shape == (6, 40, 50)
    assert made.test_accuracy == 1.0
    assert not [str(w.message) for w in recwarn]
    assert made.network.provenance["settings"]["network"]["layers"].endswith("-2")
    assert made.network.provenance["data"]["sensor"] == [100, 80]

    graph = gx.compile(gx.load_network(tmp_path / "mine.gxn"))
    record = gx.run_dataset(graph, gx.open_dataset(tmp_path / "mine"))
    assert record.summary["samples"] == 24
    assert record.summary["accuracy"] == made.test_accuracy


def test_a_checkpoint_goes_on_with_what_the_data_said(tmp_path):
    folder = lay_out(tmp_path / "mine")
    train_recipe("recordings", folder, tmp_path / "a.gxn", epochs=1, quiet=True)
    more = train_recipe("recordings", folder, tmp_path / "b.gxn", epochs=2, resume=tmp_path / "a.ckpt", quiet=True)
    assert len(more.history) == 2


def test_without_a_test_part_the_command_says_so(tmp_path, capsys):
    folder = lay_out(tmp_path / "mine", parts=("",), ending="csv")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "recordings", "--data", str(folder), "--out", str(folder) + ".gxn", "--epochs", "1", "--json"])
    assert not stopped.value.code
    printed = capsys.readouterr()
    assert json.loads(printed.out)["test_accuracy"] is None
    assert "no recordings under test" in printed.err


def test_windows_of_long_recordings_count_for_their_recording(tmp_path):
    text = recipe_text("recordings").replace("bins = 3", 'bins = 1\nwindow = "20ms"')
    (tmp_path / "own.toml").write_text(text)
    recipe = fit_recipe(load_recipe(tmp_path / "own.toml"), lay_out(tmp_path / "mine"))
    data = load_data(recipe, tmp_path / "mine")
    assert len(data.train) == 24
    assert len(data.train.frames) == 72  # 50 ms: two whole windows and a part


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: [p.unlink() for p in f.glob("train/right/*")], "give two labels"),
        (lambda f: (f / "test" / "right").rename(f / "test" / "up"), "label 'up' has no training recording"),
        (lambda f: write_events(f / "test" / "left" / "big.es", recording("left", 1, 200)), "200x80 pixels"),
        (lambda f: (f / "train").rename(f / "val"), "has no recordings under train"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, spoil, said):
    folder = lay_out(tmp_path / "mine")
    spoil(folder)
    with pytest.raises(gx.GxError, match=said):
        train_recipe("recordings", folder, epochs=1, quiet=True)


def test_a_recipe_can_be_printed_and_copied(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["train", "recordings", "--show"])
    copy = tmp_path / "copy.toml"
    copy.write_text(capsys.readouterr().out)
    assert load_recipe(copy) == load_recipe("recordings")
    with pytest.raises(SystemExit) as stopped:
        main(["train", "nonsense", "--show"])
    assert stopped.value.code == 2
    assert "no recipe 'nonsense'" in capsys.readouterr().err
