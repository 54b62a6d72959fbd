"""Small chips and graphs to map."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import gxevent as gx
from gxevent.mapping.chip import Chip, chip_from
from tests.networks import levels


def quantity(value: float | None, unit: str, **more: Any) -> dict[str, Any]:
    return {"unit": unit, "source": "T", **({} if value is None else {"value": value}), **more}


def spec(width: int = 4, height: int = 4, neurons: int = 40, **more: Any) -> dict[str, Any]:
    """A plain mesh of cores as a specification's values; ``axons``, ``memory``, ``payload`` and others by name."""
    core: dict[str, Any] = {
        "name": "core",
        "count": quantity(more.get("count", width * height * more.get("per_router", 1)), "cores"),
        "neurons": quantity(neurons, "neurons"),
        "packing": more.get("packing", {"rule": "crossbar", "weight": quantity(2, "bit")}),
        "operations": more.get("operations", ["add", "max"]),
        "layers": more.get("layers", ["conv", "dense"]),
    }
    for name, unit in (("axons_in", "axons"), ("axons_out", "axons"), ("fan_in", "inputs"), ("memory", "bit")):
        if name in more:
            core[name] = quantity(more[name], unit)
    return {
        "name": "test",
        "title": "test mesh",
        "mesh": {
            "width": quantity(width, "routers"),
            "height": quantity(height, "routers"),
            "per_router": quantity(more.get("per_router", 1), "cores"),
            "topology": more.get("topology", "mesh"),
        },
        "routing": {"scheme": more.get("scheme", "multicast")}
        | ({"table_entries": quantity(more["entries"], "entries")} if "entries" in more else {}),
        "events": {
            "payload": quantity(more.get("payload", 24), "bit"),
            "neurons_per_unit": quantity(more.get("neurons_per_unit", 1), "neurons"),
            "axons_per_input": quantity(more.get("axons_per_input", 1), "axons"),
        }
        | ({"payload_input": quantity(more["payload_input"], "bit")} if "payload_input" in more else {}),
        "cores": [core],
        "timing": {"mode": "barrier"},
        "inputs": more.get("inputs", "port"),
        "granularity": more.get("granularity", "unit"),
        "sources": {"T": "test"},
    }


def chip(*args: Any, **more: Any) -> Chip:
    return chip_from(spec(*args, **more), "test chip")


def line_graph(sizes: tuple[int, ...] = (4, 3, 2), level: int = 1) -> gx.EventGraph:
    """Dense layers of the given sizes, every level the same."""
    layers: list[Any] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [gx.Dense(np.full((outputs, inputs), level, np.int8)), gx.Activation()]
    return gx.compile(gx.TernaryNetwork((sizes[0],), None, layers[:-1]))


@pytest.fixture(scope="session")
def digits() -> gx.EventGraph:
    return gx.compile(gx.load_network(gx.shipped("digits.gxn")))


@pytest.fixture(scope="session")
def images() -> gx.EventGraph:
    """A small convolutional net: 14x14 input, 6C3, pool 2, 8C3, 24FC, 10."""
    rng = np.random.default_rng(0)
    layers = [gx.Conv2d(levels(rng, (6, 1, 3, 3))), gx.MaxPool2d(2), gx.Activation()]
    layers += [gx.Conv2d(levels(rng, (8, 6, 3, 3))), gx.Activation(), gx.Flatten()]
    layers += [gx.Dense(levels(rng, (24, 128))), gx.Activation(), gx.Dense(levels(rng, (10, 24)))]
    return gx.compile(gx.TernaryNetwork((1, 14, 14), None, layers))
