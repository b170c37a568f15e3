"""Any bytes as a Parquet file: the rows that its footer states, however they are read, or a clean refusal."""

from __future__ import annotations

import datetime
import io
from collections.abc import Iterator
from contextlib import suppress
from decimal import Decimal
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.compact import Compact
from pipeline.errors import LogitstreamError
from pipeline.sources import source_for
from pipeline.types.inputs import INT96, CsvOptions, FileFacts, InputFile, Need
from pipeline.types.rows import Slice
from pipeline.types.sources import Source
from tests.fuzz.target import Check, Target, check_refusal, require

NAME = "data.parquet"
# What is read of a file that states more; a few bytes can state a thousand million rows.
ROWS = 3000
COLUMNS = 8
GROUPS = 6
BATCHES = (1000, 7)
# As the compact protocol numbers the types.
_INTEGER = 5
# Arrow reads sizes as integers of 32 bits.
_LARGEST = 2**31 - 1


def make(folder: Path) -> Check:
    """Return the check of one file."""
    path = folder / NAME
    file = InputFile(NAME, str(path), 0, "parquet")
    source = source_for("parquet", CsvOptions())

    def check(data: bytes) -> None:
        path.write_bytes(data)
        try:
            facts = source.facts(file)
            needs = list(_needs(source, facts))
            readings = [_read(source, facts, _whole(facts), needs, batch_rows) for batch_rows in BATCHES]
            readings.append(_by_groups(source, facts, needs))
        except LogitstreamError as error:
            check_refusal(error, NAME)
            return
        for one, other in pairwise(readings):
            require(one == other, f"other rows from the same file:\n{one}\n{other}")

    return check


def _needs(source: Source, facts: FileFacts) -> Iterator[Need]:
    for column in facts.columns[:COLUMNS]:
        for role in ("kept", "numeric", "categorical"):
            need = Need(column.field.name, role)
            try:
                field = source.field(facts, need)
            except LookupError as reason:
                require(str(reason).isprintable(), f"a reason cannot be shown: {reason!r}")
                break
            if role == "kept" or field.type != column.field.type:
                yield need


def _whole(facts: FileFacts) -> Slice:
    return Slice(0, 0, len(facts.group_rows), facts.rows)


def _by_groups(source: Source, facts: FileFacts, needs: list[Need]) -> list[str]:
    """Return the rows read row group by row group."""
    if len(facts.group_rows) > GROUPS or (facts.rows or 0) > ROWS:
        return _read(source, facts, _whole(facts), needs, BATCHES[0])
    batches: list[pa.RecordBatch] = []
    for group, rows in enumerate(facts.group_rows.tolist()):
        batches += _batches(source, facts, Slice(0, group, group + 1, rows), needs, 100)
    return _shown(batches, needs)


def _read(source: Source, facts: FileFacts, piece: Slice, needs: list[Need], batch_rows: int) -> list[str]:
    return _shown(_batches(source, facts, piece, needs, batch_rows), needs)


def _batches(
    source: Source, facts: FileFacts, piece: Slice, needs: list[Need], batch_rows: int
) -> list[pa.RecordBatch]:
    fields = [source.field(facts, need) for need in needs]
    batches: list[pa.RecordBatch] = []
    rows = 0
    with source.read(facts.file, facts.identity, piece, needs, batch_rows) as reader:
        for batch in reader:
            batch.validate(full=True)
            require(batch.num_rows <= batch_rows, f"a batch of {batch.num_rows:,} rows, not {batch_rows:,}")
            require([field.type for field in batch.schema] == [field.type for field in fields], "other types")
            for field, column in zip(fields, batch.columns, strict=True):
                require(field.nullable or column.null_count == 0, f"a null in {field}")
            rows += batch.num_rows
            batches.append(batch.slice(0, max(0, ROWS - rows + batch.num_rows)))
            if rows >= ROWS:
                return batches
    # Only an old timestamp may be one that its type cannot hold.
    bad = reader.bad_count
    may_be_bad = any(column.logical.startswith(INT96.decode()) for column in facts.columns)
    require(bad == 0 or may_be_bad, "bad records in a Parquet file")
    require(rows == reader.rows and rows + bad == piece.rows, f"{rows:,} rows and {bad:,} bad ones of {piece.rows}")
    return batches


