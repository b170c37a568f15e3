"""Chunks in an order of the caller: outcomes come in it, whatever comes first, and few wait."""

from __future__ import annotations

import random

import numpy as np
import pytest

from pipeline.errors import BalanceError
from pipeline.scan.ordering import OrderedAgenda
from pipeline.types.work import Outcome, Work


def outcome(chunk: int) -> Outcome[int]:
    return Outcome(chunk, (), chunk, {}, (), 0)


@pytest.mark.parametrize("seed", range(5))
def test_outcomes_are_confirmed_once_and_in_order_and_few_wait(seed: int) -> None:
    chance, order = random.Random(seed), [3, 0, 7, 1, 6, 2, 5, 4]
    confirmed: list[int] = []
    begins = np.arange(8) * 10
    agenda = OrderedAgenda(order, begins, lambda found: confirmed.append(found.chunk), lambda: 3)
    under_way: list[Work] = []
    while taken := [*agenda.take(chance.randint(1, 4)), *under_way]:
        assert len(taken) <= 3
        assert all(work.begin == (work.chunk * 10 or None) for work in taken)
        under_way = taken
        done = under_way.pop(chance.randrange(len(under_way)))
        agenda.deliver(outcome(done.chunk))
        agenda.deliver(outcome(done.chunk))
    assert confirmed == order
    agenda.require_complete()


def test_as_many_chunks_are_under_way_as_a_cluster_has_workers_for_at_the_time() -> None:
    ahead = 0
    agenda: OrderedAgenda[int] = OrderedAgenda(range(9), np.zeros(9, dtype=np.int64), lambda _: None, lambda: ahead)
    assert [work.chunk for work in agenda.take(9)] == [0]
    ahead = 4
    assert [work.chunk for work in agenda.take(9)] == [1, 2, 3]
    # Fewer workers take nothing back.
    ahead = 1
    assert not agenda.take(9)
    for chunk in range(4):
        agenda.deliver(outcome(chunk))
    assert [work.chunk for work in agenda.take(9)] == [4]


def test_a_chunk_that_was_not_read_is_an_error() -> None:
    agenda = OrderedAgenda([1, 0], np.zeros(2, dtype=np.int64), lambda _: None, lambda: 4)
    agenda.deliver(outcome(1))
    with pytest.raises(BalanceError, match="1 of 2 chunks were not read"):
        agenda.require_complete()
