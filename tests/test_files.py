"""Networks and graphs on disk: round trips, packing, atomic writes."""

from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent import files, store
from gxevent.runtime import reference
from tests import networks


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 9), max_size=4))
def test_packed_levels_round_trip(seed, shape):
    q = networks.levels(np.random.default_rng(seed), tuple(shape))
    packed = store.pack_levels(q)
    assert packed.nbytes == -(-q.size // 4)
    np.testing.assert_array_equal(store.unpack_levels(packed, q.shape), q)


def test_packed_levels_that_cannot_be():
    with pytest.raises(gx.FormatError, match="unused code 3"):
        store.unpack_levels(np.array([3], np.uint8), (1,))
    with pytest.raises(gx.FormatError, match="cannot hold"):
        store.unpack_levels(np.array([0], np.uint8), (5,))


@given(networks.networks())
def test_networks_and_graphs_round_trip(tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("trip")
    sha = gx.save(network, folder / "n.gxn")
    read = gx.load_network(folder / "n.gxn")
    assert files.sha256(read) == files.sha256(network) == sha
    graph = gx.compile(network)
    sha = gx.save(graph, folder / "g.gxg")
    again = gx.load_graph(folder / "g.gxg")
    assert files.sha256(again) == files.sha256(gx.compile(read)) == sha
    frames = networks.frames(np.random.default_rng(0), network)
    np.testing.assert_array_equal(reference.run_graph(again, frames).scores, reference.run_graph(graph, frames).scores)


def test_files_are_small_and_the_same_every_time(tmp_path):
    network = networks.lenet()
    gx.save(network, tmp_path / "a.gxn")
    gx.save(network, tmp_path / "b.gxn")
    assert (tmp_path / "a.gxn").read_bytes() == (tmp_path / "b.gxn").read_bytes()
    assert (tmp_path / "a.gxn").stat().st_size < 0.25 * 581_408 + 24_000


def test_everything_a_network_carries_comes_back(tmp_path):
    encoder = gx.Encoder("onoff", bins=2, window="50ms", downsample=2)
    weight = networks.levels(np.random.default_rng(0), (3, 4, 2, 2))
    layers = [gx.Conv2d(weight, stride=(1, 2), name="eye"), gx.Activation(), gx.Flatten()]
    layers.append(gx.Dense(np.ones((2, 6), np.int8)))
    provenance = {"accuracy": np.float32(0.5), "data": ("a", "b"), "note": "ünï"}
    network = gx.TernaryNetwork((4, 3, 3), encoder, layers, ("yes", "no"), name="n", provenance=provenance)
    gx.save(network, tmp_path / "n.gxn")
    read = gx.load_network(tmp_path / "n.gxn")
    assert read.encoder == encoder
    assert read.classes == ("yes", "no")
    assert read.provenance == {"accuracy": 0.5, "data": ["a", "b"], "note": "ünï"}
    assert read.layer("eye").stride == (1, 2)
    assert gx.load(tmp_path / "n.gxn").name == "n"


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    target = tmp_path / "n.gxn"
    gx.save(networks.lenet(), target)
    before = target.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        gx.save(networks.lenet(1), target)
    assert target.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["n.gxn"]


def test_save_takes_networks_and_graphs_only(tmp_path):
    with pytest.raises(gx.OptionError, match="got str"):
        gx.save("network", tmp_path / "x.gxn")
