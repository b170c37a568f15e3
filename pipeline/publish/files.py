"""New files: written once, digested on the way, durable when they are finished."""

from __future__ import annotations

import hashlib
import io
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Self

from pipeline import disk
from pipeline.disk import Folder
from pipeline.types.outputs import PartFile

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

ATTEMPTS = "attempts"
ATTEMPT_NAME = re.compile(r"[0-9]{1,19}-[0-9a-f]{32}\.[a-z0-9.]{1,16}\.attempt")
ATTEMPT_PATH = re.compile(rf"{ATTEMPTS}/([0-9]{{1,19}})/({ATTEMPT_NAME.pattern})")
_PER_FOLDER = 1000


class DigestingFile(io.FileIO):
    """Digests and counts what is written; bytes are never written twice, so there is no seeking.

    Closing it closes nothing below: whoever made the descriptor still has to sync it. Libraries that close what they
    write to therefore do no harm.
    """

    def __init__(self, descriptor: int, path: Path) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._path = path
        self._digest = hashlib.sha256()
        self._count = 0

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of the data."""
        view = memoryview(data).cast("B")
        disk.write_all(self.fileno(), view, self._path)
        self._digest.update(view)
        self._count += len(view)
        return len(view)

    def tell(self) -> int:
        """Return the number of bytes written, also after the file was closed."""
        return self._count

    def seekable(self) -> bool:
        """Return False."""
        return False

    def seek(self, *_: object) -> NoReturn:
        """Refuse."""
        raise io.UnsupportedOperation("seek")

    def truncate(self, _size: int | None = None, /) -> NoReturn:
        """Refuse."""
        raise io.UnsupportedOperation("truncate")


class NewFile:
    """A file under a name that must not exist, open for writing; as a context manager it closes in every case.

    ``finish`` makes it durable, if the folder is; its name is durable once the folder, which stays open until then, is
    synced. Not for use by two threads at once.
    """

    def __init__(self, folder: Folder, name: str, mode: int = 0o600) -> None:
        self.path = folder.path / name
        self._folder = folder
        self._mode = mode
        self._descriptor = folder.open_file(name, disk.CREATE)
        self._file = DigestingFile(self._descriptor, self.path)
        self.file: BinaryIO = self._file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abandon()

    @property
    def bytes(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    @property
    def sha256(self) -> str:
        """SHA-256 of what was written so far, in hexadecimal."""
        return self._file.sha256

    def finish(self) -> None:
        """Set the mode, sync and close; any of them failing, the file is not to be used.

        The mode comes before the sync, so that it is as durable as the data.
        """
        descriptor = self._take()
        try:
            disk.set_mode(descriptor, self._mode, self.path)
            self._folder.sync_file(descriptor, self.path.name)
        except BaseException:
            disk.release(descriptor)
            raise
        disk.close(descriptor, self.path)

    def abandon(self) -> None:
        """Close without syncing, unless finished; the file stays for whoever cleans the folder."""
        if self._descriptor >= 0:
            disk.release(self._take())

    def _take(self) -> int:
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is already closed")
        descriptor, self._descriptor = self._descriptor, -1
        self._file.close()
        return descriptor


def write_new(folder: Folder, name: str, content: bytes, mode: int = 0o600) -> str:
    """Write a new file, durable but for its name, and return its SHA-256 in hexadecimal."""
    with NewFile(folder, name, mode) as new:
        new.file.write(content)
        new.finish()
    return new.sha256


class Attempt:
    """One try at writing the part of a chunk. As a context manager it closes what was not finished.

    An attempt that was abandoned, or whose ``finish`` failed, is a file that no receipt names: it harms nobody and goes
    when the staging folder goes. Not for use by two threads at once.
    """

    def __init__(self, staging: Path, chunk: int, extension: str, mode: int, durable: bool) -> None:
        bucket, name = attempt_name(chunk, extension)
        self._path = f"{ATTEMPTS}/{bucket}/{name}"
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
        """Make the file and its name durable, close it, and return what stands in it.

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
        """Close what is open and leave the file; nothing happens after ``finish``."""
        with self._folder:
            self._new.abandon()


def attempt_name(chunk: int, extension: str) -> tuple[str, str]:
    """Return the folder, below that of all attempts, and a name never used before for a file of a chunk."""
    name = f"{chunk}-{uuid.uuid4().hex}.{extension}.attempt"
    if not ATTEMPT_NAME.fullmatch(name):
        raise ValueError(f"chunk {chunk} and extension {extension!r} do not make a name")
    return str(chunk // _PER_FOLDER), name


def open_attempt(staging: Path, chunk: int, extension: str, mode: int = 0o600, *, durable: bool = True) -> Attempt:
    """Open a new file for the part or the quarantine of a chunk, under a name that was never used and never will be.

    Any process that sees the staging folder may call it; nothing but a new file (and the folder of a thousand that
    holds it) is made. The name ends in ``.attempt``, so that nobody who walks the parent takes it for data.

    Parameters
    ----------
    staging : Path
        ``Staging.directory`` of the run.
    chunk : int
        Number of the chunk.
    extension : str
        ``parquet``, ``csv``, ``csv.gz``, ``quarantine``: what it is going to be called, for a person who looks.
    mode : int
        Permissions that the file gets with ``finish``: ``Staging.file_mode``, so that publishing need not set them.
    durable : bool
        Whether ``finish`` syncs the file and its name.

    Raises
    ------
    StorageError
        The staging folder is gone (the run has ended), or the disk is full.
    """
    return Attempt(staging, chunk, extension, mode, durable)
