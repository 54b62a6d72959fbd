"""The README's example gives what it says, and links lead somewhere; commands are in tests/docs, examples in
test_examples.py.
"""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_python_example_runs_as_written(capsys):
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 5
    exec(compile(example, "README.md", "exec"), {})
    said = re.fullmatch(r"([\d.]+)% right, ([\d.]+)% of the gates rested\n", capsys.readouterr().out)
    assert said, "the example's output changed"
    assert float(said[1]) >= 95
    assert 0 < float(said[2]) < 100


def test_linked_files_are_there():
    pages = [*ROOT.glob("*.md"), *(p for p in (ROOT / "docs").rglob("*.md") if p.parent.name != "chips")]
    for page in pages:
        for link in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            if "chips/" not in link:  # made by `make docs`, which also holds links to headings
                assert (page.parent / link).exists(), f"{page.name}: {link}"
