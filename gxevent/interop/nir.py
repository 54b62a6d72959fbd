"""Event graphs as NIR, the exchange format of spiking simulators: written, and run by another program that reads it.

A firing population is a ``Conv2d`` or ``Linear`` node for each projection and one ``Threshold`` node that spikes on
the rails of :mod:`gxevent.interop.rails`; one frame is one time step. NIR has no max pool, but a maximum of sums that
is compared with thresholds needs none: it reaches a threshold where any of its values does, and stays below one where
all do. So the comparison moves before the pool, whose spikes a convolution with ones counts.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import connectivity, firing, grid
from gxevent.errors import UnsupportedError, require
from gxevent.graph import EventGraph, Population
from gxevent.interop.about import about_graph
from gxevent.interop.rails import Connection, Rows, any_or_all, connect, from_rails, rail_signs, to_rails
from gxevent.runtime import Engine

Samples = Iterable[tuple[str, NDArray[np.int8]]]


@dataclass
class NirModel:
    """A graph written in NIR.

    graph: the ``nir.NIRGraph``; node: by population, the node whose output it is; notes: what a reader must know.
    """

    graph: Any
    node: dict[str, str]
    notes: list[str] = field(default_factory=list)


def to_nir(graph: EventGraph) -> NirModel:
    """The event graph as a NIR graph.

    Raises MissingExtraError without the nir package; UnsupportedError naming every projection that sums and
    thresholds cannot express, such as a max pool whose numbers are the scores.
    """
    return _Writer(require("nir", extra="interop", purpose="writing NIR"), graph).run()


def write_nir(graph: EventGraph, path: str | os.PathLike[str]) -> NirModel:
    """Write the event graph as a ``.nir`` file, which appears whole or not at all."""
    import io

    from gxevent.store import atomic_write

    nir = require("nir", extra="interop", purpose="writing NIR")
    made = to_nir(graph)
    buffer = io.BytesIO()
    nir.write(buffer, made.graph)
    with atomic_write(path) as file:
        file.write(buffer.getvalue())
    return made


class _Writer:
    def __init__(self, nir: Any, graph: EventGraph) -> None:
        self.nir, self.graph = nir, graph
        self.nodes: dict[str, Any] = {}
        self.edges: list[tuple[str, str]] = []
        self.node: dict[str, str] = {}
        self.notes: list[str] = []

    def run(self) -> NirModel:
        problems = []
        for p in self.graph.populations.values():
            if p.role == "sum" and all(_is_max(q.rule) for q in self.graph.outgoing(p.name)):
                continue  # its comparisons are written with the population that makes them
            try:
                self.population(p)
            except UnsupportedError as error:
                problems.append(str(error))
                self.node[p.name] = ""
        if problems:
            raise UnsupportedError("; ".join(problems))
        rails = {self.node[p.name]: rail_signs(p).size for p in self.graph.populations.values() if p.role == "fire"}
        about = about_graph(self.graph, nodes=self.node, rails=rails)
        graph = self.nir.NIRGraph(self.nodes, self.edges, metadata={"gxevent": about}, type_check=not self.notes)
        return NirModel(graph, self.node, self.notes)

    def population(self, p: Population) -> None:
        if p.role == "input":
            shape = np.array(_rail_shape(p))
            self.node[p.name] = self.put(p.name, self.nir.Input({"input": shape}))
        elif p.role == "fire":
            self.node[p.name] = self.comparisons(p, Rows.of(p, max(1, self.graph.bound(p.name))), p.name)
        else:
            self.node[p.name] = self.join(p, Rows.plain(p), p.name)
            if p.role == "readout":
                self.scores(p)

    # -------------------------------------------------------------------------------------------------- populations

    def comparisons(self, p: Population, rows: Rows, name: str) -> str:
        """The node that spikes where the rows of ``p``'s sums exceed their thresholds."""
        incoming = self.graph.incoming(p.name)
        maxima = [q for q in incoming if _is_max(q.rule)]
        if not maxima:
            column = rows.threshold.reshape(-1, *[1] * (len(p.shape) - 1))
            shape = (rows.threshold.size, *p.shape[1:])
            threshold = self.put(name, self.nir.Threshold(np.broadcast_to(column, shape).copy()))
            self.gather(p, rows, threshold)
            return threshold
        if len(incoming) > 1:
            raise UnsupportedError(
                f"projection {maxima[0].name!r}: a max pool that is added to something has no form in NIR"
            )
        pool, source = incoming[0], self.graph.populations[incoming[0].source]
        if source.sends_events:
            before, rows = self.node[source.name], self.same_rails(source, rows, pool.name)
        else:
            before = self.comparisons(source, rows, f"{source.name}_steps")
        connection, threshold = any_or_all(pool.rule, rows.sign, pool.name)
        after = self.put(name, self.nir.Threshold(threshold))
        weights = self.weights(f"{pool.name}_pool", connection, (rows.sign.size, *source.shape[1:]), source)
        self.edges += [(before, weights), (weights, after)]
        return after

    def same_rails(self, source: Population, rows: Rows, name: str) -> Rows:
        """Levels pooled as they are: each rail of the source is compared with its own step, in the same order."""
        k = grid.max_level(source.levels)
        steps = np.repeat(np.tile(np.arange(1, k + 1), 2), source.shape[0]) - 0.5
        signs = np.repeat(rail_signs(source), source.shape[0])
        if (
            rail_signs(source).size == 1
            or not np.array_equal(rows.threshold, steps)
            or not np.array_equal(rows.sign, signs)
        ):
            raise UnsupportedError(f"projection {name!r}: pools numbers, or levels that are compared anew")
        return Rows(signs, rows.threshold)

    def join(self, p: Population, rows: Rows, name: str) -> str:
        """A node that gives the sums themselves: the one projection's weights, or several added in a Scale."""
        incoming = self.graph.incoming(p.name)
        if len(incoming) == 1:
            return self.gather(p, rows, None, name)[0]
        total = self.put(name, self.nir.Scale(np.ones(p.shape, np.float32)))
        self.gather(p, rows, total)
        return total

    def gather(self, p: Population, rows: Rows, target: str | None, name: str = "") -> list[str]:
        """The weight nodes of all projections into ``p``, joined to ``target``, where their outputs add up."""
        made = []
        for projection in self.graph.incoming(p.name):
            source = self.graph.populations[projection.source]
            connection = connect(self.graph, projection, rows)
            called = name or f"{projection.name}_weights"
            weights = self.weights(called, connection, _rail_shape(source), source)
            self.edges.append((self.flat(source) if connection.weight.ndim == 2 else self.node[source.name], weights))
            if target is not None:
                self.edges.append((weights, target))
            made.append(weights)
        return made

    def weights(self, name: str, connection: Connection, shape: tuple[int, ...], source: Population) -> str:
        weight = connection.weight
        if weight.ndim == 2:
            return self.put(name, self.nir.Linear(weight))
        if weight.shape[2] != weight.shape[3]:
            self.notes.append(
                f"node {name!r}: a {weight.shape[2]}x{weight.shape[3]} kernel cannot be made square; nir up to 1.0.8 "
                "reads the file with nir.read(path, type_check=False) only"
            )
        bias = np.zeros(len(weight), np.float32)
        node = self.nir.Conv2d(shape[1:], weight, connection.stride, connection.padding, connection.dilation, 1, bias)
        return self.put(name, node)

    def flat(self, source: Population) -> str:
        """The source's rails as a vector."""
        name = self.node[source.name]
        if len(source.shape) == 1:
            return name
        flat = f"{name}_flat"
        if flat not in self.nodes:
            self.put(flat, self.nir.Flatten({"input": np.array(_rail_shape(source))}, 0, -1))
            self.edges.append((name, flat))
        return flat

    def scores(self, p: Population) -> None:
        """Output: the sums as scores, scaled where a batch norm stands behind them."""
        last = self.flat(p)
        parts = [part for part in (p.bias, p.scale, p.offset) if part is not None]
        if parts or p.unit != 1:
            zero = firing.preactivation(np.zeros((1, p.shape[0]), np.int32), p.unit, p.bias, p.scale, p.offset)[0]
            slope = np.float32(p.unit) * (np.ones(p.shape[0], np.float32) if p.scale is None else p.scale)
            scores = self.put("scores", self.nir.Affine(np.diag(slope), zero))
            self.edges.append((last, scores))
            last = scores
        output = self.put("output", self.nir.Output({"output": np.array([p.shape[0]])}))
        self.edges.append((last, output))

    def put(self, name: str, node: Any) -> str:
        """Add a node under a name that is a word, as some readers need, and free."""
        word = re.sub(r"\W", "_", name)
        word = word if word[:1].isalpha() else f"n_{word}"
        free, n = word, 1
        while free in self.nodes:
            n += 1
            free = f"{word}_{n}"
        self.nodes[free] = node
        return free


