"""What comes with gxevent: networks and recordings to try things on, and where they were trained and tested."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gxevent import files
from gxevent.errors import OptionError
from gxevent.events import open_dataset
from gxevent.store import atomic_write


def list_shipped() -> list[dict[str, Any]]:
    """Every shipped network and data set as JSON values: name, bytes, what it is."""
    found = []
    for path in sorted(files.shipped(name) for name in files.shipped_names()):
        entry: dict[str, Any] = {"name": path.name, "bytes": path.stat().st_size}
        if path.suffix == ".gxn":
            network = files.load_network(path)
            accuracy, samples = (network.provenance.get(key) for key in ("test_accuracy", "test_samples"))
            data = network.provenance.get("data", {}).get("name")
            entry |= {"kind": "network", "data": data, "test_accuracy": accuracy, "test_samples": samples}
        else:
            dataset = open_dataset(path, split="all")
            entry |= {"kind": "recordings", "samples": len(dataset), "classes": list(dataset.classes)}
        found.append(entry)
    return found


def copy_shipped(names: Sequence[str], folder: str | os.PathLike[str] = ".") -> list[Path]:
    """Copy shipped files into ``folder`` (made if missing); returns where they lie.

    Raises OptionError for a name that is not shipped, or a file there of that name with other content.
    """
    sources = [files.shipped(name) for name in names]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    copies = []
    for source in sources:
        target, data = folder / source.name, source.read_bytes()
        if target.exists() and target.read_bytes() != data:
            raise OptionError(f"{target}: is there already and is another file: move it away, or name a folder with -o")
        with atomic_write(target) as file:
            file.write(data)
        copies.append(target)
    return copies
