"""The event simulation against closed forms: micro cases, queues, lines, hot spots, saturation, invariants."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from gxevent.core import _noc
from gxevent.errors import OptionError
from gxevent.mapping.chip import Chip, chip_from
from gxevent.mapping.energy import energy
from gxevent.mapping.mapping import PORT
from gxevent.mapping.noc import Boundary
from gxevent.mapping.roofline import Roofline
from gxevent.mapping.traffic import Traffic
from gxevent.mapping.workload import Workload
from tests.mapping.conftest import quantity, spec

LOIHI_NS = {"synop": 3.8, "neuron_access": 6.0, "neuron_update": 3.7, "spike": 30.0, "packet_out": 5.1}
LOIHI_NS |= {"packet_in": 16.0, "hop_x": 4.1, "hop_y": 6.5}
LOIHI_PJ = {"synop": 35.5, "neuron_access": 51.2, "neuron_update": 21.6, "spike": 69.3, "packet_out": 111.0}
LOIHI_PJ |= {"hop_x": 3.0, "hop_y": 4.2}


def costed(width: int = 8, height: int = 8, ns: dict[str, float] | None = None, **more: Any) -> Chip:
    """A mesh with the times ``ns`` and Loihi's energies."""
    values = spec(width, height, **({"scheme": "unicast"} | more))
    values["latency"] = {name: quantity(v, "ns") for name, v in (LOIHI_NS if ns is None else ns).items()}
    values["energy"] = {name: quantity(v, "pJ") for name, v in LOIHI_PJ.items()}
    values["energy"]["packet_in"] = quantity(0, "pJ", condition="part of synop")
    return chip_from(values, "test")


def simple(pairs: list[tuple[int, int, int]], unit_core: list[int], chip: Chip, **options: Any) -> Traffic:
    unit, core, synapses = np.array(pairs, np.int64).reshape(-1, 3).T
    return Traffic.of(Workload.flat(chip, np.array(unit_core), unit, core, synapses), **options)


def at(x: int, y: int) -> int:
    return y * 8 + x


MICRO = {
    # name: core of each unit, (unit, core, synapses), simple ns, detailed ns, pJ
    "A": ([0, 0], [(0, 0, 1)], 54.5, 64.6, 361.4),
    "B": ([0, 1], [(0, 1, 1)], 44.8, 68.7, 364.4),
    "C": ([0, at(3, 2)], [(0, at(3, 2), 1)], 44.8, 89.9, 378.8),
    "D": ([0] * 10 + [1], [(i, 1, 1) for i in range(10)], 448.0, 471.9, 2988.8),
    "E": ([0, 1, 2, 3, 4], [(0, i, 1) for i in (1, 2, 3, 4)], 60.1, 96.3, 1049.3),
    "F": (
        [0, 1, 2, 3] + [at(0, 4)] * 32,
        [(i, at(0, 4), 32) for i in range(4)],
        550.4,
        44.8 + 26.0 + 4 * 137.6,
        7971.2,
    ),
}


@pytest.mark.parametrize("case", MICRO)
def test_micro_cases_of_sana_fe(case):
    """One packet inside a core, over one and five hops, ten in a row, one to four cores, four to one core.

    "Simple" is the busiest of senders and receivers, "detailed" follows packets; E depends on the order of its packets,
    which here is that of the cores.
    """
    unit_core, pairs, roof, detailed, picojoules = MICRO[case]
    traffic = simple(pairs, unit_core, costed())
    fires = np.isin(np.arange(len(unit_core)), [unit for unit, _, _ in pairs])
    fired = traffic.fired(fires)
    assert traffic.run(fired)["end"] == round(detailed * 1000)
    loads = Roofline(traffic).loads(fired)
    assert max(loads.terms()["send"][0], loads.terms()["receive"][0]) == round(roof * 1000)
    assert energy(traffic.work.chip, loads.counts, 0.0).total.value == pytest.approx(picojoules, abs=1e-9)


# ------------------------------------------------------------------------------------------------------- queues


