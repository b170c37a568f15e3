"""Reports as HTML files: what every one of them says, and how a failure is told."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jobs.options.command import given_words
from jobs.show import console
from pipeline import __version__
from pipeline.errors import LogitstreamError
from pipeline.pages import Fact, Page, save_page
from pipeline.report.json import utc
from pipeline.units import escape, format_bytes, format_seconds

Params = Mapping[str, Any]

# Distributions that decide what a run computes.
_LIBRARIES = ("numpy", "pyarrow", "dask")
_OWN_FACTS = {"--model", "--output", "--html", "--target", "--features", "--probability"}
_MOST_INPUTS = 20
_NAME = 1_000


def write_html(page: Page, path: str, done: str) -> None:
    """Write a report, and tell so.

    Parameters
    ----------
    page : Page
    path : str
    done : str
        What has been done by now, for the message about a report that cannot be written.

    Raises
    ------
    OutputError, StorageError, PermissionDeniedError
        It cannot be written; the former report stays.
    """
    try:
        save_page(page, path)
    except LogitstreamError as error:
        error.add_note(done)
        raise
    console.tell(f"report: {escape(path, _NAME)}")


def ran(command: str, params: Params) -> Iterator[Fact]:
    """Yield what ran: the command, its inputs, the options that were given, the time now, and the versions."""
    yield "command", f"logitstream {command}"
    inputs = params["inputs"]
    for path in inputs[:_MOST_INPUTS]:
        yield "input", path
    if len(inputs) > _MOST_INPUTS:
        yield "input", f"... {len(inputs) - _MOST_INPUTS:,} more"
    for key in ("target", "features", "model", "probability", "output"):
        if params.get(key):
            value = params[key]
            yield key, value if isinstance(value, str) else ", ".join(value)
    for name, value in given_words(params):
        if name not in _OWN_FACTS:
            yield "options", f"{name} {value}".strip()
    libraries = ", ".join(f"{name} {version(name)}" for name in _LIBRARIES)
    yield "report made", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    yield "versions", f"logitstream {__version__}, Python {platform.python_version()}, {libraries}"


def took(seconds: float, peak_bytes: int, *, started: float | None = None) -> Iterator[Fact]:
    """Yield when a run was, how long it took, and its memory."""
    if started is not None:
        yield "started", utc(started)
    yield "took", format_seconds(seconds)
    yield "peak memory", format_bytes(peak_bytes)
