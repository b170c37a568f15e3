"""Write parts as Parquet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from base64 import b64encode
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataclass import dataclass
from pipeline.errors import MemoryBudgetError
from pipeline.sinks.encoded import check_types, with_types
from pipeline.sinks.gathering import GatheredColumn, column
from pipeline.sinks.outlet import Outlet, translated
from pipeline.units import escape, format_bytes

# Where Parquet readers of Arrow find the schema that was written, and take types from that Parquet does not have.
_ARROW_SCHEMA = "ARROW:schema"
_BATCH_ROWS = 65_536


class ParquetFileSink(ABC):
    """The common end of sinks for Parquet: ``close`` writes the last row group and the footer.

    Without ``close`` the bytes are not a Parquet file. A subclass makes ``_outlet`` and ``_writer``.
    """

    _outlet: Outlet
    _writer: pq.ParquetWriter

    def close(self) -> None:
        """Write the last row group and the footer."""
        self._write_row_group()
        with translated():
            self._writer.close()
        self._outlet.check()

    def __del__(self) -> None:
        outlet = getattr(self, "_outlet", None)
        if outlet is not None:
            outlet.abandoned = True

    @abstractmethod
    def _write_row_group(self) -> None:
        """Write the rows held, if there are any."""


@dataclass(frozen=True, slots=True)
class RowGroups:
    """The row groups of a file: so many rows each, at most ``most_bytes`` while they are gathered."""

    rows: int
    most_bytes: int | None = None


class ParquetSink(ParquetFileSink):
    """Writes one Parquet file in row groups of exactly ``row_groups.rows`` rows, the last one smaller.

    The bytes depend only on schema, options and rows. A row group is joined into one piece before it is written,
    because the joints of a chunked text column would decide where Arrow begins a page. A dictionary is built again in
    the order in which its values appear (an ordered one keeps its order). Pages have checksums. Text and dictionaries
    are written with dictionary encoding; numbers are plain, which for scores is several times faster and no larger.

    A text column may come encoded: as a dictionary of text, the same one in every batch. It is written with that
    dictionary, as it is, and read as text.

    Holds at most a row group and a batch. For one thread. If a sink failed, or was not closed, its bytes are not a
    Parquet file.

    Parameters
    ----------
    file : BinaryIO
        Open for writing; stays open.
    schema : pyarrow.Schema
    row_groups : RowGroups
    compression : str
        A codec of Parquet, or ``none``.

    Raises
    ------
    StorageError
        The file cannot be written.
    DataError
        A column has more levels than the index of its dictionary type can number, or the like.
    MemoryBudgetError
        The rows of a row group take more memory than their share; the message names the widest column.
    """

    def __init__(self, file: BinaryIO, schema: pa.Schema, row_groups: RowGroups, compression: str) -> None:
        self._schema = schema
        self._row_groups = row_groups
        self._compression = compression
        self._columns: list[GatheredColumn] | None = None
        self._rows = 0
        self._outlet = Outlet(file)

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; complete row groups are written at once."""
        check_types(batch, self._schema)
        while batch.num_rows:
            head = batch.slice(0, self._row_groups.rows - self._rows)
            batch = batch.slice(head.num_rows)
            self._gather(head)
            if self._rows == self._row_groups.rows:
                self._write_row_group()

    def close(self) -> None:
        """Write the last row group and the footer."""
        if self._columns is None:
            self._open(self._schema)
        super().close()

    def _open(self, written: pa.Schema) -> list[GatheredColumn]:
        """Begin the file for columns as they come: text plain or encoded, which is text for readers either way."""
        self._written = written
        encoded = [field.type != stated.type for field, stated in zip(written, self._schema, strict=True)]
        how: dict[str, Any] = {"write_statistics": True, "store_schema": True}
        if any(encoded):
            # Of a dictionary Arrow may count levels that do not occur in the statistics, which take a third of the
            # time; in small batches the rest takes twice as long.
            plain = [field.name for field, is_encoded in zip(written, encoded, strict=True) if not is_encoded]
            how = {"write_statistics": plain, "store_schema": False, "write_batch_size": _BATCH_ROWS}
        with translated():
            self._writer = pq.ParquetWriter(
                self._outlet,
                written,
                compression=self._compression,
                use_dictionary=[field.name for field in written if _repeats(field.type)],
                write_page_checksum=True,
                **how,
            )
            if any(encoded):
                stored = {_ARROW_SCHEMA: b64encode(self._schema.serialize().to_pybytes())}
                self._writer.add_key_value_metadata((self._schema.metadata or {}) | stored)
        rows = self._row_groups.rows
        self._columns = [
            column(field, rows, is_encoded=is_encoded) for field, is_encoded in zip(written, encoded, strict=True)
        ]
        return self._columns

    def _gather(self, batch: pa.RecordBatch) -> None:
        columns = self._columns or self._open(with_types(self._schema, batch.schema.types))
        for held, array in zip(columns, batch.columns, strict=True):
            held.add(array)
        self._rows += batch.num_rows
        most = self._row_groups.most_bytes
        if most is not None and sum(held.bytes for held in columns) > most:
            raise self._too_large(columns, most)

    def _too_large(self, columns: list[GatheredColumn], most: int) -> MemoryBudgetError:
        size, name = max((held.bytes, field.name) for held, field in zip(columns, self._schema, strict=True))
        return MemoryBudgetError(
            f"column {escape(name)}: the first {self._rows:,} rows of an output row group of {self._row_groups.rows:,} "
            f"take {format_bytes(size)}, but may take only {format_bytes(most)}",
            "raise --memory, or lower --chunk-size, so that a row group has fewer rows",
        )

    def _write_row_group(self) -> None:
        """Write the rows held, column by column, so that at most one column is in memory twice."""
        if not self._rows or self._columns is None:
            return
        rows, self._rows = self._rows, 0
        table = pa.Table.from_arrays([held.take() for held in self._columns], schema=self._written)
        with translated():
            self._writer.write_table(table, row_group_size=rows)


def _repeats(type_: pa.DataType) -> bool:
    """Return whether a column is written with dictionary encoding."""
    if isinstance(type_, pa.BaseExtensionType):
        return _repeats(type_.storage_type)
    if pa.types.is_dictionary(type_):
        return True
    return bool(pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_))
