"""A row of a file without lines, as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import pyarrow as pa

from pipeline.units import KIB

_BYTES = 64 * KIB


def row_text(batch: pa.RecordBatch, row: int, names: Sequence[str], known: Mapping[str, str] | None = None) -> str:
    """Return the columns of a row as JSON, cut after 64 KiB; ``known`` has the texts of values that are not there."""
    values = {name: _plain(batch.column(number)[row]) for number, name in enumerate(names)}
    return json.dumps(values | dict(known or {}), default=str, ensure_ascii=False)[:_BYTES]


def _plain(value: pa.Scalar) -> object:
    try:
        return value.as_py()
    except (ValueError, OverflowError):
        # A date after the year 9999, or nanoseconds where pandas is not installed: Python has no value for it.
        return value.cast(pa.string()).as_py()
