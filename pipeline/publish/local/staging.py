"""The staging of a run on a local file system: locked, prepared next to the output, and published in one step.

    .<name>.logitstream/             0700, next to the output
        lock                         held while a run lives; says who holds it
        jobs/<job_id>/               one job: job-<digest>.json, journal, attempts/<thousand>/..., and tree/ while
                                     publishing
        versions/<number>-<job_id>/  previous versions, out of sight
        files/<sha256>/              for an output of one file: the proof of the file with that digest
        remembered                   what the last run left for the next one, which may be lost

A run that fails leaves its folder under jobs/. The same job, started again, resumes from it. It is removed when any run
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
from pipeline.publish.layout.commit import once_done
from pipeline.publish.layout.lists import blocks, parts_in
from pipeline.publish.layout.target import open_parent
from pipeline.publish.local import reuse
from pipeline.publish.local.attempts import LocalAttempts
from pipeline.publish.local.carried import intact_receipts
from pipeline.publish.local.lock import locked, open_home
from pipeline.publish.local.output import Finding, find
from pipeline.publish.local.places import JournalPlaces
from pipeline.publish.local.remembering import forget, remember
from pipeline.publish.local.removal import retire, sweep
from pipeline.publish.local.stage import Staged, stage
from pipeline.publish.local.versions import heal
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import ATTEMPTS, JOB_ID, JOBS, QUARANTINE, job_file_name
from pipeline.publish.record.receipts import Codec, Part
from pipeline.publish.store import USUAL, Adopted, Merge, nothing
from pipeline.types.job import Conduct


class LocalStaging:
    """The prepared folder of one run, under the lock; for one thread.

    Attributes
    ----------
    directory : Path
        Absolute; workers open their attempts below it.
    file_mode : int
        Permissions of the published files: those of the version that is replaced, else 0666 less the umask.
    quarantine : Path
        Where the quarantines are once they are published, relative to the parent of the output.
    durable : bool
        Whether anything is synced in this run; workers need it to open attempts.
    attempts : LocalAttempts
        ``directory``, ``file_mode`` and ``durable``, as workers get them.
    notes : tuple of str
        Sentences that tell a person how the folder was prepared.
    published : Manifest or None
        Of the published version, which this run replaces.
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
        self.published = None if version is None else version.manifest
        self.quarantine = Path(place.target.name, QUARANTINE)
        self.file_mode = 0o666 & ~mask if version is None else version.file_mode
        # Without its owner's rights a folder could not be moved to its place.
        self._folder_mode = 0o700 | (0o777 & ~mask if version is None else version.folder_mode)
        self.attempts = LocalAttempts(str(self.directory), self.file_mode, self.durable)

    def write_job(self, content: bytes) -> tuple[Path, str]:
        """See :meth:`pipeline.publish.Staging.write_job`."""
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
        """See :meth:`pipeline.publish.Staging.receipts`."""
        with self._folder.enter(ATTEMPTS) as attempts, closing(self._journal.replayed()) as replayed:
            for receipt, place in intact_receipts(replayed, attempts):
                self._places.put(cast("int", receipt["chunk"]), place)
                yield receipt
        # Like any line, after every sync of the files that it depends on.
        self._journal.resume()

    def others(self) -> bool:
        """See :meth:`pipeline.publish.Staging.others`."""
        with self._place.home.enter(JOBS) as jobs:
            return any(JOB_ID.fullmatch(name) and name != self._job_id for name in jobs.names())

    def standing(self) -> Iterator[Part]:
        """See :meth:`pipeline.publish.Staging.standing`."""
        version, folder = self._place.version, self._place.reusable
        if version is not None and folder is not None:
            yield from parts_in(folder, version.manifest, self._codec)

    def adopted(self, chosen: Iterable[tuple[int, Part]]) -> Iterator[tuple[int, Part, Adopted | None]]:
        """See :meth:`pipeline.publish.Staging.adopted`: the files are linked, not copied.

        ``None`` also if the file system has no links.
        """
        if self._place.reusable is None:
            yield from ((chunk, part, None) for chunk, part in chosen)
            return
        with self._folder.enter(ATTEMPTS) as attempts:
            yield from reuse.adopted(self._place.reusable, attempts, chosen, self.file_mode)

    def append(self, receipt: Mapping[str, object]) -> None:
        """See :meth:`pipeline.publish.Staging.append`: synced with its group of 64 lines or 100 ms."""
        place = self._journal.append(receipt)
        chunk = receipt.get("chunk")
        if isinstance(chunk, int):
            self._places.put(chunk, place)

    def receipt(self, chunk: int) -> Mapping[str, object]:
        """See :meth:`pipeline.publish.Staging.receipt`."""
        place = self._places.get(chunk)
        if place is None:
            raise LookupError(f"chunk {chunk} has no receipt")
        receipt = self._journal.line_at(place)
        if receipt.get("chunk") != chunk:
            raise StorageError(
                f"the journal was changed: it has another entry where that of chunk {chunk} was", "run again"
            )
        return receipt

    def sync(self) -> None:
        """See :meth:`pipeline.publish.Staging.sync`."""
        self._journal.sync()

    def note_end(self, reason: str, exit_code: int) -> None:
        """See :meth:`pipeline.publish.Staging.note_end`."""
        with suppress(LogitstreamError):
            self._journal.end(reason, exit_code)

    def discard(self) -> None:
        """Remove what is staged, for a run that cannot be resumed. Never fails. Call nothing afterwards.

        A previous version that a failure after the exchange has left here is kept first.
        """
        with suppress(LogitstreamError):
            retire(self._place.home, self._job_id)

    def remember(self, content: bytes) -> None:
        """See :meth:`pipeline.publish.Staging.remember`."""
        remember(self._place.home, content)

    def publish(self, sections: Mapping[str, object], parts: Iterable[Part], *, observed: Mapping[str, object]) -> str:
        """See :meth:`pipeline.publish.Staging.publish`: the one step is a rename, or an exchange of two names."""
        self.sync()
        layout = self._builder.layout
        order = Order(self._job_id, sections, parts, observed, self._codec, self.file_mode, self._folder_mode)
        manifest = self._builder.build(self._folder, order)
        self._folder.sync()
        layout.commit(self._place, self._folder, manifest)
        # Meanwhile the attempts are removed: nobody lists them, and no run needs them any more.
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
    """See :meth:`pipeline.publish.Store.open_staging`.

    The lock is released on exit in every case, and by the system if the process dies. Before anything is staged, the
    output is examined and the abilities of the file system are tried out.
    """
    if not JOB_ID.fullmatch(job_id):
        raise ValueError(f"{job_id!r} is not a job id")
    builder = builder_of(merge)

    def found() -> Finding:
        return find(target, parent, job_id, if_exists, codec, layout=builder.layout, reuse=conduct.reuse)

    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output, durable=conduct.durability == "full"))
        if parent.look(target.home_name) is None:
            # Before anything is created, so that a refusal leaves nothing next to somebody else's folder.
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
            with once_done(target, "published"):
                version.layout.sync_at(target, parent, home, finding.same)
            sweep(home, conduct.keep_versions, finding.same.proof)
            yield finding.same
            return
        reusable = None if version is None else version.layout.reusable_at(parent, target.name)
        place = Place(target, parent, home, version, None if reusable is None else stack.enter_context(reusable))
        staged = stage(place, job_id, conduct, stack)
        forget(home)
        yield LocalStaging(place, staged, builder, codec, job_id, conduct.keep_versions, chunks)
