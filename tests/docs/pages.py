"""What the pages show: their console and Python blocks, and the list of what cannot run in a test."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(console|python)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass
class Step:
    """One command with the output shown under it, or one Python block; ``line`` of the page."""

    page: str
    line: int
    kind: str
    text: str
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Exception_:
    """A command (by its beginning) that is not run as shown: not at all, or shortened to ``run``."""

    page: str
    command: str
    because: str
    run: str | None = None


def pages() -> list[str]:
    """README.md and every page of the documentation that is kept in the repository."""
    kept = [path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "chips"]
    return ["README.md", "CONTRIBUTING.md", *(str(path.relative_to(ROOT)) for path in kept)]


def steps(page: str) -> list[Step]:
    """The steps of a page, in order."""
    text = (ROOT / page).read_text()
    found: list[Step] = []
    for block in FENCE.finditer(text):
        first = text.count("\n", 0, block.start(2)) + 1
        if block[1] == "python":
            found.append(Step(page, first, "python", block[2]))
            continue
        for i, line in enumerate(block[2].splitlines()):
            if line.startswith("$ "):
                found.append(Step(page, first + i, "console", line[2:]))
            elif found and found[-1].kind == "console" and found[-1].text.endswith("\\"):
                found[-1].text += "\n" + line
            elif line.strip():
                if not found or found[-1].kind != "console":
                    raise ValueError(f"{page}:{first + i}: output without a command")
                found[-1].shown.append(line)
    return found


def settings() -> dict:
    return tomllib.loads((Path(__file__).parent / "commands.toml").read_text())


def exceptions() -> list[Exception_]:
    return [Exception_(**entry) for entry in settings()["exception"]]


def exception_of(step: Step) -> Exception_ | None:
    """The longest entry whose command begins the step's."""
    fitting = [e for e in exceptions() if e.page in (step.page, "*") and step.text.startswith(e.command)]
    return max(fitting, key=lambda e: len(e.command), default=None)


VARYING = re.compile(
    r"validation|used once|a second|samples/s|\bus\b|\bµs\b|took|seconds|\bs\b|sha256|kernel|cpu|processors|torch|numpy"
)
NUMBER = re.compile(r"\d[\d,.]*")


def looks_like(shown: str, printed: str) -> bool:
    """Whether a line was printed as shown; figures of time, versions, machines and trainings may differ."""
    if " ".join(shown.split()) == " ".join(printed.split()):
        return True
    if not VARYING.search(shown):
        return False
    return _plain(shown) == _plain(printed)


def _plain(line: str) -> str:
    line = re.sub(r"\(\w+ kernel", "(# kernel", re.sub(r"[\da-f]{64}", "#", line))
    return " ".join(NUMBER.sub("#", line).split())
