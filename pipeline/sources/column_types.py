"""The Arrow types that ``--type`` can name, whatever the format of the file."""

from __future__ import annotations

import re

import pyarrow as pa

from pipeline.errors import UsageError
from pipeline.units import nearest, quoted

LEVELS = pa.dictionary(pa.int32(), pa.string())

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


def is_rounded(name: str | None) -> bool:
    """Return whether a type that a person named rounds integers to floats: ``--type ts=float64`` is the word for it."""
    return name is not None and bool(pa.types.is_floating(arrow_type(name)))


def is_text(type_: pa.DataType) -> bool:
    """Return whether any UTF-8 is a value of the type."""
    return bool(pa.types.is_string(type_) or pa.types.is_dictionary(type_))
