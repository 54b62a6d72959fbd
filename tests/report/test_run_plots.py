"""Plots of runs, samples and simulations show the numbers they are made of."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gxevent as gx
from gxevent.analysis.operations import Count, Operations, operation_table
from gxevent.analysis.raster import trace_recording
from gxevent.report import chip_plots, plots, raster_plots, style

pytest.importorskip("matplotlib", reason="plots need matplotlib")


@pytest.fixture(scope="module")
def record(made) -> gx.RunRecord:
    return gx.load_run(made / "run")


def widths(axis) -> list[float]:
    return [bar.get_width() for bar in axis.patches]


def test_confusion_names_every_count(record):
    figure = plots.confusion(record)
    written = {(int(t.get_position()[1]), int(t.get_position()[0])): int(t.get_text()) for t in figure.axes[0].texts}
    assert written == {(i, j): n for (i, j), n in np.ndenumerate(record.confusion) if n}
    with pytest.raises(gx.OptionError, match="needs labels"):
        plots.confusion(gx.RunRecord((), record.summary, record.classes))


def test_resting_shows_every_projection_of_every_run(record):
    figure = plots.resting({"one": record, "two": record})
    shares = list(record.summary["resting_probability_by_layer"].values())
    assert widths(figure.axes[0]) == shares * 2
    (line,) = figure.axes[0].lines
    assert line.get_xdata()[0] == 5 / 9


def test_operations_end_where_their_counts_end(record):
    rows = operation_table(record.summary)
    axis = plots.operations(rows).axes[0]
    ends = [0.0] * len(rows)
    for bar in axis.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends[row], bar.get_x() + bar.get_width())
    assert ends == [sum(getattr(r, k).high for k in ("multiply", "accumulate", "xnor", "bitcount")) for r in rows]
    nothing = Count(0, 0)
    bound = Operations("bound", nothing, Count(0, 10), nothing, nothing, nothing)
    faint = [bar for bar in plots.operations([bound]).axes[0].patches if bar.get_alpha() == 0.25 and bar.get_width()]
    assert [bar.get_width() for bar in faint] == [10]


def test_latency_counts_every_sample(record):
    axis = plots.latency(record).axes[0]
    assert sum(bar.get_height() for bar in axis.patches) == len(record.rows)
    times = [row.latency_us for row in record.rows]
    lines = [line.get_xdata()[0] for line in axis.lines]
    assert lines == pytest.approx([np.percentile(times, 50), np.percentile(times, 99)])


def test_events_by_class_are_those_of_the_rows(record):
    groups = plots.events_by_class(record)
    assert sum(map(len, groups.values())) == len(record.rows)
    assert sum(v.sum() for v in groups.values()) == sum(record.summary["events"].values())
    medians = [line.get_ydata()[0] for line in plots.class_events(record).axes[0].lines if line.get_linewidth() == 1.2]
    assert medians == [np.median(v) for v in groups.values()]


@pytest.mark.parametrize("looks", [20, 400])
def test_the_raster_shows_a_dot_an_event(digits, looks):
    made = trace_recording(digits, gx.open_dataset(gx.shipped("digits_test.zip")).load(9), looks=looks)
    figure = raster_plots.raster(made)
    assert [axis.get_ylabel() for axis in figure.axes] == ["input", "pool1", "pool2", "dense1", "scores"]
    for axis, (name, spikes) in zip(figure.axes, made.spikes.items(), strict=False):
        picture = np.asarray(axis.images[0].get_array())
        column = picture.shape[1] // len(made.t_us)
        lit = picture[:, ::column, 3].any(axis=0)
        assert lit.tolist() == np.isin(made.t_us, spikes.t_us).tolist(), name
    curves = {line.get_label(): line.get_ydata() for line in figure.axes[-1].lines}
    np.testing.assert_array_equal(curves[made.prediction], made.scores[:, int(made.prediction)])


def test_maps_show_every_channel(digits):
    recording = gx.open_dataset(gx.shipped("digits_test.zip")).load(9)
    trace = gx.Engine(digits).trace(gx.events.encode_stream(digits.encoder, recording, digits.input.shape))
    figure = raster_plots.maps(digits, trace)
    for axis, (name, levels) in zip(figure.axes, trace.outputs.items(), strict=False):
        picture = axis.images[0].get_array()
        strong = picture[..., 3] > 0.2
        assert int(strong.sum()) == np.count_nonzero(levels), name
        assert f"{np.count_nonzero(levels):,} of {levels.size:,}" in axis.get_title()
    assert widths(figure.axes[-1]) == pytest.approx(sorted(trace.scores.tolist(), reverse=True))


def test_energy_and_steps_of_simulations(made):
    summary = json.loads((made / "sim.json").read_text())
    axis = chip_plots.energy_bands({"one": summary}).axes[0]
    parts = [band["value"] for band in summary["energy_nj"]["parts"].values() if band and band["value"]]
    assert sorted(widths(axis)) == pytest.approx(sorted(parts))
    (whisker,) = axis.collections[0].get_segments()
    total = summary["energy_nj"]["total"]
    assert whisker[:, 0].tolist() == pytest.approx([total["low"], total["high"]])
    steps = chip_plots.step_times({"one": summary}).axes[0]
    assert widths(steps) == pytest.approx([layer["latency_us"] for layer in summary["layers"]])
    unknown = summary | {"energy_nj": summary["energy_nj"] | {"total": None, "parts": {}}, "layers": None}
    assert not chip_plots.energy_bands({"none": unknown}).axes[0].patches
    assert not chip_plots.step_times({"none": unknown}).axes[0].patches


def test_inline_svg_keeps_ids_apart_and_letters_as_text(record):
    with style.page_style():
        one, two = (style.inline_svg(plots.latency(record), label) for label in ("one", 'two "quoted"'))
    assert 'aria-label="two &quot;quoted&quot;"' in two
    assert ">host time of a sample, µs</text>" in one
    assert "var(--c0)" in one
    assert "<title>" in one, "bars say their numbers"
    ids = [{part.split('"')[0] for part in text.split(' id="')[1:]} for text in (one, two)]
    assert ids[0]
    assert not ids[0] & ids[1]
