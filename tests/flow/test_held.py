"""When memory that the allocators hold ready goes back to the system."""

from __future__ import annotations

import gc

import numpy as np
import pyarrow as pa
import pytest

from pipeline import memory
from pipeline.flow.held import Held, give_back
from pipeline.units import MIB

SIZE = 96 * MIB


def use() -> None:
    """Take memory of Arrow's pool, write on every page of it, and let go."""
    # A size at which the pool keeps what was freed: it gives larger ones back by itself.
    pieces = [pa.allocate_buffer(MIB // 2) for _ in range(SIZE // (MIB // 2))]
    for piece in pieces:
        np.frombuffer(piece, dtype=np.uint8)[:] = 1


def kept(held: Held, *, at_rest: bool) -> int:
    """Return the bytes that stay with the process behind a task."""
    before = memory.current_bytes()
    with held.behind(at_rest=at_rest):
        use()
        gc.collect()
    return memory.current_bytes() - before


@pytest.fixture(autouse=True)
def peak() -> None:
    """The peak of this process stands well above what the tests use."""
    give_back()
    np.ones(3 * SIZE, dtype=np.uint8)


@pytest.fixture
def held() -> Held:
    """One that knows the peak, and has just given memory back."""
    held = Held()
    with held.behind(at_rest=True):
        use()
    return held


def test_behind_a_task_memory_is_kept_for_the_next_one(held: Held) -> None:
    assert kept(held, at_rest=False) > SIZE // 2


def test_a_process_that_outlives_the_run_gives_it_back_when_it_rests(held: Held) -> None:
    assert kept(held, at_rest=True) < SIZE // 4


def test_a_process_does_not_rest_while_another_task_is_under_way(held: Held) -> None:
    with held.behind(at_rest=True):
        assert kept(held, at_rest=True) > SIZE // 2
    assert kept(held, at_rest=True) < SIZE // 4


def test_where_the_peak_has_grown_memory_goes_back_whatever_else_is_under_way() -> None:
    held = Held()
    with held.behind(at_rest=False):
        # A fresh one takes any peak for a growth.
        assert kept(held, at_rest=False) < SIZE // 4
        assert kept(held, at_rest=False) > SIZE // 2
    give_back()


def test_every_64th_task_gives_it_back(held: Held) -> None:
    for _ in range(62):
        with held.behind(at_rest=False):
            pass
    assert kept(held, at_rest=False) > SIZE // 2
    assert kept(held, at_rest=False) < SIZE // 4
