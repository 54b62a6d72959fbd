"""Execution of a mapped network, core by core, with partial sums and routed events: plain NumPy, to prove exactness.

A core knows its units, its synapses and its axons. Values reach an axon only as packets along the routes of the mapping
file; a missing route therefore shows as a wrong integer. Sums on the core that reads them need no packet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent import files
from gxevent.connectivity import Pool2d
from gxevent.errors import FormatError
from gxevent.events import DataSet
from gxevent.graph import EventGraph, Population, Projection
from gxevent.mapping.mapping import PORT, Mapping, expand
from gxevent.mapping.split import apply_splits
from gxevent.runtime import encode_samples
from gxevent.runtime.record import SampleRow, results_sha256

Ints = NDArray[np.int64]
BATCH = 64


@dataclass(eq=False)
class _Synapses:
    """One projection's synapses on one core: axon (index into ``sources``), own unit (index), level."""

    projection: Projection
    sources: Ints
    axon: Ints
    unit: Ints
    level: Ints


@dataclass(eq=False)
class _Core:
    """What one core holds; ``inbox`` is filled by packets: values int64 (frames, source units) by projection."""

    number: int
    units: dict[str, Ints]
    synapses: dict[str, list[_Synapses]]
    inbox: dict[str, Ints] = field(default_factory=dict)

    def sums(self, population: Population, frames: int) -> Ints:
        """Accumulators of the core's units of a population, (frames, units)."""
        total = np.zeros((frames, len(self.units[population.name])), np.int64)
        for s in self.synapses.get(population.name, []):
            values = self.inbox[s.projection.name][:, s.axon]
            rule = s.projection.rule
            if isinstance(rule, Pool2d) and rule.mode == "max":
                brought = np.full(total.shape[::-1], np.iinfo(np.int64).min)
                np.maximum.at(brought, s.unit, values.T)
            else:
                brought = np.zeros(total.shape[::-1], np.int64)
                np.add.at(brought, s.unit, (values * s.level).T)
            total += brought.T * s.projection.gain
        return total


class MappedNetwork:
    """A mapping ready to run frames. FormatError when the mapping is of another graph."""

    def __init__(self, mapping: Mapping, graph: EventGraph) -> None:
        if files.sha256(graph) != mapping.graph.sha256:
            raise FormatError("the mapping was made for another graph (its sha256 differs): map this one")
        self.mapping, self.original = mapping, graph
        self.graph = apply_splits(graph, mapping.splits)
        self.packets = 0
        self.at = {name: np.full(p.size, PORT, np.int64) for name, p in self.graph.populations.items()}
        for entry in mapping.cores:
            for name, ranges in entry.units.items():
                self.at[name][expand(ranges)] = entry.core
        self.cores = {entry.core: self._core(entry.core, entry.units) for entry in mapping.cores}
        self._load_synapses()

    def _core(self, number: int, units: dict[str, Any]) -> _Core:
        return _Core(number, {name: expand(ranges) for name, ranges in units.items()}, {})

    def _load_synapses(self) -> None:
        """Hand every core the synapses of its units, level 0 left out."""
        for p in self.graph.projections.values():
            source, target, level = p.rule.connections()
            keep = level != 0
            source, target, level = source[keep], target[keep], level[keep].astype(np.int64)
            of = self.at[p.target][target]
            order = np.argsort(of, kind="stable")
            cuts = np.searchsorted(of[order], [*self.cores])
            ends = np.searchsorted(of[order], [*self.cores], side="right")
            for number, begin, end in zip(self.cores, cuts, ends, strict=True):
                if begin == end:
                    continue
                part, core = order[begin:end], self.cores[number]
                sources, axon = np.unique(source[part], return_inverse=True)
                unit = np.searchsorted(core.units[p.target], target[part])
                core.synapses.setdefault(p.target, []).append(_Synapses(p, sources, axon, unit, level[part]))

    def run(self, frames: NDArray[np.int8]) -> NDArray[np.int32]:
        """Read-out accumulators int32 (n, classes) of frames int8 (n, *input_shape)."""
        n = len(frames)
        for core in self.cores.values():
            for listed in core.synapses.values():
                for s in listed:
                    core.inbox[s.projection.name] = np.zeros((n, len(s.sources)), np.int64)
        out = np.zeros((n, self.graph.readout.size), np.int32)
        for name, population in self.graph.populations.items():
            values = np.zeros((n, population.size), np.int64)
            if population.role == "input":
                values = frames.reshape(n, -1).astype(np.int64)
            else:
                for core in self.cores.values():
                    if name in core.units:
                        values[:, core.units[name]] = self._fire(population, core, n)
            if population.role == "readout":
                out[:] = values
            else:
                self._send(name, values)
        return out

    def _fire(self, population: Population, core: _Core, n: int) -> Ints:
        """What the units of a population on one core send (for the read-out: their sums)."""
        s = core.sums(population, n)
        if population.role != "fire":
            return s
        units = core.units[population.name]
        channel = units // (population.size // population.shape[0])
        q = np.zeros(s.shape, np.int64)
        for k in range(population.hi.shape[1]):
            q += s >= population.hi[channel, k]
            q -= s <= population.lo[channel, k]
        return q * population.polarity[channel]

    def _send(self, name: str, values: Ints) -> None:
        """Packets of a population's units along their routes, and to readers on their own core."""
        routed = np.zeros((self.graph.populations[name].size, max([*self.cores, 0]) + 1), bool)
        for route in self.mapping.routes.get(name, []):
            units = expand(route.units)
            routed[np.ix_(units, route.cores)] = True
            self.packets += int(np.count_nonzero(values[:, units])) * len(route.cores)
        home = self.at[name]
        for number, core in self.cores.items():
            for listed in core.synapses.values():
                for s in listed:
                    if s.projection.source == name:
                        arrives = routed[s.sources, number] | (home[s.sources] == number)
                        core.inbox[s.projection.name] = np.where(arrives, values[:, s.sources], 0)

    def run_dataset(
        self,
        dataset: DataSet,
        window: str | None = None,
        stride: str | None = None,
        progress: Callable[[int], Any] | None = None,
    ) -> str:
        """``results_sha256`` of a data set, as ``gxevent run`` prints it."""
        return results_sha256(list(self._rows(dataset, window, stride, progress)))

    def _rows(self, dataset: DataSet, window: str | None, stride: str | None, progress: Any) -> Iterator[SampleRow]:
        for sample in encode_samples(self.original, dataset, window, stride):
            total = np.zeros(self.graph.readout.size, np.int64)
            for begin in range(0, len(sample.frames), BATCH):
                total += self.run(sample.frames[begin : begin + BATCH]).sum(axis=0)
            if progress:
                progress(1)
            yield SampleRow(
                sample.id, sample.split, sample.label, "", sample.windows, 0, 0, 0, 0.0, tuple(total.tolist())
            )
