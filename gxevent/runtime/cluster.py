"""Many processes and machines, on Dask distributed: functions over items. Runs build on it (``runtime/tasks.py``).

    with open_cluster("tcp://scheduler:8786") as cluster:
        graph = cluster.share(graph)                       # travels once to each worker
        for result in cluster.submit_all(function, items, graph):
            ...                                            # results in the order of the items

A worker that dies costs time, not results: the scheduler gives its tasks to another one.
"""

from __future__ import annotations

import contextlib
import logging
import re
import signal
import socket
import threading
import time
import uuid
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gxevent.errors import ClusterError, MissingExtraError, OptionError, require

CONNECT_S = 10.0
WORKERS_S = 30.0
"""How long a scheduler may take to answer, and its first worker to come; also how long a run waits without workers."""
POLL_S = 2.0
"""How often it is looked whether there are workers."""
AHEAD = 4
"""Tasks in flight for each thread of the cluster: they hide the way there and back, and bound what must be kept."""


@contextlib.contextmanager
def open_cluster(address: str) -> Iterator[Cluster]:
    """Connect to a Dask scheduler, "tcp://HOST:PORT", or start "local:K" worker processes on this machine.

    Raises OptionError for another address, ClusterError when nobody answers or no worker comes, MissingExtraError
    without Dask.
    """
    distributed = require("distributed", extra="cluster", purpose="a run on a cluster")
    local = re.fullmatch(r"local:([1-9]\d*)", address)
    if not local and not re.fullmatch(r"(tcp|tls|ws|wss)://\S+:\d+", address):
        raise OptionError(f"cluster: expected tcp://HOST:PORT of a scheduler, or local:K processes, got {address!r}")
    with contextlib.ExitStack() as stack:
        stack.enter_context(_silent("distributed.client"))  # what it would log comes as our errors
        if local:
            with _uninterrupted():
                started = distributed.LocalCluster(
                    n_workers=int(local[1]),
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=":0",
                    silence_logs=logging.CRITICAL,
                )
            address = stack.enter_context(started).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(address, timeout=CONNECT_S, set_as_default=False))
        except OSError as error:
            raise ClusterError(
                f"{address}: no scheduler answers there ({error}): start one with 'dask scheduler'"
            ) from error
        cluster = Cluster(client, address)
        cluster.wait_for_worker()
        yield cluster


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes started here leave Ctrl-C to this one, which ends them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _silent(name: str) -> Iterator[None]:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


class Cluster:
    """A connected cluster; see the module. Any function and value that pickle may be sent."""

    def __init__(self, client: Any, address: str) -> None:
        self.client, self.address = client, address
        self._slots, self._asked = 1, 0.0

    def slots(self) -> int:
        """Threads of all workers there are now (counted at most every ``POLL_S``)."""
        if time.monotonic() - self._asked > POLL_S:
            with self._translated():
                self._slots, self._asked = sum(self.client.nthreads().values()), time.monotonic()
        return self._slots

    def wait_for_worker(self) -> None:
        """Return when there is a worker; ClusterError when none comes in time."""
        try:
            self.client.wait_for_workers(1, timeout=WORKERS_S)
        except TimeoutError:
            raise ClusterError(
                f"{self.address}: the scheduler has had no worker for {WORKERS_S:.0f} s: start some with "
                f"'dask worker {self.address}'"
            ) from None

    def share(self, value: Any) -> Any:
        """A reference to pass to ``submit_all``: the value travels once to each worker, also to later ones."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Sending large graph")
            return self.client.submit(_itself, value, key=f"gxevent-shared-{uuid.uuid4().hex}")

    def submit_all(self, function: Callable[..., Any], items: Iterable[Any], *shared: Any) -> Iterator[Any]:
        """``function(item, *shared)`` for every item, on the workers; results in the order of the items.

        ``items`` may be a generator: it is asked only for as many as keep the workers busy. What the function raises is
        raised here, at its place in the order. Raises ClusterError when the scheduler is lost, when no worker is left,
        or when a task killed every worker it ran on.
        """
        name, waiting = uuid.uuid4().hex[:12], deque()
        numbered = enumerate(items)
        try:
            while True:
                for i, item in numbered:
                    waiting.append(self.client.submit(function, item, *shared, key=f"gxevent-{name}-{i}", pure=False))
                    if len(waiting) >= AHEAD * max(self.slots(), 1):
                        break
                if not waiting:
                    return
                yield self._result(waiting.popleft())
        finally:
            for future in waiting:
                with contextlib.suppress(Exception):
                    future.cancel()

    def _result(self, future: Any) -> Any:
        """What a task gave; waits for it as long as there are workers that could do it."""
        idle = time.monotonic()
        while True:
            failed = future.status == "error"  # asked before: it may fail just as the time is up
            try:
                with self._translated():
                    return future.result(timeout=POLL_S)  # may have to be done again, when its worker died meanwhile
            except TimeoutError:
                if failed:  # the task's own
                    raise
                if self.client.status != "running":
                    raise ClusterError(f"{self.address}: the scheduler went away") from None
                if self.slots():
                    idle = time.monotonic()
                elif time.monotonic() - idle > WORKERS_S:
                    self.wait_for_worker()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        import distributed
        from distributed.comm import CommClosedError

        try:
            yield
        except distributed.KilledWorker as error:
            raise ClusterError(
                f"{self.address}: a task ended every worker that ran it ({error.allowed_failures + 1} of them): most "
                "likely it needs more memory than a worker may use"
            ) from error
        except CommClosedError as error:
            raise ClusterError(f"{self.address}: the scheduler went away") from error
        except distributed.client.FutureCancelledError as error:
            lost = error.reason == "scheduler-connection-lost"
            reason = "the scheduler went away" if lost else f"the scheduler gave up a task ({error.reason})"
            raise ClusterError(f"{self.address}: {reason}") from error
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{self.address}: a worker lacks the package {error.name!r}: install the same gxevent there"
            ) from error


def worker_name() -> str:
    """The worker that this runs on, for messages."""
    import distributed

    return f"worker {distributed.get_worker().address} on {socket.gethostname()}"


def _itself(value: Any) -> Any:
    return value
