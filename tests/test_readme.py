"""The README's example gives what it says, the examples run, links lead somewhere; commands are in tests/docs."""

from __future__ import annotations

import re
import subprocess
import sys
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


NEEDS = {"paper_studies.py": ("torch", "matplotlib"), "mixed_signal.py": ("brian2", "matplotlib")}
"""Packages of extras that an example needs."""


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=lambda p: p.name)
def test_examples_run(path, tmp_path, request):
    for package in NEEDS.get(path.name, ()):
        pytest.importorskip(package, reason=f"{path.name} needs an extra")
    arguments = []
    if path.name == "paper_studies.py":
        folder = request.getfixturevalue("data") / "mnist"
        arguments = ["--data", str(folder), "--images", "400", "--epochs", "1", "--seeds", "1", "--only", "batch"]
    done = subprocess.run(
        [sys.executable, str(path), *arguments], capture_output=True, text=True, cwd=tmp_path, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_linked_files_are_there():
    pages = [*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "chips")]
    for page in pages:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            if "chips/" not in link:  # made by `make docs`, which also holds links to headings
                assert (page.parent / link).exists(), f"{page.name}: {link}"
