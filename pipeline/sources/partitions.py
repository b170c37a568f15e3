"""Columns that are constant in a file: the path states them (``country=NL/part-0.parquet``), or the file lacks them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from pipeline.causes import reason_of
from pipeline.disk import show
from pipeline.errors import DataError
from pipeline.sources.column_types import DEFAULT_TYPES, LEVELS, arrow_type, unpacked
from pipeline.sources.csv.parse import beyond_exact
from pipeline.units import escape, quoted

if TYPE_CHECKING:
    from pipeline.choices import Cause
    from pipeline.types.inputs import InputFile, Need

NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"

Partition = tuple[str, str | None]


def parse_segment(segment: str) -> Partition | None:
    """Return the name and value that a folder name states, or ``None`` where it is not ``key=value``.

    Both sides are percent-decoded UTF-8; the value is ``None`` for ``__HIVE_DEFAULT_PARTITION__`` and the empty text
    for ``key=``. The value is data and never becomes a path again.

    Raises
    ------
    DataError
        A side is not valid UTF-8 after decoding.
    """
    key, equals, value = segment.partition("=")
    if not (key and equals):
        return None
    if value == NULL_PARTITION:
        return _decode(key, segment), None
    return _decode(key, segment), _decode(value, segment)


def partition_field(file: InputFile, need: Need) -> pa.Field | None:
    """Return the field of a partition column, or ``None`` where the path states no such name.

    Text, unless the need has a type, is numeric (float64) or boolean (bool); a categorical one is a dictionary of
    text. Always nullable, because another folder of the same name may state null.

    Raises
    ------
    LookupError
        The value is not of the type that is needed.
    """
    found = dict(file.partitions)
    if need.name not in found:
        return None
    value = partition_scalar(found[need.name], need)
    type_ = LEVELS if need.role == "categorical" and pa.types.is_string(value.type) else value.type
    return pa.field(need.name, type_)


def partition_scalar(text: str | None, need: Need) -> pa.Scalar:
    """Return the value of a partition in the type that a need asks for.

    Raises
    ------
    LookupError
        The text is not of that type; the message is a clause for a person.
    """
    target = _target(need)
    try:
        value = pa.scalar(text, pa.string()).cast(target)
    except (pa.ArrowException, ValueError) as error:
        raise _other_type(text, need, target) from error
    if pa.types.is_floating(target) and value.is_valid and _overflows(text, value.as_py()):
        raise _other_type(text, need, target)
    if need.type is None and need.role == "numeric" and beyond_exact(pa.array([text], pa.binary())):
        cure = f"; --type {escape(need.name)}=float64 rounds it"
        raise LookupError(f"{_unfit(text, need, 'inexact').args[0]}{cure}")
    return value


def constant_of(file: InputFile, need: Need) -> tuple[pa.Field, pa.Scalar] | None:
    """Return the field and the value of a column that is the same in all rows of a file, ``None`` if it is read.

    The path states it, or the file lacks it. The value has the type of the field, or that of its dictionary.

    Raises
    ------
    LookupError
        The value in the path is not of the type that is needed.
    """
    if need.absent:
        type_ = _absent_type(need)
        # Arrow makes no scalar of a struct that has a UUID in it, but an array of nulls.
        return pa.field(need.name, type_), pa.nulls(1, _value_type(type_))[0]
    field = None if need.stated else partition_field(file, need)
    if field is None:
        return None
    value = partition_scalar(dict(file.partitions)[need.name], need)
    if need.unified is None:
        return field, value
    type_ = unpacked(need.unified)
    return pa.field(need.name, type_), value.cast(_value_type(type_))


def stated_scalar(file: InputFile, name: str, type_: pa.DataType) -> pa.Scalar:
    """Return the value that the path of a file states for a column, in the type that the column has in the file.

    Raises
    ------
    LookupError
        The text is not of that type.
    """
    text, value_type = dict(file.partitions)[name], _value_type(type_)
    try:
        return pa.scalar(text, pa.string()).cast(value_type)
    except (pa.ArrowException, ValueError) as error:
        shown = f"column {quoted(name)} is {quoted(text or '')} in the path, but {value_type} in the file"
        raise LookupError(shown) from error


def partition_array(value: pa.Scalar, type_: pa.DataType, rows: int) -> pa.Array:
    """Return a constant column; a dictionary holds the value once."""
    if not pa.types.is_dictionary(type_):
        return pa.repeat(value, rows) if value.is_valid else pa.nulls(rows, type_)
    levels = pa.array([value.as_py()] if value.is_valid else [], type_.value_type)
    index = pa.scalar(0 if value.is_valid else None, type_.index_type)
    return pa.DictionaryArray.from_arrays(pa.repeat(index, rows), levels)


def _absent_type(need: Need) -> pa.DataType:
    if need.unified is not None:
        return unpacked(need.unified)
    if need.type is None and need.role in {"categorical", "sequence"}:
        return DEFAULT_TYPES[need.role]
    return _target(need)


def _value_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _target(need: Need) -> pa.DataType:
    if need.type is not None:
        return arrow_type(need.type)
    return DEFAULT_TYPES[need.role] if need.role in {"numeric", "boolean"} else pa.string()


def _overflows(text: str | None, number: float) -> bool:
    return math.isinf(number) and "inf" not in (text or "").lower()


def _other_type(text: str | None, need: Need, target: pa.DataType) -> LookupError:
    if pa.types.is_float64(target):
        return _unfit(text, need, "no number")
    return _unfit(text, need, "other type", str(target))


def _unfit(text: str | None, need: Need, cause: Cause, *values: str) -> LookupError:
    where = f"column '{escape(need.name)}' is '{escape(text or '')}' in the path"
    return LookupError(f"{where}, which {reason_of(cause, values)}")


def _decode(text: str, segment: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
        decoded.encode()
    except UnicodeError as error:
        raise DataError(f"the folder name {show(segment)} is not valid UTF-8", "rename the folder") from error
    return decoded
