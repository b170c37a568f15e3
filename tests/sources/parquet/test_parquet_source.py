from __future__ import annotations

import datetime as dt
import gc
import itertools
import os
import threading
import time
import tracemalloc
import weakref
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.errors import DataError, UsageError
from pipeline.sources.parquet.footer import footer_of
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from pipeline.types.rows import Slice
from tests.contracts.source import check_source, open_descriptors, plain_rows, read_rows, whole

if TYPE_CHECKING:
    from collections.abc import Callable

SOURCE = ParquetSource()
_numbers = itertools.count()


def input_file(path: Path, partitions: tuple[tuple[str, str | None], ...] = ()) -> InputFile:
    return InputFile(path.name, str(path), 0, "parquet", partitions)


def writer(folder: Path, **options: object) -> Callable[[pa.Table], InputFile]:
    def make(table: pa.Table) -> InputFile:
        path = folder / f"{next(_numbers)}.parquet"
        pq.write_table(table, path, **options)
        return input_file(path)

    return make


def read_all(file: InputFile, needs: list[Need], batch_rows: int = 1000) -> pa.Table:
    facts = SOURCE.facts(file)
    schema = pa.schema([SOURCE.field(facts, need) for need in needs])
    with SOURCE.read(file, facts.identity, whole(facts), needs, batch_rows) as reader:
        return pa.Table.from_batches(list(reader), schema)


def flights(rows: int = 200) -> pa.Table:
    numbers = np.arange(rows)
    return pa.table(
        {
            "delay": pa.array([None if n % 7 == 0 else n / 3 for n in range(rows)], pa.float64()),
            "hour": pa.array(numbers % 24, pa.int8()),
            "carrier": pa.array([["AA", "UA", None][n % 3] for n in range(rows)]),
            "late": pa.array([n % 2 == 0 for n in range(rows)]),
            "ratio": pa.array(np.where(numbers % 5 == 0, np.nan, numbers).astype(np.float32)),
        }
    )


@pytest.mark.parametrize("rows", [0, 1, 200])
def test_contract(tmp_path: Path, rows: int) -> None:
    check_source(SOURCE, writer(tmp_path, row_group_size=33), flights(rows))


def test_contract_with_features_and_a_column_that_stands_twice(tmp_path: Path) -> None:
    needs = [Need("carrier", "categorical"), Need("delay", "numeric"), Need("carrier", "kept"), Need("delay", "kept")]
    check_source(SOURCE, writer(tmp_path, row_group_size=33), flights(), needs)


@pytest.mark.parametrize("features", [[], [Need("carrier", "categorical")]], ids=["text", "levels"])
def test_columns_decoded_on_threads_give_the_same_rows(tmp_path: Path, features: list[Need]) -> None:
    file = writer(tmp_path, row_group_size=40_000)(flights(60_000))
    facts = SOURCE.facts(file)
    needs = [*features, *(Need(name, "kept") for name in flights(1).column_names)]
    alone, together = (
        read_rows(source, facts, whole(facts), needs, 7_000)[0]
        for source in (SOURCE, ParquetSource(column_threads=True))
    )
    assert together == alone


def test_threads_decode_the_next_batch_while_one_is_used(tmp_path: Path) -> None:
    facts = SOURCE.facts(writer(tmp_path)(pa.table({"x": np.arange(400_000.0)})))

    def decoded(source: ParquetSource, least: int) -> int:
        """Return the bytes that are decoded while the first batch is used, once they are so many."""
        before, until = pa.total_allocated_bytes(), time.monotonic() + 10
        with source.read(facts.file, facts.identity, whole(facts), [Need("x", "numeric")], 100_000) as reader:
            rows = iter(reader)
            next(rows)
            while (size := pa.total_allocated_bytes() - before) < least:
                assert time.monotonic() < until
                time.sleep(0.001)
            return size

    alone = decoded(SOURCE, 0)
    decoded(ParquetSource(column_threads=True), alone + 400_000)


def decoding() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("logitstream-decode")]


@pytest.mark.parametrize(
    ("need", "encodings", "threads"),
    [
        (Need("delay", "kept"), None, 1),
        (Need("carrier", "categorical"), None, 0),
        (Need("carrier", "kept"), None, 0),
        (Need("carrier", "categorical"), {"carrier": "DELTA_BYTE_ARRAY"}, 0),
    ],
    ids=["numbers", "levels", "text", "levels read as text"],
)
def test_a_reader_that_is_left_ends_its_thread_and_closes_its_file(
    tmp_path: Path, need: Need, encodings: dict[str, str] | None, threads: int
) -> None:
    write = writer(tmp_path, use_dictionary=encodings is None, column_encoding=encodings)
    facts = SOURCE.facts(write(flights(50_000)))
    with ParquetSource(column_threads=True).read(facts.file, facts.identity, whole(facts), [need], 10_000) as reader:
        rows = iter(reader)
        next(rows)
        assert len(decoding()) == threads
    assert not decoding()
    assert not open_descriptors(facts.file.location)


