"""Chunk tasks in this process: ``sync`` on the calling thread, ``threads`` in a pool of our own.

Each wave is a Dask array of receipts, one block a chunk. Its graph is written down directly: a block costs 40 to 100
microseconds, a third of what ``from_array(...).map_blocks(...)`` takes, and there is nothing in it for an optimiser
to fuse. A wave ends with fewer tasks than threads; at 64 chunks a thread that idles each for one part in a hundred.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import dask.local
import dask.threaded
import numpy as np

# The class itself, not ``dask.array.Array``: with ``array.query-planning`` set that name means another one.
from dask.array.core import Array

from pipeline.types import Receipt, Scheduler, Task, Work

_NO_BLOCK = np.empty(0, dtype=object)

# Values that the user's Dask configuration would otherwise decide: how many tasks a thread is sent at a time, and
# whether a failed task runs once more in the caller.
_FIXED = {"chunksize": 1, "rerun_exceptions_locally": False}

Get = Callable[..., Any]


@contextmanager
def open_local(name: str, *, workers: int, wave: int) -> Iterator[Scheduler]:
    """Yield the scheduler ``sync`` or ``threads``; threads exist during ``run`` alone."""
    yield LocalScheduler(name, 1 if name == "sync" else workers, wave)


@dataclass(frozen=True, slots=True)
class LocalScheduler:
    """Fulfils :class:`pipeline.types.Scheduler` in this process.

    Tasks start in the order in which ``take`` gave their work. After the first error no task starts, and the error is
    raised when those under way have ended; what they returned is not delivered. The same holds for
    ``KeyboardInterrupt``. ``run`` may be called again, and from several threads at once.
    """

    name: str
    workers: int
    wave: int

    def run(self, task: Task, take: Callable[[int], Sequence[Work]], done: Callable[[Receipt], None]) -> None:
        """Carry out work until there is none."""
        if self.name == "sync":
            _run_waves(dask.local.get_sync, self.wave, task, take, done)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="logitstream")
        try:
            _run_waves(partial(dask.threaded.get, pool=pool), self.wave, task, take, done)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _run_waves(
    get: Get, wave: int, task: Task, take: Callable[[int], Sequence[Work]], done: Callable[[Receipt], None]
) -> None:
    while works := take(wave):
        _run_wave(get, task, works, done)


def _run_wave(get: Get, task: Task, works: Sequence[Work], done: Callable[[Receipt], None]) -> None:
    array = _receipts(task, works)

    def deliver(key: Any, block: Any, *_state: Any) -> None:
        if isinstance(key, tuple) and key[0] == array.name:
            done(block[0])

    # A callback given here is seen by this computation alone; one that is registered fires in every thread's.
    callbacks = [(None, None, None, deliver, None)]
    array.compute(scheduler=get, optimize_graph=False, callbacks=callbacks, cache={}, **_FIXED)


def _receipts(task: Task, works: Sequence[Work]) -> Array:
    # A block takes its work when it starts, not when the graph is written: Dask runs blocks in an order of its own
    # (the last one first), the files are better read from their beginning.
    queue = deque(works)
    name = f"logitstream-{uuid4().hex}"
    block = (partial(_block, task, queue),)
    graph = {(name, i): block for i in range(len(works))}
    return Array(graph, name, chunks=((1,) * len(works),), dtype=object, meta=_NO_BLOCK)


def _block(task: Task, queue: deque[Work]) -> Any:
    block = np.empty(1, dtype=object)
    block[0] = task(queue.popleft())
    return block
