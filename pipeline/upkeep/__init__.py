"""The published version of an output, its previous versions and its unfinished runs; rollback and cleaning.

Looking locks and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pipeline.choices import DURABILITY, Durability
from pipeline.dataclass import dataclass
from pipeline.errors import InputMissingError, LogitstreamError, NewerOutputError, UsageError
from pipeline.flow.manifest import CODEC
from pipeline.publish import LOCAL, MANIFEST, Busy, Cleaned, Manifest, RunFacts, VersionFacts
from pipeline.types.tabular import Summary, Tabular
from pipeline.units import escape, format_count

__all__ = [
    "Cleaned",
    "Rollback",
    "RunFacts",
    "Standing",
    "State",
    "VersionFacts",
    "clean",
    "freed_bytes",
    "outputs",
    "rollback",
    "state_of",
]


@dataclass(frozen=True, slots=True)
class Standing:
    """The published version. ``finished_unix`` is ``None`` if its manifest has no time."""

    job_id: str
    manifest_digest: str
    parts: int
    rows: int
    bytes: int
    finished_unix: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Rollback(Tabular):
    """The version that a rollback published, and the one it replaced: ``None`` if nothing was published before."""

    output: str
    standing: Standing
    replaced: VersionFacts | None

    def _summary(self) -> Summary:
        published = f"job {self.standing.job_id[:12]}, {format_count(self.standing.rows)} rows"
        replaced = f"job {self.replaced.job_id[:12]}" if self.replaced else "nothing"
        return Summary([("output", self.output), ("published", published), ("replaced", replaced)])


@dataclass(frozen=True, slots=True)
class State:
    """Everything about one output.

    Attributes
    ----------
    output : str
        Absolute path.
    home : str or None
        The folder next to it, which holds unfinished runs and previous versions.
    standing : Standing or None
    problem : str
        Why what is there was not published by logitstream; empty if it was, or if nothing is there.
    under_way : Busy or None
        The run that is working on the output now.
    runs : tuple of RunFacts
        The oldest first.
    versions : tuple of VersionFacts
        The newest first.
    """

    output: str
    home: str | None
    standing: Standing | None
    problem: str
    under_way: Busy | None
    runs: tuple[RunFacts, ...]
    versions: tuple[VersionFacts, ...]


def rollback(output: str | os.PathLike[str], *, durability: Durability = "full") -> Rollback:
    """Publish the newest previous version again, in one step. A second call undoes it.

    After an error, or if the process is killed, one of the two versions is completely there. Every byte of the
    previous version is checked first.

    Parameters
    ----------
    output : path
    durability : {"full", "none"}
        Whether the step survives a power cut when this returns.

    Raises
    ------
    InputMissingError
        There is no output of that name, and no previous version.
    OutputError
        There is no previous version, or it is damaged; or what is there was not published by logitstream.
    NewerOutputError
        One of the two was made by a newer logitstream.
    TemporaryError
        A run is under way.
    UsageError
        There is no such durability.
    """
    DURABILITY.check(durability)
    path = _existing(output)
    rolled = LOCAL.rollback(path, codec=CODEC, durability=durability)
    # Another command may have published something since: its facts are not those of this rollback.
    newest = next(iter(LOCAL.versions_of(path)), None)
    standing = _standing(path)
    if standing is None or standing.job_id != rolled.to_job_id:
        standing = Standing(rolled.to_job_id, "", rolled.parts, rolled.rows, rolled.bytes, None)
    replaced = newest if newest is not None and newest.job_id == rolled.from_job_id else None
    return Rollback(rolled.output, standing, replaced)


def outputs(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the outputs at a path: the path itself, or the outputs in that folder that runs have worked on.

    Raises
    ------
    InputMissingError
        There is nothing of that name.
    """
    given = Path(path)
    if _has_home(given) or os.path.lexists(given / MANIFEST):
        return (given,)
    if not given.is_dir():
        if os.path.lexists(given):
            return (given,)
        raise InputMissingError(f"there is no output or folder {escape(str(given), 1000)}", "check the path")
    return LOCAL.outputs_in(given)


def state_of(output: str | os.PathLike[str]) -> State:
    """Return everything about an output: the published version, previous versions and unfinished runs.

    Raises
    ------
    InputMissingError
        There is none of these.
    NewerOutputError
        The output was made by a newer logitstream.
    """
    path = _existing(output)
    problem, standing = "", None
    if os.path.lexists(path):
        try:
            standing = _of(LOCAL.read_manifest(path))
        except NewerOutputError:
            raise
        except LogitstreamError as error:
            problem = error.message
    home = LOCAL.home_of(path)
    return State(
        output=str(path.absolute()),
        home=None if home is None else str(home),
        standing=standing,
        problem=problem,
        under_way=LOCAL.under_way(path),
        runs=LOCAL.runs(path),
        versions=LOCAL.versions_of(path),
    )


def clean(
    output: str | os.PathLike[str],
    *,
    stopped: bool = False,
    versions: bool = False,
    older_than: float | None = None,
    dry_run: bool = False,
) -> Cleaned:
    """Remove unfinished runs, previous versions, or both, and return what was removed.

    The published output is never touched.

    Parameters
    ----------
    output : path
    stopped, versions : bool
        What to remove.
    older_than : float, optional
        Remove only what has not changed for so many seconds.
    dry_run : bool
        Remove nothing, and return what would be removed.

    Raises
    ------
    InputMissingError
        There is no such output.
    NewerOutputError
        A version that would be removed was made by a newer logitstream; nothing was removed.
    TemporaryError
        A run is under way.
    UsageError
        Neither was asked for.
    """
    if not stopped and not versions:
        raise UsageError("nothing to remove was chosen", "give stopped=True (unfinished runs), versions=True, or both")
    path = _existing(output)
    return LOCAL.clean(path, jobs=stopped, versions=versions, older_than=older_than, dry_run=dry_run)


def freed_bytes(facts: Sequence[RunFacts | VersionFacts]) -> int:
    """Return how many bytes removing these frees: files that other versions share stay."""
    return sum(each.own_bytes for each in facts)


def _existing(output: str | os.PathLike[str]) -> Path:
    path = Path(output)
    if not os.path.lexists(path) and not _has_home(path):
        raise InputMissingError(f"there is no output {escape(str(path), 1000)}", "check the path")
    return path


def _has_home(path: Path) -> bool:
    return path.name not in {"", ".."} and path.parent.is_dir() and LOCAL.home_of(path) is not None


def _standing(path: Path) -> Standing | None:
    try:
        return _of(LOCAL.read_manifest(path))
    except LogitstreamError:
        return None


def _of(manifest: Manifest) -> Standing:
    return Standing(
        job_id=manifest.job_id,
        manifest_digest=manifest.digest,
        parts=manifest.parts,
        rows=manifest.rows,
        bytes=manifest.output_bytes,
        finished_unix=manifest.finished_unix,
    )
