"""A workload laid out for the event simulation: times, packets with their trees, and which groups wait for which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _noc
from gxevent.errors import CrosscheckError, OptionError
from gxevent.mapping.chip import Chip, whole
from gxevent.mapping.noc import Boundary, Noc
from gxevent.mapping.route import uses_trees
from gxevent.mapping.workload import Workload

Ints = NDArray[np.int64]
WITHOUT_LIMIT = 2**31 - 1
WORD = 64
"""Bits that one read of a synapse memory gives where the chip's packing names no word."""

PARTS = (
    "neuron_access",
    "neuron_update",
    "spike",
    "packet_out",
    "packet_in",
    "synop",
    "memory_read",
    "hop_x",
    "hop_y",
)
"""Kinds of work; the fields of :class:`gxevent.mapping.chip.Costs`."""


def times(chip: Chip) -> dict[str, int | None]:
    """Picoseconds of each kind of work; None where the chip does not say."""
    out: dict[str, int | None] = {}
    for part in PARTS:
        quantity = getattr(chip.latency, part)
        out[part] = None if quantity is None or quantity.base is None else round(quantity.base * 1000)
    return out


def reads(chip: Chip, synapses: NDArray[np.integer]) -> Ints:
    """Memory reads that fetch this many synapses of one axon."""
    packing = chip.cores[0].packing
    bits = whole(packing.weight, 0) + whole(packing.index, 0)
    return -(-synapses.astype(np.int64) * bits // whole(packing.word, WORD))


@dataclass(eq=False)
class Traffic:
    """Tables of a workload on its network, as ``gxevent.core._noc.run`` takes them (``arrays``).

    packet_tree : int64 (packets,), tree of each packet in ``noc``; packet_unit : unit that sends it.
    """

    work: Workload
    noc: Noc
    arrays: dict[str, Any]
    packet_unit: Ints
    packet_tree: Ints

    @classmethod
    def of(cls, work: Workload, boundary: Boundary | None = None, tokens: bool = False) -> Traffic:
        """Lay out a workload. ``tokens`` makes the end of each group a packet of its own to every core that reads it.

        Tokens are units of their own at the end of their group, which always fire and bring no synapses.
        """
        if tokens:
            work = with_tokens(work)
        ps = {part: value or 0 for part, value in times(work.chip).items()}
        noc = Noc.of(work.chip, ps["hop_x"], ps["hop_y"], boundary)
        unit, tree, start = _packets(work, noc)
        work_time = ps["packet_in"] + work.pair_synapses * np.int64(ps["synop"])
        work_time += reads(work.chip, work.pair_synapses) * ps["memory_read"]
        at_port = work.group_sender == len(work.cores)
        units = len(work.unit_group)
        arrays: dict[str, Any] = noc.arrays() | {
            "cores": len(work.cores),
            "packet_root": np.array(noc.tree_start, np.int32)[tree],
            "packet_work": start,
            "work_time": work_time.astype(np.int64),
            "unit_packet": _starts(unit, units).astype(np.int32),
            "unit_time": work.unit_neurons * np.int64(ps["neuron_access"] + ps["neuron_update"]),
            "unit_spike": np.where(work.is_token | at_port[work.unit_group], 0, ps["spike"]).astype(np.int64),
            "group_unit": _starts(work.unit_group, len(work.group_sender)).astype(np.int32),
            "group_sender": work.group_sender.astype(np.int32),
            "group_stage": work.stage[work.group_population].astype(np.int32),
            "sender_group": _starts(work.group_sender, work.senders).astype(np.int32),
            "group_packet": np.where(at_port, 0, ps["packet_out"]).astype(np.int64),
        }
        arrays |= _waiting(work)
        return cls(work, noc, arrays, unit, tree)

    def fired(self, values: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Units that fire, uint8 by row of the unit table, from bool by unit number; tokens always do."""
        number = self.work.unit_number
        return np.where(self.work.is_token, True, values[number]).astype(np.uint8)

    def run(
        self, fired: NDArray[np.uint8], stage: int = _noc.ALL_AT_ONCE, buffers: int | None = 16, record: bool = False
    ) -> dict[str, Any]:
        """Simulate one stage (or all at once, or each group when ready) of one frame; ``end`` is its duration in ps.

        ``buffers`` packets fit behind each link, into each injection queue and each core's queue; None for no limit.
        """
        if buffers is not None and not 1 <= buffers < WITHOUT_LIMIT:
            raise OptionError(f"buffers: expected at least 1 packet, got {buffers}")
        room = WITHOUT_LIMIT if buffers is None else buffers
        expected = self.deliveries(fired, stage)
        end, made = _noc.run(self.arrays, fired, stage, room, room, room, expected if record else 0)
        if end == _noc.NO_MEMORY:
            raise MemoryError("packets in flight")
        if end == _noc.DEADLOCK or made["deliveries"] != expected:
            raise CrosscheckError(
                f"simulation: {made['deliveries']:,} of {expected:,} packets arrived, the network blocked itself: "
                "simulate with more buffers"
            )
        return made | {"end": end}

    def deliveries(self, fired: NDArray[np.uint8], stage: int) -> int:
        """Packets that cores will receive, in closed form."""
        active = fired[self.work.pair_unit] != 0
        if stage >= 0:
            active &= self.work.unit_stage[self.work.pair_unit] == stage
        return int(np.count_nonzero(active))

    @cached_property
    def hops(self) -> tuple[Ints, Ints]:
        """Tree and link of every hop of every tree."""
        return self.noc.tree_links()


def with_tokens(work: Workload) -> Workload:
    """The workload with a token behind each group, for every core that its units send to."""
    group = work.unit_group[work.pair_unit].astype(np.int64)
    key = np.unique(group * work.senders + work.pair_core)
    sends = np.unique(key // work.senders)
    unit_group = np.concatenate([work.unit_group, sends.astype(np.int32)])
    order = np.argsort(unit_group, kind="stable")
    place = np.empty(order.size, np.int64)
    place[order] = np.arange(order.size)
    token = place[len(work.unit_group) + np.searchsorted(sends, key // work.senders)]
    pair_unit = np.concatenate([place[work.pair_unit], token])
    pair_core = np.concatenate([work.pair_core, (key % work.senders).astype(np.int32)])
    by = np.lexsort((pair_core, pair_unit))
    none = np.zeros(len(sends), np.int32)
    return Workload(
        work.chip,
        work.cores,
        work.populations,
        work.stage,
        work.reads,
        work.group_population,
        work.group_sender,
        unit_group[order],
        np.concatenate([work.unit_number, none - 1])[order],
        np.concatenate([work.unit_neurons, none])[order],
        pair_unit[by],
        pair_core[by],
        np.concatenate([work.pair_synapses, np.zeros(len(key), np.int32)])[by],
    )


def _starts(rising: NDArray[np.integer], count: int) -> Ints:
    return np.searchsorted(rising, np.arange(count + 1)).astype(np.int64)


def _packets(work: Workload, noc: Noc) -> tuple[Ints, Ints, Ints]:
    """Unit and tree of every packet, and where its work begins in the pairs (packets+1,)."""
    if not len(work.pair_unit):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(1, np.int64)
    home = work.unit_sender[work.pair_unit]
    if not uses_trees(work.chip):
        key, inverse = np.unique(home.astype(np.int64) * work.senders + work.pair_core, return_inverse=True)
        trees = [
            noc.add_path(work.router(int(k // work.senders)), work.router(int(k % work.senders)), int(k % work.senders))
            for k in key
        ]
        return work.pair_unit, np.array(trees, np.int64)[inverse], np.arange(len(work.pair_unit) + 1)
    first = np.flatnonzero(np.r_[True, np.diff(work.pair_unit) != 0])
    ends = np.r_[first[1:], len(work.pair_unit)]
    known: dict[tuple[int, bytes], int] = {}
    tree = np.empty(len(first), np.int64)
    for i, (begin, end) in enumerate(zip(first.tolist(), ends.tolist(), strict=True)):
        targets = work.pair_core[begin:end]
        key_of = int(home[begin]), targets.tobytes()
        if key_of not in known:
            reached = [(work.router(int(core)), int(core)) for core in targets]
            known[key_of] = noc.add_tree(work.router(key_of[0]), reached)
        tree[i] = known[key_of]
    return work.pair_unit[first], tree, np.r_[first, len(work.pair_unit)].astype(np.int64)


def _waiting(work: Workload) -> dict[str, NDArray]:
    """Which groups wait for the packets of a population at a core, and for the end of which groups."""
    many = len(work.cores)
    group_at = {
        (int(p), int(s)): g for g, (p, s) in enumerate(zip(work.group_population, work.group_sender, strict=True))
    }
    readers: list[list[int]] = [[] for _ in work.populations]
    for source, target in work.reads:
        if target not in readers[source]:
            readers[source].append(target)
    arrivals = [
        [group_at[q, core] for q in readers[p] if (q, core) in group_at]
        for p in range(len(work.populations))
        for core in range(many)
    ]
    source = work.group_population[work.unit_group[work.pair_unit]].astype(np.int64)
    sends = np.unique(work.unit_group[work.pair_unit].astype(np.int64) * work.senders + work.pair_core)
    feeds: list[set[int]] = [set() for _ in work.group_sender]
    for key in sends.tolist():
        group, core = divmod(key, work.senders)
        feeds[group].update(arrivals[int(work.group_population[group]) * many + core])
    for (population, sender), group in group_at.items():  # sums that stay on their core
        feeds[group].update(group_at[q, sender] for q in readers[population] if (q, sender) in group_at)
    counts = np.bincount(np.array([g for of in feeds for g in of], np.int64), minlength=len(feeds))
    return {
        "work_arrival": (source * many + work.pair_core).astype(np.int32),
        "arrival_start": _offsets(arrivals),
        "arrival_group": _flat(arrivals),
        "feed_start": _offsets(feeds),
        "feed_group": _flat([sorted(of) for of in feeds]),
        "feeds": counts.astype(np.int32),
    }


def _offsets(lists: Iterable[Any]) -> NDArray[np.int32]:
    return np.r_[0, np.cumsum([len(part) for part in lists])].astype(np.int32)


def _flat(lists: Iterable[Iterable[int]]) -> NDArray[np.int32]:
    return np.array([i for part in lists for i in part], np.int32)
