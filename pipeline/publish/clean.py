"""Putting away what is over: the former version is kept, the folders of ended runs go.

Only names that a run of ours makes are removed. Whatever else somebody put into our folders stays, and the folder too.
"""

from __future__ import annotations

import re
import stat
import uuid

from pipeline.errors import LogitstreamError, OutputError
from pipeline.publish import journal
from pipeline.publish.files import ATTEMPT_NAME
from pipeline.publish.manifest import MANIFEST, PART_NAME, RECEIPTS, manifest_in
from pipeline.publish.system import Folder

JOBS, VERSIONS, TREE, JOB = "jobs", "versions", "tree", "job.json"
KEPT = ".kept"

_PLAIN = "|".join(re.escape(name) for name in (JOB, journal.NAME, MANIFEST, RECEIPTS))
_OURS = re.compile(rf"{_PLAIN}|{ATTEMPT_NAME.pattern}|{PART_NAME.pattern}(?:{re.escape(KEPT)})?")


def retire(home: Folder, job_id: str) -> None:
    """Put the staging folder of a job out of the way, under a name never used again, and remove it.

    A former version that a run left there, because it was stopped right after its exchange, is kept first. What
    cannot be removed stays where it is: it does no harm, and the next publication tries again.
    """
    with home.enter(JOBS) as jobs:
        if jobs.look(job_id) is None:
            return
        _keep_former(home, jobs, job_id)
        retired = f"{job_id}.{uuid.uuid4().hex}"
        jobs.move(job_id, jobs, retired)
        remove(jobs, retired)


def sweep(home: Folder, job_id: str) -> None:
    """After a publication: keep the former version, and remove older ones and the staging folders of every job.

    The caller has the lock, so no other run is under way; a task of an ended one that still writes finds its folder
    gone. Never fails: the output stands, and what is left over goes with the next publication.
    """
    try:
        retire(home, job_id)
        with home.enter(JOBS) as jobs:
            for name in list(jobs.names()):
                remove(jobs, name)
    except LogitstreamError:
        return


def _keep_former(home: Folder, jobs: Folder, job_id: str) -> None:
    with jobs.enter(job_id) as staging:
        if staging.look(TREE) is None:
            return
        with staging.enter(TREE) as tree:
            try:
                former = manifest_in(tree).job_id
            except OutputError:
                # No version yet: the run ended while it made one.
                return
            if former == job_id:
                return
            _rename_parts(tree)
        with home.make(VERSIONS, exist_ok=True) as versions:
            _make_room(versions, jobs, former)
            staging.move(TREE, versions, former)
            for name in list(versions.names()):
                if name != former:
                    remove(versions, name)


def _rename_parts(tree: Folder) -> None:
    for name in tree.names():
        if PART_NAME.fullmatch(name) and not name.endswith(KEPT):
            tree.move(name, tree, f"{name}{KEPT}")


def _make_room(versions: Folder, jobs: Folder, name: str) -> None:
    if versions.look(name) is not None:
        versions.move(name, jobs, f"{name}.{uuid.uuid4().hex}")


def remove(parent: Folder, name: str) -> None:
    """Remove a folder of ours with what is ours in it; failing that, leave the rest."""
    try:
        with parent.enter(name) as folder:
            for entry in folder.names():
                status = folder.look(entry)
                if status is not None and stat.S_ISDIR(status.st_mode):
                    remove(folder, entry)
                elif _OURS.fullmatch(entry):
                    folder.unlink(entry)
        parent.remove_folder(name)
    except LogitstreamError:
        return
