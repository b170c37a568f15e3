"""Tasks on a Dask cluster that is running already.

Futures are in a sliding window of twice the cluster's threads. Each is released as soon as its result arrives, so the
death of a worker costs only the tasks that it was working on. How many workers a task may end (``allowed-failures``,
3), when a silent worker counts as dead (``worker-ttl``), work stealing and all other settings of the scheduler are
those that it was started with: a client cannot set them.

The client runs in an event loop of this module, in one thread. A client that makes its own loop waits for ever for a
server that accepts connections but never answers, and leaves the thread behind when it cannot connect.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
import warnings
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast
from uuid import uuid4

import dask.config
from distributed import Client, KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.versions import VersionMismatchWarning

from pipeline.errors import Abandoned, ConfigurationError, UnavailableError
from pipeline.execute.access import ClusterAccess
from pipeline.execute.deaths import name_of
from pipeline.execute.plugin import SharedContent
from pipeline.execute.telling import Told
from pipeline.execute.versions import Checked, check_versions, versions
from pipeline.types.work import Item, Result, Scheduler
from pipeline.units import escape

CONNECT_SECONDS = 10.0
WORKERS_SECONDS = 30.0
CLOSE_SECONDS = 5.0
MOMENT_SECONDS = 0.3
# How often bytes are sent to workers of which some die meanwhile.
_SENDINGS = 10
WATCH_SECONDS = 1.0

T = TypeVar("T")

# ValueError is raised for a plugin that was never registered.
_LOST = (OSError, CommClosedError, FutureCancelledError, AttributeError, ValueError)


@contextmanager
def open_cluster(access: ClusterAccess, *, wave: int) -> Iterator[Scheduler]:
    """Connect to a scheduler, compare its workers with this process, and yield it; the connection ends with the block.

    Inside the block distributed's log lines are suppressed: what matters in them is raised as an error.

    Raises
    ------
    ConfigurationError
        The scheduler or a worker has other versions than this process.
    UnavailableError
        The scheduler does not answer within 10 seconds, or has no worker within 30.
    """
    # If the scheduler is lost, the run ends at once, whatever the user's configuration says about retries.
    with (
        dask.config.set({"distributed.comm.retry.count": 0}),
        _held_back_logs(),
        _event_loop() as loop,
        _connected(access, loop) as client,
    ):
        yield ClusterScheduler(access.address, client, loop, wave)


@dataclass(frozen=True, slots=True)
class ClusterScheduler:
    """Fulfils :class:`pipeline.types.work.Scheduler` on a cluster.

    ``task`` is pickled by reference: scheduler and workers need this package and the module of the task. A chunk
    whose worker dies is executed again. After an error the remaining futures are released: tasks that have not
    started do not start, and the results of those under way are dropped. ``Abandoned`` leaves the cluster within a
    moment, whether the scheduler answers or not. ``run`` may be called again.
    """

    name: str
    client: Client
    loop: asyncio.AbstractEventLoop
    wave: int

    @property
    def workers(self) -> int:
        """How many threads the present workers have.

        Raises
        ------
        UnavailableError
            The scheduler is lost.
        """
        threads: int = _ask(self.loop, _about(self.client, self.name))["total_threads"]
        return threads

    @contextmanager
    def share(self, content: bytes) -> Iterator[str]:
        """Share bytes with the tasks: the scheduler sends them to each worker, also to one that joins later.

        Raises
        ------
        UnavailableError
            The scheduler is lost.
        """
        shared = SharedContent.of(content)
        try:
            self._send(shared)
            yield shared.digest
        finally:
            # A worker that is gone has released it already.
            with suppress(*_LOST):
                _ask(self.loop, _unregistered(self.client, shared.name))

    def _send(self, shared: SharedContent) -> None:
        """Send a plugin to every worker.

        A worker that dies meanwhile ends this as the loss of the scheduler does. So it is tried again as long as the
        scheduler answers, which soon forgets the worker.
        """
        for left in reversed(range(_SENDINGS)):
            try:
                _ask(self.loop, _registered(self.client, shared))
            except _LOST as error:
                if not left or not self.workers:
                    raise _scheduler_lost(self.name) from error
                time.sleep(MOMENT_SECONDS)
            else:
                return

    def run(
        self,
        task: Callable[[Item], Result],
        take: Callable[[int], Sequence[Item]],
        done: Callable[[Result], None],
        told: Told | None = None,  # noqa: ARG002 - a message to the scheduler for each piece of news would cost more
    ) -> None:
        """Carry out items until none is left. Tasks of a cluster tell no news.

        Raises
        ------
        UnavailableError
            The scheduler is lost, there was no worker for 30 seconds, or a chunk ended one worker after another.
        ConfigurationError
            A worker that joined later has other versions than this process, or lacks the module of the task.
        """
        window: _UnderWay[Item, Result] = _UnderWay(self.name, self.client, self.loop, Checked(task, versions()))
        try:
            window.open()
            while window.fill(self.wave, take):
                done(window.result())
        finally:
            window.abandon()


@dataclass(slots=True)
class _UnderWay(Generic[Item, Result]):
    """The tasks under way. Coroutines run in the thread of the loop, everything else in the caller's."""

    address: str
    client: Client
    loop: asyncio.AbstractEventLoop
    task: Checked[Item, Result]
    run: str = field(default_factory=lambda: uuid4().hex)
    tries: Iterator[int] = field(default_factory=itertools.count)
    under_way: set[Future[Result]] = field(default_factory=set)
    sent: dict[str, Any] = field(default_factory=dict)
    ended: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)
    watch: Future[None] | None = None
    threads: int = 0

    def open(self) -> None:
        """Check the cluster now and then every second; :meth:`result` raises its loss."""
        self.threads = _ask(self.loop, _about(self.client, self.address))["total_threads"]
        self.watch = asyncio.run_coroutine_threadsafe(self._watch(), self.loop)
        self.watch.add_done_callback(self.ended.put)

    def fill(self, wave: int, take: Callable[[int], Sequence[Item]]) -> bool:
        """Send as many items as there is room for; return whether any is under way."""
        room = min(wave, max(2, 2 * self.threads)) - len(self.under_way)
        for item in take(room) if room > 0 else ():
            future = asyncio.run_coroutine_threadsafe(self._carry_out(item), self.loop)
            self.under_way.add(future)
            future.add_done_callback(self.ended.put)
        return bool(self.under_way)

    def result(self) -> Result:
        """Wait until a task has ended and return its result, or raise its error."""
        future = self.ended.get()
        self.under_way.discard(future)
        result: Result = future.result()
        return result

    def abandon(self) -> None:
        """Stop checking the cluster, and drop tasks under way; after a successful run there are none."""
        if self.watch is not None:
            self.watch.cancel()
        self.loop.call_soon_threadsafe(self._release_all)

    def _release_all(self) -> None:
        # Cancelling the coroutines that wait would cancel a transfer of results that the client shares between all of
        # them, and every later one would wait for it.
        for future in list(self.sent.values()):
            future.release()

    async def _carry_out(self, item: Item) -> Result:
        key = f"logitstream-{self.run}-{next(self.tries)}"
        with self._translated(item):
            future = self.client.submit(self.task, item, key=key, pure=False, retries=0)
            self.sent[key] = future
            try:
                result: Result = await future
            finally:
                del self.sent[key]
                future.release()
        return result

    async def _watch(self) -> None:
        seen = time.monotonic()
        while time.monotonic() - seen < WORKERS_SECONDS:
            await asyncio.sleep(WATCH_SECONDS)
            about = await _about(self.client, self.address)
            self.threads = about["total_threads"]
            if about["n_workers"]:
                seen = time.monotonic()
        raise _no_workers(self.address)

    @contextmanager
    def _translated(self, item: Item) -> Iterator[None]:
        """Turn errors of Dask into logitstream's; errors of the task pass unchanged."""
        try:
            yield
        except KilledWorker as error:
            raise _killed(name_of(self.task.task, item), error) from error
        except (FutureCancelledError, CommClosedError) as error:
            raise _scheduler_lost(self.address) from error
        except RuntimeError as error:
            if not isinstance(error.__cause__, ImportError):
                raise
            raise _unknown_module(error.__cause__) from error


