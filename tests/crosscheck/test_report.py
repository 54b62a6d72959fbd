"""What a cross-check reports: everything counted, the first differences named."""

from __future__ import annotations

import numpy as np

from gxevent.crosscheck import compare
from gxevent.crosscheck.report import NAMED


def test_equal_values_are_counted():
    found = compare("somebody")
    found.samples = 1
    found.add("s", "a", "output", np.array([1, 0, -1]), np.array([1, 0, -1]))
    found.add("s", "a", "accumulator", np.array([5, 0, -7]), np.array([5, 0, -7]))
    found.add("s", "b", "score", np.array([0.5], np.float32), np.array([0.5], np.float32))
    report = found.report()
    assert report.equal
    assert (report.populations_compared, report.events_compared, report.values_compared) == (2, 2, 7)
    assert report.first_mismatch is None
    assert report.lines() == ["1 samples, 2 populations, 2 events and 7 values compared with somebody: all equal"]


def test_differences_are_named_in_the_order_they_are_met():
    found = compare("somebody")
    found.add("s", "a", "output", np.array([1, 0, -1]), np.array([1, 1, 1]))
    found.add("t", "b", "accumulator", np.array([[3], [4]]), np.array([[3], [9]]))
    report = found.report()
    assert not report.equal
    assert report.mismatches == 3
    assert report.mismatches_by_population == {"a": 2, "b": 1}
    assert [(m.sample, m.population, m.unit, m.expected, m.got) for m in report.differences] == [
        ("s", "a", 1, 0, 1),
        ("s", "a", 2, -1, 1),
        ("t", "b", 1, 4, 9),
    ]
    assert report.as_dict()["first_mismatch"] == {
        "sample": "s", "population": "a", "unit": 1, "quantity": "output", "expected": 0, "got": 1,
    }  # fmt: skip
    assert "sample 't', population 'b', unit 1: accumulator 9, expected 4" in "\n".join(report.lines())


def test_many_differences_are_counted_but_not_all_named():
    found = compare("somebody")
    found.add("s", "a", "accumulator", np.zeros(1000, np.int32), np.ones(1000, np.int32))
    report = found.report()
    assert report.mismatches == 1000
    assert len(report.differences) == NAMED
    assert report.lines()[-1] == f"  and {1000 - NAMED} more"


def test_nothing_compared_is_not_equal():
    report = compare("somebody").report()
    assert not report.equal
    assert "nothing compared" in report.line()
