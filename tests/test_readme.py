"""What the README shows runs as written; the examples are the matter of test_examples.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_the_python_example_runs_as_written(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 5
    exec(compile(example, "README.md", "exec"), {})
    said = re.fullmatch(r"([\d.]+)% right, ([\d.]+)% of the gates rested\n", capsys.readouterr().out)
    assert said, "the example's output changed"
    assert float(said[1]) >= 95
    assert 0 < float(said[2]) < 100


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"^\$ gxevent (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)))
)
def test_commands_shown_exist(command):
    from gxevent.cli import COMMANDS

    assert command in COMMANDS


def test_linked_files_are_there():
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
