from __future__ import annotations

import csv
import datetime as dt
import errno
import gzip
import io
import math
import os
import struct
import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, MemoryBudgetError, StorageError, UsageError
from pipeline.sinks import RowGroups, check_output_schema, extension, open_sink
from pipeline.types.outputs import Sink
from tests.contracts.sink import check_sink, cut, written


def maker(format_: str, schema: pa.Schema, compression: str | None = None, row_group_rows: int = 1000) -> object:
    def make(file: BinaryIO) -> Sink:
        return open_sink(format_, file, schema, RowGroups(row_group_rows), compression)

    return make


def one(format_: str, table: pa.Table, compression: str | None = None, row_group_rows: int = 1000) -> bytes:
    return written(maker(format_, table.schema, compression, row_group_rows), table.to_batches())


def parquet(content: bytes) -> pa.Table:
    return pq.read_table(pa.BufferReader(content), page_checksum_verification=True)


def scores(rows: int = 2500) -> pa.Table:
    numbers = np.arange(rows)
    schema = pa.schema(
        [
            pa.field("id", pa.int64()),
            pa.field("carrier", pa.string()),
            pa.field("origin", pa.dictionary(pa.int8(), pa.string())),
            pa.field("probability", pa.float64(), nullable=False),
            pa.field("decision", pa.bool_()),
        ]
    )
    origin = pa.DictionaryArray.from_arrays(pa.array(numbers % 3, pa.int8()), ["JFK", "LGA", "EWR"])
    columns = [
        pa.array(numbers),
        pa.array([["AA", None, "UA, Inc."][n % 3] for n in range(rows)], pa.string()),
        origin,
        pa.array(1 / (1 + np.exp(-np.sin(numbers)))),
        pa.array([None if n % 5 == 0 else n % 2 == 0 for n in range(rows)], pa.bool_()),
    ]
    return pa.table(columns, schema)


@pytest.mark.parametrize(
    ("rows", "compression"),
    [(0, None), (1, None), (150, None), *((30, codec) for codec in ("zstd", "lz4", "gzip", "brotli", "none"))],
)
def test_parquet_contract(rows: int, compression: str | None) -> None:
    table = scores(rows)
    check_sink(maker("parquet", table.schema, compression), parquet, table, table)


def test_row_groups_hold_exactly_the_rows_asked_for() -> None:
    metadata = pq.read_metadata(pa.BufferReader(one("parquet", scores(2500), row_group_rows=1000)))
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [1000, 1000, 500]
    metadata = pq.read_metadata(pa.BufferReader(one("parquet", scores(2000), row_group_rows=1000)))
    assert [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)] == [1000, 1000]


def test_encodings_statistics_and_codec() -> None:
    group = pq.read_metadata(pa.BufferReader(one("parquet", scores()))).row_group(0)
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    assert {name for name, column in columns.items() if column.has_dictionary_page} == {"carrier", "origin"}
    assert {column.compression for column in columns.values()} == {"SNAPPY"}
    assert columns["probability"].statistics.has_min_max


def test_flipped_bits_in_a_part_are_found() -> None:
    content = bytearray(one("parquet", scores(100).select(["probability"]), "none"))
    content[200] ^= 1
    with pytest.raises(OSError, match="checksum"):
        parquet(bytes(content))