def queue(gaps: np.ndarray, service: np.ndarray) -> dict[str, Any]:
    """Packets that leave one core after ``gaps`` ps and need ``service`` ps at the other, no room limits."""
    n = len(gaps)
    chip = costed(2, 1, ns={"synop": 1.0})
    traffic = Traffic.of(Workload.flat(chip, np.zeros(n), np.arange(n), np.ones(n), np.ones(n)))
    traffic.arrays["unit_time"], traffic.arrays["work_time"] = gaps.astype(np.int64), service.astype(np.int64)
    made = traffic.run(traffic.fired(np.ones(n, bool)), buffers=None, record=True)
    return made | {"wait": made["finished"] - made["arrived"] - np.sort(service)[-1] * (np.ptp(service) == 0)}


def batch_error(values: np.ndarray, batches: int = 50) -> float:
    """Standard error of the mean of correlated values, from the means of batches."""
    means = values[: len(values) // batches * batches].reshape(batches, -1).mean(axis=1)
    return float(means.std(ddof=1) / np.sqrt(batches))


@pytest.mark.parametrize("rho", [0.3, 0.7])
def test_m_d_1(rho):
    """Mean wait of Poisson arrivals at a server of constant time S: rho S / (2 (1 - rho))."""
    s = 100_000
    rng = np.random.default_rng(1)
    made = queue(np.round(rng.exponential(s / rho, 500_000)), np.full(500_000, s))
    wait = made["wait"].astype(float)
    expected = rho * s / (2 * (1 - rho))
    assert abs(wait.mean() - expected) < 4 * batch_error(wait)
    assert batch_error(wait) < 0.02 * expected


def test_m_m_1_and_littles_law():
    """Mean wait rho S / (1 - rho); packets at the core x time = sum of their stays, exactly."""
    s, rho, n = 100_000, 0.6, 500_000
    rng = np.random.default_rng(2)
    service = np.maximum(np.round(rng.exponential(s, n)), 1)
    made = queue(np.round(rng.exponential(s / rho, n)), service)
    stay = made["finished"] - made["arrived"]
    wait = stay - service
    assert abs(wait.mean() - rho * s / (1 - rho)) < 4 * batch_error(wait)
    assert made["receive_area"].sum() == stay.sum()


def test_d_d_1_does_not_wait():
    made = queue(np.full(1000, 1001), np.full(1000, 1000))
    assert (made["wait"] == 0).all()
    assert made["receive_peak"].max() == 1


@pytest.mark.parametrize("buffers", [1, 4, None])
@pytest.mark.parametrize(("links", "packets"), [(1, 1), (5, 1), (7, 40)])
def test_a_line_of_links_takes_k_plus_n_minus_1_slots(links, packets, buffers):
    traffic = simple([(i, links, 0) for i in range(packets)], [0] * packets, costed(8, 1, ns={"hop_x": 2.0}))
    made = traffic.run(traffic.fired(np.ones(packets, bool)), buffers=buffers)
    assert made["end"] == (links + packets - 1) * 2000


@pytest.mark.parametrize("scheme", ["unicast", "multicast"])
@pytest.mark.parametrize("buffers", [1, 16, None])
def test_a_hot_spot_takes_first_arrival_plus_n_times_s(buffers, scheme):
    """All cores of a mesh send to one corner: its server never rests from the first packet on."""
    chip = costed(4, 4, ns={"packet_in": 50.0, "hop_x": 2.0, "hop_y": 2.0, "packet_out": 1.0}, scheme=scheme)
    cores = np.repeat(np.arange(1, 16), 5)
    traffic = simple([(i, 0, 0) for i in range(len(cores))], cores.tolist(), chip)
    made = traffic.run(traffic.fired(np.ones(len(cores), bool)), buffers=buffers)
    assert made["end"] == 1000 + 2000 + 75 * 50_000


@pytest.mark.parametrize("side", [4, 8])
def test_uniform_traffic_saturates_at_four_over_k(side):
    """Half of all packets cross the middle of a k x k mesh over k links each way: 4/k packets a node and slot.

    Simulated with room without limit; the finite run needs a little longer than the bound to fill and to drain.
    """
    n, slots, rng = side * side, 300, np.random.default_rng(3)
    core = np.repeat(np.arange(n), slots)
    to = rng.integers(0, n, core.size)
    chip = costed(side, side, ns={"hop_x": 1.0, "hop_y": 1.0})
    traffic = Traffic.of(Workload.flat(chip, core, np.arange(core.size), to, np.zeros(core.size)))
    fired = traffic.fired(np.ones(core.size, bool))
    took = traffic.run(fired, buffers=None)["end"] / 1000
    least = slots / (4 / side)
    assert 0.9 * least < Roofline(traffic).loads(fired).stages()[0] / 1000 <= took < 1.35 * least


# --------------------------------------------------------------------------------------------------- invariants


@st.composite
def traffics(draw: Any, **fixed: Any) -> tuple[Traffic, np.ndarray]:
    """Random units on a small network of any shape, sending anywhere."""
    topology = fixed.get("topology") or draw(st.sampled_from(["mesh", "torus", "triangular"]))
    width, height, slots = draw(st.integers(1, 5)), draw(st.integers(1, 4)), draw(st.integers(1, 2))
    scheme = draw(st.sampled_from(["unicast", "multicast"]))
    names = sorted(LOIHI_NS)
    ns = {name: draw(st.integers(0, 12)) for name in names}
    chip = costed(width, height, ns, topology=topology, scheme=scheme, per_router=slots)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    cores, units = width * height * slots, draw(st.integers(1, 60))
    home = rng.integers(0, cores, units)
    if draw(st.booleans()):
        home[rng.random(units) < 0.3] = PORT
    reach = rng.random((units, cores)) < draw(st.sampled_from([0.05, 0.3, 0.9]))
    unit, core = np.nonzero(reach)
    synapses = rng.integers(0, 20, unit.size)
    traffic = Traffic.of(Workload.flat(chip, home, unit, core, synapses, rng.integers(0, 3, units)))
    return traffic, traffic.fired(rng.random(units) < draw(st.sampled_from([0.3, 1.0])))


room = st.sampled_from([1, 2, 5, 16, None])


@given(traffics(), room)
def test_what_is_sent_arrives_along_its_route_and_not_sooner_than_the_roofline(made, buffers):
    """Conservation (the run itself refuses when a packet is missing), loads in closed form, roofline, repetition."""
    traffic, fired = made
    first = traffic.run(fired, buffers=buffers, record=True)
    loads = Roofline(traffic).loads(fired)
    assert first["deliveries"] == loads.counts["packets_in"]
    assert (first["link_load"][: len(loads.link)] == loads.link.sum(axis=1)).all()
    assert first["link_load"].sum() == loads.counts["hops_x"] + loads.counts["hops_y"]
    assert (first["receive_busy"][: len(loads.receive)] == loads.receive.sum(axis=1)).all()
    assert (first["send_busy"] - first["send_stall"] == loads.send.sum(axis=1)).all()
    assert first["end"] >= loads.stages().max() >= loads.receive.max(initial=0)
    if first["deliveries"]:
        assert (first["created"] <= first["arrived"]).all()
        assert (first["arrived"] <= first["finished"]).all()
    again = traffic.run(fired, buffers=buffers, record=True)
    assert all(np.array_equal(first[name], again[name]) for name in first)


@given(traffics(), room, st.integers(2, 5))
def test_all_times_scaled_scale_the_result(made, buffers, factor):
    traffic, fired = made
    before = traffic.run(fired, buffers=buffers)["end"]
    for name in ("link_time", "work_time", "unit_time", "unit_spike", "group_packet"):
        traffic.arrays[name] = traffic.arrays[name] * factor
    assert traffic.run(fired, buffers=buffers)["end"] == before * factor


@given(traffics(), st.integers(0, 5000))
def test_dearer_receiving_is_never_sooner(made, more):
    """Without limits of room (back-pressure can reorder packets, and with them what comes last)."""
    traffic, fired = made
    before = traffic.run(fired, buffers=None)["end"]
    traffic.arrays["work_time"] = traffic.arrays["work_time"] + more
    assert traffic.run(fired, buffers=None)["end"] >= before


@given(st.integers(1, 6), st.lists(st.integers(0, 30), min_size=1, max_size=30), st.integers(0, 40), st.integers(1, 30))
def test_more_room_is_never_slower_on_a_line(links, gaps, service, hop):
    chip = costed(8, 1, ns={"hop_x": hop, "packet_in": service})
    ends = []
    for buffers in (1, 2, 4, None):
        traffic = simple([(i, links, 0) for i in range(len(gaps))], [0] * len(gaps), chip)
        traffic.arrays["unit_time"] = np.array(gaps, np.int64) * 1000
        ends.append(traffic.run(traffic.fired(np.ones(len(gaps), bool)), buffers=buffers)["end"])
    assert ends == sorted(ends, reverse=True)


@given(st.integers(0, 2**32 - 1), st.sampled_from(["unicast", "multicast"]))
def test_one_packet_alone_takes_the_sum_of_its_parts(seed, scheme):
    rng = np.random.default_rng(seed)
    begin, end = rng.integers(0, 64, 2).tolist()
    synapses = int(rng.integers(0, 50))
    traffic = simple([(0, end, synapses)], [begin], costed(scheme=scheme))
    hops = abs(begin % 8 - end % 8) * 4100 + abs(begin // 8 - end // 8) * 6500
    assert traffic.run(traffic.fired(np.ones(1, bool)))["end"] == 44_800 + hops + 16_000 + synapses * 3800


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["x", "y", "both"]))
def test_a_mirrored_mapping_has_the_same_figures(seed, axis):
    """Counts, loads and roofline do not see which way a mesh is held, nor does the latency of one unit at a time."""
    rng = np.random.default_rng(seed)
    unit, core = np.nonzero(rng.random((20, 64)) < 0.1)
    home, synapses = rng.integers(0, 64, 20), rng.integers(0, 9, unit.size)

    def mirror(number: np.ndarray) -> np.ndarray:
        y, x = np.divmod(number, 8)
        return (7 - y if axis != "x" else y) * 8 + (7 - x if axis != "y" else x)

    figures = []
    for change in (lambda number: number, mirror):
        traffic = Traffic.of(Workload.flat(costed(scheme="multicast"), change(home), unit, change(core), synapses))
        loads = Roofline(traffic).loads(traffic.fired(np.ones(20, bool)))
        alone = [traffic.run(traffic.fired(np.arange(20) == i))["end"] for i in range(20)]
        figures.append((loads.counts, sorted(loads.link.ravel()), loads.stages().tolist(), alone))
    assert figures[0] == figures[1]


