"""An output that is one file, merged of the parts; what proves it is beside it, found by its digest.

files/<sha256>/                            see :mod:`pipeline.publish.layout.proofs`
versions/<number>-<job_id>/<sha256>.kept   a former version
jobs/<job_id>/proof/                       becomes files/<sha256>/ before the file takes its place
jobs/<job_id>/tree/                        holds the file in the making, and the former one after the exchange
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout.base import Layout, Order, Place, Version
from pipeline.publish.layout.entries import Listing, content_defects, quarantine_in
from pipeline.publish.layout.file_checker import open_file
from pipeline.publish.layout.lists import aside, foreign, parts_in, write_manifest, write_receipts
from pipeline.publish.layout.merging import merge_parts, put_in_place
from pipeline.publish.layout.proof import proven
from pipeline.publish.layout.proofs import Proven, forget, kept_in, proof_of, proven_file, settle, state_of_file
from pipeline.publish.layout.target import Destination, State, resolve
from pipeline.publish.layout.tree import Tree
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import FILE, FILES, PROOF, QUARANTINE, kept_file_name
from pipeline.publish.record.receipts import Codec
from pipeline.publish.store import Merge


@dataclass(frozen=True, slots=True)
class FileLayout:
    """One file: its digest names the manifest that proves it."""

    noun: str = "a file"
    nouns: str = "files"

    def fits(self, mode: int) -> bool:
        """Return whether it is a regular file."""
        return stat.S_ISREG(mode)

    def version_at(self, target: Destination, parent: Folder, codec: Codec) -> Version:
        """Return the version that the file is; its digest names a manifest beside it."""
        found = _found(target, parent)
        with parent.enter(target.home_name) as home:
            defects = _proof_defects(home, found, codec)
        return Version(self, found.manifest, 0o700, found.mode, found.state, defects, found)

    def state_at(self, parent: Folder, name: str) -> State | None:
        """Return the state of a file; writing to it changes that."""
        status = parent.look(name)
        return state_of_file(status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def reusable_at(self, _parent: Folder, _name: str) -> Folder | None:
        """Return ``None``: the parts went with the run."""
        return None

    def proof_at(self, parent: Folder, name: str, home: Folder) -> str | None:
        """Return the digest of the file, where something proves it."""
        found = proven_file(parent, name, home)
        return None if found is None else found.sha256

    def sync_at(self, target: Destination, parent: Folder, home: Folder, manifest: Manifest) -> None:
        """Sync the file, its name, and what proves it."""
        parent.sync_named(target.name)
        with home.enter(FILES) as files, files.enter(manifest.proof or "") as proof:
            proof.sync_tree()

    def quarantine(self, target: Destination, manifest: Manifest) -> Path:
        """Return the folder of quarantines with what proves the file."""
        return Path(target.home_name, FILES, manifest.proof or "", QUARANTINE)

    def manifest_at(self, output: Path) -> Manifest:
        """Return the manifest that the digest of the file names."""
        target = resolve(output)
        with Folder.open(target.parent) as parent:
            return _found(target, parent).manifest

    def open_published(self, output: Path, codec: Codec) -> AbstractContextManager[PublishedOutput]:
        """Open the file; it is digested, to find its manifest."""
        return open_file(output, codec)

    def commit(self, place: Place, staging: Folder, manifest: Manifest) -> None:
        """Put what proves the file in its place, and then let the file change places with the output."""
        put_in_place(place, staging, manifest.proof or "")

    def let_readers_end(self, _place: Place, meanwhile: Callable[[], None]) -> None:
        """Wait for nobody: who has a file open reads it to its end whatever its name becomes."""
        meanwhile()

    def settle(self, home: Folder, folder: Folder, job_id: str | None, known: Version | None) -> None:
        """Call the file by its digest; that of the job itself never took its place and is ``merged`` again."""
        settle(home, folder, job_id, None if known is None else known.proven)

    def manifest_of(self, home: Folder, folder: Folder) -> Manifest | None:
        """Return the manifest that the name of the file names."""
        sha256 = kept_in(folder)
        return None if sha256 is None else proof_of(home, sha256)

    def hide(self, _folder: Folder) -> None:
        """Do nothing: once settled, the file has a name that nobody takes for data."""

    def proof_of(self, folder: Folder) -> str | None:
        """Return the digest in the name of the file."""
        return kept_in(folder)

    def checked(self, home: Folder, folder: Folder, codec: Codec) -> tuple[Manifest, str]:
        """Return the manifest, and what is wrong with the file and with its quarantines."""
        sha256 = kept_in(folder)
        manifest = None if sha256 is None else proof_of(home, sha256)
        if sha256 is None or manifest is None or manifest.file is None:
            raise foreign(folder, f"there is no manifest of its file, {(sha256 or '')[:16]}")
        with home.enter(FILES) as files, files.enter(sha256) as proof:
            if proven(folder, kept_file_name(sha256), manifest.file) is None:
                return manifest, "its content is not what was published"
            return manifest, content_defects(proof, parts_in(proof, manifest, codec))

    def bring_out(self, _versions: Folder, folder: Folder, manifest: Manifest) -> tuple[Folder, str]:
        """Give the file the name that says it may have been exchanged, durable."""
        folder.move(kept_file_name(manifest.proof or ""), folder, FILE)
        folder.sync()
        return folder, FILE

    def sync_former(self, versions: Folder, name: str) -> None:
        """Sync the list of former versions, and the folder that the file is in."""
        versions.sync()
        with versions.enter(name) as folder:
            folder.sync()

    def forget(
        self,
        home: Folder,
        unfinished: Iterator[Folder],
        formers: Iterator[Folder],
        published: str | None,
        among: Container[str] | None,
    ) -> None:
        """Remove what proves neither the output nor a former version."""
        forget(home, unfinished, formers, published, among)


ONE_FILE = FileLayout()


@dataclass(frozen=True, slots=True)
class FileBuilder:
    """Merges the attempts into one file, and lists them, and links their quarantines, in what proves it."""

    merge: Merge
    layout: Layout = ONE_FILE

    def build(self, staging: Folder, order: Order) -> Manifest:
        """Build the file and what proves it; all of it is durable but for their own names."""
        mode = order.file_mode
        with (
            staging.make(PROOF) as folder,
            Tree(staging, folder, mode, 0o700, with_parts=False) as tree,
        ):
            with closing(tree.linked(order.parts)) as winners:
                listed = write_receipts(folder, winners, mode, order.codec)
            rows = listed["parts"]["rows"]
            file = merge_parts(staging, (part.file for part in order.parts), rows, self.merge, mode)
            facts = {"bytes": file.bytes, "sha256": file.sha256, "rows": file.rows}
            found = {**listed, "file": facts}
            manifest = write_manifest(folder, order.job_id, order.sections, order.observed, found, mode)
            tree.finish()
        return manifest


def _found(target: Destination, parent: Folder) -> Proven:
    """Return what proves the file under the name of an output; raises an :class:`OutputError` where nothing does."""
    found = None
    if is_folder(parent, target.home_name):
        with parent.enter(target.home_name) as home:
            found = proven_file(parent, target.name, home)
    if found is None:
        reason = "no manifest beside it speaks of a file with this content"
        raise OutputError(f"{target.shown} was not published by logitstream: {reason}", aside(target.path))
    return found


def _proof_defects(home: Folder, found: Proven, codec: Codec) -> str:
    with ExitStack() as stack:
        files = stack.enter_context(home.enter(FILES))
        folder = stack.enter_context(files.enter(found.sha256))
        held = Listing(quarantine_in(folder, stack))
        try:
            for part in parts_in(folder, found.manifest, codec):
                if part.quarantine is not None:
                    held.check(part.quarantine_name, part.quarantine.bytes)
        except OutputError:
            return "the receipts beside it are missing or damaged"
    return f"{held.damaged} of its quarantines are missing or cut, {held.first} first" if held.damaged else ""
