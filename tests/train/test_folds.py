"""Cross-validation: each recording judged once, by a network that has not seen it; stopped runs go on."""

import json

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch")

from gxevent.errors import FormatError, OptionError  # noqa: E402
from gxevent.train import cross_validate, folds  # noqa: E402
from gxevent.train.fit import Fit  # noqa: E402
from gxevent.train.sources import Data  # noqa: E402
from tests.train.test_fit import CLASSES, patterns  # noqa: E402

RECIPE = """
name = "tiny"
summary = "patterns"
[data]
kind = "digits"
folds = 3
[network]
layers = "6C3-MP2-3"
[fit]
epochs = 2
batch = 20
"""


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    """A recipe over synthetic patterns; yields (recipe file, parts of the data that were read)."""
    read = []

    def load(recipe, path, *, quiet):
        read.append("train")
        return Data(patterns(100, int(str(path or 0))), lambda: read.append("test"), CLASSES, {})

    monkeypatch.setattr(folds, "load_data", load)
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path, read


def test_every_recording_is_judged_once(tiny, tmp_path):
    recipe, read = tiny
    made = cross_validate(recipe, quiet=True)
    assert read == ["train"]
    assert [fold.fold for fold in made.folds] == [0, 1, 2]
    assert sum(fold.samples for fold in made.folds) == 100
    assert made.accuracy == sum(fold.correct for fold in made.folds) / 100
    assert made.out is None
    assert list(tmp_path.iterdir()) == [recipe]
    assert f"of 100 recordings held out, in 3 folds from {min(f.accuracy for f in made.folds):.2%}" in made.line()


def test_bad_arguments_are_refused_before_data_are_read(tiny):
    recipe, read = tiny
    for arguments, message in (({"device": "abacus"}, "abacus"), ({"threads": 0}, "threads")):
        with pytest.raises(OptionError, match=message):
            cross_validate(recipe, quiet=True, **arguments)
    assert read == []


def test_a_stopped_run_goes_on_to_the_same_result(tiny, tmp_path, monkeypatch, capsys):
    recipe, _ = tiny
    whole = cross_validate(recipe, out=tmp_path / "whole.json", quiet=True)
    assert [path.name for path in tmp_path.glob("*.ckpt")] == []
    epoch, trained = Fit._epoch, []

    def stop(self, number):
        trained.append((self.recipe.data.fold, number))
        if len(trained) == 4:  # the second epoch of the second fold
            raise KeyboardInterrupt
        return epoch(self, number)

    monkeypatch.setattr("gxevent.train.fit.Fit._epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        cross_validate(recipe, out=tmp_path / "a.json", quiet=True)
    assert len(json.loads((tmp_path / "a.json").read_text())["folds"]) == 1
    assert [path.name for path in tmp_path.glob("*.ckpt")] == ["a.fold1.ckpt"]
    made = cross_validate(recipe, out=tmp_path / "a.json")
    assert trained == [(0, 1), (0, 2), (1, 1), (1, 2), (1, 2), (2, 1), (2, 2)]
    assert [(f.fold, f.correct, f.samples) for f in made.folds] == [(f.fold, f.correct, f.samples) for f in whole.folds]
    assert list(tmp_path.glob("*.ckpt")) == []
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"fold 3 of 3: {made.folds[2].correct} of {made.folds[2].samples}" in captured.err
    again = cross_validate(recipe, out=tmp_path / "a.json", quiet=True)
    assert again.folds == made.folds
    assert len(trained) == 7


def test_files_of_other_runs_are_refused_and_stay(tiny, tmp_path):
    recipe, _ = tiny
    out = tmp_path / "a.json"
    cross_validate(recipe, out=out, epochs=1, quiet=True)
    before = out.read_bytes()
    with pytest.raises(OptionError, match="holds folds of another recipe"):
        cross_validate(recipe, out=out, quiet=True)
    with pytest.raises(OptionError, match="holds folds of another data"):
        cross_validate(recipe, "7", out=out, epochs=1, quiet=True)
    assert out.read_bytes() == before
    out.write_text("{}")
    with pytest.raises(FormatError, match=r"a\.json: no results of folds"):
        cross_validate(recipe, out=out, quiet=True)
    with pytest.raises(OptionError, match=r"named \*\.json"):
        cross_validate(recipe, out=tmp_path / "a.gxn", quiet=True)
    with pytest.raises(OptionError, match="does not exist"):
        cross_validate(recipe, out=tmp_path / "no" / "a.json", quiet=True)
