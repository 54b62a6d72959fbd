"""Runs, mappings and simulations to report, and a reader of pages."""

from __future__ import annotations

import html.parser
import json
from pathlib import Path

import pytest

import gxevent as gx
from gxevent.mapping import load_chip, map_graph, uniform_activity
from tests.cli.conftest import graph, gxevent, network, recordings  # noqa: F401, fixtures


class Page(html.parser.HTMLParser):
    """Tables (rows of cell texts) by section title, figures, ids, text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.ids: list[str] = []
        self.labels: list[str] = []
        self.text = self.section = ""
        self.cell: list[str] | None = None
        self.heading = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "svg":
            self.labels.append(named["aria-label"])
        self.heading = self.heading or tag == "h2"
        if tag == "table":
            self.tables.setdefault(self.section, []).append([])
        elif tag == "tr":
            self.tables[self.section][-1].append([])
        elif tag in ("td", "th"):
            self.cell = []

    def handle_endtag(self, tag):
        if tag == "h2":
            self.heading = False
        if tag in ("td", "th"):
            self.tables[self.section][-1][-1].append(" ".join("".join(self.cell).split()))
            self.cell = None

    def handle_data(self, data):
        if self.heading:
            self.section = data
        self.text += data
        if self.cell is not None:
            self.cell.append(f" {data} ")


@pytest.fixture(scope="session")
def digits() -> gx.EventGraph:
    return gx.compile(gx.load_network(gx.shipped("digits.gxn")))


@pytest.fixture(scope="session")
def made(digits, tmp_path_factory) -> Path:
    """A folder with the run ``run``, its graph, a mapping of it and a simulation of that."""
    from gxevent.mapping.frames import all_at_once
    from gxevent.mapping.simulate import simulate

    folder = tmp_path_factory.mktemp("made")
    gx.save(digits, folder / "digits.gxg")
    record = gx.run_dataset(digits, gx.open_dataset(gx.shipped("digits_test.zip"), limit=60))
    record.save(folder / "run", ["gxevent says hello", f"graph: {folder / 'digits.gxg'} sha256 {gx.__version__}"])
    chip = load_chip("gxnor-array")
    mapping = map_graph(digits, chip, uniform_activity(digits), method="sequential", budget=0.1)
    mapping.save(folder / "map.json")
    summary = simulate(mapping, all_at_once(mapping)).summary()
    (folder / "sim.json").write_text(json.dumps(summary))
    return folder
