"""The mixed-signal study: exact without leak and jitter, worse with them, and plain about what it cannot model."""

from __future__ import annotations

import io
from dataclasses import replace
from math import exp, inf

import numpy as np
import pytest

import gxevent as gx
from gxevent import connectivity
from gxevent.graph import EventGraph, Population, Projection
from tests import networks

pytest.importorskip("brian2", reason="the mixed-signal study needs brian2")

from gxevent.crosscheck.mixed_signal import Circuit, Degradation, Losses, study

RNG = np.random.default_rng(5)


def network(activation: gx.Activation, pool_first: bool = True) -> gx.TernaryNetwork:
    """A pool in front of or behind the threshold, then a convolution with a skip around it; both polarities."""
    gamma = np.array([1.0, -1.0, 1.0, -1.0])
    norms = [gx.BatchNorm(gamma, 0.3 * RNG.normal(size=4), RNG.normal(size=4), np.full(4, 4.0)) for _ in range(2)]
    pool = gx.MaxPool2d(2)
    block = [pool, norms[0], activation] if pool_first else [norms[0], activation, pool]
    block[-1] = replace(block[-1], name="trunk")
    layers = [gx.Conv2d(networks.levels(RNG, (4, 2, 3, 3)), padding=1), *block]
    layers += [gx.Conv2d(networks.levels(RNG, (4, 4, 3, 3)), padding=1, name="second")]
    layers += [gx.Add(inputs=("trunk", "second"), name="sum"), norms[1], activation, gx.Flatten()]
    return gx.TernaryNetwork((2, 6, 6), None, [*layers, gx.Dense(networks.levels(RNG, (3, 36)))])


def samples(net: gx.TernaryNetwork, n: int = 5) -> list:
    return [(f"sample {i}", frame[None]) for i, frame in enumerate(networks.frames(RNG, net, n))]


@pytest.mark.parametrize("pool_first", [True, False])
@pytest.mark.parametrize("levels", [0, 1])
def test_without_leak_and_jitter_it_is_the_exact_network(levels, pool_first):
    net = network(gx.Activation(levels=levels, r=0.25), pool_first)
    calm, leaky = Circuit(steps=6), Circuit(time_constant=40, calibrated=True, steps=6)
    for result in study(gx.compile(net), samples(net), [calm, leaky]):
        assert result.decisions_changed == 0
        assert result.total("exact") > 0
        assert (result.total("lost"), result.total("spurious"), result.total("early")) == (0, 0, 0)


def test_leak_and_jitter_lose_events_the_more_the_stronger():
    net = network(gx.Activation(r=0.25))
    circuits = [Circuit(time_constant=t, steps=8) for t in (40, 2)] + [Circuit(jitter=j, steps=8) for j in (1, 4)]
    found = study(gx.compile(net), samples(net, 10), circuits)
    weak_leak, strong_leak, little_jitter, much_jitter = (result.total("lost") for result in found)
    assert weak_leak < strong_leak
    assert little_jitter < much_jitter
    assert all(set(result.populations) == {"pool1", "sum"} for result in found)


def one_unit(weights: list[int], hi: int) -> EventGraph:
    """Inputs into one unit with thresholds ±hi, and a read-out that repeats it."""
    n = len(weights)
    limits = {"hi": np.array([[hi]], np.int32), "lo": np.array([[-hi]], np.int32)}
    return EventGraph.of(
        [
            Population("input", (n,), "input"),
            Population("unit", (1,), "fire", **limits, polarity=np.ones(1, np.int8)),
            Population("scores", (1,), "readout"),
        ],
        [
            Projection("in", "input", "unit", connectivity.Dense((n,), (1,), np.array([weights], np.int8))),
            Projection("out", "unit", "scores", connectivity.Dense((1,), (1,), np.ones((1, 1), np.int8))),
        ],
    )


