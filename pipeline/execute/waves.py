"""Waves of tasks on Dask, for the schedulers of this machine.

Each wave is a graph of its own for Dask's scheduler, one node an item; no graph ever covers the whole plan. A wave ends
with fewer tasks than threads; at 64 items a thread that idles each for one part in a hundred.

A node is promised no item. One is asked for when a node is about to be sent to a thread, one at a time, so that an
order to stop costs what is under way and not the rest of the wave; nodes that got none end at once. Results are handed
over beside the graph, which would keep all of a wave until its end.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import chain, count, repeat
from typing import Any
from uuid import uuid4

import dask.threaded

from pipeline.errors import Abandoned
from pipeline.types.work import Item, Result

# Values that the user's Dask configuration would otherwise decide: how many tasks a thread is sent at a time, and
# whether a failed task runs once more in the caller.
_FIXED = {"chunksize": 1, "rerun_exceptions_locally": False}

Get = Callable[..., Any]


@contextmanager
def threads(number: int) -> Iterator[Get]:
    """Yield Dask's threaded ``get`` on threads of its own; they have ended when the block has, unless abandoned."""
    pool = ThreadPoolExecutor(number, thread_name_prefix="logitstream")
    patient = True
    try:
        yield partial(dask.threaded.get, pool=pool)
    except Abandoned:
        patient = False
        raise
    finally:
        pool.shutdown(wait=patient, cancel_futures=True)


def run_waves(
    get: Get,
    wave: int,
    execute: Callable[[Item], Result],
    take: Callable[[], Sequence[Item]],
    done: Callable[[Result], None],
) -> None:
    """Execute items as ``take`` gives them, until it gives none while nothing is under way.

    ``take`` gives at most one and is called, like ``done``, on the calling thread alone.
    """
    with ExitStack() as until_the_end:
        for number in count():
            items = take()
            if not items:
                return
            if number == 1:
                # A tenth of a second, which a run of a single wave need not spend.
                until_the_end.enter_context(_what_is_old_set_aside())
            _run_wave(get, wave, execute, chain((items,), (take() for _ in repeat(None))), done)


@contextmanager
def _what_is_old_set_aside() -> Iterator[None]:
    """Have Python's garbage collector look at what is made from now on alone, so that it looks more often.

    Dask leaves some hundreds of objects in cycles behind each wave. Python looks for such among the old ones when these
    have grown by a quarter; counted from all that the modules of a process hold, that is a good many waves. Nothing is
    changed where the collector is off, or whoever embeds us has set objects aside: giving those back is not ours.
    """
    if gc.get_freeze_count() or not gc.isenabled():
        yield
        return
    gc.collect()
    gc.freeze()
    # Over nothing: it makes this the size that the quarter is counted from.
    gc.collect()
    try:
        yield
    finally:
        gc.unfreeze()


def _run_wave(
    get: Get,
    wave: int,
    execute: Callable[[Item], Result],
    supply: Iterator[Sequence[Item]],
    done: Callable[[Result], None],
) -> None:
    # A node takes its item when it starts, not when the graph is written: Dask runs nodes in an order of its own (the
    # last one first), the files are better read from their beginning.
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

    # Callbacks given here are seen by this computation alone; those that are registered fire in every thread's.
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
