"""What every scheduler must do; each implementation's tests call :func:`check_scheduler`."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from unittest.mock import patch

import psutil
import pytest

from pipeline.errors import BadCellsError, BalanceError
from pipeline.execute import telling
from pipeline.types.outputs import Receipt
from pipeline.types.work import Scheduler, Work
from tests.contracts.tasks import Marking, Sharing, echo_begin, no_op, tell_twice

Open = Callable[[], AbstractContextManager[Scheduler]]


class Supply:
    """Hands out works and remembers what was asked and delivered, and on which thread."""

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = list(works)
        self.given = 0
        self.largest = 0
        self.delivered: Counter[int] = Counter()
        self.threads: set[int] = set()

    @classmethod
    def of(cls, count: int) -> Supply:
        return cls([Work(i) for i in range(count)])

    def take(self, n: int) -> Sequence[Work]:
        assert n >= 1
        self.threads.add(threading.get_ident())
        taken = self.works[self.given : self.given + n]
        self.given += len(taken)
        self.largest = max(self.largest, n)
        return taken

    def done(self, made: Receipt) -> None:
        self.threads.add(threading.get_ident())
        self.delivered[made.chunk] += 1


def check_scheduler(open_it: Open, folder: Path, *, wave: int, chunks: int = 10_000) -> None:
    """Check an implementation, opened with ``wave``; ``folder`` is empty and seen by its workers."""
    _check_delivery(open_it, wave)
    _check_late_work(open_it)
    _check_draining(open_it)
    _check_nothing_to_do(open_it)
    _check_error_of_task(open_it, folder)
    _check_errors_of_callbacks(open_it)
    _check_sharing(open_it)
    _check_many(open_it, wave, chunks)


def check_news(open_it: Open) -> None:
    """Check that news comes on the calling thread, in order and before the result; without a listener none is told."""
    supply = Supply.of(20)
    news: list[tuple[int, int]] = []

    def told(each: tuple[int, int]) -> None:
        assert each[0] not in supply.delivered
        supply.threads.add(threading.get_ident())
        news.append(each)

    def fails(_: object) -> None:
        raise LookupError("told")

    with open_it() as scheduler, patch.object(telling, "INTERVAL", 0.0):
        scheduler.run(tell_twice, supply.take, supply.done, told)
        assert sorted(news) == [(chunk, number) for chunk in range(20) for number in range(2)]
        assert all(news.index((chunk, 0)) < news.index((chunk, 1)) for chunk in range(20))
        assert supply.threads == {threading.get_ident()}
        with pytest.raises(LookupError, match="told"):
            scheduler.run(tell_twice, Supply.of(20).take, supply.done, fails)
        silent = Supply.of(5)
        scheduler.run(no_op, silent.take, silent.done, told)
        scheduler.run(tell_twice, silent.take, silent.done)
    assert len(news) == 40


def _check_delivery(open_it: Open, wave: int) -> None:
    supply = Supply([Work(i, begin=7 * i) for i in range(3 * wave + 1)])
    begins = {}

    def done(made: Receipt) -> None:
        begins[made.chunk] = made.bytes_read
        supply.done(made)

    with open_it() as scheduler:
        assert scheduler.name
        scheduler.run(echo_begin, supply.take, done)
    assert begins == {work.chunk: work.begin for work in supply.works}
    assert supply.threads == {threading.get_ident()}
    assert supply.largest <= wave


def _check_late_work(open_it: Open) -> None:
    """``take`` returns nothing for a while; each receipt leads to the next piece of work."""
    supply = Supply.of(1)

    def done(made: Receipt) -> None:
        supply.done(made)
        if made.chunk < 9:
            supply.works.append(Work(made.chunk + 1))

    with open_it() as scheduler:
        scheduler.run(no_op, supply.take, done)
        assert sorted(supply.delivered) == list(range(10))
        again = Supply.of(3)
        scheduler.run(no_op, again.take, again.done)
    assert sorted(again.delivered) == [0, 1, 2]


def _check_draining(open_it: Open) -> None:
    """After some receipts ``take`` returns nothing: what is under way is still delivered, and it is not much."""
    supply = Supply.of(1000)

    def take(n: int) -> Sequence[Work]:
        return supply.take(n) if len(supply.delivered) < 5 else ()

    with open_it() as scheduler:
        scheduler.run(no_op, take, supply.done)
    assert supply.delivered == dict.fromkeys(range(supply.given), 1)
    assert 5 <= supply.given < 20


def _check_nothing_to_do(open_it: Open) -> None:
    supply = Supply.of(0)
    with open_it() as scheduler:
        scheduler.run(no_op, supply.take, supply.done)
    assert not supply.delivered


def _check_error_of_task(open_it: Open, folder: Path) -> None:
    supply = Supply.of(200)
    with open_it() as scheduler, pytest.raises(BadCellsError) as caught:
        scheduler.run(Marking(str(folder), failing=5), supply.take, supply.done)
    assert (caught.value.message, caught.value.remedy) == ("chunk 5 is bad", "mend it")
    assert 5 not in supply.delivered
    check_all_ended(folder)
    assert len(list(folder.glob("*.started"))) < 100


def check_all_ended(folder: Path) -> None:
    """Tasks abandoned on a cluster end a moment later, and no other task starts."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        started = {path.stem for path in folder.glob("*.started")}
        time.sleep(0.1)
        if started == {path.stem for path in folder.glob("*.ended")} == {p.stem for p in folder.glob("*.started")}:
            return
    pytest.fail("tasks go on after the error")