@contextmanager
def _event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def serve() -> None:
        stop = asyncio.Event()
        started.set_result((asyncio.get_running_loop(), stop))
        await stop.wait()

    with ThreadPoolExecutor(1, thread_name_prefix="logitstream-cluster") as pool:
        served = pool.submit(asyncio.run, serve())
        loop, stop = started.result()
        try:
            yield loop
        finally:
            loop.call_soon_threadsafe(stop.set)
            served.result()


def _ask(loop: asyncio.AbstractEventLoop, question: Coroutine[Any, Any, T]) -> T:
    """Return the answer of a coroutine to a thread that is not the loop's; an interrupt cancels the question."""
    future = asyncio.run_coroutine_threadsafe(question, loop)
    try:
        return future.result()
    finally:
        future.cancel()


@contextmanager
def _connected(access: ClusterAccess, loop: asyncio.AbstractEventLoop) -> Iterator[Client]:
    client = _ask(loop, _connect(access))
    patience = CLOSE_SECONDS
    try:
        _ask(loop, _meet_workers(access.address, client))
        yield client
    except Abandoned:
        patience = MOMENT_SECONDS
        raise
    finally:
        _ask(loop, _close(client, patience))


async def _connect(access: ClusterAccess) -> Client:
    address = access.address
    with warnings.catch_warnings():
        # check_versions raises this as an error, with a remedy.
        warnings.simplefilter("ignore", VersionMismatchWarning)
        client = Client(
            address,
            asynchronous=True,
            timeout=CONNECT_SECONDS,
            set_as_default=False,
            name="logitstream",
            security=access.security,
        )
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client
        except (OSError, ImportError) as error:
            await _close(client, CLOSE_SECONDS)
            raise UnavailableError(
                f"no Dask scheduler answers at {address} within {CONNECT_SECONDS:.0f} seconds",
                "start one with `dask scheduler --host 127.0.0.1`, or correct the address",
            ) from error
    return client


