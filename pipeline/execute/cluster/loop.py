"""The event loop of the client, in one thread.

A client that makes its own loop waits for ever for a server that accepts connections but never answers, and leaves the
thread behind when it cannot connect.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any, TypeVar

# Seconds between two questions whether to go on waiting.
TICK = 0.2

T = TypeVar("T")


@contextmanager
def event_loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Yield an event loop that runs in a thread of its own until the end of the block."""
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


def answer(
    loop: asyncio.AbstractEventLoop,
    question: Coroutine[Any, Any, T],
    check: Callable[[], None],
    lost: Future[None] | None = None,
) -> T:
    """Return what a coroutine returns to a thread that is not the loop's; an interrupt cancels it.

    Parameters
    ----------
    loop : AbstractEventLoop
    question : coroutine
    check : callable
        Called a few times a second meanwhile; what it raises cancels the question.
    lost : Future, optional
        Ends, with its error, when no answer can come any more.
    """
    future = asyncio.run_coroutine_threadsafe(question, loop)
    hopes: list[Future[Any]] = [future] if lost is None else [future, lost]
    try:
        while not future.done():
            if lost is not None and lost.done():
                lost.result()
            check()
            wait(hopes, TICK, FIRST_COMPLETED)
        return future.result()
    finally:
        future.cancel()
