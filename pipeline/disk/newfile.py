"""New files: written once, digested while they are written, durable when finished."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Self

from pipeline.disk.system import CREATE, Folder, close, release, set_mode, write_all

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class DigestingFile(io.FileIO):
    """Digests and counts what is written; bytes are never written twice, so it cannot seek.

    Closing it leaves the descriptor open, because its maker still has to sync it. Libraries that close what they
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
        write_all(self.fileno(), view, self._path)
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
    """A file under a name that must not exist yet, open for writing; the context manager always closes it.

    ``finish`` makes it durable, if the folder is durable. Its name is durable once the folder is synced, and the folder
    must stay open until then. Not for use by two threads at once.
    """

    def __init__(self, folder: Folder, name: str, mode: int = 0o600) -> None:
        self.path = folder.path / name
        self._folder = folder
        self._mode = mode
        self._descriptor = folder.open_file(name, CREATE)
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
        """Set the mode, sync and close; if any of them fails, the file must not be used.

        The mode comes before the sync, so that it is as durable as the data.
        """
        descriptor = self._take()
        try:
            set_mode(descriptor, self._mode, self.path)
            self._folder.sync_file(descriptor, self.path.name)
        except BaseException:
            release(descriptor)
            raise
        close(descriptor, self.path)

    def abandon(self) -> None:
        """Close without syncing, unless finished; the file stays until the folder is cleaned."""
        if self._descriptor >= 0:
            release(self._take())

    def _take(self) -> int:
        if self._descriptor < 0:
            raise ValueError(f"{self.path} is already closed")
        descriptor, self._descriptor = self._descriptor, -1
        self._file.close()
        return descriptor


def write_new(folder: Folder, name: str, content: bytes, mode: int = 0o600) -> str:
    """Write a new file, durable except for its name, and return its SHA-256 in hexadecimal."""
    with NewFile(folder, name, mode) as new:
        new.file.write(content)
        new.finish()
    return new.sha256
