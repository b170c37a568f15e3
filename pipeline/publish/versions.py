"""Former versions: kept out of sight beside the output, the newest few of them.

    versions/<number>-<job_id>/     numbers grow; parts are renamed to *.kept, so that nobody who reads the parent of
                                    the output takes them for data; a quarantine is no data under its own name either;
                                    of an output that was one file, that file alone

Whoever is stopped on the way leaves a version under another name, or with some of its parts renamed: :func:`heal` sets
that right before anything else is done.
"""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, OutputError
from pipeline.publish.manifest import JOB_ID, PART_NAME, Manifest, manifest_in
from pipeline.publish.onefile import Proven, kept_in, proof_of, settle

JOBS, VERSIONS, TREE = "jobs", "versions", "tree"
KEPT = ".kept"
# Listing 100,000 names takes about that long.
LISTING_SECONDS = 0.1
_NAME = re.compile(rf"([0-9]{{7,18}})-({JOB_ID.pattern})")


@dataclass(frozen=True, slots=True, order=True)
class Former:
    """A former version by its name: the larger the number, the newer."""

    number: int
    name: str
    job_id: str


def formers(versions: Folder) -> list[Former]:
    """Return the former versions in a folder, the newest first."""
    matches = (_NAME.fullmatch(name) for name in versions.names())
    found = [Former(int(match[1]), match[0], match[2]) for match in matches if match]
    return sorted((former for former in found if is_folder(versions, former.name)), reverse=True)


def heal(parent: Folder, home: Folder) -> None:
    """Set right what a run or a rollback left that was stopped; the caller has the lock.

    A former version that still lies where the exchange put it is kept; kept versions get the names they should have.
    What cannot be set right stays as it is, and does no harm to a run.

    Raises
    ------
    StorageError
        The parent cannot be synced.
    """
    # The exchange that was the last thing done must hold before anything in a former version gets another name.
    parent.sync()
    with home.make(JOBS, exist_ok=True) as jobs:
        for name in list(jobs.names()):
            with suppress(LogitstreamError):
                keep_former(home, jobs, name)
    if not is_folder(home, VERSIONS):
        return
    with suppress(LogitstreamError), home.enter(VERSIONS) as versions:
        for former in formers(versions):
            with suppress(LogitstreamError):
                mend(home, versions, former)


def keep_former(home: Folder, jobs: Folder, name: str) -> None:
    """Keep the version that an exchange put into a staging folder, where there is one."""
    job_id = name.partition(".")[0]
    if not JOB_ID.fullmatch(job_id) or not is_folder(jobs, name):
        return
    with jobs.enter(name) as staging:
        if not is_folder(staging, TREE):
            return
        with staging.enter(TREE) as tree:
            settle(home, tree, job_id)
            former = job_of(home, tree)
            # Of the job itself, or of none yet: the run ended while it made a new tree.
            if former is None or former == job_id:
                return
            hide(tree)
        with home.make(VERSIONS, exist_ok=True) as versions:
            number = max((kept.number for kept in formers(versions)), default=0) + 1
            staging.move(TREE, versions, _name(number, former))


def mend(home: Folder, versions: Folder, former: Former, known: Proven | None = None) -> None:
    """Give what a former version holds its names out of sight, and the version its own; an empty one goes.

    ``known`` is the file that should lie there now, where the version is one.
    """
    with versions.enter(former.name) as folder:
        if next(folder.names(), None) is None:
            versions.remove_folder(former.name)
            return
        settle(home, folder, known=known)
        hide(folder)
        job_id = job_of(home, folder)
    if job_id is not None and job_id != former.job_id:
        versions.move(former.name, versions, _name(former.number, job_id))


def job_of(home: Folder, folder: Folder) -> str | None:
    """Return the job that made a version, ``None`` where there is no manifest that says so."""
    manifest = manifest_of(home, folder)
    return None if manifest is None else manifest.job_id


def manifest_of(home: Folder, folder: Folder) -> Manifest | None:
    """Return the manifest of a version: the one in its folder, or the one that proves its file."""
    sha256 = kept_in(folder)
    if sha256 is not None:
        return proof_of(home, sha256)
    try:
        return manifest_in(folder)
    except OutputError:
        return None


def let_listings_end(exchanged: float) -> None:
    """Wait for whoever has just listed the version that was replaced: its names are about to change.

    ``exchanged`` is when that was, by the monotonic clock.

    A reader that opened the folder before the exchange goes on listing the former version. Where names change
    meanwhile it sees some of them alone, and reads those that the new version has too.
    """
    time.sleep(max(0.0, exchanged + LISTING_SECONDS - time.monotonic()))


def hide(folder: Folder) -> None:
    """Rename the parts of a version so that nobody takes them for data."""
    for name in list(folder.names()):
        if PART_NAME.fullmatch(name) and not name.endswith(KEPT):
            _rename(folder, name, f"{name}{KEPT}")


def show(folder: Folder) -> None:
    """Give the parts of a version their names back, durable."""
    for name in list(folder.names()):
        if PART_NAME.fullmatch(name.removesuffix(KEPT)) and name.endswith(KEPT):
            _rename(folder, name, name.removesuffix(KEPT))
    folder.sync()


def _rename(folder: Folder, name: str, new_name: str) -> None:
    # Both there: somebody copied one. Neither is ours to remove.
    if folder.look(new_name) is None:
        folder.move(name, folder, new_name)


def _name(number: int, job_id: str) -> str:
    return f"{number:07d}-{job_id}"


def prune(home: Folder, jobs: Folder, keep: int) -> Iterator[str]:
    """Move all but the newest former versions to names in ``jobs`` never used again, and yield these to be removed."""
    if not is_folder(home, VERSIONS):
        return
    with home.enter(VERSIONS) as versions:
        for former in formers(versions)[keep:]:
            yield set_apart(versions, former, jobs)


def set_apart(versions: Folder, former: Former, jobs: Folder) -> str:
    """Move a former version to a name in ``jobs`` never used again, so that half of it is never taken for a version."""
    name = f"{former.job_id}.{uuid.uuid4().hex}"
    versions.move(former.name, jobs, name)
    return name
