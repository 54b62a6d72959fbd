"""Plots of a mapping: how full the cores are, and how busy the links. Each function returns a matplotlib figure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError, require
from gxevent.mapping.activity import Activity
from gxevent.mapping.chip import whole
from gxevent.mapping.mapping import PORT, Mapping, expand
from gxevent.mapping.route import Link, tree, unicast_links, uses_trees

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def core_units(mapping: Mapping) -> NDArray[np.float64]:
    """Units on the cores of each router, float64 (height, width); NaN where no core is used."""
    chip = mapping.typed_chip()
    grid = np.full((chip.height, chip.width), np.nan)
    for entry in mapping.cores:
        x, y, _ = entry.place
        units = sum(end - begin for ranges in entry.units.values() for begin, end in ranges)
        grid[y, x] = units if np.isnan(grid[y, x]) else grid[y, x] + units
    return grid


def link_loads(mapping: Mapping, activity: Activity) -> Counter[Link]:
    """Events by frame on every link ((x, y), (x, y)), by the chip's own way of sending.

    OptionError when the activity is not the one the mapping was made for.
    """
    if activity.sha256() != mapping.activity.sha256:
        raise OptionError("the mapping was made for another activity: give that one")
    chip, core = mapping.typed_chip(), mapping.core_of_units()
    starts, loads = mapping.population_starts(), Counter[Link]()
    for name, routes in mapping.routes.items():
        size = next(p.size for p in mapping.graph.populations if p.name == name)
        events = activity.events.get(name, np.full(size, activity.windows))
        for route in routes:
            units = expand(route.units)
            of = core[units + starts[name]]
            for c in np.unique(of).tolist():
                begin = chip.port if c == PORT else chip.place(c)[:2]
                ends = [chip.place(to)[:2] for to in route.cores]
                sent = int(events[units[of == c]].sum())
                links = tree(chip, begin, ends) if uses_trees(chip) else unicast_links(chip, begin, ends)
                for link in links:
                    loads[link] += sent
    return Counter({link: load / activity.windows for link, load in loads.items()})


def occupancy(mapping: Mapping) -> Figure:
    """Units on the mesh, router by router, with the colour of how full the neurons of its cores are."""
    figure = _figure(mapping)
    axis = figure.add_subplot()
    grid = core_units(mapping)
    image = axis.imshow(grid, cmap="viridis", vmin=0)
    figure.colorbar(image, ax=axis, label="units")
    y, x = np.nonzero(~np.isnan(grid))  # the used part of the mesh
    axis.set(xlim=(x.min() - 0.5, x.max() + 0.5), ylim=(y.max() + 0.5, y.min() - 0.5))
    axis.locator_params(integer=True)
    axis.set(xlabel="x", ylabel="y", title=_title(mapping, f"{len(mapping.cores):,} cores"))
    return figure


def link_heat(mapping: Mapping, activity: Activity) -> Figure:
    """The mesh with each link drawn in the colour of its events by frame; links that wrap around are left out."""
    require("matplotlib.figure", extra="report", purpose="plotting")
    from matplotlib.collections import LineCollection

    loads = link_loads(mapping, activity)
    figure = _figure(mapping)
    axis = figure.add_subplot()
    shown = {link: load for link, load in loads.items() if max(abs(a - b) for a, b in zip(*link, strict=True)) == 1}
    lines = []
    for (a, b), (c, d) in shown:
        side = 0.12  # the two directions lie side by side
        lines.append([(a - side * (d - b), b + side * (c - a)), (c - side * (d - b), d + side * (c - a))])
    drawn = LineCollection(lines, array=np.array(list(shown.values()), float), cmap="magma_r", linewidths=3)
    axis.add_collection(drawn)
    figure.colorbar(drawn, ax=axis, label="events a frame")
    chip = mapping.typed_chip()
    axis.set(xlim=(-0.6, chip.width - 0.4), ylim=(chip.height - 0.4, -0.6), aspect="equal", xlabel="x", ylabel="y")
    axis.set_title(_title(mapping, f"busiest link {max(loads.values(), default=0):,.0f}"))
    return figure


def _figure(mapping: Mapping) -> Figure:
    figures = require("matplotlib.figure", extra="report", purpose="plotting")
    chip = mapping.typed_chip()
    ratio = whole(chip.mesh.height) / whole(chip.mesh.width)
    return figures.Figure(figsize=(6.4, min(max(6.4 * ratio * 0.85, 2.0), 8.0)), layout="constrained")


def _title(mapping: Mapping, more: str) -> str:
    return f"{mapping.graph.name or 'network'} on {mapping.chip['name']}, {mapping.settings.method}: {more}"
