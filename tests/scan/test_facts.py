"""The facts of many files: in order, read by several threads where the disk is slow; the first error in order."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from unittest.mock import patch

import pytest

from pipeline.errors import DataError
from pipeline.scan.facts import gather_facts
from pipeline.types.inputs import CsvOptions, FileFacts, InputFile

FILES = [InputFile(f"{number:03d}.csv", f"/nowhere/{number:03d}.csv", 0, "csv") for number in range(300)]


def _idle() -> None:
    time.sleep(0.002)


def _busy() -> None:
    sum(range(5_000))


@dataclass
class _Disk:
    """A source on a slow disk; it keeps the names of the threads that read from it."""

    read: Callable[[], Any]
    damaged: frozenset[str] = frozenset()
    asked_by: set[str] = field(default_factory=set)

    def facts(self, file: InputFile, *, full: bool = False) -> FileFacts:
        self.asked_by.add(threading.current_thread().name)
        self.read()
        if file.path in self.damaged:
            raise DataError(f"{file.path} is damaged")
        return cast("FileFacts", file)


def _gathered(disk: _Disk, *, full: bool = False) -> list[InputFile]:
    with patch("pipeline.scan.facts.source_for", lambda *_: disk):
        return cast("list[InputFile]", list(gather_facts(FILES, CsvOptions(), full=full)))


@pytest.mark.parametrize("read", [_idle, _busy])
@pytest.mark.parametrize("full", [False, True])
def test_facts_come_in_the_order_of_the_files(read: Callable[[], Any], full: bool) -> None:
    assert _gathered(_Disk(read), full=full) == FILES


@pytest.mark.parametrize(("read", "full"), [(_idle, False), (_busy, True)])
def test_several_threads_ask_where_one_would_wait_or_digest(read: Callable[[], Any], full: bool) -> None:
    disk = _Disk(read)
    _gathered(disk, full=full)
    assert len(disk.asked_by) > 2


def test_one_thread_asks_where_others_only_keep_the_processor_from_it() -> None:
    disk = _Disk(_busy)
    with patch("pipeline.scan.turns.time.thread_time", lambda: 0.0):
        _gathered(disk)
    assert len(disk.asked_by) == 1


def test_one_thread_asks_where_the_disk_takes_less_time_than_the_work() -> None:
    disk, seconds = _Disk(lambda: time.sleep(0.0001)), itertools.count(step=1000.0)
    with patch("pipeline.scan.turns.time.thread_time", lambda: next(seconds)):
        _gathered(disk)
    assert len(disk.asked_by) == 1


@pytest.mark.parametrize("read", [_idle, _busy])
@pytest.mark.parametrize("damaged", [{"001.csv", "250.csv"}, {"008.csv", "009.csv"}, {"299.csv"}])
def test_the_first_damaged_file_in_order_is_named(read: Callable[[], Any], damaged: set[str]) -> None:
    with pytest.raises(DataError, match=f"^{min(damaged)} is damaged"):
        _gathered(_Disk(read, frozenset(damaged)))
