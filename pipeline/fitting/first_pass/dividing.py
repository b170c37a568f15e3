"""Which rows are fitted, which are held out, and in which fold each of them is.

What decides is a hash of the value of a key, or of the row's place in its file, or a comparison of one column. So a row
has the same fold in every pass, in any batch and chunk, and rows with one key are never divided.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NoReturn, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.errors import UsageError
from pipeline.fitting.first_pass.hashing import Hashes, dictionary_places, hashes_of, hashes_of_places, mixed
from pipeline.scan import Batch
from pipeline.units import escape, number_pattern, pointed

# The hash that decides about the hold-out is another one than that of the folds.
_HELD = np.uint64(0x5DEECE66D)
# In place of a fold: the row is held out; its value cannot be compared.
HELD_OUT, WRONG = -1, -2
Folds = npt.NDArray[np.int8]
Mask = npt.NDArray[np.bool_]
Kind = Literal["number", "time", "text"]
Sign = Literal["<", "<=", ">", ">=", "==", "!="]


@dataclass(frozen=True, slots=True)
class ColumnComparison:
    """A comparison of one column with a constant: ``date >= 2013-11-01``.

    Attributes
    ----------
    column : str
    sign : {"<", "<=", ">", ">=", "==", "!="}
    text : str
        The constant as it is written.
    kind : {"number", "time", "text"}
        What it is compared as.
    """

    column: str
    sign: Sign
    text: str
    kind: Kind

    @property
    def value(self) -> int | float | dt.datetime | str:
        """The constant."""
        if self.kind == "time":
            return dt.datetime.fromisoformat(self.text)
        if self.kind == "text":
            return self.text
        return int(self.text) if _WHOLE.fullmatch(self.text) else float(self.text)

    def __str__(self) -> str:
        return f"{self.column} {self.sign} {self.text}"


@dataclass(frozen=True, slots=True)
class Divider:
    """Divides the rows of batches. Plain values, which travel to workers.

    Attributes
    ----------
    folds : int
        1 where there are none.
    share : float
        The share of rows that is held out by their hash.
    comparison : ColumnComparison or None
        The rows of which it is true are held out.
    key, compared : int or None
        The positions of the columns in a batch.
    nulls : tuple of str
        Spellings of null in text of a CSV.
    """

    folds: int = 1
    share: float = 0.0
    comparison: ColumnComparison | None = None
    key: int | None = None
    compared: int | None = None
    nulls: tuple[str, ...] = ()

    def of_batch(self, batch: Batch, path: str) -> Folds:
        """Return the fold of each row of a batch of a file; 0 where there are no folds.

        :data:`HELD_OUT` for a row that is held out, :data:`WRONG` for one whose value cannot be compared.
        """
        folds = np.zeros(batch.data.num_rows, dtype=np.int8)
        if self.folds > 1 or self.share:
            hashes = self._hashes(batch, path)
            folds = (hashes % np.uint64(self.folds)).astype(np.int8)
            folds[mixed(hashes ^ _HELD) < np.uint64(int(self.share * 2.0**64))] = HELD_OUT
        if self.comparison is not None and self.compared is not None:
            true, wrong = compared(self.comparison, batch.data.column(self.compared), self.nulls)
            folds[true] = HELD_OUT
            folds[wrong] = WRONG
        return folds

    def _hashes(self, batch: Batch, path: str) -> Hashes:
        if self.key is None:
            return hashes_of_places(path, batch.places())
        return hashes_of(batch.data.column(self.key))


_SIGNS: Mapping[str, Callable[[Any, Any], pa.Array]] = {
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
    "==": pc.equal,
    "!=": pc.not_equal,
}
_MOMENT = pa.timestamp("us")
_SAME = {"=": "==", "<>": "!="}
_NUMBER = number_pattern()
# With more digits it is beyond every column of integers.
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")
# Decimals with more digits behind the point are not compared with 64-bit integers by Arrow.
_MOST_SCALE = 19
_TIME = r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?)?"
_SHARE = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*%\s*")
_NAME = re.compile(r'\s*(?:"((?:[^"]|"")+)"|`((?:[^`]|``)+)`|([^\W\d][\w.]*))\s*')
_SIGN = re.compile(r"(<=|>=|==|!=|<>|<|>|=)\s*")
_CONSTANT = re.compile(rf"(?:'((?:[^']|'')*)'|\"((?:[^\"]|\"\")*)\"|({_TIME}|[^\s'\"<>=!]+))\s*\Z")
_REMEDY = "write a percentage (20%), or compare a column with a constant (date >= 2013-11-01)"


def parse_holdout(text: str) -> float | ColumnComparison:
    """Return the share of the rows, or the comparison, that ``--holdout`` describes.

    A name may be in double quotes or backticks, a text in single or double quotes; a quote inside is doubled.

    Raises
    ------
    UsageError
        It is neither. The message shows the text with a caret under the place.
    """
    if found := _SHARE.fullmatch(text):
        share = float(found[1]) / 100
        if not 0 < share < 1:
            raise UsageError(f"--holdout {escape(text)}: the share is not between 0% and 100%", _REMEDY)
        return share
    name = _NAME.match(text) or _refuse(text, 0, "expected a percentage or the name of a column")
    sign = _SIGN.match(text, name.end()) or _refuse(text, name.end(), "expected <, <=, >, >=, == or !=")
    constant = _CONSTANT.match(text, sign.end()) or _refuse(text, sign.end(), "expected one number, date or text")
    column = name[3] or (name[1] or "").replace('""', '"') or (name[2] or "").replace("``", "`")
    bare = constant[3]
    value = (
        bare if bare is not None else (constant[1] or "").replace("''", "'") or (constant[2] or "").replace('""', '"')
    )
    kind: Kind = "text"
    if bare is not None and re.fullmatch(_NUMBER, bare):
        kind = "number"
    elif bare is not None and re.fullmatch(_TIME, bare):
        kind = "time" if _is_time(bare) else _refuse(text, sign.end(), "there is no such date")
    return ColumnComparison(column, cast("Sign", _SAME.get(sign[1], sign[1])), value, kind)


def _is_time(text: str) -> bool:
    try:
        dt.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _refuse(text: str, place: int, message: str) -> NoReturn:
    raise UsageError(f"--holdout: {message}, at column {place + 1}\n{pointed(text, place)}", _REMEDY)


def unfit_comparison(comparison: ColumnComparison, type_: pa.DataType) -> str | None:
    """Return why a column of a type cannot be compared with a constant, as a clause; ``None`` if it can."""
    type_ = type_.value_type if pa.types.is_dictionary(type_) else type_
    kinds: Mapping[Kind, Sequence[Callable[[pa.DataType], bool]]] = {
        "number": (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, _is_text),
        "time": (pa.types.is_date, pa.types.is_timestamp, _is_text),
        "text": (_is_text, pa.types.is_boolean),
    }
    if not any(suits(type_) for suits in kinds[comparison.kind]):
        noun = {"number": "a number", "time": "a date", "text": "a text"}[comparison.kind]
        return f"is {escape(str(type_))}, but --holdout compares it with {noun}, {escape(comparison.text)}"
    if pa.types.is_boolean(type_) and comparison.text not in {"true", "false"}:
        return f"is bool, but --holdout compares it with {escape(comparison.text)}, which is neither true nor false"
    return None


def compared(comparison: ColumnComparison, array: pa.Array, nulls: Sequence[str] = ()) -> tuple[Mask, Mask]:
    """Return where a comparison is true, and where a text cannot be read; of a missing value it is not true."""
    array = _with_nulls(array, nulls)
    compare, value, no_rows = _SIGNS[comparison.sign], comparison.value, np.zeros(len(array), dtype=np.bool_)
    given = array.null_count
    values, scalar = _alike(array, comparison.kind, value)
    wrong = values.null_count > given
    return _flags(compare(values, scalar)), _flags(pc.and_(array.is_valid(), values.is_null())) if wrong else no_rows


def is_missing(array: pa.Array, nulls: Sequence[str] = ()) -> Mask:
    """Return where a column of any type has no value: null, a spelling of null in a text, or NaN."""
    if pa.types.is_dictionary(array.type):
        flags: Mask = np.append(is_missing(array.dictionary, nulls), True).take(dictionary_places(array))
        return flags
    return _flags(pc.is_null(_with_nulls(array, nulls) if nulls else array, nan_is_null=True))


def without_view(array: pa.Array) -> pa.Array:
    """Return a column of views as texts or bytes, since Arrow does not compare or take views; any other as it is."""
    if pa.types.is_string_view(array.type):
        return pc.cast(array, pa.large_string())
    return pc.cast(array, pa.large_binary()) if pa.types.is_binary_view(array.type) else array


def _with_nulls(array: pa.Array, nulls: Sequence[str]) -> pa.Array:
    """Return a column with null where its text is a spelling of it."""
    array = without_view(array.dictionary_decode() if pa.types.is_dictionary(array.type) else array)
    if not _is_text(array.type):
        return array
    null = pc.is_in(array, pa.array(list(nulls), array.type))
    return pc.if_else(null, pa.scalar(None, array.type), array)


def _alike(array: pa.Array, kind: Kind, value: object) -> tuple[pa.Array, pa.Scalar]:
    """Return a column and a constant in one type; a text that cannot be read becomes null."""
    type_ = array.type
    if _is_text(type_):
        if kind == "number":
            return _read(array, _NUMBER, pa.float64(), float), pa.scalar(float(cast("float", value)))
        if kind == "time":
            return _read(array, _TIME, _MOMENT, dt.datetime.fromisoformat), pa.scalar(value, _MOMENT)
    if pa.types.is_boolean(type_):
        return array, pa.scalar(value == "true")
    if kind == "time":
        moment = pa.timestamp("us", type_.tz if pa.types.is_timestamp(type_) else None)
        return pc.cast(array, moment, safe=False), pa.scalar(value, moment)
    if kind == "number":
        return _as_numbers(array, cast("float", value))
    return array, pa.scalar(value)


def _as_numbers(array: pa.Array, value: float) -> tuple[pa.Array, pa.Scalar]:
    """Return a column and a constant that are compared exactly where both are whole, else as float64."""
    type_ = array.type
    whole, width = (pa.uint64(), np.uint64) if pa.types.is_uint64(type_) else (pa.int64(), np.int64)
    is_exact = pa.types.is_integer(type_) or (pa.types.is_decimal(type_) and type_.scale <= _MOST_SCALE)
    if is_exact and isinstance(value, int) and np.iinfo(width).min <= value <= np.iinfo(width).max:
        return array, pa.scalar(value, whole)
    return pc.cast(array, pa.float64(), safe=False), pa.scalar(float(value))


def _read(array: pa.Array, pattern: str, type_: pa.DataType, read: Callable[[str], object]) -> pa.Array:
    """Return texts as values of a type, null where they cannot be read as one."""
    array = pc.utf8_trim_whitespace(array)
    array = pc.if_else(pc.match_substring_regex(array, f"^(?:{pattern})$"), array, pa.scalar(None, array.type))
    try:
        return pc.cast(array, type_)
    except pa.ArrowInvalid:
        # There is no such day, or Arrow does not read the number: +1.
        return pa.array([_or_none(read, text) for text in array.to_pylist()], type_)


def _or_none(read: Callable[[str], object], text: str | None) -> object:
    try:
        return None if text is None else read(text)
    except ValueError:
        return None


def _is_text(type_: pa.DataType) -> bool:
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))


def _flags(array: pa.Array) -> Mask:
    flags: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return flags