@pytest.mark.parametrize("table", [flights(50_000), pa.table({"x": np.arange(50_000.0)})], ids=["text", "numbers"])
def test_a_damaged_page_is_found_by_threads_too(tmp_path: Path, table: pa.Table) -> None:
    file = writer(tmp_path, write_page_checksum=True, compression="none", use_dictionary=False)(table)
    facts = SOURCE.facts(file)
    path = Path(file.location)
    content = bytearray(path.read_bytes())
    status = path.stat()
    content[status.st_size // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    needs = [Need(name, "kept") for name in table.column_names]
    with pytest.raises(DataError, match=rf"^{file.path} is damaged or not readable as Parquet: .*checksum"):
        read_rows(ParquetSource(column_threads=True), facts, whole(facts), needs, 7_000)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.integers(1, 120),
    group=st.integers(1, 50),
    batch=st.integers(1, 130),
    cuts=st.lists(st.integers(0, 120), max_size=4),
)
def test_any_cut_and_any_batch_give_the_rows_of_the_file(
    tmp_path: Path, rows: int, group: int, batch: int, cuts: list[int]
) -> None:
    table = flights(rows)
    facts = SOURCE.facts(writer(tmp_path, row_group_size=group)(table))
    groups = len(facts.group_rows)
    places = sorted({0, groups, *(cut % (groups + 1) for cut in cuts)})
    needs = [Need(name, "kept") for name in table.column_names]
    got = []
    for start, stop in itertools.pairwise(places):
        got += read_rows(SOURCE, facts, Slice(0, start, stop, None), needs, batch)[0]
    assert got == plain_rows(table.columns)


KEPT = {
    "ns": pa.array([1, None], pa.timestamp("ns", "Europe/Amsterdam")),
    "us": pa.array([1, None], pa.timestamp("us")),
    "date": pa.array([dt.date(2013, 1, 1), None]),
    "time": pa.array([1, None], pa.time64("ns")),
    "duration": pa.array([1, None], pa.duration("ns")),
    "decimal": pa.array([Decimal("1.25"), None], pa.decimal128(10, 2)),
    "wide": pa.array([Decimal("1.25"), None], pa.decimal256(60, 2)),
    "list": pa.array([["x", None], None]),
    "struct": pa.array([{"b": 1, "c": ["z"]}, None]),
    "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
    "dictionary": pa.DictionaryArray.from_arrays(pa.array([1, None], pa.int8()), ["x", "y"]),
    "large": pa.array(["x", None], pa.large_string()),
    "view": pa.array(["x", None], pa.string_view()),
    "binary": pa.array([b"\xff", None]),
    "fixed": pa.array([b"abc", None], pa.binary(3)),
    "half": pa.array(np.array([1.5, 2], np.float16)),
    "uint64": pa.array([2**64 - 1, None], pa.uint64()),
    "null": pa.nulls(2),
}


@pytest.mark.parametrize("name", KEPT)
@pytest.mark.parametrize("compression", ["none", "zstd"])
def test_kept_columns_come_exactly_as_they_stand(tmp_path: Path, name: str, compression: str) -> None:
    table = pa.table({name: KEPT[name]})
    got = read_all(writer(tmp_path, compression=compression)(table), [Need(name, "kept")], 1)
    assert got.schema.field(0).type == table.schema.field(0).type
    assert got.equals(table)


@pytest.mark.parametrize("codec", ["snappy", "gzip", "brotli", "lz4", "zstd", "none"])
def test_every_codec(tmp_path: Path, codec: str) -> None:
    table = flights(50).drop_columns("ratio")
    got = read_all(writer(tmp_path, compression=codec)(table), [Need(n, "kept") for n in table.column_names])
    assert got.equals(table)


def test_int96_timestamps_far_from_today(tmp_path: Path) -> None:
    table = pa.table({"at": pa.array([dt.datetime(9999, 12, 31)], pa.timestamp("us"))})
    file = writer(tmp_path, use_deprecated_int96_timestamps=True)(table)
    assert read_all(file, [Need("at", "kept")]).column(0).to_pylist() == [dt.datetime(9999, 12, 31)]


