"""Inputs: files read at any offset, and the names in folders. Nothing here waits, writes or locks."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Self

from pipeline.disk.refusals import input_error, show
from pipeline.errors import DataError, InputMissingError
from pipeline.units import MIB

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


class OpenFile:
    """A regular file, open for reading at any offset; may be shared between threads while it is open.

    Every method is one system call, unless it says otherwise; errors of the system are translated by
    :func:`~pipeline.disk.input_error`. The context manager closes the descriptor.

    Attributes
    ----------
    descriptor : int
        For libraries that read on their own.
    path : str
        The name of the file in messages.
    """

    __slots__ = ("descriptor", "path")

    def __init__(self, descriptor: int, path: str) -> None:
        self.descriptor = descriptor
        self.path = path

    @classmethod
    def open(cls, location: str, path: str) -> Self:
        """Open the regular file at a location; never waits for the writer of a FIFO.

        Raises
        ------
        InputMissingError, PermissionDeniedError, StorageError
            As :func:`~pipeline.disk.input_error` says.
        DataError
            It is a folder, a FIFO, a socket or a device.
        """
        try:
            descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            if error.errno == errno.ENXIO:  # a socket, or a device that is not there
                with suppress(OSError):
                    require_regular(Path(location).stat().st_mode, path)
            raise input_error(error, path) from error
        file = cls(descriptor, path)
        try:
            require_regular(file.status().st_mode, path)
        except BaseException:
            file.close()
            raise
        return file

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def status(self) -> os.stat_result:
        """Return the facts of the file as they are now."""
        try:
            return os.fstat(self.descriptor)
        except OSError as error:
            raise input_error(error, self.path) from error

    def read_at(self, size: int, offset: int) -> bytes:
        """Return at most ``size`` bytes from an offset; empty past the end."""
        try:
            return os.pread(self.descriptor, size, offset)
        except OSError as error:
            raise input_error(error, self.path) from error

    def read_into(self, view: memoryview, offset: int) -> int:
        """Fill the beginning of a view from an offset and return how many bytes that was; 0 only past the end."""
        try:
            return os.preadv(self.descriptor, [view], offset)
        except OSError as error:
            raise input_error(error, self.path) from error

    def mapped(self, size: int, offset: int) -> memoryview:
        """Return ``size`` bytes from an offset in the memory of the page cache, freed with the last reference to it.

        The file must be one that nobody changes: bytes that are cut off while they are mapped end the process.
        """
        start = offset - offset % mmap.ALLOCATIONGRANULARITY
        try:
            pages = mmap.mmap(self.descriptor, offset + size - start, prot=mmap.PROT_READ, offset=start)
        except (OSError, ValueError) as error:
            raise input_error(error if isinstance(error, OSError) else OSError(str(error)), self.path) from error
        return memoryview(pages)[offset - start :]

    def read_range(self, size: int, offset: int) -> bytes:
        """Return ``size`` bytes from an offset, fewer only at the end, in as many calls as needed."""
        parts = []
        while size > 0 and (part := self.read_at(size, offset)):
            parts.append(part)
            size -= len(part)
            offset += len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def sha256(self, start: int = 0, stop: int | None = None) -> str:
        """Return the SHA-256, in hexadecimal, of a range of bytes, in calls of 1 MiB.

        Without ``stop`` it ends where the file ends now: a file that keeps growing has no other end.
        """
        stop = self.status().st_size if stop is None else stop
        digest = hashlib.sha256()
        while start < stop and (block := self.read_at(min(MIB, stop - start), start)):
            digest.update(block)
            start += len(block)
        return digest.hexdigest()


def require_regular(mode: int, path: str) -> None:
    """Raise a :class:`~pipeline.errors.DataError` unless a mode is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "not a regular file")
        message = f"{show(path)} is {kind}; only files can be read as data"
        raise DataError(message, "write the data to a file first: a run reads its input more than once")


def mode_of(location: str, path: str) -> int | None:
    """Return the mode of what is at a location, links followed; ``None`` where nothing is there.

    Raises
    ------
    PermissionDeniedError, StorageError, UsageError
        As :func:`~pipeline.disk.input_error` says.
    """
    try:
        return Path(location).stat().st_mode
    except OSError as error:
        refusal = input_error(error, path)
        if isinstance(refusal, InputMissingError):
            return None
        raise refusal from error


def entries(location: str, path: str) -> list[os.DirEntry[str]]:
    """Return the entries of a folder, in no order; errors are those of :func:`~pipeline.disk.input_error`."""
    try:
        with os.scandir(location) as found:
            return list(found)
    except OSError as error:
        raise input_error(error, path) from error
