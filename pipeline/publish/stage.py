"""The folder of a run: made, or opened again where an earlier run of the same job was stopped."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.files import ATTEMPTS
from pipeline.publish.journal import Journal
from pipeline.publish.manifest import aside
from pipeline.publish.onefile import PROOF
from pipeline.publish.output import Version
from pipeline.publish.removal import remove, remove_strays, retire
from pipeline.publish.target import Destination
from pipeline.publish.versions import JOBS, TREE, keep_former
from pipeline.types.job import Conduct


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run publishes: the output, the open folders around it, and what stood there when the run began.

    ``standing`` is the open folder of that version, ``None`` where that is a file.
    """

    target: Destination
    parent: Folder
    home: Folder
    version: Version | None
    standing: Folder | None


def stage(place: Place, job_id: str, conduct: Conduct, stack: ExitStack) -> tuple[Folder, Journal]:
    """Open the folder of a run, and its journal, for as long as the stack lasts.

    Raises
    ------
    OutputError
        Something stands under the name of the output, and the file system cannot exchange it in one step.
    """
    with place.home.enter(JOBS) as jobs:
        reopened = _reopened(place.home, jobs, job_id, stack) if conduct.resume else None
        if reopened is not None:
            folder, journal = reopened
        else:
            retire(place.home, job_id)
            folder = stack.enter_context(jobs.make(job_id))
        if place.version is not None and not can_exchange(folder):
            if reopened is None:
                remove(jobs, job_id)
            kind = "folders" if place.version.file is None else "files"
            raise OutputError(
                f"the file system of {place.target.shown} cannot exchange two {kind} in one step, so nothing there "
                "can be replaced",
                aside(place.target.path),
            )
    if reopened is None:
        folder.make(ATTEMPTS).close()
        journal = Journal.create(folder, job_id)
        stack.callback(journal.close)
    folder.sync()
    return folder, journal


def _reopened(home: Folder, jobs: Folder, job_id: str, stack: ExitStack) -> tuple[Folder, Journal] | None:
    """Open the staging folder of a job again; ``None`` where there is none that can be gone on with."""
    if not is_folder(jobs, job_id):
        return None
    # Healing may have failed to, and must not lose yesterday's version by that.
    keep_former(home, jobs, job_id)
    with ExitStack() as opened:
        folder = opened.enter_context(jobs.enter(job_id))
        for name in (TREE, PROOF):
            if folder.look(name) is not None:
                # One that was never finished.
                remove(folder, name)
        if any(folder.look(name) is not None for name in (TREE, PROOF)) or not is_folder(folder, ATTEMPTS):
            return None
        journal = Journal.reopen(folder, job_id)
        if journal is None:
            return None
        opened.callback(journal.close)
        remove_strays(folder, (receipt for receipt, _ in journal.replayed()))
        _sync_names(folder)
        stack.enter_context(opened.pop_all())
        return folder, journal


def _sync_names(staging: Folder) -> None:
    """Make the names of all attempts durable: the run that made them may not have done so."""
    if not staging.durable:
        return
    with staging.enter(ATTEMPTS) as attempts:
        for name in list(attempts.names()):
            if is_folder(attempts, name):
                with attempts.enter(name) as bucket:
                    bucket.sync()
        attempts.sync()


def can_exchange(folder: Folder) -> bool:
    """Return whether the file system of a folder can exchange two names in one step."""
    names = "probe-1", "probe-2"
    for name in names:
        folder.make(name, exist_ok=True).close()
    able = folder.can_exchange(*names)
    for name in names:
        folder.remove_folder(name)
    return able
