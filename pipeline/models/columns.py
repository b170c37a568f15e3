"""Columns as features: which Arrow types they may have, and their cells as numbers and as levels."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Cause, Role
from pipeline.dataclass import dataclass
from pipeline.models.levels import LevelTable
from pipeline.types.features import KEPT_CHARACTERS
from pipeline.types.rows import BadCell
from pipeline.units import EXACT_INTEGER, MIB, escape

Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.intp]

# Made of bits: pa.array() would import pandas where it is installed.
_FALSE_AND_TRUE = pa.Array.from_buffers(pa.bool_(), 2, [None, pa.py_buffer(b"\x02")])

TEXT_LIMIT = 200
_KEPT_BYTES = 4 * MIB

_NUMBER = "an integer, a float, a boolean or a decimal of at most 38 digits"
_LEVEL = "text, a boolean, an integer or a float"
LEVEL_OR_TIME = "text, a boolean, an integer, a float, a date or a time"
_SHOWN_MEMBERS = 8
_SEQUENCE = "a list of integers or floats, or a list of such lists"
# Fifteen digits always survive in float64; numerator and power of ten are exact, so that one division rounds once.
_DECIMAL_UNITS = 10**15
_DECIMAL_SCALE = 22


@dataclass(frozen=True, slots=True, eq=False)
class Numbers:
    """The cells of a numeric column.

    Attributes
    ----------
    values : ndarray, shape (rows,)
        Integers, booleans as uint8, or floats, in the memory of the Arrow array if possible. Arbitrary where a cell is
        null.
    null : ndarray of bool or None
        Where cells are null; ``None`` if there are none. Floating NaN are not looked for.
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
        Positions in ``dictionary``; arbitrary where a cell is null.
    dictionary : pyarrow.Array
        The levels: text, booleans, integers or floats. They may repeat, and be null or NaN.
    null : ndarray of bool or None
        Where cells are null, except cells that point to a null in the dictionary; ``None`` if there are none.
    """

    codes: npt.NDArray[Any]
    dictionary: pa.Array
    null: Mask | None

    @property
    def names(self) -> list[str | None]:
        """The levels as a model file spells them; ``None`` for null and NaN. Made again at each call."""
        return _names(self.dictionary)


@dataclass(frozen=True, slots=True, eq=False)
class KnownLevels:
    """What a model knows of the levels of a dictionary, and of null at the end. The arrays are read-only.

    Attributes
    ----------
    positions : ndarray of intp, shape (levels + 1,)
        Of the levels in the model; -1 for a level that it does not have.
    is_missing : ndarray of bool, shape (levels + 1,)
        Where the level is null or NaN.
    is_read : ndarray of bool, shape (levels + 1,), or None
        Where no level is spelled so, but one has this value; ``None`` if that is nowhere.
    """

    positions: Rows
    is_missing: Mask
    is_read: Mask | None


class RecentLevels(threading.local):
    """Positions of the levels of a dictionary, looked up again only if the dictionary changes.

    Many batches share a dictionary, and looking up thousands of levels takes longer than scoring the rows. Each thread
    keeps what it looked up last, together with a copy of the dictionary, and compares by value, so the result is the
    same as looking up every time. A dictionary of more than 4 MiB is not kept. A copy or pickle is empty.
    """

    def __init__(self) -> None:
        self._table: LevelTable | None = None
        self._dictionary: pa.Array | None = None
        self._found: KnownLevels | None = None

    def __reduce__(self) -> tuple[type[RecentLevels], tuple[()]]:
        return RecentLevels, ()

    def find(self, table: LevelTable, dictionary: pa.Array) -> KnownLevels:
        """Return what a model knows of the levels of a dictionary, which is as :class:`Levels` has it."""
        if self._found is not None and self._table is table and _same(self._dictionary, dictionary):
            return self._found
        found = _look_up(table, dictionary)
        if dictionary.nbytes <= _KEPT_BYTES:
            # A copy, since the memory may be the caller's, who may change it or wait for its release.
            self._dictionary = dictionary.take(_positions(len(dictionary)))
            self._table, self._found = table, found
        return found


def unfit(role: Role, arrow_type: pa.DataType, called: str | None = None, may_be: str | None = None) -> str | None:
    """Return why a column of this type cannot have this role, as a clause, or ``None`` if it can.

    A dictionary is an encoding, not a type: the type of its values decides. ``called`` is what the column is, if it is
    not a feature: ``a weight``; ``may_be`` has the types that it may have, in words, if these are more than a feature
    may have.
    """
    value_type = arrow_type.value_type if pa.types.is_dictionary(arrow_type) else arrow_type
    if role == "kept":
        return None
    is_fit, feature, kinds = _FIT.get(role, (_is_number, "a numeric feature", _NUMBER))
    if is_fit(value_type):
        return None
    return f"is {escape(str(arrow_type))}, but {called or feature} is {may_be or kinds}"


def unfit_columns(
    roles: Sequence[tuple[str, Role]], fields: Sequence[pa.Field], called: Mapping[str, str] = MappingProxyType({})
) -> list[str]:
    """Return one sentence for each field that cannot have the role of its column.

    ``called`` has what columns are that are not features, by name.
    """
    reasons = [
        (name, unfit(role, field.type, called.get(name))) for (name, role), field in zip(roles, fields, strict=True)
    ]
    return [f'column "{escape(name)}" {reason}' for name, reason in reasons if reason is not None]


def unfit_arguments(names: Sequence[str], fields: Sequence[pa.Field]) -> list[str]:
    """Return one sentence for each field that functions do not take."""
    return [
        f'column "{escape(name)}" is {escape(str(field.type))}, but a function takes {_NUMBER}'
        for name, field in zip(names, fields, strict=True)
        if unfit("numeric", field.type) is not None
    ]


def numbers(array: pa.Array) -> Numbers:
    """Return the cells of an array whose type suits a numeric feature.

    Integers, floats and their slices are not copied. An integer beyond 2**53 in magnitude is inexact. So is a decimal
    that is neither its nearest float64 nor the shortest decimal form of it. Decimals of up to 15 digits are exact.
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
    """Return the cells of an array whose type suits a categorical feature."""
    if pa.types.is_boolean(array.type):
        codes = _bits(array.buffers()[1], array.offset, len(array))
        return Levels(codes, _FALSE_AND_TRUE, null_mask(array))
    if pa.types.is_float16(array.type):
        array = array.cast(pa.float32())  # Arrow makes no dictionary of half floats
    encoded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    indices = encoded.indices
    codes = _fixed_width(indices, np.dtype(indices.type.to_pandas_dtype()))
    dictionary = encoded.dictionary
    if pa.types.is_string_view(dictionary.type):
        dictionary = dictionary.cast(pa.large_string())  # views cannot be copied by taking
    return Levels(codes, dictionary, null_mask(indices))


