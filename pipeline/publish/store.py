"""The face of a store: where outputs are published, in one step or not at all.

``flow`` and ``stream`` know a store by these protocols alone. A store that has no rename, or no folders, is one more
implementation of them.
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


class Merge(Protocol):
    """Writes the rows of parts, one after the other, into one file: ``rows`` of them, by the receipts of the parts.

    A part may be read until the next one is asked for. The bytes of the file depend on those of the parts alone.
    """

    def __call__(self, parts: Iterable[BinaryIO], file: BinaryIO, rows: int) -> None:
        """Merge parts that are open for reading into a file open for writing."""
        ...


class Attempt(Protocol):
    """One try at writing the part of a chunk. As a context manager it abandons what was not finished.

    An attempt that was abandoned, or whose ``finish`` failed, is a file that no receipt names: it harms nobody. Not for
    use by two threads at once.
    """

    file: BinaryIO

    def __enter__(self) -> Self:
        """Return the attempt itself."""
        ...

    def __exit__(self, *exc: object) -> None:
        """Abandon it, unless it was finished."""
        ...

    def finish(self, rows: int) -> PartFile:
        """Make the file and its name durable, close it, and return what is in it.

        Raises
        ------
        StorageError
            Something could not be written, synced or closed. The attempt is lost; another one may be made.
        """
        ...

    def abandon(self) -> None:
        """Close what is open and leave the file; after ``finish`` nothing happens."""
        ...


class Attempts(Protocol):
    """Through which a worker opens attempts, wherever it runs. It can be pickled, and described as JSON."""

    def open(self, chunk: int, extension: str) -> Attempt:
        """Open a new file for the part or the quarantine of a chunk, under a name never used before or after.

        Any process that reaches the store may call it; nothing but a new file is made.

        Parameters
        ----------
        chunk : int
            Number of the chunk.
        extension : str
            ``parquet``, ``csv``, ``csv.gz``, ``quarantine``: what it is going to be called, for a person who looks.

        Raises
        ------
        StorageError
            The run has ended, or the disk is full.
        """
        ...

    def describe(self) -> dict[str, object]:
        """Return what :func:`~pipeline.publish.restored_attempts` makes an equal one of, as JSON."""
        ...


@runtime_checkable
class Staging(Protocol):
    """What one run prepares, while it holds the output. For the thread that drives the run, but for ``adopt``."""

    @property
    def attempts(self) -> Attempts:
        """Through which workers write."""
        ...

    @property
    def quarantine(self) -> Path:
        """Where the quarantines are once they are published, from the parent of the output."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person is to know of how the run was prepared, a sentence each."""
        ...

    def write_job(self, content: bytes) -> tuple[Path, str]:
        """Write a job file, durable, under the name of its digest; return its path and SHA-256 in hexadecimal.

        An equal one that exists already is used; no file ever changes under its name.
        """
        ...

    def receipts(self) -> Iterator[Mapping[str, object]]:
        """Iterate over the receipts that an earlier run of this job journalled and whose files are intact.

        Each file is digested again, several at once; the first receipt of a chunk that holds is the one that counts. A
        receipt is what ``append`` was given: ``chunk``, and under ``part`` and ``quarantine`` the ``path``, ``bytes``,
        ``sha256`` and ``rows`` of a file or ``None``.
        """
        ...

    def others(self) -> bool:
        """Return whether other jobs that were to publish to this output were stopped and not yet put away."""
        ...

    def standing(self) -> Iterator[Part]:
        """Iterate over the parts of the published version that could be taken over; none where there is none."""
        ...

    def adopt(self, chunk: int, part: Part) -> tuple[PartFile, PartFile | None] | None:
        """Take a published part, and its quarantine, over as attempts at a chunk; several threads may do so at once.

        Their bytes are digested first. Returns the files as the receipt of the chunk is to name them; ``None`` where
        they are not intact, or cannot be taken over: then the chunk must be computed.
        """
        ...

    def append(self, receipt: Mapping[str, object]) -> None:
        """Append a receipt, as JSON, to the journal. It is the one that counts for its chunk from now on."""
        ...

    def receipt(self, chunk: int) -> Mapping[str, object]:
        """Return the receipt that counts for a chunk, read from the journal: none is kept in memory.

        Raises
        ------
        StorageError
            The journal does not hold it any more.
        LookupError
            There is none.
        """
        ...

    def sync(self) -> None:
        """Make every receipt so far survive a power cut: the barrier before publishing."""
        ...

    def note_end(self, reason: str, exit_code: int) -> None:
        """Note in the journal why the run ends, durable. Never fails: the error that ends the run is what counts."""
        ...

    def discard(self) -> None:
        """Remove what is staged, where nobody can go on with it; never fails. Nothing may be called afterwards."""
        ...

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        """Put the parts in place of the output, all or nothing, durable on return; return the manifest's digest.

        Until the one step the output is what it was, whatever is raised. After it, the former version is kept and
        everything staged is removed; a failure of that changes nothing and is not reported.

        Parameters
        ----------
        sections : mapping
            What the manifest proves: inputs, plan, model, options, schema, totals, as JSON.
        parts : iterable of Part
            In strictly ascending order of name; iterated over once, and where they become one file once more.
        observed : mapping
            What it only notes: times, workers, peaks. Outside its digest.

        Raises
        ------
        StorageError
            An attempt is missing or has another size than its receipt says; the disk is full. After the message "is
            published, but" the new version is there, and only its durability is unknown.
        OutputError
            Somebody put something else under the name of the output while the run was under way.
        """
        ...


