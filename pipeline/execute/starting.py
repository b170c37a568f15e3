"""Clusters that a run starts and ends: one of processes on this machine, or one of somebody's class.

On this machine everything listens on 127.0.0.1, the HTTP servers of scheduler and workers too, and all connections
have certificates that exist in memory alone, so that other users of the machine cannot connect.
"""

from __future__ import annotations

import logging
import pkgutil
import sys
import tempfile
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from multiprocessing import resource_tracker
from typing import Any

import dask.config
from distributed import Nanny, Scheduler
from distributed.deploy.spec import SpecCluster
from distributed.security import Security
from distributed.system import MEMORY_LIMIT

from pipeline import disk
from pipeline.errors import ConfigurationError, LogitstreamError, UnavailableError
from pipeline.execute.child import SLACK_BYTES
from pipeline.execute.cluster.loop import TICK
from pipeline.execute.cluster.quiet import DISTRIBUTED_QUIET
from pipeline.execute.interrupts import interrupts_held
from pipeline.execute.reporting import reported
from pipeline.execute.securing import access_of, check_access
from pipeline.execute.terms import WorkerNeeds
from pipeline.schedulers import ClusterWishes, StartedCluster
from pipeline.units import escape, quoted

_HOST = "127.0.0.1"
# Workers hold no results that could be written to disk, and one that pauses would never go on.
_NOTHING_BUT_THE_END = {"target": False, "spill": False, "pause": False, "terminate": 1.0}
# As with processes, a chunk that ends a worker is tried once more.
_ALLOWED_FAILURES = 1
# Dask's configuration is that of the process: it is changed while a cluster is made, by one run at a time.
_MAKING = threading.Lock()


@contextmanager
def started_cluster(
    name: str,
    cluster: ClusterWishes,
    *,
    workers: int,
    limits: WorkerNeeds,
    dashboard: Callable[[str], None],
    check: Callable[[], None],
) -> Iterator[tuple[str, ClusterWishes]]:
    """Start the cluster that is wanted, if one is; yield its address, and how it is reached; end it with the block.

    What ``check`` raises while the cluster starts ends the wait at once, and the cluster as soon as it has started.

    Raises
    ------
    ConfigurationError
        The class or its options cannot be used, or its scheduler is not reached in a way that is allowed.
    UnavailableError
        The cluster does not start.
    """
    with ExitStack() as stack:
        # The report has connections of its own. And of two clusters in this process, the one that ends first would let
        # the other one's end be logged.
        stack.enter_context(DISTRIBUTED_QUIET)
        if cluster.start is not None:
            start = cluster.start
            starting = _of_class(start, check) if start.maker else _on_this_machine(start, workers, limits, check)
            running = stack.enter_context(starting)
            # Dask's base class of clusters has none.
            security = getattr(running, "security", None)
            name, cluster = running.scheduler_address, replace(cluster, start=None, security=security)
            if not start.maker:
                cluster = replace(cluster, tasks_at_once=workers)
            check_access(name, cluster)
            if start.dashboard:
                dashboard(f"dashboard of Dask: {running.dashboard_link}")
        if cluster.performance_report is not None:
            access = access_of(name, cluster)
            stack.enter_context(reported(access, cluster.performance_report, cluster.scheduler_timeout))
        yield name, replace(cluster, performance_report=None)


@contextmanager
def _on_this_machine(
    start: StartedCluster, workers: int, limits: WorkerNeeds, check: Callable[[], None]
) -> Iterator[Any]:
    threads = start.threads_of_processes(workers)
    if start.adapt is not None:
        # What fits the memory of this machine limits it too.
        start = replace(start, adapt=(min(start.adapt[0], len(threads)), len(threads)))
    with _scratch_folder() as scratch:
        security = Security.temporary()
        scheduler = {**_server(security, dashboard=start.dashboard), "local_directory": scratch}
        # Whoever may connect to this machine could read the pages of its HTTP server.
        own: dict[str, Any] = {"distributed": {"worker": {"http": {"routes": []}, "memory": _NOTHING_BUT_THE_END}}}
        worker = {**scheduler, "dashboard": False, "config": dask.config.merge(dask.config.config, own)}
        # A worker process would print what a run says in its own words.
        worker["silence_logs"] = logging.CRITICAL
        specs = [
            {"cls": Nanny, "options": {**worker, "nthreads": each, "memory_limit": _limit(limits, each)}}
            for each in threads
        ]
        settings: dict[str, Any] = {
            f"distributed.worker.memory.{name}": value for name, value in _NOTHING_BUT_THE_END.items()
        }
        if not start.dashboard:
            settings["distributed.scheduler.http.routes"] = []

        def make(**arguments: Any) -> Any:
            with _MAKING, dask.config.set(settings):
                return SpecCluster(**arguments)

        arguments = {
            "scheduler": {"cls": Scheduler, "options": {**scheduler, "allowed_failures": _ALLOWED_FAILURES}},
            "worker": specs[0],
            "workers": {} if start.adapt else dict(enumerate(specs)),
            "security": security,
            "silence_logs": logging.CRITICAL,
            "name": "logitstream",
        }
        made = _made(make, arguments, check)
        with _ended(made):
            _adapt(made, start)
            yield made


