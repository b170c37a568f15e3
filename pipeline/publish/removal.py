"""Putting away what is over: the folders of ended runs go, and all former versions but the newest.

Only names that a run of ours makes are removed. Whatever else somebody put into our folders stays, and the folder too.
"""

from __future__ import annotations

import re
import stat
import uuid
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from contextlib import suppress

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError
from pipeline.publish import journal
from pipeline.publish.files import ATTEMPT_NAME, ATTEMPT_PATH, ATTEMPTS
from pipeline.publish.manifest import JOB_ID, MANIFEST, PART_NAME
from pipeline.publish.onefile import FILES, KEPT_FILE, MERGED, SHA256, kept_in, unsettled
from pipeline.publish.receipts import QUARANTINE_NAME, RECEIPTS
from pipeline.publish.versions import JOBS, KEPT, TREE, VERSIONS, formers, keep_former, prune

JOB_FILE = re.compile(r"job-[0-9a-f]{16}\.json(?:\.[0-9a-f]{32})?")
RETIRED = re.compile(rf"({JOB_ID.pattern})(?:\.[0-9a-f]{{32}})?")

_PLAIN = "|".join(re.escape(name) for name in (journal.NAME, MANIFEST, RECEIPTS))
_OURS = re.compile(
    rf"{_PLAIN}|{JOB_FILE.pattern}|{ATTEMPT_NAME.pattern}|{PART_NAME.pattern}(?:{re.escape(KEPT)})?"
    rf"|{QUARANTINE_NAME.pattern}|{MERGED}|{KEPT_FILE.pattern}"
)


def retire(home: Folder, job_id: str) -> None:
    """Put the staging folder of a job out of the way, under a name never used again, and remove it.

    A former version that a run left there, because it was stopped right after its exchange, is kept first. What
    cannot be removed stays where it is: it does no harm, and the next publication tries again.
    """
    with home.enter(JOBS) as jobs:
        if jobs.look(job_id) is None:
            return
        keep_former(home, jobs, job_id)
        retired = f"{job_id}.{uuid.uuid4().hex}"
        jobs.move(job_id, jobs, retired)
        remove(jobs, retired)


def sweep(home: Folder, keep_versions: int, standing: str | None = None) -> None:
    """After a publication: keep the former version, and remove older ones and the staging folders of every job.

    The caller has the lock, so no other run is under way; a task of an ended one that still writes finds its folder
    gone. Never fails: the output stands, and what is left over goes with the next publication. ``standing`` is the
    digest of the output where it is one file.
    """
    with suppress(LogitstreamError), home.enter(JOBS) as jobs:
        for name in list(jobs.names()):
            with suppress(LogitstreamError):
                discard(home, jobs, name)
        for name in prune(home, jobs, keep_versions):
            remove(jobs, name)
        forget(home, jobs, standing)


def forget(home: Folder, jobs: Folder, standing: str | None, among: Container[str] | None = None) -> None:
    """Remove what proves a file that is neither the output nor a former version.

    ``standing`` is the digest of the output; ``among`` are those that may go, all unless given. Nothing goes while
    a file lies about of which it is not known which one it is: it may be a former version that could not be put away.
    """
    if not is_folder(home, FILES) or any(_has_unsettled(jobs, name) for name in jobs.names()):
        return
    needed = {standing}
    if is_folder(home, VERSIONS):
        with home.enter(VERSIONS) as versions:
            for former in formers(versions):
                with versions.enter(former.name) as folder:
                    if unsettled(folder):
                        return
                    needed.add(kept_in(folder))
    with home.enter(FILES) as files:
        for name in list(files.names()):
            if SHA256.fullmatch(name) and name not in needed and (among is None or name in among):
                remove(files, name)


def _has_unsettled(jobs: Folder, name: str) -> bool:
    if not is_folder(jobs, name):
        return False
    with jobs.enter(name) as staging:
        if not is_folder(staging, TREE):
            return False
        with staging.enter(TREE) as tree:
            return unsettled(tree) or kept_in(tree) is not None


def discard(home: Folder, jobs: Folder, name: str) -> None:
    """Remove what lies under a name among the staging folders, if it is ours."""
    if JOB_ID.fullmatch(name):
        retire(home, name)
    elif RETIRED.fullmatch(name):
        keep_former(home, jobs, name)
        remove(jobs, name)


def remove_strays(staging: Folder, receipts: Iterable[Mapping[str, object]]) -> None:
    """Remove the attempts that no receipt lists, which only take up space; what cannot be removed stays."""
    # Of each name its digits alone, 16 bytes: a name is never used twice.
    listed: defaultdict[str, bytearray] = defaultdict(bytearray)
    for receipt in receipts:
        for facts in (receipt.get("part"), receipt.get("quarantine")):
            path = ATTEMPT_PATH.fullmatch(str(facts.get("path"))) if isinstance(facts, Mapping) else None
            if path is not None:
                listed[path[1]] += _digits(path[2])
    with suppress(LogitstreamError), staging.enter(ATTEMPTS) as attempts:
        for thousand in list(attempts.names()):
            known = listed[thousand]
            digits = {bytes(known[at : at + 16]) for at in range(0, len(known), 16)}
            with suppress(LogitstreamError), attempts.enter(thousand) as bucket:
                for name in list(bucket.names()):
                    if ATTEMPT_NAME.fullmatch(name) and _digits(name) not in digits:
                        bucket.unlink(name)


def _digits(attempt: str) -> bytes:
    return bytes.fromhex(attempt.partition("-")[2][:32])


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
