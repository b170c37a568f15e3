"""Connects to a scheduler, and ends the connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, cast

from distributed import Client

from pipeline import process
from pipeline.errors import Abandoned
from pipeline.execute.access import ClusterAccess
from pipeline.execute.cluster import faults
from pipeline.execute.cluster.greeting import check_greeting
from pipeline.execute.cluster.link import ClusterLink
from pipeline.execute.cluster.loop import answer, event_loop
from pipeline.execute.cluster.pulse import Pulse
from pipeline.execute.cluster.quiet import DISTRIBUTED_QUIET
from pipeline.execute.cluster.restarts import Restarts
from pipeline.execute.cluster.versions import check_versions
from pipeline.execute.terms import ClusterTerms, go_on

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 5.0
MOMENT_SECONDS = 0.3
# A worker that does not say its versions by then says them with its first task.
VERSIONS_SECONDS = 5.0


@contextmanager
def open_link(access: ClusterAccess, terms: ClusterTerms) -> Iterator[ClusterLink]:
    """Connect to a scheduler; the connection ends with the block.

    Raises
    ------
    ConfigurationError
        One end encrypts and the other does not, or does not accept its certificate; or the scheduler or a worker has
        other versions than this process.
    UnavailableError
        The scheduler does not answer within 10 seconds.
    """
    with process.job(), DISTRIBUTED_QUIET, event_loop() as loop, _linked(access, loop, terms) as link:
        yield link


@contextmanager
def _linked(access: ClusterAccess, loop: asyncio.AbstractEventLoop, terms: ClusterTerms) -> Iterator[ClusterLink]:
    client = answer(loop, _connect(access, "logitstream"), terms.check)
    patience = CLOSE_SECONDS
    try:
        pulse = Pulse(access.address, terms.patience.scheduler_timeout)
        answer(loop, pulse.ask(client), terms.check)
        lost = asyncio.run_coroutine_threadsafe(pulse.beat(client), loop)
        try:
            link = ClusterLink(access.address, client, loop, terms, pulse, lost)
            link.ask(_met(link))
            yield link
        finally:
            lost.cancel()
    except Abandoned:
        patience = MOMENT_SECONDS
        raise
    finally:
        answer(loop, _close(client, patience), go_on)


async def _met(link: ClusterLink) -> None:
    """Compare versions with the scheduler, and with the workers that there are."""
    with suppress(TimeoutError):
        async with asyncio.timeout(VERSIONS_SECONDS):
            await check_versions(link.client)
    Restarts(link).listen()


@asynccontextmanager
async def connected(access: ClusterAccess, name: str) -> AsyncIterator[Client]:
    """Yield a client of our own in the event loop that runs; it is nobody's default.

    Raises
    ------
    ConfigurationError, UnavailableError
        As :func:`open_link`.
    """
    client = await _connect(access, name)
    try:
        yield client
    finally:
        await _close(client, CLOSE_SECONDS)


async def _connect(access: ClusterAccess, name: str) -> Client:
    # A client begins to connect as soon as it is made.
    with suppress(TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            await check_greeting(access.address, access.security)
    client = Client(
        access.address,
        asynchronous=True,
        timeout=CONNECT_SECONDS,
        set_as_default=False,
        name=name,
        security=access.security,
    )
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client
    except (OSError, ImportError) as error:
        await _close(client, CLOSE_SECONDS)
        raise faults.no_scheduler(access.address, CONNECT_SECONDS) from error
    except asyncio.CancelledError:
        await _close(client, MOMENT_SECONDS)
        raise
    return client


async def _close(client: Client, seconds: float) -> None:
    sender: Any = client.scheduler_comm
    # What is not closed in time ends with the event loop.
    try:
        with suppress(OSError):
            async with asyncio.timeout(seconds):
                await cast("Any", client).close()
    finally:
        # Otherwise it would close itself when it is freed, after its loop has ended, and Python would warn of that.
        client.status = "closed"
    # The client leaves its sender behind if the scheduler hangs up first. If a timer of the sender expired while the
    # loop ends, nobody would take its error, and asyncio would log it.
    if sender is not None:
        sender.abort()
        with suppress(OSError):
            async with asyncio.timeout(MOMENT_SECONDS):
                await sender.stopped.wait()
