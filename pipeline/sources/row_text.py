"""A row of a file without lines, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.units import KIB

_BYTES = 64 * KIB
# A member of a list takes at least two bytes, so what follows is cut off.
_MEMBERS = _BYTES // 2


def row_text(batch: pa.RecordBatch, row: int, names: Sequence[str], known: Mapping[str, str] | None = None) -> str:
    """Return the columns of a row as JSON, cut after 64 KiB; ``known`` has the texts of values that are not there."""
    values = {name: _plain(batch.column(number)[row]) for number, name in enumerate(names)}
    return json.dumps(values | dict(known or {}), default=str, ensure_ascii=False)[:_BYTES]


def _plain(value: pa.Scalar) -> object:
    if isinstance(value, pa.ListScalar) and value.is_valid and len(value.values) > _MEMBERS:
        return value.values[:_MEMBERS].to_pylist()
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        # A date after the year 9999, or nanoseconds where pandas is not installed: Python has no value for it.
        return value.cast(pa.string()).as_py()
