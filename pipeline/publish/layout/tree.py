"""The new tree: the attempts that count, each checked and linked under its final name."""

from __future__ import annotations

import stat
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from typing import Self

from pipeline import disk
from pipeline.disk import Folder
from pipeline.errors import StorageError
from pipeline.publish.record.names import ATTEMPT_PATH, ATTEMPTS, PART_NAME, QUARANTINE
from pipeline.publish.record.receipts import Part
from pipeline.types.outputs import PartFile
from pipeline.units import escape, quoted


class Tree:
    """The new tree while it is filled. As a context manager it closes the folders that it opened, not the tree itself.

    Parameters
    ----------
    staging, folder : Folder
        The folder that the attempts are in, and the tree, which is empty.
    mode, folder_mode : int
        Permissions of the files and of the folders.
    with_parts : bool
        Whether the parts are linked too, or only their quarantines.
    """

    def __init__(
        self, staging: Folder, folder: Folder, mode: int, folder_mode: int, *, with_parts: bool = True
    ) -> None:
        self._stack = ExitStack()
        self._folder = folder
        self._mode = mode
        self._folder_mode = folder_mode
        self._with_parts = with_parts
        self._attempts = self._stack.enter_context(staging.enter(ATTEMPTS))
        self._bucket: Folder | None = None
        self._quarantine: Folder | None = None
        self._stack.callback(self._leave_bucket)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def linked(self, parts: Iterable[Part]) -> Generator[Part, None, None]:
        """Link each part and its quarantine into the tree and yield it, one in memory at a time.

        Raises
        ------
        StorageError
            An attempt is missing, or is not the file in its receipt.
        ValueError
            Names are not in ascending order, or a name or a path has the wrong form.
        """
        before = ""
        for part in parts:
            if not PART_NAME.fullmatch(part.name):
                raise ValueError(f"{quoted(part.name)} is not a name for a part")
            if part.name <= before:
                raise ValueError(f"{part.name} comes after {before}")
            if self._with_parts:
                self._link(part.file, self._folder, part.name)
            if part.quarantine is not None:
                if self._quarantine is None:
                    self._quarantine = self._stack.enter_context(self._folder.make(QUARANTINE))
                self._link(part.quarantine, self._quarantine, part.quarantine_name)
            before = part.name
            yield part

    def finish(self) -> None:
        """Set the permissions of the folders and make the names in them durable."""
        for folder in (self._quarantine, self._folder):
            if folder is not None:
                folder.set_mode(self._folder_mode)
                folder.sync()

    def _link(self, file: PartFile, target: Folder, name: str) -> None:
        path = ATTEMPT_PATH.fullmatch(file.path)
        if path is None:
            raise ValueError(f"{quoted(file.path)} is not the path of an attempt")
        bucket = self._enter(path.group(1))
        _settle(bucket, path.group(2), file, self._mode)
        bucket.link(path.group(2), target, name)

    def _enter(self, thousand: str) -> Folder:
        if self._bucket is None or self._bucket.path.name != thousand:
            self._leave_bucket()
            self._bucket = self._attempts.enter(thousand)
        return self._bucket

    def _leave_bucket(self) -> None:
        bucket, self._bucket = self._bucket, None
        if bucket is not None:
            bucket.close()


def _settle(bucket: Folder, attempt: str, file: PartFile, mode: int) -> None:
    path = bucket.path / attempt
    descriptor = bucket.open_file(attempt, disk.READ)
    try:
        status = disk.status(descriptor, path)
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
            raise StorageError(
                f"{escape(str(path), 1000)} has {status.st_size:,} bytes, but {file.bytes:,} were written",
                "make sure that nothing else changes files there, then run again",
            )
        if stat.S_IMODE(status.st_mode) != mode:
            disk.set_mode(descriptor, mode, path)
            bucket.sync_file(descriptor, attempt)
    finally:
        disk.release(descriptor)
