"""Find the input files, and read their rows as record batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.sources.content import content_digest
from pipeline.sources.csv.source import CsvSource
from pipeline.sources.discovery import Discovery, discover
from pipeline.sources.parquet.footer import forget_footers
from pipeline.sources.parquet.source import THREADED_ROWS, ParquetSource
from pipeline.sources.reaching import check_reached
from pipeline.sources.row_text import row_text

if TYPE_CHECKING:
    from pipeline.choices import Format
    from pipeline.types.inputs import CsvOptions
    from pipeline.types.sources import Source

__all__ = [
    "THREADED_ROWS",
    "CsvSource",
    "Discovery",
    "ParquetSource",
    "check_reached",
    "content_digest",
    "discover",
    "forget_footers",
    "row_text",
    "source_for",
]


def source_for(format_: Format, csv: CsvOptions, *, column_threads: bool = False) -> Source:
    """Return the source that reads files of a format; ``csv`` is used for CSV only, ``column_threads`` for Parquet."""
    return ParquetSource(column_threads) if format_ == "parquet" else CsvSource(csv)
