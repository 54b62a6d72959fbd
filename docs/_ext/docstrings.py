"""Docstrings and the help of commands as they were meant: numpydoc sections, plain signs, examples as code."""

from __future__ import annotations

import re
from typing import Any

from sphinx.ext.napoleon import Config, NumpyDocstring

NUMPYDOC = Config(napoleon_google_docstring=False, napoleon_use_rtype=False)
COMMON = ("--json", "-q", "--quiet", "--debug")
"""Options that every command has: said once, at the top of the page."""


def docstring(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Shapes such as (n, *input_shape) and sizes such as |level| are text, not markup."""
    literal = False
    for i, line in enumerate(lines):
        parts = re.split(r"(``.*?``)", line)
        if not literal:
            parts[::2] = [re.sub(r"(?<![\w*])\*(?=\w)|\|", r"\\\g<0>", part) for part in parts[::2]]
            lines[i] = "".join(parts)
        if line.strip():
            literal = line.rstrip().endswith("::") or (literal and line.startswith(" "))
    _raise_strays(lines)
    if what not in ("attribute", "data"):  # there, a colon would be taken for the end of a type
        lines[:] = NumpyDocstring(lines, NUMPYDOC, app, what, name, obj, options).lines()


def _raise_strays(lines: list[str]) -> None:
    """Sentences behind the entries of a section stand before it: numpydoc would take them for one entry more."""
    heads = [i for i, line in enumerate(lines) if i + 1 < len(lines) and lines[i + 1] and not lines[i + 1].strip("-")]
    if not heads:
        return
    strays: list[list[str]] = []
    kept: list[str] = []
    for paragraph in "\n".join(lines[heads[0] :]).rstrip().split("\n\n"):
        rows = paragraph.split("\n")
        sentence = not any(row.startswith(" ") or (row and not row.strip("-")) for row in rows)
        if sentence and rows[-1].endswith("."):
            strays.append([*rows, ""])
        else:
            kept += [*rows, ""]
    lines[heads[0] :] = [row for rows in strays for row in rows] + kept


def description(app: Any, ctx: Any, lines: list[str]) -> None:
    """What a command is for, then its example as a console block."""
    found = [line.strip() for line in (ctx.command.epilog or "").replace("\b", "").split("\n")]
    if "Example:" in found:
        commands = [line for line in found[found.index("Example:") + 1 :] if line]
        lines += ["", ".. code-block:: console", "", *(f"   $ {line}" for line in commands), ""]


def nothing(app: Any, ctx: Any, lines: list[str]) -> None:
    """Left out: the usage line has the arguments, the description the example."""
    lines.clear()


def options(app: Any, ctx: Any, lines: list[str]) -> None:
    """Without the options that every command has."""
    kept: list[str] = []
    skipping = False
    for line in lines:
        if line.startswith(".. option::"):
            skipping = line.removeprefix(".. option::").split(",")[0].strip() in COMMON
        if not skipping:
            kept.append(line)
    lines[:] = kept


def setup(app: Any) -> dict[str, bool]:
    app.connect("autodoc-process-docstring", docstring)
    app.connect("sphinx-click-process-description", description)
    app.connect("sphinx-click-process-epilog", nothing)
    app.connect("sphinx-click-process-arguments", nothing)
    app.connect("sphinx-click-process-options", options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
