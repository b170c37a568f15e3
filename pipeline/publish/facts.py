"""What a store tells of an output: who holds it, what was prepared, kept, removed, rolled back, what is published."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import QUARANTINE
from pipeline.publish.record.receipts import Part
from pipeline.types.outputs import PartFile

# subject, what, expected, found
Defect = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Busy:
    """Another run holds the output: a sentence for a person, and what the run says of itself.

    ``pid``, ``host``, ``started`` and ``job_id`` are ``None`` where it has not yet written them; ``job_id`` is also
    ``None`` where what is under way is not a run but a rollback or a cleaning.
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
        Of all files in it, and of those that no version shares: what is free again when it is removed.
    chunks : int
        Done, by the journal.
    ended : str or None
        Why the last run of the job ended; ``None`` where it was killed, or is under way.
    exit_code : int or None
    running : bool
        Whether a run of this job is under way now.
    resumable : bool
        Whether the same job would go on with it; what is being removed, or a newer logitstream has begun, is not.
    newer : bool
        Whether a newer logitstream has begun it: what it did is not known here.
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
    """A former version. The larger its ``number``, the newer.

    ``age_seconds`` is since it was put aside, ``finished_unix`` when it was made; the latter and ``rows`` are ``None``
    where its manifest is damaged, or was made by a newer logitstream, as ``newer`` says. ``own_bytes`` are those that
    no other version shares.
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
    """What a rollback did: which job's version was published before, and which one is published now.

    ``from_job_id`` is ``None`` where there was none. ``parts``, ``rows`` and ``bytes`` are those of the version that is
    published now.
    """

    output: str
    from_job_id: str | None
    to_job_id: str
    parts: int
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PublishedOutput:
    """A published version as somebody finds it who wants to check it.

    Attributes
    ----------
    folder : Path
        From where the files have their names: the output; of one that is a file, the folder that holds it.
    manifest : Manifest or None
        ``None`` where it is damaged: then nothing else is known.
    parts : iterable of Part
        Read from the receipts whenever it is iterated over, inside the block that opened them; empty, and false, where
        the receipts are damaged.
    defects : tuple of (subject, what, expected, found)
        What is wrong with the manifest and its receipts, and what is there without being listed.
    file : PartFile or None
        The output where it is one file, its path from ``folder``; then there are no files of the parts.
    quarantine : str
        Where the quarantines are, from ``folder``.
    """

    folder: Path
    manifest: Manifest | None
    parts: Iterable[Part]
    defects: tuple[Defect, ...]
    file: PartFile | None = None
    quarantine: str = QUARANTINE

    def files(self) -> Iterator[tuple[str, PartFile]]:
        """Iterate over the listed files, by their names from the folder: parts or the one file, and quarantines."""
        if self.file is not None:
            yield self.file.path, self.file
        for part in self.parts:
            if self.file is None:
                yield part.name, part.file
            if part.quarantine is not None:
                yield f"{self.quarantine}/{part.quarantine_name}", part.quarantine
