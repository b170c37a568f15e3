"""Timestamps that a type cannot hold are bad cells, never another date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import ParquetSource
from pipeline.types.inputs import InputFile, Need
from pipeline.types.rows import BadCell, Slice

SOURCE = ParquetSource()

# The first and the last microsecond that nanoseconds since 1970 hold, and their neighbours outside.
FIRST, LAST = -9_223_372_036_854_775, 9_223_372_036_854_775
EDGES = [FIRST - 1, FIRST, FIRST + 1, -1, 0, None, 1, LAST - 1, LAST, LAST + 1]
FAR = [
    int(np.datetime64(text, "us").astype(np.int64)) for text in ("1600-01-01", "1677-09-21", "2262-04-12", "9999-12-31")
]


def put(folder: Path, table: pa.Table, **options: object) -> InputFile:
    path = folder / "f.parquet"
    pq.write_table(table, path, **options)
    return InputFile("f.parquet", str(path), 0, "parquet")


def old(folder: Path, cells: Sequence[int | None], unit: str = "us", **options: object) -> InputFile:
    """Write an INT96 column ``t``, and a number ``n`` for each row."""
    table = pa.table({"t": pa.array(cells, pa.timestamp(unit)), "n": list(range(len(cells)))})
    return put(folder, table, **{"use_deprecated_int96_timestamps": True, "store_schema": False} | options)


def read(
    file: InputFile, type_: str | None, batch_rows: int = 1000, groups: tuple[int, int] | None = None
) -> tuple[dict[int, int | None], dict[int, BadCell]]:
    """Return the timestamps by the number of their row, as integers, and the bad cells by theirs."""
    facts = SOURCE.facts(file)
    piece = Slice(0, *(groups or (0, len(facts.group_rows))), None)
    needs = [Need("t", "kept", type_), Need("n", "kept")]
    rows: dict[int, int | None] = {}
    bad: dict[int, BadCell] = {}
    with SOURCE.read(file, facts.identity, piece, needs, batch_rows) as reader:
        for batch in reader:
            assert batch.schema.field("t").type == SOURCE.field(facts, needs[0]).type
            rows |= zip(batch.column(1).to_pylist(), batch.column(0).cast(pa.int64()).to_pylist(), strict=True)
            for row, number in enumerate(batch.column(1).to_pylist()):
                assert reader.record(row) == number - facts.group_rows[: piece.start].sum()
            bad |= {cell.record: cell for cell in reader.take_bad()}
        assert reader.rows == len(rows)
        assert reader.bad_count == len(bad)
    return rows, bad


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 3}, {"compression": "zstd"}])
@pytest.mark.parametrize("batch_rows", [1, 4, 1000])
def test_int96_stays_in_microseconds_and_takes_every_year(
    tmp_path: Path, options: dict[str, object], batch_rows: int
) -> None:
    cells = EDGES + FAR
    rows, bad = read(old(tmp_path, cells, **options), None, batch_rows)
    assert rows == dict(enumerate(cells))
    assert bad == {}


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"row_group_size": 3}, {"compression": "zstd"}])
@pytest.mark.parametrize("batch_rows", [1, 4, 1000])
@pytest.mark.parametrize("type_", ["timestamp[ns]", "timestamp[ns, UTC]"])
def test_int96_beyond_nanoseconds_is_a_bad_cell_never_another_date(
    tmp_path: Path, options: dict[str, object], batch_rows: int, type_: str
) -> None:
    cells = EDGES + FAR
    rows, bad = read(old(tmp_path, cells, **options), type_, batch_rows)
    held = {row: cell for row, cell in enumerate(cells) if cell is None or FIRST <= cell <= LAST}
    assert rows == {row: None if cell is None else cell * 1000 for row, cell in held.items()}
    assert set(bad) == set(range(len(cells))) - set(held)
    assert bad[len(cells) - 1].text == "9999-12-31T00:00:00"
    assert {cell.reason for cell in bad.values()} == {"is beyond the range of timestamp[ns]"}
    assert {cell.column for cell in bad.values()} == {"t"}


def test_int96_keeps_nanoseconds_where_they_are_asked_for(tmp_path: Path) -> None:
    cells = [-(2**63) + 1, -1, 0, 123_456_789, 2**63 - 1]
    file = old(tmp_path, cells, "ns")
    assert read(file, "timestamp[ns]") == (dict(enumerate(cells)), {})
    assert read(file, None) == ({row: cell // 1000 for row, cell in enumerate(cells)}, {})
    duckdb = pytest.importorskip("duckdb")
    found = duckdb.sql(f"SELECT epoch_us(t) FROM '{file.location}' ORDER BY n").fetchall()
    assert [row[0] for row in found[1:4]] == [cell // 1000 for cell in cells[1:4]]


@pytest.mark.parametrize("type_", [None, "timestamp[ns]", "timestamp[ms]"])
def test_int96_beyond_microseconds_is_a_bad_cell_too(tmp_path: Path, type_: str | None) -> None:
    # Arrow makes another date of the year 300,000, without a word.
    cells = [0, int(np.datetime64("300000-01-01", "s").astype(np.int64)), None]
    rows, bad = read(old(tmp_path, cells, "s"), type_)
    assert rows == {0: 0, 2: None}
    assert bad[1].text == "300000-01-01T00:00:00"


def test_the_rows_of_some_row_groups_have_their_numbers_in_the_slice(tmp_path: Path) -> None:
    file = old(tmp_path, [*EDGES, *FAR], row_group_size=4)
    rows, bad = read(file, "timestamp[ns]", groups=(2, 4))
    assert rows == {8: LAST * 1000}
    assert set(bad) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize("unit", ["s", "ms", "us"])
def test_another_timestamp_beyond_nanoseconds_is_a_bad_cell_too(tmp_path: Path, unit: str) -> None:
    per = {"s": 10**9, "ms": 10**6, "us": 1000}[unit]
    most = (2**63 - 1) // per
    cells = [-most - 1, -most, None, 0, most, most + 1]
    file = put(tmp_path, pa.table({"t": pa.array(cells, pa.timestamp(unit)), "n": list(range(6))}))
    rows, bad = read(file, "timestamp[ns]")
    assert rows == {row: None if cells[row] is None else cells[row] * per for row in (1, 2, 3, 4)}
    assert set(bad) == {0, 5}
    assert bad[5].text.startswith("2262-04-11T23:47:1")


def test_a_date_beyond_nanoseconds_is_a_bad_cell_too(tmp_path: Path) -> None:
    file = put(tmp_path, pa.table({"t": pa.array([0, 2_932_896, None], pa.date32()), "n": [0, 1, 2]}))
    rows, bad = read(file, "timestamp[ns]")
    assert rows == {0: 0, 2: None}
    assert bad[1].text == "9999-12-31"


@given(
    cells=st.lists(st.none() | st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999), min_size=1, max_size=40)
)
def test_int96_in_nanoseconds_is_what_integers_say(
    tmp_path_factory: pytest.TempPathFactory, cells: list[int | None]
) -> None:
    rows, bad = read(old(tmp_path_factory.mktemp("old"), cells, row_group_size=7), "timestamp[ns]", 5)
    expected = {row: cell for row, cell in enumerate(cells) if cell is None or FIRST <= cell <= LAST}
    assert rows == {row: None if cell is None else cell * 1000 for row, cell in expected.items()}
    assert len(bad) == len(cells) - len(rows)
