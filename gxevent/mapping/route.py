"""Routes: the links an event takes from its core to others, and the load they add up to.

Paths go along x first, then y; on a torus the shorter way round (east and south where both are equal), on a triangular
torus along the diagonal first. A multicast tree is the union of its paths.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator

import networkx as nx

from gxevent.mapping.chip import Chip

Router = tuple[int, int]
Link = tuple[Router, Router]


def mesh_graph(chip: Chip) -> nx.DiGraph:
    """Routers (x, y) and the directed links between them."""
    graph = nx.DiGraph(name=chip.name)
    steps = [(1, 0), (-1, 0), (0, 1), (0, -1)] + [(1, 1), (-1, -1)] * (chip.mesh.topology == "triangular")
    for y in range(chip.height):
        for x in range(chip.width):
            graph.add_node((x, y))
            for dx, dy in steps:
                to = (x + dx, y + dy)
                if chip.mesh.topology != "mesh":
                    to = (to[0] % chip.width, to[1] % chip.height)
                if 0 <= to[0] < chip.width and 0 <= to[1] < chip.height and to != (x, y):
                    graph.add_edge((x, y), to)
    return graph


def path(chip: Chip, begin: Router, end: Router) -> list[Router]:
    """Routers from ``begin`` to ``end``, both included."""
    dx, dy = _vector(chip, begin, end)
    steps: list[Router] = []
    if chip.mesh.topology == "triangular" and dx * dy > 0:
        sign, both = (1 if dx > 0 else -1), min(abs(dx), abs(dy))
        steps += [(sign, sign)] * both
        dx, dy = dx - sign * both, dy - sign * both
    steps += [(1 if dx > 0 else -1, 0)] * abs(dx) + [(0, 1 if dy > 0 else -1)] * abs(dy)
    routers, (x, y) = [begin], begin
    for step in steps:
        x, y = (x + step[0]) % chip.width, (y + step[1]) % chip.height
        routers.append((x, y))
    return routers


def _vector(chip: Chip, begin: Router, end: Router) -> Router:
    """The shortest displacement; of equal ones that further east, then further south."""
    dx, dy = end[0] - begin[0], end[1] - begin[1]
    if chip.mesh.topology == "mesh":
        return dx, dy
    dx, dy = dx % chip.width, dy % chip.height
    ways = [(x, y) for x in (dx, dx - chip.width) for y in (dy, dy - chip.height)]
    if chip.mesh.topology == "torus":
        return min(ways, key=lambda way: (abs(way[0]) + abs(way[1]), -way[0], -way[1]))
    return min(ways, key=lambda way: (max(abs(way[0]), abs(way[1]), abs(way[0] - way[1])), -way[0], -way[1]))


def tree(chip: Chip, begin: Router, ends: Iterable[Router]) -> list[Link]:
    """Links of the multicast tree from ``begin`` to all ``ends``."""
    reached, links = {begin}, []
    for end in sorted(set(ends)):
        way = path(chip, begin, end)
        last = max(i for i, router in enumerate(way) if router in reached)
        for link in zip(way[last:-1], way[last + 1 :], strict=True):
            links.append(link)
            reached.add(link[1])
    return links


def unicast_links(chip: Chip, begin: Router, cores: Iterable[Router]) -> Iterator[Link]:
    """Links of one packet to each of ``cores`` (routers, one a core)."""
    for end in cores:
        way = path(chip, begin, end)
        yield from itertools.pairwise(way)


def uses_trees(chip: Chip) -> bool:
    """Whether one packet forks on its way, rather than one leaving for each target core."""
    return chip.routing.scheme in ("multicast", "table")


def table_entries(chip: Chip, routes: Iterable[tuple[Router, tuple[Router, ...]]]) -> Counter[Router]:
    """Entries each router needs for these (source, targets) routes; straight on needs none (default routing)."""
    entries: Counter[Router] = Counter()
    for begin, ends in routes:
        links = tree(chip, begin, ends)
        out: dict[Router, list[Router]] = {}
        into: dict[Router, Router] = {}
        for a, b in links:
            out.setdefault(a, []).append(b)
            into[b] = a
        for router in {begin, *into}:
            leaves = out.get(router, [])
            straight = (
                router in into
                and len(leaves) == 1
                and router not in ends
                and _step(chip, into[router], router) == _step(chip, router, leaves[0])
            )
            entries[router] += not straight
    return entries


def _step(chip: Chip, a: Router, b: Router) -> Router:
    return (b[0] - a[0]) % chip.width, (b[1] - a[1]) % chip.height