def _limit(limits: WorkerNeeds, threads: int) -> int:
    """Return the bytes that a process with so many threads may take; 0 for no limit."""
    needed = limits.process_bytes + threads * limits.thread_bytes
    # Of a limit above that of the machine Dask would complain.
    return min(needed + SLACK_BYTES, MEMORY_LIMIT) if needed else 0


@contextmanager
def _scratch_folder() -> Iterator[str]:
    """Yield a folder for the files of servers; with its end, nothing of it is left in ``sys.path``.

    Each server of distributed puts its folder there, and takes it away only if it comes first: not if another server
    was started in the meantime.
    """
    with tempfile.TemporaryDirectory(prefix="logitstream-workers-") as folder:
        try:
            yield folder
        finally:
            for entry in [entry for entry in sys.path if str(entry).startswith(folder)]:
                sys.path.remove(entry)


def _server(security: Security, *, dashboard: bool) -> dict[str, Any]:
    return {
        "host": _HOST,
        "port": 0,
        "protocol": "tls://",
        "security": security,
        "dashboard": dashboard,
        "dashboard_address": f"{_HOST}:0",
    }


@contextmanager
def _of_class(start: StartedCluster, check: Callable[[], None]) -> Iterator[Any]:
    maker = _class_of(start.maker)
    made = _made(maker, _arguments_in(start.options), check)
    with _ended(made):
        if not isinstance(getattr(made, "scheduler_address", None), str):
            raise ConfigurationError(
                f"{escape(start.maker)} makes no cluster: it has no scheduler_address", "name a class of Dask clusters"
            )
        _adapt(made, start)
        yield made


def _class_of(maker: str) -> Any:
    try:
        found = pkgutil.resolve_name(maker)
    except Exception as error:
        # A module may raise anything.
        plain = isinstance(error, ImportError | AttributeError)
        reason = str(error) if plain else f"{type(error).__name__}: {error}"
        raise ConfigurationError(
            f"{quoted(maker)} cannot be loaded: {escape(reason, 300)}", "install it, or correct --cluster"
        ) from error
    if not callable(found):
        raise ConfigurationError(f"{quoted(maker)} is not a class", "correct --cluster")
    return found


def _arguments_in(path: str | None) -> dict[str, Any]:
    try:
        return {} if path is None else tomllib.loads(disk.read_file(path).decode())
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{quoted(path or '')} cannot be read: {escape(reason)}", "write TOML") from error


def _made(maker: Any, arguments: Mapping[str, Any], check: Callable[[], None]) -> Any:
    """Return a cluster that is made in a thread of its own; what ``check`` raises meanwhile ends the wait.

    A request to end is held in that thread, in those that it starts, and so in the processes of the cluster. It ends
    the wait in this thread, and the cluster once it is made.
    """
    # Starting the tracker of multiprocessing would let requests through.
    resource_tracker.ensure_running()
    pool = ThreadPoolExecutor(1, thread_name_prefix="logitstream-start")
    with interrupts_held():
        made = pool.submit(_make, maker, arguments)
    try:
        while not made.done():
            check()
            wait([made], TICK)
        return made.result()
    except BaseException:
        made.add_done_callback(_close_late)
        raise
    finally:
        pool.shutdown(wait=False)


def _close_late(made: Future[Any]) -> None:
    if made.exception() is None:
        with suppress(Exception):
            made.result().close()


def _make(maker: Any, arguments: Mapping[str, Any]) -> Any:
    try:
        return maker(**arguments)
    except LogitstreamError:
        raise
    except Exception as error:
        refused = _refused_argument(error)
        if refused is not None:
            # An object that can be called need not have a name.
            name = getattr(maker, "__name__", type(maker).__name__)
            raise ConfigurationError(
                f"{name} does not take its arguments: {escape(str(refused), 300)}", "correct --cluster-options"
            ) from error
        raise UnavailableError(
            f"the cluster does not start: {escape(f'{type(error).__name__}: {error}', 300)}",
            'see its log, or correct its options; a script starts it below if __name__ == "__main__":',
        ) from error


def _refused_argument(error: BaseException) -> BaseException | None:
    """Return the error of an argument that cannot be used, if it is why a cluster does not start.

    A class may hand arguments on to its workers, which refuse them when they start.
    """
    if isinstance(error, TypeError | ValueError):
        return error
    cause = error.__cause__
    while cause is not None and not isinstance(cause, TypeError):
        cause = cause.__cause__
    return cause


def _adapt(made: Any, start: StartedCluster) -> None:
    if start.adapt is None:
        return
    try:
        made.adapt(minimum=start.adapt[0], maximum=start.adapt[1])
    except (AttributeError, NotImplementedError) as error:
        raise ConfigurationError(
            f"{escape(start.maker)} cannot adapt: {escape(str(error))}", "leave --adapt out"
        ) from error


@contextmanager
def _ended(made: Any) -> Iterator[None]:
    try:
        yield
    finally:
        # A cluster that cannot be closed any more has ended.
        with suppress(Exception):
            made.close()
