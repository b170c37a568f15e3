"""The agenda: it confirms every chunk once, and corrects every wrong guess, in any order of receipts."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.plan import Plan, make_plan
from pipeline.scan.agenda import Agenda, unknown_begins
from pipeline.types.inputs import FileFacts, Identity, InputFile
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Outcome, Work

NONE = np.empty(0, dtype=np.int64)


def cut_csv(name: str, size: int) -> FileFacts:
    return FileFacts(InputFile(name, name, 0, "csv"), Identity(size, 0, ""), (), None, 1.0, NONE, 0, cuttable=True)


@given(
    sizes=st.lists(st.integers(1, 200), min_size=1, max_size=4),
    step=st.integers(1, 40),
    seed=st.integers(0, 2**32),
    limit=st.integers(1, 12),
)
def test_every_chunk_is_confirmed_once_and_every_seam_holds(sizes: list[int], step: int, seed: int, limit: int) -> None:
    chance = random.Random(seed)
    plan = make_plan([cut_csv(f"f{i}", size) for i, size in enumerate(sizes)], chunk_size=f"{step}B")
    # The true begin of the first record at or behind each offset: records of random length.
    truth = []
    for size in sizes:
        starts, at = [], 0
        while at < size:
            starts.append(at)
            at += chance.randint(1, 60)
        truth.append([*starts, size])
    confirmed: list[Outcome[None]] = []
    agenda = Agenda(plan, confirmed.append, unknown_begins(plan))

    def true_begin(file: int, offset: int) -> int:
        return min((s for s in truth[file] if s >= offset), default=sizes[file])

    def execute(work: Work) -> Outcome[None]:
        accounts = []
        for s in plan.chunk(work.chunk).slices:
            right = true_begin(s.file, s.start)
            guess = (
                right if s.start == 0 or chance.random() < 0.6 else min(sizes[s.file], s.start + chance.randint(0, 9))
            )
            begin = guess if work.begin is None else work.begin
            end = max(begin, true_begin(s.file, s.stop))
            accounts.append(SliceAccount(s.file, s.start, s.stop, 1, 1, 0, 0, begin=begin, end=end))
        return Outcome(work.chunk, tuple(accounts), None, {}, (), 0)

    under_way: list[Work] = []
    for _ in range(100_000):
        works = agenda.take(limit)
        assert len(works) <= limit
        under_way += works
        if not under_way:
            break
        receipt = execute(under_way.pop(chance.randrange(len(under_way))))
        agenda.deliver(receipt)
        if chance.random() < 0.2:
            agenda.deliver(receipt)
    assert agenda.complete
    assert sorted(r.chunk for r in confirmed) == list(range(len(plan)))
    for receipt in confirmed:
        for account in receipt.accounts:
            assert account.begin == true_begin(account.file, account.start)


def test_after_a_stop_no_new_chunk_is_handed_out() -> None:
    plan = make_plan([cut_csv("a", 100)], chunk_size="10B")
    agenda = Agenda(plan, lambda _: None, unknown_begins(plan))
    assert [w.chunk for w in agenda.take(3)] == [0, 1, 2]
    agenda.stop()
    assert list(agenda.take(3)) == []
    assert not agenda.complete


def outcome(plan: Plan, work: Work, end: int | None = None) -> Outcome[None]:
    (piece,) = plan.chunk(work.chunk).slices
    begin = piece.start if work.begin is None else work.begin
    account = SliceAccount(piece.file, piece.start, piece.stop, 1, 1, 0, 0, begin=begin, end=end or piece.stop)
    return Outcome(work.chunk, (account,), None, {}, (), 0)


def test_a_bounded_agenda_hands_out_no_chunk_of_a_csv_far_ahead_of_the_oldest() -> None:
    plan = make_plan([cut_csv("a", 200), cut_csv("b", 50)], chunk_size="10B")
    confirmed: list[Outcome[None]] = []
    agenda = Agenda(plan, confirmed.append, unknown_begins(plan), lambda: 4)
    first = agenda.take(100)
    assert [work.chunk for work in first] == [0, 1, 2, 3, 4]
    assert not agenda.take(100)
    for work in first[1:]:
        agenda.deliver(outcome(plan, work))
    assert confirmed == []
    assert not agenda.take(100)
    agenda.deliver(outcome(plan, first[0]))
    assert [each.chunk for each in confirmed] == [0, 1, 2, 3, 4]
    assert [work.chunk for work in agenda.take(100)] == [5, 6, 7, 8, 9]


def test_a_bounded_agenda_hands_out_more_once_a_cluster_has_grown() -> None:
    plan, ahead = make_plan([cut_csv("a", 200)], chunk_size="10B"), 1
    agenda: Agenda[None] = Agenda(plan, lambda _: None, unknown_begins(plan), lambda: ahead)
    assert [work.chunk for work in agenda.take(100)] == [0, 1]
    ahead = 4
    assert [work.chunk for work in agenda.take(100)] == [2, 3, 4]


def test_a_second_pass_knows_where_chunks_begin_and_waits_for_nothing() -> None:
    plan = make_plan([cut_csv("a", 100)], chunk_size="10B")
    begins = unknown_begins(plan)
    agenda: Agenda[None] = Agenda(plan, lambda _: None, begins)
    while works := agenda.take(3):
        for work in works:
            # Each record ends 3 bytes behind the cut: every guess is wrong and is mended.
            agenda.deliver(outcome(plan, work, min(100, 10 * work.chunk + 13)))
    assert agenda.complete
    confirmed: list[int] = []
    again = Agenda(plan, lambda each: confirmed.append(each.chunk), begins, lambda: 1)
    works = again.take(100)
    assert [(work.chunk, work.begin) for work in works] == [(0, None), *((n, 10 * n + 3) for n in range(1, 10))]
    for work in reversed(works):
        again.deliver(outcome(plan, work))
    assert confirmed == list(reversed(range(10)))


def test_chunks_that_are_left_out_are_not_handed_out() -> None:
    plan = make_plan([cut_csv("a", 100)], chunk_size="10B")
    begins = unknown_begins(plan)
    begins[7] = 73
    confirmed: list[int] = []
    agenda: Agenda[None] = Agenda(plan, lambda each: confirmed.append(each.chunk), begins)
    agenda.leave_out(np.array([0, 1, 2, 3, 4, 5, 6, 8, 9]))
    (work,) = agenda.take(100)
    assert work == Work(7, 73)
    agenda.deliver(outcome(plan, work))
    assert confirmed == [7]
    assert agenda.complete
