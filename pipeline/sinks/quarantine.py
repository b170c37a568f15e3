"""Write quarantine files: the rows of a chunk that are not in the output, and what is wrong with each."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sinks.outlet import Outlet, translated
from pipeline.sinks.parquet import ParquetFileSink
from pipeline.types.rows import BadCell
from pipeline.units import MIB

# ``slice`` is the first row group (Parquet) or the first byte (CSV) of the slice in which records are counted, from 1.
SCHEMA = pa.schema(
    [
        pa.field("file", pa.string(), nullable=False),
        pa.field("slice", pa.int64(), nullable=False),
        pa.field("record", pa.int64(), nullable=False),
        pa.field("byte", pa.int64()),
        pa.field("column", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("by_policy", pa.bool_(), nullable=False),
        pa.field("cell", pa.string(), nullable=False),
        pa.field("line", pa.string()),
    ]
)

_GROUP_ROWS = 8_192
_GROUP_BYTES = 8 * MIB


class QuarantineSink(ParquetFileSink):
    """Writes rejected rows as Parquet; the bytes depend only on the rows and their order.

    Holds at most 8 MiB of text and one row more. For one thread.

    Parameters
    ----------
    file : BinaryIO
        Open for writing; stays open.

    Raises
    ------
    StorageError
        The file cannot be written.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.rows = 0
        self._held: list[dict[str, object]] = []
        self._bytes = 0
        self._outlet = Outlet(file)
        with translated():
            self._writer = pq.ParquetWriter(self._outlet, SCHEMA, compression="zstd", write_page_checksum=True)

    def add(self, path: str, start: int, cell: BadCell) -> None:
        """Add a row of a file, of the slice that begins at ``start``."""
        row = {
            "file": _text(path),
            "slice": start,
            "record": cell.record + 1,
            "byte": cell.offset,
            "column": _text(cell.column),
            "reason": _text(cell.reason),
            "by_policy": cell.by_policy,
            "cell": _text(cell.text),
            "line": None if cell.line is None else _text(cell.line),
        }
        self._held.append(row)
        self._bytes += sum(len(value) for value in row.values() if isinstance(value, str))
        self.rows += 1
        if len(self._held) >= _GROUP_ROWS or self._bytes >= _GROUP_BYTES:
            self._write_row_group()

    def _write_row_group(self) -> None:
        held, self._held, self._bytes = self._held, [], 0
        if not held:
            return
        with translated():
            self._writer.write_table(pa.Table.from_pylist(held, schema=SCHEMA), row_group_size=len(held))


def _text(text: str) -> str:
    """Return text that UTF-8 can hold: file names may contain bytes that are not text."""
    return text.encode("utf-8", "backslashreplace").decode()