def _check_errors_of_callbacks(open_it: Open) -> None:
    supply = Supply.of(50)

    def take_fails_later(n: int) -> Sequence[Work]:
        if supply.given:
            raise LookupError("take")
        return supply.take(min(n, 2))

    def done_fails(made: Receipt) -> None:
        raise LookupError("done")

    def interrupted(made: Receipt) -> None:
        raise KeyboardInterrupt

    with open_it() as scheduler:
        with pytest.raises(LookupError, match="take"):
            scheduler.run(no_op, take_fails_later, supply.done)
        with pytest.raises(LookupError, match="done"):
            scheduler.run(no_op, Supply.of(50).take, done_fails)
        with pytest.raises(KeyboardInterrupt):
            scheduler.run(no_op, Supply.of(50).take, interrupted)
        after = Supply.of(3)
        scheduler.run(no_op, after.take, after.done)
        assert set(after.delivered) == {0, 1, 2}


def _check_sharing(open_it: Open) -> None:
    """Every task finds bytes under their digest as long as the block lasts, and no task before or after."""
    large, small = bytes(range(256)) * 20_000, b""
    found: list[str] = []

    def done(made: Receipt) -> None:
        found.append(made.worker)

    with open_it() as scheduler:
        with scheduler.share(large) as one, scheduler.share(small) as other, scheduler.share(large) as again:
            assert one == again == hashlib.sha256(large).hexdigest()
            scheduler.run(Sharing(one, other), Supply.of(20).take, done)
            assert set(found) == {f"{len(large)} 0 {one}"}
        with pytest.raises(BalanceError, match="not on this worker"):
            scheduler.run(Sharing(one, one), Supply.of(1).take, done)


def _check_many(open_it: Open, wave: int, chunks: int) -> None:
    """Memory does not grow with the number of chunks."""
    process = psutil.Process()
    supply = Supply.of(chunks)
    sizes = []

    def done(made: Receipt) -> None:
        supply.done(made)
        if len(supply.delivered) % (chunks // 10) == 0:
            sizes.append(process.memory_info().rss)

    with open_it() as scheduler:
        scheduler.run(no_op, supply.take, done)
    assert set(supply.delivered) == set(range(chunks))
    assert max(sizes) - sizes[1] < 32 * 1024**2
