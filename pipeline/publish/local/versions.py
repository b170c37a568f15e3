"""Previous versions: the newest few are kept out of sight next to the output.

    versions/<number>-<job_id>/     numbers grow; the layout decides what is in it and how it is hidden

A run that is stopped part-way may leave a version under another name, or half hidden: :func:`heal` sets that right
before anything else is done. What a newer logitstream made stays as it is.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, NewerOutputError
from pipeline.publish.layout import Version, layout_in
from pipeline.publish.layout.formers import Former, formers
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import JOB_ID, JOBS, TREE, VERSIONS, version_name


def heal(parent: Folder, home: Folder) -> None:
    """Set right what a stopped run or rollback left behind; the caller has the lock.

    A previous version that is still where the exchange put it is kept, and kept versions get the names they should
    have. What cannot be set right stays as it is, and does no harm to a run.

    Raises
    ------
    StorageError
        The parent cannot be synced.
    """
    # The last exchange must be durable before anything in a previous version gets another name.
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
    """Keep the version that an exchange put into a staging folder, if there is one.

    Raises
    ------
    NewerOutputError
        A newer logitstream made what is there; nothing was touched.
    """
    job_id = name.partition(".")[0]
    if not JOB_ID.fullmatch(job_id) or not is_folder(jobs, name):
        return
    with jobs.enter(name) as staging:
        if not is_folder(staging, TREE):
            return
        with staging.enter(TREE) as tree:
            layout = layout_in(tree)
            layout.settle(home, tree, job_id, None)
            manifest = layout.manifest_of(home, tree)
            # It belongs to the job itself, or is unfinished: the run ended while it made a new tree.
            if manifest is None or manifest.job_id == job_id:
                return
            layout.hide(tree)
        with home.make(VERSIONS, exist_ok=True) as versions:
            number = max((kept.number for kept in formers(versions)), default=0) + 1
            staging.move(TREE, versions, version_name(number, manifest.job_id))


def mend(home: Folder, versions: Folder, former: Former, known: Version | None = None) -> None:
    """Hide a previous version and name it after its job; remove an empty one.

    ``known`` is the version that should be there now.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it; nothing was touched.
    """
    with versions.enter(former.name) as folder:
        if next(folder.names(), None) is None:
            versions.remove_folder(former.name)
            return
        layout = layout_in(folder)
        layout.settle(home, folder, None, known)
        manifest = layout.manifest_of(home, folder)
        layout.hide(folder)
    if manifest is not None and manifest.job_id != former.job_id:
        versions.move(former.name, versions, version_name(former.number, manifest.job_id))


def manifest_of(home: Folder, folder: Folder) -> Manifest | None:
    """Return the manifest of the version in a folder, ``None`` if there is none or it is damaged.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    """
    return layout_in(folder).manifest_of(home, folder)


def prune(home: Folder, jobs: Folder, keep: int) -> Iterator[str]:
    """Move all but the newest previous versions to names in ``jobs`` never used again, and yield these to be removed.

    What a newer logitstream made stays.
    """
    if not is_folder(home, VERSIONS):
        return
    with home.enter(VERSIONS) as versions:
        for former in formers(versions)[keep:]:
            if not _is_newer(home, versions, former):
                yield set_apart(versions, former, jobs)


def _is_newer(home: Folder, versions: Folder, former: Former) -> bool:
    try:
        with versions.enter(former.name) as folder:
            manifest_of(home, folder)
    except NewerOutputError:
        return True
    except LogitstreamError:
        return False
    return False


def set_apart(versions: Folder, former: Former, jobs: Folder) -> str:
    """Move a previous version to a name in ``jobs`` never used again, so that half of it never counts as a version."""
    name = f"{former.job_id}.{uuid.uuid4().hex}"
    versions.move(former.name, jobs, name)
    return name