@pytest.mark.parametrize("type_", [pa.string(), pa.large_string(), pa.string_view()])
def test_text_categories_come_as_dictionaries(tmp_path: Path, type_: pa.DataType) -> None:
    table = pa.table({"c": pa.array(["x", None, "y", "x"], type_)})
    file = writer(tmp_path)(table)
    assert SOURCE.field(SOURCE.facts(file), Need("c", "categorical")).type == pa.dictionary(pa.int32(), pa.string())
    both = read_all(file, [Need("c", "categorical"), Need("c", "kept")])
    assert both.column(0).to_pylist() == ["x", None, "y", "x"]
    assert both.column(1).chunk(0).equals(table.column(0).chunk(0))


def test_text_categories_without_a_dictionary_in_the_file(tmp_path: Path) -> None:
    texts = [f"level {n % 50}" for n in range(3000)]
    file = writer(tmp_path, use_dictionary=False, row_group_size=1000)(pa.table({"c": texts}))
    assert read_all(file, [Need("c", "categorical")], 64).column(0).to_pylist() == texts


@pytest.mark.parametrize("values", [[1, 2, None], [True, False, None]])
def test_other_categories_keep_their_type(tmp_path: Path, values: list[object]) -> None:
    table = pa.table({"c": values})
    assert read_all(writer(tmp_path)(table), [Need("c", "categorical")]).equals(table)


def test_names_with_dots_are_exact(tmp_path: Path) -> None:
    table = pa.table({"a.b": [1, 2], "a": [{"b": 3, "c": 4}, {"b": 5, "c": 6}], "a.b.c": ["x", "y"], "": [7, 8]})
    file = writer(tmp_path)(table)
    for names in (["a.b"], ["a"], ["a.b.c"], [""], ["a.b.c", "a", "a.b"]):
        assert read_all(file, [Need(name, "kept") for name in names]).equals(table.select(names))
    assert read_all(file, [Need("a.b.c", "categorical")]).column(0).to_pylist() == ["x", "y"]
    with pytest.raises(LookupError, match=r"has no column 'a\.c'"):
        SOURCE.field(SOURCE.facts(file), Need("a.c", "kept"))


def test_facts_count_bytes_by_top_level_column(tmp_path: Path) -> None:
    table = pa.table({"n": range(1000), "s": [{"x": n, "y": [str(n), "t"]} for n in range(1000)], "t": ["z"] * 1000})
    file = writer(tmp_path, row_group_size=400, compression="zstd")(table)
    facts, metadata = SOURCE.facts(file), pq.read_metadata(file.location)
    leaves = [[metadata.row_group(g).column(leaf) for g in range(3)] for leaf in range(metadata.num_columns)]
    owned = {"n": leaves[:1], "s": leaves[1:3], "t": leaves[3:]}
    for column in facts.columns:
        groups = [one for leaf in owned[column.field.name] for one in leaf]
        assert column.encoded_bytes == sum(one.total_compressed_size for one in groups)
        assert column.decoded_bytes == sum(one.total_uncompressed_size for one in groups)
    assert facts.group_rows.tolist() == [400, 400, 200]
    assert facts.rows == 1000
    assert facts.row_bytes == pytest.approx(sum(c.encoded_bytes for c in facts.columns) / 1000)


def test_bytes_read_are_those_of_the_columns_and_row_groups(tmp_path: Path) -> None:
    file = writer(tmp_path, row_group_size=50)(flights())
    facts, metadata = SOURCE.facts(file), pq.read_metadata(file.location)
    _, reader = read_rows(SOURCE, facts, Slice(0, 1, 3, 100), [Need("hour", "numeric"), Need("hour", "kept")], 1000)
    assert reader.bytes_read == sum(metadata.row_group(g).column(1).total_compressed_size for g in (1, 2))


def test_non_nullable_columns_stay_so(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("n", pa.int64(), nullable=False), pa.field("t", pa.string(), nullable=False)])
    file = writer(tmp_path)(pa.table({"n": [1], "t": ["x"]}, schema))
    needs = [Need("n", "numeric"), Need("t", "categorical"), Need("t", "kept")]
    assert [field.nullable for field in read_all(file, needs).schema] == [False, False, False]


