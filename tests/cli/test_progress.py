"""Progress for people who watch, and for log files that nobody watches."""

from __future__ import annotations

import sys

import pytest

from gxevent.cli import common
from gxevent.cli.common import Output, duration


@pytest.fixture
def clock(monkeypatch):
    """A clock to set."""
    now = [0.0]
    monkeypatch.setattr(common.time, "monotonic", lambda: now[0])
    return now


def test_a_log_file_gets_few_lines_with_rate_and_time_left(clock, capsys):
    with Output(json=False, quiet=False).progress(1_000_000, "running", "sample") as bar:
        for _ in range(10_000):  # an hour and 40 minutes
            clock[0] += 0.6
            bar.update(100)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "running: 1,700 of 1,000,000 samples, 167 a second, 100 min left".replace(
        "100 min", "1 h 40 min"
    )
    assert 10 < len(lines) < 35
    assert all("167 a second" in line for line in lines)


def test_what_was_done_before_says_nothing_about_the_rate(clock, capsys):
    bar = Output(json=False, quiet=False).progress(2_000, "running", "sample")
    clock[0] = 7.0
    bar.initial = bar.n = 1_000
    bar.unpause()
    clock[0] = 27.0
    bar.update(100)
    assert capsys.readouterr().err == "running: 1,100 of 2,000 samples, 5 a second, 3 min left\n"


def test_a_line_says_what_is_being_done(clock, capsys):
    with Output(json=False, quiet=False).progress(20, "measuring", "round") as bar:
        bar.set_postfix_str("mlp, 20 % active")
        clock[0] = 20.0
        bar.update(10)
    assert capsys.readouterr().err == "measuring: 10 of 20 rounds, 0 a second, 20 s left (mlp, 20 % active)\n"


def test_short_work_and_quiet_say_nothing(clock, capsys):
    for output, seconds in ((Output(json=False, quiet=False), 9.0), (Output(json=False, quiet=True), 900.0)):
        with output.progress(None, "comparing") as bar:
            clock[0] += seconds
            bar.set_description_str("still comparing", refresh=False)
            bar.update()
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    bar = Output(json=False, quiet=False).progress(10, "running", "sample")
    bar.initial = bar.n = 4  # what cli/run.py does for a run that goes on
    bar.unpause()
    assert "4/10" in str(bar)
    bar.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (42, "42 s"), (89.4, "89 s"), (90, "2 min"), (5_000, "83 min"), (5_400, "1 h 30 min"),
     (12_000, "3 h 20 min"), (190_800, "2 days 5 h")],
)  # fmt: skip
def test_durations_for_people(seconds, text):
    assert duration(seconds) == text
