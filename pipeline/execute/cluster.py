"""Chunk tasks on a Dask cluster that somebody else started.

Futures stand in a sliding window of twice the cluster's threads; each is released as soon as its receipt is here, so
that the death of a worker costs the chunks that it was working on and no finished one. How often a chunk may take
its worker down with it (``allowed-failures``, 3), when a silent worker counts as dead (``worker-ttl``), work
stealing and every other setting of the scheduler are those that the scheduler was started with: a client cannot set
them.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from uuid import uuid4

import dask.config
from distributed import Client, Future, KilledWorker
from distributed.comm.core import CommClosedError
from distributed.versions import VersionMismatchWarning

from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.execute.address import check_address
from pipeline.execute.versions import Checked, check_cluster, versions
from pipeline.types import Receipt, Scheduler, Task, Work
from pipeline.units import escape

CONNECT_SECONDS = 10.0
WORKERS_SECONDS = 30.0
CLOSE_SECONDS = 5.0
LOOK_SECONDS = 0.25
"""How long to wait for a receipt before looking whether the cluster is still there."""

# Values that the user's Dask configuration would otherwise decide. Without a scheduler nothing is tried again: the
# run has ended, and says so at once.
_FIXED = {"distributed.comm.timeouts.connect": f"{CONNECT_SECONDS}s", "distributed.comm.retry.count": 0}


@contextmanager
def open_cluster(address: str, *, wave: int, insecure: bool) -> Iterator[Scheduler]:
    """Connect to a scheduler, compare its workers with this process, and yield it; the connection ends with the block.

    While the block lasts distributed's own log lines are held back: what matters in them is raised as an error.

    Raises
    ------
    UsageError
        This is not the address of a scheduler.
    ConfigurationError
        Beyond this machine and not ``insecure``; the scheduler or a worker with other versions than this process.
    UnavailableError
        Nobody answers within 10 seconds, or no worker is there within 30.
    """
    check_address(address, insecure=insecure)
    with dask.config.set(_FIXED), _held_back_logs(), _connected(address) as client:
        yield ClusterScheduler(address, client, wave)


@dataclass(frozen=True, slots=True)
class ClusterScheduler:
    """Fulfils :class:`pipeline.types.Scheduler` on a cluster.

    ``task`` is pickled by reference: scheduler and workers need this package and the module of the task. A chunk
    whose worker dies is executed again. After an error the futures that remain are cancelled: tasks that have not
    started do not start, those under way end unheard in the processes of their workers. ``run`` may be called again.
    """

    name: str
    client: Client
    wave: int

    def run(self, task: Task, take: Callable[[int], Sequence[Work]], done: Callable[[Receipt], None]) -> None:
        """Carry out work until there is none.

        Raises
        ------
        UnavailableError
            The scheduler is lost, no worker has been there for 30 seconds, or a chunk ended worker after worker.
        ConfigurationError
            A worker that joined later has other versions than this process, or lacks the module of the task.
        """
        window = _Window(self.name, self.client, Checked(task, versions()), self.wave)
        try:
            while window.fill(take):
                for receipt in window.receipts():
                    done(receipt)
        finally:
            window.abandon()


@dataclass(slots=True)
class _Window:
    """The futures under way; used by one thread."""

    address: str
    client: Client
    task: Checked
    wave: int
    run: str = field(default_factory=lambda: uuid4().hex)
    tries: Iterator[int] = field(default_factory=itertools.count)
    under_way: dict[str, tuple[Work, Future]] = field(default_factory=dict)
    ended: SimpleQueue[Future] = field(default_factory=SimpleQueue)
    threads: int = 0
    looked: float = float("-inf")
    workers_seen: float = field(default_factory=time.monotonic)

    def fill(self, take: Callable[[int], Sequence[Work]]) -> bool:
        """Submit as much work as there is room for, and return whether any is under way."""
        self._look()
        room = min(self.wave, max(2, 2 * self.threads)) - len(self.under_way)
        if room > 0 and (works := take(room)):
            with self._translated():
                self._submit(works)
        return bool(self.under_way)

    def receipts(self) -> list[Receipt]:
        """Wait until a task has ended and return the receipts of all that have, their futures released."""
        with self._translated():
            futures = self._wait_for_ended()
            receipts = self._gather(futures)
        for future in futures:
            del self.under_way[future.key]
            future.release()
        return receipts

    def abandon(self) -> None:
        """Cancel what is under way; nothing is when the run has ended well."""
        futures = [future for _, future in self.under_way.values()]
        self.under_way.clear()
        # The error that ended the run is the one to be raised; what is not cancelled here goes with the connection.
        with suppress(Exception):
            if futures and self.client.status == "running":
                self.client.cancel(futures)

    def _submit(self, works: Sequence[Work]) -> None:
        keys = [f"logitstream-{self.run}-{work.chunk}-{next(self.tries)}" for work in works]
        futures = self.client.map(self.task, works, key=keys, pure=False, retries=0)
        for key, work, future in zip(keys, works, futures, strict=True):
            self.under_way[key] = work, future
            future.add_done_callback(self.ended.put)

    def _wait_for_ended(self) -> list[Future]:
        futures: list[Future] = []
        while not futures:
            with suppress(Empty):
                futures.append(self.ended.get(timeout=LOOK_SECONDS))
                while True:
                    futures.append(self.ended.get_nowait())
            self._look()
        return futures

    def _gather(self, futures: list[Future]) -> list[Receipt]:
        # A worker may die between the end of a task and this. Dask then runs the chunk once more, which may take
        # long, so that this wait looks around as the other one does.
        coroutine = self.client.gather(futures, asynchronous=True)
        gathered = asyncio.run_coroutine_threadsafe(coroutine, self.client.loop.asyncio_loop)
        try:
            while not wait_for([gathered], timeout=LOOK_SECONDS).done:
                self._look()
            return list(gathered.result())
        finally:
            gathered.cancel()

    def _look(self) -> None:
        """Raise if the scheduler or all workers are gone; ask for the number of threads at most once a second."""
        if self.client.status != "running":
            raise _scheduler_lost(self.address)
        now = time.monotonic()
        if now - self.looked < 1:
            return
        about = self.client.scheduler_info(n_workers=0)
        self.looked, self.threads = now, about["total_threads"]
        if about["n_workers"]:
            self.workers_seen = now
        elif now - self.workers_seen > WORKERS_SECONDS:
            raise _no_workers(self.address)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """The door for what Dask raises; what a task raises passes as it is."""
        try:
            yield
        except KilledWorker as error:
            raise self._killed(error) from error
        except (CancelledError, CommClosedError) as error:
            raise _scheduler_lost(self.address) from error
        except RuntimeError as error:
            if not isinstance(error.__cause__, ImportError):
                raise
            raise _unknown_module(error.__cause__) from error

    def _killed(self, error: KilledWorker) -> UnavailableError:
        work, _ = self.under_way[error.task]
        return UnavailableError(
            f"chunk {work.chunk} was given up: {error.allowed_failures + 1} workers died while they worked on it, the"
            f" last one at {error.last_worker.address}",
            "a worker that is killed has most often taken too much memory: give the workers more, or lower --memory"
            " or --chunk-size; the log of the worker says more",
        )


@contextmanager
def _connected(address: str) -> Iterator[Client]:
    try:
        with warnings.catch_warnings():
            # Said by check_cluster, as an error and with a remedy.
            warnings.simplefilter("ignore", VersionMismatchWarning)
            client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False, name="logitstream")
    except OSError as error:
        raise UnavailableError(
            f"no Dask scheduler answers at {address} within {CONNECT_SECONDS:.0f} seconds: {escape(str(error))}",
            "start one with `dask scheduler --host 127.0.0.1`, or correct the address",
        ) from error
    try:
        _wait_for_workers(address, client)
        check_cluster(client)
        yield client
    finally:
        client.close(timeout=CLOSE_SECONDS)


def _wait_for_workers(address: str, client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=WORKERS_SECONDS)
    except TimeoutError:
        raise _no_workers(address) from None


@contextmanager
def _held_back_logs() -> Iterator[None]:
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "distributed"]
    loggers = [logging.getLogger(name) for name in ("tornado.application", *names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _scheduler_lost(address: str) -> UnavailableError:
    return UnavailableError(f"the connection to the scheduler at {address} was lost", "see its log, and run again")


def _no_workers(address: str) -> UnavailableError:
    return UnavailableError(
        f"the scheduler at {address} has had no worker for {WORKERS_SECONDS:.0f} seconds",
        f"start one with `dask worker {address} --nthreads 1`",
    )


def _unknown_module(error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"the cluster cannot load the task: {escape(str(error))}",
        "install logitstream, and the modules of your own functions, for the scheduler and every worker",
    )
