"""Scans: a step over every chunk, pass after pass, on every scheduler; batches that fit; outcomes in a fixed tree."""

from __future__ import annotations

import errno
import operator
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import DEFAULT, patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import BalanceError, DataError, InputChangedError, MemoryBudgetError
from pipeline.execute import shared
from pipeline.memory import current_bytes
from pipeline.plan import make_plan
from pipeline.scan import (
    HowToScan,
    Needs,
    PreparedScan,
    StepCosts,
    discover,
    gather_facts,
    open_scan,
    prepare_scan,
)
from pipeline.schedulers import ClusterWishes
from pipeline.sources.csv import reader as csv_reader
from pipeline.sources.csv.source import CsvSource
from pipeline.sources.parquet import footer
from pipeline.types.inputs import CsvOptions, FileFacts, Need
from pipeline.types.work import Outcome
from tests.contracts.steps import add_up, describe, fail_once, process_of, reject_odd

ROWS = 20_000
LOCAL = ("sync", "threads", "processes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Numbers whose sums depend on the order of adding, in a CSV with quotes and in Parquet files."""
    path = tmp_path_factory.mktemp("numbers")
    chance = np.random.default_rng(7)
    values = chance.normal(size=ROWS) * 10.0 ** chance.integers(-8, 8, ROWS)
    (path / "csv").mkdir()
    lines = (f'{value!r},"line of\n{row}"\n' for row, value in enumerate(values.tolist()))
    (path / "csv" / "a.csv").write_text("x,note\n" + "".join(lines))
    (path / "parquet").mkdir()
    for number in range(3):
        table = pa.table(
            {"x": values[number::3], "n": np.arange(len(values[number::3])), "t": ["text"] * len(values[number::3])}
        )
        pq.write_table(table, path / "parquet" / f"{number}.parquet", row_group_size=500)
    return path


def facts_of(folder: Path) -> tuple[FileFacts, ...]:
    return gather_facts(discover((str(folder),)).files, CsvOptions())


def prepared(
    folder: Path,
    *names: str,
    chunk_size: str = "1000",
    costs: StepCosts | None = None,
    **how: Any,
) -> PreparedScan:
    files = facts_of(folder)
    needs = Needs.of([Need(name, "numeric" if name in {"x", "n"} else "kept") for name in names or ("x",)])
    return prepare_scan(
        files, needs, make_plan(files, chunk_size=chunk_size), CsvOptions(), costs or StepCosts(), HowToScan(**how)
    )


@pytest.mark.parametrize(("kind", "size"), [("csv", "20KiB"), ("csv", "700"), ("parquet", "700")])
@pytest.mark.slow
def test_sums_have_the_same_bits_on_every_scheduler_and_with_any_workers(folder: Path, kind: str, size: str) -> None:
    found = set()
    for scheduler, workers in (("sync", 1), ("threads", 1), ("threads", 3), ("processes", 2)):
        scan = prepared(folder / kind, chunk_size=size, scheduler=scheduler, workers=workers)
        assert len(scan.plan) > 15
        with open_scan(scan, {"factor": 0.1}) as opened:
            found.add(opened.reduce(add_up, operator.add, parameters=b"3.0"))
    (total,) = found
    values = pq.read_table(folder / "parquet")["x"].to_numpy()
    assert total == pytest.approx(0.3 * values.sum(), rel=1e-9)


@pytest.mark.parametrize("scheduler", LOCAL[:2])
def test_a_second_pass_parses_no_footer_and_looks_for_no_begin(folder: Path, scheduler: str) -> None:
    for kind in ("csv", "parquet"):
        scan = prepared(folder / kind, chunk_size="20KiB", scheduler=scheduler, workers=2)
        with open_scan(scan) as opened, ExitStack() as stack:
            first = opened.reduce(add_up, operator.add)
            watched = [
                stack.enter_context(patch.object(*place, wraps=getattr(*place)))
                for place in ((csv_reader, "guess_begin"), (footer, "read_footer"), (footer, "footer_of"))
            ]
            assert opened.reduce(add_up, operator.add) == first
            assert [each.call_count for each in watched] == [0, 0, 0]
        inside = [chunk for chunk in range(len(scan.plan)) if scan.plan.continues(chunk)]
        assert (scan.begins[inside] > 0).all()
        assert kind == "parquet" or len(inside) > 15


def test_a_pass_notices_that_a_file_has_changed_since_the_first(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text((folder / "csv" / "a.csv").read_text())
    scan = prepared(tmp_path, chunk_size="20KiB", scheduler="sync")
    with open_scan(scan) as opened:
        opened.reduce(add_up, operator.add)
        path.write_text(path.read_text().replace("0.1", "0.2"))
        with pytest.raises(InputChangedError):
            opened.reduce(add_up, operator.add)


@pytest.mark.parametrize("scheduler", LOCAL)
def test_what_is_prepared_once_is_prepared_once_a_process(folder: Path, scheduler: str) -> None:
    scan = prepared(folder / "parquet", scheduler=scheduler, workers=2)
    with open_scan(scan) as opened:
        processes: list[int | None] = []
        opened.run(process_of, opened.agenda(lambda outcome: processes.append(outcome.payload)))
    assert len(processes) == len(scan.plan)
    assert len(set(processes)) == (2 if scheduler == "processes" else 1)


def accounts(outcomes: list[Outcome[Any]]) -> list[tuple[int, int, int]]:
    return [(account.file, account.read, account.written) for each in outcomes for account in each.accounts]


def test_a_step_sees_the_batches_that_fit_with_their_files_and_needs(folder: Path) -> None:
    scan = prepared(folder / "parquet", "n", "t", chunk_size="3000", scheduler="sync")
    scan = replace(scan, resources=replace(scan.resources, batch_rows=128))
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        opened.run(describe, opened.agenda(outcomes.append))
    assert [outcome.chunk for outcome in outcomes] == list(range(len(scan.plan)))
    for outcome in outcomes:
        rows, largest, aside, failed = outcome.payload or []
        assert largest == 128
        assert rows == {account.file: account.read for account in outcome.accounts}
        assert (aside, failed) == ([], [])
        assert outcome.events["batches"] >= sum(rows.values()) / 128
    assert sum(read for _, read, _ in accounts(outcomes)) == ROWS


def test_a_limit_ends_in_the_middle_of_a_batch(folder: Path) -> None:
    files = facts_of(folder / "parquet")
    plan = make_plan(files, chunk_size="700", limit=1234)
    scan = prepare_scan(files, Needs.of([Need("x", "numeric")]), plan, CsvOptions(), StepCosts(), HowToScan())
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        opened.run(describe, opened.agenda(outcomes.append))
    assert sum(read for _, read, _ in accounts(outcomes)) == 1234


def test_a_cluster_that_the_run_has_started_gets_no_more_tasks_at_once_than_fit(folder: Path) -> None:
    """The second pass of a fit may need more memory than the first one, for which the processes were started."""
    source, address = folder / "parquet", "tls://127.0.0.1:1"
    ours = {"scheduler": address, "cluster": ClusterWishes(tasks_at_once=4)}
    ample = prepared(source, memory="64GiB", **ours)
    assert (ample.resources.workers, ample.resources.wave) == (4, len(ample.plan))
    two, three = (ample.demand.projected_bytes(tasks, ample.resources.batch_rows) for tasks in (2, 3))
    # What this process takes by itself is measured each time.
    fitting = (two + three) // 2
    tight = prepared(source, memory=f"{fitting}B", **ours)
    assert (tight.resources.workers, tight.resources.wave) == (2, 2)
    assert tight.resources.projected_bytes <= fitting
    # What others have started has memory of its own.
    theirs = prepared(source, memory=f"{fitting}B", scheduler=address)
    assert (theirs.resources.workers, theirs.resources.wave) == (1, len(theirs.plan))


def test_rows_that_a_step_rejects_are_in_the_accounts(folder: Path) -> None:
    scan = prepared(folder / "parquet", "n", scheduler="sync", bad_rows=10**6)
    outcomes: list[Outcome[int]] = []
    with open_scan(scan) as opened:
        opened.run(reject_odd, opened.agenda(outcomes.append))
    for outcome in outcomes:
        (account,) = outcome.accounts
        assert (account.written, account.quarantined, account.bad) == (
            outcome.payload,
            account.read // 2,
            account.read // 2,
        )
        assert [cell.record for _, cell in outcome.bad] == list(range(1, 20, 2))


def test_a_chunk_with_more_bad_rows_than_allowed_gives_up(folder: Path) -> None:
    scan = prepared(folder / "parquet", "n", scheduler="sync", bad_rows=0)
    with open_scan(scan) as opened:
        assert opened.reduce(reject_odd, operator.add) is None


def test_a_slice_that_cannot_be_read_hides_no_other(folder: Path, tmp_path: Path) -> None:
    for path in sorted((folder / "parquet").iterdir()):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    scan = prepared(tmp_path, chunk_size="100000", scheduler="sync")
    content = bytearray((tmp_path / "1.parquet").read_bytes())
    content[4:2000] = bytes(1996)
    with (tmp_path / "1.parquet").open("r+b") as file:
        file.write(content)
    facts = scan.files[1]
    os.utime(tmp_path / "1.parquet", ns=(0, facts.identity.mtime_ns))
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        opened.run(describe, opened.agenda(outcomes.append))
        assert [failed for outcome in outcomes for failed in (outcome.payload or [])[3]] == [(1, "DataError")]
        assert {file: read for file, read, _ in accounts(outcomes)}[1] == 0
        with pytest.raises(DataError, match=r"1\.parquet"):
            opened.reduce(add_up, operator.add)


def test_bad_records_of_a_csv_are_set_aside_in_order(tmp_path: Path) -> None:
    lines = [f"{row},{row}" if row % 10 else f"{row}" for row in range(1000)]
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    scan = prepared(tmp_path, chunk_size="1KiB", scheduler="threads", workers=3)
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        opened.run(describe, opened.agenda(outcomes.append))
    outcomes.sort(key=lambda outcome: outcome.chunk)
    assert sum(account.quarantined for outcome in outcomes for account in outcome.accounts) == 100
    for outcome in outcomes:
        records = [record for _, record in (outcome.payload or [])[2]]
        assert records == sorted(records)
        assert len(records) == outcome.accounts[0].bad


def test_an_error_that_may_pass_is_tried_again(folder: Path, tmp_path: Path) -> None:
    scan = prepared(folder / "parquet", scheduler="sync", chunk_size="100000")
    with open_scan(scan, {"folder": str(tmp_path)}) as opened, patch("pipeline.scan.task.time.sleep"):
        assert opened.reduce(fail_once, operator.add) == ROWS


def test_a_transient_error_is_no_property_of_the_file(folder: Path) -> None:
    """A step that notes unreadable slices notes one only after it was retried as often as any other."""
    scan = prepared(folder / "parquet", scheduler="sync", chunk_size="100000", retries=2)
    for failing, noted in ((1, []), (100, ["TransientError"] * 3)):
        outcomes: list[Outcome[list[Any]]] = []
        refusals = [OSError(errno.EIO, "Input/output error")] * failing + [DEFAULT] * 10_000
        reading = [
            patch.object(os, name, side_effect=refusals, wraps=getattr(os, name)) for name in ("pread", "preadv")
        ]
        with open_scan(scan) as opened, patch("pipeline.scan.task.time.sleep"), reading[0], reading[1]:
            opened.run(describe, opened.agenda(outcomes.append))
        found = [kind for outcome in outcomes for _, kind in (outcome.payload or [])[3]]
        assert (found, sum(read for _, read, _ in accounts(outcomes))) == (noted, 0 if noted else ROWS)


@pytest.mark.parametrize("scheduler", LOCAL[:2])
def test_a_csv_that_changes_while_it_is_read_ends_the_pass(folder: Path, tmp_path: Path, scheduler: str) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes((folder / "csv" / "a.csv").read_bytes())
    scan = prepared(tmp_path, chunk_size="20KiB", scheduler=scheduler, workers=3)
    outcomes: list[Outcome[list[Any]]] = []

    def confirmed(outcome: Outcome[list[Any]]) -> None:
        if not outcomes:
            os.utime(path)
        outcomes.append(outcome)

    with open_scan(scan) as opened:
        agenda = opened.agenda(confirmed)
        opened.run(describe, agenda)
    assert agenda.complete
    kinds = {kind for outcome in outcomes for _, kind in (outcome.payload or [])[3]}
    assert kinds == {"InputChangedError"}
    for outcome in outcomes:
        assert not (outcome.payload or [])[3] or accounts([outcome]) == [(0, 0, 0)]


@pytest.mark.parametrize("scheduler", LOCAL[:2])
def test_a_record_that_is_too_long_is_refused_by_its_place_on_every_scheduler(tmp_path: Path, scheduler: str) -> None:
    lines = [b"%d,note\n" % row for row in range(500)]
    lines[250] = b'250,"' + b"long\n" * 2000 + b'"\n'
    (tmp_path / "a.csv").write_bytes(b"x,note\n" + b"".join(lines))
    place = 7 + sum(map(len, lines[:250]))
    scan = prepared(tmp_path, chunk_size="500B", scheduler=scheduler, workers=3)
    found: list[Outcome[list[Any]]] = []
    with (
        patch.dict(CsvSource.__init__.__kwdefaults__, {"record_bytes": 2000, "piece_bytes": 500}),
        open_scan(scan) as opened,
    ):
        with pytest.raises(MemoryBudgetError, match=rf"a\.csv: the record at byte {place:,} is longer than"):
            opened.reduce(add_up, operator.add)
        opened.run(describe, opened.agenda(found.append))
    failed = [outcome.chunk for outcome in found if (outcome.payload or [])[3]]
    (first,) = [chunk for chunk in range(len(scan.plan)) if _starts(scan, chunk) <= place < _starts(scan, chunk + 1)]
    assert failed[0] in {first, first + 1}


def _starts(scan: PreparedScan, chunk: int) -> int:
    return int(scan.plan.slice_start[chunk]) if chunk < len(scan.plan) else sys.maxsize


def test_what_gives_up_in_a_csv_leaves_the_rest_unread(tmp_path: Path) -> None:
    lines = [f"{row},{row}" if row != 700 else "700" for row in range(1000)]
    (tmp_path / "a.csv").write_text("x,y\n" + "\n".join(lines) + "\n")
    for scheduler in LOCAL[:2]:
        scan = prepared(tmp_path, chunk_size="1KiB", scheduler=scheduler, workers=3, bad_rows=0)
        outcomes: list[Outcome[list[Any]]] = []
        with open_scan(scan) as opened:
            opened.run(describe, opened.agenda(outcomes.append))
            with pytest.raises(BalanceError, match=r"\d of \d+ chunks were not read"):
                opened.reduce(add_up, operator.add)
        assert [outcome.payload is None for outcome in outcomes] == [False] * (len(outcomes) - 1) + [True]
        assert 701 <= sum(read for _, read, _ in accounts(outcomes)) < 900


@pytest.mark.parametrize(
    ("costs", "culprit"),
    [
        (StepCosts(shared_bytes=2**35), "the model and the list of files in each worker"),
        (StepCosts(payload_bytes=2**31), "results that wait until all chunks before them are done"),
    ],
)
def test_what_travels_and_what_waits_count_towards_the_budget(folder: Path, costs: StepCosts, culprit: str) -> None:
    free = prepared(folder / "csv", memory="16GiB", workers=2)
    with pytest.raises(MemoryBudgetError) as caught:
        prepared(folder / "csv", memory="16GiB", workers=2, costs=costs)
    assert culprit in caught.value.message
    assert free.resources.projected_bytes < 2**34


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_the_shares_of_all_workers_are_what_the_budget_leaves(folder: Path, scheduler: str) -> None:
    costs = StepCosts(shared_bytes=2**22, payload_bytes=2**18, travels=True)
    scan = prepared(folder / "csv", memory="64GiB", workers=2, scheduler=scheduler, costs=costs)
    demand, processes = scan.demand, 3 if scheduler == "processes" else 1
    taken = processes * (demand.reserved_bytes + demand.shared_bytes) + 2 * demand.payload_bytes
    assert demand.shared_bytes > 7 * 2**22
    assert demand.payload_bytes > 5 * 2**18
    assert 2**36 - 2 <= 2 * scan.worker_share + taken <= 2**36


def test_no_more_payloads_wait_than_the_budget_has_room_for(folder: Path) -> None:
    costs = StepCosts(payload_bytes=2**28, shared_bytes=2**32)
    scan = prepared(folder / "csv", memory="64GiB", workers=2, costs=costs)
    demand = scan.demand
    assert demand.process_bytes > 2**32
    assert scan.ahead(2) == 8
    fitting = (2**36 - demand.process_bytes) // demand.payload_bytes
    assert 2 < fitting < 40
    assert scan.ahead(1_000) == 4 * fitting
    assert prepared(folder / "csv", memory="64GiB").ahead(1_000) == 4_000


def test_a_pass_whose_outcomes_hold_something_goes_four_chunks_a_worker_ahead_of_the_oldest(folder: Path) -> None:
    scan = prepared(folder / "csv", chunk_size="700", workers=2)
    chunks = len(scan.plan)
    assert chunks > 9
    with open_scan(scan) as opened:
        for bounded, handed_out in ((True, 1 + 4 * 2), (False, chunks)):
            agenda = opened.agenda(lambda _: None, bounded=bounded)
            assert sum(len(agenda.take(1)) for _ in range(chunks)) == handed_out


@pytest.mark.parametrize(
    ("kind", "names", "looked_at"), [("parquet", "xt", True), ("parquet", "xn", False), ("csv", ["x", "note"], False)]
)
def test_the_first_rows_are_looked_at_where_kept_values_may_be_wide(
    folder: Path, kind: str, names: Sequence[str], looked_at: bool
) -> None:
    assert prepared(folder / kind, *names, scheduler="sync").job_file({}).variable == (looked_at,)


@pytest.mark.parametrize("scheduler", LOCAL)
def test_two_rows_of_wide_text_need_no_more_than_two_rows_take(tmp_path: Path, scheduler: str) -> None:
    pq.write_table(pa.table({"t": ["long" * 2**20, "short"]}), tmp_path / "a.parquet")
    # Each process counts with what this one takes, which may be much after many tests.
    budget = 4 * current_bytes() + 2**30
    scan = prepared(tmp_path, "t", memory=f"{budget}B", scheduler=scheduler)
    assert scan.resources.batch_rows == 2
    with open_scan(scan) as opened:
        outcomes: list[Outcome[list[Any]]] = []
        opened.run(describe, opened.agenda(outcomes.append))
    assert accounts(outcomes) == [(0, 2, 2)]


def test_smaller_chunks_are_advised_only_where_a_chunk_can_be_cut(folder: Path, tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": range(100)}), tmp_path / "one-row-group.parquet")
    assert not prepared(tmp_path).demand.cuttable
    assert prepared(folder / "parquet", chunk_size="100000").demand.cuttable
    assert prepared(folder / "csv", chunk_size="100000").demand.cuttable


def test_the_largest_row_group_bounds_a_batch(folder: Path, tmp_path: Path) -> None:
    assert prepared(folder / "parquet").resources.batch_rows == 500
    # A CSV has no row groups: there the rows that a chunk seems to have are the bound.
    assert prepared(folder / "csv", chunk_size="700").resources.batch_rows == 700


@pytest.mark.parametrize("width", [100, 1000])
def test_batches_that_prove_too_large_are_made_smaller_once(tmp_path: Path, width: int) -> None:
    texts = ["short"] * 2_000 + ["w" * width] * 18_000
    pq.write_table(pa.table({"t": texts}), tmp_path / "a.parquet")
    scan = prepared(tmp_path, "t", chunk_size="100000", scheduler="sync")
    # What is left is the least that a batch may take: 1 MiB.
    scan = replace(scan, resources=replace(scan.resources, allowed_bytes=1, batch_rows=65_536))
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        if width == 100:
            opened.run(describe, opened.agenda(outcomes.append))
            assert [(outcome.payload or [])[1] for outcome in outcomes] == [4_096]
            assert accounts(outcomes) == [(0, 20_000, 20_000)]
        else:
            with pytest.raises(MemoryBudgetError, match=r"column t: a batch of 4,096 rows takes .* 1 MiB"):
                opened.reduce(add_up, operator.add)


@pytest.mark.parametrize("longest", [60_000, 400_000])
@pytest.mark.parametrize("type_", [pa.list_(pa.float64()), pa.large_list(pa.list_(pa.float64(), 1))], ids=str)
def test_batches_of_long_lists_are_made_smaller_until_one_list_is_too_long_itself(
    tmp_path: Path, type_: pa.DataType, longest: int
) -> None:
    lengths = np.full(20_000, 1)
    lengths[[18_000, 18_020, 18_040, 18_060]] = 60_000
    lengths[18_080] = longest
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]))
    numbers = pa.array(np.zeros(int(lengths.sum())))
    inner = numbers if pa.types.is_list(type_) else pa.FixedSizeListArray.from_arrays(numbers, 1)
    lists = pa.LargeListArray.from_arrays(offsets, inner)
    pq.write_table(pa.table({"t": lists.cast(type_)}), tmp_path / "a.parquet")
    scan = prepared(tmp_path, "t", chunk_size="100000", scheduler="sync")
    # A batch may take 1 MiB: two of the long lists do not fit, one does.
    scan = replace(scan, resources=replace(scan.resources, allowed_bytes=1, batch_rows=65_536))
    outcomes: list[Outcome[list[Any]]] = []
    with open_scan(scan) as opened:
        if longest == 60_000:
            opened.run(describe, opened.agenda(outcomes.append))
            assert [(outcome.payload or [])[1] for outcome in outcomes] == [16]
            assert accounts(outcomes) == [(0, 20_000, 20_000)]
            return
        with pytest.raises(MemoryBudgetError) as caught:
            opened.reduce(add_up, operator.add)
    assert (caught.value.exit_code, caught.value.row, caught.value.column) == (71, 18_081, "t")
    takes = "which take 3.1 MiB decoded, but may take only 1 MiB"
    assert str(caught.value).splitlines() == [
        f"a.parquet: row 18,081, column t: a list of 400,000 members, {takes}",
        "raise --memory, or lower --workers",
    ]


def test_a_file_without_columns_or_rows_is_a_chunk_without_rows(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "header.csv").write_text("x\n")
    scan = prepared(tmp_path, scheduler="sync")
    with open_scan(scan) as opened:
        assert opened.reduce(add_up, operator.add) == 0.0


def test_nothing_is_left_of_a_scan(folder: Path) -> None:
    scan = prepared(folder / "parquet", scheduler="threads")
    with open_scan(scan, {"factor": 2}) as opened:
        opened.reduce(add_up, operator.add, parameters=b"1")
        assert len(shared._held) == 1
    assert not shared._held
    assert footer._cache._footers == {}
