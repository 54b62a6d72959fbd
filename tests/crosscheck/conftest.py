"""The command line and its small files, as the tests of the commands have them."""

from tests.cli.conftest import graph, gxevent, network, recordings

__all__ = ["graph", "gxevent", "network", "recordings"]