async def _meet_workers(address: str, client: Client) -> None:
    waiting: Any = client.wait_for_workers  # annotated as it behaves outside of an event loop
    try:
        await waiting(1, timeout=WORKERS_SECONDS)
    except TimeoutError:
        raise _no_workers(address) from None
    await check_versions(client)


async def _close(client: Client, seconds: float) -> None:
    # What is not closed in time ends with the event loop.
    with suppress(OSError):
        async with asyncio.timeout(seconds):
            await client.close()


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


async def _about(client: Client, address: str) -> dict[str, Any]:
    """Return what the scheduler reports about itself and all its workers."""
    try:
        scheduler: Any = client.scheduler
        about: dict[str, Any] = await scheduler.identity(n_workers=0)
    except (OSError, AttributeError) as error:
        raise _scheduler_lost(address) from error
    return about


async def _registered(client: Client, shared: SharedContent) -> None:
    await cast("Any", client).register_plugin(shared)


async def _unregistered(client: Client, name: str) -> None:
    await cast("Any", client).unregister_worker_plugin(name)


def _scheduler_lost(address: str) -> UnavailableError:
    return UnavailableError(f"the connection to the scheduler at {address} was lost", "see its log, and run again")


def _killed(name: str, error: KilledWorker) -> UnavailableError:
    return UnavailableError(
        f"{name} was given up: {error.allowed_failures + 1} workers died while they worked on it, the last"
        f" one at {error.last_worker.address}",
        "see the log of that worker. Most often it took too much memory: give the workers more, or lower --memory or"
        " --chunk-size",
    )


def _no_workers(address: str) -> UnavailableError:
    return UnavailableError(
        f"the scheduler at {address} has had no worker for {WORKERS_SECONDS:.0f} seconds",
        f"start one with `dask worker {address} --nthreads 1`",
    )


def _unknown_module(error: ImportError) -> ConfigurationError:
    return ConfigurationError(
        f"the cluster cannot load the task: {escape(str(error))}",
        "install logitstream, and the modules of your functions, for the scheduler and every worker",
    )
