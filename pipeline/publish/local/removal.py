"""Cleaning up: the folders of ended runs are removed, and all previous versions but the newest.

Only files with names that logitstream uses are removed. Other files in its folders stay, and then the folder stays too;
so does what a newer logitstream has published.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Container, Generator, Iterable, Mapping
from contextlib import closing, suppress

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError
from pipeline.publish.layout import LAYOUTS
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.formers import formers
from pipeline.publish.local.versions import keep_former, prune
from pipeline.publish.record.names import (
    ATTEMPT_NAME,
    ATTEMPT_PATH,
    ATTEMPTS,
    JOB_ID,
    JOBS,
    STAGING_NAME,
    TREE,
    VERSIONS,
)


def retire(home: Folder, job_id: str) -> None:
    """Move the staging folder of a job to a name never used again, and remove it.

    A run that was stopped right after its exchange left a previous version there; that is kept first. What cannot be
    removed stays, and the next publication tries again.
    """
    with home.enter(JOBS) as jobs:
        if jobs.look(job_id) is None:
            return
        keep_former(home, jobs, job_id)
        retired = f"{job_id}.{uuid.uuid4().hex}"
        jobs.move(job_id, jobs, retired)
        remove(jobs, retired)


def sweep(home: Folder, keep_versions: int, published: str | None) -> None:
    """After a publication, keep the previous version, and remove older ones and the staging folders of every job.

    The caller has the lock, so no other run is under way; a task of an ended run that still writes finds its folder
    gone. Never fails: the output is published, and the next publication removes what is left over. ``published`` is
    the name of the proof of the output in ``files``.
    """
    with suppress(LogitstreamError), home.enter(JOBS) as jobs:
        for name in list(jobs.names()):
            with suppress(LogitstreamError):
                discard(home, jobs, name)
        for name in prune(home, jobs, keep_versions):
            remove(jobs, name)
        forget(home, jobs, published)


def forget(home: Folder, jobs: Folder, published: str | None, among: Container[str] | None = None) -> None:
    """Remove the proofs of what is neither the output nor a previous version.

    ``published`` is the name of the proof of the output; ``among`` are those that may be removed, all unless given.
    """
    for layout in LAYOUTS:
        with closing(_unfinished(jobs)) as unfinished, closing(_kept(home)) as kept:
            layout.forget(home, unfinished, kept, published, among)


def _unfinished(jobs: Folder) -> Generator[Folder, None, None]:
    for name in jobs.names():
        if not is_folder(jobs, name):
            continue
        with jobs.enter(name) as staging:
            if is_folder(staging, TREE):
                with staging.enter(TREE) as tree:
                    yield tree


def _kept(home: Folder) -> Generator[Folder, None, None]:
    if not is_folder(home, VERSIONS):
        return
    with home.enter(VERSIONS) as versions:
        for former in formers(versions):
            with versions.enter(former.name) as folder:
                yield folder


def discard(home: Folder, jobs: Folder, name: str) -> None:
    """Remove a staging folder by its name, if logitstream uses such names."""
    if JOB_ID.fullmatch(name):
        retire(home, name)
    elif STAGING_NAME.fullmatch(name):
        keep_former(home, jobs, name)
        remove(jobs, name)


def remove_strays(staging: Folder, receipts: Iterable[Mapping[str, object]]) -> None:
    """Remove the attempts that no receipt lists, which only take up space; what cannot be removed stays."""
    # Only the hexadecimal digits of each name are held, 16 bytes: a name is never used twice.
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
