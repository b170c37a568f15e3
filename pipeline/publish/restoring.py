"""Back to the former version in one step, and forward again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.choices import Durability
from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, OutputError, StorageError
from pipeline.publish.lock import locked, open_home
from pipeline.publish.manifest import MANIFEST, Manifest, aside, foreign
from pipeline.publish.onefile import FILE, FILES, kept_in, proof_of
from pipeline.publish.output import Version, examine, refuse_if_changed, refuse_of_others, version_in
from pipeline.publish.proof import checked, proven
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, Part, parts_in
from pipeline.publish.target import Destination, open_parent
from pipeline.publish.versions import KEPT, VERSIONS, Former, formers, heal, let_listings_end, mend, show
from pipeline.types.job import Conduct
from pipeline.types.outputs import PartFile
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Rolled:
    """What a rollback did: which job's version stood under the name before, and which one stands there now.

    ``from_job_id`` is ``None`` where nothing stood there. ``parts``, ``rows`` and ``bytes`` are those of the version
    that stands now.
    """

    output: str
    from_job_id: str | None
    to_job_id: str
    parts: int
    rows: int
    bytes: int


def rollback(
    output: Path,
    *,
    codec: Codec,
    durability: Durability = "full",
) -> Rolled:
    """Put the newest former version in place of the published one, in one step and durable on return.

    The version that stood there is then the newest former one, so that a second rollback goes forward again. Every byte
    of the former version is digested first. Whatever is raised, and wherever the process is killed, one of the two
    stands under the name, whole; unless the message says "is rolled back, but", it is the one that stood there before.

    Raises
    ------
    OutputError
        There is no former version, or it is damaged, or what stands under the name is not ours.
    TemporaryError
        A run is under way.
    """
    with ExitStack() as stack:
        target, parent = stack.enter_context(open_parent(output, durable=durability == "full"))
        home = stack.enter_context(_home(target, parent))
        stack.enter_context(locked(home, target, Conduct()))
        heal(parent, home)
        version = examine(target, parent, codec)
        versions = stack.enter_context(home.enter(VERSIONS)) if is_folder(home, VERSIONS) else None
        former = next(iter(formers(versions)), None) if versions is not None else None
        if versions is None or former is None:
            raise _none(target)
        manifest = _checked(home, versions, former, codec)
        _refuse_other_kind(target, version, manifest)
        if version is not None:
            refuse_of_others(target, parent)
        swap = _Swap(target, parent, home, version, versions, former, manifest.file)
        swap.exchange()
        exchanged = time.monotonic()
        swap.settle()
        if version is not None:
            let_listings_end(exchanged)
        swap.hide()
    before = None if version is None else version.manifest.job_id
    return Rolled(str(target.path), before, manifest.job_id, manifest.parts, manifest.rows, manifest.output_bytes)


@contextmanager
def _home(target: Destination, parent: Folder) -> Iterator[Folder]:
    if parent.look(target.home_name) is None:
        raise _none(target)
    with open_home(target, parent) as home:
        yield home


def _none(target: Destination) -> OutputError:
    return OutputError(
        f"{target.shown} has no former version",
        "a version is kept when another one replaces it, as many as --keep-versions says",
    )


def _refuse_other_kind(target: Destination, version: Version | None, former: Manifest) -> None:
    if version is not None and (version.file is None) != (former.file is None):
        now, then = ("a folder", "a file") if version.file is None else ("a file", "a folder")
        raise OutputError(f"{target.shown} is {now}, and its former version {then}", aside(target.path))


def _checked(home: Folder, versions: Folder, former: Former, codec: Codec) -> Manifest:
    """Return the manifest of a former version, every byte of whose files was digested; raises for any other."""
    shown = escape(str(versions.path / former.name), 1000)
    remedy = "it was left as it is, and so was what is published; run the job of that version again"
    try:
        with versions.enter(former.name) as folder:
            sha256 = kept_in(folder)
            if sha256 is None:
                found = version_in(folder, codec, KEPT)
                manifest = found.manifest
                defects = found.defects or _defects(folder, parts_in(folder, manifest, codec), KEPT)
            else:
                manifest, defects = _checked_file(home, folder, sha256, codec)
    except OutputError as error:
        raise OutputError(f"the former version is damaged: {error.message}", remedy) from error
    if defects:
        raise OutputError(f"the former version in {shown} is damaged: {defects}", remedy)
    return manifest


def _checked_file(home: Folder, folder: Folder, sha256: str, codec: Codec) -> tuple[Manifest, str]:
    """Return the manifest of a former version that is one file, and what is wrong with it."""
    manifest = proof_of(home, sha256)
    if manifest is None or manifest.file is None:
        raise foreign(folder, f"there is no manifest of its file, {sha256[:16]}")
    with home.enter(FILES) as files, files.enter(sha256) as proof:
        if proven(folder, f"{sha256}.kept", manifest.file) is None:
            return manifest, "its content is not what was published"
        return manifest, _defects(proof, parts_in(proof, manifest, codec))


def _defects(folder: Folder, parts: Iterator[Part], suffix: str | None = None) -> str:
    """Return what is wrong with parts, whose names have a suffix, and quarantines; with these alone if it is None."""
    with ExitStack() as stack:
        quarantine = stack.enter_context(folder.enter(QUARANTINE)) if is_folder(folder, QUARANTINE) else None

        def intact(part: Part) -> bool:
            if suffix is not None and proven(folder, f"{part.name}{suffix}", part.file) is None:
                return False
            if part.quarantine is None:
                return True
            return quarantine is not None and proven(quarantine, part.quarantine_name, part.quarantine) is not None

        for part, good in checked(parts, intact):
            if not good:
                return f"the content of {part.name}, or of its quarantine, is not what was published"
        if quarantine is not None:
            quarantine.sync()
    _sync_lists(folder)
    return ""


def _sync_lists(folder: Folder) -> None:
    """Sync what lists the files of a version: the run that published it may not have done so."""
    for name in (MANIFEST, RECEIPTS):
        folder.sync_named(name)
    folder.sync()


@dataclass(frozen=True, slots=True)
class _Swap:
    """A former version, whole, that is to change places with what stands under the name of the output, if anything.

    ``file`` is set where both are files.
    """

    target: Destination
    parent: Folder
    home: Folder
    version: Version | None
    versions: Folder
    former: Former
    file: PartFile | None

    def exchange(self) -> None:
        """Let them change places in one step."""
        try:
            with self.versions.enter(self.former.name) as folder:
                if self.file is None:
                    show(folder)
                    self._swap(self.versions, self.former.name)
                else:
                    folder.move(f"{self.file.sha256}.kept", folder, FILE)
                    folder.sync()
                    self._swap(folder, FILE)
        except BaseException:
            # Interrupted, it may have happened all the same: then it must hold before anything gets another name.
            with suppress(LogitstreamError):
                self.parent.sync()
                self.hide()
            raise

    def _swap(self, folder: Folder, name: str) -> None:
        if self.version is None:
            folder.move(name, self.parent, self.target.name)
        else:
            refuse_if_changed(self.target, self.parent, self.version)
            folder.exchange(name, self.parent, self.target.name)

    def settle(self) -> None:
        """Make it durable."""
        try:
            self.parent.sync()
            self.versions.sync()
            if self.file is not None:
                with self.versions.enter(self.former.name) as folder:
                    folder.sync()
        except StorageError as error:
            raise StorageError(f"{self.target.shown} is rolled back, but {error.message}", error.remedy) from error

    def hide(self) -> None:
        """Put out of sight what lies in the place of the former version now; the next run heals what is left over."""
        known = None if self.version is None else self.version.file
        with suppress(LogitstreamError):
            if is_folder(self.versions, self.former.name):
                mend(self.home, self.versions, self.former, known)
