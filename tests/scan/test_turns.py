"""Chunks of many small files are read in turns, unless the disk is slow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from pipeline.scan import turns as turns_module
from pipeline.scan.turns import TIMED, ReadingTurns

MANY = 256


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no stall of a busy machine look like the end of patience."""
    monkeypatch.setattr(turns_module, "_PATIENCE", 60.0)


def can_have_a_turn(seconds: float = 5.0) -> bool:
    """Return whether another thread gets a turn within some time; should it get one only later, it ends it at once."""

    def read() -> None:
        with ReadingTurns(MANY) as turns:
            turns.take()

    other = threading.Thread(target=read, daemon=True)
    other.start()
    other.join(seconds)
    return not other.is_alive()


def _read(turns: ReadingTurns, files: int, read: Callable[[], object] = lambda: None) -> None:
    for _ in range(files):
        turns.take()
        read()


def test_one_thread_at_a_time_has_a_turn_until_it_ends_it() -> None:
    with ReadingTurns(MANY) as turns:
        for _ in range(2):
            assert can_have_a_turn()
            # So few files that none is timed to its end: to wait for the other thread looks like a slow disk.
            _read(turns, 1)
            assert not can_have_a_turn(0.05)
            turns.end()
        assert can_have_a_turn()
        _read(turns, 1)
    assert can_have_a_turn()


def test_a_thread_reads_without_a_turn_if_the_one_that_has_it_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns_module, "_PATIENCE", 0.05)
    with ReadingTurns(MANY) as hanging:
        _read(hanging, 1)
        with ReadingTurns(MANY) as turns:
            began = time.monotonic()
            _read(turns, 500)
            assert time.monotonic() - began < 10
        monkeypatch.setattr(turns_module, "_PATIENCE", 60.0)
        assert not can_have_a_turn(0.05)


def test_a_turn_ends_with_an_error() -> None:
    with pytest.raises(ZeroDivisionError), ReadingTurns(MANY) as turns:
        _read(turns, 1, lambda: 1 / 0)
    assert can_have_a_turn()


def test_what_is_done_between_turns_is_not_taken_for_a_slow_disk() -> None:
    with ReadingTurns(MANY) as turns:
        for _ in range(2 * TIMED):
            _read(turns, 1, lambda: sum(range(1_000)))
            turns.end()
            time.sleep(0.005)
        _read(turns, 1)
        assert not can_have_a_turn(0.05)


def test_a_chunk_of_few_files_takes_no_turns() -> None:
    with ReadingTurns(MANY - 1) as turns:
        _read(turns, 10)
        assert can_have_a_turn()


@pytest.mark.parametrize("at_once", [1, 3, TIMED])
def test_files_that_have_to_be_waited_for_are_read_by_all_threads_for_a_while(at_once: int) -> None:
    with ReadingTurns(MANY) as turns:
        for number in range(TIMED):
            if number % at_once == 0:
                turns.end()
            _read(turns, 1, lambda: time.sleep(0.01))
            assert not can_have_a_turn(0.05)
        _read(turns, 1)
        assert can_have_a_turn()
        _read(turns, 511)
        assert can_have_a_turn()
        _read(turns, 1)
        assert not can_have_a_turn(0.05)
    assert can_have_a_turn()


@pytest.mark.parametrize(
    ("read", "clock", "shown"),
    [(lambda: sum(range(2_000)), "thread_time", lambda: 0.0), (lambda: time.sleep(1e-4), "perf_counter", lambda: 0.0)],
    ids=["on a busy machine", "with short waits"],
)
def test_work_is_not_taken_for_a_slow_disk(
    read: Callable[[], object], clock: str, shown: Callable[[], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"pipeline.scan.turns.time.{clock}", shown)
    with ReadingTurns(MANY) as turns:
        _read(turns, 3 * TIMED, read)
        assert not can_have_a_turn(0.05)
