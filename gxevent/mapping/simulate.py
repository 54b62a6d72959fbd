"""Simulation of a mapped network, frame by frame: latency by discrete events, energy and traffic by counting.

``docs/simulation.md`` says what is simulated and what is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gxevent.core import _noc
from gxevent.errors import OptionError
from gxevent.mapping.chip import Chip, whole
from gxevent.mapping.energy import Energy, energy
from gxevent.mapping.frames import Frames, unit_values
from gxevent.mapping.mapping import Mapping
from gxevent.mapping.noc import Boundary
from gxevent.mapping.roofline import COUNTS, Loads, Roofline
from gxevent.mapping.route import Link, uses_trees
from gxevent.mapping.traffic import Traffic, times
from gxevent.mapping.workload import Workload

Ints = NDArray[np.int64]
SYNCS = ("barrier", "free", "tick")
EDGES = np.r_[0, np.unique(np.round(10 ** np.arange(0, 12.01, 0.1)).astype(np.int64))]
"""Bin edges of latency histograms, picoseconds: ten a decade up to a second."""


@dataclass(frozen=True)
class Settings:
    """How a mapping is simulated.

    sync
        "barrier": layer after layer, each step as long as it takes, then the barrier. "tick": the same in steps of the
        chip's fixed length. "free": units of a population on a core go on as soon as all they wait for is there.
    buffers
        Packets that fit behind a link, into an injection queue and into a core's queue; None for no limit.
    tokens
        Whether a group of units tells its readers by packets that it is through; without, they know at no cost.
    boundary
        Chips side by side on one mesh, with slower links between them.
    """

    sync: str
    buffers: int | None = 16
    tokens: bool = False
    boundary: Boundary | None = None


@dataclass(eq=False)
class Simulation:
    """What a simulation gave. Times are picoseconds, int64; -1 where nothing happened.

    samples : names; latency, roofline : (samples,); stage_latency : (samples, stages), summed over a sample's frames.
    counts : int64 (samples, kinds), columns as ``COUNTS``.
    link_load : packets (links,); send_busy, receive_busy : (senders,), (cores,); send_stall : time that senders waited
    for room; receive_area : packets x time at each core; receive_peak : most packets at each core at once.
    network_latency, packet_latency : histograms over ``EDGES`` of the time from a packet's making until it reaches its
    core, and until the core is through with it.
    groups : (core or PORT index, population) of each row of ``group_begin``, ``group_end`` (first frame only), as
    ``receive_begin``, ``receive_end`` (stages, cores): the Gantt chart.
    """

    mapping: Mapping
    settings: Settings
    traffic: Traffic
    line: str
    made_up: bool
    unknown: tuple[str, ...]
    samples: list[str] = field(default_factory=list)
    latency: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    roofline: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    stage_latency: Ints = field(default_factory=lambda: np.zeros((0, 0), np.int64))
    counts: Ints = field(default_factory=lambda: np.zeros((0, len(COUNTS)), np.int64))
    frames: int = 0
    overruns: int = 0
    slack: int | None = None
    events: int = 0
    link_load: Ints = field(init=False)
    send_busy: Ints = field(init=False)
    send_stall: Ints = field(init=False)
    receive_busy: Ints = field(init=False)
    receive_area: Ints = field(init=False)
    receive_peak: Ints = field(init=False)
    network_latency: Ints = field(init=False)
    packet_latency: Ints = field(init=False)
    group_begin: Ints = field(init=False)
    group_end: Ints = field(init=False)
    receive_begin: Ints = field(init=False)
    receive_end: Ints = field(init=False)

    def __post_init__(self) -> None:
        work = self.traffic.work
        many = len(work.cores)
        self.link_load = np.zeros(len(self.traffic.noc.links), np.int64)
        self.send_busy, self.send_stall = np.zeros((2, work.senders), np.int64)
        self.receive_busy, self.receive_area, self.receive_peak = np.zeros((3, many), np.int64)
        self.network_latency, self.packet_latency = np.zeros((2, len(EDGES)), np.int64)
        self.group_begin, self.group_end = np.full((2, len(work.group_sender)), -1, np.int64)
        self.receive_begin, self.receive_end = np.full((2, work.stages, many), -1, np.int64)

    @property
    def chip(self) -> Chip:
        """The chip that was simulated."""
        return self.traffic.work.chip

    @property
    def timed(self) -> bool:
        """Whether latencies mean anything: the chip says how long some of the work takes."""
        fixed = self.settings.sync == "tick" and self.chip.timing.tick is not None
        return fixed or any(value is not None for value in times(self.chip).values())

    @property
    def links(self) -> list[Link]:
        """Every directed link between routers, in the order of the loads."""
        return self.traffic.noc.links

    def total(self, count: str) -> int:
        """Sum over all samples of a kind of ``COUNTS``."""
        return int(self.counts[:, COUNTS.index(count)].sum())

    @cached_property
    def energies(self) -> list[Energy]:
        """Energy of every sample."""
        return [
            energy(self.chip, dict(zip(COUNTS, row, strict=True)), float(took) if self.timed else None)
            for row, took in zip(self.counts.tolist(), self.latency.tolist(), strict=True)
        ]

    @property
    def energy(self) -> Energy:
        """Mean energy of a sample."""
        n = max(len(self.samples), 1)
        counts = {name: total / n for name, total in zip(COUNTS, self.counts.sum(axis=0).tolist(), strict=True)}
        return energy(self.chip, counts, float(self.latency.mean()) if self.timed and len(self.samples) else None)

    def busiest(self) -> dict[str, dict[str, Any]]:
        """The busiest sending and receiving core by time; None where no core took any (no times are known)."""
        cores = self.traffic.work.cores
        busy = {"sending": self.send_busy[: len(cores)], "receiving": self.receive_busy}
        return {
            kind: {"core": cores[int(took.argmax())] if took.any() else None, "busy_us": float(took.max()) / 1e6}
            for kind, took in busy.items()
        }

    def summary(self) -> dict[str, Any]:
        """The fields of ``gxevent simulate --json``; counts are totals over the samples, energy is a sample's."""
        return _summary(self)


