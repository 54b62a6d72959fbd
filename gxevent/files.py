"""Networks and event graphs on disk: ``save``, ``load_network``, ``load_graph``.

The container (checksum, packing, atomic writing) is ``gxevent.store``; here is what goes into it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity, store
from gxevent.encoder import Encoder
from gxevent.errors import FormatError, GxError, OptionError
from gxevent.graph import EventGraph, Population, Projection
from gxevent.layers import LAYERS, Layer
from gxevent.network import TernaryNetwork

PathLike = str | os.PathLike[str]
Tensors = dict[str, NDArray[Any]]


def save(obj: TernaryNetwork | EventGraph, path: PathLike) -> str:
    """Write a network (``*.gxn``) or event graph (``*.gxg``) atomically; returns its SHA-256 (hex)."""
    if isinstance(obj, TernaryNetwork):
        return store.write(path, "network", *_from_network(obj))
    if isinstance(obj, EventGraph):
        return store.write(path, "graph", *_from_graph(obj))
    raise OptionError(f"save takes a TernaryNetwork or an EventGraph, got {type(obj).__name__}")


def sha256(obj: TernaryNetwork | EventGraph) -> str:
    """The SHA-256 (hex) its file has."""
    if isinstance(obj, TernaryNetwork):
        return store.digest("network", *_from_network(obj))
    return store.digest("graph", *_from_graph(obj))


def load_network(path: PathLike) -> TernaryNetwork:
    """Read a ``*.gxn`` file. FormatError (file, what is wrong, remedy) when it is damaged or holds something else."""
    return _load(path, "network", _to_network)


def load_graph(path: PathLike) -> EventGraph:
    """Read a ``*.gxg`` file. FormatError (file, what is wrong, remedy) when it is damaged or holds something else."""
    return _load(path, "graph", _to_graph)


def load(path: PathLike) -> TernaryNetwork | EventGraph:
    """Read whichever of the two the file holds."""
    return _load(path, "any", None)


def shipped(name: str) -> Path:
    """Path of a network or data file that comes with gxevent, such as "digits.gxn" or "digits_test.zip".

    OptionError naming those there are when there is none of that name.
    """
    found = shipped_names()
    if name not in found:
        raise OptionError(f"no shipped file {name!r}; there are {', '.join(found)}")
    return _zoo() / name


def shipped_names() -> tuple[str, ...]:
    """Names of the networks and data sets that come with gxevent."""
    return tuple(sorted(p.name for p in _zoo().iterdir() if p.suffix in (".gxn", ".zip")))


def _zoo() -> Path:
    return Path(str(resources.files("gxevent.zoo")))


def _load(path: PathLike, kind: str, build: Callable[[dict[str, Any], Tensors], Any] | None) -> Any:
    contents = store.read(path, kind)
    build = build or (_to_network if contents.kind == "network" else _to_graph)
    try:
        return build(contents.body, contents.tensors)
    except GxError as error:
        raise FormatError(f"{os.fspath(path)}: {error}") from error
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(f"{os.fspath(path)}: its description does not fit ({error!r}): write it again") from error


def _plain(values: Any) -> dict[str, Any]:
    """JSON values only; numpy scalars become numbers, tuples lists, so that reading gives what was hashed."""
    return json.loads(json.dumps(values, default=lambda v: v.item() if isinstance(v, np.generic) else str(v)))


def _common(obj: TernaryNetwork | EventGraph) -> dict[str, Any]:
    return {
        "name": obj.name,
        "encoder": asdict(obj.encoder) if obj.encoder else None,
        "classes": list(obj.classes),
        "provenance": _plain(dict(obj.provenance)),
        **({"activity": _plain(dict(obj.activity))} if obj.activity else {}),
    }


def _read_common(body: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": body["name"],
        "encoder": Encoder(**body["encoder"]) if body["encoder"] else None,
        "classes": tuple(body["classes"]),
        "provenance": body["provenance"],
        "activity": dict(body.get("activity", {})),
    }


# ------------------------------------------------------------------------------------------------------- networks


def _from_network(network: TernaryNetwork) -> tuple[dict[str, Any], Tensors]:
    layers = [{"kind": layer.kind, **_plain(layer.settings())} for layer in network.layers]
    tensors = {f"{layer.name}/{field}": a for layer in network.layers for field, a in layer.arrays().items()}
    body = {"input_shape": list(network.input_shape), "input_levels": network.input_levels, "layers": layers}
    return body | _common(network), tensors


def _to_network(body: dict[str, Any], tensors: Tensors) -> TernaryNetwork:
    arrays: dict[str, Tensors] = {}
    for key, array in tensors.items():
        name, _, field = key.rpartition("/")
        arrays.setdefault(name, {})[field] = array
    layers = []
    for settings in body["layers"]:
        cls: type[Layer] | None = LAYERS.get(settings["kind"])
        if cls is None:
            raise FormatError(f"layer kind {settings['kind']!r} is not known to this gxevent")
        values = {key: _tuples(value) for key, value in settings.items() if key != "kind"}
        layers.append(cls(**values, **arrays.get(settings["name"], {})))
    return TernaryNetwork(
        input_shape=tuple(body["input_shape"]),
        input_levels=body["input_levels"],
        layers=tuple(layers),
        **_read_common(body),
    )


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


# --------------------------------------------------------------------------------------------------------- graphs


def _split(obj: Any) -> tuple[dict[str, Any], Tensors]:
    """A dataclass as plain settings and arrays."""
    named = {f.name: getattr(obj, f.name) for f in fields(obj)}
    arrays = {key: value for key, value in named.items() if isinstance(value, np.ndarray)}
    return {key: value for key, value in named.items() if key not in arrays and value is not None}, arrays


def _from_graph(graph: EventGraph) -> tuple[dict[str, Any], Tensors]:
    tensors: Tensors = {}
    populations, projections = [], []
    for population in graph.populations.values():
        settings, arrays = _split(population)
        populations.append(_plain(settings))
        tensors |= {f"populations/{population.name}/{key}": a for key, a in arrays.items()}
    for p in graph.projections.values():
        settings, arrays = _split(p.rule)
        rule = {"kind": p.rule.kind, **_plain(settings)}
        projections.append({"name": p.name, "source": p.source, "target": p.target, "gain": p.gain, "rule": rule})
        tensors |= {f"projections/{p.name}/{key}": a for key, a in arrays.items()}
    return {"populations": populations, "projections": projections} | _common(graph), tensors


def _to_graph(body: dict[str, Any], tensors: Tensors) -> EventGraph:
    def arrays(prefix: str) -> Tensors:
        return {k[len(prefix) :]: a for k, a in tensors.items() if k.startswith(prefix) and "/" not in k[len(prefix) :]}

    populations = [
        Population(
            **{key: _tuples(value) for key, value in settings.items()}, **arrays(f"populations/{settings['name']}/")
        )
        for settings in body["populations"]
    ]
    projections = []
    for settings in body["projections"]:
        rule = dict(settings["rule"])
        cls = connectivity.RULES.get(rule.pop("kind"))
        if cls is None:
            raise FormatError(f"projection {settings['name']!r}: its connectivity rule is not known to this gxevent")
        values = {key: _tuples(value) for key, value in rule.items()}
        made = cls(**values, **arrays(f"projections/{settings['name']}/"))
        projections.append(Projection(settings["name"], settings["source"], settings["target"], made, settings["gain"]))
    return EventGraph.of(populations, projections, **_read_common(body))