def _is_max(rule: connectivity.Rule) -> bool:
    return isinstance(rule, connectivity.Pool2d) and rule.mode == "max"


def _rail_shape(p: Population) -> tuple[int, ...]:
    return (rail_signs(p).size * p.shape[0], *p.shape[1:])


# ------------------------------------------------------------------------------------------- run by another program


@dataclass(frozen=True, eq=False)
class NirOutput:
    """What another program gave for one frame: levels by population that fires, read-out sums int32 (classes,)."""

    outputs: dict[str, NDArray[np.int8]]
    accumulators: NDArray[np.int32]


def nir_runner(graph: EventGraph) -> Callable[[NDArray[np.int8]], NirOutput]:
    """Write the graph to a file and have NIRTorch read and execute it; returns a function of one frame.

    NIRTorch maps ``Conv2d``, ``Linear`` and ``Flatten`` itself; it is told what a ``Threshold`` is (1 above the
    threshold, else 0) and an ``Affine`` (its own mapping up to 2.6 loses the bias).
    """
    torch = require("torch", extra="train", purpose="running NIR in NIRTorch")
    nirtorch = require("nirtorch", extra="interop,nirtorch", purpose="running NIR in NIRTorch")
    nir = require("nir", extra="interop", purpose="reading NIR")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "graph.nir"
        written = write_nir(graph, path)
        read = nir.read(path, type_check=not written.notes)
    module = nirtorch.nir_to_torch(read, _node_map(nir, torch))
    seen: dict[str, NDArray] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda _module, _inputs, output: seen.__setitem__(name, output.detach().numpy())

    senders = {name: p for name, p in graph.populations.items() if p.role == "fire"}
    for population in (*senders, graph.readout.name):
        module.get_submodule(written.node[population]).register_forward_hook(keep(population))

    def run(frame: NDArray[np.int8]) -> NirOutput:
        with torch.no_grad():
            module(torch.from_numpy(to_rails(graph.input, frame)))
        outputs = {name: from_rails(p, seen[name]) for name, p in senders.items()}
        return NirOutput(outputs, np.rint(seen[graph.readout.name]).astype(np.int32).ravel())

    return run


