"""Join parts into one file: in order, with bytes that depend only on the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.choices import Format
from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError
from pipeline.sinks.csv import csv_header
from pipeline.sinks.outlet import translated
from pipeline.sinks.parquet import ParquetSink, RowGroups
from pipeline.units import KIB, MIB

_BATCH_ROWS = 16_384
_AGAIN = "run again"


@dataclass(frozen=True, slots=True)
class Merger:
    """Writes the rows of parts, one after the other, into one file.

    A CSV is copied byte by byte, with only one header. Parquet is read batch by batch and written again in row groups
    of ``row_group_rows`` rows; at most a row group and a batch are in memory.

    Attributes
    ----------
    format : {"parquet", "csv"}
    schema : pyarrow.Schema
        The schema of the parts and of the file.
    row_group_rows : int
    codec : str
        Compression of the file; ``none`` for a CSV.
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
            A part is not what its run wrote, or the parts do not have ``rows`` rows.
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
            raise BalanceError(f"{found:,} rows were merged, but {rows:,} were written", _AGAIN)
        sink.close()

    def _batches(self, part: BinaryIO) -> Iterator[pa.RecordBatch]:
        with translated():
            reader = pq.ParquetFile(part, pre_buffer=False, buffer_size=256 * KIB, page_checksum_verification=True)
            if not reader.schema_arrow.equals(self.schema):
                raise BalanceError("a part has another schema than its run wrote", _AGAIN)
            # No more rows than a row group: a batch of wide rows of the usual size would not fit.
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
            raise BalanceError("a part does not begin with the header that its run wrote", _AGAIN)
        while block := part.read(MIB):
            file.write(block)
