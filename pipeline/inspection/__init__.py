"""Look at data, with its schema over all files, or at a quarantine, with its reasons.

Nothing is written or locked, and memory does not grow with the rows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from pipeline.errors import UsageError
from pipeline.execute import check_scheduler
from pipeline.inspection.contents import Reading
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
from pipeline.plan import DEFAULT_CHUNK_ROWS
from pipeline.scan import HowToScan
from pipeline.types.inputs import CsvOptions

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


def inspect(
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    delimiter: str = ",",
    quote: str = '"',
    escape: str | None = None,
    null: str | Sequence[str] = (),
    encoding: str = "utf-8",
    columns: str | Sequence[str] | None = None,
    skip_lines: int = 0,
    comment: str | None = None,
    types: Mapping[str, str] | None = None,
    quoted_null: bool = False,
    decimal: str = ".",
    thousands: str | None = None,
    chunk_size: int | str | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
    scheduler: str | None = None,
    insecure: bool = False,
) -> DataInspection | QuarantineInspection:
    """Return what is in data, whether inputs or an output, or in a quarantine.

    A file that cannot be read does not hide the others: its error is among the ``errors``. The result is the same on
    every scheduler, with any number of workers and any budget that the data fits.

    The options for CSV files are those of :func:`pipeline.score`. Parquet files and quarantines do not use them, except
    for ``types``, which is for the columns of both formats.

    Parameters
    ----------
    path : path
        The ``_quarantine`` folder of an output, or a file of it; or a file, a folder or a pattern of Parquet and CSV.
    full : bool
        Read all data rather than only the statistics in its footers; a quarantine is always read whole.
    delimiter, quote : str
        The character between two fields of a CSV, and the one around a field with delimiters or line ends; the
        quote ``"none"`` means that nothing is quoted.
    escape : str, optional
        The character that makes a quote, or itself, plain text if it comes before it.
    null : str or sequence of str
        Unquoted spellings of null in a CSV, besides the empty field; ``"pandas"`` stands for all that pandas takes,
        quoted or not.
    quoted_null : bool
        Whether a spelling of null is null in quotes, too.
    decimal : str
        The character before the fraction of a number in a CSV.
    thousands : str, optional
        The character between groups of three digits of a number in a CSV.
    encoding : str
        Of the text of a CSV, such as ``"cp1252"``.
    columns : sequence of str, optional
        The names of the columns, for CSV files without a header.
    skip_lines : int
        Lines of a CSV before its header.
    comment : str, optional
        The character that begins a comment: such lines before the header are skipped.
    types : mapping of str to str, optional
        The Arrow types that columns are read as (``{"id": "int64"}``); a column of a CSV is text unless it is here.
    chunk_size : int or str, optional
        With ``full``: rows (``500_000``) or bytes (``"64MiB"``) that one worker reads at a time.
    workers : int, optional
        With ``full``: one a core unless given.
    memory : int or str, optional
        With ``full``: bytes, or text such as ``"2GiB"``; half of what is free unless given.
    scheduler : str, optional
        With ``full``: ``threads`` unless given, ``processes``, ``sync`` or the address of a cluster.
    insecure : bool
        Whether to use an unencrypted cluster address outside of this machine.

    Raises
    ------
    InputMissingError
        Nothing has that name, or nothing that can be read.
    UsageError, PermissionDeniedError, StorageError
        As for any input; or an option cannot be used, or needs ``full``, or a type is for a column that no file has.
    """
    name = os.fspath(path)
    given = {"chunk_size": chunk_size, "workers": workers, "memory": memory, "scheduler": scheduler}
    files = quarantine_files(name)
    if files is not None or not full:
        _refuse(given, insecure=insecure, remedy="leave it out" if files is not None else "leave it out, or add --full")
    if files is not None:
        return inspect_quarantine(name, files)
    for option, value in {"workers": workers, "memory": memory}.items():
        if isinstance(value, int) and value < 1:
            raise UsageError(f"{option} is {value}: it must be at least 1", "give 1 or more")
    how = HowToScan(
        memory=f"{memory}B" if isinstance(memory, int) else memory,
        workers=workers,
        scheduler="threads" if scheduler is None else scheduler,
        insecure=insecure,
    )
    if full:
        check_scheduler(how.scheduler, insecure=insecure)
    csv = CsvOptions.given(
        delimiter=delimiter,
        quote=quote,
        escape=escape,
        null=null,
        encoding=encoding,
        columns=columns,
        skip_lines=skip_lines,
        comment=comment,
        types=types,
        quoted_null=quoted_null,
        decimal=decimal,
        thousands=thousands,
    )
    rows = str(DEFAULT_CHUNK_ROWS if chunk_size is None else chunk_size)
    return inspect_data(name, full=full, reading=Reading(csv, rows, how))


def _refuse(given: Mapping[str, object], *, insecure: bool, remedy: str) -> None:
    for option, value in {**given, "insecure": insecure or None}.items():
        if value is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} is only for data that is read with --full",
                remedy,
            )
