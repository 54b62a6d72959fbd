"""What is on the shelf: each recipe, and the network shipped that was trained by it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from gxevent.errors import OptionError
from gxevent.files import load_network, shipped
from gxevent.train.recipes import list_recipes


@dataclass(frozen=True)
class Item:
    """A recipe. The rest is None where no network of it is shipped, or its data has no test part."""

    summary: str
    test_accuracy: float | None = None
    test_samples: int | None = None
    data: str | None = None
    bytes: int | None = None

    def accuracy(self) -> str:
        if self.test_accuracy is None or self.test_samples is None:
            return "-"
        return f"{self.test_accuracy:.2%} of {self.test_samples:,}"

    def size(self) -> str:
        return "-" if self.bytes is None else f"{self.bytes / 1024:.0f} KiB"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def list_shelf() -> dict[str, Item]:
    """Recipe name -> item; accuracies are those the networks' provenance states."""
    return {name: _item(name, summary) for name, summary in list_recipes().items()}


def _item(name: str, summary: str) -> Item:
    try:
        path = shipped(f"{name}.gxn")
    except OptionError:
        return Item(summary)
    provenance = load_network(path).provenance
    return Item(
        summary,
        provenance.get("test_accuracy"),
        provenance.get("test_samples"),
        provenance.get("data", {}).get("name"),
        path.stat().st_size,
    )