def spellings(cells: Levels, flags: Mask, where: Mask) -> dict[str, int]:
    """Return how often some levels occur, in the order of their first occurrence.

    Levels are told apart by their first 80 characters.

    Parameters
    ----------
    cells : Levels
    flags : ndarray of bool, shape (levels + 1,)
        The levels, and a last entry without a meaning.
    where : ndarray of bool, shape (rows,)
        The rows that have one of the levels; none of them is null.
    """
    (numbers,) = np.nonzero(flags[:-1])
    if len(numbers) == 1:
        codes, counts = pa.array(numbers), [int(np.count_nonzero(where))]
    else:
        found = pa.array(cells.codes[where]).value_counts()
        codes, counts = found.field("values"), found.field("counts").to_pylist()
    spelled: dict[str, int] = {}
    for name, count in zip(_names(cells.dictionary.take(codes)), counts, strict=True):
        text = str(name)[:KEPT_CHARACTERS]
        spelled[text] = spelled.get(text, 0) + count
    return spelled


def null_mask(array: pa.Array) -> Mask | None:
    """Return where an array that is not dictionary-encoded is null, or ``None`` if it has no nulls."""
    if array.null_count == 0:
        return None
    validity = array.buffers()[0]
    if validity is None:
        return np.ones(len(array), dtype=np.bool_)
    is_valid: Mask = _bits(validity, array.offset, len(array)).view(np.bool_)
    return ~is_valid


def bad_cell(array: pa.Array, row: int, column: str, cause: Cause, *, by_policy: bool = False) -> BadCell:
    """Return the cell of a row as the reason why the row is not written."""
    if is_list(array.type):
        text = _list_text(array[row])
    else:
        value = array[row].as_py()
        text = "null" if value is None else "NaN" if value != value else str(_level_name(value))  # noqa: PLR0124 - NaN
    return BadCell(record=row, column=column, text=text[:TEXT_LIMIT], cause=cause, by_policy=by_policy)


def _is_number(value_type: pa.DataType) -> bool:
    if pa.types.is_decimal(value_type):
        return bool(value_type.bit_width <= 128)
    return bool(pa.types.is_integer(value_type) or pa.types.is_floating(value_type) or pa.types.is_boolean(value_type))


