"""What is under and beside an output: the published version, former ones, and what runs have left; and undoing it.

Looking locks and changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.choices import DURABILITY, Durability
from pipeline.errors import InputMissingError, LogitstreamError, NewerOutputError, UsageError
from pipeline.flow.manifest import CODEC
from pipeline.publish import LOCAL, MANIFEST, Busy, Cleaned, Manifest, RunFacts, VersionFacts
from pipeline.types.shown import Shown, Summary
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
    """The published version. ``finished_unix`` is ``None`` where its manifest notes no time."""

    job_id: str
    manifest_digest: str
    parts: int
    rows: int
    bytes: int
    finished_unix: float | None


@dataclass(frozen=True, slots=True, repr=False)
class Rollback(Shown):
    """What is published after a rollback, and which version it replaced: ``None`` where nothing was there before."""

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
        The folder beside it, in which runs are prepared and former versions lie.
    standing : Standing or None
    problem : str
        Why what is there is no version of ours; empty where it is one, or nothing is there.
    under_way : Busy or None
        Who works on the output now.
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
    """Put the newest former version in place of the published one in one step; once more goes forward again.

    One of the two is under the name, whole, whatever is raised and wherever the process is killed. Every byte of
    the former version is checked first.

    Parameters
    ----------
    output : path
    durability : {"full", "none"}
        Whether the step survives a power cut when this returns.

    Raises
    ------
    InputMissingError
        There is nothing under that name, and no former version either.
    OutputError
        There is no former version, or it is damaged; or what is there is not ours.
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
    # Another command may have come in between: then its facts are not told as if they were those of this step.
    newest = next(iter(LOCAL.versions_of(path)), None)
    standing = _standing(path)
    if standing is None or standing.job_id != rolled.to_job_id:
        standing = Standing(rolled.to_job_id, "", rolled.parts, rolled.rows, rolled.bytes, None)
    replaced = newest if newest is not None and newest.job_id == rolled.from_job_id else None
    return Rollback(rolled.output, standing, replaced)


def outputs(path: str | os.PathLike[str]) -> tuple[Path, ...]:
    """Return the outputs that a path means: itself, or those in it beside which runs were prepared.

    Raises
    ------
    InputMissingError
        There is nothing under that name.
    """
    given = Path(path)
    if _has_home(given) or os.path.lexists(given / MANIFEST):
        return (given,)
    if not given.is_dir():
        if os.path.lexists(given):
            return (given,)
        raise InputMissingError(f"there is no output or folder {escape(str(given), 1000)}")
    return LOCAL.outputs_in(given)


def state_of(output: str | os.PathLike[str]) -> State:
    """Return what is under and beside an output.

    Raises
    ------
    InputMissingError
        There is neither.
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
    """Remove what runs that were stopped have left, former versions, or both; return what was removed.

    What is under the name of the output is never touched.

    Parameters
    ----------
    output : path
    stopped, versions : bool
        What to remove.
    older_than : float, optional
        Only what showed no sign of life for so many seconds.
    dry_run : bool
        Remove nothing, and return what would be.

    Raises
    ------
    InputMissingError
        There is no such output.
    NewerOutputError
        A version that is to go was made by a newer logitstream; nothing was removed.
    TemporaryError
        A run is under way.
    UsageError
        Neither was asked for.
    """
    if not stopped and not versions:
        raise UsageError("nothing is asked to be removed", "say --stopped (what runs have left), --versions, or both")
    path = _existing(output)
    return LOCAL.clean(path, jobs=stopped, versions=versions, older_than=older_than, dry_run=dry_run)


def freed_bytes(facts: Sequence[RunFacts | VersionFacts]) -> int:
    """Return how many bytes are free again when these are gone: what other versions share stays."""
    return sum(each.own_bytes for each in facts)


def _existing(output: str | os.PathLike[str]) -> Path:
    path = Path(output)
    if not os.path.lexists(path) and not _has_home(path):
        raise InputMissingError(f"there is no output {escape(str(path), 1000)}")
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
