"""First partitions: which used core each vertex begins on. What they get wrong, the search mends."""

from __future__ import annotations

import functools
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from gxevent.core._grow import Grower
from gxevent.errors import CapacityError, OptionError
from gxevent.mapping.build import padded_entries
from gxevent.mapping.chip import NO_LIMIT, whole
from gxevent.mapping.problem import Problem
from gxevent.mapping.search import Cores

METHODS = ("sequential", "tiles", "hypergraph", "grown")

Ints = NDArray[np.int32]

EVEN = 0.15
"""Share of the room that limits leave which a partition gives up to spread receiving work."""


def checked_method(method: str) -> str:
    """The method, or an OptionError that names those there are."""
    if method not in METHODS:
        raise OptionError(f"method: expected one of {', '.join(METHODS)}, got {method!r}")
    return method


def partition(problem: Problem, cores: Cores, method: str, seed: int, work: float | None = None) -> tuple[Ints, str]:
    """Core of each vertex, int32 (vertices,), and the name of the partitioner that made it.

    ``sequential``: units in order. ``tiles``: the same part of every image on one core, by recursive bisection of
    units and mesh alike. ``hypergraph``: least connectivity, by Mt-KaHyPar (deterministic) where it is installed, else
    by growing cores along shared events. Mt-KaHyPar also keeps the receiving work of a core near ``work``, if given.
    """
    if problem.chip.granularity == "layer":
        return whole_layers(problem, cores), "one layer a core"
    if problem.chip.granularity == "slice" and method != "sequential":
        core, name = _grown(problem, cores, seed), "grown along shared events, a layer a core"
    elif method == "grown":
        core, name = _grown(problem, cores, seed), "grown along shared events"
    elif method == "sequential":
        core, name = _sequential(problem, cores)
    elif method == "tiles":
        core, name = tiles(problem, cores), "recursive bisection"
    elif problem.large:
        raise CapacityError("too many synapses for a hypergraph: use the method tiles")
    elif problem.chip.granularity == "unit" and mtkahypar() is not None and len(cores) > 1:
        core, name = _mtkahypar(problem, cores, seed, work), "Mt-KaHyPar, deterministic"
    else:
        core, name = _grown(problem, cores, seed), "grown along shared events"
    return _complete(problem, cores, core), name


def _complete(problem: Problem, cores: Cores, core: Ints) -> Ints:
    """Fixed vertices at the port; what nothing took, on the emptiest core."""
    core = core.copy()
    core[problem.fixed != 0] = len(cores)
    left = np.flatnonzero(core < 0)
    have = cores.arrays(problem)["have"][: len(cores)]
    if left.size:
        used = np.bincount(core[core >= 0], weights=problem.size[core >= 0], minlength=len(cores))[: len(cores)]
        for v in left:
            unable = (problem.need[v] & ~have) != 0
            core[v] = np.where(unable & ~unable.all(), np.inf, used).argmin()
            used[core[v]] += problem.size[v]
    return core


def _arrays(problem: Problem, cores: Cores) -> dict[str, Any]:
    return problem.hypergraph | cores.arrays(problem)


def _sequential(problem: Problem, cores: Cores) -> tuple[Ints, str]:
    vertices = np.flatnonzero(problem.fixed == 0)
    whole_units = problem.chip.granularity == "unit"  # else layers end cores before they are full
    if problem.large:
        return _blocks(problem, vertices, len(cores)), "in order"
    chip = problem.chip

    def filled(order: NDArray, used: Cores, spread: bool) -> Ints:
        share = problem.size[order].sum() / len(used) if spread else np.inf
        return Grower(_arrays(problem, used)).fill(order, np.arange(len(used)), share, not whole_units)

    core = filled(vertices, cores, whole_units)
    if (core[vertices] >= 0).all():
        return core, "in order"
    every = Cores.near_port(chip, chip.core_count, cores.port)
    if (filled(vertices, every, False)[vertices] >= 0).all():
        return core, "in order"  # on more cores
    # Channel after channel, a core's units listen to a whole image; all channels of a pixel listen to the same units.
    by_pixel = vertices[np.lexsort((vertices, _pixels(problem)[vertices], problem.group[vertices]))]
    return filled(by_pixel, cores, False), "in order, pixel by pixel"


def _pixels(problem: Problem) -> Ints:
    """Pixel of each vertex's last unit within its image, int32 (vertices,); units of vectors are pixels each."""
    pixel = np.zeros(problem.units.size, np.int32)
    for name, p in problem.graph.populations.items():
        image = len(p.shape) == 3 and p.shape[1] * p.shape[2] > 1
        pixel[problem.units.range(name)] = np.arange(p.size) % (p.shape[1] * p.shape[2] if image else p.size)
    return pixel[_last_units(problem)]


def _last_units(problem: Problem) -> NDArray[np.int64]:
    last = np.zeros(problem.count, np.int64)
    np.maximum.at(last, problem.vertex, np.arange(problem.units.size))
    return last


