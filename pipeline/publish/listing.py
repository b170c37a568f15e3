"""What stands beside an output: the staging folders of runs, and former versions; and putting it away when asked."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError
from pipeline.publish.journal import NAME, facts_in
from pipeline.publish.lock import Busy, holder, locked, open_home
from pipeline.publish.manifest import JOB_ID
from pipeline.publish.onefile import kept_in, proven_file
from pipeline.publish.removal import RETIRED, discard, forget, remove
from pipeline.publish.target import HOME_SUFFIX, Destination, open_parent, resolve
from pipeline.publish.versions import JOBS, VERSIONS, Former, formers, heal, manifest_of, set_apart
from pipeline.types.job import Conduct


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The staging folder of a run that has not published.

    Attributes
    ----------
    name, job_id : str
        The folder, and the job whose it is.
    age_seconds : float
        Since the last sign of life.
    bytes, own_bytes : int
        Of all files in it, and of those that no version shares: what is free again when it is removed.
    chunks : int
        Done, by the journal.
    ended : str or None
        Why the last run of the job ended; ``None`` where it was killed, or is under way.
    exit_code : int or None
    running : bool
        Whether a run of this job is under way now.
    resumable : bool
        Whether the same job would go on with it; what is being removed is not.
    """

    name: str
    job_id: str
    age_seconds: float
    bytes: int
    own_bytes: int
    chunks: int
    ended: str | None
    exit_code: int | None
    running: bool
    resumable: bool


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A former version. The larger its ``number``, the newer.

    ``age_seconds`` is since it was put aside, ``finished_unix`` when it was made; the latter and ``rows`` are ``None``
    where its manifest is damaged. ``own_bytes`` are those that no other version shares.
    """

    name: str
    number: int
    job_id: str
    age_seconds: float
    bytes: int
    own_bytes: int
    rows: int | None
    finished_unix: float | None


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, or would be."""

    runs: tuple[RunFacts, ...]
    versions: tuple[VersionFacts, ...]


def runs(output: Path) -> tuple[RunFacts, ...]:
    """Return the staging folders beside an output, the oldest first, without locking or changing anything."""
    with _home(output) as (target, home):
        return () if home is None else _runs(home, holder(home, target))


def versions_of(output: Path) -> tuple[VersionFacts, ...]:
    """Return the former versions of an output, the newest first, without locking or changing anything."""
    with _home(output) as (_, home):
        return () if home is None else _versions(home)


def under_way(output: Path) -> Busy | None:
    """Return who works on an output now, ``None`` where nobody does, without changing anything."""
    with _home(output) as (target, home):
        return None if home is None else holder(home, target)


def chunks_done(output: Path, job_id: str) -> int:
    """Return how many chunks of a job are done by the journal of its staging folder, without changing anything."""
    with ExitStack() as stack:
        folder = stack.enter_context(_home(output))[1]
        for name in (JOBS, job_id):
            if folder is None or not is_folder(folder, name):
                return 0
            folder = stack.enter_context(folder.enter(name))
        return 0 if folder is None else facts_in(folder, job_id)[0]


def home_of(output: Path) -> Path | None:
    """Return the folder beside an output in which runs are prepared, ``None`` where there is none."""
    with _home(output) as (_, home):
        return None if home is None else home.path


def outputs_in(folder: Path) -> tuple[Path, ...]:
    """Return the outputs, by name, beside which runs were prepared in a folder; they need not stand there still."""
    with Folder.open(folder) as parent:
        found = [name for name in parent.names() if name.startswith(".") and name.endswith(HOME_SUFFIX)]
        outputs = sorted(name[1 : -len(HOME_SUFFIX)] for name in found if is_folder(parent, name))
    return tuple(folder / name for name in outputs if name)