@given(traffics(topology="torus"), traffics(topology="triangular"))
def test_rings_do_not_block_themselves(torus, triangular):
    """With room for a single packet behind each link; run() refuses when one does not arrive."""
    for traffic, fired in (torus, triangular):
        assert traffic.run(fired, buffers=1)["deliveries"] == traffic.deliveries(fired, _noc.ALL_AT_ONCE)


def test_full_rings_of_a_torus_drain():
    """Every core of a ring sends half way round, many packets: the classic deadlock without lanes."""
    core = np.repeat(np.arange(8), 50)
    traffic = Traffic.of(
        Workload.flat(costed(8, 1, topology="torus"), core, np.arange(400), (core + 4) % 8, np.zeros(400, np.int64), 0)
    )
    fired = traffic.fired(np.ones(400, bool))
    assert traffic.run(fired, buffers=1)["link_load"].sum() == 1600


def test_links_between_chips_are_slower_and_serve_one_at_a_time():
    chip = costed(8, 2, ns={"hop_x": 2.0})
    pairs = [(i, 5, 0) for i in range(10)]
    across = simple(pairs, [2] * 10, chip, boundary=Boundary(4, 2, 100.0))
    assert across.run(across.fired(np.ones(10, bool)))["end"] == (2 + 2) * 1000 + 10 * 100_000
    with pytest.raises(OptionError, match="boundary"):
        simple(pairs, [2] * 10, chip, boundary=Boundary(0, 2, 100.0))


def test_room_for_no_packet_is_refused():
    traffic = simple([(0, 1, 1)], [0], costed())
    with pytest.raises(OptionError, match="at least 1 packet"):
        traffic.run(traffic.fired(np.ones(1, bool)), buffers=0)
