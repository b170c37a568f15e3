"""The one JSON document that a command writes to stdout with ``--json``: its outcome, or the error that ended it."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence

from jobs.show import console
from pipeline.dataclass import dataclass
from pipeline.errors import LogitstreamError, StorageError
from pipeline.report.json import error_json


@dataclass
class _Wish:
    """Whether JSON is asked for and written, and when the command line began."""

    wanted: bool = False
    written: bool = False
    started_unix: float = 0.0


# As stdout is: one for the process.
_wish = _Wish()


def begin(words: Sequence[str]) -> None:
    """Begin a command line: an error of it is written as JSON if ``--json`` is among the words."""
    _wish.wanted = "--json" in words
    _wish.written = False
    _wish.started_unix = time.time()


def want() -> None:
    """Note that JSON is asked for: on the command line, in the environment or in a file."""
    _wish.wanted = True


def write(value: Mapping[str, object]) -> None:
    """Write the outcome of a command."""
    # First: where stdout takes no text, there is no use in trying again.
    _wish.written = True
    console.emit(json.dumps(value, indent=2))


def write_error(error: BaseException, kind: str, message: str, remedy: str, exit_code: int) -> None:
    """Write the error that ended a command, where JSON was asked for and no outcome has been written."""
    if not _wish.wanted or _wish.written:
        return
    told = LogitstreamError(message, remedy)
    if isinstance(error, LogitstreamError):
        told.at(error.file, column=error.column, row=error.row, byte=error.byte)
    started, now = _wish.started_unix, time.time()
    try:
        write(error_json(told, kind, exit_code, started_unix=started, finished_unix=now))
    except StorageError as refused:
        console.complain(refused.message)
