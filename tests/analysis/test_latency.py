"""Latency and event-count studies: figures follow from the decisions they are made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gxevent as gx
from gxevent.analysis.latency import (
    DecisionTrace,
    LatencyStudy,
    Percentiles,
    accuracy_by_activity,
    activity_over_time,
    study_latency,
    write_csv,
)
from gxevent.events import encode_stream
from tests import networks


@pytest.fixture(scope="module")
def graph() -> gx.EventGraph:
    return gx.compile(gx.load_network(gx.shipped("digits.gxn")))


def trace(label: str, predictions: list[int], step: int = 10) -> DecisionTrace:
    n = len(predictions)
    t = np.arange(n, dtype=np.int64) * 100
    return DecisionTrace("s", label, t, step * np.arange(1, n + 1), np.array(predictions), np.zeros((n, 2)), np.ones(n))


def test_decision_latency_is_where_the_decision_stays():
    study = LatencyStudy((trace("b", [0, 1, 0, 1, 1]), trace("a", [0, 0]), trace("a", [1])), ("a", "b"), 10)
    latency = study.decision_latency()
    assert latency["time_us"].tolist() == [300, 0, 0]
    assert latency["events"].tolist() == [40, 10, 10]


def test_the_anytime_curve_counts_what_is_right_so_far():
    study = LatencyStudy((trace("b", [0, 1, 0, 1, 1]), trace("a", [0, 0])), ("a", "b"), 10)
    n, accuracy = study.anytime(points=5)
    assert n.tolist() == [10, 20, 30, 40, 50]
    assert accuracy.tolist() == [0.5, 1.0, 0.5, 1.0, 1.0]
    with pytest.raises(gx.OptionError, match="needs labels"):
        LatencyStudy((trace("", [0]),), ("a",), 1).anytime()


def test_percentiles():
    assert Percentiles.of(np.arange(101.0)) == Percentiles(50.0, 90.0, 99.0, 100.0)
    assert Percentiles.of(np.empty(0)) == Percentiles(0.0, 0.0, 0.0, 0.0)


def test_a_study_of_shipped_recordings(graph, tmp_path):
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=12)
    study = study_latency(graph, dataset, step=10)
    assert len(study.traces) == 12
    n, accuracy = study.anytime()
    final = [t.label == study.classes[t.predictions[-1]] for t in study.traces]
    assert accuracy[-1] == np.mean(final)
    counts, edges = study.histogram(20)
    assert counts.sum() == study.summary()["decisions"]
    assert (np.diff(edges) > 0).all()
    latency = study.decision_latency()
    for made, events in zip(study.traces, latency["events"], strict=True):
        settled = made.predictions[made.events_seen >= events]
        assert (settled == made.predictions[-1]).all()
    write_csv(tmp_path / "anytime.csv", {"events": n, "accuracy": accuracy})
    assert (tmp_path / "anytime.csv").read_text().splitlines()[0] == "events,accuracy"


@pytest.mark.parametrize("step", [1, 7, 10_000])
def test_the_last_decision_is_that_of_the_whole_recording(graph, step):
    dataset = gx.open_dataset(gx.shipped("digits_test.zip"), limit=24)
    record = gx.run_dataset(graph, dataset)
    study = study_latency(graph, dataset, step=step)
    assert [study.classes[t.predictions[-1]] for t in study.traces] == [row.prediction for row in record.rows]
    assert [t.events_seen[-1] for t in study.traces] == [row.input_events for row in record.rows]
    assert study.anytime()[1][-1] == record.summary["accuracy"]


def test_activity_over_time_equals_frames_of_the_same_windows(graph):
    recording = gx.open_dataset(gx.shipped("digits_test.zip")).load(2)
    activity = activity_over_time(graph, recording, "40ms", points=9)
    engine = gx.Engine(graph)
    for i, now in enumerate(activity.t_us.tolist()):
        t = recording.events["t"]
        part = recording.events[(t > now - 40_000) & (t <= now)]
        begin = now - 40_000 + 1
        frame = np.zeros(graph.input.shape, np.int8)
        bins = (part["t"] - begin) * 2 // 40_000
        frame[bins * 2 + (~part["p"]).astype(int), part["y"], part["x"]] = 1
        counts = engine.run(frame).counts
        assert {name: int(n[i]) for name, n in activity.events.items()} == {
            k: int(v[0]) for k, v in counts.events.items()
        }
        assert {k: int(v[0]) for k, v in counts.open_gates.items()} == {
            k: int(v[i]) for k, v in activity.open_gates.items()
        }
        for name, share in counts.resting_probability_by_layer.items():
            assert activity.resting[name][i] == pytest.approx(share)


def test_accuracy_by_activity_groups_every_labelled_sample(graph):
    record = gx.run_dataset(graph, gx.open_dataset(gx.shipped("digits_test.zip")))
    groups = accuracy_by_activity(record, groups=6)
    assert groups.samples.tolist() == [60] * 6
    assert (np.diff(groups.open_gates) > 0).all()
    assert (np.diff(groups.resting) < 0).all()
    assert groups.accuracy.mean() == pytest.approx(record.summary["accuracy"])
    assert groups.resting.mean() == pytest.approx(record.summary["resting_probability"])
    with pytest.raises(gx.OptionError, match="needs labels"):
        accuracy_by_activity(gx.RunRecord((), record.summary, ()))


def test_what_cannot_be_studied(graph, tmp_path):
    (tmp_path / "few.csv").write_text("# width=16 height=16\n0,1,1,1\n5,2,2,0\n")
    dataset = gx.open_dataset(tmp_path / "few.csv")
    with pytest.raises(gx.OptionError, match="needs a network whose encoder takes event streams"):
        study_latency(gx.compile(networks.lenet()), dataset)
    empty = gx.EventStream(np.empty(0, gx.open_events(tmp_path / "few.csv").events.dtype), 16, 16)
    with pytest.raises(gx.OptionError, match="no recording holds an event"):
        study_latency(graph, replace(dataset, _load=lambda sample: empty), step=10)
    with pytest.raises(gx.OptionError, match="holds no events"):
        activity_over_time(graph, empty, "40ms")
    assert encode_stream(graph.encoder, empty, graph.input.shape).sum() == 0
