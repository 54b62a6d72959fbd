"""A study's points one after the other, or on the workers of a cluster; the table is the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gxevent import __version__
from gxevent.errors import FormatError
from gxevent.graph import EventGraph
from gxevent.mapping.activity import Activity
from gxevent.mapping.chip import Chip, chip_from
from gxevent.mapping.frames import Frames, open_frames
from gxevent.mapping.mapping import Mapping
from gxevent.mapping.study import Point, study_point
from gxevent.runtime.cluster import open_cluster, worker_name
from gxevent.runtime.tasks import SHARED


@dataclass(frozen=True, eq=False)
class Job:
    """What every point of a study needs to know.

    data
        What frames are simulated from, as ``open_frames`` takes it; None has every unit send in one frame.
    samples
        Samples that are simulated; 0 leaves the simulation out.
    options
        Those of ``map_graph``.
    """

    graph: EventGraph
    activity: Activity
    data: Path | None
    samples: int
    options: dict[str, Any]
    version: str

    def point(self, chip: Chip, method: str, progress: Callable[[str], Any] | None = None) -> Point:
        """Map onto one chip by one method, and simulate."""

        def frames(mapping: Mapping) -> Frames:
            return open_frames(mapping, self.data, self.graph, self.samples)

        options = self.options | {"progress": progress}
        return study_point(self.graph, chip, method, self.activity, frames if self.samples else None, **options)


def sweep(
    graph: EventGraph,
    runs: Sequence[tuple[Chip, str]],
    activity: Activity,
    *,
    data: Path | None = None,
    samples: int = 0,
    cluster: str | None = None,
    progress: Callable[[str], Any] | None = None,
    **options: Any,
) -> list[Point]:
    """Points of a study in the order of ``runs``, chip and method each; the other arguments are those of :class:`Job`.

    ``cluster`` is an address as ``open_cluster`` takes it: each point is a task of its own there, and the workers read
    ``data`` from the same path. ``progress`` is called with what is being done, on a cluster with what is through.
    Raises what ``map_graph``, ``open_frames`` and ``open_cluster`` raise.
    """
    say = progress or (lambda _: None)
    job = Job(graph, activity, data and data.resolve(), samples, options, __version__)
    if cluster is None:

        def telling(name: str) -> Callable[[str], Any]:
            return lambda what: say(f"{name}: {what}")

        return [job.point(chip, method, telling(f"{chip.name}, {method}")) for chip, method in runs]
    points = []
    with open_cluster(cluster) as opened:
        items = [(chip.as_dict(), method) for chip, method in runs]  # a copied chip would spell out its defaults
        for point in opened.submit_all(_task, items, opened.share(job)):
            points.append(point)
            say(f"{point.name}: through")
    return points


def _task(run: tuple[dict[str, Any], str], job: Job) -> Point:
    """Runs on a worker."""
    if job.version != __version__:
        raise FormatError(
            f"{worker_name()}: has gxevent {__version__}, the study began with {job.version}: install the same"
        )
    if job.samples and job.data is not None and not job.data.exists():
        raise FormatError(f"{worker_name()}: {job.data}: no such file or folder there; {SHARED}")
    values, method = run
    return job.point(chip_from(values, "chip"), method)
