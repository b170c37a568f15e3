"""Folders of Delta, Iceberg and Hudi: their log, not the folder, decides which files are data.

Files that the log has removed still lie there, so that all files together would give rows twice.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress

from pipeline import disk
from pipeline.disk import show
from pipeline.errors import DataError, LogitstreamError

_DELTA, _HUDI, _ICEBERG = "_delta_log", ".hoodie", "metadata"
_ICEBERG_FILES = (".metadata.json", ".metadata.json.gz")

_NAMES = {_DELTA: "a Delta table", _HUDI: "a Hudi table", _ICEBERG: "an Iceberg table"}
_IN_DUCKDB = "export it first, in DuckDB: COPY (FROM {scan}('{path}')) TO 'data.parquet'"
_REMEDIES = {
    _DELTA: _IN_DUCKDB.replace("{scan}", "delta_scan"),
    _ICEBERG: _IN_DUCKDB.replace("{scan}", "iceberg_scan"),
    _HUDI: "export it first, in Spark: spark.read.format('hudi').load('{path}').write.parquet('data')",
}


class Lakes:
    """Refuses folders that belong to such a table; remembers the folders above those that it has seen."""

    def __init__(self) -> None:
        self._above: set[str] = set()

    def refuse(self, location: str, entries: Iterable[os.DirEntry[str]]) -> None:
        """Raise a :class:`~pipeline.errors.DataError` if a folder with these entries is such a table."""
        names = {entry.name for entry in entries if entry.name in _NAMES}
        for log in sorted(names):
            if log != _ICEBERG or _is_iceberg(location):
                raise _refusal(location, log)

    def refuse_above(self, location: str) -> None:
        """Raise a :class:`~pipeline.errors.DataError` if a folder, or one above it, is such a table."""
        while location not in self._above:
            self._above.add(location)
            for log in _NAMES:
                if os.path.isdir(f"{location}/{log}") and (log != _ICEBERG or _is_iceberg(location)):  # noqa: PTH112
                    raise _refusal(location, log)
            location = os.path.dirname(location)  # noqa: PTH120 - a text


def _is_iceberg(location: str) -> bool:
    # Nobody has asked for what is in a folder of that name: where it may not be listed, it is another one.
    with suppress(LogitstreamError):
        folder = f"{location}/{_ICEBERG}"
        return any(entry.name.endswith(_ICEBERG_FILES) for entry in disk.entries(folder, folder))
    return False


def _refusal(location: str, log: str) -> DataError:
    shown = show(location)
    message = f"{shown} is {_NAMES[log]}: its log ({log}) decides which of its files are data, and logs are not read"
    return DataError(message, _REMEDIES[log].replace("{path}", shown))
