"""Tasks in processes of this machine, so that a crash in one of them does not end the run.

The waves are those of ``threads``: each thread sends its item to a process and waits for the result. So it is known
which item was in a process that ended, and only that item is carried out again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field
from functools import partial
from typing import Generic, Self

from pipeline import process
from pipeline.dataclass import dataclass
from pipeline.errors import Abandoned
from pipeline.execute import shared
from pipeline.execute.child import END_SECONDS, MOMENT_SECONDS, Child, ChildEndedError
from pipeline.execute.deaths import ended_again, ended_too_often, name_of, out_of_memory
from pipeline.execute.pickling import pickled
from pipeline.execute.telling import Post, Told
from pipeline.execute.waves import Get, run_waves, threads
from pipeline.types.work import Item, Result, Scheduler

# How often processes may end at work that then succeeds alone, until the run is given up. Each time all processes are
# started again, and a machine where this keeps happening cannot be trusted.
BREAKS = 3


@contextmanager
def open_processes(*, workers: int, wave: int, share_bytes: int | None) -> Iterator[Scheduler]:
    """Yield the scheduler ``processes``; its processes exist only during ``run``."""
    with process.job():
        yield ProcessScheduler("processes", workers, wave, share_bytes)


@dataclass(frozen=True, slots=True)
class ProcessScheduler:
    """Fulfils :class:`pipeline.types.work.Scheduler` in processes that are started when there is work for them.

    Tasks and items travel as Dask pickles them; modules are found where this process finds them. A task that ends its
    process harms no other task: when the others have ended, it is carried out once more in the only process, and the
    run continues. If that process ends too, the error names the task.

    After an error of a task, of ``take`` or of ``done`` no task starts, and those under way end first. An interrupt or
    ``Abandoned``, which are not of the class ``Exception``, ends the processes at once. ``run`` may be called again,
    and from several threads at once.
    """

    name: str
    workers: int
    wave: int
    share_bytes: int | None
    digests: list[str] = field(default_factory=list)

    @contextmanager
    def share(self, content: bytes) -> Iterator[str]:
        """Share bytes with the tasks: each process receives them before its first item."""
        with shared.holding(content) as digest:
            self.digests.append(digest)
            try:
                yield digest
            finally:
                self.digests.remove(digest)

    def run(
        self,
        task: Callable[[Item], Result],
        take: Callable[[int], Sequence[Item]],
        done: Callable[[Result], None],
        told: Told | None = None,
    ) -> None:
        """Carry out items until none is left.

        Raises
        ------
        MemoryBudgetError
            A task took more memory than its share, or its process was killed twice.
        DataError
            The process of a task crashed twice.
        TemporaryError
            The process of a task was ended from outside twice.
        UnavailableError
            Processes cannot be started, or ended again and again at work that succeeded when it was repeated.
        UsageError, ConfigurationError
            The task cannot be pickled here, or not loaded in the other process.
        """
        contents = tuple(map(shared.content, dict.fromkeys(self.digests)))
        post = None if told is None else Post(told)
        crew: Crew[Item, Result] = Crew(task, contents, self.share_bytes, None if post is None else post.send)
        with crew, threads(self.workers, post) as get, crew.interruptible():
            for breaks in range(1, BREAKS + 2):
                lost = self._until_one_is_lost(crew, get, partial(take, 1), done)
                if not lost:
                    return
                for each in lost:
                    _once_more_alone(crew, get, each, done)
                if breaks > BREAKS:
                    raise ended_too_often(crew.name_of(lost[-1].item), lost[-1].exit_code, breaks)

    def _until_one_is_lost(
        self,
        crew: Crew[Item, Result],
        get: Get,
        take: Callable[[], Sequence[Item]],
        done: Callable[[Result], None],
    ) -> list[Lost[Item]]:
        lost: list[Lost[Item]] = []

        def assign() -> Sequence[Assignment[Item]]:
            return () if lost else [crew.assign(item) for item in take()]

        def sort(result: Result | Lost[Item]) -> None:
            if isinstance(result, Lost):
                lost.append(result)
            else:
                done(result)

        run_waves(get, self.wave, crew.carry_out, assign, sort)
        return lost


@dataclass(frozen=True, slots=True)
class Lost(Generic[Item]):
    """An item whose process ended."""

    item: Item
    exit_code: int
    loaded: bool


@dataclass(frozen=True, slots=True)
class Assignment(Generic[Item]):
    """An item and the process that will carry it out."""

    item: Item
    child: Child


def _once_more_alone(crew: Crew[Item, Result], get: Get, lost: Lost[Item], done: Callable[[Result], None]) -> None:
    """Carry out a lost item while there is no other worker process."""

    def sort(result: Result | Lost[Item]) -> None:
        if isinstance(result, Lost):
            raise ended_again(crew.name_of(lost.item), result.exit_code, loaded=result.loaded)
        done(result)

    crew.end(END_SECONDS)
    items = deque([lost.item])
    run_waves(get, 1, crew.carry_out, lambda: [crew.assign(items.popleft())] if items else (), sort)
    crew.end(END_SECONDS)


@dataclass(slots=True)
class Crew(Generic[Item, Result]):
    """The processes of a run. ``carry_out`` runs in the threads that wait for them, all else in the calling thread.

    A process is started by the thread that called ``run``, because it ends with the thread that started it.
    """

    task: Callable[[Item], Result]
    contents: tuple[bytes, ...]
    share_bytes: int | None
    told: Told | None
    pickled: bytes = field(init=False)
    children: set[Child] = field(default_factory=set)
    idle: deque[Child] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self.pickled = pickled(self.task)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None and not issubclass(kind, Exception):
            self.kill()
        self.end(MOMENT_SECONDS if kind is Abandoned else END_SECONDS)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Kill the processes when an error is not of the class ``Exception``, so that nobody waits for them."""
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.kill()
            raise

    def assign(self, item: Item) -> Assignment[Item]:
        """Find a process for an item: an idle one, else a new one."""
        if not self.idle:
            child = Child(self.pickled, self.contents, self.share_bytes, self.told)
            self.children.add(child)
            return Assignment(item, child)
        return Assignment(item, self.idle.pop())

    def carry_out(self, assignment: Assignment[Item]) -> Result | Lost[Item]:
        """Wait for the result and return it, or the lost item if the process ends."""
        item, child = assignment.item, assignment.child
        try:
            result: Result = child.call(pickled(item))
        except ChildEndedError as error:
            self.children.discard(child)
            child.dismiss()
            return Lost(item, error.exit_code, error.loaded)
        except MemoryError as error:
            raise out_of_memory(self.name_of(item), error) from error
        self.idle.append(child)
        return result

    def name_of(self, item: Item) -> str:
        """Return the name of an item in messages."""
        return name_of(self.task, item)

    def kill(self) -> None:
        """End every process at once."""
        for child in list(self.children):
            child.kill()

    def end(self, seconds: float) -> None:
        """Let every process end, and kill those that have not ended after some seconds."""
        children = list(self.children)
        self.idle.clear()
        self.children.clear()
        for child in children:
            child.dismiss()
        for child in children:
            child.wait(seconds)