def test_a_row_group_without_rows_and_a_file_without_row_groups(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    with pq.ParquetWriter(path, pa.schema([("n", pa.int64())])) as parquet:
        parquet.write_table(pa.table({"n": pa.array([], pa.int64())}))
        parquet.write_table(pa.table({"n": [1, 2]}))
        parquet.write_table(pa.table({"n": pa.array([], pa.int64())}))
    file = input_file(path)
    facts = SOURCE.facts(file)
    assert facts.group_rows.tolist() == [0, 2, 0]
    assert read_rows(SOURCE, facts, Slice(0, 0, 1, 0), [Need("n", "kept")], 10)[0] == []
    assert read_rows(SOURCE, facts, whole(facts), [Need("n", "kept")], 10)[0] == [(1,), (2,)]
    with pq.ParquetWriter(tmp_path / "none.parquet", pa.schema([("n", pa.int64())])):
        pass
    none = SOURCE.facts(input_file(tmp_path / "none.parquet"))
    assert (none.rows, len(none.group_rows), none.row_bytes) == (0, 0, 1.0)
    assert read_rows(SOURCE, none, whole(none), [Need("n", "kept")], 10)[0] == []


def test_no_needs_still_count_the_rows(tmp_path: Path) -> None:
    file = writer(tmp_path)(flights(10))
    facts = SOURCE.facts(file)
    with SOURCE.read(file, facts.identity, whole(facts), [], 4) as reader:
        assert [batch.num_rows for batch in reader] == [4, 4, 2]
    assert reader.rows == 10


def test_missing_and_double_columns_are_named(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array([1])] * 3, ["Hour", "twice", "twice"])
    facts = SOURCE.facts(writer(tmp_path)(table))
    with pytest.raises(LookupError, match=r"^has no column 'delay'$"):
        SOURCE.field(facts, Need("delay", "numeric"))
    with pytest.raises(LookupError, match=r"^has no column 'hour'; did you mean \"Hour\"\?$"):
        SOURCE.field(facts, Need("hour", "numeric"))
    with pytest.raises(LookupError, match=r"^has 2 columns 'twice'$"):
        SOURCE.field(facts, Need("twice", "kept"))
    with pytest.raises(DataError, match=r"\.parquet: has 2 columns 'twice'"):
        read_rows_of_a_double(facts)


def read_rows_of_a_double(facts: object) -> None:
    with SOURCE.read(facts.file, facts.identity, whole(facts), [Need("twice", "kept")], 1):  # type: ignore[attr-defined]
        pass


def test_declared_types_are_safe_casts(tmp_path: Path) -> None:
    table = pa.table({"t": ["1", "2", None], "n": [1, 300, None], "list": [[1], [2], None]})
    file = writer(tmp_path)(table)
    needs = [Need("t", "numeric", "int64"), Need("t", "categorical"), Need("t", "kept"), Need("n", "kept", "string")]
    got = read_all(file, needs)
    assert [column.to_pylist() for column in got.columns] == [
        [1, 2, None],
        ["1", "2", None],
        ["1", "2", None],
        ["1", "300", None],
    ]
    with pytest.raises(DataError, match=r"\.parquet: column 'n' cannot be read as int8: .*300"):
        read_all(file, [Need("n", "kept", "int8")])
    with pytest.raises(LookupError, match=r"column 'list' is list<.*>, which cannot be read as int64"):
        SOURCE.field(SOURCE.facts(file), Need("list", "kept", "int64"))
    with pytest.raises(UsageError, match=r"'number' is not a type that a column can be given"):
        SOURCE.field(SOURCE.facts(file), Need("n", "kept", "number"))
    assert open_descriptors(file.location) == 0


