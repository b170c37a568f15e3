"""What named columns mean: which Arrow types may be features, and their cells as numbers and as levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.types import BadCell, Role
from pipeline.units import escape

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

EXACT_INTEGER = 2**53
TEXT_LIMIT = 200

_NUMERIC = "a numeric feature is an integer, a float, a boolean or a decimal of at most 38 digits"
_CATEGORICAL = "a categorical feature is text, an integer or a boolean"
# Fifteen digits always survive in float64; numerator and power of ten are exact, so that one division rounds once.
_DECIMAL_UNITS = 10**15
_DECIMAL_SCALE = 22


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The cells of a numeric column.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        Integers, booleans as uint8, or floats, in the memory of the Arrow array where that is possible. Arbitrary where
        a cell is null.
    null : ndarray of bool or None
        Where cells are null; ``None`` where none is. Floating NaN are not looked for.
    inexact : ndarray of intp
        Rows whose value float64 cannot hold.
    """

    values: npt.NDArray[Any]
    null: Mask | None
    inexact: Rows


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The cells of a categorical column.

    Attributes
    ----------
    codes : ndarray of integers, shape (rows,)
        Positions in ``names``; arbitrary where a cell is null.
    names : list of str or None
        The levels as a model file spells them; ``None`` for a null in a dictionary. They may repeat.
    null : ndarray of bool or None
        Where cells are null, those excepted that point to a null in the dictionary; ``None`` where none is.
    """

    codes: npt.NDArray[Any]
    names: list[str | None]
    null: Mask | None


def unfit(role: Role, arrow_type: pa.DataType) -> str | None:
    """Return why a column of this type cannot have this role, as a clause, or ``None`` where it can.

    A dictionary is an encoding, not a type: what counts is the type of its values.
    """
    value_type = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if role == "kept" or (_is_number(value_type) if role == "numeric" else _is_level(value_type)):
        return None
    return f"is {escape(str(arrow_type))}, but {_NUMERIC if role == 'numeric' else _CATEGORICAL}"


def unfit_columns(roles: Sequence[tuple[str, Role]], fields: Sequence[pa.Field]) -> list[str]:
    """Return one sentence for each field that cannot have the role of the column it stands for."""
    reasons = [(name, unfit(role, field.type)) for (name, role), field in zip(roles, fields, strict=True)]
    return [f'column "{escape(name)}" {reason}' for name, reason in reasons if reason is not None]


def numbers(array: pa.Array) -> Numbers:
    """Return the cells of an array whose type is fit for a numeric feature.

    Integers, floats and their slices are not copied. An integer beyond 2**53 in magnitude is inexact, and so is a
    decimal whose digits do not survive: its nearest float64 is another number, and is one in its shortest form too.
    Decimals of up to 15 digits always survive.
    """
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    null = null_mask(array)
    if pa.types.is_decimal(array.type):
        return _decimals(array, null)
    if pa.types.is_boolean(array.type):
        return Numbers(_bits(array.buffers()[1], array.offset, len(array)), null, _no_rows())
    values = _fixed_width(array, np.dtype(array.type.to_pandas_dtype()))
    return Numbers(values, null, _inexact_integers(values, null))


def levels(array: pa.Array) -> Levels:
    """Return the cells of an array whose type is fit for a categorical feature."""
    if pa.types.is_boolean(array.type):
        codes = _bits(array.buffers()[1], array.offset, len(array))
        return Levels(codes, ["false", "true"], null_mask(array))
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    indices = encoded.indices
    codes = _fixed_width(indices, np.dtype(indices.type.to_pandas_dtype()))
    names = encoded.dictionary.to_pylist()
    if pa.types.is_integer(encoded.type.value_type) or pa.types.is_boolean(encoded.type.value_type):
        names = [_level_name(value) for value in names]
    return Levels(codes, names, null_mask(indices))


def null_mask(array: pa.Array) -> Mask | None:
    """Return where an array that is not dictionary-encoded is null, or ``None`` where it is not."""
    if array.null_count == 0:
        return None
    validity = array.buffers()[0]
    if validity is None:
        return np.ones(len(array), dtype=np.bool_)
    is_valid: Mask = _bits(validity, array.offset, len(array)).view(np.bool_)
    return ~is_valid


def bad_cell(array: pa.Array, row: int, column: str, reason: str) -> BadCell:
    """Return the cell of a row as one that the contract does not allow."""
    value = array[row].as_py()
    text = "null" if value is None else "NaN" if value != value else str(_level_name(value))  # noqa: PLR0124 - NaN
    return BadCell(record=row, column=column, text=text[:TEXT_LIMIT], reason=reason)


def _is_number(value_type: pa.DataType) -> bool:
    if pa.types.is_decimal(value_type):
        return bool(value_type.bit_width <= 128)
    return bool(pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_boolean(value_type))


def _is_level(value_type: pa.DataType) -> bool:
    is_text = (
        pa.types.is_string(value_type) or pa.types.is_large_string(value_type) or pa.types.is_string_view(value_type)
    )
    return bool(is_text or pa.types.is_integer(value_type) or pa.types.is_boolean(value_type))


def _level_name(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _no_rows() -> Rows:
    return np.empty(0, dtype=np.intp)


def _fixed_width(array: pa.Array, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), dtype=dtype)
    return np.frombuffer(data, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)


def _bits(data: pa.Buffer | None, offset: int, rows: int) -> npt.NDArray[np.uint8]:
    if data is None:
        return np.zeros(rows, dtype=np.uint8)
    first = offset // 8
    octets = np.frombuffer(data, dtype=np.uint8, count=(offset + rows + 7) // 8 - first, offset=first)
    return np.unpackbits(octets, bitorder="little")[offset % 8 : offset % 8 + rows]


def _inexact_integers(values: npt.NDArray[Any], null: Mask | None) -> Rows:
    if values.dtype.kind not in "iu" or values.dtype.itemsize < 8 or values.size == 0:
        return _no_rows()
    if values.max() <= EXACT_INTEGER and (values.dtype.kind == "u" or values.min() >= -EXACT_INTEGER):
        return _no_rows()
    beyond = values > EXACT_INTEGER
    if values.dtype.kind == "i":
        beyond |= values < -EXACT_INTEGER
    return np.flatnonzero(beyond if null is None else beyond & ~null)


def _decimals(array: pa.Array, null: Mask | None) -> Numbers:
    array = array.cast(pa.decimal128(array.type.precision, array.type.scale))
    scale = array.type.scale
    words = _fixed_width(array, np.dtype([("low", "<i8"), ("high", "<i8")]))
    units = words["low"]
    is_short = (words["high"] == units >> 63) & (units <= _DECIMAL_UNITS) & (units >= -_DECIMAL_UNITS)
    if 0 <= scale <= _DECIMAL_SCALE:
        values = units / float(10**scale)
    else:
        values = np.zeros(len(array))
        is_short[:] = False
    if null is not None:
        is_short |= null
    long_rows = np.flatnonzero(~is_short).tolist()
    inexact = [row for row in long_rows if not _set_decimal(values, row, array[row].as_py())]
    return Numbers(values, null, np.array(inexact, dtype=np.intp))


def _set_decimal(values: npt.NDArray[np.float64], row: int, cell: Decimal) -> bool:
    """Write the nearest float64 of a decimal, and return whether its digits survive."""
    values[row] = float(cell)
    return cell in {Decimal(float(cell)), Decimal(repr(float(cell)))}
