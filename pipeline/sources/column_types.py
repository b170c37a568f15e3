"""The Arrow types that ``--type`` can name, whatever the format of the file; and the type that several types share."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.units import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pipeline.choices import Role

LEVELS = pa.dictionary(pa.int32(), pa.string())
# What text is read as where no type is named.
DEFAULT_TYPES: Mapping[Role, pa.DataType] = {
    "numeric": pa.float64(),
    "boolean": pa.bool_(),
    "categorical": LEVELS,
    "sequence": pa.list_(pa.float64()),
    "kept": pa.string(),
}

_PLAIN = {
    "bool": pa.bool_(),
    **{f"{sign}int{bits}": getattr(pa, f"{sign}int{bits}")() for sign in ("", "u") for bits in (8, 16, 32, 64)},
    "float32": pa.float32(),
    "float64": pa.float64(),
    "double": pa.float64(),
    "string": pa.string(),
    "date32": pa.date32(),
    **{f"timestamp[{unit}]": pa.timestamp(unit) for unit in ("s", "ms", "us", "ns")},
    **{f"timestamp[{unit}, UTC]": pa.timestamp(unit, "UTC") for unit in ("s", "ms", "us", "ns")},
    **{f"time32[{unit}]": pa.time32(unit) for unit in ("s", "ms")},
    **{f"time64[{unit}]": pa.time64(unit) for unit in ("us", "ns")},
}
_UNITS = {"s": "", "ms": "milli", "us": "micro", "ns": "nano"}
_CHOICES = (
    "choose bool, int8 to int64, uint8 to uint64, float32, float64, string, date32, timestamp[us], time32[s], "
    "time64[us] or decimal128(12, 2)"
)
_DECIMAL = re.compile(r"decimal128\(\s*(\d{1,2})\s*,\s*(-?\d{1,2})\s*\)")


def arrow_type(name: str) -> pa.DataType:
    """Return the Arrow type that a name such as ``int64`` or ``decimal128(12, 2)`` means.

    Raises
    ------
    UsageError
        A column cannot be given this type.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    decimal = _DECIMAL.fullmatch(name)
    if decimal is not None and 1 <= int(decimal.group(1)) <= 38 and 0 <= int(decimal.group(2)) <= int(decimal.group(1)):
        return pa.decimal128(int(decimal.group(1)), int(decimal.group(2)))
    known = nearest(name, [*_PLAIN, "decimal128(12, 2)"])
    raise UsageError(f"{quoted(name)} is not a type that a column can be given{known}", _CHOICES)


def type_name(type_: pa.DataType) -> str | None:
    """Return the name that :func:`arrow_type` knows a type by, ``None`` where it knows none."""
    if pa.types.is_decimal128(type_) and 0 <= type_.scale <= type_.precision:
        return f"decimal128({type_.precision}, {type_.scale})"
    return next((name for name, named in _PLAIN.items() if named == type_), None)


def can_be_read_as(type_: pa.DataType, target: pa.DataType) -> bool:
    """Return whether some values of a type can be cast to another one, times to floats by way of integers."""
    values = pa.nulls(0, type_)
    try:
        (as_integers(values) if pa.types.is_floating(target) else values).cast(target)
    except (pa.ArrowException, ValueError):
        return False
    return True


def as_integers(array: pa.Array) -> pa.Array:
    """Return times, dates and durations as the integers that they are stored as, and any other array unchanged."""
    if not pa.types.is_temporal(array.type):
        return array
    return array.cast(pa.int32() if array.type.bit_width == 32 else pa.int64())


def unit_of(type_: pa.DataType) -> str | None:
    """Return what the integers of a type of times, dates or durations count, ``None`` for any other type."""
    if pa.types.is_date(type_):
        return "days" if pa.types.is_date32(type_) else "milliseconds"
    if not pa.types.is_temporal(type_) or pa.types.is_interval(type_):
        return None
    return f"{_UNITS[type_.unit]}seconds"


def is_rounded(name: str | None) -> bool:
    """Return whether a type that a person named rounds integers to floats: ``--type ts=float64`` is the word for it."""
    return name is not None and bool(pa.types.is_floating(arrow_type(name)))


def is_text(type_: pa.DataType) -> bool:
    """Return whether any UTF-8 is a value of the type."""
    return bool(pa.types.is_string(type_) or pa.types.is_dictionary(type_))


def is_fixed_width(type_: pa.DataType) -> bool:
    """Return whether all values of a type have the same width."""
    try:
        return bool(type_.bit_width)
    except ValueError:
        return False


def unified(types: Iterable[pa.DataType]) -> pa.DataType | None:
    """Return the narrowest type that holds every value of some types unchanged, ``None`` where there is none.

    It depends on which types there are, not on their order. Integers become a wider integer, floats a wider float,
    text and bytes the plain or the large form, bytes of a fixed length too; dictionaries become the type of their
    values, and null any type. An integer and a float have no such type: float64 does not hold every int64.
    """
    found = {type_ for type_ in types if not pa.types.is_null(type_)}
    if len(found) == 1:
        return found.pop()
    values = {type_.value_type if pa.types.is_dictionary(type_) else type_ for type_ in found}
    values = {type_ for type_ in values if not pa.types.is_null(type_)}
    if len(values) < 2:
        return values.pop() if values else pa.null()
    if all(map(pa.types.is_integer, values)):
        return _widest_integer(values)
    if all(map(pa.types.is_floating, values)):
        return max(values, key=lambda type_: type_.bit_width)
    values = {pa.binary() if pa.types.is_fixed_size_binary(type_) else type_ for type_ in values}
    for kinds, plain, large in _FORMS:
        if values <= kinds:
            return large if large in values else plain
    return None


_FORMS = (
    ({pa.string(), pa.large_string(), pa.string_view()}, pa.string(), pa.large_string()),
    ({pa.binary(), pa.large_binary(), pa.binary_view()}, pa.binary(), pa.large_binary()),
)


def _widest_integer(types: Iterable[pa.DataType]) -> pa.DataType | None:
    is_signed = {type_: pa.types.is_signed_integer(type_) for type_ in types}
    if not any(is_signed.values()):
        return max(is_signed, key=lambda type_: type_.bit_width)
    # Twice the bits hold every unsigned integer with a sign.
    bits = max(type_.bit_width if signed else 2 * type_.bit_width for type_, signed in is_signed.items())
    return _PLAIN.get(f"int{bits}")


def packed(type_: pa.DataType) -> str:
    """Return any Arrow type as text that :func:`unpacked` reads."""
    return base64.b64encode(pa.schema([pa.field("", type_)]).serialize()).decode()


@lru_cache(maxsize=1_024)
def unpacked(text: str) -> pa.DataType:
    """Return the Arrow type that :func:`packed` wrote."""
    return pa.ipc.read_schema(pa.BufferReader(base64.b64decode(text))).field(0).type
