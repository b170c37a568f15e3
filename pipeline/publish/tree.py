"""The new tree: the attempts that won, each checked and linked under its final name."""

from __future__ import annotations

import re
import stat
from collections.abc import Generator, Iterable

from pipeline.errors import StorageError
from pipeline.publish import system
from pipeline.publish.files import ATTEMPT_NAME, ATTEMPTS
from pipeline.publish.manifest import PART_NAME, Part
from pipeline.publish.system import Folder
from pipeline.units import escape, quoted

_ATTEMPT_PATH = re.compile(rf"{ATTEMPTS}/([0-9]{{1,19}})/({ATTEMPT_NAME.pattern})")


def linked(staging: Folder, tree: Folder, parts: Iterable[Part], mode: int) -> Generator[Part, None, None]:
    """Link each part into the tree and yield it, one in memory at a time.

    Raises
    ------
    StorageError
        An attempt is missing, or is not the file that its receipt speaks of.
    ValueError
        Names do not ascend, or one is not a name for a part; the path of an attempt is not one.
    """
    before = ""
    with staging.enter(ATTEMPTS) as attempts:
        bucket = None
        try:
            for part in parts:
                thousand, attempt = _checked(part, before)
                if bucket is None or bucket.path.name != thousand:
                    if bucket is not None:
                        bucket.close()
                    bucket = attempts.enter(thousand)
                _settle(bucket, attempt, part, mode)
                bucket.link(attempt, tree, part.name)
                before = part.name
                yield part
        finally:
            if bucket is not None:
                bucket.close()


def _checked(part: Part, before: str) -> tuple[str, str]:
    path = _ATTEMPT_PATH.fullmatch(part.file.path)
    if path is None:
        raise ValueError(f"{quoted(part.file.path)} is not the path of an attempt")
    if not PART_NAME.fullmatch(part.name):
        raise ValueError(f"{quoted(part.name)} is not a name for a part")
    if part.name <= before:
        raise ValueError(f"{part.name} comes after {before}")
    return path.group(1), path.group(2)


def _settle(bucket: Folder, attempt: str, part: Part, mode: int) -> None:
    path = bucket.path / attempt
    descriptor = bucket.open_file(attempt, system.READ)
    try:
        status = system.status(descriptor, path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != part.file.bytes:
            raise StorageError(
                f"{escape(str(path), 1000)} has {status.st_size:,} bytes, and {part.file.bytes:,} were written",
                "something else changes files there; run again",
            )
        if stat.S_IMODE(status.st_mode) != mode:
            system.set_mode(descriptor, mode, path)
            system.sync(descriptor, path)
    finally:
        system.release(descriptor)
