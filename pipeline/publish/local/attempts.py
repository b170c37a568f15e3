"""Attempts: files that workers write and nothing reads until a receipt names them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO, Self

from pipeline.dataclass import dataclass
from pipeline.disk import Folder, NewFile
from pipeline.publish.record.names import ATTEMPTS, attempt_name, attempt_path
from pipeline.types.outputs import PartFile

STORE_NAME = "local"


class LocalAttempt:
    """One try at writing the part of a chunk. As a context manager it closes what was not finished.

    An attempt that was abandoned, or whose ``finish`` failed, is a file that no receipt names. Nothing uses it, and it
    is removed with the staging folder. Do not use it from two threads at once.
    """

    def __init__(self, staging: Path, chunk: int, extension: str, mode: int, durable: bool) -> None:
        bucket, name = new_attempt_name(chunk, extension)
        self._path = attempt_path(bucket, name)
        with Folder.open(staging / ATTEMPTS, durable=durable) as attempts:
            self._folder = attempts.make(bucket, exist_ok=True)
        try:
            self._new = NewFile(self._folder, name, mode)
        except BaseException:
            self._folder.close()
            raise
        self.file: BinaryIO = self._new.file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()

    def finish(self, rows: int) -> PartFile:
        """Make the file and its name durable, close it, and return its facts.

        Raises
        ------
        StorageError
            Something could not be written, synced or closed. The attempt is lost; another one may be made.
        """
        with self._folder:
            self._new.finish()
            self._folder.sync()
        return PartFile(self._path, self._new.bytes, self._new.sha256, rows)

    def abandon(self) -> None:
        """Close what is open and leave the file. Does nothing after ``finish``."""
        with self._folder:
            self._new.abandon()


def open_attempt(staging: Path, chunk: int, extension: str, mode: int = 0o600, *, durable: bool = True) -> LocalAttempt:
    """Open a new file for the part or the quarantine of a chunk, under a name that is used only once.

    Any process that can reach the staging folder may call it; it only creates the file and the subfolder for a thousand
    chunks. The name ends in ``.attempt``, so that no reader of the parent folder takes it for data.

    Parameters
    ----------
    staging : Path
        The staging folder of the run.
    chunk : int
        Number of the chunk.
    extension : str
        ``parquet``, ``csv``, ``csv.gz`` or ``quarantine``. Tells a person what the file will become.
    mode : int
        Permissions that ``finish`` gives the file, so that publishing need not set them.
    durable : bool
        Whether ``finish`` syncs the file and its name.

    Raises
    ------
    StorageError
        The staging folder is gone (the run has ended), or the disk is full.
    """
    return LocalAttempt(staging, chunk, extension, mode, durable)


def new_attempt_name(chunk: int, extension: str) -> tuple[str, str]:
    """Return the subfolder of ``attempts``, and a name in it never used before, for a file of a chunk."""
    return attempt_name(chunk, extension, uuid.uuid4().hex)


@dataclass(frozen=True, slots=True)
class LocalAttempts:
    """Opens attempts for workers that see the same file system.

    Attributes
    ----------
    folder : str
        Absolute path of the staging folder.
    file_mode : int
        Permissions that ``finish`` gives files, so that publishing need not set them.
    durable : bool
        Whether ``finish`` syncs a file and its name.
    """

    folder: str
    file_mode: int
    durable: bool

    def open(self, chunk: int, extension: str) -> LocalAttempt:
        """Open a new file under a name that is used only once; see :func:`open_attempt`."""
        return open_attempt(Path(self.folder), chunk, extension, self.file_mode, durable=self.durable)

    def describe(self) -> dict[str, object]:
        """Return a JSON description from which :func:`restored` makes an equal object."""
        return {"store": STORE_NAME, **asdict(self)}


def restored(described: Mapping[str, object]) -> LocalAttempts:
    """Return the attempts that were described.

    Raises
    ------
    ValueError
        The description does not fit this store.
    """
    match described:
        case {"store": "local", "folder": str(folder), "file_mode": int(file_mode), "durable": bool(durable)}:
            return LocalAttempts(folder, file_mode, durable)
    raise ValueError(f"these are not attempts of the local store: {sorted(described)}")
