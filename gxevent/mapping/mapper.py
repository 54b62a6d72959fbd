"""The pipeline: split, partition, place, improve, route; then the checker, which knows nothing of all this."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from gxevent.errors import OptionError
from gxevent.graph import EventGraph
from gxevent.mapping.activity import Activity, uniform_activity
from gxevent.mapping.build import build_mapping
from gxevent.mapping.checker import check_mapping
from gxevent.mapping.chip import Chip
from gxevent.mapping.feasibility import Infeasible, infeasible
from gxevent.mapping.mapping import PORT, Mapping, Settings
from gxevent.mapping.partition import checked_method, even_work, partition
from gxevent.mapping.problem import Problem
from gxevent.mapping.search import BALANCES, CAP, RISE, Cores, Searcher, State
from gxevent.mapping.split import apply_splits, plan_splits

FILL = 0.95
"""Share of a core's neurons and memory that is planned with when cores are counted; the rest is room to move."""


def map_graph(
    graph: EventGraph,
    chip: Chip,
    activity: Activity | None = None,
    *,
    method: str = "hypergraph",
    seed: int = 0,
    budget: float = 6.0,
    cores: int | None = None,
    balance: str = "core",
    rise: float | None = None,
    progress: Callable[[str], Any] | None = None,
) -> Mapping:
    """Map a graph onto a chip. The same arguments give the same mapping.

    Parameters
    ----------
    activity
        Events of each unit; without it every unit counts alike.
    method
        "sequential", "tiles" or "hypergraph".
    budget
        Effort of the search in nominal seconds; 0 leaves the first partition as it is.
    cores
        Number of cores to use; by default as few as fit.
    balance
        "core" lowers the busiest receiving core; "step" the busiest of each layer's step, which together bound the
        latency of a frame; "off" neither.
    rise
        Traffic that a last stage may spend on this, as a share of what was found before. By default 9 %; none after
        Mt-KaHyPar for "core", which has spread the receiving work by then.

    Raises Infeasible (a CapacityError) listing everything that does not fit, OptionError for options that do not exist.
    """
    checked_method(method)
    if cores is not None and not 1 <= cores <= chip.core_count:
        raise OptionError(f"cores: expected 1 … {chip.core_count} on {chip.name}, got {cores}")
    if balance not in BALANCES:
        raise OptionError(f"balance: expected one of {', '.join(BALANCES)}, got {balance!r}")
    if rise is not None and not 0 <= rise < 100:
        raise OptionError(f"rise: expected a share of the traffic from 0, got {rise:g}")
    say = progress or (lambda _: None)
    activity = activity or uniform_activity(graph)
    splits = plan_splits(graph, chip)
    split = apply_splits(graph, splits)
    if problems := infeasible(split, chip):
        raise Infeasible(chip.name, problems)
    say("counting synapses")
    problem = Problem.of(split, chip, activity)
    pipeline = _Pipeline(problem, method, seed, budget, balance, rise, say)
    used, state, partitioner = pipeline.run(cores)
    numbers = np.array([*used.numbers, PORT], np.int32)
    say("routing")
    settings = Settings(method, partitioner, seed, float(budget))
    core = numbers[np.minimum(state.slot[state.core], len(used))]
    mapping = build_mapping(graph, problem, splits, core, settings)
    say("checking")
    if problems := check_mapping(mapping, graph if not problem.large else None):
        raise Infeasible(chip.name, [_unplaced(method, cores, used), *problems])
    return mapping


def _unplaced(method: str, cores: int | None, used: Cores) -> str:
    """What a search that ended beyond a limit says first: nothing shows that the network cannot fit."""
    chip = used.chip
    remedies = [f"more than {cores} cores"] if cores and cores < chip.core_count else []
    remedies += ["a larger budget"] if chip.granularity != "layer" else []
    remedies += [f"the method {other}" for other in ("hypergraph", "tiles") if other != method][:1]
    return (
        f"method {method!r}: placement: found none within every limit on {len(used):,} of {chip.core_count:,} cores: "
        f"try {', '.join([*remedies, 'a chip with larger cores'])}"
    )