def simulate(
    mapping: Mapping,
    frames: Frames,
    *,
    sync: str | None = None,
    buffers: int | None = 16,
    tokens: bool = False,
    boundary: Boundary | None = None,
    progress: Callable[[int], Any] | None = None,
) -> Simulation:
    """Simulate a mapped network on frames; the same arguments give the same picoseconds.

    Parameters
    ----------
    sync
        One of "barrier", "free", "tick" (see :class:`Settings`); by default the chip's own.

    Raises OptionError for options that do not exist or a tick that the chip does not have, CrosscheckError when the
    network blocks itself.
    """
    chip = mapping.typed_chip()
    sync = chip.timing.mode if sync is None else sync
    if sync not in SYNCS:
        raise OptionError(f"sync: expected one of {', '.join(SYNCS)}, got {sync!r}")
    if sync == "tick" and (chip.timing.tick is None or not chip.timing.tick.base):
        raise OptionError(f"sync: {chip.name} has no tick; use {' or '.join(SYNCS[:2])}")
    settings = Settings(sync, buffers, tokens and sync == "free", boundary)
    traffic = Traffic.of(Workload.of(mapping), boundary, settings.tokens)
    unknown = tuple(f"latency.{part}" for part, value in times(chip).items() if value is None and part != "memory_read")
    result = Simulation(mapping, settings, traffic, frames.line, frames.made_up, unknown)
    run = _Run(result)
    for name, listed in frames:
        run.sample(name, [traffic.fired(unit_values(mapping, frame)) for frame in listed])
        if progress:
            progress(1)
    if not result.samples:
        raise OptionError("simulate: there are no samples")
    run.close()
    return result


