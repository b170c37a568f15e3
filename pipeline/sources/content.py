"""Planned files: opened again, digested whole, and compared with the state that was planned."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.disk import OpenFile, show
from pipeline.errors import DataError, InputChangedError, InputMissingError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pipeline.types.inputs import Identity, InputFile


# What to do where a file changes while it is used.
STILL = "run again when nothing writes to the file"

_STATE = struct.Struct("<QQqqq")
STATE_BYTES = _STATE.size
# No file system in use counts time in larger steps: FAT counts in two seconds.
_SETTLED_NS = 2_000_000_000


def state_of(status: os.stat_result) -> bytes:
    """Return what the system says of a file, in ``STATE_BYTES`` bytes: device, inode, size and the times of change.

    Whoever writes to a file, replaces it or sets its time changes the time of its inode, which nobody can set.
    """
    return _STATE.pack(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def settled_state(status: os.stat_result) -> bytes:
    """Return the state of a file that is about to be read; empty if it changed too recently.

    Such a file may be written again within the same step of the clock: then it changes, but its state does not.
    """
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return state_of(status) if age > _SETTLED_NS else b""


def open_planned(file: InputFile) -> OpenFile:
    """Open a file that existed when the run was planned.

    Raises
    ------
    InputChangedError
        It is gone, or no longer a file.
    PermissionDeniedError, StorageError
        The system refuses it.
    """
    try:
        return OpenFile.open(file.location, file.path)
    except InputMissingError as error:
        message = f"{show(file.path)} has changed since the run was planned: it is gone"
        raise InputChangedError(message, STILL) from error
    except (DataError, UsageError) as error:
        message = f"{show(file.path)} has changed since the run was planned: {error.message}"
        raise InputChangedError(message, STILL) from error


def content_digest(file: InputFile) -> str:
    """Return the SHA-256, in hexadecimal, of all bytes of a planned file, read once.

    Raises
    ------
    InputChangedError
        It is gone.
    PermissionDeniedError, StorageError
        The system refuses it.
    """
    with open_planned(file) as opened:
        return opened.sha256()


def with_content(identity: Identity, file: OpenFile, identify: Callable[[OpenFile], Identity]) -> Identity:
    """Return the identity of an open file with the digest of its content; ``identify`` returns it without.

    Raises
    ------
    InputChangedError
        The file changed meanwhile.
    """
    content = file.sha256()
    try:
        same = same_state(identify(file), identity)
    except DataError:
        same = False
    if not same:
        raise InputChangedError(f"{show(file.path)} changed while it was read for its fingerprint", STILL)
    return replace(identity, content=content)


def without_content(identity: Identity) -> Identity:
    """Return the identity without the content digest: the part that a reader compares, with no pass over the file."""
    return replace(identity, content="") if identity.content else identity


def same_state(one: Identity, other: Identity) -> bool:
    """Return whether two identities are the same, apart from the content digest."""
    return without_content(one) == without_content(other)
