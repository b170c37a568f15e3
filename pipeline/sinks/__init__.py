"""Write rows: one part, in one format, into a file that the caller has opened."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import UsageError
from pipeline.sinks.csv import CsvSink, is_writable
from pipeline.sinks.encoded import as_batch
from pipeline.sinks.merge import Merger
from pipeline.sinks.parquet import ParquetSink, RowGroups
from pipeline.sinks.quarantine import QuarantineSink
from pipeline.units import escape

if TYPE_CHECKING:
    from pipeline.choices import Format
    from pipeline.types.outputs import Sink

__all__ = [
    "CsvSink",
    "Merger",
    "ParquetSink",
    "QuarantineSink",
    "RowGroups",
    "as_batch",
    "check_output_schema",
    "codec_of",
    "extension",
    "open_merger",
    "open_sink",
]

_CODECS = {
    "parquet": {"snappy": "", "zstd": "", "lz4": "", "gzip": "", "brotli": "", "none": ""},
    "csv": {"none": "", "gzip": ".gz", "zstd": ".zst"},
}


def open_sink(
    format_: Format, file: BinaryIO, schema: pa.Schema, row_groups: RowGroups, compression: str | None
) -> Sink:
    """Return a sink that writes rows of a schema into an open file; the file stays open when the sink is closed.

    Parameters
    ----------
    format_ : {"parquet", "csv"}
    file : BinaryIO
        Open for writing, at its start.
    schema : pyarrow.Schema
    row_groups : RowGroups
        For a Parquet file; a CSV has none.
    compression : str or None
        For Parquet snappy, zstd, lz4, gzip, brotli or none, for CSV none, gzip or zstd; ``None`` is the default,
        snappy and none.

    Raises
    ------
    UsageError
        The format has no such compression.
    """
    codec = codec_of(format_, compression)
    if format_ == "parquet":
        return ParquetSink(file, schema, row_groups, codec)
    return CsvSink(file, schema, codec)


def open_merger(format_: Format, schema: pa.Schema, row_group_rows: int, compression: str | None) -> Merger:
    """Return the merger that joins parts into one file; parameters and errors are those of :func:`open_sink`.

    Raises
    ------
    UsageError
        Compression was asked for a CSV in one file.
    """
    codec = codec_of(format_, compression)
    if format_ == "csv" and codec != "none":
        raise UsageError(
            f"--compression {codec}: a CSV in one file is not compressed",
            "leave it out, or name a folder as the output",
        )
    return Merger(format_, schema, row_group_rows, codec)


def extension(format_: Format, compression: str | None) -> str:
    """Return the ending of the name of a part: ``parquet``, ``csv``, ``csv.gz`` or ``csv.zst``.

    Raises
    ------
    UsageError
        The format has no such compression.
    """
    return format_ + _CODECS[format_][codec_of(format_, compression)]


def check_output_schema(format_: Format, schema: pa.Schema) -> None:
    """Raise a :class:`UsageError` that names every column that cannot be written in a format."""
    fits = is_writable if format_ == "csv" else _parquet_can_hold
    unfit = [f"'{escape(field.name)}' ({escape(str(field.type))})" for field in schema if not fits(field.type)]
    if unfit:
        columns = "column" if len(unfit) == 1 else "columns"
        remedy = "leave them out of --keep" + (", or use --format parquet" if format_ == "csv" else "")
        raise UsageError(f"--format {format_} cannot hold {columns} {', '.join(unfit)}", remedy)


def codec_of(format_: Format, compression: str | None) -> str:
    """Return the compression to use: the default of the format where none is named.

    Raises
    ------
    UsageError
        The format has no such compression.
    """
    codec = compression or ("snappy" if format_ == "parquet" else "none")
    if codec not in _CODECS[format_]:
        choices = ", ".join(_CODECS[format_])
        raise UsageError(
            f"--compression {escape(codec)}: {format_} has no such compression", f"choose one of {choices}"
        )
    return codec


def _parquet_can_hold(type_: pa.DataType) -> bool:
    try:
        # Arrow makes no empty table of lists of an extension type, but writes them.
        pq.ParquetWriter(io.BytesIO(), pa.schema([("column", type_)])).close()
    except (pa.ArrowException, ValueError):
        return False
    return True