def _blocks(problem: Problem, vertices: NDArray, count: int) -> Ints:
    core = np.full(problem.count, -1, np.int32)
    done = np.cumsum(problem.size[vertices]) - problem.size[vertices]
    core[vertices] = done * count // problem.size[vertices].sum()
    return core


def _grown(problem: Problem, cores: Cores, seed: int) -> Ints:
    order = np.arange(len(cores))
    if seed:
        order = np.roll(order, seed % len(cores))
    total = problem.size[problem.fixed == 0].sum()
    exclusive = problem.chip.granularity != "unit"
    arrays = _arrays(problem, cores)
    room = arrays["limit"][: len(cores), 0].sum()
    fill = 1.0 if exclusive else min(1.0, total / room * 1.003)
    return Grower(arrays).grow(order, problem.fixed, fill, exclusive)


# -------------------------------------------------------------------------------------------------------- tiles


def tiles(problem: Problem, cores: Cores) -> Ints:
    """Cut the units by their position in the image, and the mesh with them, until one core is left.

    Vectors, which listen to everything, gather just off the middle: on few cores, near to all.
    """
    position = _positions(problem)
    arrays = cores.arrays(problem)
    room = arrays["limit"][: len(cores), 0].astype(np.float64)
    need = problem.size if problem.large else _shares(problem, arrays) * room[0]
    at = np.stack([arrays["y"], arrays["x"]], axis=1)[: len(cores)]
    core = np.full(problem.count, -1, np.int32)
    work = [(np.flatnonzero(problem.fixed == 0), np.arange(len(cores)))]
    while work:
        vertices, parts = work.pop()
        if len(parts) == 1:
            core[vertices] = parts[0]
            continue
        axis = int(np.ptp(at[parts, 1]) >= np.ptp(at[parts, 0]))
        parts = parts[np.lexsort((at[parts, 1 - axis], at[parts, axis]))]
        half = len(parts) // 2
        share = room[parts[:half]].sum() / room[parts].sum()
        vertices = vertices[np.argsort(position[vertices, axis], kind="stable")]
        total = np.cumsum(need[vertices])
        cut = int(np.searchsorted(total, share * total[-1] + 0.5)) if len(total) else 0
        work += [(vertices[:cut], parts[:half]), (vertices[cut:], parts[half:])]
    return core


