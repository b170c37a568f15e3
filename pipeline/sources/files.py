"""Opening input files, and the one translation of what the system answers."""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path

from pipeline.errors import (
    DataError,
    InputChangedError,
    InputMissingError,
    LogitstreamError,
    PermissionDeniedError,
    StorageError,
    TransientError,
    UsageError,
)
from pipeline.units import escape

_MISSING = {errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG}
_DENIED = {errno.EACCES, errno.EPERM}
# A disk or a server that did not answer, and what the machine is short of at the moment. EIO of a bad block does not
# pass, but a server that comes back says the same, and to try again costs little.
_TRANSIENT = {
    errno.EIO,
    errno.EREMOTEIO,
    errno.ESTALE,
    errno.ETIMEDOUT,
    errno.EAGAIN,
    errno.EINTR,
    errno.ENFILE,
    errno.EMFILE,
    errno.ENOBUFS,
    errno.ENOMEM,
}
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def show(path: str) -> str:
    """Return a path as it may stand in a message: control characters escaped, at most 1,000 characters."""
    return escape(path, limit=1000)


def open_regular(location: str, path: str) -> int:
    """Open a regular file for reading and return its descriptor; never waits for the writer of a FIFO.

    Parameters
    ----------
    location : str
        What is opened.
    path : str
        What messages call it.

    Raises
    ------
    InputMissingError, PermissionDeniedError, StorageError
        As :func:`system_error` says.
    DataError
        It is a folder, a FIFO, a socket or a device.
    """
    try:
        descriptor = os.open(location, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket, or a device that is not there
            with suppress(OSError):
                require_regular(Path(location).stat().st_mode, path)
        raise system_error(error, path) from error
    try:
        require_regular(os.fstat(descriptor).st_mode, path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def open_planned(location: str, path: str) -> int:
    """Open a file that was there when the run was planned.

    Raises
    ------
    InputChangedError
        It is gone, or no file any more.
    PermissionDeniedError, StorageError
        As :func:`open_regular`.
    """
    try:
        return open_regular(location, path)
    except InputMissingError as error:
        raise InputChangedError(f"{show(path)} has changed since it was planned: it is gone") from error
    except (DataError, UsageError) as error:
        raise InputChangedError(f"{show(path)} has changed since it was planned: {error.message}") from error


def require_regular(mode: int, path: str) -> None:
    """Raise a :class:`DataError` unless a mode is that of a regular file."""
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        message = f"{show(path)} is {kind}; only files can be read as data"
        raise DataError(message, "Write the data to a file first; a run reads its input more than once.")


def system_error(error: OSError, path: str) -> LogitstreamError:
    """Return what an error of the system means for an input: 66 missing, 77 denied, 74 anything else.

    What may pass is a :class:`~pipeline.errors.TransientError`.
    """
    shown = show(path)
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _MISSING:
        return InputMissingError(f"no such input: {shown}")
    if error.errno in _DENIED:
        return PermissionDeniedError(f"{shown} cannot be read: {reason}", "Let the user who runs this read it.")
    if error.errno == errno.ELOOP:
        return UsageError(f"{shown} is a symbolic link that leads to itself")
    kind = TransientError if error.errno in _TRANSIENT else StorageError
    return kind(f"{shown} cannot be read: {reason}")
