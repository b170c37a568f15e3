"""The staging of a run: locked, prepared beside the output, and put in its place in one step.

    .<name>.logitstream/             0700, beside the output
        lock                         held while a run lives; says who holds it
        jobs/<job_id>/               one run: job.json, journal, attempts/<thousand>/..., and tree/ while publishing
        versions/<job_id>/           the version before the published one, its parts renamed to *.kept

A run that fails leaves its folder under jobs/ for whoever wants to look; it goes when the same job starts again, or
when any run publishes to this output.
"""

from __future__ import annotations

import json
import os
import socket
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import OutputError, StorageError, TemporaryError
from pipeline.publish import system
from pipeline.publish.clean import JOB, JOBS, TREE, remove, retire, sweep
from pipeline.publish.files import ATTEMPTS, write_new
from pipeline.publish.journal import Journal
from pipeline.publish.manifest import JOB_ID, Codec, Manifest, Part, aside, canonical, write_manifest, write_receipts
from pipeline.publish.output import Target, Version, find, open_parent, state_of
from pipeline.publish.system import Folder
from pipeline.publish.tree import linked
from pipeline.types import IfExists
from pipeline.units import escape

LOCK = "lock"
_HOLDER_LIMIT = 4096


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a run publishes: the output, the open folders around it, and what stood there when the run began."""

    target: Target
    parent: Folder
    home: Folder
    version: Version | None


class Staging:
    """The prepared folder of one run, under the lock. For the thread that drives the run.

    Attributes
    ----------
    directory : Path
        Absolute; workers open their attempts below it.
    file_mode : int
        Permissions of the published files: those of the version that is replaced, else 0666 less the umask.
    """

    def __init__(self, place: _Place, folder: Folder, journal: Journal, codec: Codec, job_id: str) -> None:
        self._place = place
        self._folder = folder
        self._journal = journal
        self._codec = codec
        self._job_id = job_id
        mask = system.umask()
        version = place.version
        self.directory = folder.path
        self.file_mode = 0o666 & ~mask if version is None else version.file_mode
        # Without its owner's rights a folder could not be moved to its place.
        self._folder_mode = 0o700 | (0o777 & ~mask if version is None else version.folder_mode)

    def write_job(self, content: bytes) -> tuple[Path, str]:
        """Write the job file, durable and once only; return its path and SHA-256 in hexadecimal."""
        sha256 = write_new(self._folder, JOB, content)
        self._folder.sync()
        return self.directory / JOB, sha256

    def append(self, receipt: Mapping[str, object]) -> None:
        """Append a receipt, as JSON, to the journal; synced with its group of 64 lines or 100 ms."""
        self._journal.append(canonical(receipt).decode())

    def sync(self) -> None:
        """Make every receipt so far survive a power cut: the barrier before publishing."""
        self._journal.sync()

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        """Put the parts in place of the output, all or nothing, durable on return; return the manifest's digest.

        Until the one rename the output is what it was, whatever is raised. After it, the former version is kept beside
        the output and everything staged is removed; a failure of that changes nothing and is not reported.

        Parameters
        ----------
        sections : mapping
            What the manifest proves: inputs, plan, model, options, schema, totals, as JSON.
        parts : iterable of Part
            In strictly ascending order of name; iterated over once.
        observed : mapping
            What it only notes: times, workers, peaks. Outside its digest.

        Raises
        ------
        StorageError
            An attempt is missing or has another size than its receipt says; the disk is full. After the message "is
            published, but" the new version does stand, and only its durability is unknown.
        OutputError
            Somebody put something else under the name of the output while the run was under way.
        """
        self.sync()
        with self._folder.make(TREE) as tree:
            with closing(linked(self._folder, tree, parts, self.file_mode)) as winners:
                listed = write_receipts(tree, winners, self.file_mode, self._codec)
            manifest = write_manifest(tree, self._job_id, sections, observed, listed, self.file_mode)
            tree.set_mode(self._folder_mode)
            tree.sync()
        self._folder.sync()
        self._commit()
        sweep(self._place.home, self._job_id)
        return manifest.digest

    def _commit(self) -> None:
        target, parent = self._place.target, self._place.parent
        if self._place.version is None:
            self._folder.move(TREE, parent, target.name)
        else:
            self._refuse_if_changed(self._place.version)
            self._folder.exchange(TREE, parent, target.name)
        try:
            parent.sync()
            self._folder.sync()
        except StorageError as error:
            raise StorageError(f"{target.shown} is published, but {error.message}", error.remedy) from error

    def _refuse_if_changed(self, version: Version) -> None:
        target = self._place.target
        status = self._place.parent.look(target.name)
        if status is None or state_of(status) != version.state:
            raise OutputError(f"{target.shown} was changed by somebody else during the run", aside(target.path))


@contextmanager
def open_staging(output: Path, job_id: str, *, if_exists: IfExists, codec: Codec) -> Iterator[Staging | Manifest]:
    """Lock an output and prepare a run that publishes to it.

    Yields a :class:`Staging`; or, where this very job already stands published and intact, its :class:`Manifest`, and
    there is nothing to do. The lock is released on exit in every case, and by the system if the process dies. The
    output is examined, and what the file system can do is tried out, before anything is staged.

    Raises
    ------
    OutputError
        See :func:`~pipeline.publish.output.check_output`; or ``replace`` on a file system that cannot exchange folders.
    TemporaryError
        Another run holds the lock.
    PermissionDeniedError, StorageError
        The system refuses, or cannot.
    """
    if not JOB_ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} is not a job id")
    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output))
        if parent.look(target.home_name) is None:
            # Before anything is made, so that a refusal leaves nothing beside a stranger's folder.
            find(target, parent, job_id, if_exists, codec)
        home = stack.enter_context(_open_home(target, parent))
        stack.enter_context(_locked(home, target))
        finding = find(target, parent, job_id, if_exists, codec)
        stack.enter_context(home.make(JOBS, exist_ok=True))
        if finding.same is not None:
            # The run that published it may have been stopped between its rename and this.
            parent.sync()
            sweep(home, job_id)
            yield finding.same
        else:
            place = _Place(target, parent, home, finding.version)
            yield _stage(place, job_id, codec, stack)


def _open_home(target: Target, parent: Folder) -> Folder:
    shown = escape(str(parent.path / target.home_name), 1000)
    facts = parent.look(target.home_name)
    if facts is not None and (reason := _unfit(facts)):
        raise OutputError(
            f"{shown}, in which the run would be prepared, {reason}", "set it aside, or choose another --output"
        )
    home = parent.make(target.home_name, exist_ok=True)
    try:
        # Again on the open folder: the name may have been given to another one since.
        if reason := _unfit(home.status()) or ("is a mount point" if system.is_mount_point(home.path) else ""):
            raise OutputError(f"{shown}, in which the run would be prepared, {reason}", "choose another --output")
        home.set_mode(0o700)
    except BaseException:
        home.close()
        raise
    return home


def _unfit(status: os.stat_result) -> str:
    if not stat.S_ISDIR(status.st_mode):
        return "is not a folder"
    if status.st_uid != system.user():
        return f"belongs to user {status.st_uid}, not to this one ({system.user()})"
    return ""


@contextmanager
def _locked(home: Folder, target: Target) -> Iterator[None]:
    path = home.path / LOCK
    descriptor = home.open_file(LOCK, os.O_RDWR | os.O_CREAT)
    try:
        if not system.try_lock(descriptor, path):
            holder = _holder(system.read(descriptor, _HOLDER_LIMIT, path))
            raise TemporaryError(f"{target.shown} is being published by {holder}", "run again when that has ended")
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        note = {"pid": os.getpid(), "host": socket.gethostname(), "started": started}
        system.overwrite(descriptor, json.dumps(note).encode() + b"\n", path)
        yield
    finally:
        system.release(descriptor)


def _holder(note: bytes) -> str:
    try:
        facts = json.loads(note)
        text = f"process {facts['pid']} on {facts['host']}, started {facts['started']}"
    except (ValueError, LookupError, TypeError):
        # It has the lock and has not yet written who it is.
        return "another run"
    return escape(text)


def _stage(place: _Place, job_id: str, codec: Codec, stack: ExitStack) -> Staging:
    retire(place.home, job_id)
    with place.home.enter(JOBS) as jobs:
        folder = stack.enter_context(jobs.make(job_id))
        if not _can_exchange(folder) and place.version is not None:
            remove(jobs, job_id)
            raise OutputError(
                f"the file system of {place.target.shown} cannot exchange two folders in one step, so nothing there "
                "can be replaced",
                aside(place.target.path),
            )
    folder.make(ATTEMPTS).close()
    journal = Journal(folder)
    stack.callback(journal.close)
    folder.sync()
    return Staging(place, folder, journal, codec, job_id)


def _can_exchange(folder: Folder) -> bool:
    names = "probe-1", "probe-2"
    for name in names:
        folder.make(name).close()
    able = folder.can_exchange(*names)
    for name in names:
        folder.remove_folder(name)
    return able
