"""An output that is one file, merged from the parts; its proof is next to it, found by its digest.

files/<sha256>/                            see :mod:`pipeline.publish.layout.proofs`
versions/<number>-<job_id>/<sha256>.kept   a previous version
jobs/<job_id>/proof/                       becomes files/<sha256>/ before the file takes its place
jobs/<job_id>/tree/                        holds the file while it is made, and the previous one after the exchange
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, ExitStack, closing
from pathlib import Path

from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout.base import Layout, Order, Place, Version
from pipeline.publish.layout.entries import Listing, content_defects, missing_clause, quarantine_in
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
    """One file; the manifest that proves it is found by its digest."""

    noun: str = "a file"
    nouns: str = "files"

    def fits(self, mode: int) -> bool:
        """Return whether it is a regular file."""
        return stat.S_ISREG(mode)

    def version_at(self, target: Destination, parent: Folder, codec: Codec) -> Version:
        """Return the version that the file is, by the manifest next to it."""
        found = _found(target, parent)
        with parent.enter(target.home_name) as home:
            defects = _proof_defects(home, found, codec)
        return Version(self, found.manifest, 0o700, found.mode, found.state, defects, found)

    def state_at(self, parent: Folder, name: str) -> State | None:
        """Return the state of a file, which changes when somebody writes to it."""
        status = parent.look(name)
        return state_of_file(status) if status is not None and stat.S_ISREG(status.st_mode) else None

    def reusable_at(self, _parent: Folder, _name: str) -> Folder | None:
        """Return ``None``: the parts were removed with the run."""
        return None

    def proof_at(self, parent: Folder, name: str, home: Folder) -> str | None:
        """Return the digest of the file if something proves it."""
        found = proven_file(parent, name, home)
        return None if found is None else found.sha256

    def sync_at(self, target: Destination, parent: Folder, home: Folder, manifest: Manifest) -> None:
        """Sync the file, its name and its proof."""
        parent.sync_named(target.name)
        with home.enter(FILES) as files, files.enter(manifest.proof or "") as proof:
            proof.sync_tree()

    def quarantine(self, target: Destination, manifest: Manifest) -> Path:
        """Return the folder of quarantines, which is with the proof of the file."""
        return Path(target.home_name, FILES, manifest.proof or "", QUARANTINE)

    def manifest_at(self, output: Path) -> Manifest:
        """Return the manifest that is found by the digest of the file."""
        target = resolve(output)
        with Folder.open(target.parent) as parent:
            return _found(target, parent).manifest

    def open_published(self, output: Path, codec: Codec) -> AbstractContextManager[PublishedOutput]:
        """Open the file; it is digested to find its manifest."""
        return open_file(output, codec)

    def commit(self, place: Place, staging: Folder, manifest: Manifest) -> None:
        """Put the proof of the file in its place, then exchange the file and the output."""
        put_in_place(place, staging, manifest.proof or "")

    def let_readers_end(self, _place: Place, meanwhile: Callable[[], None]) -> None:
        """Call ``meanwhile`` without waiting: a reader that has the file open can read it to its end."""
        meanwhile()

    def settle(self, home: Folder, folder: Folder, job_id: str | None, known: Version | None) -> None:
        """Name the file by its digest; a file of the job itself never took its place and is ``merged`` again."""
        settle(home, folder, job_id, None if known is None else known.proven)

    def manifest_of(self, home: Folder, folder: Folder) -> Manifest | None:
        """Return the manifest that is found by the digest in the name of the file."""
        sha256 = kept_in(folder)
        return None if sha256 is None else proof_of(home, sha256, folder)

    def hide(self, _folder: Folder) -> None:
        """Do nothing: once settled, the file has a name that no reader takes for data."""

    def proof_of(self, folder: Folder) -> str | None:
        """Return the digest in the name of the file."""
        return kept_in(folder)

    def checked(self, home: Folder, folder: Folder, codec: Codec) -> tuple[Manifest, str]:
        """Return the manifest, and what is wrong with the file and its quarantines."""
        sha256 = kept_in(folder)
        manifest = None if sha256 is None else proof_of(home, sha256, folder)
        if sha256 is None or manifest is None or manifest.file is None:
            raise foreign(folder, f"its file {(sha256 or '')[:16]} has no manifest")
        with home.enter(FILES) as files, files.enter(sha256) as proof:
            if proven(folder, kept_file_name(sha256), manifest.file) is None:
                return manifest, "its content is not what was published"
            return manifest, content_defects(proof, parts_in(proof, manifest, codec))

    def bring_out(self, _versions: Folder, folder: Folder, manifest: Manifest) -> tuple[Folder, str]:
        """Give the file the name of one that may have been exchanged, durable."""
        folder.move(kept_file_name(manifest.proof or ""), folder, FILE)
        folder.sync()
        return folder, FILE

    def sync_former(self, versions: Folder, name: str) -> None:
        """Sync the list of previous versions, and the folder that the file is in."""
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
        """Remove the proofs of what is neither the output nor a previous version."""
        forget(home, unfinished, formers, published, among)


ONE_FILE = FileLayout()


@dataclass(frozen=True, slots=True)
class FileBuilder:
    """Merges the attempts into one file; lists them, and links their quarantines, in its proof."""

    merge: Merge
    layout: Layout = ONE_FILE

    def build(self, staging: Folder, order: Order) -> Manifest:
        """Build the file and its proof; everything is durable except the names of the two."""
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
    """Return what proves the file under the name of an output; raises an :class:`OutputError` if nothing does."""
    found = None
    if is_folder(parent, target.home_name):
        with parent.enter(target.home_name) as home:
            found = proven_file(parent, target.name, home)
    if found is None:
        reason = "no manifest next to it lists a file with this content"
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
            return "its receipts are missing or damaged"
    return missing_clause(held.damaged, held.first, "quarantines")
