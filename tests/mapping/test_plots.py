"""Plots show the mapping they are made of."""

from __future__ import annotations

import io

import numpy as np
import pytest

import gxevent as gx
from gxevent.mapping import map_graph, uniform_activity
from gxevent.mapping.plots import core_units, link_heat, link_loads, occupancy
from tests.mapping.conftest import chip, line_graph


def test_figures_of_the_plots_are_those_of_the_mapping():
    graph = line_graph((12, 9, 4))
    mapping = map_graph(graph, chip(3, 2, neurons=4), budget=0.05, method="grown")
    loads = link_loads(mapping, uniform_activity(graph))
    assert sum(loads.values()) == mapping.traffic["multicast_traffic"]
    assert max(loads.values()) == mapping.traffic["max_link"]
    assert np.nansum(core_units(mapping)) == 13
    with pytest.raises(gx.OptionError, match="another activity"):
        link_loads(mapping, uniform_activity(line_graph()))


def test_they_draw():
    pytest.importorskip("matplotlib", reason="plots need matplotlib")
    graph = line_graph((12, 9, 4))
    mapping = map_graph(graph, chip(3, 2, neurons=4), budget=0, method="sequential")
    for figure in (occupancy(mapping), link_heat(mapping, uniform_activity(graph))):
        image = io.BytesIO()
        figure.savefig(image, format="png")
        assert image.getvalue().startswith(b"\x89PNG")
