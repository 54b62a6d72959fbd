"""Brian2, built from the event graph alone, gives the engine's events, accumulators and scores."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

import gxevent as gx
from gxevent import connectivity
from gxevent.graph import ALWAYS, NEVER, EventGraph, Population, Projection
from gxevent.runtime import Engine, encode_samples, reference
from tests import networks

pytest.importorskip("brian2", reason="the Brian2 cross-check needs brian2")

from gxevent.crosscheck.brian2 import crosscheck_brian2
from gxevent.crosscheck.brian2_runtime import brian2_target

RNG = np.random.default_rng(0)


def named(frames: np.ndarray) -> list:
    return [(f"sample {i}", frame[None]) for i, frame in enumerate(frames)]


def assert_equal(graph: EventGraph, frames: np.ndarray, **more) -> None:
    """Brian2 agrees with the engine on everything there is to compare."""
    report = crosscheck_brian2(graph, named(frames), **more)
    assert report.equal, report.line()
    assert report.samples == len(frames)
    assert report.populations_compared == len(graph.populations)
    expected = reference.run_graph(graph, frames)
    assert report.events_compared == sum(int(n.sum()) for n in expected.events.values())
    sizes = [p.size * (p.sends_events + (p.role != "input")) for p in graph.populations.values()]
    assert report.values_compared == len(frames) * (sum(sizes) + graph.readout.size)


def norm(channels: int) -> gx.BatchNorm:
    """Both signs of gamma, so both polarities, and a constant channel."""
    gamma = np.where(np.arange(channels) % 2, 1.0, -1.0)
    gamma[-1] = 0.0
    return gx.BatchNorm(gamma, 0.3 * RNG.normal(size=channels), RNG.normal(size=channels), np.full(channels, 4.0))


def conv(out: int, inputs: int = 2, kernel: int = 3, n: int = 1, groups: int = 1, **more) -> gx.Conv2d:
    weight = networks.levels(RNG, (out, inputs // groups, kernel, kernel), n)
    return gx.Conv2d(weight, groups=groups, levels=n, **more)


TERNARY, BINARY, GRADED = gx.Activation(r=0.25), gx.Activation(levels=0), gx.Activation(levels=3, r=0.1)


def residual(activation: gx.Activation) -> list:
    """A block whose skip passes two layers, so that its events wait for the branch."""
    first = replace(activation, name="trunk")
    branch = [conv(3, 3, padding=1, name="a"), norm(3), replace(activation, name="b"), conv(3, 3, padding=1, name="c")]
    return [conv(3), norm(3), first, *branch, gx.Add(inputs=("trunk", "c")), norm(3), activation]


def two_readers() -> list:
    """Sums that two layers read: a population hands them on to both."""
    sums, pool = conv(3, padding=1, name="sums"), gx.MaxPool2d(3, 1, 1, inputs=("sums",), name="pool")
    return [sums, pool, gx.Add(inputs=("sums", "pool")), norm(3), TERNARY]


CASES: dict[str, tuple[list, int, int]] = {
    "conv with stride, padding and dilation": ([conv(4, stride=(2, 1), padding=(2, 1), dilation=(1, 2))], 80, 1),
    "conv in groups": ([conv(6, 4, groups=2), norm(6), TERNARY], 120, 1),
    "max-pool of sums, padding": ([conv(4), gx.MaxPool2d(2, 1, 1), norm(4), TERNARY], 120, 1),
    "max-pool of sums, wide": ([conv(4, padding=1), gx.MaxPool2d(3, 2, 1), norm(4), TERNARY], 48, 1),
    "max-pool of events, padding": ([conv(4), norm(4), TERNARY, gx.MaxPool2d(2, 1, 1)], 120, 1),
    "max-pool of binary events": ([conv(4), norm(4), BINARY, gx.MaxPool2d(2)], 16, 1),
    "max-pool of graded events": ([conv(4), norm(4), GRADED, gx.MaxPool2d(2, 1, 1)], 120, 1),
    "average pool of sums": ([conv(4), gx.AvgPool2d(2, 2, 1), norm(4), TERNARY], 36, 1),
    "sum pool of events": ([conv(4), norm(4), TERNARY, gx.SumPool2d((2, 3)), norm(4), TERNARY], 8, 1),
    "residual, ternary": (residual(TERNARY), 60, 1),
    "residual, graded": (residual(GRADED), 60, 1),
    "residual, binary": (residual(BINARY), 60, 1),
    "sums with two readers": (two_readers(), 126, 1),
    "multi-level weights and activations": ([conv(4, n=3), norm(4), GRADED], 80, 1),
    "graded input": ([conv(4), gx.MaxPool2d(2), norm(4), TERNARY], 16, 7),
    "binary input": ([conv(4), norm(4), BINARY], 80, 0),
}
"""Layers over an input of (2, 7, 6), or (4, 7, 6) for groups; units behind them; N of the input's space Z_N."""


