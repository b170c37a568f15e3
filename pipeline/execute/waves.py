"""Waves of tasks on Dask, for the schedulers of this machine.

Each wave is a separate graph for Dask's scheduler, with one node for each item; no graph ever covers the whole plan.
At the end of a wave there are fewer tasks than threads; with 64 items a thread, each thread idles for one part in a
hundred.

A node has no item at first. It gets one when it is about to be sent to a thread, so that after a request to stop only
the items under way are carried out, not the rest of the wave; nodes that got none end at once. Results do not pass
through the graph, which would keep all of them until the wave ends.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from itertools import chain, count, repeat
from typing import Any
from uuid import uuid4

import dask.threaded

from pipeline import process
from pipeline.dataclass import dataclass
from pipeline.errors import Abandoned
from pipeline.execute.telling import Post
from pipeline.types.work import Item, Result

# Values that the user's Dask configuration would otherwise decide: how many tasks a thread is sent at a time, and
# whether a failed task runs once more in the caller.
_FIXED = {"chunksize": 1, "rerun_exceptions_locally": False}

Get = Callable[..., Any]


@contextmanager
def threads(number: int, post: Post | None = None) -> Iterator[Get]:
    """Yield Dask's threaded ``get`` on new threads, which end with the block unless the run is abandoned.

    While it waits for results, it brings the news of ``post``.
    """
    pool = ThreadPoolExecutor(number, thread_name_prefix="logitstream")
    patient = True
    try:
        yield partial(dask.threaded.get, pool=pool if post is None else _PostedPool(number, pool, post))
    except Abandoned:
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)


@dataclass(frozen=True, slots=True)
class _PostedPool:
    """A pool, as Dask uses it, whose futures show a post where Dask waits."""

    _max_workers: int
    pool: ThreadPoolExecutor
    post: Post

    def submit(self, function: Callable[..., Any], *arguments: Any) -> _Submitted:
        return _Submitted(self.pool.submit(function, *arguments), self.post)


@dataclass(frozen=True, slots=True)
class _Submitted:
    """A task under way."""

    future: Future[Any]
    post: Post

    def add_done_callback(self, put: Callable[[Any], object]) -> None:
        self.post.wait_at(put)
        self.future.add_done_callback(put)


def run_waves(
    get: Get,
    wave: int,
    execute: Callable[[Item], Result],
    take: Callable[[], Sequence[Item]],
    done: Callable[[Result], None],
) -> None:
    """Execute the items that ``take`` returns, until it returns none while nothing is under way.

    ``take`` returns at most one item and is called, like ``done``, only on the calling thread. Inside
    :func:`pipeline.process.job`.
    """
    for number in count():
        items = take()
        if not items:
            return
        if number == 1:
            # A run of a single wave leaves no garbage that is worth it.
            process.keep(_OLD_SET_ASIDE)
        _run_wave(get, wave, execute, chain((items,), (take() for _ in repeat(None))), done)


@contextmanager
def _what_is_old_set_aside() -> Iterator[None]:
    """Have Python's garbage collector look only at objects made from now on, so that it looks more often.

    Dask leaves some hundreds of objects in cycles after each wave. Python looks for cycles among old objects when their
    number has grown by a quarter. Counted from all objects of the loaded modules, that takes many waves. Nothing is
    changed where the collector is off, or where the embedding program has frozen objects, because unfreezing would
    affect those too.

    Old objects are not searched before they are set aside: with millions of them, in a notebook, that takes seconds,
    and Python will do it once anyway when they are back.
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.collect(1)
    gc.freeze()
    # A collection of nothing, which makes this the size that the quarter is counted from.
    gc.collect()
    try:
        yield
    finally:
        gc.unfreeze()


_OLD_SET_ASIDE = process.SharedChange(_what_is_old_set_aside)


def _run_wave(
    get: Get,
    wave: int,
    execute: Callable[[Item], Result],
    supply: Iterator[Sequence[Item]],
    done: Callable[[Result], None],
) -> None:
    # A node takes its item when it starts, not when the graph is written: Dask decides the order of nodes (the last
    # one first), but files are better read from the beginning.
    queue: deque[Item] = deque()
    results: deque[Result] = deque()
    name = f"logitstream-{uuid4().hex}"
    node = (partial(_node, execute, queue, results),)
    graph = {(name, i): node for i in range(wave)}

    def before(_key: Any, *_state: Any) -> None:
        queue.extend(next(supply))

    def after(_key: Any, worked: Any, *_state: Any) -> None:
        if worked:
            done(results.popleft())

    # Callbacks given here are called for this computation only; registered ones would be called in every thread.
    callbacks = [(None, None, before, after, None)]
    get(graph, list(graph), callbacks=callbacks, cache={}, **_FIXED)


def _node(execute: Callable[[Item], Result], queue: deque[Item], results: deque[Result]) -> bool:
    """Carry out the next item, and return whether there was one."""
    try:
        item = queue.popleft()
    except IndexError:
        return False
    results.append(execute(item))
    return True
