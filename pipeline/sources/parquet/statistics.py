"""Statistics that the writer of a Parquet file stored in its footer: nulls, smallest and largest value.

They are not checked, so no row is ever skipped because of them. Arrow's own function ends the whole process where the
bytes of a statistic have the wrong length for its type, so the footer is read again here, as plain Thrift.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

import pyarrow as pa

from pipeline.compact import BINARY, LIST, STRUCT, Compact
from pipeline.dataclass import dataclass
from pipeline.disk import OpenFile
from pipeline.sources.parquet.footer import Footer, leaf_count, read_footer, read_identity
from pipeline.sources.parquet.logical import written_schema
from pipeline.types.inputs import InputFile
from pipeline.units import MIB

# Fields of the Thrift structures FileMetaData, RowGroup, ColumnChunk, ColumnMetaData and Statistics. The older fields
# for the smallest and largest value are ignored: how they were compared depends on the writer.
_ROW_GROUPS, _COLUMNS, _META_DATA, _STATISTICS = 4, 1, 3, 12
_NULL_COUNT, _LARGEST, _SMALLEST = 3, 5, 6

_TAIL = 8
# A larger footer would take minutes to parse in Python.
_LARGEST_FOOTER = 64 * MIB
_UNREADABLE = (ValueError, IndexError, OverflowError, RecursionError, struct.error, InvalidOperation, pa.ArrowException)
_FLOATS = {"FLOAT": "<f", "DOUBLE": "<d"}


@dataclass(frozen=True, slots=True)
class ColumnStatistics:
    """Statistics of one top-level column.

    Attributes
    ----------
    name : str
    nulls : int or None
        ``None`` where a row group does not state it.
    smallest, largest : pyarrow.Scalar or None
        Of the values that are neither null nor NaN. Writers may shorten text.
    ranged : bool
        Whether every row group that has a value states its range; without it ``smallest`` and ``largest`` are ``None``.
        A column without any value is ranged and has neither.
    """

    name: str
    nulls: int | None
    smallest: pa.Scalar | None
    largest: pa.Scalar | None
    ranged: bool


@dataclass(frozen=True, slots=True)
class _Stated:
    """What a footer states of a column chunk, as bytes."""

    nulls: int | None = None
    smallest: bytes | None = None
    largest: bytes | None = None


def column_statistics(file: InputFile) -> tuple[ColumnStatistics, ...]:
    """Return the statistics of the top-level columns of a Parquet file, in file order, from its footer.

    Nested columns, and types without an order here, have no range.

    Raises
    ------
    DataError
        The file is damaged. Statistics that make no sense are ignored.
    """
    with OpenFile.open(file.location, file.path) as opened:
        identity = read_identity(opened)
        footer = read_footer(file.location, identity, opened)
        text = _footer_text(opened, identity.size)
    groups = _stated(text, footer)
    rows = footer.group_rows.tolist()
    found = []
    leaf = 0
    written = written_schema(footer.metadata)
    for field in footer.schema:
        chunks = [(count, group[leaf]) for count, group in zip(rows, groups, strict=True) if count]
        physical = written.column(leaf).physical_type
        found.append(_of_column(field, physical, chunks))
        leaf += leaf_count(field.type)
    return tuple(found)


def _footer_text(file: OpenFile, size: int) -> bytes:
    length = int.from_bytes(file.read_at(4, size - _TAIL), "little")
    return b"" if length > _LARGEST_FOOTER else file.read_range(length, size - _TAIL - length)


def _stated(text: bytes, footer: Footer) -> list[list[_Stated]]:
    """Return the statistics of each leaf column in each row group: empty, where the footer cannot be parsed."""
    metadata = footer.metadata
    try:
        groups = list(_row_groups(Compact(text)))
    except _UNREADABLE:
        groups = []
    if [len(group) for group in groups] != [metadata.num_columns] * metadata.num_row_groups:
        return [[_Stated()] * metadata.num_columns] * metadata.num_row_groups
    return groups


def _row_groups(text: Compact) -> Iterator[list[_Stated]]:
    for number, kind in text.fields():
        if (number, kind) != (_ROW_GROUPS, LIST):
            text.skip(kind)
            continue
        for _ in text.items():
            yield list(_columns(text))


def _columns(text: Compact) -> Iterator[_Stated]:
    for number, kind in text.fields():
        if (number, kind) != (_COLUMNS, LIST):
            text.skip(kind)
            continue
        for _ in text.items():
            yield _within(text, (_META_DATA, _STATISTICS))


def _within(text: Compact, path: Sequence[int]) -> _Stated:
    """Return the statistics at the end of a path of structures; of several the last one counts."""
    if not path:
        return _statistics(text)
    found = _Stated()
    for number, kind in text.fields():
        if (number, kind) == (path[0], STRUCT):
            found = _within(text, path[1:])
        else:
            text.skip(kind)
    return found


def _statistics(text: Compact) -> _Stated:
    nulls, values = None, {}
    for number, kind in text.fields():
        if number == _NULL_COUNT and kind != BINARY:
            nulls = text.integer()
        elif number in {_SMALLEST, _LARGEST} and kind == BINARY:
            values[number] = text.binary()
        else:
            text.skip(kind)
    return _Stated(nulls, values.get(_SMALLEST), values.get(_LARGEST))


def _of_column(field: pa.Field, physical: str, chunks: Sequence[tuple[int, _Stated]]) -> ColumnStatistics:
    nested = leaf_count(field.type) > 1 or field.type.num_fields > 0
    counts = [None if nested else stated.nulls for _, stated in chunks]
    known = [count for count, (rows, _) in zip(counts, chunks, strict=True) if count is not None and 0 <= count <= rows]
    nulls = sum(known) if len(known) == len(chunks) else None
    with_values = [stated for rows, stated in chunks if stated.nulls != rows]
    ends = [
        None
        if nested
        else (_decoded(field.type, physical, stated.smallest), _decoded(field.type, physical, stated.largest))
        for stated in with_values
    ]
    whole = [(low, high) for low, high in filter(None, ends) if low is not None and high is not None]
    if len(whole) < len(with_values):
        return ColumnStatistics(field.name, nulls, None, None, ranged=False)
    smallest = min((low for low, _ in whole), key=order, default=None)
    largest = max((high for _, high in whole), key=order, default=None)
    return ColumnStatistics(field.name, nulls, smallest, largest, ranged=True)


def order(value: pa.Scalar) -> int | float | Decimal | bytes:
    """Return the sort key of a value: numbers as numbers, times as integers, text by its bytes."""
    if pa.types.is_temporal(value.type):
        return int(value.value)
    if _is_text(value.type):
        text = value.as_py()
        return text.encode("utf-8", "surrogatepass") if isinstance(text, str) else bytes(text)
    number: int | float | Decimal = value.as_py()
    return number


def _decoded(type_: pa.DataType, physical: str, raw: bytes | None) -> pa.Scalar | None:
    """Return a stored value in the type of its column; ``None`` for NaN, and where the bytes do not fit the type."""
    if raw is None:
        return None
    try:
        return _scalar(type_.value_type if pa.types.is_dictionary(type_) else type_, physical, raw)
    except _UNREADABLE:
        return None


def _scalar(type_: pa.DataType, physical: str, raw: bytes) -> pa.Scalar | None:
    if _is_text(type_):
        # Text may be cut within a character.
        return pa.scalar(raw, pa.binary())
    if pa.types.is_decimal(type_):
        return pa.scalar(Decimal(f"{_integer(physical, raw, signed=True)}E{-type_.scale}"), type_)
    if pa.types.is_floating(type_):
        return _float(type_, physical, raw)
    if pa.types.is_boolean(type_):
        return pa.scalar(_integer(physical, raw, signed=False) == 1, type_)
    if pa.types.is_integer(type_) or pa.types.is_temporal(type_):
        signed = not pa.types.is_unsigned_integer(type_)
        return pa.scalar(_integer(physical, raw, signed=signed), type_)
    return None


def _integer(physical: str, raw: bytes, *, signed: bool) -> int:
    sizes = {"BOOLEAN": 1, "INT32": 4, "INT64": 8}
    if physical == "FIXED_LEN_BYTE_ARRAY":
        return int.from_bytes(raw, "big", signed=signed)
    if sizes.get(physical) != len(raw):
        raise ValueError(f"{len(raw)} bytes are not one {physical}")
    return int.from_bytes(raw, "little", signed=signed)


def _float(type_: pa.DataType, physical: str, raw: bytes) -> pa.Scalar | None:
    if physical not in _FLOATS:
        return None
    (number,) = struct.unpack(_FLOATS[physical], raw)
    return None if math.isnan(number) else pa.scalar(number, type_)


def _is_text(type_: pa.DataType) -> bool:
    kinds = (
        pa.types.is_string,
        pa.types.is_large_string,
        pa.types.is_string_view,
        pa.types.is_binary,
        pa.types.is_large_binary,
        pa.types.is_binary_view,
        pa.types.is_fixed_size_binary,
    )
    # A decimal is stored like bytes of a fixed size, and Arrow counts it among them.
    return not pa.types.is_decimal(type_) and any(is_kind(type_) for is_kind in kinds)