def _positions(problem: Problem) -> NDArray[np.float64]:
    """Place of each vertex in the unit square, (vertices, 2): y and x of its last unit."""
    units = np.zeros((problem.units.size, 2))
    for name, p in problem.graph.populations.items():
        part = problem.units.range(name)
        if len(p.shape) == 3 and p.shape[1] * p.shape[2] > 1:
            channel, y, x = np.unravel_index(np.arange(p.size), p.shape)
            side = int(np.ceil(np.sqrt(p.shape[0])))  # channels of one pixel fill its square
            units[part, 0] = (y + (channel // side + 0.5) / side) / p.shape[1]
            units[part, 1] = (x + (channel % side + 0.5) / side) / p.shape[2]
        else:
            side = int(np.ceil(np.sqrt(p.size)))
            i = np.arange(p.size)
            units[part, 0] = 0.56 + 1e-3 * ((i // side) / side - 0.5)
            units[part, 1] = 0.56 + 1e-3 * ((i % side) / side - 0.5)
    return units[_last_units(problem)]


# --------------------------------------------------------------------------------------------------- hypergraph


@functools.lru_cache(maxsize=1)
def mtkahypar() -> Any:
    """The partitioner, begun with one thread; None when it is not installed."""
    try:
        import mtkahypar as package
    except ImportError:
        return None
    return package, package.initialize(1)


def _mtkahypar(problem: Problem, cores: Cores, seed: int, work: float | None) -> Ints:
    """Least connectivity (km1) with balanced weights; the seed renumbers the vertices."""
    package, session = mtkahypar()
    arrays = _arrays(problem, cores)
    movable = np.flatnonzero(problem.fixed == 0)
    mixed = np.random.default_rng(seed).permutation(movable) if seed else movable
    number = np.full(problem.count, -1, np.int64)
    number[mixed] = np.arange(len(mixed))
    edges, weights = _edges(arrays, number)
    node, slack = _node_weights(problem, arrays, len(cores), mixed, work)
    context = session.context_from_preset(package.PresetType.DETERMINISTIC)
    context.set_partitioning_parameters(len(cores), slack, package.Objective.KM1)
    context.logging = False
    made = session.create_hypergraph(context, len(mixed), len(edges), edges, node, weights).partition(context)
    core = np.full(problem.count, -1, np.int32)
    core[mixed] = (
        made.get_partition() if hasattr(made, "get_partition") else [made.block_id(i) for i in range(len(mixed))]
    )
    return core


def _edges(arrays: dict[str, Any], number: NDArray[np.int64]) -> tuple[list[list[int]], list[int]]:
    """Hyperedges and weights; ``number`` int64 (vertices,), negative for vertices left out.

    Nets with the same listeners, as the channels of a pixel have, become one, with an edge from each source to one of
    the listeners: a fraction of the pins, and of the time.
    """
    start, pin, source, weight = (arrays[name] for name in ("pin_start", "pin", "source", "weight"))
    alike: dict[bytes, list[int]] = {}
    for e in np.flatnonzero(weight).tolist():
        alike.setdefault(pin[start[e] : start[e + 1]].tobytes(), []).append(e)
    edges: list[list[int]] = []
    weights: list[int] = []

    def add(pins: set[int], events: int) -> None:
        pins.discard(-1)
        if len(pins) > 1:
            edges.append(sorted(pins))
            weights.append(events)

    for nets in alike.values():
        listeners = number[pin[start[nets[0]] : start[nets[0] + 1]]].tolist()
        if len(nets) == 1:
            add({*listeners, int(number[source[nets[0]]])}, int(weight[nets[0]]))
            continue
        add(set(listeners), int(weight[nets].sum()))
        for i, e in enumerate(nets):
            add({int(number[source[e]]), listeners[i * len(listeners) // len(nets)]}, int(weight[e]))
    return edges, weights


def _node_weights(
    problem: Problem, arrays: dict[str, Any], cores: int, order: NDArray, work: float | None
) -> tuple[list[int], float]:
    """One weight a vertex, the scarcest of its needs, and the imbalance that the limits leave."""
    share = _shares(problem, arrays)[order]
    if work is not None:
        share = np.maximum(share, problem.work[order] / work)
    neurons, plain = int(arrays["limit"][0, 0]), work is None and arrays["limit"][0, 3] == NO_LIMIT
    scale = neurons if plain else 1000 * neurons
    node = np.maximum(np.round(share * scale).astype(np.int64), 1)
    slack = scale * cores / node.sum() - 1
    return node.tolist(), float(min(max(slack * 0.999, 0.005), 0.3))


def _shares(problem: Problem, arrays: dict[str, Any]) -> NDArray[np.float64]:
    """Share of a core that each vertex takes, by neurons or memory, (vertices,)."""
    neurons, _, _, memory = (int(limit) for limit in arrays["limit"][0])
    share = problem.size / neurons
    return share if memory >= NO_LIMIT else np.maximum(share, problem.memory / max(memory, 1))


def even_work(problem: Problem, cores: Cores) -> float | None:
    """Receiving work that a core may have so that vertices, each weighted by its share of that too, still fit.

    ``EVEN`` of the room that limits leave is given up for it. None where they leave none.
    """
    movable = problem.fixed == 0
    share, work = _shares(problem, _arrays(problem, cores))[movable], problem.work[movable]
    room = len(cores) - share.sum()
    if room <= 0 or not work.any() or len(cores) < 2:
        return None
    low, high = 1.1 * work.sum() / len(cores), work.sum()
    for _ in range(50):
        middle = float(np.sqrt(low * high))
        if np.maximum(work / middle - share, 0).sum() <= EVEN * room:
            high = middle
        else:
            low = middle
    return high


# ------------------------------------------------------------------------------------------------- whole layers


def whole_layers(problem: Problem, cores: Cores) -> Ints:
    """Each layer on one core that can hold it, by matching. CapacityError naming a layer that finds none."""
    chip, graph = problem.chip, problem.graph
    kinds = chip.core_kinds()
    names = list(graph.populations)
    groups = [g for g in np.unique(problem.group) if names[g] != graph.input.name]
    fits = nx.Graph()
    fits.add_nodes_from(("layer", int(g)) for g in groups)
    for g in groups:
        neurons = int(problem.size[problem.group == g].sum())
        needs = layer_bits(problem, int(g))
        for i, number in enumerate(cores.numbers):
            core = chip.cores[kinds[number]]
            if neurons <= whole(core.neurons) and needs <= whole(core.memory):
                fits.add_edge(("layer", int(g)), ("core", i))
    found = nx.bipartite.maximum_matching(fits, top_nodes=[("layer", int(g)) for g in groups])
    core = np.full(problem.count, -1, np.int32)
    for g in groups:
        if ("layer", int(g)) not in found:
            raise CapacityError(
                f"layer {names[g]!r}: no free core holds its {layer_bits(problem, int(g)):,} bits of kernels and "
                f"{int(problem.size[problem.group == g].sum()):,} neurons: use a smaller layer or another chip"
            )
        core[problem.group == g] = found["layer", int(g)][1]
    core[problem.fixed != 0] = len(cores)
    return core


def layer_bits(problem: Problem, group: int) -> int:
    """Bits of padded kernels of a layer: c x 2^(ceil log2 k + ceil log2 f), a dense layer as kernels of 1x1."""
    graph, total = problem.graph, 0
    members = set(np.unique(problem.units.population_of[problem.group[problem.vertex] == group]).tolist())
    names = list(graph.populations)
    for p in graph.projections.values():
        if names.index(p.target) not in members or not p.rule.weighted:
            continue
        total += padded_entries(p.rule) * whole(problem.chip.cores[0].packing.weight)
    return total
