"""The network on chip as tables: links with their times, the buffers behind them, and the trees that packets follow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gxevent.errors import OptionError
from gxevent.mapping.chip import Chip
from gxevent.mapping.route import Link, Router, mesh_graph, path, tree

LANES = {"mesh": 1, "torus": 3, "triangular": 4}
"""Buffers behind each link. Rings of a torus could block themselves: a packet changes lane where it wraps around."""


@dataclass(frozen=True)
class Boundary:
    """Chips of ``width`` x ``height`` routers side by side on one mesh; a link between two takes ``time_ns``."""

    width: int
    height: int
    time_ns: float

    def crossed(self, link: Link) -> bool:
        (ax, ay), (bx, by) = link
        return ax // self.width != bx // self.width or ay // self.height != by // self.height


@dataclass(eq=False)
class Noc:
    """Links of a chip and the trees laid over them so far.

    links : (from, to) routers; time : int64 (links,), picoseconds that a packet occupies the link.
    """

    chip: Chip
    links: list[Link]
    time: NDArray[np.int64]
    lane: list[int] = field(default_factory=list)
    child: list[int] = field(default_factory=list)
    fan: list[int] = field(default_factory=list)
    drop: list[int] = field(default_factory=lambda: [0])
    drop_core: list[int] = field(default_factory=list)
    drop_ordinal: list[int] = field(default_factory=list)
    tree_start: list[int] = field(default_factory=lambda: [0])

    def __post_init__(self) -> None:
        self._number = {link: i for i, link in enumerate(self.links)}
        self._lanes = LANES[self.chip.mesh.topology]

    @classmethod
    def of(cls, chip: Chip, hop_x: int, hop_y: int, boundary: Boundary | None = None) -> Noc:
        """Links that take ``hop_x`` picoseconds east, west and along a diagonal, ``hop_y`` north and south."""
        links = sorted(mesh_graph(chip).edges)
        if boundary and (min(boundary.width, boundary.height) < 1 or boundary.time_ns < 0):
            raise OptionError("boundary: expected chips of at least 1x1 routers and a time that is not negative")
        time = [hop_x if a[1] == b[1] or a[0] != b[0] else hop_y for a, b in links]
        if boundary:
            slow = round(boundary.time_ns * 1000)
            time = [slow if boundary.crossed(link) else t for link, t in zip(links, time, strict=True)]
        return cls(chip, links, np.array(time, np.int64))

    @property
    def along_x(self) -> NDArray[np.bool_]:
        """Links whose hops count as hop_x, bool (links,)."""
        return np.array([a[1] == b[1] or a[0] != b[0] for a, b in self.links], bool)

    def add_path(self, begin: Router, end: Router, core: int) -> int:
        """The way of a packet for one core; returns the number of the tree."""
        return self._add(begin, itertools.pairwise(path(self.chip, begin, end)), [(end, core)])

    def add_tree(self, begin: Router, ends: Sequence[tuple[Router, int]]) -> int:
        """A packet that forks towards all ``ends``, (router, core) in the order of the work it brings."""
        return self._add(begin, tree(self.chip, begin, [router for router, _ in ends]), ends)

    def _add(self, begin: Router, links, ends: Sequence[tuple[Router, int]]) -> int:
        out: dict[Router, list[Link]] = {}
        for link in links:
            out.setdefault(link[0], []).append(link)
        drops: dict[Router, list[tuple[int, int]]] = {}
        for ordinal, (router, core) in enumerate(ends):
            drops.setdefault(router, []).append((core, ordinal))
        base = len(self.lane)
        nodes: list[tuple[Router, int, int, int]] = [(begin, -1, 0, 0)]  # router, link, lane of it, axis
        at = 0
        while at < len(nodes):
            router, link, lane, axis = nodes[at]
            at += 1
            self.lane.append(-1 if link < 0 else link * self._lanes + lane)
            leaves = out.get(router, [])
            self.child.append(base + len(nodes))
            self.fan.append(len(leaves))
            for core, ordinal in drops.get(router, []):
                self.drop_core.append(core)
                self.drop_ordinal.append(ordinal)
            self.drop.append(len(self.drop_core))
            for leaf in leaves:
                wraps, onto = _turn(leaf)
                behind = min(lane + wraps + (onto < axis), self._lanes - 1)
                nodes.append((leaf[1], self._number[leaf], behind, onto))
        self.tree_start.append(len(self.lane))
        return len(self.tree_start) - 2

    def arrays(self) -> dict[str, NDArray]:
        """Tables as ``gxevent.core._noc.run`` takes them."""
        lists = {"node_lane": self.lane, "node_child": self.child, "node_fan": self.fan, "node_drop": self.drop}
        lists |= {"drop_core": self.drop_core, "drop_ordinal": self.drop_ordinal}
        made = {name: np.array(values, np.int32) for name, values in lists.items()}
        lane_link = np.repeat(np.arange(len(self.links), dtype=np.int32), self._lanes)
        return made | {"link_time": self.time, "lane_link": lane_link}

    def tree_links(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Tree and link of every hop of every tree, int64 (hops,) each."""
        of = np.repeat(np.arange(len(self.tree_start) - 1), np.diff(self.tree_start))
        lane = np.array(self.lane, np.int64)
        inner = lane >= 0
        return of[inner], lane[inner] // self._lanes


def _turn(link: Link) -> tuple[bool, int]:
    """Whether a link wraps around, and its axis: 0 diagonal, 1 along x, 2 along y."""
    dx, dy = link[1][0] - link[0][0], link[1][1] - link[0][1]
    return max(abs(dx), abs(dy)) > 1, 0 if dx and dy else 1 if dx else 2
