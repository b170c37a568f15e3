"""Look at data, with its schema over all files, or at a quarantine, with its reasons.

Nothing is written or locked, and memory does not grow with the rows.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Unpack, cast

from pipeline.errors import UsageError
from pipeline.execute import choose_scheduler
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
from pipeline.logs import logged
from pipeline.options import InspectOptions, ReadOptions, SchedulerOptions, check_names, completed, documented
from pipeline.plan import DEFAULT_CHUNK_ROWS
from pipeline.scan import HowToScan
from pipeline.schedulers import ClusterWishes
from pipeline.types.inputs import CsvOptions
from pipeline.types.report import Noted

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


@documented(InspectOptions)
def inspect(
    path: str | os.PathLike[str],
    *,
    full: bool = False,
    chunk_size: int | str | None = None,
    workers: int | None = None,
    memory: int | str | None = None,
    observe: Callable[[Noted], None] | None = None,
    **options: Unpack[InspectOptions],
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
    chunk_size : int or str, optional
        With ``full``: rows (``500_000``) or bytes (``"64MiB"``) that one worker reads at a time.
    workers : int, optional
        With ``full``: one a core unless given.
    memory : int or str, optional
        With ``full``: bytes, or text such as ``"2GiB"``; half of what is free unless given.
    observe : callable, optional
        With ``full``: called with what a person should know of a cluster meanwhile, such as where its dashboard is.
    **options : InspectOptions

    Raises
    ------
    TypeError
        There is no such option, or it is of another type.
    InputMissingError
        Nothing has that name, or nothing that can be read.
    UsageError, PermissionDeniedError, StorageError
        As for any input; or an option cannot be used, or needs ``full``, or a type is for a column that no file has.
    """
    check_names(options, InspectOptions)
    name = os.fspath(path)
    where = {name: options.pop(name) for name in SchedulerOptions.__annotations__ if name in options}  # type: ignore[misc]
    given = {"chunk_size": chunk_size, "workers": workers, "memory": memory, **where}
    files = quarantine_files(name)
    if files is not None or not full:
        _refuse(given, remedy="leave it out" if files is not None else "leave it out, or add --full")
    if files is not None:
        return inspect_quarantine(name, files)
    for option, value in {"workers": workers, "memory": memory}.items():
        if isinstance(value, int) and value < 1:
            raise UsageError(f"{option} is {value}: it must be at least 1", "give 1 or more")
    scheduler, cluster = choose_scheduler(completed(where)) if full else ("threads", ClusterWishes())
    how = HowToScan(
        memory=f"{memory}B" if isinstance(memory, int) else memory,
        workers=workers,
        scheduler=scheduler,
        cluster=cluster,
        command="inspect",
    )
    csv = CsvOptions.given(**cast("ReadOptions", options))
    rows = str(DEFAULT_CHUNK_ROWS if chunk_size is None else chunk_size)
    return inspect_data(
        name, full=full, reading=Reading(csv, rows, how, logged("inspect", observe or _nobody, attrgetter("text")))
    )


def _nobody(_: Noted) -> None:
    """Tell nobody."""


def _refuse(given: Mapping[str, object], *, remedy: str) -> None:
    for option, value in given.items():
        if value is not None and value is not False:
            raise UsageError(
                f"--{option.replace('_', '-')} is only for data that is read with --full",
                remedy,
            )
