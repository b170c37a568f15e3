"""A row as text, in place of the line that a Parquet file does not have."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from pipeline.units import KIB

_LINE_BYTES = 64 * KIB


def row_text(batch: pa.RecordBatch, row: int, names: Sequence[str]) -> str:
    """Return the needed columns of a row as JSON, in place of a line where the file has none."""
    values = {name: batch.column(number)[row].as_py() for number, name in enumerate(names)}
    return json.dumps(values, default=str, ensure_ascii=False)[:_LINE_BYTES]