@pytest.mark.parametrize("case", CASES)
def test_brian2_equals_the_engine(case):
    layers, size, input_levels = CASES[case]
    channels = 4 if "groups" in case else 2
    readout = gx.Dense(networks.levels(RNG, (3, size)))
    trunk = layers if isinstance(layers[-1], gx.Activation | gx.MaxPool2d) else [*layers, TERNARY]
    net = gx.TernaryNetwork((channels, 7, 6), None, [*trunk, gx.Flatten(), readout, norm(3)], input_levels=input_levels)
    assert_equal(gx.compile(net), networks.frames(RNG, net, 4))


@settings(max_examples=settings().max_examples // 12)  # setting up Brian2 takes half a second
@given(networks.networks())
def test_random_networks_equal_the_engine(net):
    assert_equal(gx.compile(net), networks.frames(np.random.default_rng(1), net, 4))


def hand_built(input_levels: int = 1) -> EventGraph:
    """What no compiler makes: gains, a max-pool among other projections, skips of one layer and of two, and units that
    reach both thresholds at once."""
    fire = {"hi": np.array([[1], [ALWAYS]], np.int32), "lo": np.array([[1], [NEVER]], np.int32)}
    middle = Population("middle", (2, 4, 4), "fire", **fire, polarity=np.array([-1, 1], np.int8))
    limits = {"hi": np.array([[2], [3]], np.int32), "lo": np.array([[-2], [-4]], np.int32)}
    last = Population("last", (2, 2, 2), "fire", **limits, polarity=np.array([1, -1], np.int8))
    pool = connectivity.Pool2d((2, 4, 4), (2, 2, 2), (2, 2), (2, 2), (0, 0, 0, 0), (1, 1), "max")
    total = replace(pool, mode="sum")
    sparse = connectivity.Sparse.from_connections((2, 4, 4), (2, 2, 2), [0, 0, 31, 5], [0, 7, 3, 3], [2, -3, 0, 1])
    readout = connectivity.Dense((2, 2, 2), (2,), networks.levels(RNG, (2, 8), 2))
    return EventGraph.of(
        [
            Population("input", (2, 4, 4), "input", levels=input_levels),
            middle,
            last,
            Population("scores", (2,), "readout"),
        ],
        [
            Projection("up", "input", "middle", connectivity.Identity((2, 4, 4), (2, 4, 4))),
            Projection("highest", "middle", "last", pool, gain=-3),
            Projection("skip", "input", "last", total, gain=2),
            Projection("far", "input", "last", sparse, gain=-1),
            Projection("highest input", "input", "last", pool, gain=2),
            Projection(
                "straight", "input", "scores", connectivity.Dense((2, 4, 4), (2,), networks.levels(RNG, (2, 32)))
            ),
            Projection("out", "last", "scores", readout),
        ],
    )


@pytest.mark.parametrize("input_levels", [1, 3])
def test_a_graph_built_by_hand_equals_the_engine(input_levels):
    assert_equal(hand_built(input_levels), networks.levels(RNG, (6, 2, 4, 4), input_levels))


def test_more_samples_than_fit_at_once_and_several_windows(monkeypatch):
    from gxevent.crosscheck import brian2

    graph = hand_built()
    monkeypatch.setattr(brian2, "MEMORY", 3 * brian2.BYTES_A_UNIT * graph.units)  # three windows a go
    frames = networks.levels(RNG, (8, 2, 4, 4))
    report = crosscheck_brian2(graph, [("long", frames[:5]), ("short", frames[5:])])
    assert report.equal, report.line()
    assert (report.samples, report.values_compared) == (2, 8 * (32 + 2 * 32 + 2 * 8 + 2 * 2))


def test_the_shipped_network_on_its_recordings():
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    data = gx.open_dataset(gx.shipped("digits_test.zip"), limit=40)
    report = crosscheck_brian2(graph, ((s.id, s.frames) for s in encode_samples(graph, data)))
    assert report.equal, report.line()
    assert report.samples == 40
    assert report.events_compared > 40 * 2000


def falsified(graph: EventGraph, projection: str) -> EventGraph:
    """The graph with one weight of one projection changed."""
    p = graph.projections[projection]
    weight = p.rule.weight.copy()
    weight.flat[7] = 1 if weight.flat[7] <= 0 else -1
    changed = replace(p, rule=replace(p.rule, weight=weight))
    return EventGraph(graph.populations, {**graph.projections, projection: changed})


def test_one_changed_weight_is_found_and_named():
    graph = gx.compile(networks_small())
    other = falsified(graph, "dense1")
    frames = networks.levels(RNG, (5, 2, 7, 6))
    report = crosscheck_brian2(other, named(frames), engine=Engine(graph))
    assert not report.equal
    expected, got = (reference.run_graph(g, frames).accumulators["dense1"] for g in (other, graph))
    sample, unit = np.argwhere(expected != got)[0].tolist()
    first = report.first_mismatch
    assert (first.sample, first.population, first.unit) == (f"sample {sample}", "dense1", unit)
    assert (first.quantity, first.expected, first.got) == ("accumulator", expected[sample, unit], got[sample, unit])
    assert report.mismatches_by_population["dense1"] >= np.count_nonzero(expected != got)
    assert "conv1" not in report.mismatches_by_population
    for word in (f"'sample {sample}'", "'dense1'", f"unit {unit}", f"expected {expected[sample, unit]}"):
        assert word in report.line()


def networks_small() -> gx.TernaryNetwork:
    rng = np.random.default_rng(3)
    layers = [conv(4, padding=1), gx.MaxPool2d(2), norm(4), TERNARY, gx.Flatten()]
    return gx.TernaryNetwork((2, 7, 6), None, [*layers, gx.Dense(networks.levels(rng, (5, 36)))])


def test_frames_and_targets_that_do_not_fit_are_refused(monkeypatch):
    graph = hand_built()
    with pytest.raises(gx.ShapeError, match=r"expected shape \(n, 2, 4, 4\)"):
        crosscheck_brian2(graph, [("a", np.zeros((1, 2, 5, 4), np.int8))])
    with pytest.raises(gx.OptionError, match="expected one of numpy, cython, standalone, got 'gpu'"):
        crosscheck_brian2(graph, [], target="gpu")
    monkeypatch.setattr(shutil, "which", lambda tool: None)
    with pytest.raises(gx.OptionError, match=r"no make and no g\+\+: use numpy"):
        crosscheck_brian2(graph, [], target="standalone")


def test_brian2_is_left_as_it_was_found():
    import brian2

    before = brian2.prefs.codegen.target, brian2.get_device()

    def fail() -> None:
        with brian2_target("standalone"):
            assert brian2.get_device() is not before[1]
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with brian2_target("numpy"):
        assert brian2.prefs.codegen.target == "numpy"
    assert (brian2.prefs.codegen.target, brian2.get_device()) == before


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("make") and shutil.which("g++")), reason="needs make and g++")
def test_standalone_equals_the_engine():
    """The smallest graph there is: each Brian2 object more is C++ to compile."""
    rule = connectivity.Dense((6,), (3,), networks.levels(RNG, (3, 6)))
    graph = EventGraph.of(
        [Population("input", (6,), "input"), Population("scores", (3,), "readout")],
        [Projection("out", "input", "scores", rule)],
    )
    assert_equal(graph, networks.levels(RNG, (70, 6)), target="standalone")
