"""NIR: another program reads the exported file and sends the same events; files come back; bad ones are refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import gxevent as gx
from gxevent.crosscheck import compare
from gxevent.errors import FormatError, NetworkError, UnsupportedError
from gxevent.interop.nir import crosscheck_nir, to_nir, write_nir
from gxevent.interop.nir_read import from_nir
from gxevent.interop.rails import from_rails, to_rails
from gxevent.runtime import encode_samples
from tests import networks
from tests.interop import models

nir = pytest.importorskip("nir")


def executed(graph: gx.EventGraph, samples) -> int:
    """Assert that NIRTorch, reading the exported file, sends our events; returns how many."""
    pytest.importorskip("torch")
    pytest.importorskip("nirtorch", reason="pip install nirtorch")
    report = crosscheck_nir(graph, samples, compare("nir"))
    assert report.equal, report.line()
    return report.events_compared


@pytest.mark.parametrize("make", [models.dense, models.convolutional])
def test_nirtorch_sends_our_events(make):
    """Also groups, uneven strides, negative gamma, and a kernel that is not square."""
    network = make()
    frames = networks.frames(np.random.default_rng(0), network, 24)
    assert executed(gx.compile(network), [("random", frames)]) > 500


def test_nirtorch_sends_our_events_on_real_recordings():
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    data = gx.open_dataset(gx.shipped("digits_test.zip"), limit=20)
    samples = [(sample.id, sample.frames) for sample in encode_samples(graph, data)]
    assert executed(graph, samples) > 30_000


@settings(max_examples=5)
@given(networks.networks(image=True), st.integers(0, 2**32 - 1))
def test_nirtorch_sends_our_events_on_random_networks(network, seed):
    try:
        graph = gx.compile(network)
        to_nir(graph)
    except UnsupportedError:
        return  # padding that NIR cannot say, and the compiler's own limits
    executed(graph, [("random", networks.frames(np.random.default_rng(seed), network, 3))])


@settings(max_examples=25)
@given(networks.networks(input_levels=1), st.integers(0, 2**32 - 1))
def test_an_exported_network_comes_back(tmp_path_factory, network, seed):
    path = tmp_path_factory.mktemp("nir") / "net.nir"
    try:
        write_nir(gx.compile(network), path)
        back, notes = from_nir(path)
    except UnsupportedError:
        return  # several steps behind a sum pool, and padding that NIR cannot say
    if not notes:
        models.same_integers(network, back, networks.frames(np.random.default_rng(seed), network), sums=False)


def test_a_shipped_network_comes_back_with_encoder_and_classes(tmp_path):
    network = gx.load_network(gx.shipped("digits.gxn"))
    write_nir(gx.compile(network), tmp_path / "net.nir")
    back, notes = from_nir(tmp_path / "net.nir")
    assert (back.encoder, back.classes, notes) == (network.encoder, network.classes, [])
    data = gx.open_dataset(gx.shipped("digits_test.zip"), limit=20)
    frames = np.concatenate([sample.frames for sample in encode_samples(gx.compile(network), data)])
    assert models.same_integers(network, back, frames) > 30_000


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2, 3]), st.sampled_from([(7,), (3, 2, 4)]))
def test_rails_hold_levels(seed, space, shape):
    rng = np.random.default_rng(seed)
    top = np.zeros((shape[0], max(1, 2 ** (space - 1))) if space else (shape[0], 1), np.int32)
    p = gx.Population("p", shape, "fire", space, hi=top, lo=top, polarity=np.ones(shape[0], np.int8))
    levels = networks.levels(rng, (4, *shape), space)
    rails = to_rails(p, levels)
    assert set(np.unique(rails)) <= {0, 1}
    assert rails.shape[1] == 2 * top.shape[1] * shape[0]
    np.testing.assert_array_equal(from_rails(p, rails), levels)


# ------------------------------------------------------------------------------------------------- what NIR cannot say


def test_a_max_pool_of_scores_is_refused():
    rng = np.random.default_rng(0)
    layers = [gx.Conv2d(networks.levels(rng, (4, 2, 3, 3))), gx.MaxPool2d(4)]
    graph = gx.compile(gx.TernaryNetwork((2, 6, 6), None, layers))
    with pytest.raises(UnsupportedError, match="projection 'pool1': a max pool whose sums 'pool1' adds or gives out"):
        to_nir(graph)


def test_levels_of_more_steps_come_back_as_several_units(tmp_path):
    rng = np.random.default_rng(0)
    layers = [gx.Dense(networks.levels(rng, (8, 12))), networks.batch_norm(rng, 8), gx.Activation(levels=2)]
    network = gx.TernaryNetwork((12,), None, [*layers, gx.Dense(networks.levels(rng, (4, 8)))])
    write_nir(gx.compile(network), tmp_path / "net.nir")
    back, notes = from_nir(tmp_path / "net.nir")
    assert notes == ["node 'dense1' has 4 rails: a unit's level comes back as 2 ternary units that add up to it"]
    frames = networks.frames(rng, network, 20)
    ours, theirs = (gx.Engine(gx.compile(n)).run(frames) for n in (network, back))
    np.testing.assert_array_equal(ours.scores, theirs.scores)


# -------------------------------------------------------------------------------------- the library's own shape checks


def node(kernel: tuple[int, int], inputs: int, out: int, shape: tuple[int, int], groups: int = 1):
    weight = networks.levels(np.random.default_rng(1), (out, inputs // groups, *kernel)).astype(np.float32)
    return nir.Conv2d(shape, weight, (1, 1), (0, 0), (1, 1), groups, np.zeros(out, np.float32))


def ends(first: tuple[int, ...], last: tuple[int, ...]) -> dict:
    return {"input": nir.Input({"input": np.array(first)}), "output": nir.Output({"output": np.array(last)})}


def foreign() -> tuple[object, list]:
    """A graph of another program: a nested graph with a kernel that is not square, a grouped convolution, spikes."""
    first, second = node((2, 4), 2, 4, (6, 8)), node((3, 3), 4, 6, (5, 5), groups=2)
    inner = nir.NIRGraph(
        ends((2, 6, 8), (4, 5, 5)) | {"conv": first}, [("input", "conv"), ("conv", "output")], type_check=False
    )
    last = nir.Affine(networks.levels(np.random.default_rng(2), (3, 54)).astype(np.float32), np.float32([0.5, -1, 2]))
    nodes = ends((2, 6, 8), (3,)) | {
        "block": inner,
        "spikes1": nir.Threshold(np.full((4, 5, 5), 0.5, np.float32)),
        "conv2": second,
        "spikes2": nir.Threshold(np.float32(np.broadcast_to([[[0.5]], [[1.5]], [[-0.5]]] * 2, (6, 3, 3)))),
        "flat": nir.Flatten({"input": np.array([6, 3, 3])}, 0, -1),
        "fc": last,
    }
    order = ["input", "block", "spikes1", "conv2", "spikes2", "flat", "fc", "output"]
    return nir.NIRGraph(nodes, list(itertools.pairwise(order)), type_check=False), [first, second, last]


def test_what_the_nir_library_refuses_is_read(tmp_path):
    """nir 1.0.8 takes kernels for square, convolutions for one group, and checks nested graphs though told not to."""
    from gxevent.runtime import reference

    graph, (first, second, last) = foreign()
    nir.write(tmp_path / "a.nir", graph)
    if nir.version == "1.0.8":
        with pytest.raises(ValueError, match="type mismatch"):
            nir.read(tmp_path / "a.nir", type_check=False)
    network, _ = from_nir(tmp_path / "a.nir")
    frames = networks.frames(np.random.default_rng(0), network, 20)
    geometry = (1, 1), (0, 0, 0, 0), (1, 1)
    spikes1 = reference.conv2d(frames, first.weight.astype(np.int8), *geometry, 1) > 0.5
    sums2 = reference.conv2d(spikes1.astype(np.int8), second.weight.astype(np.int8), *geometry, 2)
    spikes2 = sums2 > np.float32([0.5, 1.5, -0.5] * 2)[:, None, None]
    scores = spikes2.reshape(20, -1) @ last.weight.T.astype(np.float32) + last.bias
    engine = gx.Engine(gx.compile(network))
    for i, frame in enumerate(frames):
        trace = engine.trace(frame)
        _, one, two = trace.outputs.values()
        np.testing.assert_array_equal(one, spikes1[i])
        np.testing.assert_array_equal(two, spikes2[i])
        np.testing.assert_allclose(trace.scores, scores[i], rtol=1e-6)


def test_kernels_are_made_square_where_they_can_be(tmp_path):
    """3x1 and 1x5 kernels and padding on one side only get zero taps: the library reads the file with its checks on."""
    rng = np.random.default_rng(0)
    layers = [
        gx.Conv2d(networks.levels(rng, (4, 2, 3, 1)), padding=(1, 0)),
        gx.Activation(r=0.5),
        gx.Pad2d((0, 1, 1, 0)),
    ]
    layers += [gx.Conv2d(networks.levels(rng, (5, 4, 2, 2))), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(networks.levels(rng, (3, 5 * 49)))]
    network = gx.TernaryNetwork((2, 7, 7), None, layers)
    made = write_nir(gx.compile(network), tmp_path / "a.nir")
    assert made.notes == []
    kernels = {n.weight.shape[2:] for n in nir.read(tmp_path / "a.nir").nodes.values() if isinstance(n, nir.Conv2d)}
    assert kernels == {(3, 3)}
    frames = networks.frames(rng, network, 20)
    assert executed(gx.compile(network), [("a", frames)]) > 500
    assert models.same_integers(network, from_nir(tmp_path / "a.nir")[0], frames) > 500


def test_a_kernel_that_cannot_be_made_square_is_noted(tmp_path):
    rng = np.random.default_rng(0)
    layers = [
        gx.Conv2d(networks.levels(rng, (4, 2, 2, 3))),
        gx.Activation(),
        gx.Flatten(),
        gx.Dense(networks.levels(rng, (3, 120))),
    ]
    graph = gx.compile(gx.TernaryNetwork((2, 7, 7), None, layers))
    made = write_nir(graph, tmp_path / "a.nir")
    assert made.notes == [
        "node 'conv1_weights': a 2x3 kernel cannot be made square; nir up to 1.0.8 reads the file with "
        "nir.read(path, type_check=False) only"
    ]
    executed(graph, [("a", rng.integers(-1, 2, (4, 2, 7, 7)).astype(np.int8))])


# ------------------------------------------------------------------------------------------------------- bad files


def test_everything_wrong_with_a_graph_is_listed(tmp_path):
    square = np.eye(3, dtype=np.float32)
    nodes = ends((3,), (3,)) | {
        "a": nir.Linear(square),
        "t": nir.Threshold(np.full(3, 0.5, np.float32)),
        "neuron": nir.LIF(*(np.ones(3, np.float32) for _ in range(4)), v_reset=np.zeros(3, np.float32)),
        "lost": nir.Linear(square),
    }
    edges = [("input", "a"), ("a", "t"), ("t", "a"), ("t", "neuron"), ("neuron", "output"), ("nowhere", "t")]
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, edges, type_check=False))
    with pytest.raises(NetworkError) as error:
        from_nir(tmp_path / "a.nir")
    found = [problem.removeprefix(f"{tmp_path / 'a.nir'}: ") for problem in error.value.problems]
    assert found[0].startswith("node 'neuron': LIF is not supported; known are Input, Output, Affine")
    assert found[1:] == [
        "edge 'nowhere' -> 't': there is no node 'nowhere'",
        "nodes a -> t -> a form a cycle; gxevent's networks are feed-forward",
        "node 'lost': nothing leads to it",
        "node 'lost': leads nowhere",
    ]


def test_files_that_are_not_nir(tmp_path):
    import h5py

    (tmp_path / "a.nir").write_bytes(b"\x89HDF\r\n\x1a\n" + b"cut short")
    with h5py.File(tmp_path / "b.nir", "w") as file:
        file["x"] = 1
    for name in "ab":
        with pytest.raises(FormatError, match="not a NIR graph, or damaged"):
            from_nir(tmp_path / f"{name}.nir")


@pytest.mark.parametrize(
    ("first", "weight", "words"),
    [
        ((4,), np.ones((3, 5)), r"node 'a' \(Linear\): weights \(3, 5\) do not fit an input of shape \(4,\)"),
        ((2, 2, 2), np.ones((3, 8)), r"do not fit an input of shape \(2, 2, 2\)"),
        ((4,), np.array([[0.3, 1, 0, 0.7]] * 3), "not ternary up to a scale: nearest ternary is 0.3 off"),
    ],
)
def test_shapes_and_weights_that_do_not_fit(tmp_path, first, weight, words):
    nodes = ends(first, (3,)) | {"a": nir.Linear(weight.astype(np.float32))}
    nir.write(tmp_path / "a.nir", nir.NIRGraph(nodes, [("input", "a"), ("a", "output")], type_check=False))
    with pytest.raises(UnsupportedError, match=words):
        from_nir(tmp_path / "a.nir")
