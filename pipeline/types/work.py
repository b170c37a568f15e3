"""Work and its outcome, and the protocol of the schedulers that carry it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from pipeline.dataclass import dataclass
from pipeline.types.features import NO_COUNTS, FeatureCounts
from pipeline.types.rows import BadCell, SliceAccount

Item = TypeVar("Item")
Result = TypeVar("Result")
Payload_co = TypeVar("Payload_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk to execute.

    ``begin`` is the offset of its first record where that is known, after a wrong guess or an earlier pass.
    ``argument`` is what the step needs only for this chunk, where the job file cannot describe it.
    """

    chunk: int
    begin: int | None = None
    argument: object = None

    def __str__(self) -> str:
        return f"chunk {self.chunk}"


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Payload_co]):
    """What a step returns for a chunk; nothing else travels to the driver.

    Attributes
    ----------
    chunk : int
    accounts : tuple of SliceAccount
        One for each slice of the chunk; those after the place where the step gave up have no rows.
    payload : object or None
        The result of the step; ``None`` where it gave up, because the chunk has more bad rows than the run allows.
    events : mapping of str to int
        What a report counts, by name.
    bad : tuple of (int, BadCell)
        (slice position in the chunk, cell) of the first 10 bad rows.
    bytes_read, peak_bytes : int
        Bytes read of the inputs; peak memory of the worker's process so far.
    seconds : float
    worker : str
    features : FeatureCounts
        What was counted of the features of a model.
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
    features: FeatureCounts = NO_COUNTS

    @property
    def rows(self) -> int:
        """Rows read."""
        return sum(account.read for account in self.accounts)

    @property
    def bad_rows(self) -> int:
        """Rows that count towards ``--max-bad``."""
        return sum(account.bad for account in self.accounts)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far a try at a chunk is, while it is under way.

    Attributes
    ----------
    chunk : int
    rows : int
        Rows read so far.
    position : int
        The slice of the chunk that is being read.
    share : float
        How much of that slice was read, from 0 to 1: of its rows where they are known, else of its bytes.
    """

    chunk: int
    rows: int
    position: int
    share: float


class Scheduler(Protocol):
    """Carries out a task over items, on whatever workers it has.

    ``run`` asks ``take(n)`` for at most ``n`` items whenever there is room, and passes each result to ``done`` as soon
    as the task has ended, in any order, always on the calling thread. It returns when ``take`` returns no items
    while no task is under way. An item may be executed more than once and its result delivered more than once; it is
    never lost. The first error of a task, of ``take`` or of ``done`` is raised when the tasks under way have ended or
    were abandoned with their processes; no thread or process that the scheduler started is left.

    ``told`` takes what tasks tell while they are under way (:mod:`pipeline.execute.telling`), on the calling thread;
    on a cluster they tell nothing.

    ``share`` makes bytes available to every task, on every worker, under their digest:
    :func:`pipeline.execute.shared.content` returns them there. They travel once to each worker, and are released at
    the end of the block.
    """

    @property
    def name(self) -> str:
        """Its name for people: ``threads``, ``sync``, ``tcp://host:port``."""
        ...

    @property
    def workers(self) -> int:
        """How many tasks it can carry out at once; for a cluster, at this moment."""
        ...

    def run(
        self,
        task: Callable[[Item], Result],
        take: Callable[[int], Sequence[Item]],
        done: Callable[[Result], None],
        told: Callable[[Any], None] | None = None,
    ) -> None:
        """Carry out items until none is left."""
        ...

    def share(self, content: bytes) -> AbstractContextManager[str]:
        """Share bytes with the tasks of this scheduler and return their SHA-256 in hexadecimal."""
        ...