def test_partitions_are_constants(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(flights(5), path)
    file = input_file(path, (("country", "NL"), ("year", "2013"), ("gone", None)))
    needs = [
        Need("year", "kept"),
        Need("hour", "kept"),
        Need("country", "categorical"),
        Need("year", "numeric"),
        Need("year", "kept", "int16"),
        Need("gone", "categorical"),
        Need("gone", "numeric"),
        Need("gone", "kept"),
    ]
    got = read_all(file, needs, 2)
    assert [str(field.type) for field in got.schema] == [
        "string",
        "int8",
        "dictionary<values=string, indices=int32, ordered=0>",
        "double",
        "int16",
        "dictionary<values=string, indices=int32, ordered=0>",
        "double",
        "string",
    ]
    assert plain_rows(got.columns) == [("2013", n, "NL", 2013.0, 2013, None, None, None) for n in range(5)]
    assert read_all(file, [Need("country", "kept")], 2).column(0).to_pylist() == ["NL"] * 5


@pytest.mark.parametrize("text", ["NL", "1e400", "", "1_000", "0x10"])
def test_a_partition_that_is_no_number(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(flights(5), path)
    file = input_file(path, (("country", text),))
    facts = SOURCE.facts(file)
    with pytest.raises(LookupError, match=r"column 'country' is '.*' in the path, which is not a number"):
        SOURCE.field(facts, Need("country", "numeric"))
    with (
        pytest.raises(DataError, match=r"p\.parquet: column 'country' is"),
        SOURCE.read(file, facts.identity, whole(facts), [Need("country", "numeric")], 10),
    ):
        pass
    assert open_descriptors(file.location) == 0


def test_an_integer_in_a_partition_that_float64_does_not_have(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(flights(1), path)
    file = input_file(path, (("a", "9007199254740993"), ("b", "9007199254740992")))
    with pytest.raises(LookupError, match="in the path, which cannot be held exactly as a float64"):
        SOURCE.field(SOURCE.facts(file), Need("a", "numeric"))
    got = read_all(file, [Need("a", "kept"), Need("a", "kept", "int64"), Need("b", "numeric")])
    assert plain_rows(got.columns) == [("9007199254740993", 2**53 + 1, 2.0**53)]


def test_infinities_and_nan_in_a_partition(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(flights(1), path)
    file = input_file(path, (("a", "inf"), ("b", "NaN"), ("c", "-1.5e3")))
    got = read_all(file, [Need(name, "numeric") for name in "abc"])
    assert plain_rows(got.columns) == [(float("inf"), "NaN", -1500.0)]


def test_a_partition_that_is_a_column_too(tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    pq.write_table(flights(5), path)
    facts = SOURCE.facts(input_file(path, (("hour", "3"),)))
    with pytest.raises(LookupError, match=r"^column 'hour' is both in the file and in its path$"):
        SOURCE.field(facts, Need("hour", "numeric"))


def test_field_metadata_does_not_travel(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("n", pa.int64(), metadata={"PARQUET:field_id": "7"})])
    file = writer(tmp_path)(pa.table({"n": [1]}, schema))
    assert SOURCE.field(SOURCE.facts(file), Need("n", "kept")).metadata is None
    assert read_all(file, [Need("n", "kept")]).schema.field(0).metadata is None


def test_a_footer_goes_with_its_last_user_without_the_garbage_collector(tmp_path: Path) -> None:
    files = [writer(tmp_path)(pa.table({name: [1.5]})) for name in ("a", "b")]
    gc.disable()
    try:
        of_files = []
        for file in files:
            with pq.ParquetFile(file.location) as opened:
                of_files.append(weakref.ref(footer_of(opened, file.path).metadata))
            del opened
        # The shape of the last file is kept, with its footer, for the next one that was written alike.
        assert [of_file() is None for of_file in of_files] == [True, False]
    finally:
        gc.enable()


def test_a_reader_that_is_left_keeps_places_but_no_content(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    table = pa.table({"n": range(4), "other": [letter * 40_000 for letter in "abcd"]})
    pq.write_table(table, path, row_group_size=2, compression="none", use_dictionary=False)
    facts = SOURCE.facts(InputFile("x.parquet", str(path), 0, "parquet"))
    readers = []
    tracemalloc.start()
    try:
        for _ in range(10):
            with SOURCE.read(facts.file, facts.identity, Slice(0, 1, 2, 2), [Need("n", "numeric")], 10) as reader:
                (batch,) = reader
            readers.append((reader, batch))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < path.stat().st_size
    assert [(reader.places().tolist(), reader.record(1)) for reader, _ in readers] == [([2, 3], 1)] * 10


def test_places_are_those_in_the_file_from_any_row_group_and_batch_on(tmp_path: Path) -> None:
    file = writer(tmp_path, row_group_size=6)(pa.table({"n": range(20)}))
    facts = SOURCE.facts(file)
    with SOURCE.read(file, facts.identity, Slice(0, 1, 4, 14), [Need("n", "kept")], 4) as reader:
        found = [(reader.places().tolist(), batch["n"].to_pylist()) for batch in reader]
    assert len(found) > 2
    assert [places for places, _ in found] == [numbers for _, numbers in found]


def test_a_column_of_a_large_file_is_read_without_the_rest(tmp_path: Path) -> None:
    table = pa.table({"n": range(100), "other": ["x" * 20_000] * 100})
    file = writer(tmp_path, compression="none", use_dictionary=False)(table)
    tracemalloc.start()
    try:
        assert read_all(file, [Need("n", "kept")]) == table.select(["n"])
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < Path(file.location).stat().st_size / 4
