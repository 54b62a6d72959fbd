"""Stream mode: after any prefix of the events the state equals a from-scratch evaluation of the current window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, strategies as st

import gxevent as gx
from gxevent.events import EVENT_DTYPE
from gxevent.runtime import reference
from gxevent.runtime.plan import available_kernels
from tests import networks


def random_events(rng: np.random.Generator, n: int, width: int, height: int, span: int) -> np.ndarray:
    """n events; times repeat, pause and run on."""
    events = np.zeros(n, EVENT_DTYPE)
    events["t"] = 1_000 + np.sort(rng.integers(0, span, n))
    events["x"], events["y"] = rng.integers(0, width, n), rng.integers(0, height, n)
    events["p"] = rng.integers(0, 2, n)
    return events


def frame_of(encoder: gx.Encoder, shape: tuple[int, ...], events: np.ndarray, begin: int, span: int) -> np.ndarray:
    """Frame of the events of one window, event by event, by the definition."""
    frame, net = np.zeros(shape, np.int8), np.zeros(shape, np.int64)
    for t, x, y, p in events.tolist():
        bin_, x, y = (t - begin) * encoder.bins // span, x // encoder.downsample, y // encoder.downsample
        if encoder.kind == "onoff":
            frame[bin_ * 2 + (not p), y, x] = 1
        else:
            net[bin_, y, x] += 1 if p else -1
    return frame if encoder.kind == "onoff" else np.sign(net).astype(np.int8)


def window_of(events: np.ndarray, window: str, now: int) -> tuple[np.ndarray, int, int]:
    """Events in the window that ends at ``now``, its begin and span."""
    if window.endswith("us"):
        span = int(window[:-2])
        return events[events["t"] > now - span], now - span + 1, span
    kept = events[-int(window[:-2]) :] if window != "all" else events
    return kept, int(kept["t"][0]), int(kept["t"][-1] - kept["t"][0] + 1)


@st.composite
def stream_networks(draw) -> gx.TernaryNetwork:
    """A random network behind an encoder of event streams."""
    network = draw(networks.networks(image=True, input_levels=1))
    bins = draw(st.integers(1, 3))
    kind = draw(st.sampled_from(["onoff", "signed"]))
    downsample = draw(st.integers(1, 2))
    encoder = gx.Encoder(kind, bins=bins, downsample=downsample)
    channels = network.input_shape[0]
    adapter = gx.Conv2d(networks.levels(np.random.default_rng(0), (channels, encoder.channels, 1, 1)), name="adapter")
    first = replace(network.layers[0], inputs=("adapted",))
    layers = [adapter, gx.Activation(name="adapted"), first, *network.layers[1:]]
    return gx.TernaryNetwork((encoder.channels, *network.input_shape[1:]), encoder, layers)


@given(
    stream_networks(),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["all", "7ev", "30ev", "40us", "1us", "500us"]),
    st.sampled_from(["1ev", "3ev", "25ev"]),
    st.sampled_from(available_kernels()),
    st.booleans(),
)
def test_any_prefix_equals_a_fresh_evaluation(network, seed, window, stride, kernel, reevaluate):
    rng = np.random.default_rng(seed)
    graph, encoder = gx.compile(network), network.encoder
    _, height, width = network.input_shape
    k = encoder.downsample
    events = random_events(rng, 60, width * k, height * k, int(rng.integers(1, 400)))
    session = gx.Engine(graph, kernel=kernel).stream(window=window, stride=stride, reevaluate=reevaluate)
    cut = int(rng.integers(0, 60))
    first, second = session.push(events[:cut]), session.push(events[cut:])
    accumulators = np.concatenate([first.accumulators, second.accumulators])
    step = int(stride[:-2])
    assert len(accumulators) == 60 // step
    frames = []
    for end in range(step, 61, step):
        now = int(events["t"][end - 1])
        frames.append(frame_of(encoder, graph.input.shape, *window_of(events[:end], window, now)))
    expected = reference.run_graph(graph, np.array(frames), count=False)
    np.testing.assert_array_equal(accumulators, expected.accumulators[graph.readout.name])
    np.testing.assert_array_equal(np.concatenate([first.scores, second.scores]), expected.scores)
    # the whole state, and what is pending behind the last decision
    session.settle()
    frame = frame_of(encoder, graph.input.shape, *window_of(events, window, int(events["t"][-1])))
    last = reference.run_graph(graph, frame[None], count=False)
    for name, levels in session.outputs().items():
        np.testing.assert_array_equal(levels, last.outputs[name][0], err_msg=name)
    for name, sums in session.accumulators().items():
        np.testing.assert_array_equal(sums, last.accumulators[name][0], err_msg=name)
    active = session.statistics().active
    assert active == {name: np.count_nonzero(q[0]) for name, q in last.outputs.items()}


def shipped() -> tuple[gx.EventGraph, np.ndarray]:
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    return graph, gx.open_dataset(gx.shipped("digits_test.zip")).load(0).events


def test_whole_recordings_give_the_frame_engines_answer():
    from gxevent.events import encode_stream

    graph, _ = shipped()
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=10)
    engine = gx.Engine(graph)
    for _, stream in dataset:
        session = engine.stream(stride="100ev")
        session.push(stream)
        expected = engine.run(encode_stream(graph.encoder, stream, graph.input.shape))
        np.testing.assert_array_equal(session.scores, expected.scores[0])


def test_steps_of_time_see_the_window_up_to_their_end():
    graph, events = shipped()
    engine = gx.Engine(graph)
    session = engine.stream(window_us=50_000, stride_us=10_000)
    updates = [session.push(part) for part in np.array_split(events, 7)]
    times = np.concatenate([u.t_us for u in updates])
    t0 = int(events["t"][0])
    assert times.tolist() == [t0 + 10_000 * (i + 1) - 1 for i in range(len(times))]
    assert times[-1] + 10_000 >= events["t"][-1]
    for now, got in zip(times, np.concatenate([u.accumulators for u in updates]), strict=True):
        seen = events[events["t"] <= now]
        frame = frame_of(graph.encoder, graph.input.shape, *window_of(seen, "50000us", int(now)))
        np.testing.assert_array_equal(engine.run(frame).accumulators[0], got)


@pytest.mark.parametrize(
    ("window", "stride"),
    [
        ("all", None),
        ("50ms", None),
        ("50ms", "20ms"),
        ("20ms", "70ms"),
        ("300ev", None),
        ("300ev", "90ev"),
        ("1ms", None),
    ],
)
def test_a_recording_streamed_past_its_windows_gives_their_frames(window, stride):
    from gxevent.events import encode_stream
    from gxevent.runtime.stream import run_windows

    graph, _ = shipped()
    recording = gx.open_dataset(gx.shipped("digits_test.zip")).load(7)
    engine = gx.Engine(graph)
    streamed = run_windows(engine, recording, window, stride)
    framed = engine.run(encode_stream(graph.encoder, recording, graph.input.shape, window, stride))
    np.testing.assert_array_equal(streamed.accumulators, framed.accumulators)
    expected, counted = (r.counts.events | r.counts.open_gates for r in (framed, streamed))
    for name, values in expected.items():
        np.testing.assert_array_equal(counted[name], values, err_msg=name)


def test_time_passes_without_events():
    graph, events = shipped()
    session = gx.Engine(graph).stream(window_us=1_000)
    session.push(events[:100])
    assert session.held > 0
    silent = session.settle(int(events["t"][99]) + 2_000)
    assert session.held == 0
    np.testing.assert_array_equal(silent, gx.Engine(graph).run(np.zeros(graph.input.shape, np.int8)).accumulators[0])


def test_statistics_count_what_changed():
    graph, events = shipped()
    session = gx.Engine(graph).stream(window="all", reevaluate=False)
    session.push(events[:1])
    statistics = session.statistics()
    assert (statistics.events, statistics.input_changes, statistics.increments) == (1, 1, 1)
    assert statistics.flips["input"] == 1
    channel = int(not events["p"][0])  # a single event lies in the first bin
    unit = graph.flat_unit("input", (channel, int(events["y"][0]), int(events["x"][0])))
    taps = graph.projections["conv1"].rule.connections()[0] == unit
    assert statistics.updates["conv1"] == taps.sum()


def test_reevaluation_is_chosen_for_large_steps_and_changes_nothing():
    graph, events = shipped()
    engine = gx.Engine(graph)
    sessions = [engine.stream(stride="200ev", reevaluate=way) for way in (True, False)]
    results = [session.push(events) for session in sessions]
    np.testing.assert_array_equal(results[0].accumulators, results[1].accumulators)
    assert sessions[1].statistics().reevaluations == 0


class TestBadInput:
    def test_events_out_of_order_and_outside(self):
        graph, events = shipped()
        session = gx.Engine(graph).stream()
        with pytest.raises(gx.FormatError, match=r"event 1: time falls from .* sort the events first"):
            session.push(events[[5, 0]])
        session.push(events[5:6])
        with pytest.raises(gx.FormatError, match="event 1: time falls"):
            session.push(events[:1])
        outside = events[6:8].copy()
        outside["x"][1] = 16
        with pytest.raises(gx.ShapeError, match=r"event 2: x=16 y=\d+ lies outside the network's input of 16x16"):
            session.push(outside)
        with pytest.raises(gx.ShapeError, match="expected a one-dimensional array of EVENT_DTYPE"):
            session.push(np.zeros(3))
        assert len(session.push(events[6:6])) == 0

    def test_windows_that_make_no_sense(self):
        graph, events = shipped()
        engine = gx.Engine(graph)
        with pytest.raises(gx.OptionError, match="stride: expected a count"):
            engine.stream(stride="all")
        with pytest.raises(gx.OptionError, match="window '0us'"):
            engine.stream(window_us=0)
        with pytest.raises(gx.OptionError, match="give window_us or window, not both"):
            engine.stream(window_us=5, window="5us")
        session = engine.stream()
        session.push(events[:9])
        with pytest.raises(gx.OptionError, match="lies before the last event"):
            session.settle(0)
        with pytest.raises(gx.OptionError, match="needs a network whose encoder takes event streams"):
            gx.Engine(gx.compile(networks.lenet())).stream()
