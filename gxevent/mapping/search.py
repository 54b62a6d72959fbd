"""Searching for a better mapping: chosen cores, their arrays, and the annealing that moves units and cores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gxevent.core._mapping import Search
from gxevent.errors import CapacityError
from gxevent.mapping.chip import NO_LIMIT, Chip
from gxevent.mapping.problem import MAX, Problem
from gxevent.mapping.route import uses_trees

EXACT_ROOM = 2**29
"""Entries of the table nets x cores up to which the search counts exactly."""

RISE = 0.09
"""Traffic that lowering the busiest receiving core may cost, beside the best that was found without regard to it."""

CAPS = (0.92, 0.87, 0.835, 0.8)
"""Receiving work that the rounds of balancing aim at, as a share of what it was."""

PRICE = 0.8
"""What receiving work above the cap costs beside traffic, a synapse beside a link."""


@dataclass(frozen=True, eq=False)
class Cores:
    """The cores that a mapping uses, as chip core numbers, and the same as arrays; the port comes last, if any."""

    chip: Chip
    numbers: tuple[int, ...]
    port: bool

    @classmethod
    def near_port(cls, chip: Chip, count: int, port: bool) -> Cores:
        """``count`` cores in a rectangle of routers beside the port, as square as it can be."""
        if len(chip.cores) > 1 or count >= chip.core_count:
            return cls(chip, tuple(range(chip.core_count)), port)
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
        have = [MAX * ("max" in core.operations) for core in of] + [MAX] * self.port
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

    def place_moves(self, seconds: float) -> int:
        nets = min(len(self.problem.nets), 2 * len(self.problem.pins[0]) / max(len(self.cores), 1))
        return int(seconds / (1e-6 + 0.025e-6 * nets))

    def anneal(self, state: State, seconds: float, *, vertices: bool = True) -> None:
        """Trade places, move vertices, trade places again."""
        search = self.search(state)
        scale = search.typical(2000) or 1.0
        single = len(self.cores) < 2
        if search.excess and vertices:  # first of all, within the limits
            search.vertices(self.vertex_moves(seconds * 0.3), 0.02 * scale, 0.002 * scale)
        if not single:
            search.places(self.place_moves(seconds * (0.3 if vertices else 0.9)), 0.8 * scale, 0.01 * scale)
        if vertices and not single:
            search.vertices(self.vertex_moves(seconds * 0.55), 0.012 * scale, 0.0006 * scale)
            search.places(self.place_moves(seconds * 0.15), 0.1 * scale, 0.003 * scale)

    def balance(self, state: State, seconds: float, rise: float | None = None) -> State:
        """Lower the busiest receiving core while traffic stays within ``1 + rise`` of what it is now.

        Each round caps the receiving work lower and lets vertices leave the cores above the cap; the lowest within the
        allowed traffic is kept. Returns the new state.
        """
        best = state.copy()
        start = self.search(best)
        scale = start.typical(500) or 1.0
        least = before = int(start.tally()["receive"].max())
        allowed = (1 + (RISE if rise is None else rise)) * start.traffic
        price = PRICE / max(int(self.arrays["model"][3]), 1)
        for cap in CAPS:
            trial = best.copy()
            search = self.search(trial)
            search.receive_cap = int(before * cap)
            if search.receive_cap >= least:
                continue
            each = seconds / len(CAPS)
            search.receive_price = price
            search.vertices(self.vertex_moves(each * 0.5), 0.004 * scale, 0.001 * scale)
            search.places(self.place_moves(each * 0.2), 0.05 * scale, 0.002 * scale)
            search.receive_price = 2 * price  # hold what was won, and win traffic back
            search.vertices(self.vertex_moves(each * 0.3), 0.002 * scale, 0.0002 * scale)
            busiest = int(search.tally()["receive"].max())
            if busiest < least and search.traffic <= allowed and search.excess <= start.excess:
                best, least = trial, busiest
        return best
