"""Which oracles ``gxevent crosscheck`` knows, and how each is called.

An oracle takes a :class:`Job` and gives a CrosscheckReport; a new one is one entry of ``ORACLES``. The rooms they come
from do not know each other, so they meet here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gxevent.errors import FormatError, MissingExtraError, OptionError, UnsupportedError

if TYPE_CHECKING:
    from gxevent.crosscheck import CrosscheckReport
    from gxevent.crosscheck.oracles import Samples
    from gxevent.graph import EventGraph
    from gxevent.network import TernaryNetwork


@dataclass(frozen=True)
class Job:
    """What is to be compared: the graph (and its file), its encoded samples, and the options of some oracles."""

    graph: EventGraph
    path: Path
    samples: Callable[[], Samples]
    """Encodes the samples anew at every call."""
    kernel: str = "auto"
    target: str = "numpy"
    network: Path | None = None


def _reference(job: Job) -> CrosscheckReport:
    from gxevent.crosscheck import crosscheck_reference

    return crosscheck_reference(job.graph, job.samples(), job.kernel)


def _brian2(job: Job) -> CrosscheckReport:
    from gxevent.crosscheck.brian2 import crosscheck_brian2

    return crosscheck_brian2(job.graph, job.samples(), target=job.target, kernel=job.kernel)


def _trainer(job: Job) -> CrosscheckReport:
    """The PyTorch module's own evaluation forward."""
    from gxevent.crosscheck.oracles import crosscheck_forward
    from gxevent.train.backend import torch
    from gxevent.train.networks import TernaryModule

    network = find_network(job)
    module = TernaryModule(network).eval()

    @torch.no_grad()
    def forward(frames):
        return {name: values.numpy() for name, values in module.walk(torch.from_numpy(frames))}

    return crosscheck_forward(job.graph, network, job.samples(), forward, kernel=job.kernel)


def _nir(job: Job) -> CrosscheckReport:
    from gxevent.crosscheck import compare
    from gxevent.interop.nir import crosscheck_nir

    return crosscheck_nir(job.graph, job.samples(), compare("nir"), kernel=job.kernel)


ORACLES: dict[str, Callable[[Job], CrosscheckReport]] = {
    "reference": _reference,
    "brian2": _brian2,
    "trainer": _trainer,
    "nir": _nir,
}


def run_all(job: Job) -> tuple[list[CrosscheckReport], dict[str, str]]:
    """Reports of the oracles that can run, and why the others cannot.

    The reference always can, so what is wrong with graph or data is raised by it.
    """
    reports, left_out = [ORACLES["reference"](job)], {}
    for name in list(ORACLES)[1:]:
        try:
            reports.append(ORACLES[name](job))
        except (MissingExtraError, UnsupportedError, OptionError) as reason:
            left_out[name] = " ".join(str(reason).split())
    return reports, left_out


def find_network(job: Job) -> TernaryNetwork:
    """The trained network of the graph: the file named, one of the graph's name, or one of equal provenance beside it.

    Raises OptionError when there is none.
    """
    from gxevent import files

    if job.network:
        return files.load_network(job.network)
    namesake = job.path.with_suffix(".gxn")
    if namesake.is_file():
        return files.load_network(namesake)
    if job.graph.provenance:
        for path in sorted(job.path.absolute().parent.glob("*.gxn")):
            try:
                network = files.load_network(path)
            except (FormatError, OSError):
                continue  # another file, of no concern here
            if network.provenance == job.graph.provenance and network.name == job.graph.name:
                return network
    raise OptionError(
        f"{job.path}: the trainer needs the trained network, and beside the graph there is no {namesake.name}, nor "
        "another .gxn of the same provenance: name it with --network NET.gxn"
    )
