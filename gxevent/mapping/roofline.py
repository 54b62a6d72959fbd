"""Closed forms: what a frame asks of every core and link, and the least time that takes. No simulation.

A step lasts at least as long as its busiest sender, its busiest receiver and its busiest link (a roofline, as Timcheck,
Pierro and Shrestha use it for Loihi 2, arXiv 2601.10035). Senders and receivers alone give SANA-FE's "simple" latency.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.mapping.traffic import Traffic, reads

Ints = NDArray[np.int64]

COUNTS = ("visits", "spikes", "packets_out", "packets_in", "packets", "tokens", "synops", "reads", "hops_x", "hops_y")
"""``visits``: neurons accessed and updated. ``packets_out``: packets that senders made (those of the input port left
out). ``packets_in``: packets that cores took in. ``packets``: those of them that came from another core or the port,
tokens left out. ``reads``: of synapse memory. ``hops_x``, ``hops_y``: links crossed."""


@dataclass(frozen=True, eq=False)
class Loads:
    """One frame in closed form.

    send : int64 (senders, stages), picoseconds; receive : int64 (cores, stages); link : int64 (links, stages), packets.
    counts : whole numbers by name, see ``COUNTS``.
    """

    send: Ints
    receive: Ints
    link: Ints
    link_time: Ints
    counts: dict[str, int]

    def terms(self) -> dict[str, Ints]:
        """Least duration of every stage by what bounds it, picoseconds int64 (stages,)."""
        return {
            "send": self.send.max(axis=0, initial=0),
            "receive": self.receive.max(axis=0, initial=0),
            "link": (self.link * self.link_time[:, None]).max(axis=0, initial=0),
        }

    def stages(self) -> Ints:
        """Least duration of every stage, picoseconds int64 (stages,)."""
        return np.maximum.reduce(list(self.terms().values()))

    def together(self) -> int:
        """Least duration of all stages when they may overlap."""
        work = self.send.sum(axis=1), self.receive.sum(axis=1), self.link.sum(axis=1) * self.link_time
        return int(max(part.max(initial=0) for part in work))


class Roofline:
    """The closed forms of one workload; :meth:`loads` takes a frame."""

    def __init__(self, traffic: Traffic) -> None:
        self.traffic, work = traffic, traffic.work
        arrays = traffic.arrays
        self.stages = work.stages
        self._unit_key = work.unit_sender.astype(np.int64) * self.stages + work.unit_stage
        self._idle = self._by_unit(arrays["unit_time"])
        packets = np.diff(arrays["unit_packet"])
        per_packet = packets * arrays["group_packet"][work.unit_group]
        token = work.is_token
        self._active = arrays["unit_spike"] + per_packet
        self._pair_key = work.pair_core.astype(np.int64) * self.stages + work.unit_stage[work.pair_unit]
        self._packet_key = traffic.packet_tree * self.stages + work.unit_stage[traffic.packet_unit]
        at_port = work.unit_sender == len(work.cores)
        away = work.unit_sender[work.pair_unit] != work.pair_core
        self._per_unit = {
            "spikes": (~token & ~at_port).astype(np.int64),
            "packets_out": np.where(at_port, 0, packets),
            "tokens": self._by_pair(np.ones(len(away), np.int64)) * token,
            "packets_in": self._by_pair(np.ones(len(away), np.int64)),
            "packets": self._by_pair(away.astype(np.int64)) * ~token,
            "synops": self._by_pair(work.pair_synapses),
            "reads": self._by_pair(reads(work.chip, work.pair_synapses)),
        }
        self._visits = int(work.unit_neurons.sum())
        self._along_x = traffic.noc.along_x

    def _by_unit(self, weights: NDArray[np.integer]) -> Ints:
        return _bins(self._unit_key, weights, (self.traffic.work.senders, self.stages))

    def _by_pair(self, weights: NDArray[np.integer]) -> Ints:
        return _bins(self.traffic.work.pair_unit, weights, (len(self.traffic.work.unit_group),))

    def loads(self, fired: NDArray[np.uint8]) -> Loads:
        """The closed forms of one frame; ``fired`` is uint8 (units,) by row of the unit table."""
        work, arrays = self.traffic.work, self.traffic.arrays
        on = fired != 0
        send = self._idle + self._by_unit(np.where(on, self._active, 0))
        pair_on = on[work.pair_unit]
        receive = _bins(self._pair_key, np.where(pair_on, arrays["work_time"], 0), (len(work.cores), self.stages))
        tree, link = self.traffic.hops
        trees = len(self.traffic.noc.tree_start) - 1
        sent = _bins(self._packet_key, on[self.traffic.packet_unit].astype(np.int64), (trees, self.stages))
        links = np.stack(
            [_bins(link, sent[tree, stage], (len(self._along_x),)) for stage in range(self.stages)], axis=1
        )
        counts = {name: int(per[on].sum()) for name, per in self._per_unit.items()}
        by_link = links.sum(axis=1)
        counts |= {"visits": self._visits, "hops_x": int(by_link[self._along_x].sum())}
        counts["hops_y"] = int(by_link.sum()) - counts["hops_x"]
        return Loads(send, receive, links, self.traffic.noc.time, {name: counts[name] for name in COUNTS})


def _bins(key: Ints, weights: NDArray[np.integer], shape: tuple[int, ...]) -> Ints:
    """Sums by key as whole numbers (floats hold them exactly: all lie far below 2**53)."""
    size = int(np.prod(shape))
    return np.bincount(key, weights=weights, minlength=size).astype(np.int64).reshape(shape)
