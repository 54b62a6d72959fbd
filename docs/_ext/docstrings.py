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
    if what not in ("attribute", "data"):  # there, a colon would be taken for the end of a type
        lines[:] = NumpyDocstring(lines, NUMPYDOC, app, what, name, obj, options).lines()


def epilog(app: Any, ctx: Any, lines: list[str]) -> None:
    """The example of a command as a console block."""
    found = [re.sub(r"^\|\s?|\s+$", "", line).strip() for line in lines]
    if "Example:" not in found:
        return
    commands = [line for line in found[found.index("Example:") + 1 :] if line]
    lines[:] = [".. code-block:: console", "", *(f"   $ {line}" for line in commands), ""]


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
    app.connect("sphinx-click-process-epilog", epilog)
    app.connect("sphinx-click-process-options", options)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
