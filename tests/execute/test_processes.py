"""Chunk tasks in processes: what a crash, a kill, a want of memory and the end of the parent come to."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from pathlib import Path

import psutil
import pytest

from pipeline.errors import (
    Abandoned,
    ConfigurationError,
    DataError,
    LogitstreamError,
    MemoryBudgetError,
    TemporaryError,
    UnavailableError,
    UsageError,
)
from pipeline.execute import open_scheduler
from pipeline.types import Receipt, Scheduler, Task, Work
from pipeline.units import MIB
from tests.contracts.scheduler import Supply, check_scheduler
from tests.contracts.tasks import Marking, no_op, receipt

ROOT = Path(__file__).resolve().parents[2]


def open_it(workers: int = 2, wave: int = 16, share_bytes: int | None = None) -> AbstractContextManager[Scheduler]:
    return open_scheduler("processes", workers=workers, wave=wave, share_bytes=share_bytes)


def run(task: Task, chunks: int = 8, workers: int = 2, share_bytes: int | None = None) -> Supply:
    supply = Supply.of(chunks)
    with open_it(workers, share_bytes=share_bytes) as scheduler:
        scheduler.run(task, supply.take, supply.done)
    return supply


def refusal(task: Task, share_bytes: int | None = None) -> LogitstreamError:
    with pytest.raises(LogitstreamError) as caught:
        run(task, share_bytes=share_bytes)
    return caught.value


@pytest.fixture(autouse=True)
def _nothing_of_the_pool_left() -> Iterator[None]:
    """No descriptor, socket or zombie, at once; and no tracker, without which there is no semaphore or shared memory."""
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    children = {child.pid for child in psutil.Process().children()}
    tracker = resource_tracker._resource_tracker._pid
    yield
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors
    assert {child.pid for child in psutil.Process().children()} <= children
    assert resource_tracker._resource_tracker._pid == tracker


def segfault(work: Work) -> Receipt:
    if work.chunk == 3:
        ctypes.string_at(0)
    return receipt(work.chunk)


@dataclass(frozen=True)
class Ending:
    """Ends its process at chunk 3: by a signal, or by an exit code."""

    how: int
    once: str = ""

    def __call__(self, work: Work) -> Receipt:
        if work.chunk == 3 and not (self.once and Path(self.once).exists()):
            if self.once:
                Path(self.once).touch()
            if self.how > 0:
                os.kill(os.getpid(), self.how)
                time.sleep(10)
            os._exit(-self.how)
        return receipt(work.chunk)

    def name_of(self, work: Work) -> str:
        return f"flights.parquet, row group {work.chunk}"


def test_contract(tmp_path: Path) -> None:
    check_scheduler(lambda: open_it(wave=128), tmp_path, wave=128, chunks=3000)


def test_a_parser_that_crashes_is_named_and_the_rest_is_delivered() -> None:
    supply = Supply.of(8)
    with open_it() as scheduler, pytest.raises(DataError, match=r"^chunk 3: .* with SIGSEGV, and again") as caught:
        scheduler.run(segfault, supply.take, supply.done)
    assert "damaged" in caught.value.remedy
    assert supply.delivered.keys() >= {0, 1, 2}
    assert 3 not in supply.delivered
    assert max(supply.delivered.values()) == 1


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        (signal.SIGKILL, MemoryBudgetError, "was killed, most often because memory ran out"),
        (signal.SIGABRT, DataError, "ended with SIGABRT"),
        (signal.SIGTERM, TemporaryError, "ended twice from outside, by SIGTERM"),
        (-7, DataError, "ended with exit code 7"),
    ],
)
def test_how_a_process_ended_decides_what_is_said(how: int, error: type[LogitstreamError], words: str) -> None:
    found = refusal(Ending(how))
    assert type(found) is error
    assert found.message.startswith("flights.parquet, row group 3: ")
    assert words in found.message
    assert found.remedy


def test_work_that_goes_well_alone_lets_the_run_go_on(tmp_path: Path) -> None:
    supply = run(Ending(signal.SIGKILL, once=str(tmp_path / "done")), chunks=40)
    assert supply.delivered == dict.fromkeys(range(40), 1)


@dataclass(frozen=True)
class Alone:
    """Kills itself at every tenth chunk unless it is the only process of its parent."""

    folder: str

    def __call__(self, work: Work) -> Receipt:
        company = len(psutil.Process(os.getppid()).children()) - 1
        if work.chunk % 10 == 1 and not Path(self.folder, f"{work.chunk}").exists():
            Path(self.folder, f"{work.chunk}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return receipt(work.chunk, company if work.chunk % 10 == 1 else 0)


def test_it_is_carried_out_alone_and_not_for_ever(tmp_path: Path) -> None:
    supply = Supply.of(100)
    company = {}

    def done(made: Receipt) -> None:
        company[made.chunk] = made.bytes_read
        supply.done(made)

    with open_it() as scheduler, pytest.raises(MemoryBudgetError, match="ended 4 times, the last with SIGKILL at"):
        scheduler.run(Alone(str(tmp_path)), supply.take, done)
    assert {chunk for chunk in company if chunk % 10 == 1} == {1, 11, 21, 31}
    assert set(company.values()) == {0}


def pids(work: Work) -> Receipt:
    time.sleep(0.02)
    return receipt(work.chunk)


def test_one_pool_for_the_run_and_one_task_a_submission() -> None:
    workers = set()
    supply = Supply.of(60)

    def done(made: Receipt) -> None:
        workers.add(made.worker)
        supply.done(made)
        assert supply.given - sum(supply.delivered.values()) <= 2

    with open_it(wave=8) as scheduler:
        scheduler.run(pids, supply.take, done)
    assert len(workers) == 2
    assert str(os.getpid()) not in workers


def take_memory(work: Work) -> Receipt:
    if work.chunk == 3:
        bytearray(400 * MIB)
    return receipt(work.chunk)


def take_arrow_memory(work: Work) -> Receipt:
    import pyarrow as pa

    assert pa.default_memory_pool().backend_name == "jemalloc"
    pa.allocate_buffer(64 * MIB if work.chunk != 3 else 400 * MIB)
    return receipt(work.chunk)


@pytest.mark.parametrize("task", [take_memory, take_arrow_memory])
def test_more_memory_than_the_share_is_refused_by_name(task: Task) -> None:
    assert run(task, chunks=3, share_bytes=128 * MIB).delivered.keys() == {0, 1, 2}
    found = refusal(task, share_bytes=128 * MIB)
    assert type(found) is MemoryBudgetError
    assert found.message.startswith("chunk 3 takes more memory than the share")
    assert "--memory" in found.remedy