def _is_level(value_type: pa.DataType) -> bool:
    is_text = (
        pa.types.is_string(value_type) or pa.types.is_large_string(value_type) or pa.types.is_string_view(value_type)
    )
    is_value = pa.types.is_integer(value_type) or pa.types.is_boolean(value_type) or pa.types.is_floating(value_type)
    return bool(is_text or is_value)


def _list_text(cell: pa.Scalar) -> str:
    """Return a list with its first members, and how many it has where that are not all."""
    if not cell.is_valid:
        return "null"
    first = str(cell.values[:_SHOWN_MEMBERS].to_pylist()).replace("None", "null")
    count = len(cell.values)
    return first if count <= _SHOWN_MEMBERS else f"{first[:-1]}, ...] with {count:,} members"


def is_list(type_: pa.DataType) -> bool:
    """Return whether values of a type are lists whose places are known by offsets, or by their size."""
    return bool(pa.types.is_list(type_) or pa.types.is_large_list(type_) or pa.types.is_fixed_size_list(type_))


def _is_sequence(type_: pa.DataType) -> bool:
    if not is_list(type_):
        return False
    inner = type_.value_type.value_type if is_list(type_.value_type) else type_.value_type
    return bool(pa.types.is_integer(inner) or pa.types.is_floating(inner) or pa.types.is_null(inner))


_FIT: Mapping[Role, tuple[Callable[[pa.DataType], bool], str, str]] = {
    "categorical": (_is_level, "a categorical feature", _LEVEL),
    "sequence": (_is_sequence, "a sequence feature", _SEQUENCE),
}


def _names(dictionary: pa.Array) -> list[str | None]:
    if pa.types.is_floating(dictionary.type):
        # NumPy spells a float by the fewest digits of its own width, as pandas writes it to a CSV.
        return [None if value != value else str(value) for value in _floats(dictionary)]  # noqa: PLR0124 - NaN
    names: list[Any] = dictionary.to_pylist()
    is_text = not (pa.types.is_integer(dictionary.type) or pa.types.is_boolean(dictionary.type))
    return names if is_text else [_level_name(value) for value in names]


def _same(one: pa.Array, other: pa.Array) -> bool:
    return bool(one.type == other.type and one.equals(other))


def _floats(dictionary: pa.Array) -> npt.NDArray[np.floating[Any]]:
    """Return the floats of a dictionary, NaN where it is null."""
    floats: npt.NDArray[np.floating[Any]] = dictionary.to_numpy(zero_copy_only=False)
    return floats


def _look_up(table: LevelTable, dictionary: pa.Array) -> KnownLevels:
    names = [*_names(dictionary), None]
    found = np.array([table.positions.get(name, -1) for name in names], dtype=np.intp)  # type: ignore[arg-type]
    is_missing = np.array([name is None for name in names])
    unknown = np.flatnonzero((found < 0) & ~is_missing) if table.type != "text" else _no_rows()
    is_read = _read(table, dictionary, names, unknown, found) if unknown.size else None
    found.flags.writeable = is_missing.flags.writeable = False
    return KnownLevels(found, is_missing, is_read)


def _read(
    table: LevelTable, dictionary: pa.Array, names: Sequence[str | None], unknown: Rows, found: Rows
) -> Mask | None:
    """Look levels up by value, write their positions, and return which levels were found; ``None`` if none was."""
    if pa.types.is_floating(dictionary.type):
        read = table.read(map(_digits, _floats(dictionary)[unknown]), decimal=".")
    else:
        read = table.read(names[position] or "" for position in unknown.tolist())
    found[unknown] = [-1 if position is None else position for position in read]
    is_read = np.zeros(len(names), dtype=np.bool_)
    is_read[unknown] = found[unknown] >= 0
    is_read.flags.writeable = False
    return is_read if is_read.any() else None


def _digits(value: np.floating[Any]) -> str:
    """Return a float that is not NaN without an exponent, a whole number without a fraction."""
    if not np.isfinite(value):
        return ""
    return str(int(value)) if value == np.rint(value) else np.format_float_positional(value)


def _level_name(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


def _no_rows() -> Rows:
    return np.empty(0, dtype=np.intp)


def _positions(count: int) -> pa.Array:
    """Return the numbers from 0; made of bits as above."""
    return pa.Array.from_buffers(pa.int64(), count, [None, pa.py_buffer(np.arange(count))])


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
