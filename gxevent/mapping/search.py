"""Searching for a better mapping: chosen cores, their arrays, and the annealing that moves units and cores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.core._mapping import Search
from gxevent.errors import CapacityError
from gxevent.mapping.chip import NO_LIMIT, Chip
from gxevent.mapping.problem import ABILITIES, Problem, abilities
from gxevent.mapping.route import uses_trees

EXACT_ROOM = 2**29
"""Entries of the table nets x cores up to which the search counts exactly."""

RISE = 0.09
"""Traffic that lowering the busiest receiving core may cost, beside the best that was found without regard to it."""

CAP, PRICE = 1.035, 1.0
"""Where a partition was made with even receiving work: the work kept to, beside what it aimed at (packets come on top
of synapses), and what each synapse above costs beside a link."""

BALANCES = ("core", "step", "off")
"""What is lowered: the busiest receiving core over a whole frame, or the busiest of each step, added up; or nothing."""

LEAST_SHARE, ROUNDS = 0.62, 3
"""Receiving work is aimed at between this share of what it was and all of it, by bisection in so many rounds."""

PRICES = np.geomspace(0.04, 1.5, 16)
"""What receiving work above a cap costs beside traffic while units leave busy cores, a synapse beside a link. It rises
slowly, so that the groups go first that cost least traffic."""

HOLD = 2.0
"""The same once the work is below the cap, while traffic is won back."""

STARTS = 8
"""Arrangements of cores by packets times links, of which the best is improved."""


@dataclass(frozen=True, eq=False)
class Cores:
    """The cores that a mapping uses, as chip core numbers, and the same as arrays; the port comes last, if any."""

    chip: Chip
    numbers: tuple[int, ...]
    port: bool

    @classmethod
    def near_port(cls, chip: Chip, count: int, port: bool) -> Cores:
        """``count`` cores in a rectangle of routers beside the port, as square as it can be.

        Where cores differ, as many of each kind as there are; all where each is for one whole layer.
        """
        if count >= chip.core_count or (len(chip.cores) > 1 and chip.granularity == "layer"):
            return cls(chip, tuple(range(chip.core_count)), port)
        if len(chip.cores) > 1:
            kinds = np.array(chip.core_kinds())
            rank = np.concatenate([np.arange(n) for n in np.bincount(kinds)])  # kinds lie one after the other
            return cls(chip, tuple(sorted(np.lexsort((kinds, rank))[:count].tolist())), port)
        routers = -(-count // chip.per_router)
        width = min(chip.width, max(-(-routers // chip.height), int(np.ceil(np.sqrt(routers)))))
        left = min(max(chip.port[0] - width // 2, 0), chip.width - width)
        rows = -(-routers // width)
        top = min(max(chip.port[1] - rows // 2, 0), chip.height - rows)
        numbers = [
            ((top + r // width) * chip.width + left + r % width) * chip.per_router + slot
            for r in range(rows * width)
            for slot in range(chip.per_router)
        ]
        numbers = [number for number in numbers if number < chip.core_count][:count]
        if len(numbers) < count:
            numbers = list(range(count))
        return cls(chip, tuple(numbers), port)

    def __len__(self) -> int:
        return len(self.numbers)

    def arrays(self, problem: Problem) -> dict[str, NDArray]:
        """limit, have, kind, x, y as ``gxevent.core._mapping.Search`` takes them."""
        chip, kinds = self.chip, self.chip.core_kinds()
        of = [chip.cores[kinds[number]] for number in self.numbers]
        places = [chip.place(number)[:2] for number in self.numbers] + [chip.port] * self.port
        have = [abilities(core) for core in of] + [sum(ABILITIES.values())] * self.port
        limit = [problem.limits(core) for core in of] + [[NO_LIMIT] * 4] * self.port
        return {
            "limit": np.array(limit, np.int64),
            "have": np.array(have, np.int32),
            "kind": np.array([kinds[number] for number in self.numbers] + [-1] * self.port, np.int32),
            "x": np.array([x for x, _ in places], np.int32),
            "y": np.array([y for _, y in places], np.int32),
            "model": np.array([_axons(chip), problem.axon_bits, *problem.costs], np.int64),
        }


def _axons(chip: Chip) -> int:
    return int(chip.events.axons_per_input.base or 1)


@dataclass(eq=False)
class State:
    """A mapping under way: ``core`` int32 (vertices,), index into the used cores (the port's is their number), and
    ``slot`` int32 (cores,): whose place each core takes."""

    core: NDArray[np.int32]
    slot: NDArray[np.int32]

    def copy(self) -> State:
        return State(self.core.copy(), self.slot.copy())


class Searcher:
    """Improves a :class:`State` of a problem on given cores; the same seed and effort give the same mapping."""

    def __init__(self, problem: Problem, cores: Cores, seed: int) -> None:
        self.problem, self.cores, self.seed = problem, cores, seed
        self.arrays = problem.hypergraph | cores.arrays(problem)
        self.calls = 0
        entries = len(problem.nets) * (len(cores) + 1)
        if entries > EXACT_ROOM or problem.chip.height > 64:
            raise CapacityError(f"{len(problem.nets):,} nets on {len(cores):,} cores are too many for the exact search")

    def search(self, state: State) -> Search:
        """A search over ``state``, which it changes in place."""
        self.calls += 1
        chip = self.problem.chip
        return Search(
            self.arrays | {"core": state.core, "slot": state.slot},
            chip.width,
            chip.height,
            chip.mesh.topology != "mesh",
            chip.granularity != "unit",
            not uses_trees(chip),
            self.seed * 1000 + self.calls,
        )

    def first_slots(self) -> NDArray[np.int32]:
        return np.arange(len(self.cores) + self.cores.port, dtype=np.int32)

    # Nominal costs in seconds; they turn a budget into a number of moves, the same on every machine.

    def vertex_moves(self, seconds: float) -> int:
        degree = 2 * len(self.problem.pins[0]) / max(self.problem.count, 1)
        return int(seconds / (0.6e-6 + 0.035e-6 * degree))

    def group_moves(self, seconds: float) -> int:
        return self.vertex_moves(seconds / 20)

    def place_moves(self, seconds: float) -> int:
        nets = min(len(self.problem.nets), 2 * len(self.problem.pins[0]) / max(len(self.cores), 1))
        return int(seconds / (1e-6 + 0.025e-6 * nets))

    def arrange_moves(self, seconds: float) -> int:
        return int(seconds / (0.1e-6 + 3e-9 * len(self.cores)))

    def anneal(self, state: State, seconds: float, *, vertices: bool = True, cap: float | None = None) -> None:
        """Trade places, move vertices, trade places again. Receiving work of a core above ``cap`` has its price."""
        search = self.search(state)
        scale = search.typical(2000) or 1.0
        single = len(self.cores) < 2
        if search.excess and vertices:  # first of all, within the limits
            search.vertices(self.vertex_moves(seconds * 0.3), 0.02 * scale, 0.002 * scale)
        if not single:
            search = self._arranged(state, 0.1 * seconds)
            search.places(self.place_moves(seconds * (0.15 if vertices else 0.9)), 0.05 * scale, 0.01 * scale)
        if vertices and not single:
            if cap is not None:
                search.receive_cap = int(cap)
                search.receive_price = PRICE / max(int(self.arrays["model"][3]), 1)
            search.vertices(self.vertex_moves(seconds * 0.6), 0.012 * scale, 0.0006 * scale)
            search.places(self.place_moves(seconds * 0.15), 0.1 * scale, 0.003 * scale)

    def _arranged(self, state: State, seconds: float) -> Search:
        """A search over ``state`` with its cores where the best of several arrangements has them."""
        trials = [state.copy() for _ in range(STARTS)]
        searches = [self.search(trial) for trial in trials]
        for search in searches:
            search.arrange(self.arrange_moves(seconds / STARTS), 0.2, 0.002)
        best = min(range(STARTS), key=lambda i: searches[i].traffic)
        if searches[best].traffic < self.search(state).traffic:
            state.slot[:] = trials[best].slot
        return self.search(state)

    def balance(self, state: State, seconds: float, rise: float = RISE, by: str = "core") -> State:
        """Lower the busiest receiving core while traffic stays within ``1 + rise`` of what it is now.

        ``by`` is "core" (work of a whole frame; no step's busiest core gets busier) or "step" (work of each step: their
        sum bounds the latency of a frame from below). Returns the new state.
        """
        start = self.search(state)
        scale, allowed = start.typical(500) or 1.0, (1 + rise) * start.traffic
        before = start.tally()["received"]
        best, least = state, _busiest(before, by)
        low, high = LEAST_SHARE, 1.0
        for _ in range(ROUNDS):
            share = (low + high) / 2
            trial = state.copy()
            search = self.search(trial)
            self._cap(search, before, share, by)
            self._relieve(search, seconds / ROUNDS, scale)
            reached = _busiest(search.tally()["received"], by)
            if search.traffic <= allowed and search.excess <= start.excess and reached < least:
                best, least, high = trial, reached, share
            else:
                low = share
        return best

    def _relieve(self, search: Search, seconds: float, scale: float) -> None:
        """Groups of vertices leave the cores above the caps; then traffic is won back, mostly at the busy cores."""
        unit = max(int(self.arrays["model"][3]), 1)
        for price in PRICES:
            search.receive_price = price / unit
            if search.groups(self.group_moves(seconds * 0.5 / len(PRICES)), 0.0):
                break
        search.receive_price = HOLD / unit
        search.relieve(self.vertex_moves(seconds * 0.1), 0.001 * scale, 0.0005 * scale)
        search.relieve(self.vertex_moves(seconds * 0.3), 0.004 * scale, 0.0003 * scale, 0.4)
        search.places(self.place_moves(seconds * 0.1), 0.02 * scale, 0.002 * scale)
        search.relieve(self.vertex_moves(seconds * 0.05), 0.0005 * scale, 0.0001 * scale)

    @staticmethod
    def _cap(search: Search, before: NDArray[np.int64], share: float, by: str) -> None:
        steps = before.max(axis=0)
        if by == "core":
            search.receive_cap = int(before.sum(axis=1).max() * share)
            search.cap_steps(steps)
        else:  # steps of little work are not worth their traffic
            search.cap_steps(np.where(steps > 0.03 * steps.sum(), steps * share, steps))


def _busiest(received: NDArray[np.int64], by: str) -> int:
    """The busiest core of a frame, or the busiest of each step added up, of int64 (cores, steps)."""
    return int(received.sum(axis=1).max() if by == "core" else received.max(axis=0).sum())
