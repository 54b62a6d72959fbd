"""What other formats have no field for, as one JSON entry ``gxevent`` in their metadata."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gxevent.encoder import Encoder
from gxevent.errors import FormatError, OptionError
from gxevent.graph import EventGraph


def about_graph(graph: EventGraph, **more: Any) -> str:
    """Name, classes, encoder and input space of a graph, and more JSON values, as text."""
    about = {
        "name": graph.name,
        "classes": list(graph.classes),
        "encoder": asdict(graph.encoder) if graph.encoder else None,
        "input_levels": graph.input.levels,
    }
    return json.dumps(about | more)


def read_about(text: str | bytes, path: Path) -> dict[str, Any]:
    """The entry with its encoder built; empty for a file of another program (empty text).

    FormatError for an entry that gxevent did not write so.
    """
    if not text:
        return {}
    try:
        about = json.loads(text)
        about["encoder"] = Encoder(**about["encoder"]) if about["encoder"] else None
        about["classes"] = tuple(str(c) for c in about["classes"])
        about["input_levels"] = int(about["input_levels"])
        about["name"] = str(about["name"])
        return about
    except (ValueError, TypeError, KeyError, OptionError) as error:
        raise FormatError(f"{path}: the metadata entry 'gxevent' is damaged: write the file again") from error
