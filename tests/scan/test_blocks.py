"""Blocks of chunks: the bits of a pass over single chunks, each chunk once, and cuts that stay where they were."""

from __future__ import annotations

import operator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import BalanceError
from pipeline.plan import make_plan
from pipeline.scan import HowToScan, Needs, PreparedScan, StepCosts, discover, gather_facts, open_scan, prepare_scan
from pipeline.scan.blocks import BlockAgenda, BlockOutcome, block_level
from pipeline.scan.tree import ReduceTree
from pipeline.types.inputs import CsvOptions, Need
from pipeline.types.rows import SliceAccount
from pipeline.types.work import Outcome
from tests.contracts.steps import add_up

ROWS = 6_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers whose sums depend on the order of adding."""
    path = tmp_path_factory.mktemp("blocks")
    chance = np.random.default_rng(5)
    values = chance.normal(size=ROWS) * 10.0 ** chance.integers(-8, 8, ROWS)
    for kind in ("parquet", "csv"):
        (path / kind).mkdir()
    pq.write_table(pa.table({"x": values}), path / "parquet" / "a.parquet", row_group_size=100)
    (path / "csv" / "a.csv").write_text("x,note\n" + "".join(f'{value!r},"a\nb"\n' for value in values.tolist()))
    return path


def prepared(folder: Path, size: str, **how: object) -> PreparedScan:
    files = gather_facts(discover((str(folder),)).files, CsvOptions())
    plan = make_plan(files, chunk_size=size)
    needs = Needs.of([Need("x", "numeric")])
    return prepare_scan(files, needs, plan, CsvOptions(), StepCosts(), HowToScan(**how))  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "size"), [("parquet", "100"), ("csv", "3KiB")])
@pytest.mark.slow
def test_blocks_give_the_bits_of_single_chunks_on_every_scheduler(folder: Path, kind: str, size: str) -> None:
    found, chunks = set(), []
    for scheduler, workers in (("sync", 1), ("threads", 3), ("processes", 2)):
        scan = prepared(folder / kind, size, scheduler=scheduler, workers=workers)
        assert block_level(len(scan.plan), workers) > 0 or scheduler != "processes"
        with open_scan(scan) as opened:
            found.add(opened.reduce(add_up, operator.add))
            done: list[int] = []
            found.add(
                opened.reduce_blocks(add_up, operator.add, confirmed=lambda outcome, n=done: n.append(outcome.chunk))
            )
        chunks.append(sorted(done) == list(range(len(scan.plan))))
    assert len(found) == 1
    assert all(chunks)


def test_the_first_pass_over_a_csv_whose_cuts_are_unknown_needs_no_blocks(folder: Path) -> None:
    scan = prepared(folder / "csv", "3KiB", scheduler="sync")
    with open_scan(scan) as opened:
        assert opened.reduce_blocks(add_up, operator.add) == opened.reduce_blocks(add_up, operator.add)


@given(payloads=st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=40), level=st.integers(0, 4))
def test_nodes_of_any_level_give_the_tree_of_single_chunks(payloads: list[str | None], level: int) -> None:
    def combine(left: str, right: str) -> str:
        return f"({left}{right})"

    level = min(level, (len(payloads) - 1).bit_length())
    whole, nodes = ReduceTree(len(payloads), combine), ReduceTree(len(payloads), combine)
    for chunk, payload in enumerate(payloads):
        whole.add(chunk, payload)
    for number in reversed(range(-(-len(payloads) >> level))):
        part = payloads[number << level : (number + 1) << level]
        node = ReduceTree(len(part), combine)
        for place, payload in enumerate(part):
            node.add(place, payload)
        nodes.add(number, node.total(), level)
    assert nodes.total() == whole.total()


def test_a_block_counts_once_and_only_if_the_records_are_cut_where_they_were(folder: Path) -> None:
    scan = prepared(folder / "csv", "3KiB", scheduler="sync")
    with open_scan(scan) as opened:
        opened.reduce(add_up, operator.add)
    confirmed: list[BlockOutcome[float]] = []
    agenda = BlockAgenda(scan.plan, scan.begins, 1, confirmed.append)
    (block,) = agenda.take(1)
    ends = [int(scan.begins[work.chunk + 1]) for work in block.works]
    outcomes = tuple(outcome_of(work.chunk, end) for work, end in zip(block.works, ends, strict=True))
    moved = (outcomes[0], replace(outcomes[1], accounts=(replace(outcomes[1].accounts[0], end=ends[1] + 1),)))
    with pytest.raises(BalanceError, match="chunk 1 end"):
        agenda.deliver(BlockOutcome(0, 1.0, moved))
    agenda.deliver(BlockOutcome(0, 1.0, outcomes))
    agenda.deliver(BlockOutcome(0, 1.0, outcomes))
    assert len(confirmed) == 1
    with pytest.raises(BalanceError, match="were not read"):
        agenda.require_complete()


def outcome_of(chunk: int, end: int) -> Outcome[float]:
    account = SliceAccount(0, 0, 1, read=1, written=1, null=0, nan=0, quarantined=0, bad=0, begin=1, end=end)
    return Outcome(chunk, (account,), None, {}, (), 0)
