"""What an output is: a folder of parts, or one file. Two implementations of one protocol, :class:`~.base.Layout`.

Nothing outside this room asks which of the two an output is.

base, commit               the protocol, and the one step that both take
folder, folder_*, tree     a folder of parts
onefile, file_*, proofs    one file, and what proves it; ``merging`` makes it
lists, entries, proof      manifest and receipts in a folder, and files checked against them
target, formers            where an output is, and its previous versions
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pipeline import disk
from pipeline.disk import Folder
from pipeline.errors import LogitstreamError, OutputError
from pipeline.publish.layout.base import Builder, Layout, Order, Place, Version
from pipeline.publish.layout.folder import FOLDER, FolderBuilder
from pipeline.publish.layout.lists import aside
from pipeline.publish.layout.onefile import ONE_FILE, FileBuilder
from pipeline.publish.layout.target import Destination
from pipeline.publish.record.names import FILE, KEPT_FILE, MANIFEST
from pipeline.publish.record.receipts import Codec
from pipeline.publish.store import Merge

__all__ = [
    "LAYOUTS",
    "Builder",
    "Layout",
    "Order",
    "Place",
    "Version",
    "asked_layout",
    "builder_of",
    "examine",
    "layout_at",
    "layout_in",
    "layout_of",
]

LAYOUTS: tuple[Layout, ...] = (FOLDER, ONE_FILE)


def builder_of(merge: Merge | None) -> Builder:
    """Return what builds an output: one file if ``merge`` is given, else a folder of parts."""
    return FolderBuilder() if merge is None else FileBuilder(merge)


def asked_layout(*, is_file: bool) -> Layout:
    """Return the layout that a job asks for."""
    return ONE_FILE if is_file else FOLDER


def layout_of(output: Path) -> Layout:
    """Return the layout of what is at a path: one file, or a folder of parts for anything else."""
    return ONE_FILE if output.is_file() and not output.is_symlink() else FOLDER


def layout_at(parent: Folder, name: str) -> Layout | None:
    """Return the layout of an entry in a folder, ``None`` if it is missing or cannot be an output."""
    status = parent.look(name)
    return None if status is None else _fitting(status.st_mode)


def layout_in(folder: Folder) -> Layout:
    """Return the layout of the version in the folder of a previous version, or where an exchange has put one."""
    if any(KEPT_FILE.fullmatch(name) for name in folder.names()):
        return ONE_FILE
    # A file of that name next to a manifest was put there by somebody else.
    is_file = folder.look(FILE) is not None and folder.look(MANIFEST) is None
    return ONE_FILE if is_file else FOLDER


def examine(target: Destination, parent: Folder, codec: Codec, asked: Layout | None = None) -> Version | None:
    """Return the version that is published under the name of an output, ``None`` if nothing has that name.

    ``asked`` is the layout that it must have; unless given, any is accepted.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    OutputError
        Anything else; nothing was touched.
    """
    status = parent.look(target.name)
    if status is None:
        return None
    layout = _asked_for(target, status.st_mode, asked)
    if disk.is_mount_point(target.path):
        raise OutputError(
            f"{target.shown} is a mount point, which cannot be replaced in one step", "use a name inside it"
        )
    try:
        return layout.version_at(target, parent, codec)
    except LogitstreamError:
        now = parent.look(target.name)
        if now is not None and os.path.samestat(now, status):
            raise
    # Another run has just exchanged it: what was judged is becoming a previous version.
    return examine(target, parent, codec, asked)


def _asked_for(target: Destination, mode: int, asked: Layout | None) -> Layout:
    found = _fitting(mode)
    if found is not None and asked in {None, found}:
        return found
    if found is not None and asked is not None:
        kind = f"{found.noun}, not {asked.noun}"
    else:
        kind = "a symbolic link" if stat.S_ISLNK(mode) else "neither a file nor a folder"
    raise OutputError(f"{target.shown} is {kind}", aside(target.path))


def _fitting(mode: int) -> Layout | None:
    return next((layout for layout in LAYOUTS if layout.fits(mode)), None)
