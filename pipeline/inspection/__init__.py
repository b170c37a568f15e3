"""Looking at what lies there: at data, with its schema over all files, and at a quarantine, with its reasons.

Nothing is written or locked, and memory does not grow with the rows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from pipeline.errors import UsageError
from pipeline.execute import check_scheduler
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
    chunk_size: int | str | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
    scheduler: str | None = None,
    insecure: bool = False,
) -> DataInspection | QuarantineInspection:
    """Look at a quarantine, or at data, whether inputs or an output.

    A file that cannot be read does not hide the others: what is wrong with it is among the ``errors``. What is found is
    the same on every scheduler, with any number of workers and any budget that it fits.

    Parameters
    ----------
    path : path
        The ``_quarantine`` folder of an output, or a file of it; or a file, a folder or a pattern of Parquet and CSV.
    full : bool
        Read all data rather than the statistics in its footers; a quarantine is always read whole.
    chunk_size : int or str, optional
        With ``full``: rows (``500_000``) or bytes (``"64MiB"``) that one worker reads at a time.
    workers : int, optional
        With ``full``: one a core unless given.
    memory : int or str, optional
        With ``full``: bytes, or text such as ``"2GiB"``; half of what is free unless given.
    scheduler : str, optional
        With ``full``: ``threads`` unless given, ``processes``, ``sync`` or the address of a cluster.
    insecure : bool
        Whether an unencrypted cluster address beyond this machine is used all the same.

    Raises
    ------
    InputMissingError
        There is nothing under that name, or nothing that can be read.
    UsageError, PermissionDeniedError, StorageError
        As for any input; or an option that goes with ``full`` was given without it.
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
            raise UsageError(f"{option} is {value}: it must be at least 1")
    how = HowToScan(
        memory=f"{memory}B" if isinstance(memory, int) else memory,
        workers=workers,
        scheduler="threads" if scheduler is None else scheduler,
        insecure=insecure,
    )
    if full:
        check_scheduler(how.scheduler, insecure=insecure)
    return inspect_data(
        name, full=full, chunk_size=str(DEFAULT_CHUNK_ROWS if chunk_size is None else chunk_size), how=how
    )


def _refuse(given: Mapping[str, object], *, insecure: bool, remedy: str) -> None:
    for option, value in {**given, "insecure": insecure or None}.items():
        if value is not None:
            raise UsageError(
                f"--{option.replace('_', '-')} goes with --full, for data: nothing else reads chunks",
                remedy,
            )
