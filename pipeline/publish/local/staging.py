"""The staging of a run on a local file system: locked, prepared beside the output, and put in its place in one step.

    .<name>.logitstream/             0700, beside the output
        lock                         held while a run lives; says who holds it
        jobs/<job_id>/               one job: job-<digest>.json, journal, attempts/<thousand>/..., and tree/ while
                                     publishing
        versions/<number>-<job_id>/  versions before the published one, out of sight
        files/<sha256>/              of an output that is one file: what proves the file with that digest

A run that fails leaves its folder under jobs/: the same job, started again, goes on with it; it goes when any run
publishes to this output.
"""

from __future__ import annotations

import stat
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import cast

from pipeline import disk
from pipeline.canonical import sha256 as sha256_of_bytes
from pipeline.choices import IfExists
from pipeline.errors import LogitstreamError, StorageError
from pipeline.publish.facts import Busy
from pipeline.publish.layout import Builder, Order, Place, builder_of
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.lists import blocks, parts_in
from pipeline.publish.layout.target import open_parent
from pipeline.publish.local import reuse
from pipeline.publish.local.attempts import LocalAttempts
from pipeline.publish.local.carried import intact_receipts
from pipeline.publish.local.lock import locked, open_home
from pipeline.publish.local.output import Finding, find
from pipeline.publish.local.places import JournalPlaces
from pipeline.publish.local.removal import retire, sweep
from pipeline.publish.local.stage import Staged, stage
from pipeline.publish.local.versions import heal
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import ATTEMPTS, JOB_ID, JOBS, QUARANTINE, job_file_name
from pipeline.publish.record.receipts import Codec, Part
from pipeline.publish.store import USUAL, Merge, nothing
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile


