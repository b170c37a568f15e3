"""Looking at what lies there: at data, with its schema over all files, and at a quarantine, with its reasons.

Nothing is written or locked, and memory does not grow with the rows.
"""

from __future__ import annotations

import os

from pipeline.inspection.data import inspect_data
from pipeline.inspection.findings import (
    Column,
    DataInspection,
    Example,
    FileError,
    OutputFacts,
    QuarantineInspection,
    Reason,
    Value,
)
from pipeline.inspection.quarantine import inspect_quarantine, quarantine_files

__all__ = [
    "Column",
    "DataInspection",
    "Example",
    "FileError",
    "OutputFacts",
    "QuarantineInspection",
    "Reason",
    "Value",
    "inspect",
]


def inspect(path: str | os.PathLike[str], *, full: bool = False) -> DataInspection | QuarantineInspection:
    """Look at a quarantine, or at data, whether inputs or an output.

    A file that cannot be read does not hide the others: what is wrong with it stands among the ``errors``.

    Parameters
    ----------
    path : path
        The ``_quarantine`` folder of an output, or a file of it; or a file, a folder or a pattern of Parquet and CSV.
    full : bool
        Read all data rather than the statistics in its footers; a quarantine is always read whole.

    Raises
    ------
    InputMissingError
        There is nothing under that name, or nothing that can be read.
    UsageError, PermissionDeniedError, StorageError
        As for any input.
    """
    name = os.fspath(path)
    files = quarantine_files(name)
    return inspect_data(name, full=full) if files is None else inspect_quarantine(name, files)
