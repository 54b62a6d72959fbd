"""The raster of a recording: what it lists is what the levels did between looks."""

from __future__ import annotations

import numpy as np
import pytest

import gxevent as gx
from gxevent.analysis.raster import trace_recording


@pytest.fixture(scope="module")
def graph() -> gx.EventGraph:
    return gx.compile(gx.load_network(gx.shipped("digits.gxn")))


@pytest.mark.parametrize("window", [None, "60ms"])
def test_spikes_are_the_levels_that_became_another(graph, window):
    recording = gx.open_dataset(gx.shipped("digits_test.zip")).load(7)
    made = trace_recording(graph, recording, window=window, looks=25, sample="s", label="0")
    session = gx.Engine(graph).stream(window=window)
    before = {name: np.zeros(size, np.int8) for name, size in made.units.items()}
    t, at, found = recording.events["t"], 0, 0
    for k, now in enumerate(made.t_us.tolist()):
        end = int(np.searchsorted(t, now, side="right"))
        session.push(recording.events[at:end])
        scores = session.engine.scores(session.settle(now)[None])[0]
        np.testing.assert_array_equal(scores, made.scores[k])
        for name, levels in session.outputs().items():
            spikes = made.spikes[name]
            here = spikes.t_us == now
            levels = levels.ravel()
            sent = np.flatnonzero((levels != before[name]) & (levels != 0))
            assert spikes.unit[here].tolist() == sent.tolist()
            assert spikes.level[here].tolist() == levels[sent].tolist()
            before[name], found = levels.copy(), found + len(sent)
        at = end
    assert found == sum(len(spikes.unit) for spikes in made.spikes.values()) > 100
    assert list(made.spikes) == ["input", "pool1", "pool2", "dense1"]


def test_the_end_is_the_decision_of_the_whole_recording(graph):
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=5)
    rows = gx.run_dataset(graph, dataset).rows
    assert [trace_recording(graph, stream, looks=9).prediction for _, stream in dataset] == [r.prediction for r in rows]


def test_a_recording_without_events_is_refused(graph):
    empty = gx.EventStream(np.empty(0, gx.open_dataset(gx.shipped("digits_test.zip")).load(0).events.dtype), 16, 16)
    with pytest.raises(gx.OptionError, match="nothing here: holds no events"):
        trace_recording(graph, empty, sample="nothing here")
