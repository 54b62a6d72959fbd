"""Paired ratios, their middle half, and crossovers; rounds that time everybody once."""

from __future__ import annotations

import time

import pytest

from gxevent.bench import timing
from gxevent.bench.statistics import crossovers, paired_ratio, spread


def test_spread_is_median_and_middle_half():
    assert spread([5.0]) == (5.0, 5.0, 5.0)
    assert spread([1.0, 2.0, 3.0, 4.0, 5.0]) == (3.0, 2.0, 4.0)


def test_ratios_are_paired_within_rounds():
    """A machine that becomes ten times slower halfway changes no ratio, though it ruins the times."""
    slow = [1.0] * 10 + [10.0] * 10
    theirs = [3.0 * s for s in slow]
    assert paired_ratio(theirs, slow) == (3.0, 3.0, 3.0)
    assert spread(theirs).high / spread(slow).low > 20
    # The median of ratios, not the ratio of medians.
    assert paired_ratio([1.0, 6.0, 3.0], [1.0, 3.0, 1.0]).median == 2.0
    with pytest.raises(ValueError, match="shorter"):
        paired_ratio([1.0, 2.0], [1.0])


def test_crossovers_are_interpolated_on_logarithmic_axes():
    x = [0.01, 0.1, 1.0]
    assert crossovers(x, [1, 10, 100], [10, 10.5, 11]) == pytest.approx([0.105], rel=0.01)
    assert crossovers(x, [1, 2, 3], [2, 4, 6]) == []
    assert len(crossovers(x, [1, 3, 1], [2, 2, 2])) == 2


def test_every_round_times_every_entry_once_on_all_inputs():
    seen: dict[str, list[int]] = {"a": [], "b": []}
    entries = [timing.Entry(name, seen[name].append, [1, 2, 3], "pair") for name in seen]
    for entry in entries:
        entry.calls, entry.warm = 5, 1
    rounds = []
    timing.run_rounds(entries, 4, progress=lambda: rounds.append(None))
    assert len(rounds) == 4
    for entry in entries:
        assert len(entry.processor) == len(entry.wall) == 4
        assert seen[entry.name] == ([1, 1, 2, 3, 1, 2]) * 4


def test_the_clock_of_one_thread_does_not_count_waiting():
    entry = timing.Entry("sleeper", lambda x: time.sleep(0.01), [None])
    timing.run_rounds([entry], 2)
    assert max(entry.times(1)) < 0.005 < 0.009 < min(entry.times(2))


def test_calls_fill_the_slot():
    entry = timing.Entry("sleeper", lambda x: time.sleep(0.001), [None])
    timing.set_calls(entry, 0.01)
    assert 2 <= entry.calls <= 10
    slow = timing.Entry("slow", lambda x: time.sleep(0.02), [None])
    timing.set_calls(slow, 0.001)
    assert (slow.calls, slow.warm) == (1, 0)
