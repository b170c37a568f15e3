"""The smallest and the largest value of a column, for one piece and for several pieces together."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.inspection.findings import Value
from pipeline.scan import order

_NUMBER, _TEXT = "number", "text"
_SHOWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class Bound:
    """A value; values of one ``kind`` can be compared by ``order``, whatever their types."""

    kind: str
    order: Any
    value: Value


@dataclass(frozen=True, slots=True)
class Extent:
    """The range of some values; empty if there are none, unknown unless ``known``."""

    known: bool = True
    smallest: Bound | None = None
    largest: Bound | None = None

    def plus(self, other: Extent) -> Extent:
        """Return the range of both; unknown if one of them is, or if their values cannot be compared."""
        if not self.known or not other.known:
            return UNKNOWN
        if self.smallest is None or self.largest is None:
            return other
        if other.smallest is None or other.largest is None:
            return self
        if self.smallest.kind != other.smallest.kind:
            return UNKNOWN
        return Extent(
            True,
            min(self.smallest, other.smallest, key=lambda bound: bound.order),
            max(self.largest, other.largest, key=lambda bound: bound.order),
        )


EMPTY = Extent()
UNKNOWN = Extent(known=False)


def extent_between(smallest: pa.Scalar | None, largest: pa.Scalar | None) -> Extent:
    """Return the range between two values of one type; empty without values."""
    if smallest is None or largest is None or not smallest.is_valid or not largest.is_valid:
        return EMPTY
    low, high = _bound(smallest), _bound(largest)
    return EMPTY if _is_nan(low.value) or _is_nan(high.value) else Extent(True, low, high)


def extent_of(array: pa.Array) -> Extent:
    """Return the range of the values of an array that are neither null nor NaN; unknown if they have no order."""
    type_ = array.type
    if pa.types.is_null(type_):
        return EMPTY
    try:
        if pa.types.is_dictionary(type_):
            return extent_of(array.dictionary_decode())
        if pa.types.is_float16(type_):
            array = array.cast(pa.float32())
        elif pa.types.is_duration(type_):
            array = array.cast(pa.int64())
        elif pa.types.is_string_view(type_) or pa.types.is_binary_view(type_):
            array = array.cast(pa.large_binary())
        found = pc.min_max(array)
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return UNKNOWN
    ends = found["min"], found["max"]
    if pa.types.is_duration(type_):
        ends = pa.scalar(ends[0].as_py(), type_), pa.scalar(ends[1].as_py(), type_)
    return extent_between(*ends)


def extent_of_text(text: str) -> Extent:
    """Return the range of one text."""
    bound = _bound(pa.scalar(text.encode("utf-8", "backslashreplace"), pa.binary()))
    return Extent(True, bound, bound)


def _bound(scalar: pa.Scalar) -> Bound:
    key = order(scalar)
    if isinstance(key, bytes):
        # The first bytes of a long text are enough to compare and to show.
        return Bound(_TEXT, key[:_SHOWN_BYTES], _text(key))
    if pa.types.is_temporal(scalar.type):
        return Bound(str(scalar.type), key, _time(scalar))
    return Bound(_NUMBER, key, str(key) if isinstance(key, Decimal) else key)


def _text(text: bytes) -> str:
    if len(text) <= _SHOWN_BYTES:
        return text.decode("utf-8", "backslashreplace")
    return f"{text[:_SHOWN_BYTES].decode('utf-8', 'ignore')}…"


def _time(scalar: pa.Scalar) -> str:
    type_ = scalar.type
    if pa.types.is_duration(type_):
        return f"{scalar.value} {type_.unit}"
    try:
        if pa.types.is_timestamp(type_) and type_.tz is not None:
            # Stored as UTC, whatever zone it is shown in.
            return f"{pa.scalar(scalar.value, pa.timestamp(type_.unit)).cast(pa.string()).as_py()} UTC"
        return str(scalar.cast(pa.string()).as_py())
    except pa.ArrowException:
        return f"{scalar.value} {type_}"


def _is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)
