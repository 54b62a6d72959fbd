"""``gxevent train`` end to end on a few pictures, and what it says when something is wrong."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs PyTorch")

import gxevent as gx
from gxevent.train.fit import Fit
from tests.cli.conftest import refused

RECIPE = """
name = "mnist-tiny"
summary = "bars"
[data]
kind = "images"
folds = 4
[encoder]
kind = "levels"
[network]
layers = "4C3-MP2-8FC-2"
loss = "cross_entropy"
[norm]
lr = 0.01
[fit]
epochs = 2
batch = 8
"""


def write_idx(path: Path, array: np.ndarray) -> None:
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    path.write_bytes(gzip.compress(header + array.astype(np.uint8).tobytes()))


def write_pictures(folder: Path, prefix: str, count: int, labels: np.ndarray | None = None) -> None:
    """Upright and lying bars of 8x8 pixels."""
    labels = np.arange(count) % 2 if labels is None else labels
    pictures = np.random.default_rng(count).integers(0, 60, (len(labels), 8, 8))
    pictures[labels == 0, 3] = 255
    pictures[labels == 1, :, 3] = 255
    write_idx(folder / f"{prefix}-images-idx3-ubyte.gz", pictures)
    write_idx(folder / f"{prefix}-labels-idx1-ubyte.gz", labels)


@pytest.fixture
def pictures(tmp_path) -> Path:
    folder = tmp_path / "bars"
    folder.mkdir()
    write_pictures(folder, "train", 48)
    write_pictures(folder, "t10k", 12)
    return folder


@pytest.fixture
def recipe(tmp_path) -> Path:
    path = tmp_path / "tiny.toml"
    path.write_text(RECIPE)
    return path


def fingerprint(folder: Path) -> dict[str, str]:
    return {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(folder.iterdir()) if p.is_file()}


def test_from_a_recipe_to_a_network_and_on_from_its_checkpoint(gxevent, recipe, pictures, tmp_path):
    out = tmp_path / "tiny.gxn"
    answer = gxevent("train", recipe, "--data", pictures, "--out", out, "--json")
    assert answer.status == 0, answer.err
    assert answer.json["test_samples"] == 12
    assert answer.json["exactness"]["equal"]
    assert gx.load_network(out).provenance["test_accuracy"] == answer.json["test_accuracy"]
    more = gxevent("train", recipe, "--data", pictures, "--out", out, "--resume", out.with_suffix(".ckpt"), "-q")
    assert more[:2] == (0, "")


def test_what_is_missing_is_named_and_nothing_is_written(gxevent, recipe, pictures, tmp_path):
    out = tmp_path / "made"
    out.mkdir()
    (tmp_path / "empty").mkdir()

    def train(*arguments):
        return gxevent("train", *arguments, "--out", out / "x.gxn")

    refused(train("mnist"), "needs --data", "train-images-idx3-ubyte", "http")
    refused(train("mnist", "--data", tmp_path / "empty"), "train-images-idx3-ubyte", "http")
    refused(train("mnist", "--data", tmp_path / "nowhere"), "nowhere", "train-images-idx3-ubyte")
    refused(train("no-such", "--data", pictures), "no-such", "mnist")
    refused(train(recipe, "--data", pictures, "--device", "abacus"), "abacus", "cpu")
    refused(train(recipe, "--data", pictures, "--preset", "gold"), "gold", "gxnor")
    refused(train(recipe, "--data", pictures, "--resume", tmp_path / "no.ckpt"), "no.ckpt", "no such file")
    refused(gxevent("train", recipe, "--data", pictures, "--out", tmp_path / "no" / "x.gxn"), "does not exist")
    assert not list(out.iterdir())


def test_labels_and_parts_that_cannot_be(gxevent, recipe, pictures, tmp_path):
    def train():
        return gxevent("train", recipe, "--data", pictures, "--out", tmp_path / "x.gxn", "-q")

    write_pictures(pictures, "t10k", 4, np.array([0, 1, 7, 7]))
    refused(train(), "labels", "7")
    write_pictures(pictures, "train", 0)
    refused(train(), "train", "empty")
    write_pictures(pictures, "train", 3)
    refused(train(), "data.folds", "take fewer")
    write_idx(pictures / "train-labels-idx1-ubyte.gz", np.zeros(2))
    refused(train(), "3", "2")
    assert not (tmp_path / "x.gxn").exists()


def test_a_checkpoint_of_another_run_is_refused_and_stays(gxevent, recipe, pictures, tmp_path):
    made = tmp_path / "made"
    made.mkdir()
    train = ("train", recipe, "--data", pictures, "--out", made / "x.gxn", "-q")
    assert gxevent(*train).status == 0
    before = fingerprint(made)
    checkpoint = made / "x.ckpt"
    refused(gxevent(*train, "--resume", checkpoint, "--seed", "7"), "x.ckpt", "seed")
    refused(gxevent(*train, "--resume", checkpoint, "--preset", "bnn"), "x.ckpt", "network")
    refused(gxevent(*train, "--resume", made / "x.gxn"), "x.gxn", "network")
    write_pictures(pictures, "train", 56)
    refused(gxevent(*train, "--resume", checkpoint), "x.ckpt", "other training data")
    assert fingerprint(made) == before


def test_a_loss_that_is_no_number_leaves_the_last_checkpoint(gxevent, recipe, pictures, tmp_path, monkeypatch):
    losses = iter([0.5] * 7 + [float("nan")])
    monkeypatch.setattr(Fit, "_step", lambda *_: next(losses))
    answer = gxevent("train", recipe, "--data", pictures, "--out", tmp_path / "x.gxn", "-q")
    refused(answer, "the loss is nan in epoch 2, batch 3", "norm.lr", "checkpoint holds epoch 1")
    assert not (tmp_path / "x.gxn").exists()
    assert (tmp_path / "x.ckpt").exists()


def test_ctrl_c_leaves_a_checkpoint_to_go_on_from(gxevent, recipe, pictures, tmp_path, monkeypatch):
    whole = gxevent("train", recipe, "--data", pictures, "--out", tmp_path / "whole.gxn", "--json").json
    epoch = Fit._epoch

    def interrupted(self, number):
        if number == 2:
            raise KeyboardInterrupt
        return epoch(self, number)

    monkeypatch.setattr(Fit, "_epoch", interrupted)
    cut = tmp_path / "cut.gxn"
    assert gxevent("train", recipe, "--data", pictures, "--out", cut, "-q").status == 130
    monkeypatch.undo()
    assert not cut.exists()
    resumed = gxevent("train", recipe, "--data", pictures, "--out", cut, "--json", "--resume", tmp_path / "cut.ckpt")
    for key in ("validation_accuracy", "test_accuracy", "best_epoch"):
        assert resumed.json[key] == whole[key]
    weights = [gx.load_network(path).layers[0].weight for path in (tmp_path / "whole.gxn", cut)]
    np.testing.assert_array_equal(*weights)


def test_cross_validation(gxevent, recipe, pictures, tmp_path):
    out = tmp_path / "folds.json"
    answer = gxevent("train", recipe, "--data", pictures, "--cross-validate", out, "--json")
    assert answer.status == 0, answer.err
    assert len(answer.json["folds"]) == 4
    assert sum(fold["samples"] for fold in answer.json["folds"]) == 48
    assert "of 48 recordings held out" in gxevent("train", recipe, "--data", pictures, "--cross-validate", out).out
    refused(gxevent("train", recipe, "--cross-validate", out, "--out", tmp_path / "x.gxn"), "--cross-validate", "--out")
