"""Rows of small files that follow each other come in one batch; the accounts are those of each file."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import InputChangedError
from pipeline.plan import make_plan
from pipeline.scan import (
    ChunkContext,
    HowToScan,
    Needs,
    PreparedScan,
    StepCosts,
    delivered,
    discover,
    gather_facts,
    open_scan,
    turns,
)
from pipeline.scan import prepare_scan as prepare
from pipeline.types.inputs import CsvOptions, Need
from pipeline.types.work import Outcome
from tests.contracts.steps import (
    reject_odd,
    reject_odd_of_all,
    rows_of_batches,
    rows_taken_apart,
    tells_levels_apart,
)
from tests.scan.test_turns import can_have_a_turn


def _files(folder: Path, *columns: pa.Array, row_group_size: int = 100) -> Path:
    for number, column in enumerate(columns):
        pq.write_table(pa.table({"x": column}), folder / f"{number:02d}.parquet", row_group_size=row_group_size)
    return folder


def _scan(
    folder: Path, *, role: Any = "numeric", limit: int | None = None, absent: bool = False, **how: Any
) -> PreparedScan:
    files = gather_facts(discover((str(folder),)).files, CsvOptions())
    needs = Needs.of([Need("x", role), *([Need("y", "numeric", absent=True)] if absent else [])])
    plan = make_plan(files, limit=limit)
    return prepare(files, needs, plan, CsvOptions(), StepCosts(), HowToScan(scheduler="sync", **how))


def _outcome(scan: PreparedScan, step: Any) -> Outcome[Any]:
    outcomes: list[Outcome[Any]] = []
    with open_scan(scan) as opened:
        opened.run(step, opened.agenda(outcomes.append))
    (outcome,) = outcomes
    return outcome


def _batches(scan: PreparedScan) -> list[int]:
    outcome = _outcome(scan, rows_of_batches)
    assert [account.read for account in outcome.accounts] == [min(facts.rows or 0, 10) for facts in scan.files]
    return list(outcome.payload or [])


def _ten(type_: pa.DataType | None = None) -> pa.Array:
    return pa.array(range(10), type_)


def test_files_of_one_type_come_together(tmp_path: Path) -> None:
    assert _batches(_scan(_files(tmp_path, *[_ten()] * 7))) == [70]


def _whether_others_may_read(context: ChunkContext) -> Outcome[list[bool]]:
    return context.outcome([can_have_a_turn() for _ in context.joined()])


def test_a_chunk_of_many_small_files_waits_for_its_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_FILES", 2)
    scan = _scan(_files(tmp_path, _ten(), _ten()))
    # Whatever a first scan of a process loads is not what the second one waits for.
    assert _batches(scan) == [20]
    monkeypatch.setattr(turns, "_PATIENCE", 60.0)
    with turns.ReadingTurns(2) as other, ThreadPoolExecutor(1) as pool:
        other.take()
        waiting = pool.submit(_batches, scan)
        with pytest.raises(TimeoutError):
            waiting.result(0.05)
        other.end()
        assert waiting.result(30) == [20]


def test_others_may_read_while_the_rows_are_handed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_FILES", 2)
    scan = _scan(_files(tmp_path, _ten(), _ten(), _ten(pa.float64()), _ten(), _ten()))
    assert _outcome(scan, _whether_others_may_read).payload == [True, True, True]
    assert can_have_a_turn()


def test_others_may_read_after_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "_FILES", 2)
    scan = _scan(_files(tmp_path, *[_ten()] * 3))
    (tmp_path / "01.parquet").unlink()
    with pytest.raises(InputChangedError):
        _outcome(scan, _whether_others_may_read)
    assert can_have_a_turn()


def test_a_file_of_another_type_comes_by_itself(tmp_path: Path) -> None:
    _files(tmp_path, _ten(), _ten(), _ten(pa.float64()), _ten(), _ten().slice(0, 0), _ten())
    assert _batches(_scan(tmp_path)) == [20, 10, 10, 10]


def test_row_groups_of_a_file_do_not_come_with_other_files(tmp_path: Path) -> None:
    _files(tmp_path, _ten(), _ten())
    pq.write_table(pa.table({"x": _ten()}), tmp_path / "02.parquet", row_group_size=5)
    first, *others = _batches(_scan(tmp_path))
    assert first == 20
    assert sum(others) == 10


def test_there_are_no_more_rows_or_bytes_than_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scan = _scan(_files(tmp_path, *[_ten()] * 5))
    with monkeypatch.context() as patched:
        patched.setattr(delivered, "_SMALL_SHARE", 2)
        patched.setattr(delivered, "_MOST_ROWS", 20)
        assert _batches(scan) == [20, 20, 10]
        patched.setattr(delivered, "_MOST_ROWS", 19)
        assert _batches(scan) == [10] * 5
    size = next(pq.ParquetFile(tmp_path / "00.parquet").iter_batches()).get_total_buffer_size()
    monkeypatch.setattr(delivered, "_MOST_BYTES", 3 * size)
    assert _batches(scan) == [30, 20]
    monkeypatch.setattr(delivered, "_MOST_BYTES", 3 * size - 1)
    assert _batches(scan) == [20, 20, 10]


def test_a_file_of_more_than_a_quarter_of_the_rows_comes_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = _scan(_files(tmp_path, *[_ten()] * 4))
    monkeypatch.setattr(delivered, "_MOST_ROWS", 40)
    assert _batches(scan) == [40]
    monkeypatch.setattr(delivered, "_MOST_ROWS", 39)
    assert _batches(scan) == [10] * 4


def test_however_few_rows_they_have_no_more_than_64_files_wait_for_each_other(tmp_path: Path) -> None:
    assert _batches(_scan(_files(tmp_path, *[pa.array([1])] * 130))) == [64, 64, 2]


def test_after_files_that_were_taken_apart_no_more_are_joined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivered, "_MOST_FILES", 2)
    scan = _scan(_files(tmp_path, *[_ten()] * 7))
    assert _outcome(scan, rows_taken_apart).payload == [20, 10, 10, 10, 10, 10, 10, 10]


def test_a_file_that_comes_by_itself_does_not_keep_others_from_being_joined(tmp_path: Path) -> None:
    _files(tmp_path, _ten(), _ten(pa.float64()), _ten(), _ten())
    assert _outcome(_scan(tmp_path), rows_taken_apart).payload == [10, 10, 20, 10, 10]


@pytest.mark.parametrize(("level", "known"), [("a", True), ("z", False), (None, False)])
def test_the_levels_of_a_file_are_known_if_fewer_are_lacking_than_it_has_rows(
    tmp_path: Path, level: str | None, *, known: bool
) -> None:
    _files(tmp_path, pa.array(["a", "z", "a"]), pa.array(["a", "a", None, level]), pa.array(["a"] * 9))
    assert _outcome(_scan(tmp_path, role="categorical"), tells_levels_apart).payload == [known]


def test_a_budget_without_room_joins_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.memory.current_bytes", lambda: 0)
    scan = _scan(_files(tmp_path, *[_ten()] * 3))
    least = scan.resources.projected_bytes
    assert _batches(_scan(tmp_path, memory=f"{least + 100}B")) == [10, 10, 10]
    assert _batches(_scan(tmp_path, memory=f"{least + 2**20}B")) == [30]


def test_rows_that_take_too_much_are_read_one_by_one(tmp_path: Path) -> None:
    _files(tmp_path, pa.array(["a"] * 10), pa.array(["x" * 700_000] * 10))
    least = _scan(tmp_path, role="kept").resources.projected_bytes
    assert _batches(_scan(tmp_path, role="kept", memory=f"{least + 2**20}B")) == [1] * 20


def test_a_limit_is_that_of_one_file_after_the_other(tmp_path: Path) -> None:
    outcome = _outcome(_scan(_files(tmp_path, *[_ten()] * 3), limit=15), rows_of_batches)
    assert outcome.payload == [10, 5]
    assert [account.read for account in outcome.accounts] == [10, 5, 0]


def test_what_arrow_cannot_join_comes_file_by_file(tmp_path: Path) -> None:
    columns = [
        pa.DictionaryArray.from_arrays(pa.array(range(10), pa.int8()), pa.array([f"{file} {row}" for row in range(10)]))
        for file in range(14)
    ]
    assert _batches(_scan(_files(tmp_path, *columns[:12]), role="kept")) == [120]
    assert _batches(_scan(_files(tmp_path, *columns), role="kept")) == [10] * 14


@pytest.mark.parametrize("bad_rows", [None, 0, 7])
@pytest.mark.parametrize("nulls", [False, True])
def test_rejected_rows_are_those_of_their_file(tmp_path: Path, bad_rows: int | None, nulls: bool) -> None:
    first = pa.array([2, None, 4] if nulls else [2, 6, 4])
    _files(tmp_path, first, pa.array([1, 3]), first, pa.array([5] * 6), pa.array([2, 7]), first)
    scan = _scan(tmp_path, bad_rows=bad_rows, absent=True)
    together, apart = _outcome(scan, reject_odd_of_all), _outcome(scan, reject_odd)
    assert together.accounts == apart.accounts
    assert together.bad == apart.bad
    assert together.events == apart.events
    assert together.bytes_read == apart.bytes_read
    assert together.payload == apart.payload
    assert (together.payload is None) == (bad_rows is not None)
    read = {None: 3, 0: 1, 7: 2}[bad_rows]
    assert sum(account.null for account in together.accounts) == (read if nulls else 0)