@settings(max_examples=5, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(sizes=st.lists(st.integers(500, 70_000), min_size=1, max_size=20), group=st.integers(140_000, 200_000))
def test_parquet_bytes_do_not_depend_on_batches(sizes: list[int], group: int) -> None:
    """Enough text for several pages in a row group: where they begin must not depend on the joints of batches."""
    rows = 200_000
    texts = pc.binary_join_element_wise(pa.array(np.arange(rows)).cast(pa.string()), "some text", "-")
    table = pa.table({"x": np.sin(np.arange(rows)), "few": ["a", "bc", None, "d"] * (rows // 4), "many": texts})
    turns = iter(sizes * (rows // sum(sizes) + 1))
    assert one("parquet", table, row_group_rows=group) == written(
        maker("parquet", table.schema, row_group_rows=group), cut(table, lambda: next(turns))
    )


def test_dictionaries_that_differ_between_batches() -> None:
    type_ = pa.dictionary(pa.int32(), pa.string())
    values = ["b", "a", None, "c", "a", "d"]
    whole = pa.table({"c": pa.array(values).dictionary_encode()})
    pieces = [pa.record_batch([pa.array(values[n : n + 2]).dictionary_encode()], ["c"]) for n in (0, 2, 4)]
    unused = pa.DictionaryArray.from_arrays(pa.array([3, 2, None, 1, 2, 4], pa.int32()), ["z", "c", "a", "b", "d"])
    reference = one("parquet", whole)
    assert written(maker("parquet", whole.schema), pieces) == reference
    assert one("parquet", pa.table({"c": unused})) == reference
    assert parquet(reference).schema.field("c").type == type_
    assert parquet(reference).column("c").to_pylist() == values


def test_an_ordered_dictionary_keeps_its_order() -> None:
    ordered = pa.DictionaryArray.from_arrays(pa.array([2, 0], pa.int8()), ["low", "middle", "high"], ordered=True)
    table = pa.table({"c": ordered})
    for content in (one("parquet", table), written(maker("parquet", table.schema), cut(table, lambda: 1))):
        assert parquet(content).column("c").chunk(0).dictionary.to_pylist() == ["low", "middle", "high"]
        assert parquet(content).schema.field("c").type.ordered


def test_more_levels_than_a_dictionary_type_can_tell_apart() -> None:
    type_ = pa.dictionary(pa.int8(), pa.string())
    batches = [
        pa.record_batch([pa.array([f"{half}-{n}" for n in range(100)]).cast(type_)], ["level"]) for half in range(2)
    ]
    with pytest.raises(DataError, match=r"column 'level' cannot be written as dictionary<.*not in range.*\n.*--type"):
        written(maker("parquet", pa.schema([("level", type_)])), batches)


def test_text_cells_as_rfc_4180_says() -> None:
    texts = ["plain", "", None, "a,b", 'say "hi"', "two\nlines", "cr\r", " lead", "é", "NaN", "'", "\ufeff", "=1+1"]
    table = pa.table({"t": texts, "n": pa.array(range(len(texts)), pa.int64())})
    content = one("csv", table)
    assert content.startswith(b't,n\nplain,0\n"",1\n,2\n"a,b",3\n"say ""hi""",4\n"two\nlines",5\n"cr\r",6\n')
    rows = list(csv.reader(io.StringIO(content.decode(), newline=""), strict=True))
    assert [row[0] for row in rows[1:]] == [text or "" for text in texts]


def test_header_names_are_quoted_where_needed() -> None:
    table = pa.Table.from_arrays([pa.array([1])] * 5, ["\ufeffid", "", "a,b", 'q"', "plain"])
    assert one("csv", table).decode().splitlines() == ['"\ufeffid","","a,b","q""",plain', "1,1,1,1,1"]


def test_values_of_every_kind() -> None:
    table = pa.table(
        {
            "b": [True, False, None],
            "f": [math.nan, None, math.inf],
            "g": [-math.inf, -0.0, 1.0],
            "d": pa.array([Decimal("1.50"), None, Decimal("-2.00")], pa.decimal128(5, 2)),
            "day": [dt.date(2013, 1, 1), None, dt.date(1, 1, 1)],
            "at": pa.array([0, None, 1], pa.timestamp("ms", "Europe/Amsterdam")),
            "l": pa.array(["x", None, ""], pa.dictionary(pa.int8(), pa.large_string())),
            "v": pa.array(["x", None, ""], pa.string_view()),
            "none": pa.nulls(3),
        }
    )
    assert one("csv", table).decode().splitlines() == [
        "b,f,g,d,day,at,l,v,none",
        "true,NaN,-inf,1.50,2013-01-01,1970-01-01 01:00:00.000+0100,x,x,",
        "false,,-0,,,,,,",
        ',inf,1,-2.00,0001-01-01,1970-01-01 01:00:00.001+0100,"","",',
    ]


@settings(max_examples=60)
@given(bits=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=20))
def test_floats_read_back_as_the_same_bits(bits: list[int]) -> None:
    values = np.array(bits, np.uint64).view(np.float64)
    texts = one("csv", pa.table({"x": pa.array(values), "end": [1] * len(bits)})).decode().splitlines()[1:]
    for value, text in zip(values.tolist(), texts, strict=True):
        spelled = text.removesuffix(",1")
        assert (spelled == "NaN") == math.isnan(value)
        assert math.isnan(value) or struct.pack("d", float(spelled)) == struct.pack("d", value)
        assert math.isnan(value) or len(spelled) <= len(repr(value)) + 4


def test_narrow_floats_read_back_as_the_same_bits() -> None:
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16)
    singles = np.random.default_rng(0).integers(0, 2**32, 2000, dtype=np.uint64).astype(np.uint32).view(np.float32)
    for values in (halves[np.isfinite(halves)], singles[np.isfinite(singles)]):
        texts = one("csv", pa.table({"x": pa.array(values)})).decode().splitlines()[1:]
        back = np.array([float(text) for text in texts]).astype(values.dtype)
        assert back.tobytes() == values.tobytes()


def from_csv(content: bytes) -> pa.Table:
    if content.startswith(b"\x1f\x8b"):
        content = gzip.decompress(content)
    elif content.startswith(b"\x28\xb5\x2f\xfd"):
        content = pa.CompressedInputStream(pa.BufferReader(content), "zstd").read()
    types = {"id": pa.int64(), "carrier": pa.string(), "origin": pa.string(), "decision": pa.bool_()}
    return pa.csv.read_csv(
        pa.BufferReader(content),
        convert_options=pa.csv.ConvertOptions(
            column_types={**types, "probability": pa.float64()},
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


@pytest.mark.parametrize(
    ("rows", "compression"),
    [*((rows, codec) for rows in (0, 1) for codec in (None, "gzip")),
     (150, None), *((30, codec) for codec in ("none", "gzip", "zstd"))],
)  # fmt: skip
def test_csv_contract(rows: int, compression: str | None) -> None:
    table = scores(rows)
    plain = [c.cast(pa.string()) if pa.types.is_dictionary(c.type) else c for c in table.columns]
    expected = pa.table(plain, table.column_names)
    check_sink(maker("csv", table.schema, compression), from_csv, table, expected)


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_compressed_bytes_do_not_depend_on_batches(compression: str) -> None:
    rows = 100_000
    table = pa.table({"x": np.random.default_rng(0).normal(size=rows), "n": np.arange(rows)})
    sizes = iter([1, 30_000, 7, 16_384, 16_385, 50_000, 100_000])
    content = one("csv", table, compression)
    assert len(content) > 2**20
    assert content == written(maker("csv", table.schema, compression), cut(table, lambda: next(sizes)))


def test_gzip_states_no_time() -> None:
    assert one("csv", scores(1), "gzip")[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize(
    ("format_", "compression", "ending"),
    [
        ("parquet", None, "parquet"),
        ("parquet", "zstd", "parquet"),
        ("csv", None, "csv"),
        ("csv", "none", "csv"),
        ("csv", "gzip", "csv.gz"),
        ("csv", "zstd", "csv.zst"),
    ],
)
def test_extension(format_: str, compression: str | None, ending: str) -> None:
    assert extension(format_, compression) == ending


@pytest.mark.parametrize(
    ("format_", "compression", "choices"),
    [
        ("parquet", "bz2", "snappy, zstd, lz4, gzip, brotli, none"),
        ("csv", "snappy", "none, gzip, zstd"),
    ],
)
def test_an_unknown_compression_lists_the_choices(format_: str, compression: str, choices: str) -> None:
    for ask in (
        lambda: extension(format_, compression),
        lambda: open_sink(format_, io.BytesIO(), scores(0).schema, RowGroups(10), compression),
    ):
        with pytest.raises(UsageError, match=f"{compression}: {format_} has no such compression") as caught:
            ask()
        assert choices in caught.value.remedy


def test_columns_that_a_format_cannot_hold_are_named() -> None:
    nested = pa.schema(
        [
            ("fine", pa.string()),
            ("li\nst", pa.list_(pa.int64())),
            ("raw", pa.binary()),
            ("part", pa.struct([("x", pa.int64())])),
            ("id", pa.uuid()),
        ]
    )
    with pytest.raises(UsageError, match=r"--format csv cannot hold columns 'li\\nst' \(list<.*'raw'.*'part'.*'id'"):
        check_output_schema("csv", nested)
    check_output_schema("parquet", nested)
    with pytest.raises(UsageError, match=r"--format parquet cannot hold column 'i' \(month_day_nano_interval\)"):
        check_output_schema("parquet", pa.schema([("i", pa.month_day_nano_interval())]))
    for format_ in ("csv", "parquet"):
        check_output_schema(format_, scores(0).schema)


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_batch_of_another_schema_is_a_mistake_of_the_caller(format_: str) -> None:
    sink = open_sink(format_, io.BytesIO(), pa.schema([("x", pa.int64())]), RowGroups(10), None)
    with pytest.raises(TypeError, match="a batch of"):
        sink.write(pa.record_batch([pa.array(["x"])], ["x"]))


class _Full(io.BytesIO):
    def write(self, data: object) -> int:
        if self.tell() > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


@pytest.mark.parametrize("format_", ["csv", "parquet"])
@pytest.mark.parametrize("compression", [None, "gzip", "zstd"])
def test_a_full_disk(format_: str, compression: str | None) -> None:
    table = pa.table({"x": np.random.default_rng(0).normal(size=200_000)})
    with pytest.raises(StorageError, match="an output file cannot be written: No space left on device"):
        written_to(_Full(), format_, table, compression)


def written_to(file: BinaryIO, format_: str, table: pa.Table, compression: str | None) -> None:
    sink = open_sink(format_, file, table.schema, RowGroups(50_000), compression)
    for batch in table.to_batches():
        sink.write(batch)
    sink.close()


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_file_closed_too_early(format_: str) -> None:
    file = io.BytesIO()
    sink = open_sink(format_, file, pa.schema([("x", pa.int64())]), RowGroups(10), None)
    sink.write(pa.record_batch([pa.array([1])], ["x"]))
    file.close()
    with pytest.raises(StorageError, match="bytes were written to an output file after it was closed"):
        sink.close()


class _Short(io.BytesIO):
    def write(self, data: object) -> int:
        raise MemoryError("no room")


def test_no_memory() -> None:
    with pytest.raises(MemoryBudgetError, match="an output file cannot be written, memory is used up: no room"):
        open_sink("parquet", _Short(), pa.schema([("x", pa.int64())]), RowGroups(10), None).close()


def test_an_error_of_ours_passes_through() -> None:
    class Refusing(io.BytesIO):
        def write(self, data: object) -> int:
            raise StorageError("the attempt is gone")

    with pytest.raises(StorageError, match=r"^the attempt is gone$"):
        open_sink("parquet", Refusing(), pa.schema([("x", pa.int64())]), RowGroups(10), None).close()


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_a_real_file(tmp_path: Path, format_: str) -> None:
    with (tmp_path / "part").open("wb") as file:
        written_to(file, format_, scores(), None)
    assert (tmp_path / "part").read_bytes() == one(format_, scores(), row_group_rows=50_000)


@pytest.mark.parametrize("type_", ["int8", "uint64", "float16", "float32", "date32", "timestamp[us]", "duration[ns]"])
@pytest.mark.parametrize("cut", [7, 77, 1000])
def test_nulls_of_every_row_group_are_its_own(type_: str, cut: int) -> None:
    """Of four row groups the first has some nulls, the second none, the third nothing else, the last some again."""
    valid = np.array([n % 7 != 0 for n in range(100)] + [True] * 100 + [False] * 100 + [n % 2 == 0 for n in range(60)])
    values = np.arange(360, dtype=np.int64) % 100
    wide = type_.partition("[")[0] in {"uint64", "timestamp", "duration"}
    numbers = values.astype(np.float16) if type_ == "float16" else values.astype(np.int64 if wide else np.int32)
    array = pa.array(numbers, mask=~valid).cast(pa.type_for_alias(type_))
    table = pa.table({"x": array})
    # Batches that begin somewhere in the memory of a longer one.
    batches = [table.to_batches()[0].slice(start, cut) for start in range(0, 360, cut)]
    content = written(maker("parquet", table.schema, row_group_rows=100), batches)
    assert parquet(content).equals(table)
    assert content == one("parquet", table, row_group_rows=100)
    metadata = pq.read_metadata(pa.BufferReader(content))
    nulls = [metadata.row_group(n).column(0).statistics.null_count for n in range(4)]
    assert nulls == [15, 0, 100, 30]


@pytest.mark.parametrize("values", [np.arange(2_000_000, dtype=np.float64), ["some text"] * 1_000_000])
def test_memory_of_rows_written_is_released(values: Any) -> None:
    table = pa.table({"x": values})
    batches = table.to_batches(max_chunksize=50_000)
    file = Path(os.devnull).open("wb")  # noqa: SIM115
    sink = open_sink("parquet", file, table.schema, RowGroups(100_000), None)
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    for batch in batches:
        sink.write(batch)
    arrays, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert pa.total_allocated_bytes() - before + arrays < 4 * 2**20
    sink.close()
    file.close()
