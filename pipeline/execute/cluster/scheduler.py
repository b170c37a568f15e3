"""The scheduler of a cluster: what it shares with the workers, and its runs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, cast

from distributed import Client, WorkerPlugin

from pipeline.dataclass import dataclass
from pipeline.errors import UnavailableError
from pipeline.execute import shared
from pipeline.execute.cluster import faults
from pipeline.execute.cluster.link import BROKEN, LOST, ClusterLink
from pipeline.execute.cluster.meeting import Met
from pipeline.execute.cluster.plugin import shared_content
from pipeline.execute.cluster.versions import versions
from pipeline.execute.cluster.window import TaskWindow
from pipeline.execute.telling import Told
from pipeline.types.work import Item, Result

# How often bytes are sent to workers of which some die meanwhile, and the seconds between.
_SENDINGS, _PAUSE_SECONDS = 10, 0.3
# How long the end of a run waits for workers to release bytes.
_FAREWELL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ClusterScheduler:
    """Fulfils :class:`pipeline.types.work.Scheduler` on a cluster.

    ``task`` is pickled by reference: workers need this package and the module of the task. One that lacks them is
    named, and goes on with the work of others. A chunk whose worker dies is executed again. If it was on as many
    workers that died as the scheduler allows, and the last of them had other chunks too, it is executed once more
    while nothing else is under way, and named if that ends a worker. After an error the remaining futures are
    released: tasks that have not started do not start, and the results of those under way are dropped. ``Abandoned``
    leaves the cluster within a moment, whether the scheduler answers or not. ``run`` may be called again.

    How many workers a task may end (``allowed-failures``, 3), when a silent worker counts as dead (``worker-ttl``),
    work stealing and all other settings of the scheduler are those that it was started with: a client cannot set them.
    """

    link: ClusterLink
    wave: int

    @property
    def name(self) -> str:
        """The address of the scheduler."""
        return self.link.address

    @property
    def client(self) -> Client:
        """The client of the connection, for the thread of its loop."""
        return self.link.client

    @property
    def workers(self) -> int:
        """How many threads the present workers have; none before an adaptive cluster has started any.

        Raises
        ------
        UnavailableError
            The scheduler is lost.
        """
        self.link.ask(self.link.pulse.ask(self.link.client))
        return self.link.pulse.threads

    @contextmanager
    def share(self, content: bytes) -> Iterator[str]:
        """Share bytes with the tasks: the scheduler sends them to each worker, also to one that joins later.

        Raises
        ------
        UnavailableError
            The scheduler is lost, or a worker cannot keep the bytes.
        """
        plugin, name, digest = shared_content(content)
        # This process needs them too, for the names and the labels of its tasks.
        with shared.holding(content):
            try:
                self._send(plugin)
                yield digest
            finally:
                # A worker that is gone has released it already; KeyError is the answer of one that never had it.
                with suppress(*BROKEN, KeyError, UnavailableError):
                    self.link.finish(_unregistered(self.link.client, name))

    def _send(self, plugin: WorkerPlugin) -> None:
        """Send a plugin to every worker.

        A worker that dies meanwhile ends this as the loss of the scheduler does. So it is tried again as long as the
        scheduler answers, which soon forgets the worker.
        """
        for left in reversed(range(_SENDINGS)):
            try:
                self.link.ask(_registered(self.link.client, plugin))
            except BROKEN as error:
                self.link.ask(self.link.pulse.ask(self.link.client))
                if not left and isinstance(error, LOST):
                    raise faults.lost(self.name) from error
                if not left:
                    raise faults.not_shared(self.name, error) from error
                time.sleep(_PAUSE_SECONDS)
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
            The scheduler is lost or silent, or there was no worker for too long.
        TemporaryError
            A chunk ended one worker after another, or chunks that succeed alone did so together again and again.
        ConfigurationError, MemoryBudgetError, StorageError
            A worker has other versions than this process, lacks the module of the task, has too little memory, or does
            not reach the files.
        """
        link = self.link
        window: TaskWindow[Item, Result] = TaskWindow(
            link, Met(task, versions(), link.terms.needs, link.run), self.wave
        )
        try:
            while window.fill(take):
                done(window.result())
        finally:
            window.abandon()


async def _registered(client: Client, plugin: WorkerPlugin) -> None:
    await cast("Any", client).register_plugin(plugin)


async def _unregistered(client: Client, name: str) -> None:
    async with asyncio.timeout(_FAREWELL_SECONDS):
        await cast("Any", client).unregister_worker_plugin(name)