def _node_map(nir: Any, torch: Any) -> dict[Any, Any]:
    class Heaviside(torch.nn.Module):
        def __init__(self, node: Any) -> None:
            super().__init__()
            self.register_buffer("threshold", torch.from_numpy(np.asarray(node.threshold)))

        def forward(self, x: Any) -> Any:
            return (x > self.threshold).to(x.dtype)

    class Scale(torch.nn.Module):
        def __init__(self, node: Any) -> None:
            super().__init__()
            self.register_buffer("scale", torch.from_numpy(np.asarray(node.scale)))

        def forward(self, x: Any) -> Any:
            return x * self.scale

    def affine(node: Any) -> Any:
        module = torch.nn.Linear(node.weight.shape[1], node.weight.shape[0])
        module.weight.data, module.bias.data = torch.from_numpy(node.weight), torch.from_numpy(node.bias)
        return module

    return {nir.Threshold: Heaviside, nir.Scale: Scale, nir.Affine: affine}


def crosscheck_nir(graph: EventGraph, samples: Samples, found: Any, kernel: str = "auto") -> Any:
    """Compare the engine with NIRTorch running the exported graph: every population's events and the read-out's sums.

    samples
        Sample ids with their frames int8 (windows, *input_shape).
    found
        A :class:`gxevent.crosscheck.report.Comparison` to collect in (crosscheck and interop stand on one floor, so
        the caller brings it).

    Returns ``found.report()``, a CrosscheckReport.
    """
    run, engine = nir_runner(graph), Engine(graph, kernel=kernel)
    for name, frames in samples:
        found.samples += 1
        for frame in frames:
            expected, got = run(frame), engine.trace(frame)
            for population, levels in expected.outputs.items():
                found.add(name, population, "output", levels, got.outputs[population])
            readout = graph.readout.name
            found.add(name, readout, "accumulator", expected.accumulators, got.accumulators[readout])
    return found.report()