def _shown(batches: list[pa.RecordBatch], needs: list[Need]) -> list[str]:
    """Return each column as a text in which NaN equals NaN and a dictionary is its values."""
    columns = []
    for number, _ in enumerate(needs):
        arrays = [batch.column(number) for batch in batches]
        plain = [array.dictionary_decode() if pa.types.is_dictionary(array.type) else array for array in arrays]
        columns.append(pa.concat_arrays(plain).to_string(window=ROWS, container_window=ROWS) if plain else "")
    return columns


def _table(rows: int) -> pa.Table:
    numbers = range(rows)
    instant = datetime.datetime(2013, 1, 1)
    return pa.table(
        {
            "i8": pa.array([None if n % 9 == 0 else n % 100 for n in numbers], pa.int8()),
            "i64": pa.array([n * 2**40 for n in numbers], pa.int64()),
            "f64": pa.array([n / 7 if n % 5 else float("nan") for n in numbers]),
            "text": pa.array([None if n % 11 == 0 else f"text {n % 13}" for n in numbers]),
            "flag": pa.array([n % 3 == 0 for n in numbers]),
            "price": pa.array([Decimal(n).scaleb(-2) for n in numbers], pa.decimal128(9, 2)),
            "at": pa.array([instant + datetime.timedelta(hours=n) for n in numbers], pa.timestamp("us")),
            "list": pa.array([None if n % 4 == 0 else [n, None] * (n % 3) for n in numbers], pa.list_(pa.int32())),
        }
    )


def _written(table: pa.Table, **options: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def seeds() -> list[bytes]:
    """Return small files of every compression, page version, and most types."""
    table = _table(40)
    members = pa.array([{"a": n, "b": [{"c": str(n)}]} for n in range(9)])
    maps = pa.table({"s": members, "m": pa.array([[(n, "x")] for n in range(9)], pa.map_(pa.int64(), pa.string()))})
    encodings = {"i64": "DELTA_BINARY_PACKED", "text": "DELTA_BYTE_ARRAY", "f64": "BYTE_STREAM_SPLIT"}
    few = table.select(list(encodings))
    required = pa.schema([pa.field("n", pa.int32(), nullable=False)])
    return [
        _written(table, row_group_size=15, write_page_checksum=True),
        _written(table.select(["i8", "text", "list"]), compression="none", data_page_size=64),
        _written(few, compression="zstd", use_dictionary=False, column_encoding=encodings),
        _written(few, compression="gzip", data_page_version="2.0", write_page_index=True),
        _written(few.slice(0, 9), compression="brotli", store_schema=False, write_statistics=False),
        _written(table.select(["at", "flag"]), compression="lz4", use_deprecated_int96_timestamps=True),
        _written(maps, compression="snappy"),
        _written(pa.table({"n": range(9)}, schema=required), compression="none", use_dictionary=False),
        _written(table.slice(0, 0)),
        _written(pa.table({"t": pa.array(["a", "b", "a"]).dictionary_encode(), "b": [b"\0", None, b"x"]})),
        b"PAR1PAR1",
        b"",
    ]


def claims(data: bytes) -> int:
    """Return the most bytes that the header of a page says the page takes: Arrow takes them before it finds out."""
    sizes = [0]
    for position in range(len(data)):
        # Kind, size and compressed size are the first fields of a header, all of them integers.
        header, found = Compact(data[position : position + 32]), []
        with suppress(ValueError, IndexError):
            for number, kind in islice(header.fields(), 3):
                if (number, kind) != (len(found) + 1, _INTEGER):
                    break
                found.append(header.integer())
        if len(found) == 3:
            sizes += [size & _LARGEST for size in found[1:]]
    return max(sizes)


TOKENS = (b"PAR1", b"\x15\x00", b"\x15\x02", b"\x16\xc8\x01", b"\x19\x1c", b"\xff\xff\xff\xff\x0f", b"ARROW:schema")
TARGETS = [Target("parquet", make, seeds, TOKENS, claims)]
