"""How rows come in: finding the input files, and reading them as record batches."""

from __future__ import annotations

from pipeline.sources.discovery import Discovery, discover
from pipeline.sources.parquet import ParquetSource

__all__ = ["Discovery", "ParquetSource", "discover"]
