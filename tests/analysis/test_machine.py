"""``gxevent info`` names the extras that can be installed, with the packages they bring."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from gxevent.analysis.machine import BASE, EXTRAS, machine_info

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def name(requirement: str) -> str:
    return re.split(r"[<>=;\[ ]", requirement)[0]


def test_extras_named_are_those_of_the_package():
    offered = {
        extra: tuple(name(r) for r in requirements if name(r) not in BASE)
        for extra, requirements in PROJECT["optional-dependencies"].items()
    }
    assert {extra: offered.get(extra) for extra in EXTRAS} == EXTRAS
    assert {name(r) for r in PROJECT["dependencies"]} == set(BASE)


def test_what_is_missing_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(EXTRAS, "nonsense", ("no-such-package",))
    assert machine_info()["extras"]["nonsense"] == "not installed: pip install 'gxevent[nonsense]'"
