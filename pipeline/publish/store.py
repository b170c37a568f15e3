"""The protocols of a store, where outputs are published in one step or not at all.

``flow`` and ``stream`` use a store only through these protocols. A store without rename or without folders would be
another implementation of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Protocol, Self, runtime_checkable

from pipeline.choices import Durability, IfExists
from pipeline.publish.facts import Busy, Cleaned, PublishedOutput, Rolled, RunFacts, VersionFacts
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.receipts import Codec, Part
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile

# The part and the quarantine of a chunk, as carried over.
Adopted = tuple[PartFile, PartFile | None]


class Merge(Protocol):
    """Writes the rows of all parts, one part after the other, into one file; ``rows`` is their number.

    A part may be read until the next one is asked for. The bytes of the file depend only on those of the parts.
    """

    def __call__(self, parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
        """Merge parts that are open for reading into a file open for writing."""
        ...


class Attempt(Protocol):
    """One try at writing the part of a chunk. As a context manager it abandons what was not finished.

    An attempt that was abandoned, or whose ``finish`` failed, is a file that no receipt names, so nothing uses it. Do
    not use it from two threads at once.
    """

    file: BinaryIO

    def __enter__(self) -> Self:
        """Return the attempt itself."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Abandon it, unless it was finished."""
        ...

    def finish(self, rows: int) -> PartFile:
        """Make the file and its name durable, close it, and return its facts.

        Raises
        ------
        StorageError
            Something could not be written, synced or closed. The attempt is lost; another one may be made.
        """
        ...

    def abandon(self) -> None:
        """Close what is open and leave the file. Does nothing after ``finish``."""
        ...


class Attempts(Protocol):
    """Opens attempts for a worker, wherever the worker runs. Can be pickled, and described as JSON."""

    def open(self, chunk: int, extension: str) -> Attempt:
        """Open a new file for the part or the quarantine of a chunk, under a name that is used only once.

        Any process that can reach the store may call it; it only creates a new file.

        Parameters
        ----------
        chunk : int
            Number of the chunk.
        extension : str
            ``parquet``, ``csv``, ``csv.gz`` or ``quarantine``. Tells a person what the file will become.

        Raises
        ------
        StorageError
            The run has ended, or the disk is full.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Return a JSON description from which :func:`~pipeline.publish.restored_attempts` makes an equal object."""
        ...


@runtime_checkable
class Staging(Protocol):
    """What one run prepares while it holds the output; for one thread."""

    @property
    def attempts(self) -> Attempts:
        """What workers write through."""
        ...

    @property
    def quarantine(self) -> Path:
        """Where the quarantines are once they are published, relative to the parent of the output."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that tell a person how the run was prepared."""
        ...

    @property
    def published(self) -> Manifest | None:
        """The manifest of the published version, which this run replaces; ``None`` if nothing is published."""
        ...

    def write_job(self, content: bytes) -> tuple[Path, str]:
        """Write a job file, durable, named by its digest; return its path and SHA-256 in hexadecimal.

        An equal file that exists already is used. A file never changes once it has its name.
        """
        ...

    def receipts(self) -> Iterator[Mapping[str, object]]:
        """Iterate over the receipts in the journal of an earlier run of this job whose files are intact.

        Each file is digested again, several at once. The first receipt of a chunk whose files are intact counts. A
        receipt is what ``append`` was given: ``chunk``, and under ``part`` and ``quarantine`` the ``path``, ``bytes``,
        ``sha256`` and ``rows`` of a file, or ``None``.
        """
        ...

    def others(self) -> bool:
        """Return whether stopped runs of other jobs are still staged for this output."""
        ...

    def standing(self) -> Iterator[Part]:
        """Iterate over the parts of the published version that can be carried over; none if nothing is published."""
        ...

    def adopted(self, chosen: Iterable[tuple[int, Part]]) -> Iterator[tuple[int, Part, Adopted | None]]:
        """Carry over published parts and their quarantines as attempts at chunks, in the order in which they are given.

        Their bytes are digested first, several parts at once, a few ahead. Each comes with its files as the receipt of
        the chunk will name them, or with ``None`` if they are not intact or cannot be carried over. Then the chunk must
        be computed. A part may be chosen for several chunks.
        """
        ...

    def append(self, receipt: Mapping[str, object]) -> None:
        """Append a receipt, as JSON, to the journal. From now on it counts for its chunk."""
        ...

    def receipt(self, chunk: int) -> Mapping[str, object]:
        """Return the receipt that counts for a chunk, read from the journal. No receipt is kept in memory.

        Raises
        ------
        StorageError
            The journal no longer holds it.
        LookupError
            There is none.
        """
        ...

    def sync(self) -> None:
        """Make every receipt so far survive a power cut: the barrier before publishing."""
        ...

    def note_end(self, reason: str, exit_code: int) -> None:
        """Note in the journal why the run ends, durable. Never fails, so that the original error is the one raised."""
        ...

    def discard(self) -> None:
        """Remove what is staged, for a run that cannot be resumed. Never fails. Call nothing afterwards."""
        ...

    def remember(self, content: bytes) -> None:
        """Keep some bytes for the next run; see :meth:`Store.remembered`. Never fails, and may keep nothing."""
        ...

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        """Publish the parts as the output, all or nothing, durable on return; return the manifest's digest.

        Until that one step the output does not change, even if an error is raised. After it, the previous version is
        kept and everything staged is removed; a failure of that changes nothing and is not reported.

        Parameters
        ----------
        sections : mapping
            What the manifest proves: inputs, plan, model, options, schema, totals, as JSON.
        parts : iterable of Part
            In strictly ascending order of name. Iterated over once, or twice if they become one file.
        observed : mapping
            What the manifest only notes, outside its digest: times, workers, peaks.

        Raises
        ------
        StorageError
            An attempt is missing or has another size than its receipt says, or the disk is full. If the message says
            "is published, but", the new version is there and only its durability is unknown.
        OutputError
            Something else was put under the name of the output during the run.
        """
        ...


