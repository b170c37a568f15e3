"""Planned files: opened again, digested whole, and compared with the state that was planned."""

from __future__ import annotations

import struct
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from pipeline.disk import OpenFile, mounts, show
from pipeline.errors import DataError, InputChangedError, InputMissingError, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from pipeline.types.inputs import Identity, InputFile


# What to do where a file changes while it is used.
STILL = "run again when nothing writes to the file"

_STATE = struct.Struct("<QQqqq")
STATE_BYTES = _STATE.size
# A store through a memory map sets the times of a file only where it makes a page dirty. The kernel writes dirty pages
# back after 35 seconds at most, unless it was told otherwise; the next store makes them dirty again.
_SETTLED_NS = 60_000_000_000
# They keep the time of status change themselves. NFS answers from a cache, FAT has no such time, tmpfs never writes a
# page back, and what a server or a program serves has the times that it likes.
_KEEPING_TIME = frozenset({"ext4", "xfs"})


def state_of(status: os.stat_result) -> bytes:
    """Return what the system says of a file, in ``STATE_BYTES`` bytes: device, inode, size and the times of change.

    Who writes to a file with a call of the system, replaces it, or sets its time of change, sets the time of its inode
    to that of the clock. For who writes through a memory map, see :func:`settled_state`.
    """
    return _STATE.pack(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def settled_state(status: os.stat_result) -> bytes:
    """Return the state of a file that is about to be read; empty if it changed within the last minute.

    Such a file may change again while its state stays the same: within the same step of the clock, or through a memory
    map one of whose pages is not written back yet.
    """
    age = time.time_ns() - max(status.st_mtime_ns, status.st_ctime_ns)
    return state_of(status) if age > _SETTLED_NS else b""


def device_of(state: bytes) -> int:
    """Return the number of the device that a file with a state is on."""
    return int(_STATE.unpack(state)[0])


def devices_keeping_time() -> frozenset[int]:
    """Return the numbers of the devices where the state of a file tells whether it changed: those with ext4 or xfs."""
    return frozenset(mount.device for mount in mounts() if mount.kind in _KEEPING_TIME)


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
