"""Tasks in this process: ``sync`` on the calling thread, ``threads`` in a thread pool."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import dask.local

from pipeline import process
from pipeline.dataclass import dataclass
from pipeline.execute import shared, telling
from pipeline.execute.waves import run_waves, threads
from pipeline.types.work import Item, Result, Scheduler


@contextmanager
def open_local(name: str, *, workers: int, wave: int) -> Iterator[Scheduler]:
    """Yield the scheduler ``sync`` or ``threads``; threads exist only during ``run``."""
    with process.job():
        yield LocalScheduler(name, 1 if name == "sync" else workers, wave)


@dataclass(frozen=True, slots=True)
class LocalScheduler:
    """Fulfils :class:`pipeline.types.work.Scheduler` in this process.

    Tasks start in the order in which ``take`` returned their items. After the first error no task starts, and the
    error is raised when those under way have ended; their results are not delivered. The same holds for
    ``KeyboardInterrupt``. ``Abandoned`` is raised at once, and threads continue until the process ends. ``run`` may be
    called again, and from several threads at once.
    """

    name: str
    workers: int
    wave: int

    def run(
        self,
        task: Callable[[Item], Result],
        take: Callable[[int], Sequence[Item]],
        done: Callable[[Result], None],
        told: telling.Told | None = None,
    ) -> None:
        """Carry out items until none is left."""
        if self.name == "sync":
            run_waves(dask.local.get_sync, self.wave, _telling(task, told), partial(take, 1), done)
            return
        post = None if told is None else telling.Post(told)
        execute = _telling(task, None if post is None else post.send)
        with threads(self.workers, post) as get:
            run_waves(get, self.wave, execute, partial(take, 1), done)

    def share(self, content: bytes) -> AbstractContextManager[str]:
        """Share bytes with the tasks, which run in this process."""
        return shared.holding(content)


def _telling(task: Callable[[Item], Result], send: telling.Told | None) -> Callable[[Item], Result]:
    """Return a task whose news is sent, or the task itself where nobody listens."""
    if send is None:
        return task

    def execute(item: Item) -> Result:
        with telling.telling(send, telling.INTERVAL):
            return task(item)

    return execute
