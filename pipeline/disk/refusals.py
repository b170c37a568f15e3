"""Errors of the system, translated into the project's errors: one way for outputs, another for inputs."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pipeline.errors import (
    InputMissingError,
    LogitstreamError,
    OutputError,
    PermissionDeniedError,
    StorageError,
    TransientError,
    UsageError,
)
from pipeline.units import escape, format_bytes

_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Errors that may pass: of a network file system, or of a table that is full for a moment.
_PASSING = frozenset(
    {errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EAGAIN, errno.EINTR, errno.ENFILE, errno.EMFILE, errno.EREMOTEIO}
)
_IN_THE_WAY = frozenset({errno.EEXIST, errno.EXDEV, errno.EBUSY})

_MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
_UNREADABLE = frozenset({errno.EACCES, errno.EPERM})
# Also what the machine is short of at the moment. EIO of a bad block does not pass, but a server that comes back gives
# the same error, and another try costs little.
_PASSING_FOR_INPUTS = _PASSING | {errno.ENOBUFS, errno.ENOMEM}

_CHECK_DISK = "check that the disk works and is mounted, then run again"


class door:  # noqa: N801 - reads as the verb of a statement
    """Turn errors of the system into the project's errors, which say what was tried on which path or name below it."""

    __slots__ = ("_action", "_name", "_path")

    def __init__(self, action: str, path: Path, name: str = "") -> None:
        self._action, self._path, self._name = action, path, name

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Translate."""
        if isinstance(error, OSError):
            path = self._path / self._name if self._name else self._path
            raise translated(error, self._action, path) from error


def translated(error: OSError, action: str, path: Path) -> LogitstreamError:
    """Return the error for something that the system refuses on an output, or next to it.

    73 something is in the way, 77 denied, 74 anything else; what may pass is a
    :class:`~pipeline.errors.TransientError`.
    """
    message = f"cannot {action} {show(str(path))}: {error.strerror or error}"
    if error.errno in _REFUSED:
        return PermissionDeniedError(message, "check the owner and the mode of the folder, and how it is mounted")
    if error.errno in _FULL:
        return StorageError(f"{message} ({_free_near(path)})", "free space or raise the quota, then run again")
    if error.errno == errno.EFBIG:
        return StorageError(message, "raise the limit on file sizes (ulimit -f) or lower --chunk-size, then run again")
    if error.errno in _IN_THE_WAY:
        return OutputError(message, "look at what is there now, then run again")
    kind = TransientError if error.errno in _PASSING else StorageError
    return kind(message, _CHECK_DISK)


def input_error(error: OSError, path: str) -> LogitstreamError:
    """Return the error for something that the system refuses on an input: 66 missing, 77 denied, 74 anything else.

    What may pass is a :class:`~pipeline.errors.TransientError`.
    """
    return _input_error(error, path).at(path)


def _input_error(error: OSError, path: str) -> LogitstreamError:
    shown = show(path)
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in _MISSING:
        return InputMissingError(f"no such input: {shown}", "check the path")
    if error.errno in _UNREADABLE:
        return PermissionDeniedError(
            f"{shown} cannot be read: {reason}", "give the user who runs logitstream permission to read it"
        )
    if error.errno == errno.ELOOP:
        return UsageError(f"{shown} is a symbolic link that leads to itself", "remove the link")
    kind = TransientError if error.errno in _PASSING_FOR_INPUTS else StorageError
    return kind(f"{shown} cannot be read: {reason}", _CHECK_DISK)


def show(path: str) -> str:
    """Return a path for a message: control characters escaped, at most 1,000 characters."""
    return escape(path, limit=1000)


def free_space(path: Path) -> int:
    """Return the bytes that this user may still write near an existing path. Raises the system's own errors."""
    facts = os.statvfs(path)
    return facts.f_bavail * facts.f_frsize


def _free_near(path: Path) -> str:
    for folder in path.parents:
        try:
            facts = os.statvfs(folder)
            # Some file systems do not count files at all.
            if facts.f_files and not facts.f_favail:
                return "it has as many files as it can hold"
            return f"{format_bytes(free_space(folder))} free for this user"
        except OSError:
            continue
    return "free space unknown"
