"""Work and its outcome, and what carries it out: the protocol that each scheduler fulfils."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from pipeline.types.rows import BadCell, SliceAccount

Item = TypeVar("Item")
Result = TypeVar("Result")
Payload_co = TypeVar("Payload_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk to execute.

    ``begin`` is the offset of its first record where that is known: a guess has proven wrong, or an earlier pass has
    found it. ``argument`` is what the step needs of this chunk alone, where the job file cannot describe it.
    """

    chunk: int
    begin: int | None = None
    argument: object = None

    def __str__(self) -> str:
        return f"chunk {self.chunk}"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Payload_co]):
    """What a step hands back for a chunk; nothing else travels.

    Attributes
    ----------
    chunk : int
    accounts : tuple of SliceAccount
        One for each slice of the chunk; those behind the place where the step gave up have no rows.
    payload : object or None
        What the step made of the rows; ``None`` where it gave up, because the chunk has more bad rows than the run
        allows.
    events : mapping of str to int
        What a report counts, by name.
    bad : tuple of (int, BadCell)
        (slice position in the chunk, cell) of the first 10 bad rows.
    bytes_read, peak_bytes : int
        Of the inputs; the peak of the worker's process so far.
    seconds : float
    worker : str
    """

    chunk: int
    accounts: tuple[SliceAccount, ...]
    payload: Payload_co | None
    events: Mapping[str, int]
    bad: tuple[tuple[int, BadCell], ...]
    bytes_read: int
    peak_bytes: int = 0
    seconds: float = 0.0
    worker: str = ""

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(account.read for account in self.accounts)

    @property
    def bad_rows(self) -> int:
        """Rows that count towards ``--max-bad``."""
        return sum(account.bad for account in self.accounts)


class Scheduler(Protocol):
    """Carries out a task over items, on whatever workers it has.

    ``run`` asks ``take(n)`` for at most ``n`` items whenever there is room, and hands each result to ``done`` as soon
    as the task has ended, in any order, always on the calling thread. It returns when ``take`` gives an empty sequence
    while no task is under way. An item may be executed more than once and its result delivered more than once; it is
    never lost. The first error of a task, of ``take`` or of ``done`` is raised when the tasks under way have ended or
    were abandoned with their processes; no thread or process of the scheduler's own making is left.

    ``share`` makes bytes available to every task, on every worker, under their digest:
    :func:`pipeline.execute.shared.content` returns them there. They travel once to each worker, and are let go of at
    the end of the block.
    """

    @property
    def name(self) -> str:
        """How a person calls it: ``threads``, ``sync``, ``tcp://host:port``."""
        ...

    @property
    def workers(self) -> int:
        """How many tasks it can carry out at once; of a cluster, as it is now."""
        ...

    def run(
        self,
        task: Callable[[Item], Result],
        take: Callable[[int], Sequence[Item]],
        done: Callable[[Result], None],
    ) -> None:
        """Carry out items until there is none."""
        ...

    def share(self, content: bytes) -> AbstractContextManager[str]:
        """Share bytes with the tasks of this scheduler and return their SHA-256 in hexadecimal."""
        ...
