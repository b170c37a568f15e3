"""Checks of a request before any input is read: its choices, and that its inputs and its output are apart."""

from __future__ import annotations

import fnmatch
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from pipeline import disk
from pipeline.choices import FORMAT, IF_EXISTS
from pipeline.errors import UsageError
from pipeline.execute import check_scheduler
from pipeline.flow.features import check_limits, features_of
from pipeline.sinks import extension
from pipeline.types.inputs import InputFile
from pipeline.types.job import Job
from pipeline.units import escape


def check_request(job: Job) -> None:
    """Refuse choices that do not exist, before anything is opened.

    Raises
    ------
    UsageError
        There is no such format, ``if_exists``, compression or scheduler; a limit is for what is not a feature.
    ConfigurationError, UnavailableError
        As :func:`pipeline.execute.check_scheduler` raises.
    """
    FORMAT.check(job.format)
    IF_EXISTS.check(job.if_exists)
    extension(job.format, job.compression)
    _check_file_name(job)
    check_scheduler(job.scheduler, cluster=job.cluster)
    check_limits(features_of(job), job.max_unseen, job.max_missing)


def _check_file_name(job: Job) -> None:
    suffix = next((suffix for suffix in FORMAT.words if job.output.endswith(f".{suffix}")), job.format)
    if suffix != job.format:
        raise UsageError(
            f"--output {escape(job.output)} names a {suffix} file, but --format is {job.format}",
            f"use --format {suffix}, or give the name of a folder",
        )


def check_apart(job: Job, files: Sequence[InputFile]) -> None:
    """Refuse an input inside the output, and an output that the next run would find among its inputs.

    Raises
    ------
    UsageError
        Naming both.
    """
    output = Path(job.output).resolve()
    for file in files:
        if Path(file.location).is_relative_to(output):
            raise UsageError(
                f"{escape(file.location)}: this input lies inside the output {escape(job.output)}",
                "choose another --output",
            )
    part = (*output.parts, f"part-0000000-0.{extension(job.format, job.compression)}")
    for text in job.inputs:
        mode = _mode(text)
        if stat.S_ISDIR(mode) and output.is_relative_to(Path(text).resolve()):
            raise _inside(job, text, "lies inside")
        if not mode and _leads_to(_segments(text), part):
            raise _inside(job, text, "would be found by")


def _inside(job: Job, text: str, how: str) -> UsageError:
    return UsageError(
        f"--output {escape(job.output)} {how} the input {escape(text)}: the next run would read it",
        "choose an --output outside the inputs",
    )


def _mode(text: str) -> int:
    """Return the mode of what has a name, 0 if nothing has it: then it is a pattern."""
    facts = disk.facts(text)
    return 0 if facts is None else facts.st_mode


def _segments(pattern: str) -> tuple[str, ...]:
    """Return the names of a pattern from the root; the folders before the first wildcard are resolved."""
    names = Path(os.path.abspath(pattern)).parts  # noqa: PTH100 - resolve() would follow links behind wildcards
    first = next((number for number, name in enumerate(names) if set(name) & set("*?[")), len(names))
    return (*Path(*names[:first]).resolve().parts, *names[first:])


def _leads_to(pattern: Sequence[str], names: Sequence[str]) -> bool:
    """Return whether a pattern matches a path or a folder above it."""
    if not pattern:
        return True
    if not names:
        return False
    if pattern[0] == "**":
        return len(pattern) == 1 or _leads_to(pattern[1:], names) or _leads_to(pattern, names[1:])
    return fnmatch.fnmatchcase(names[0], pattern[0]) and _leads_to(pattern[1:], names[1:])
