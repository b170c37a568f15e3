"""What jobs change in the process: made by the first that needs it, undone by the last, in any number of threads."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

import pytest

from pipeline import process
from pipeline.process import SharedChange


class Log:
    """Notes when a change is made and when it is undone."""

    def __init__(self) -> None:
        self.noted: list[str] = []
        self.change = SharedChange(self._change)

    @contextmanager
    def _change(self) -> Iterator[None]:
        self.noted.append("made")
        yield
        self.noted.append("undone")


def test_a_change_lasts_until_its_last_holder_has_left_in_whatever_order_they_leave() -> None:
    log = Log()
    first, second = log.change, log.change
    first.__enter__()
    second.__enter__()
    first.__exit__()
    assert log.noted == ["made"]
    second.__exit__()
    assert log.noted == ["made", "undone"]
    with log.change, log.change:
        assert log.noted == ["made", "undone", "made"]
    assert log.noted == ["made", "undone", "made", "undone"]


def test_holders_in_many_threads_make_a_change_once() -> None:
    log, all_in = Log(), Barrier(8, timeout=10)

    def hold(_: int) -> None:
        with log.change:
            all_in.wait()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(hold, range(8)))
    assert log.noted == ["made", "undone"]


def test_a_change_that_fails_is_held_by_nobody_and_tried_again() -> None:
    fail = [True]

    @contextmanager
    def change() -> Iterator[None]:
        if fail:
            raise OSError("no")
        yield

    shared = SharedChange(change)
    with pytest.raises(OSError, match="no"):
        shared.__enter__()
    fail.clear()
    with shared:
        pass


def test_what_is_kept_is_made_once_and_undone_with_the_last_of_several_jobs() -> None:
    log = Log()
    one, other = process.job(), process.job()
    one.__enter__()
    process.keep(log.change)
    other.__enter__()
    process.keep(log.change)
    one.__exit__(None, None, None)
    assert log.noted == ["made"]
    with process.job():
        process.keep(log.change)
    assert log.noted == ["made"]
    other.__exit__(None, None, None)
    assert log.noted == ["made", "undone"]


def test_garbage_that_ends_a_job_while_a_change_is_made_does_not_block() -> None:
    class Finalized:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with process.job():
                pass

    @contextmanager
    def change() -> Iterator[None]:
        gc.collect()
        yield

    with process.job():
        Finalized()
        process.keep(SharedChange(change))