def clean(
    output: Path, *, jobs: bool, versions: bool, older_than: float | None = None, dry_run: bool = False
) -> Cleaned:
    """Remove staging folders and former versions of an output, and return what was removed.

    Only what is ours by its name is removed; a folder that holds anything else stays, and is not returned.

    Parameters
    ----------
    output : Path
    jobs, versions : bool
        What to remove: staging folders, former versions.
    older_than : float, optional
        Nothing that showed a sign of life within so many seconds.
    dry_run : bool
        Remove nothing, and return what would be.

    Raises
    ------
    TemporaryError
        A run is under way.
    """
    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output))
        if parent.look(target.home_name) is None:
            return Cleaned((), ())
        home = stack.enter_context(open_home(target, parent))
        stack.enter_context(locked(home, target, Conduct()))
        if not dry_run:
            # What a stopped run has just replaced is a former version, and not to go with the folder that it lies in.
            heal(parent, home)
        found = Cleaned(
            tuple(run for run in _runs(home, None) if jobs and _is_old(run.age_seconds, older_than)),
            tuple(one for one in _versions(home) if versions and _is_old(one.age_seconds, older_than)),
        )
        return found if dry_run else _removed(target, parent, home, found)


def _is_old(age: float, older_than: float | None) -> bool:
    return older_than is None or age >= older_than


def _removed(target: Destination, parent: Folder, home: Folder, found: Cleaned) -> Cleaned:
    with home.make(JOBS, exist_ok=True) as jobs:
        runs_gone = tuple(run for run in found.runs if _discarded(home, jobs, run))
        if not found.versions:
            return Cleaned(runs_gone, ())
        with home.enter(VERSIONS) as versions:
            files = {sha256 for one in found.versions if (sha256 := _file_of(versions, one))}
            gone = tuple(one for one in found.versions if _version_removed(versions, jobs, one))
        if files:
            standing = proven_file(parent, target.name, home)
            forget(home, jobs, None if standing is None else standing.sha256, files)
    return Cleaned(runs_gone, gone)


def _file_of(versions: Folder, version: VersionFacts) -> str | None:
    with versions.enter(version.name) as folder:
        return kept_in(folder)


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
            match = RETIRED.fullmatch(name)
            if match is not None and is_folder(jobs, name):
                found.append(_run(jobs, name, match[1], busy))
    return tuple(sorted(found, key=lambda run: (-run.age_seconds, run.name)))


def _run(jobs: Folder, name: str, job_id: str, busy: Busy | None) -> RunFacts:
    with jobs.enter(name) as folder:
        chunks, ended, exit_code = facts_in(folder, job_id)
        whole = JOB_ID.fullmatch(name) is not None
        running = whole and busy is not None and busy.job_id == job_id
        size, own = _sizes(folder)
        return RunFacts(
            name=name,
            job_id=job_id,
            age_seconds=_age(folder, NAME),
            bytes=size,
            own_bytes=own,
            chunks=chunks,
            ended=None if running else ended,
            exit_code=None if running else exit_code,
            running=running,
            resumable=whole,
        )


def _versions(home: Folder) -> tuple[VersionFacts, ...]:
    if not is_folder(home, VERSIONS):
        return ()
    with home.enter(VERSIONS) as versions:
        return tuple(_version(home, versions, former) for former in formers(versions))


def _version(home: Folder, versions: Folder, former: Former) -> VersionFacts:
    with versions.enter(former.name) as folder:
        try:
            manifest = manifest_of(home, folder)
        except LogitstreamError:
            manifest = None
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
        )


def _age(folder: Folder, name: str | None = None) -> float:
    status = (folder.look(name) if name is not None else None) or folder.status()
    return max(0.0, time.time() - status.st_mtime)


def _sizes(folder: Folder) -> tuple[int, int]:
    """Return the bytes of all files below a folder, and of those that have no name elsewhere."""
    found: dict[tuple[int, int], list[os.stat_result]] = {}
    for status in _files(folder):
        found.setdefault((status.st_dev, status.st_ino), []).append(status)
    own = sum(same[0].st_size for same in found.values() if same[0].st_nlink <= len(same))
    return sum(status.st_size for same in found.values() for status in same), own


def _files(folder: Folder) -> Iterator[os.stat_result]:
    """Iterate over the facts of all files below a folder; what is removed meanwhile does not count."""
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