class _Pipeline:
    """Partition and search on as many cores as it takes."""

    def __init__(
        self,
        problem: Problem,
        method: str,
        seed: int,
        budget: float,
        balance: str = "off",
        rise: float | None = None,
        say: Callable[[str], Any] = lambda _: None,
    ) -> None:
        self.problem, self.method, self.seed = problem, method, seed
        self.budget, self.balance, self.rise, self.say = budget, balance, rise, say
        self.cap: float | None = None  # receiving work of a core, where the partition was made to keep to one

    def run(self, cores: int | None) -> tuple[Cores, State, str]:
        chip, problem = self.problem.chip, self.problem
        port = chip.inputs == "port"
        count = cores or min(problem.least_cores(FILL), chip.core_count)
        while True:
            used = Cores.near_port(chip, count, port)
            self.say(f"partitioning over {len(used):,} cores")
            state, name = self._first(used, "grown" if self.method == "hypergraph" else self.method)
            settled = self._settle(used, state)
            if settled or cores or len(used) >= chip.core_count:
                break
            count = min(int(count * 1.15) + 1, chip.core_count)
        if self.method == "hypergraph":  # the better partitioner takes its time: only once the cores are counted
            even = even_work(problem, used) if self.balance == "core" else None
            better, called = self._first(used, self.method, even)
            if called != name and self._settle(used, better):
                state, name, settled = better, called, True
                self.cap = even and CAP * even
        if self.budget > 0 and settled and not problem.large:
            state = self._improve(used, state)
        return used, state, name

    def _first(self, used: Cores, method: str, work: float | None = None) -> tuple[State, str]:
        core, name = partition(self.problem, used, method, self.seed, work)
        return State(core, np.arange(len(used) + used.port, dtype=np.int32)), name

    def _settle(self, used: Cores, state: State) -> bool:
        """Bring the partition within the limits; whether that came out."""
        if self.problem.large:
            return True
        if self._mixed(state) or self._unable(used, state):
            return False
        searcher = Searcher(self.problem, used, self.seed)
        search = searcher.search(state)
        if search.excess and self.problem.chip.granularity != "layer":
            self.say("moving units to where they fit")
            scale = search.typical(1000) or 1.0
            effort = min(0.5, 0.1 * self.budget + 0.02)
            for _ in range(6):
                before = search.excess
                search.vertices(searcher.vertex_moves(effort), 0.005 * scale, 0.001 * scale)
                if search.excess == 0 or search.excess > 0.97 * before:
                    break
        return search.excess == 0 and not self._mixed(state)

    def _mixed(self, state: State) -> bool:
        """Whether a core holds several layers on a chip that takes one a core."""
        pairs = np.unique(np.stack([state.core, self.problem.group], axis=1)[self.problem.fixed == 0], axis=0)
        return self.problem.chip.granularity != "unit" and len(pairs) > len(np.unique(pairs[:, 0]))

    def _unable(self, used: Cores, state: State) -> bool:
        """Whether a core holds units that it cannot compute."""
        have = used.arrays(self.problem)["have"]
        return bool((self.problem.need & ~have[state.core]).any())

    def _improve(self, used: Cores, state: State) -> State:
        searcher = Searcher(self.problem, used, self.seed + 1)
        movable = self.problem.chip.granularity != "layer"
        self.say("annealing")
        done = self.balance == "off" or not movable or (self.cap is not None and self.rise is None)
        searcher.anneal(state, self.budget * (1.0 if done else 0.6), vertices=movable, cap=self.cap)
        if done:
            return state
        self.say("balancing the receiving cores")
        return searcher.balance(state, 0.4 * self.budget, RISE if self.rise is None else self.rise, self.balance)
