"""Errors that gxevent raises on purpose.

    GxError
    ├── FormatError (ValueError)             a file is damaged or not what it should be
    ├── ShapeError (ValueError)              arrays or layers whose shapes do not fit
    │   └── NetworkError (also FormatError)  everything wrong with a network, listed at once
    ├── OptionError (ValueError)             an argument or option outside what is possible
    ├── UnsupportedError (NotImplementedError)
    ├── CapacityError                        a chip, or this machine, cannot hold it
    ├── MissingExtraError (ImportError)      an optional package is not installed
    ├── ClusterError                         the machines of a cluster run, not its work, failed
    └── CrosscheckError                      two implementations that must agree do not

A message says what is wrong, where (file, layer, sample, byte offset) and how to mend it. The command line
prints it as one line and exits with status 2.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from types import ModuleType


class GxError(Exception):
    """Base of every error gxevent raises on purpose."""


class FormatError(GxError, ValueError):
    """A file, or a value read from one, is not what it should be."""


class ShapeError(GxError, ValueError):
    """Arrays, layers or frames whose shapes do not fit together."""


class NetworkError(ShapeError, FormatError):
    """A network description with problems; ``problems`` lists all of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class OptionError(GxError, ValueError):
    """An argument or option outside what is possible."""


class UnsupportedError(GxError, NotImplementedError):
    """A valid request that gxevent does not (yet) know how to carry out."""


class CapacityError(GxError):
    """A chip, or this machine, cannot hold what was asked of it."""


class MissingExtraError(GxError, ImportError):
    """An optional package is not installed."""


class ClusterError(GxError):
    """The machines that were to do the work, not the work itself, failed."""


class CrosscheckError(GxError):
    """Two implementations that must give the same integers do not."""


def require(module: str, *, extra: str, purpose: str) -> ModuleType:
    """Import an optional module, or say how to install it.

    Raises
    ------
    MissingExtraError
        when the module is absent; the message is the install line.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != module.split(".")[0]:
            raise  # the package is there, but something it needs is broken: its own message is better
        raise MissingExtraError(
            f"{purpose} needs the package {module.split('.')[0]!r}: pip install 'gxevent[{extra}]'"
        ) from error
