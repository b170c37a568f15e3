"""What a store says about an output: who holds it, what was prepared, kept, removed, rolled back or published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from pipeline.dataclass import dataclass
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import QUARANTINE
from pipeline.publish.record.receipts import Part
from pipeline.types.outputs import PartFile

# subject, what, expected, found
Defect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Busy:
    """Another run holds the output: a sentence for a person, and what the run wrote about itself.

    ``pid``, ``host``, ``started`` and ``job_id`` are ``None`` until the run has written them. ``job_id`` is also
    ``None`` for a rollback or a cleaning.
    """

    text: str
    pid: int | None = None
    host: str | None = None
    started: str | None = None
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class RunFacts:
    """The staging of a run that has not published.

    Attributes
    ----------
    name, job_id : str
        The folder, and the job that it belongs to.
    age_seconds : float
        Since the last sign of life.
    bytes, own_bytes : int
        Of all its files, and of those that no version shares. The latter are free again when it is removed.
    chunks : int
        How many chunks are done, according to the journal.
    ended : str or None
        Why the last run of the job ended; ``None`` if it was killed or is still under way.
    exit_code : int or None
    running : bool
        Whether a run of this job is under way now.
    resumable : bool
        Whether the same job would resume it. False while it is being removed, and for a run of a newer logitstream.
    newer : bool
        Whether a newer logitstream began it. Then nothing else about it is known.
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
    newer: bool = False


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """A previous version. The larger its ``number``, the newer it is.

    ``age_seconds`` counts from when it was replaced; ``finished_unix`` is when it was made. ``finished_unix`` and
    ``rows`` are ``None`` if its manifest is damaged, or if a newer logitstream made it (then ``newer`` is true).
    ``own_bytes`` are those that no other version shares.
    """

    name: str
    number: int
    job_id: str
    age_seconds: float
    bytes: int
    own_bytes: int
    rows: int | None
    finished_unix: float | None
    newer: bool = False


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was removed, or would be."""

    runs: tuple[RunFacts, ...]
    versions: tuple[VersionFacts, ...]


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a rollback did: the job whose version was published before, and the job whose version is published now.

    ``from_job_id`` is ``None`` if nothing was published before. ``parts``, ``rows`` and ``bytes`` describe the version
    that is published now.
    """

    output: str
    from_job_id: str | None
    to_job_id: str
    parts: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishedOutput:
    """A published version, opened to be checked.

    Attributes
    ----------
    folder : Path
        The folder that file names are relative to: the output, or the folder that holds an output of one file.
    manifest : Manifest or None
        ``None`` if it is damaged. Then nothing else is known.
    parts : iterable of Part
        Read from the receipts on each iteration, inside the block that opened them. Empty, and false, if the receipts
        are damaged.
    defects : tuple of (subject, what, expected, found)
        What is wrong with the manifest and its receipts, and which files are there but not listed.
    file : PartFile or None
        The output, if it is one file, with its path relative to ``folder``. Then the parts have no files.
    quarantine : str
        Where the quarantines are, relative to ``folder``.
    """

    folder: Path
    manifest: Manifest | None
    parts: Iterable[Part]
    defects: tuple[Defect, ...]
    file: PartFile | None = None
    quarantine: str = QUARANTINE

    def files(self) -> Iterator[tuple[str, PartFile]]:
        """Iterate over the listed files and their names in the folder: parts or the one file, and quarantines."""
        if self.file is not None:
            yield self.file.path, self.file
        for part in self.parts:
            if self.file is None:
                yield part.name, part.file
            if part.quarantine is not None:
                yield f"{self.quarantine}/{part.quarantine_name}", part.quarantine
