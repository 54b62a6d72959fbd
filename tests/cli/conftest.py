"""A command line to call and small files to call it on."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import gxevent as gx
from gxevent.cli import main
from tests import networks


class Answer(NamedTuple):
    status: int
    out: str
    err: str

    @property
    def json(self) -> dict:
        return json.loads(self.out)


@pytest.fixture
def gxevent(capsys):
    """Call the command line in this process: ``gxevent("run", graph, data, "--json")``."""

    def call(*args: object) -> Answer:
        with pytest.raises(SystemExit) as stop:
            main([str(a) for a in args])
        captured = capsys.readouterr()
        return Answer(int(stop.value.code or 0), captured.out, captured.err)

    return call


def refused(answer: Answer, *words: str) -> None:
    """Exit status 2, one line on standard error that says these things, nothing else anywhere."""
    assert answer.status == 2, answer
    assert answer.out == ""
    lines = answer.err.strip().splitlines()
    assert len(lines) == 1, answer.err
    for word in words:
        assert word in lines[0], (word, lines[0])


def small_network() -> gx.TernaryNetwork:
    rng = np.random.default_rng(0)
    layers = [gx.Conv2d(networks.levels(rng, (6, 2, 3, 3)), padding=1), gx.MaxPool2d(2), networks.batch_norm(rng, 6)]
    layers += [gx.Activation(), gx.Flatten(), gx.Dense(networks.levels(rng, (3, 96)))]
    encoder = gx.Encoder("onoff")
    return gx.TernaryNetwork((2, 8, 8), encoder, layers, ("a", "b", "c"), name="small", provenance={"source": "random"})


@pytest.fixture
def network(tmp_path) -> Path:
    gx.save(small_network(), tmp_path / "small.gxn")
    return tmp_path / "small.gxn"


@pytest.fixture
def graph(tmp_path) -> Path:
    gx.save(gx.compile(small_network()), tmp_path / "small.gxg")
    return tmp_path / "small.gxg"


@pytest.fixture
def recordings(tmp_path) -> Path:
    """A zip of 3 labelled test and 3 training recordings each, as CSV text of an 8x8 sensor."""
    rng = np.random.default_rng(1)
    path = tmp_path / "recordings.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for split in ("test", "train"):
            for label in "abc":
                for i in range(3):
                    n = 40 + 10 * i
                    t = np.sort(rng.integers(0, 100_000, n))
                    rows = zip(t, rng.integers(0, 8, n), rng.integers(0, 8, n), rng.integers(0, 2, n), strict=True)
                    text = "# width=8 height=8\nt,x,y,p\n0,7,7,1\n" + "".join(
                        ",".join(map(str, row)) + "\n" for row in rows
                    )
                    archive.writestr(f"{split}/{label}/{i}.csv", text)
    return path
