"""What is next to an output: the staging folders of runs, and previous versions; and removing them when asked."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, NewerOutputError
from pipeline.publish.facts import Busy, Cleaned, RunFacts, VersionFacts
from pipeline.publish.layout import layout_at, layout_in
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.formers import Former, formers
from pipeline.publish.layout.target import Destination, open_parent, resolve
from pipeline.publish.local.journal import facts_in
from pipeline.publish.local.lock import holder, locked, open_home
from pipeline.publish.local.removal import discard, forget
from pipeline.publish.local.versions import heal, manifest_of, set_apart
from pipeline.publish.record.names import JOB_ID, JOBS, JOURNAL, STAGING_NAME, VERSIONS, output_of
from pipeline.types.job import Conduct


def runs(output: Path) -> tuple[RunFacts, ...]:
    """Return the staging folders next to an output, the oldest first, without locking or changing anything."""
    with _home(output) as (target, home):
        return () if home is None else _runs(home, holder(home, target))


def versions_of(output: Path) -> tuple[VersionFacts, ...]:
    """Return the previous versions of an output, the newest first, without locking or changing anything."""
    with _home(output) as (_, home):
        return () if home is None else _versions(home)


def under_way(output: Path) -> Busy | None:
    """Return who is working on an output now, ``None`` if nobody is, without changing anything."""
    with _home(output) as (target, home):
        return None if home is None else holder(home, target)


def chunks_done(output: Path, job_id: str) -> int:
    """Return how many chunks of a job are done according to its journal, without changing anything."""
    with ExitStack() as stack:
        folder = stack.enter_context(_home(output))[1]
        for name in (JOBS, job_id):
            if folder is None or not is_folder(folder, name):
                return 0
            folder = stack.enter_context(folder.enter(name))
        return 0 if folder is None else facts_in(folder, job_id).chunks


def home_of(output: Path) -> Path | None:
    """Return the folder next to an output where runs are prepared, ``None`` if there is none."""
    with _home(output) as (_, home):
        return None if home is None else home.path


def outputs_in(folder: Path) -> tuple[Path, ...]:
    """Return the outputs in a folder that runs were prepared for, in order of name; they may no longer exist."""
    with Folder.open(folder) as parent:
        found = [(output_of(name), name) for name in parent.names()]
        outputs = sorted(output for output, name in found if output is not None and is_folder(parent, name))
    return tuple(folder / name for name in outputs)


def clean(
    output: Path, *, jobs: bool, versions: bool, older_than: float | None = None, dry_run: bool = False
) -> Cleaned:
    """Remove staging folders and previous versions of an output, and return what was removed.

    Only files with names that logitstream uses are removed. A folder that holds anything else stays, and is not
    returned.

    Parameters
    ----------
    output : Path
    jobs, versions : bool
        What to remove: staging folders, previous versions.
    older_than : float, optional
        Keep what showed a sign of life within so many seconds.
    dry_run : bool
        Remove nothing, and return what would be removed.

    Raises
    ------
    TemporaryError
        A run is under way.
    NewerOutputError
        A version to be removed was made by a newer logitstream; nothing was removed.
    """
    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output))
        if parent.look(target.home_name) is None:
            return Cleaned((), ())
        home = stack.enter_context(open_home(target, parent))
        stack.enter_context(locked(home, target, Conduct()))
        if not dry_run:
            # What a stopped run has just replaced is a previous version: it must not be removed with its folder.
            heal(parent, home)
        found = Cleaned(
            tuple(run for run in _runs(home, None) if jobs and _is_old(run.age_seconds, older_than)),
            tuple(one for one in _versions(home) if versions and _is_old(one.age_seconds, older_than)),
        )
        _refuse_newer(home, found)
        return found if dry_run else _removed(target, parent, home, found)


def _is_old(age: float, older_than: float | None) -> bool:
    return older_than is None or age >= older_than


def _removed(target: Destination, parent: Folder, home: Folder, found: Cleaned) -> Cleaned:
    with home.make(JOBS, exist_ok=True) as jobs:
        runs_gone = tuple(run for run in found.runs if _discarded(home, jobs, run))
        if not found.versions:
            return Cleaned(runs_gone, ())
        with home.enter(VERSIONS) as versions:
            proofs = {proof for one in found.versions if (proof := _proof_of(versions, one))}
            gone = tuple(one for one in found.versions if _version_removed(versions, jobs, one))
        if proofs:
            forget(home, jobs, _published_proof(target, parent, home), proofs)
    return Cleaned(runs_gone, gone)


def _refuse_newer(home: Folder, found: Cleaned) -> None:
    """Raise, before anything is removed, if a newer logitstream made one of the versions."""
    for version in found.versions:
        if version.newer:
            with home.enter(VERSIONS) as versions, versions.enter(version.name) as folder:
                manifest_of(home, folder)


def _proof_of(versions: Folder, version: VersionFacts) -> str | None:
    with versions.enter(version.name) as folder:
        return layout_in(folder).proof_of(folder)


def _published_proof(target: Destination, parent: Folder, home: Folder) -> str | None:
    layout = layout_at(parent, target.name)
    try:
        return None if layout is None else layout.proof_at(parent, target.name, home)
    except NewerOutputError:
        # It is never removed.
        return None


def _discarded(home: Folder, jobs: Folder, run: RunFacts) -> bool:
    def left() -> int:
        return sum(name.partition(".")[0] == run.job_id for name in jobs.names())

    before = left()
    discard(home, jobs, run.name)
    return left() < before


def _version_removed(versions: Folder, jobs: Folder, version: VersionFacts) -> bool:
    name = set_apart(versions, Former(version.number, version.name, version.job_id), jobs)
    remove(jobs, name)
    return jobs.look(name) is None


@contextmanager
def _home(output: Path) -> Iterator[tuple[Destination, Folder | None]]:
    target = resolve(output)
    with Folder.open(target.parent) as parent:
        if not is_folder(parent, target.home_name):
            yield target, None
            return
        with parent.enter(target.home_name) as home:
            yield target, home


def _runs(home: Folder, busy: Busy | None) -> tuple[RunFacts, ...]:
    if not is_folder(home, JOBS):
        return ()
    found = []
    with home.enter(JOBS) as jobs:
        for name in list(jobs.names()):
            match = STAGING_NAME.fullmatch(name)
            if match is not None and is_folder(jobs, name):
                found.append(_run(jobs, name, match[1], busy))
    return tuple(sorted(found, key=lambda run: (-run.age_seconds, run.name)))


def _run(jobs: Folder, name: str, job_id: str, busy: Busy | None) -> RunFacts:
    with jobs.enter(name) as folder:
        facts = facts_in(folder, job_id)
        whole = JOB_ID.fullmatch(name) is not None
        running = whole and busy is not None and busy.job_id == job_id
        size, own = _sizes(folder)
        return RunFacts(
            name=name,
            job_id=job_id,
            age_seconds=_age(folder, JOURNAL),
            bytes=size,
            own_bytes=own,
            chunks=facts.chunks,
            ended=None if running else facts.ended,
            exit_code=None if running else facts.exit_code,
            running=running,
            resumable=whole and not facts.newer,
            newer=facts.newer,
        )


def _versions(home: Folder) -> tuple[VersionFacts, ...]:
    if not is_folder(home, VERSIONS):
        return ()
    with home.enter(VERSIONS) as versions:
        return tuple(_version(home, versions, former) for former in formers(versions))


def _version(home: Folder, versions: Folder, former: Former) -> VersionFacts:
    newer, manifest = False, None
    with versions.enter(former.name) as folder:
        try:
            manifest = manifest_of(home, folder)
        except NewerOutputError:
            newer = True
        except LogitstreamError:
            pass
        size, own = _sizes(folder)
        return VersionFacts(
            name=former.name,
            number=former.number,
            job_id=former.job_id if manifest is None else manifest.job_id,
            age_seconds=_age(folder),
            bytes=size,
            own_bytes=own,
            rows=None if manifest is None else manifest.rows,
            finished_unix=None if manifest is None else manifest.finished_unix,
            newer=newer,
        )


def _age(folder: Folder, name: str | None = None) -> float:
    status = (folder.look(name) if name is not None else None) or folder.status()
    return max(0.0, time.time() - status.st_mtime)


def _sizes(folder: Folder) -> tuple[int, int]:
    """Return the bytes of all files below a folder, and of those that have no other name outside it."""
    found: dict[tuple[int, int], list[os.stat_result]] = {}
    for status in _files(folder):
        found.setdefault((status.st_dev, status.st_ino), []).append(status)
    own = sum(same[0].st_size for same in found.values() if same[0].st_nlink <= len(same))
    return sum(status.st_size for same in found.values() for status in same), own


def _files(folder: Folder) -> Iterator[os.stat_result]:
    """Iterate over the status of all files below a folder; what is removed meanwhile does not count."""
    for name in list(folder.names()):
        status = folder.look(name)
        if status is None:
            continue
        if stat.S_ISREG(status.st_mode):
            yield status
        elif stat.S_ISDIR(status.st_mode):
            try:
                with folder.enter(name) as inner:
                    yield from list(_files(inner))
            except LogitstreamError:
                continue
