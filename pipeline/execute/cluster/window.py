"""The tasks under way in a run.

There are twice as many as the cluster has threads; where tasks are short, as many as the cluster does in a second.
Each future is released as soon as its result has arrived. A task that may have ended its workers is carried out once
more while nothing else is under way.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import field
from queue import Empty, SimpleQueue
from typing import Any, Generic, cast

import distributed
from distributed import KilledWorker
from distributed.client import FutureCancelledError
from distributed.comm.core import CommClosedError
from distributed.scheduler import NoWorkerError

from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError
from pipeline.execute.cluster import faults
from pipeline.execute.cluster.carrying import UNLOADABLE, carry_out, check_loadable
from pipeline.execute.cluster.keys import Key
from pipeline.execute.cluster.link import ClusterLink
from pipeline.execute.cluster.loop import TICK
from pipeline.execute.cluster.meeting import Met
from pipeline.execute.cluster.suspects import DeathWatch, Suspect, Suspects, was_alone
from pipeline.execute.deaths import name_of
from pipeline.execute.labels import label_of
from pipeline.execute.pickling import pickled
from pipeline.types.work import Item, Result

# Without a worker two tasks wait: the first one shows an adaptive cluster that workers are wanted.
_LEAST = 2
_AHEAD_SECONDS = 1.0
# How often workers may die at tasks that then succeed alone, until the run is given up. Each time the cluster does
# nothing but one task at a time, and one where this keeps happening cannot do the job.
ROUNDS = 3


@dataclass(slots=True)
class DoneRate:
    """How many tasks were done a second, counted anew each second."""

    done: int = 0
    since: float = field(default_factory=time.monotonic)
    rate: float = 0.0

    def count(self) -> None:
        """Note that a task was done."""
        self.done += 1
        seconds = time.monotonic() - self.since
        if seconds >= 1.0:
            self.rate, self.done, self.since = self.done / seconds, 0, self.since + seconds


@dataclass(slots=True)
class TaskWindow(Generic[Item, Result]):
    """The tasks under way. ``_send`` and what it starts run in the thread of the loop, everything else in the caller's.

    Attributes
    ----------
    link : ClusterLink
    task : Met
    wave : int
        The most tasks that may be under way.
    """

    link: ClusterLink
    task: Met[Item, Result]
    wave: int
    under_way: set[Future[Result | Suspect[Item]]] = field(default_factory=set)
    sent: dict[Key, distributed.Future[Any]] = field(default_factory=dict)
    waiting: set[asyncio.Future[None]] = field(default_factory=set)
    ended: SimpleQueue[Future[Any]] = field(default_factory=SimpleQueue)
    suspects: Suspects[Item] = field(default_factory=Suspects)
    pace: DoneRate = field(default_factory=DoneRate)
    opened: float = field(default_factory=time.monotonic)
    carried: bytes = b""

    def __post_init__(self) -> None:
        """Let :meth:`result` raise the loss of the scheduler."""
        self.link.lost.add_done_callback(self.ended.put)

    def fill(self, take: Callable[[int], Sequence[Item]]) -> bool:
        """Send as many items as there is room for; return whether any is under way."""
        if self.suspects.waiting:
            self._take_alone()
            return True
        size = min(self.wave, max(_LEAST, 2 * self.link.pulse.threads, int(_AHEAD_SECONDS * self.pace.rate)))
        room = size - len(self.under_way)
        # Many small messages would keep the scheduler busier than the tasks.
        if room > 0 and (room >= size // 4 or not self.under_way):
            self._take(take(room))
        return bool(self.under_way)

    def _take_alone(self) -> None:
        """Send the next suspect once nothing else is under way."""
        if not self.under_way:
            self._take([self.suspects.next().item])

    def _take(self, items: Sequence[Item]) -> None:
        pairs: list[tuple[Item, Future[Result | Suspect[Item]]]] = [(item, Future()) for item in items]
        for _, promise in pairs:
            self.under_way.add(promise)
            promise.add_done_callback(self.ended.put)
        if pairs:
            self.link.loop.call_soon_threadsafe(self._send, pairs)

    def result(self) -> Result:
        """Wait until a task has ended and return its result, or raise its error or what ends the run."""
        while True:
            try:
                promise = self.ended.get(timeout=TICK)
            except Empty:
                self._wait_on()
                continue
            self.under_way.discard(promise)
            result: Result | Suspect[Item] = promise.result()
            self.suspects.alone = None
            if isinstance(result, Suspect):
                self._suspect(result)
                continue
            self.pace.count()
            self.link.tell()
            return result

    def _suspect(self, suspect: Suspect[Item]) -> None:
        """Have a task carried out alone, after those that are under way."""
        name = self._name(suspect.item)
        self.suspects.add(suspect)
        if self.suspects.rounds > ROUNDS:
            raise faults.died_again(name, suspect.workers, self.suspects.rounds, self.link.terms)
        self.link.news.append(
            f"{name}: {faults.deaths(suspect.workers)} with it and other chunks; it is carried out once more, alone"
        )
        self._take_alone()

    def _name(self, item: Item) -> str:
        return name_of(self.task.task, item)

    def _wait_on(self) -> None:
        """Raise what ends a run that cannot go on by itself."""
        pulse, patience = self.link.pulse, self.link.terms.patience
        if pulse.workers:
            self.link.tell()
            self.link.terms.check_grace()
            return
        # Nothing that is under way can finish.
        self.link.attend()
        if time.monotonic() - max(pulse.seen, self.opened) > patience.wait_workers:
            names = [self._name(item) for item in self.suspects.items]
            raise faults.no_workers(self.link.address, patience.wait_workers, names)

    def abandon(self) -> None:
        """Drop the tasks under way; after a successful run there are none."""
        self.link.loop.call_soon_threadsafe(self._release_all)

    def _release_all(self) -> None:
        # Cancelling the coroutines that wait would cancel a transfer of results that the client shares between all of
        # them, and every later one would wait for it.
        for future in list(self.sent.values()):
            future.release()

    def _send(self, pairs: Sequence[tuple[Item, Future[Result | Suspect[Item]]]]) -> None:
        items = [item for item, _ in pairs]
        try:
            keys = [self.link.keys.key(label_of(self.task.task, item), self.link.run) for item in items]
            pickled_task = self._pickled_task()
            carried = [pickled(item) for item in items]
            tasks = [pickled_task] * len(items)
            futures = self.link.client.map(carry_out, tasks, carried, key=keys, pure=False, retries=0)
        except BaseException as error:  # noqa: BLE001 - the caller waits for these promises
            for _, promise in pairs:
                promise.set_exception(error)
            return
        for (item, promise), key, future in zip(pairs, keys, futures, strict=True):
            self.sent[key] = future
            waiting = asyncio.ensure_future(self._deliver(item, key, promise))
            # The loop alone would not keep it.
            self.waiting.add(waiting)
            waiting.add_done_callback(self.waiting.discard)

    def _pickled_task(self) -> bytes:
        if not self.carried:
            self.carried = pickled(self.task)
        return self.carried

    async def _deliver(self, item: Item, key: Key, promise: Future[Result | Suspect[Item]]) -> None:
        future = self.sent[key]
        try:
            with self._translated(item):
                result = await self._outcome(item, future)
        except BaseException as error:  # noqa: BLE001 - the caller waits for this promise
            promise.set_exception(error)
        else:
            promise.set_result(result)
        finally:
            del self.sent[key]
            future.release()

    async def _outcome(self, item: Item, future: distributed.Future[Any]) -> Result | Suspect[Item]:
        suspect = self.suspects.alone
        if suspect is not None:
            return await self._alone(suspect, future)
        try:
            return cast("Result", await future)
        except KilledWorker as error:
            if await was_alone(self.link.client, error):
                raise
            return Suspect(item, error.allowed_failures + 1)
        except UNLOADABLE:
            # The task itself may have raised it.
            await check_loadable(self.link.client, self._pickled_task())
            raise

    async def _alone(self, suspect: Suspect[Item], future: distributed.Future[Any]) -> Result:
        with DeathWatch(self.link.client, future) as watch:
            try:
                return cast("Result", await future)
            except FutureCancelledError:
                if not watch.worker:
                    raise
        raise self._killed(suspect.item, suspect.workers + 1, watch.worker)

    def _killed(self, item: Item, workers: int, last: str) -> LogitstreamError:
        memory = self.link.memory.get(last, "")
        return faults.killed(self._name(item), workers, last, memory, self.link.terms)

    @contextmanager
    def _translated(self, item: Item) -> Iterator[None]:
        """Turn errors of Dask into logitstream's; errors of the task pass unchanged."""
        try:
            yield
        except KilledWorker as error:
            raise self._killed(item, error.allowed_failures + 1, error.last_worker.address) from error
        except NoWorkerError as error:
            raise faults.given_up(self.link.address, error.timeout) from error
        except (FutureCancelledError, CommClosedError) as error:
            raise faults.lost(self.link.address) from error
