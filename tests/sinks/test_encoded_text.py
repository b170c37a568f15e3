"""Text that a sink gets as a dictionary is text for whoever reads the part."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sinks import RowGroups, as_batch, open_sink

FIELDS = [pa.field("id", pa.int64(), nullable=False), pa.field("band", pa.string())]
SCHEMA = pa.schema(FIELDS, metadata={"logitstream.base": "-0.5"})
LEVELS = pa.array(["low, or none", "middle", "never seen", '"high"'])
CODES = [1, None, 0, 3, 0, None, 1, 1, 3, 0]
TEXTS = [None if code is None else LEVELS[code].as_py() for code in CODES]


def encoded(start: int, stop: int, levels: pa.Array = LEVELS) -> pa.RecordBatch:
    codes = pa.array(CODES[start:stop], pa.int8())
    return as_batch([pa.array(range(start, stop)), pa.DictionaryArray.from_arrays(codes, levels)], SCHEMA)


def part(format_: Any, *cuts: int, row_group_rows: int = 4) -> bytes:
    file = io.BytesIO()
    sink = open_sink(format_, file, SCHEMA, RowGroups(row_group_rows), None)
    for start, stop in zip((0, *cuts), (*cuts, len(CODES)), strict=True):
        sink.write(encoded(start, stop))
    sink.close()
    return file.getvalue()


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_the_bytes_do_not_depend_on_batches(format_: str) -> None:
    whole = part(format_)
    for cuts in ((1,), (3, 4), (2, 2, 8), (0, 9)):
        assert part(format_, *cuts) == whole


def test_readers_of_parquet_find_text(tmp_path: Path) -> None:
    path = tmp_path / "part.parquet"
    path.write_bytes(part("parquet"))
    table = pq.read_table(path)
    assert table.schema.equals(SCHEMA, check_metadata=True)
    assert set(pq.read_metadata(path).metadata) == {b"ARROW:schema", b"logitstream.base"}
    assert table["band"].to_pylist() == TEXTS
    assert pl.read_parquet(path).schema["band"] == pl.String
    assert pl.read_parquet(path)["band"].to_list() == TEXTS
    frame = pd.read_parquet(path)
    assert not isinstance(frame["band"].dtype, pd.CategoricalDtype)
    assert [None if pd.isna(text) else text for text in frame["band"]] == TEXTS
    rows = pytest.importorskip("duckdb").sql(f"SELECT typeof(band), band FROM '{path}' ORDER BY id").fetchall()
    assert rows == [("VARCHAR", text) for text in TEXTS]


def test_a_csv_holds_the_texts() -> None:
    found = pd.read_csv(io.BytesIO(part("csv")))["band"]
    assert [None if pd.isna(text) else text for text in found] == TEXTS


def test_a_part_without_rows_has_the_same_schema() -> None:
    file = io.BytesIO()
    sink = open_sink("parquet", file, SCHEMA, RowGroups(4), None)
    sink.write(encoded(0, 0))
    sink.close()
    assert pq.read_table(pa.BufferReader(file.getvalue())).schema.equals(SCHEMA)


def test_pages_hold_numbers_of_levels_and_no_statistics_name_a_level_that_does_not_occur() -> None:
    found = pq.ParquetFile(pa.BufferReader(part("parquet", row_group_rows=10))).metadata.row_group(0)
    assert found.column(1).dictionary_page_offset is not None
    assert found.column(1).statistics is None
    assert (found.column(0).statistics.min, found.column(0).statistics.max) == (0, 9)


def test_another_dictionary_in_the_next_batch_is_a_mistake_of_the_caller() -> None:
    sink = open_sink("parquet", io.BytesIO(), SCHEMA, RowGroups(100), None)
    sink.write(encoded(0, 2))
    with pytest.raises(TypeError, match="dictionary of an encoded text column differs"):
        sink.write(encoded(2, 4, pa.array(["a", "b", "c", "d"])))


@pytest.mark.parametrize("format_", ["parquet", "csv"])
def test_only_text_may_come_encoded(format_: Any) -> None:
    sink = open_sink(format_, io.BytesIO(), SCHEMA, RowGroups(100), None)
    numbers = pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), pa.array([1.5]))
    for batch in (
        pa.record_batch([pa.array([1]), numbers], ["id", "band"]),
        pa.record_batch([pa.array([1])], ["id"]),
    ):
        with pytest.raises(TypeError, match="in a file of"):
            sink.write(batch)
