"""The folder next to an output, and its lock: one run at a time."""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pipeline import disk
from pipeline.disk import Folder
from pipeline.errors import OutputError, TemporaryError
from pipeline.publish.facts import Busy
from pipeline.publish.layout.target import Destination
from pipeline.publish.record.names import LOCK
from pipeline.publish.store import nothing
from pipeline.types.job import Conduct
from pipeline.units import escape, format_seconds

_HOLDER_LIMIT = 4096
# A command that only checks whether a run is under way holds the lock for an instant.
_PATIENCE = 0.1
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH = 0.02, 1.0, 1.5


def open_home(target: Destination, parent: Folder) -> Folder:
    """Open the folder next to the output, and create it if there is none."""
    facts = parent.look(target.home_name)
    if facts is not None:
        _refuse_unfit(target, facts)
    home = parent.make(target.home_name, exist_ok=True)
    try:
        # Checked again on the open folder: another one may have taken the name since.
        _refuse_unfit(target, home.status())
        if disk.is_mount_point(home.path):
            raise _unfit(target, "is a mount point")
        home.set_mode(0o700)
    except BaseException:
        home.close()
        raise
    return home


def _refuse_unfit(target: Destination, status: os.stat_result) -> None:
    if not stat.S_ISDIR(status.st_mode):
        raise _unfit(target, "is not a folder")
    if status.st_uid != disk.user():
        raise _unfit(target, f"belongs to user {status.st_uid}, and you are user {disk.user()}")


def _unfit(target: Destination, reason: str) -> OutputError:
    shown = escape(str(target.parent / target.home_name), 1000)
    return OutputError(f"{shown} {reason}: no run can be prepared in it", "move it aside, or use another output name")


@contextmanager
def locked(
    home: Folder,
    target: Destination,
    conduct: Conduct,
    *,
    job_id: str | None = None,
    while_waiting: Callable[[], None] = nothing,
) -> Iterator[Busy | None]:
    """Hold the lock of an output; yields ``None``, or who holds it if the conduct says to skip in that case.

    The lock belongs to the open file, which no child process inherits. The file itself stays.

    Raises
    ------
    TemporaryError
        Another run holds it, and the conduct says not to wait, or the time to wait is over.
    """
    path = home.path / LOCK
    descriptor = home.open_file(LOCK, os.O_RDWR | os.O_CREAT)
    try:
        patience = conduct.wait_seconds if conduct.if_running == "wait" else _PATIENCE
        if _taken(descriptor, home, patience, while_waiting):
            started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            note = {"pid": os.getpid(), "host": socket.gethostname(), "started": started, "job_id": job_id}
            disk.overwrite(descriptor, json.dumps(note).encode() + b"\n", path)
            yield None
            return
        busy = _busy(target, disk.read(descriptor, _HOLDER_LIMIT, path))
        if conduct.if_running != "skip":
            raise _refusal(busy, conduct)
        yield busy
    finally:
        disk.release(descriptor)


def _taken(descriptor: int, home: Folder, patience: float | None, while_waiting: Callable[[], None]) -> bool:
    started, pause = time.monotonic(), _FIRST_PAUSE
    while not disk.try_lock(descriptor, home.path / LOCK):
        while_waiting()
        left = pause if patience is None else started + patience - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(pause, left))
        pause = min(pause * _GROWTH, _LONGEST_PAUSE)
    return True


def _refusal(busy: Busy, conduct: Conduct) -> TemporaryError:
    waited = conduct.wait_seconds if conduct.if_running == "wait" else None
    text = busy.text if waited is None else f"{busy.text}, still after {format_seconds(waited)}"
    return TemporaryError(text, "run again when it has ended")


def _busy(target: Destination, note: bytes) -> Busy:
    try:
        facts = json.loads(note)
        pid, host, started, job_id = int(facts["pid"]), facts["host"], facts["started"], facts.get("job_id")
        # Also of a job id: nothing but text comes from the file.
        if not isinstance(host, str) or not isinstance(started, str) or not isinstance(job_id, str | None):
            raise TypeError
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        # It has the lock but has not yet written who it is.
        return Busy(f"{target.shown} is being published by another run")
    by = escape(f"process {pid} on {host}, started {started}")
    return Busy(f"{target.shown} is being published by {by}", pid, host, started, job_id)


def holder(home: Folder, target: Destination) -> Busy | None:
    """Return who holds the lock of an output now, ``None`` if nobody does; nothing is created or changed."""
    status = home.look(LOCK)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    path = home.path / LOCK
    descriptor = home.open_file(LOCK, disk.READ)
    try:
        if disk.try_lock(descriptor, path, shared=True):
            return None
        return _busy(target, disk.read(descriptor, _HOLDER_LIMIT, path))
    finally:
        disk.release(descriptor)
