"""Parts put together to one file: in order, the bytes a function of the rows alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.choices import Format
from pipeline.errors import BalanceError
from pipeline.sinks.csv import csv_header
from pipeline.sinks.outlet import translated
from pipeline.sinks.parquet import ParquetSink, RowGroups
from pipeline.units import KIB, MIB

_BATCH_ROWS = 16_384


@dataclass(frozen=True, slots=True)
class Merger:
    """Writes the rows of parts, one after the other, into one file.

    A CSV is copied byte by byte, with the header of the first part alone. Parquet is read batch by batch and written
    again in row groups of ``row_group_rows`` rows; no more than a row group and a batch is held.

    Attributes
    ----------
    format : {"parquet", "csv"}
    schema : pyarrow.Schema
        Of the parts, and of the file.
    row_group_rows : int
    codec : str
        Compression of the file; that of a CSV is ``none``.
    """

    format: Format
    schema: pa.Schema
    row_group_rows: int
    codec: str

    def __call__(self, parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
        """Merge parts that are open for reading into a file open for writing; all of them stay open.

        Raises
        ------
        BalanceError
            A part is not what its run wrote, or the parts have not ``rows`` rows.
        StorageError
            The file cannot be written, or a part cannot be read.
        """
        if self.format == "csv":
            _merge_csv(parts, file, csv_header(self.schema))
            return
        sink = ParquetSink(file, self.schema, RowGroups(self.row_group_rows), self.codec)
        found = 0
        for part in parts:
            for batch in self._batches(part):
                found += batch.num_rows
                sink.write(batch)
        if found != rows:
            raise BalanceError(f"{found:,} rows were merged, {rows:,} written")
        sink.close()

    def _batches(self, part: BinaryIO) -> Iterator[pa.RecordBatch]:
        with translated():
            reader = pq.ParquetFile(part, pre_buffer=False, buffer_size=256 * KIB, page_checksum_verification=True)
            if not reader.schema_arrow.equals(self.schema):
                raise BalanceError("a part has another schema than its run wrote")
            # No more rows than a row group has: of wide ones a batch of the usual size would not fit.
            batches = reader.iter_batches(min(_BATCH_ROWS, self.row_group_rows), use_threads=False)
        while True:
            with translated():
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def _merge_csv(parts: Iterable[BinaryIO], file: BinaryIO, header: bytes) -> None:
    file.write(header)
    for part in parts:
        if part.read(len(header)) != header:
            raise BalanceError("a part does not begin with the header that its run wrote")
        while block := part.read(MIB):
            file.write(block)