@pytest.mark.parametrize(("time_constant", "fires"), [(20.0, False), (60.0, True)])
def test_a_unit_decays_as_the_model_says(time_constant, fires):
    """Eight events of weight 1 arrive half a window before the strobe; the comparator of hi = 7 lies at 6.5."""
    assert (8 * exp(-5 / time_constant) >= 6.5) == fires
    graph = one_unit([1] * 8, 7)
    (result,) = study(graph, [("a", np.ones((1, 8), np.int8))], [Circuit(time_constant=time_constant)])
    assert result.populations["unit"] == Losses(exact=1, lost=0 if fires else 1)


def test_comparators_that_do_not_wait_fire_early_and_wrongly():
    """A unit that rests above its threshold fires as soon as its comparator opens, before what would stop it."""
    graph = one_unit([-1] * 4, 0)  # sums of -4 end below, but an empty membrane is above the comparator
    frames = [("a", np.ones((1, 4), np.int8))]
    strobed, open_early = study(graph, frames, [Circuit(), Circuit(opens=0.2)])
    assert strobed.populations["unit"] == Losses(exact=1)
    assert open_early.populations["unit"].early == 1


def test_decisions_and_labels_are_counted():
    net = network(gx.Activation(r=0.25))
    graph, data = gx.compile(net), samples(net, 6)
    exact = gx.Engine(graph).run(np.concatenate([frames for _, frames in data])).predictions
    labels = {name: graph.classes[int(k)] for (name, _), k in zip(data, exact, strict=True)}
    (result,) = study(graph, data, [Circuit(time_constant=1.0, steps=6)], labels=labels)
    assert result.correct_exact == 6
    assert result.correct == 6 - result.decisions_changed
    assert result.decisions_changed == sum(
        labels[name] != d for (name, _), d in zip(data, result.decisions, strict=True)
    )
    assert f"{result.decisions_changed} of 6 decisions changed" in result.line()


def test_what_it_cannot_model_is_named():
    graded = gx.compile(network(gx.Activation(levels=3)))
    with pytest.raises(gx.UnsupportedError, match=r"'pool1' sends graded events \(Z_3\)"):
        study(graded, [], [Circuit()])
    conv = gx.Conv2d(networks.levels(RNG, (2, 1, 3, 3)))
    layers = [conv, gx.AvgPool2d(2), gx.Activation(), gx.Flatten(), gx.Dense(networks.levels(RNG, (2, 8)))]
    with pytest.raises(gx.UnsupportedError, match="'conv1' hands on its sums otherwise than to one max-pool"):
        study(gx.compile(gx.TernaryNetwork((1, 6, 6), None, layers)), [], [Circuit()])


def test_circuits_that_make_no_sense_are_refused():
    for wrong in ({"time_constant": 0}, {"time_constant": float("nan")}, {"jitter": -1}, {"opens": 1.5}, {"steps": 1}):
        with pytest.raises(gx.OptionError, match="circuit: "):
            Circuit(**wrong)
    graph = one_unit([1], 1)
    with pytest.raises(gx.OptionError, match="same window"):
        study(graph, [], [Circuit(window=10), Circuit(window=20)])
    with pytest.raises(gx.OptionError, match="use numpy or cython"):
        study(graph, [], [Circuit()], target="standalone")
    with pytest.raises(gx.ShapeError, match="at least one sample"):
        study(graph, [], [Circuit()])


def test_the_plot_shows_the_figures():
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    from gxevent.crosscheck.mixed_signal_plot import degradation

    results = [
        Degradation(Circuit(t, jitter), 10, changed, {"a": Losses(100, changed, 2 * changed)})
        for t, jitter, changed in [(10, 0, 4), (20, 0, 2), (inf, 0, 0), (10, 1, 5), (20, 1, 3), (inf, 1, 1)]
    ]
    figure = degradation(results)
    above, below = figure.axes
    np.testing.assert_allclose(above.lines[0].get_ydata(), [0.6, 0.8, 1.0])
    np.testing.assert_allclose(above.lines[1].get_xdata(), [10, 20, 40])
    np.testing.assert_allclose(below.lines[1].get_ydata(), [0.08, 0.04, 0.0])
    image = io.BytesIO()
    figure.savefig(image, format="png")
    assert image.getvalue().startswith(b"\x89PNG")
    with pytest.raises(gx.OptionError, match="two of time_constant, jitter, opens"):
        degradation(results, x="seed")
