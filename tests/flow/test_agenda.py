"""The agenda: every chunk confirmed once, and every wrong guess mended, in whatever order receipts come."""

from __future__ import annotations

import random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.flow.agenda import Agenda
from pipeline.plan import make_plan
from pipeline.types.inputs import FileFacts, Identity, InputFile
from pipeline.types.outputs import Receipt
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
    confirmed: list[Receipt] = []
    agenda = Agenda(plan, confirmed.append)

    def true_begin(file: int, offset: int) -> int:
        return min((s for s in truth[file] if s >= offset), default=sizes[file])

    def execute(work: Work) -> Receipt:
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
    agenda = Agenda(plan, lambda _: None)
    assert [w.chunk for w in agenda.take(3)] == [0, 1, 2]
    agenda.stop()
    assert list(agenda.take(3)) == []
    assert not agenda.complete
