"""An output that is a folder of parts, with the manifest and the receipts that prove them.

jobs/<job_id>/tree/               becomes the output by one rename or exchange
versions/<number>-<job_id>/       a previous version, its parts renamed to *.kept, so that no reader of the parent
                                  folder takes them for data; quarantines keep their names, which no reader takes
                                  for data either
"""

from __future__ import annotations

import stat
import time
from collections.abc import Callable, Container, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path

from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.publish.facts import PublishedOutput
from pipeline.publish.layout.base import Layout, Order, Place, Version
from pipeline.publish.layout.commit import let_listings_end, sync_published, take_name
from pipeline.publish.layout.entries import content_defects
from pipeline.publish.layout.folder_checker import open_folder
from pipeline.publish.layout.folder_version import facts_of, hide, show, state_of
from pipeline.publish.layout.lists import manifest_in, manifest_or_none, parts_in, write_manifest, write_receipts
from pipeline.publish.layout.target import Destination, State
from pipeline.publish.layout.tree import Tree
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import KEPT, QUARANTINE, TREE
from pipeline.publish.record.receipts import Codec


@dataclass(frozen=True, slots=True)
class FolderLayout:
    """A folder of parts: it carries its own manifest wherever it is moved."""

    noun: str = "a folder"
    nouns: str = "folders"

    def fits(self, mode: int) -> bool:
        """Return whether it is a folder."""
        return stat.S_ISDIR(mode)

    def version_at(self, target: Destination, parent: Folder, codec: Codec) -> Version:
        """Return the version in the folder: its manifest parses, the digest is right, and every entry is listed."""
        with parent.enter(target.name) as folder:
            found = facts_of(folder, codec)
        return Version(self, found.manifest, found.folder_mode, found.file_mode, found.state, found.defects)

    def state_at(self, parent: Folder, name: str) -> State | None:
        """Return the state of a folder and of its lists of names."""
        status = parent.look(name)
        if status is None or not stat.S_ISDIR(status.st_mode):
            return None
        with parent.enter(name) as folder:
            return state_of(folder)

    def reusable_at(self, parent: Folder, name: str) -> Folder | None:
        """Open the folder: its parts can get second names."""
        return parent.enter(name)

    def proof_at(self, _parent: Folder, _name: str, _home: Folder) -> str | None:
        """Return ``None``: the manifest is in the folder."""
        return None

    def sync_at(self, target: Destination, parent: Folder, _home: Folder, _manifest: Manifest) -> None:
        """Sync the folder and everything in it."""
        with parent.enter(target.name) as folder:
            folder.sync_tree()

    def quarantine(self, target: Destination, _manifest: Manifest) -> Path:
        """Return the folder of quarantines in the output."""
        return Path(target.name, QUARANTINE)

    def manifest_at(self, output: Path) -> Manifest:
        """Return the manifest in the folder."""
        with Folder.open(output) as folder:
            return manifest_in(folder)

    def open_published(self, output: Path, codec: Codec) -> AbstractContextManager[PublishedOutput]:
        """Open the folder; only its manifest and receipts are read."""
        return open_folder(output, codec)

    def commit(self, place: Place, staging: Folder, _manifest: Manifest) -> None:
        """Exchange the new tree and the output, or give the tree the name of the output."""
        take_name(place, staging, TREE)
        sync_published(place.target, place.parent, staging)

    def let_readers_end(self, place: Place, meanwhile: Callable[[], None]) -> None:
        """Wait as long as a reader may be listing the folder that was just replaced."""
        exchanged = time.monotonic()
        meanwhile()
        if place.version is not None:
            let_listings_end(exchanged)

    def settle(self, _home: Folder, _folder: Folder, _job_id: str | None, _known: Version | None) -> None:
        """Do nothing: the manifest in the folder says which version it is."""

    def manifest_of(self, _home: Folder, folder: Folder) -> Manifest | None:
        """Return the manifest in the folder."""
        return manifest_or_none(folder)

    def hide(self, folder: Folder) -> None:
        """Rename the parts to ``*.kept``."""
        hide(folder)

    def proof_of(self, _folder: Folder) -> str | None:
        """Return ``None``: the manifest is in the folder."""
        return None

    def checked(self, _home: Folder, folder: Folder, codec: Codec) -> tuple[Manifest, str]:
        """Return the manifest, and what is wrong with the parts and quarantines."""
        found = facts_of(folder, codec, KEPT)
        return found.manifest, found.defects or content_defects(folder, parts_in(folder, found.manifest, codec), KEPT)

    def bring_out(self, versions: Folder, folder: Folder, _manifest: Manifest) -> tuple[Folder, str]:
        """Give the parts back their names; the caller exchanges the folder itself."""
        show(folder)
        return versions, folder.path.name

    def sync_former(self, versions: Folder, _name: str) -> None:
        """Sync the list of previous versions."""
        versions.sync()

    def forget(
        self,
        _home: Folder,
        _unfinished: Iterator[Folder],
        _formers: Iterator[Folder],
        _published: str | None,
        _among: Container[str] | None,
    ) -> None:
        """Do nothing: a manifest is removed with its version."""


FOLDER = FolderLayout()


@dataclass(frozen=True, slots=True)
class FolderBuilder:
    """Links the attempts into a new tree, and lists them there."""

    layout: Layout = FOLDER

    def build(self, staging: Folder, order: Order) -> Manifest:
        """Build the tree; everything is durable except the name of the tree."""
        mode = order.file_mode
        with staging.make(TREE) as folder, Tree(staging, folder, mode, order.folder_mode) as tree:
            with closing(tree.linked(order.parts)) as winners:
                listed = write_receipts(folder, winners, mode, order.codec)
            manifest = write_manifest(folder, order.job_id, order.sections, order.observed, listed, mode)
            tree.finish()
        return manifest
