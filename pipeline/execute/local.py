"""Tasks in this process: ``sync`` on the calling thread, ``threads`` in a pool of our own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import dask.local

from pipeline.execute import shared
from pipeline.execute.waves import run_waves, threads
from pipeline.types.work import Item, Result, Scheduler


@contextmanager
def open_local(name: str, *, workers: int, wave: int) -> Iterator[Scheduler]:
    """Yield the scheduler ``sync`` or ``threads``; threads exist during ``run`` alone."""
    yield LocalScheduler(name, 1 if name == "sync" else workers, wave)


@dataclass(frozen=True, slots=True)
class LocalScheduler:
    """Fulfils :class:`pipeline.types.work.Scheduler` in this process.

    Tasks start in the order in which ``take`` gave their items. After the first error no task starts, and the error is
    raised when those under way have ended; what they returned is not delivered. The same holds for
    ``KeyboardInterrupt``; ``Abandoned`` is raised at once, and threads go on until the process ends. ``run`` may be
    called again, and from several threads at once.
    """

    name: str
    workers: int
    wave: int

    def run(
        self, task: Callable[[Item], Result], take: Callable[[int], Sequence[Item]], done: Callable[[Result], None]
    ) -> None:
        """Carry out items until there is none."""
        if self.name == "sync":
            run_waves(dask.local.get_sync, self.wave, task, partial(take, 1), done)
            return
        with threads(self.workers) as get:
            run_waves(get, self.wave, task, partial(take, 1), done)

    def share(self, content: bytes) -> AbstractContextManager[str]:
        """Share bytes with the tasks, which run in this process."""
        return shared.holding(content)