def nothing() -> None:
    """Do nothing."""


USUAL = Conduct()


class Store(Protocol):
    """Where outputs are published, looked at, rolled back and cleaned."""

    def free_bytes(self, path: Path) -> int | None:
        """Return how many bytes can still be written there; ``None`` where there is no such bound."""
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
        """Refuse an output that a run would refuse, without making or locking anything.

        ``is_file`` says that the output is to be one file, not a folder of parts; without ``reuse`` a published version
        is replaced though it may be the result of this very job.

        Returns
        -------
        Manifest or None
            The manifest, where this very job is already published and intact: there is nothing to do.

        Raises
        ------
        OutputError
            It cannot be made there, is not ours, or exists under ``fail``.
        NewerOutputError
            It was made by a newer logitstream.
        PermissionDeniedError
            The system would refuse it.
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
        """Hold an output and prepare a run that publishes to it, or go on with one that was stopped.

        Yields a :class:`Staging`; or, where this very job is already published and intact, its :class:`Manifest`, and
        there is nothing to do; or, where another run holds the output and the conduct says to skip then, :class:`Busy`.
        The output is let go on exit in every case, and when the process dies.

        Parameters
        ----------
        output : Path
        job_id : str
        if_exists : {"fail", "replace"}
        codec : Codec
        conduct : Conduct
            ``resume``, ``reuse``, ``if_running``, ``wait_seconds``, ``durability`` and ``keep_versions`` count here.
        while_waiting : callable
            Called every second, or more often, while another run is waited for; what it raises ends the waiting.
        merge : Merge, optional
            What makes one file of the parts: then that file is the output, and not a folder.
        chunks : int
            How many the run has, where that is known: what is remembered of each, 8 bytes, is taken at the start.

        Raises
        ------
        OutputError
            As of ``check_output``; or ``replace`` where the store cannot replace in one step.
        TemporaryError
            Another run holds the output.
        PermissionDeniedError, StorageError
            The system refuses, or cannot.
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
        """Put the newest former version in place of the published one, in one step and durable on return.

        The version that was published is then the newest former one, so that a second rollback goes forward again.
        Every byte of the former version is digested first. Whatever is raised, and wherever the process is killed, one
        of the two is published, whole; unless the message says "is rolled back, but", it is the one that was before.

        Raises
        ------
        OutputError
            There is no former version, or it is damaged, or what has the name is not ours.
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
        """Return the former versions of an output, the newest first, without locking or changing anything."""
        ...

    def under_way(self, output: Path) -> Busy | None:
        """Return who works on an output now, ``None`` where nobody does, without changing anything."""
        ...

    def chunks_done(self, output: Path, job_id: str) -> int:
        """Return how many chunks of a job are done by the journal of its staging, without changing anything."""
        ...

    def home_of(self, output: Path) -> Path | None:
        """Return the place beside an output in which runs are prepared, ``None`` where there is none."""
        ...

    def outputs_in(self, folder: Path) -> tuple[Path, ...]:
        """Return the outputs, by name, beside which runs were prepared in a folder; they need not exist any more."""
        ...

    def clean(
        self, output: Path, *, jobs: bool, versions: bool, older_than: float | None = None, dry_run: bool = False
    ) -> Cleaned:
        """Remove stagings and former versions of an output, and return what was removed.

        Parameters
        ----------
        output : Path
        jobs, versions : bool
            What to remove: stagings, former versions.
        older_than : float, optional
            Nothing that showed a sign of life within so many seconds.
        dry_run : bool
            Remove nothing, and return what would be.

        Raises
        ------
        TemporaryError
            A run is under way.
        NewerOutputError
            A version that is to go was made by a newer logitstream; nothing was removed.
        """
        ...

    def restored(self, described: Mapping[str, object]) -> Attempts:
        """Return the attempts that ``Attempts.describe`` of this store has described."""
        ...
