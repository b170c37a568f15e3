"""Where a call comes from: a Dask task, or the event loop of a client. Looked for only if distributed is loaded."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pipeline.errors import UsageError
from pipeline.units import escape

if TYPE_CHECKING:
    import asyncio

_SERVERS = (("distributed.scheduler", "Scheduler"), ("distributed.worker", "Worker"), ("distributed.client", "Client"))


def active_client() -> Any:
    """Return the client that Dask would use; ``None`` if there is none."""
    client = sys.modules.get("distributed.client")
    if client is None:
        return None
    try:
        return client.default_client()
    except ValueError:
        return None


def in_task() -> bool:
    """Return whether this thread carries out a Dask task."""
    worker = sys.modules.get("distributed.worker")
    return worker is not None and getattr(worker.thread_state, "key", None) is not None


def has_seceded() -> bool:
    """Return whether the task of this thread has given its place in the worker to another task."""
    pool = sys.modules.get("distributed.threadpoolexecutor")
    return pool is not None and not getattr(pool.thread_state, "proceed", True)


def check_surroundings(address: str, loops: tuple[Any, ...] = ()) -> None:
    """Refuse a cluster that could never answer, because this call keeps it from doing so.

    Parameters
    ----------
    address : str
        Of the scheduler.
    loops : tuple
        Event loops, of Tornado or asyncio, of the client or cluster that was handed over.

    Raises
    ------
    UsageError
        This thread runs the event loop of the client, the scheduler or a worker; or it carries out a task that takes
        a place in a worker.
    """
    running = _running_loop()
    if running is not None and any(_is_same(running, loop) for loop in (*loops, *_loops_of(address))):
        raise UsageError(
            f"this was called inside the event loop that runs the client of {escape(address)}, which would wait for"
            " itself for ever",
            "call it in another thread: await asyncio.to_thread(FUNCTION, ...)",
        )
    if in_task() and not has_seceded():
        raise UsageError(
            f"this was called inside a Dask task, and cannot use {escape(address)}: the task would take the place in"
            " a worker that it waits for",
            "call distributed.secede() first, or leave the scheduler out: the default is threads",
        )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    # Where nobody has loaded it, no loop of it runs.
    loaded = sys.modules.get("asyncio")
    try:
        return None if loaded is None else loaded.get_running_loop()
    except RuntimeError:
        return None


def _is_same(running: asyncio.AbstractEventLoop, loop: Any) -> bool:
    return running is loop or running is getattr(loop, "asyncio_loop", None)


def _loops_of(address: str) -> Iterator[Any]:
    """Yield the event loops of everything in this process that belongs to a cluster."""
    for module, name in _SERVERS:
        if module in sys.modules:
            for each in tuple(getattr(sys.modules[module], name)._instances):  # noqa: SLF001 - there is no public list
                belongs = each if name == "Scheduler" else each.scheduler
                if getattr(belongs, "address", None) == address:
                    yield each.loop