class _Run:
    """Simulates sample after sample and adds up."""

    def __init__(self, result: Simulation) -> None:
        self.result, self.traffic = result, result.traffic
        self.roof = Roofline(result.traffic)
        self.barrier = barrier_time(result.chip, result.traffic.work)
        tick = result.chip.timing.tick
        self.tick = round(tick.base * 1000) if tick is not None and tick.base else 0
        self.rows: list[tuple[int, int, Ints, list[int]]] = []

    def sample(self, name: str, frames: list[NDArray[np.uint8]]) -> None:
        took, least = 0, 0
        stages, counts = np.zeros(self.roof.stages, np.int64), np.zeros(len(COUNTS), np.int64)
        for fired in frames:
            loads = self.roof.loads(fired)
            durations = self._frame(fired)
            took += int(durations.sum())
            least += self._least(loads)
            stages[: len(durations)] += durations
            counts += list(loads.counts.values())
            self.result.frames += 1
        self.result.samples.append(name)
        self.rows.append((took, least, stages, counts.tolist()))

    def close(self) -> None:
        took, least, stages, counts = zip(*self.rows, strict=True)
        r = self.result
        r.latency, r.roofline = np.array(took, np.int64), np.array(least, np.int64)
        r.stage_latency, r.counts = np.array(stages, np.int64), np.array(counts, np.int64)

    def _frame(self, fired: NDArray[np.uint8]) -> Ints:
        """Duration of every stage of a frame, or of the whole frame where stages overlap."""
        if self.result.settings.sync == "free":
            made = self._simulate(fired, _noc.WHEN_READY)
            if not self.result.frames:
                self._chart(made, slice(None), 0, 0)
            return np.array([made["end"]], np.int64)
        durations, now = [], 0
        for stage in range(self.roof.stages):
            made = self._simulate(fired, stage)
            if not self.result.frames:
                self._chart(made, self.traffic.arrays["group_stage"] == stage, stage, now)
            durations.append(self._step(made["end"]))
            now += durations[-1]
        return np.array(durations, np.int64)

    def _step(self, took: int) -> int:
        """How long a step lasts whose work takes ``took``."""
        if self.result.settings.sync == "barrier":
            return took + self.barrier
        ticks = max(1, -(-took // self.tick))
        self.result.overruns += ticks > 1
        slack = ticks * self.tick - took
        self.result.slack = slack if self.result.slack is None else min(slack, self.result.slack)
        return ticks * self.tick

    def _least(self, loads: Loads) -> int:
        """The roofline of a frame: never more than its simulated latency."""
        sync = self.result.settings.sync
        if sync == "free":
            return loads.together()
        stages = loads.stages()
        if sync == "barrier":
            return int((stages + self.barrier).sum())
        return int((np.maximum(1, -(-stages // self.tick)) * self.tick).sum())

    def _simulate(self, fired: NDArray[np.uint8], stage: int) -> dict[str, Any]:
        made = self.traffic.run(fired, stage, self.result.settings.buffers, record=True)
        r, many = self.result, len(self.traffic.work.cores)
        r.events += made["events"]
        r.link_load += made["link_load"][: len(r.link_load)]
        r.send_busy += made["send_busy"] - made["send_stall"]
        r.send_stall += made["send_stall"]
        r.receive_busy += made["receive_busy"][:many]
        r.receive_area += made["receive_area"][:many]
        np.maximum(r.receive_peak, made["receive_peak"][:many], out=r.receive_peak)
        if made["deliveries"]:
            r.network_latency += _histogram(made["arrived"] - made["created"])
            r.packet_latency += _histogram(made["finished"] - made["created"])
        return made

    def _chart(self, made: dict[str, Any], groups: Any, stage: int, offset: int) -> None:
        r, many = self.result, len(self.traffic.work.cores)
        r.group_begin[groups] = made["group_begin"][groups] + offset
        r.group_end[groups] = made["group_end"][groups] + offset
        active = made["receive_last"][:many] >= 0
        r.receive_begin[stage, active] = made["receive_first"][:many][active] + offset
        r.receive_end[stage, active] = made["receive_last"][:many][active] + offset


def barrier_time(chip: Chip, work: Workload) -> int:
    """Picoseconds of the barrier that ends a step, by the number of routers in use; 0 where the chip has no figures."""
    known = sorted((whole(b.tiles), b.time.base) for b in chip.timing.barrier if b.time.base is not None)
    tiles = len({work.router(i) for i in range(len(work.cores))})
    for limit, time in known:
        if tiles <= limit:
            return round(time * 1000)
    return round(known[-1][1] * 1000) if known else 0


def _histogram(picoseconds: Ints) -> Ints:
    return np.bincount(np.searchsorted(EDGES, picoseconds, side="right") - 1, minlength=len(EDGES))


def _summary(s: Simulation) -> dict[str, Any]:
    work = s.traffic.work
    latency = {name: float(np.percentile(s.latency, q)) / 1e6 for name, q in (("p50", 50), ("p99", 99), ("max", 100))}
    roofline = {name: float(np.percentile(s.roofline, q)) / 1e6 for name, q in (("p50", 50), ("p99", 99), ("max", 100))}
    heaviest = int(s.link_load.argmax()) if s.link_load.size else -1
    energies = [e.total.value / 1000 for e in s.energies if e.total is not None]
    band = {"p50": float(np.percentile(energies, 50)), "max": max(energies)} if energies else {"p50": None, "max": None}
    n = len(s.samples)
    counts = {"packets": s.total("packets"), "hops": s.total("hops_x") + s.total("hops_y"), "synops": s.total("synops")}
    return {
        "samples": n,
        "frames": s.frames,
        "latency_us": latency if s.timed else dict.fromkeys(latency),
        "roofline_us": roofline if s.timed else dict.fromkeys(roofline),
        "energy_nj": s.energy.as_nj() | band,
        **counts,
        "per_sample": {name: total / n for name, total in counts.items()},
        "local_packets": s.total("packets_in") - s.total("packets") - s.total("tokens"),
        "packets_sent": s.total("packets_out"),
        "tokens": s.total("tokens"),
        "neuron_updates": s.total("visits"),
        "layers": _layers(s),
        "max_link_load": int(s.link_load.max(initial=0)),
        "max_link": [list(end) for end in s.links[heaviest]] if heaviest >= 0 and s.link_load[heaviest] else None,
        "busiest_core": s.busiest(),
        "cores_used": len(work.cores),
        "convention": "multicast" if uses_trees(s.chip) else "unicast",
        "sync": s.settings.sync,
        "overruns": s.overruns if s.settings.sync == "tick" else None,
        "slack_us": s.slack / 1e6 if s.slack is not None else None,
        "stall_us": float(s.send_stall[: len(work.cores)].sum()) / 1e6,
        "chip": s.chip.name,
        "activity": s.line,
        "assumptions": assumptions(s),
    }


def _layers(s: Simulation) -> list[dict[str, Any]] | None:
    """Populations and median duration of every step, the barrier included; None where there are no steps."""
    if s.settings.sync == "free":
        return None
    work = s.traffic.work
    names = [[n for n, at in zip(work.populations, work.stage, strict=True) if at == k] for k in range(work.stages)]
    middle = np.percentile(s.stage_latency, 50, axis=0) / 1e6 if s.timed else [None] * work.stages
    return [
        {"populations": of, "latency_us": None if us is None else float(us)}
        for of, us in zip(names, middle, strict=True)
    ]


def assumptions(s: Simulation) -> list[str]:
    """Everything that was assumed, and every cost that is not known, one line each."""
    chip, sync = s.chip, s.settings.sync
    lines = [f"activity: {s.line}"]
    if s.made_up:
        lines.append("frames are made up from counts, so latencies are those of even frames, not of real ones")
    lines.append("packets, hops and synops are totals over the samples, energy is the mean of a sample")
    lines.append("a sample's frames run one after the other, and nothing of two samples overlaps")
    lines += {
        "barrier": ["layer after layer, a barrier behind each: the units of a layer are visited in its own step only"],
        "tick": ["one layer a tick; a step that takes longer is extended to whole ticks and counted as an overrun"],
        "free": [
            "no steps: the units of a population on a core go on when all packets for them have been worked off and "
            + (
                "a token has come from every core that feeds them"
                if s.settings.tokens
                else "every core that feeds them is through, which they know at no cost"
            )
        ],
    }[sync]
    if sync == "barrier" and not any(b.time.base is not None for b in chip.timing.barrier):
        lines.append("timing.barrier is not published: left out, latencies are lower bounds")
    lines += [f"{name} is not published: no time is counted for it, latencies are lower bounds" for name in s.unknown]
    if not s.timed:
        lines.append(f"{chip.name} publishes no times: latencies are not given")
    lines += [f"energy of {name} is not known and not in the total" for name in s.energy.unknown]
    room = "without limit" if s.settings.buffers is None else f"for {s.settings.buffers} packets"
    lines.append(
        f"buffers {room} behind each link, in each injection queue and at each core; a link carries one packet "
        "at a time for the time of a hop"
    )
    if chip.inputs == "port":
        lines.append(f"input events wait at the port {list(chip.port)} when a frame begins; sending them costs nothing")
    if any(p.partial for p in s.mapping.graph.populations):
        lines.append("partial sums travel in every frame")
    if chip.routing.scheme == "single":
        lines.append("copies of neurons for further target cores are taken as packets; their updates are not counted")
    return lines
