"""Plots show the figures they are made of."""

from __future__ import annotations

import io

import numpy as np
import pytest

import gxevent as gx
from gxevent.analysis.latency import accuracy_by_activity, activity_over_time, study_latency
from gxevent.report import plots, style

pytest.importorskip("matplotlib", reason="plots need matplotlib")


def test_every_plot_draws_its_values(tmp_path):
    graph = gx.compile(gx.load_network(gx.shipped("digits.gxn")))
    recordings = gx.open_dataset(gx.shipped("digits_test.zip"), limit=10)
    study = study_latency(graph, recordings, step=20)
    activity = activity_over_time(graph, recordings.load(0), "60ms", points=20)
    groups = accuracy_by_activity(gx.run_dataset(graph, recordings), groups=2)
    drawn = {
        "anytime": (plots.anytime(study), study.anytime()[1]),
        "activity": (plots.activity(activity), activity.events["input"]),
        "sparsity": (plots.accuracy_by_activity(groups), groups.accuracy),
    }
    for name, (figure, values) in drawn.items():
        np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), values, err_msg=name)
    for figure in (plots.host_latency(study), *(figure for figure, _ in drawn.values())):
        image = io.BytesIO()
        figure.savefig(image, format="png")
        assert image.getvalue().startswith(b"\x89PNG")


def test_without_matplotlib_the_install_line_is_said(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(gx.MissingExtraError, match=r"pip install 'gxevent\[report\]'"):
        style.axes()
