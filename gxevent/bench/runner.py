"""Plans the jobs of a bench, runs each in a process of its own, and gathers what they measured."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from gxevent import __version__
from gxevent.bench import results, workloads
from gxevent.bench.peers import registry
from gxevent.bench.peers.base import Peer
from gxevent.bench.worker import Job
from gxevent.errors import OptionError
from gxevent.runtime.engine import usable_cpus
from gxevent.runtime.plan import available_kernels, choose_kernel

ACTIVITIES = (0.02, 0.05, 0.10, 0.20, 0.45, 1.0)
NETWORKS = ("mlp", "lenet", "vgg", "1024", "4096", "sizes", "zoo")

Note = Callable[[str], Any]


@dataclass(frozen=True)
class Settings:
    """What to measure. ``batches`` empty: each network's own; ``data``: where data that is not shipped lies."""

    networks: tuple[str, ...] = NETWORKS
    activities: tuple[float, ...] = ACTIVITIES
    batches: tuple[int, ...] = ()
    threads: tuple[int, ...] = (1,)
    peers: tuple[Peer, ...] = registry.PEERS
    rounds: int = 20
    slot_ms: float = 10.0
    limit_s: float = 2.0
    kernel: str = "auto"
    seed: int = 0
    data: Path | None = None

    def __post_init__(self) -> None:
        for share in self.activities:
            if not 0 < share <= 1:
                raise OptionError(f"activity: expected a share over 0 and up to 1 (100 %), got {share:g}")
        for name, values in (("batch", self.batches), ("threads", self.threads), ("rounds", (self.rounds,))):
            if min(values, default=1) < 1:
                raise OptionError(f"{name}: expected whole numbers >= 1, got {min(values)}")
        if self.threads and max(self.threads) > usable_cpus():
            raise OptionError(f"threads: {max(self.threads)}, but this process may use {usable_cpus()} processors")
        choose_kernel(self.kernel)
        for name in self.networks:
            if name.startswith("zoo:"):
                workloads.data_of(name.removeprefix("zoo:"), self.data)
            elif name not in ("zoo", "sizes"):
                workloads.architecture(name)

    @classmethod
    def quick(cls, **more: Any) -> Settings:
        """A minute or two: every network once, at 20 % activity, batch 1, one thread, short slots; no peers that are
        built anew for each network."""
        more["peers"] = tuple(peer for peer in more.get("peers", registry.PEERS) if not peer.own_process)
        chosen = {"networks": ("mlp", "lenet", "vgg", "1024", "4096"), "activities": (0.2,), "batches": (1,)}
        return cls(**(chosen | {"slot_ms": 3.0, "limit_s": 0.25} | more))


def plan(settings: Settings) -> list[Job]:
    """The jobs: one a network and thread count.

    Peers that want a process of their own, which take one sample at a time, get one for each activity.
    """
    together = [peer.name for peer in settings.peers if not peer.own_process and not peer.missing()]
    alone = [peer.name for peer in settings.peers if peer.own_process and not peer.missing()]
    jobs = []
    for network, activities, batches in _networks(settings):
        for threads in settings.threads:
            jobs.append(_job(settings, network, activities, batches, threads, together))
            if threads == 1 and 1 in batches:
                jobs += [_job(settings, network, [a], [1], 1, [name], False) for name in alone for a in activities]
    return jobs


def _job(
    settings: Settings,
    network: str,
    activities: Sequence[float | None],
    batches: Sequence[int],
    threads: int,
    peers: list[str],
    with_ours: bool = True,
) -> Job:
    return Job(
        network=network,
        activities=list(activities),
        batches=list(batches),
        threads=threads,
        peers=peers,
        rounds=settings.rounds,
        slot_ms=settings.slot_ms,
        limit_s=settings.limit_s,
        kernel=settings.kernel,
        seed=settings.seed,
        data=str(settings.data) if settings.data else None,
        with_ours=with_ours,
    )


def _networks(settings: Settings) -> Iterator[tuple[str, Sequence[float | None], Sequence[int]]]:
    """Names with the activities and batch sizes they are measured at."""
    for name in settings.networks:
        if name == "zoo":
            for zoo, source in workloads.ZOO.items():
                if "/" not in source or (settings.data and (settings.data / source).exists()):
                    yield f"zoo:{zoo}", (None,), settings.batches or (1, 256)
        elif name.startswith("zoo:"):
            yield name, (None,), settings.batches or (1, 256)
        elif name == "sizes":
            middle = min(settings.activities, key=lambda share: abs(share - 0.2))
            for size in workloads.SIZES:
                if str(size) not in settings.networks:
                    yield str(size), (middle,), (1,)
        else:
            yield name, settings.activities, settings.batches or workloads.architecture(name).batches


