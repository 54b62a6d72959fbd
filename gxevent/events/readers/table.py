"""Sources over events that lie in memory as arrays: NumPy and MATLAB files."""

from __future__ import annotations

from collections.abc import Iterator

from gxevent.events.readers.gate import Columns
from gxevent.events.readers.source import Source


class Table(Source):
    """Events given as wide arrays (n,)."""

    def __init__(self, columns: Columns, stated: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.columns, self.stated = columns, stated

    def blocks(self, size: int | None) -> Iterator[Columns]:
        n = len(self.columns.t)
        for at in range(0, n, size or max(n, 1)):
            yield Columns(*(column[at : at + (size or n)] for column in self.columns))
