"""Parts joined into one file: the same bytes however the parts were cut, within the memory promised."""

from __future__ import annotations

import io
import itertools
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.choices import Format
from pipeline.errors import BalanceError, LogitstreamError, UsageError
from pipeline.sinks import RowGroups, open_merger, open_sink
from pipeline.units import MIB

ROWS = 400
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS)),
        "text": pa.array([None if row % 11 == 0 else f'{row},"quoted"\nline' for row in range(ROWS)]),
        "level": pa.array(["low", "high", "low", None] * (ROWS // 4)).dictionary_encode(),
        "p": pa.array(np.random.default_rng(0).normal(size=ROWS)),
    }
)


def part(format_: Format, table: pa.Table, row_group_rows: int = 50) -> BinaryIO:
    file = io.BytesIO()
    sink = open_sink(format_, file, table.schema, RowGroups(row_group_rows), None)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()
    file.seek(0)
    return file


def merge(format_: Format, parts: list[BinaryIO], rows: int = ROWS, row_group_rows: int = 50) -> bytes:
    file = io.BytesIO()
    open_merger(format_, TABLE.schema, row_group_rows, None)(parts, file, rows)
    return file.getvalue()


@pytest.mark.parametrize("format_", ["parquet", "csv"])
@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(0, ROWS), max_size=6), row_group_rows=st.integers(1, 2 * ROWS))
def test_the_bytes_are_those_of_one_sink_over_all_rows(format_: Format, cuts: list[int], row_group_rows: int) -> None:
    bounds = [0, *sorted(cuts), ROWS]
    tables = [TABLE.slice(start, stop - start) for start, stop in itertools.pairwise(bounds)]
    parts = [part(format_, table) for table in tables]
    assert merge(format_, parts, row_group_rows=row_group_rows) == part(format_, TABLE, row_group_rows).read()
    assert not any(each.closed for each in parts)


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_no_parts_make_a_file_without_rows(format_: Format) -> None:
    content = merge(format_, [], rows=0)
    if format_ == "csv":
        assert content == b"id,text,level,p\n"
    else:
        table = pq.read_table(io.BytesIO(content))
        assert (table.num_rows, table.schema) == (0, TABLE.schema)


def test_rows_that_are_missing_are_noticed() -> None:
    with pytest.raises(BalanceError, match="300 rows were merged, but 400 were written"):
        merge("parquet", [part("parquet", TABLE.slice(0, 300))])


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_a_part_of_another_schema_is_noticed(format_: Format) -> None:
    with pytest.raises(BalanceError, match=r"another schema|does not begin with the header"):
        merge(format_, [part(format_, TABLE.select(["id", "text"]))])


def test_a_damaged_page_of_a_part_is_noticed() -> None:
    damaged = bytearray(part("parquet", TABLE).read())
    damaged[pq.read_metadata(io.BytesIO(damaged)).row_group(2).column(3).data_page_offset + 100] ^= 1
    with pytest.raises(LogitstreamError, match="CRC"):
        merge("parquet", [io.BytesIO(damaged)])


def test_a_csv_is_not_compressed() -> None:
    with pytest.raises(UsageError, match="a CSV in one file is not compressed"):
        open_merger("csv", TABLE.schema, 50, "gzip")


def test_of_wide_rows_no_more_is_held_than_a_few_row_groups() -> None:
    """Of rows of 64 KiB a batch of the usual size would be a GiB, and all of these."""
    rows, row_group_rows = 640, 16
    table = pa.table({"text": pa.array([f"{row:06}" + "x" * 65_530 for row in range(rows)])})
    parts = [part("parquet", table.slice(start, 320), row_group_rows) for start in range(0, rows, 320)]
    before = pa.total_allocated_bytes()
    held = []

    class Watched(io.BytesIO):
        def write(self, data: object) -> int:
            held.append(pa.total_allocated_bytes() - before)
            return super().write(data)  # type: ignore[arg-type]

    file = Watched()
    open_merger("parquet", table.schema, row_group_rows, None)(parts, file, rows)
    assert pq.read_metadata(file).num_row_groups == rows // row_group_rows
    assert max(held) < 10 * MIB