class LocalStaging:
    """The prepared folder of one run, under the lock. For the thread that drives the run, but for ``adopt``.

    Attributes
    ----------
    directory : Path
        Absolute; workers open their attempts below it.
    file_mode : int
        Permissions of the published files: those of the version that is replaced, else 0666 less the umask.
    quarantine : Path
        Where the quarantines are once they are published, from the parent of the output.
    durable : bool
        Whether anything is synced in this run: what workers need to know to open attempts.
    attempts : LocalAttempts
        These three, as workers get them.
    notes : tuple of str
        What a person is to know of how the folder was prepared.
    """

    def __init__(
        self, place: Place, staged: Staged, builder: Builder, codec: Codec, job_id: str, keep_versions: int, chunks: int
    ) -> None:
        self._place = place
        self._folder, self._journal = staged.folder, staged.journal
        self._builder = builder
        self._places = JournalPlaces(chunks)
        self._codec = codec
        self._job_id = job_id
        self._keep_versions = keep_versions
        mask = disk.umask()
        version = place.version
        self.directory = self._folder.path
        self.durable = self._folder.durable
        self.notes = staged.notes
        self.quarantine = Path(place.target.name, QUARANTINE)
        self.file_mode = 0o666 & ~mask if version is None else version.file_mode
        # Without its owner's rights a folder could not be moved to its place.
        self._folder_mode = 0o700 | (0o777 & ~mask if version is None else version.folder_mode)
        self.attempts = LocalAttempts(str(self.directory), self.file_mode, self.durable)

    def write_job(self, content: bytes) -> tuple[Path, str]:
        """Write a job file, durable, under the name of its digest; return its path and SHA-256 in hexadecimal.

        An equal one that exists already is used; no file ever changes under its name.
        """
        sha256 = sha256_of_bytes(content)
        name = job_file_name(sha256)
        status = self._folder.look(name)
        if status is not None and not (stat.S_ISREG(status.st_mode) and self._holds(name, content)):
            self._folder.unlink(name)
            status = None
        if status is None:
            draft = f"{name}.{uuid.uuid4().hex}"
            disk.write_new(self._folder, draft, content)
            self._folder.move(draft, self._folder, name)
        self._folder.sync()
        return self.directory / name, sha256

    def _holds(self, name: str, content: bytes) -> bool:
        return b"".join(blocks(self._folder, name, len(content) + 1)) == content

    def receipts(self) -> Iterator[Mapping[str, object]]:
        """Iterate over the receipts that an earlier run of this job journalled and whose files are intact.

        Each file is digested again, several at once; the first receipt of a chunk that holds is the one that counts. A
        receipt is what ``append`` was given: ``chunk``, and under ``part`` and ``quarantine`` the ``path``, ``bytes``,
        ``sha256`` and ``rows`` of a file or ``None``.
        """
        with self._folder.enter(ATTEMPTS) as attempts, closing(self._journal.replayed()) as replayed:
            for receipt, place in intact_receipts(replayed, attempts):
                self._places.put(cast("int", receipt["chunk"]), place)
                yield receipt
        # Behind every sync of what the lines above speak of, as any line is.
        self._journal.resume()

    def others(self) -> bool:
        """Return whether other jobs that were to publish to this output were stopped and not yet put away."""
        with self._place.home.enter(JOBS) as jobs:
            return any(JOB_ID.fullmatch(name) and name != self._job_id for name in jobs.names())

    def standing(self) -> Iterator[Part]:
        """Iterate over the parts of the published version that could be taken over; none where there is none."""
        version, folder = self._place.version, self._place.reusable
        if version is not None and folder is not None:
            yield from parts_in(folder, version.manifest, self._codec)

    def adopt(self, chunk: int, part: Part) -> tuple[PartFile, PartFile | None] | None:
        """Take a published part, and its quarantine, over as attempts at a chunk; several threads may do so at once.

        Their bytes are digested first and then given second names, not copied. Returns the files as the receipt of
        the chunk is to name them; ``None`` where they are not intact, or the file system gives no second names: then
        the chunk must be computed.
        """
        if self._place.reusable is None:
            return None
        with self._folder.enter(ATTEMPTS) as attempts:
            return reuse.adopt(self._place.reusable, attempts, chunk, part, self.file_mode)

    def append(self, receipt: Mapping[str, object]) -> None:
        """Append a receipt, as JSON, to the journal; synced with its group of 64 lines or 100 ms.

        It is the one that counts for its chunk, whatever was there before.
        """
        place = self._journal.append(receipt)
        chunk = receipt.get("chunk")
        if isinstance(chunk, int):
            self._places.put(chunk, place)

    def receipt(self, chunk: int) -> Mapping[str, object]:
        """Return the receipt that counts for a chunk, read from the journal: none is kept in memory.

        Raises
        ------
        StorageError
            The journal does not hold it any more.
        LookupError
            There is none.
        """
        place = self._places.get(chunk)
        if place is None:
            raise LookupError(f"chunk {chunk} has no receipt")
        receipt = self._journal.line_at(place)
        if receipt.get("chunk") != chunk:
            raise StorageError(f"the journal holds another receipt where that of chunk {chunk} stood", "run again")
        return receipt

    def sync(self) -> None:
        """Make every receipt so far survive a power cut: the barrier before publishing."""
        self._journal.sync()

    def note_end(self, reason: str, exit_code: int) -> None:
        """Note in the journal why the run ends, durable. Never fails: the error that ends the run is what counts."""
        with suppress(LogitstreamError):
            self._journal.end(reason, exit_code)

    def discard(self) -> None:
        """Remove what is staged, where nobody can go on with it; never fails. Nothing may be called afterwards.

        A former version that a failure behind the exchange has left here is kept first.
        """
        with suppress(LogitstreamError):
            retire(self._place.home, self._job_id)

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        """Put the parts in place of the output, all or nothing, durable on return; return the manifest's digest.

        Until the one rename the output is what it was, whatever is raised. After it, the former version is kept beside
        the output and everything staged is removed; a failure of that changes nothing and is not reported.

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
        self.sync()
        layout = self._builder.layout
        order = Order(self._job_id, sections, parts, observed, self._codec, self.file_mode, self._folder_mode)
        manifest = self._builder.build(self._folder, order)
        self._folder.sync()
        layout.commit(self._place, self._folder, manifest)
        # In the meantime: nobody lists them, and no run needs them any more.
        layout.let_readers_end(self._place, lambda: remove(self._folder, ATTEMPTS))
        self.quarantine = layout.quarantine(self._place.target, manifest)
        sweep(self._place.home, self._keep_versions, manifest.proof)
        return manifest.digest


@contextmanager
def open_staging(
    output: Path,
    job_id: str,
    *,
    if_exists: IfExists,
    codec: Codec,
    conduct: Conduct = USUAL,
    while_waiting: Callable[[], None] = nothing,
    merge: Merge | None = None,
    chunks: int = 0,
) -> Iterator[LocalStaging | Manifest | Busy]:
    """Lock an output and prepare a run that publishes to it, or go on with one that was stopped.

    Yields a :class:`LocalStaging`; or, where this very job is already published and intact, its :class:`Manifest`, and
    there is nothing to do; or, where another run holds the output and the conduct says to skip then, :class:`Busy`. The
    lock is released on exit in every case, and by the system if the process dies. The output is examined, and what the
    file system can do is tried out, before anything is staged. What an earlier try of the same job has journalled stays
    if the conduct says so; see :meth:`LocalStaging.receipts`.

    Parameters
    ----------
    output : Path
    job_id : str
    if_exists : {"fail", "replace"}
    codec : Codec
    conduct : Conduct
        ``resume``, ``reuse``, ``if_running``, ``wait_seconds``, ``durability`` and ``keep_versions`` of it count here.
    while_waiting : callable
        Called every second, or more often, while another run is waited for; what it raises ends the waiting.
    merge : Merge, optional
        What makes one file of the parts: then that file is the output, and not a folder.
    chunks : int
        How many the run has, where that is known: what is remembered of each, 8 bytes, is taken at the start.

    Raises
    ------
    OutputError
        See :func:`~pipeline.publish.local.output.check_output`; or ``replace``
        on a file system that cannot exchange folders.
    TemporaryError
        Another run holds the lock.
    PermissionDeniedError, StorageError
        The system refuses, or cannot.
    """
    if not JOB_ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} is not a job id")
    builder = builder_of(merge)

    def found() -> Finding:
        return find(target, parent, job_id, if_exists, codec, layout=builder.layout, reuse=conduct.reuse)

    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output, durable=conduct.durability == "full"))
        if parent.look(target.home_name) is None:
            # Before anything is made, so that a refusal leaves nothing beside a stranger's folder.
            found()
        home = stack.enter_context(open_home(target, parent))
        busy = stack.enter_context(locked(home, target, conduct, job_id=job_id, while_waiting=while_waiting))
        if busy is not None:
            yield busy
            return
        heal(parent, home)
        finding = found()
        version = finding.version
        if version is not None and finding.same is not None:
            try:
                version.layout.sync_at(target, parent, home, finding.same)
            except StorageError as error:
                raise StorageError(f"{target.shown} is published, but {error.message}", error.remedy) from error
            sweep(home, conduct.keep_versions, finding.same.proof)
            yield finding.same
            return
        reusable = None if version is None else version.layout.reusable_at(parent, target.name)
        place = Place(target, parent, home, version, None if reusable is None else stack.enter_context(reusable))
        staged = stage(place, job_id, conduct, stack)
        yield LocalStaging(place, staged, builder, codec, job_id, conduct.keep_versions, chunks)
