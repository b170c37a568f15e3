"""How a task travels: as bytes that a worker unpickles when it begins the task.

Dask unpickles a whole message before it looks at it. A worker that lacks a module named in the message loses its
connection and ends. If the task is in bytes of its own, such a worker fails that task and goes on.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from distributed import Client

from pipeline.execute.cluster import faults

# What a pickle raises where a module is missing, or another one of the same name is found.
UNLOADABLE = (ImportError, AttributeError)
# How long all workers have to say whether they can load a task.
_SECONDS = 5.0

# Every worker has it, whatever packages it lacks.
unpickle = pickle.loads


def _made() -> tuple[Callable[[bytes, bytes], Any], Callable[[bytes], None]]:
    # Functions in a function are pickled with their code, so that a worker has them whatever packages it lacks.
    def carry_out(task: bytes, item: bytes) -> Any:
        return unpickle(task)(unpickle(item))

    def load(task: bytes) -> None:
        unpickle(task)

    return carry_out, load


# What a worker calls with a pickled task and a pickled item. All tasks that are sent at once share the bytes of theirs.
carry_out, _load = _made()


async def check_loadable(client: Client, task: bytes) -> None:
    """Ask every worker to load a pickled task, without carrying it out.

    Raises
    ------
    ConfigurationError
        A worker cannot; it is named.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            answers = await cast("Any", client).run(_load, task, on_error="return")
            for address, answer in sorted(answers.items()):
                if isinstance(answer, UNLOADABLE):
                    raise faults.unloadable(address, answer) from answer
