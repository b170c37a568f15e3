"""Dask's report of what a cluster did during a run: a page for a browser, made by the scheduler."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from distributed.metrics import time

from pipeline import disk
from pipeline.errors import ConfigurationError, UnavailableError
from pipeline.execute.access import ClusterAccess
from pipeline.execute.cluster import faults
from pipeline.execute.cluster.connecting import connected
from pipeline.units import escape

T = TypeVar("T")


@contextmanager
def reported(access: ClusterAccess, path: str, scheduler_timeout: float) -> Iterator[None]:
    """Write what the cluster did in the block to a file, if the block ends well.

    Parameters
    ----------
    access : ClusterAccess
    path : str
    scheduler_timeout : float
        After so many seconds without an answer the scheduler counts as lost.

    Raises
    ------
    UnavailableError
        The scheduler does not answer, or not in time.
    ConfigurationError
        It cannot be connected to, or lacks bokeh or this package.
    LogitstreamError
        The file cannot be written.
    """
    start, samples = time(), _ask(_begin(access, scheduler_timeout), access)
    yield
    page = _ask(_end(access, scheduler_timeout, start, samples), access)
    with disk.door("write", Path(path)):
        disk.write_file(Path(path), page.encode())


def _ask(question: Coroutine[Any, Any, T], access: ClusterAccess) -> T:
    """Return an answer of the scheduler to a thread that may have an event loop of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="logitstream-report") as pool:
        try:
            return pool.submit(asyncio.run, question).result()
        except ImportError as error:
            # An old bokeh is refused without a name.
            if error.name is not None and error.name.partition(".")[0] != "bokeh":
                raise faults.unknown_module(error) from error
            raise ConfigurationError(
                f"the scheduler at {access.address} cannot write a performance report: {escape(str(error), 300)}",
                "install bokeh for the scheduler: pip install 'logitstream[cluster]'",
            ) from error
        except OSError as error:
            raise UnavailableError(
                f"the scheduler at {access.address} does not answer: {escape(str(error), 300)}",
                "start it, or correct the address",
            ) from error


@asynccontextmanager
async def _asked(access: ClusterAccess, scheduler_timeout: float) -> AsyncIterator[Any]:
    """Yield a client for questions that have to be answered in time."""
    async with connected(access, "logitstream-report") as client:
        try:
            async with asyncio.timeout(scheduler_timeout):
                yield client
        except TimeoutError as error:
            raise faults.silent(access.address, scheduler_timeout) from error


async def _begin(access: ClusterAccess, scheduler_timeout: float) -> int:
    """Let the scheduler keep what tasks do from now on; return how often it has looked at its own load."""
    async with _asked(access, scheduler_timeout) as client:
        await client.get_task_stream(start=0, stop=0)
        count: int = await client.run_on_scheduler(samples_so_far)
        return count


async def _end(access: ClusterAccess, scheduler_timeout: float, start: float, samples: int) -> str:
    async with _asked(access, scheduler_timeout) as client:
        page: str = await client.scheduler.performance_report(start=start, last_count=samples, code="", mode="inline")
        return page


def samples_so_far(dask_scheduler: Any) -> int:
    """Return how often a scheduler has looked at its own load; runs there."""
    count: int = dask_scheduler.monitor.count
    return count
