"""How a task travels: as bytes that a worker unpickles when it begins the task.

Dask unpickles a whole message before it looks at it. A worker that lacks a module named in the message loses its
connection and ends. If the task is in bytes of its own, such a worker fails that task and goes on.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, cast

from distributed import Client

from pipeline.execute.cluster import faults
from pipeline.execute.pickling import pickled
from pipeline.types.work import Item, Result

# What a pickle raises where a module is missing, or another one of the same name is found.
UNLOADABLE = (ImportError, AttributeError)
# How long all workers have to say whether they can load a task.
_SECONDS = 5.0

# What a worker calls with the bytes of :func:`carry`. Every worker has it, whatever packages it lacks.
carry_out = pickle.loads


def carry(task: Callable[[Item], Result], item: Item) -> bytes:
    """Return bytes; :func:`carry_out` returns what the task returns for the item.

    Raises
    ------
    UsageError
        The task or the item cannot be pickled.
    """
    return pickled(_Reduced(_call, (task, item)))


async def check_loadable(client: Client, task: Callable[[Item], Result]) -> None:
    """Ask every worker to load a task, without carrying it out.

    Raises
    ------
    ConfigurationError
        A worker cannot; it is named.
    """
    ask = cast("Any", client)
    with suppress(TimeoutError):
        async with asyncio.timeout(_SECONDS):
            # A task is true, and nothing but that comes back.
            answers = await ask.run(carry_out, pickled(_Reduced(bool, (task,))), on_error="return")
            for address, answer in sorted(answers.items()):
                if isinstance(answer, UNLOADABLE):
                    raise faults.unloadable(address, answer) from answer


def _call(task: Callable[[Item], Result], item: Item) -> Result:
    return task(item)


@dataclass(frozen=True, slots=True)
class _Reduced(Generic[Result]):
    """Becomes the result of a call where it is unpickled."""

    function: Callable[..., Result]
    arguments: tuple[Any, ...]

    def __reduce__(self) -> tuple[Callable[..., Result], tuple[Any, ...]]:
        return self.function, self.arguments
