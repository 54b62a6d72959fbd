"""gxevent: event-stream runtime for ternary neural networks.

    import gxevent as gx
    net = gx.load_network("net.gxn")        # a trained TernaryNetwork
    graph = gx.compile(net)                 # EventGraph; graph.graph is a networkx.MultiDiGraph
    result = gx.Engine(graph).run(frames)   # frames int8 (n, *input_shape): scores, accumulators, exact counts

Names are imported when first used, so that ``import gxevent`` is quick; ``__init__.pyi`` tells type checkers of them.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "gxevent.compiler": ("compile",),
    "gxevent.connectivity": ("Sparse",),
    "gxevent.encoder": ("Encoder",),
    "gxevent.errors": (
        "CapacityError",
        "ClusterError",
        "CrosscheckError",
        "FormatError",
        "GxError",
        "MissingExtraError",
        "NetworkError",
        "OptionError",
        "ShapeError",
        "UnsupportedError",
    ),
    "gxevent.events": ("EventStream", "iter_events", "open_dataset", "open_events", "write_events"),
    "gxevent.files": ("load", "load_graph", "load_network", "save", "shipped"),
    "gxevent.graph": ("EventGraph", "Population", "Projection"),
    "gxevent.interop": ("export_graph", "import_network"),
    "gxevent.layers": (
        "Activation",
        "Add",
        "AvgPool2d",
        "BatchNorm",
        "Conv2d",
        "Dense",
        "Flatten",
        "MaxPool2d",
        "Pad2d",
        "SumPool2d",
    ),
    "gxevent.mapping": ("Chip", "Mapping", "load_chip", "load_mapping", "map_graph"),
    "gxevent.mapping.simulate": ("Simulation", "simulate"),
    "gxevent.network": ("TernaryNetwork",),
    "gxevent.runtime": (
        "Engine",
        "Result",
        "RunRecord",
        "Trace",
        "load_run",
        "open_trace",
        "profile",
        "record_run",
        "run_dataset",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
__all__ = [*sorted(_HOME_OF), "__version__"]


def __getattr__(name: str) -> Any:
    try:
        value = getattr(importlib.import_module(_HOME_OF[name]), name)
    except KeyError:
        raise AttributeError(f"module 'gxevent' has no attribute {name!r}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
