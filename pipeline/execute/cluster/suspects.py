"""Which of the tasks on a worker ended it.

Dask counts the death of a worker against every task that it had been handed: those in its other threads, and one that
waited for a thread. So a task that was among others is carried out once more, while nothing else of the run is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import field
from typing import Any, Generic, Self, cast

import distributed
from distributed import Client, KilledWorker
from distributed.comm.core import CommClosedError

from pipeline.dataclass import dataclass
from pipeline.types.work import Item

# To this topic the scheduler reports each worker that it has lost, with the tasks that the worker had.
_TOPIC = "all"


@dataclass(frozen=True, slots=True)
class Suspect(Generic[Item]):
    """An item that was on as many workers that died as the cluster allows, and not alone on the last one.

    Attributes
    ----------
    item : Item
    workers : int
        How many workers died.
    """

    item: Item
    workers: int


@dataclass(slots=True)
class Suspects(Generic[Item]):
    """The suspects that are to be carried out once more, one after the other.

    Attributes
    ----------
    waiting : deque of Suspect
    alone : Suspect or None
        The one that is under way.
    rounds : int
        How often there were suspects after a time without any.
    """

    waiting: deque[Suspect[Item]] = field(default_factory=deque)
    alone: Suspect[Item] | None = None
    rounds: int = 0

    def add(self, suspect: Suspect[Item]) -> None:
        """Let one more wait."""
        self.rounds += not self.waiting
        self.waiting.append(suspect)

    def next(self) -> Suspect[Item]:
        """Take the first one that waits: it is under way."""
        self.alone = self.waiting.popleft()
        return self.alone

    @property
    def items(self) -> list[Item]:
        """Those that wait, after the one that is under way."""
        return [each.item for each in (self.alone, *self.waiting) if each is not None]


async def was_alone(client: Client, error: KilledWorker) -> bool:
    """Return whether the last worker that died with a task had no other task."""
    try:
        events: Any = await cast("Any", client).get_events(error.last_worker.address)
    except (OSError, CommClosedError):
        return False
    lost = [about for _, about in events if "processing-tasks" in about]
    return bool(lost) and _had_only(lost[-1], error.task)


@dataclass(slots=True)
class DeathWatch:
    """While it is open, a task is cancelled as soon as a worker dies that has no other task.

    Without it the cluster would hand the task to as many workers again as it allows to die.

    Attributes
    ----------
    client : Client
    future : distributed.Future
    worker : str
        The address of the worker that died.
    """

    client: Client
    future: distributed.Future[Any]
    worker: str = ""

    def __enter__(self) -> Self:
        cast("Any", self.client).subscribe_topic(_TOPIC, self.heard)
        return self

    def __exit__(self, *_: object) -> None:
        # Where the connection is broken, there is nothing left to unsubscribe from.
        if self.client.status == "running":
            cast("Any", self.client).unsubscribe_topic(_TOPIC)

    async def heard(self, event: tuple[float, Mapping[str, Any]]) -> None:
        """Take an event of the scheduler."""
        about = event[1]
        if about["action"] == "remove-worker" and not about["expected"] and _had_only(about, self.future.key):
            self.worker = about["worker"]
            await cast("Any", self.client).cancel([self.future])


def _had_only(about: Mapping[str, Any], key: object) -> bool:
    return set(about["processing-tasks"]) == {key}
