"""Speed beside peers: the same networks and inputs in other programs, measured in the same rounds."""

from gxevent.bench.results import Results, Row, join, read, write
from gxevent.bench.runner import Settings, bench

__all__ = ["Results", "Row", "Settings", "bench", "join", "read", "write"]