def nothing() -> None:
    """Do nothing."""


USUAL = Conduct()


class Store(Protocol):
    """Where outputs are published, inspected, rolled back and cleaned."""

    def free_bytes(self, path: Path) -> int | None:
        """Return how many bytes can still be written there; ``None`` if there is no such limit."""
        ...

    def check_output(
        self,
        output: Path,
        job_id: str,
        *,
        if_exists: IfExists,
        codec: Codec,
        is_file: bool = False,
        reuse: bool = True,
    ) -> Manifest | None:
        """Refuse an output that a run would refuse, without creating or locking anything.

        ``is_file`` asks for one file instead of a folder of parts. Without ``reuse`` a published version is replaced
        even if it is the result of this same job.

        Returns
        -------
        Manifest or None
            The manifest, if this same job is already published and intact. Then there is nothing to do.

        Raises
        ------
        OutputError
            It cannot be made there, was not published by logitstream, or exists under ``fail``.
        NewerOutputError
            It was made by a newer logitstream.
        PermissionDeniedError
            The system would refuse it.
        """
        ...

    def remembered(self, output: Path) -> bytes:
        """Return what the last run of an output wanted to be remembered, whole; empty if there is nothing. Never fails.

        When staging is opened for a run, what was remembered before is forgotten: it cannot mislead a second run after
        a first one that failed.
        """
        ...

    def open_staging(
        self,
        output: Path,
        job_id: str,
        *,
        if_exists: IfExists,
        codec: Codec,
        conduct: Conduct = USUAL,
        while_waiting: Callable[[], None] = nothing,
        merge: Merge | None = None,
        chunks: int = 0,
    ) -> AbstractContextManager[Staging | Manifest | Busy]:
        """Lock an output and prepare a run that publishes to it, or resume one that was stopped.

        Yields a :class:`Staging`; or a :class:`Manifest` if this same job is already published and intact, so that
        there is nothing to do; or :class:`Busy` if another run holds the output and the conduct says to skip. The lock
        is released on exit in every case, and when the process dies.

        Parameters
        ----------
        output : Path
        job_id : str
        if_exists : {"fail", "replace"}
        codec : Codec
        conduct : Conduct
            ``resume``, ``reuse``, ``if_running``, ``wait_seconds``, ``durability`` and ``keep_versions`` are used here.
        while_waiting : callable
            Called at least once a second while waiting for another run. What it raises ends the waiting.
        merge : Merge, optional
            Merges the parts into one file. That file is then the output, instead of a folder.
        chunks : int
            How many chunks the run has, if that is known. The memory for them, 8 bytes each, is taken at the start.

        Raises
        ------
        OutputError
            As in ``check_output``; or ``replace`` was asked for and the store cannot replace in one step.
        TemporaryError
            Another run holds the output.
        PermissionDeniedError, StorageError
            The system refuses, or fails.
        """
        ...

    def read_manifest(self, output: Path) -> Manifest:
        """Return the manifest of the published version, its digest checked.

        Raises
        ------
        OutputError
            There is no manifest, or it was damaged or edited.
        NewerOutputError
            It was made by a newer logitstream.
        """
        ...

    def open_published(self, output: Path, codec: Codec) -> AbstractContextManager[PublishedOutput]:
        """Open an output for checking; nothing is locked.

        Raises
        ------
        OutputError
            It has no manifest at all.
        NewerOutputError
            It was made by a newer logitstream.
        """
        ...

    def rollback(self, output: Path, *, codec: Codec, durability: Durability = "full") -> Rolled:
        """Publish the newest previous version in place of the published one, in one step and durable on return.

        The version that was published becomes the newest previous one, so a second rollback undoes the first. Every
        byte of the previous version is digested first. After an error, or if the process is killed, one of the two is
        published, whole. It is the one from before unless the message says "is rolled back, but".

        Raises
        ------
        OutputError
            There is no previous version, or it is damaged, or the output was not published by logitstream.
        NewerOutputError
            One of the two was made by a newer logitstream.
        TemporaryError
            A run is under way.
        """
        ...

    def runs(self, output: Path) -> tuple[RunFacts, ...]:
        """Return the stagings of an output, the oldest first, without locking or changing anything."""
        ...

    def versions_of(self, output: Path) -> tuple[VersionFacts, ...]:
        """Return the previous versions of an output, the newest first, without locking or changing anything."""
        ...

    def under_way(self, output: Path) -> Busy | None:
        """Return who is working on an output now, ``None`` if nobody is, without changing anything."""
        ...

    def chunks_done(self, output: Path, job_id: str) -> int:
        """Return how many chunks of a job are done according to its journal, without changing anything."""
        ...

    def home_of(self, output: Path) -> Path | None:
        """Return the place next to an output where runs are prepared, ``None`` if there is none."""
        ...

    def outputs_in(self, folder: Path) -> tuple[Path, ...]:
        """Return the outputs in a folder that runs were prepared for, in order of name; they may no longer exist."""
        ...

    def clean(
        self, output: Path, *, jobs: bool, versions: bool, older_than: float | None = None, dry_run: bool = False
    ) -> Cleaned:
        """Remove stagings and previous versions of an output, and return what was removed.

        Parameters
        ----------
        output : Path
        jobs, versions : bool
            What to remove: stagings, previous versions.
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
        ...

    def restored(self, described: Mapping[str, object]) -> Attempts:
        """Return the attempts that ``Attempts.describe`` of this store described."""
        ...