def bench(
    settings: Settings,
    *,
    progress: Any = None,
    note: Note = lambda text: None,
    keep: Callable[[results.Results], Any] = lambda found: None,
) -> results.Results:
    """Measure everything; a job that fails is noted and the others go on.

    progress
        A tqdm-like bar, advanced once a round.
    note
        Gets a line for what could not be measured.
    keep
        Called with all results so far after each job: a long bench that is interrupted loses only what it was at.
    """
    found = results.Results(machine=machine(settings), settings=_plain(settings))
    for peer in settings.peers:
        if missing := peer.missing():
            found.missing[peer.name] = f"needs {', '.join(missing)}: pip install 'gxevent[bench]'"
    for job in plan(settings):
        _run(job, found, progress, note)
        keep(found)
    return found


def rounds_of(settings: Settings) -> int:
    """Length of the progress bar."""
    return sum(len(job.activities) * len(job.batches) * job.rounds for job in plan(settings))


def _run(job: Job, found: results.Results, progress: Any, note: Note) -> None:
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "gxevent.bench.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=environment(job.threads),
        )
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(msgspec.json.encode(job))
            process.stdin.close()
            failure = ""
            for line in process.stdout:
                failure = _take(json.loads(line), found, progress, note) or failure
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if status:
            errors.seek(0)
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            failure = f"its process ended with status {status}: {last[0]}"
        if failure:
            note(f"{job.network}, {job.threads} thread{'s' * (job.threads > 1)}: {failure}")
            who = job.peers[0] if len(job.peers) == 1 else "everything"
            found.skipped.append(results.Skipped(peer=who, network=job.network, batch=None, why=failure))


def _take(message: dict[str, Any], found: results.Results, progress: Any, note: Note) -> str:
    """Put one message of a worker where it belongs; returns what went wrong with the whole job, or ""."""
    for kind, body in message.items():
        match kind:
            case "round" if progress is not None:
                progress.update(body)
            case "doing" if progress is not None:
                progress.set_postfix_str(body)
            case "row":
                found.rows.append(msgspec.convert(body, results.Row))
            case "workload":
                made = msgspec.convert(body, results.Workload)
                if (made.network, made.activity) not in {(w.network, w.activity) for w in found.workloads}:
                    found.workloads.append(made)
            case "skipped":
                found.skipped.append(msgspec.convert(body, results.Skipped))
            case "process":
                found.machine.setdefault("processes", [])
                if body not in found.machine["processes"]:
                    found.machine["processes"].append(body)
            case "error":
                return str(body)
    return ""


def environment(threads: int) -> dict[str, str]:
    """For a measuring process: libraries get as many threads as we do; no forced BLAS kernel, whoever set it."""
    kept = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    pools = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
    return kept | dict.fromkeys(pools, str(threads)) | {"TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONWARNINGS": "ignore"}


def machine(settings: Settings) -> dict[str, Any]:
    """Processor, versions and kernel, for the reader of the results."""
    versions: dict[str, str | None] = {"numpy": np.__version__}
    for peer in settings.peers:
        versions |= peer.versions()
    return {
        "processor": processor(),
        "cpus": usable_cpus(),
        "platform": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gxevent": __version__,
        "kernel": choose_kernel(settings.kernel),
        "kernels": list(available_kernels()),
        "versions": {name: found for name, found in versions.items() if found},
    }


def processor() -> str:
    """Model name of the processor, as far as the system says it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = {a.strip(): b.strip() for a, _, b in (line.partition(":") for line in lines[:40])}
    family = ", ".join(f"{key} {named[key]}" for key in ("cpu family", "model") if key in named)
    return f"{named.get('model name', platform.machine())}" + (f" ({family})" if family else "")


def _plain(settings: Settings) -> dict[str, Any]:
    return {
        "networks": list(settings.networks),
        "activities": list(settings.activities),
        "batches": list(settings.batches),
        "threads": list(settings.threads),
        "peers": [peer.name for peer in settings.peers],
        "rounds": settings.rounds,
        "slot_ms": settings.slot_ms,
        "seed": settings.seed,
    }
