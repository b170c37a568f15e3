"""The folder of a run: created, or opened again if an earlier run of the same job was stopped."""

from __future__ import annotations

from contextlib import ExitStack

from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.layout import Place
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.commit import can_exchange
from pipeline.publish.layout.lists import aside
from pipeline.publish.local.journal import Journal, is_newer
from pipeline.publish.local.removal import remove_strays, retire
from pipeline.publish.local.versions import keep_former
from pipeline.publish.record.names import ATTEMPTS, JOBS, PROOF, TREE
from pipeline.types.job import Conduct

_NEWER = "an unfinished run of this job was begun by a newer logitstream and cannot be resumed: starting over"


@dataclass(frozen=True, slots=True)
class Staged:
    """The open folder of a run, its journal, and sentences that tell a person how it was prepared."""

    folder: Folder
    journal: Journal
    notes: tuple[str, ...] = ()


def stage(place: Place, job_id: str, conduct: Conduct, stack: ExitStack) -> Staged:
    """Open the folder of a run, and its journal, for as long as the stack lasts.

    Raises
    ------
    OutputError
        The output exists, and the file system cannot replace it in one step.
    """
    notes: tuple[str, ...] = ()
    with place.home.enter(JOBS) as jobs:
        reopened = _reopened(place.home, jobs, job_id, stack) if conduct.resume else None
        if reopened is not None:
            folder, journal = reopened
        else:
            notes = (_NEWER,) if conduct.resume and _is_newer(jobs, job_id) else ()
            retire(place.home, job_id)
            folder = stack.enter_context(jobs.make(job_id))
        if place.version is not None and not can_exchange(folder):
            if reopened is None:
                remove(jobs, job_id)
            raise OutputError(
                f"the file system of {place.target.shown} cannot exchange two {place.version.layout.nouns} in one "
                "step, so the output cannot be replaced there",
                aside(place.target.path),
            )
    if reopened is None:
        folder.make(ATTEMPTS).close()
        journal = Journal.create(folder, job_id)
        stack.callback(journal.close)
    folder.sync()
    return Staged(folder, journal, notes)


def _is_newer(jobs: Folder, job_id: str) -> bool:
    if not is_folder(jobs, job_id):
        return False
    with jobs.enter(job_id) as folder:
        return is_newer(folder)


def _reopened(home: Folder, jobs: Folder, job_id: str, stack: ExitStack) -> tuple[Folder, Journal] | None:
    """Open the staging folder of a job again; ``None`` if there is none that can be resumed."""
    if not is_folder(jobs, job_id):
        return None
    # Healing may have failed to keep it; yesterday's version must not be lost.
    keep_former(home, jobs, job_id)
    with ExitStack() as opened:
        folder = opened.enter_context(jobs.enter(job_id))
        for name in (TREE, PROOF):
            if folder.look(name) is not None:
                # It was never finished.
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
