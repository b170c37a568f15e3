"""A folder of parts: whether logitstream published it, what is missing, and its parts hidden and shown again."""

from __future__ import annotations

import stat
from contextlib import ExitStack

from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.errors import OutputError
from pipeline.publish.layout.entries import Listing, missing_clause, quarantine_in
from pipeline.publish.layout.lists import foreign, manifest_in, parts_in
from pipeline.publish.layout.target import State
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import KEPT, MANIFEST, PART_NAME, QUARANTINE, RECEIPTS
from pipeline.publish.record.receipts import Codec
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class FolderFacts:
    """The manifest, state and permissions of a folder of parts, and a clause about what is missing."""

    manifest: Manifest
    folder_mode: int
    file_mode: int
    state: State
    defects: str


def facts_of(folder: Folder, codec: Codec, suffix: str = "") -> FolderFacts:
    """Return the facts of an open folder of parts; ``suffix`` is added to the names of the parts.

    logitstream published it if its manifest parses, the digest is right, and every entry is listed. Raises an
    :class:`OutputError` for any other folder.
    """
    if next(folder.names(), None) is None:
        shown = escape(str(folder.path), 1000)
        raise OutputError(
            f"{shown} is an empty folder, which logitstream did not make", f"remove it first: rmdir {shown!r}"
        )
    state = state_of(folder)
    manifest = manifest_in(folder)
    with ExitStack() as stack:
        quarantine = quarantine_in(folder, stack) if manifest.quarantines else None
        listing, held = Listing(folder, suffix), Listing(quarantine)
        for part in parts_in(folder, manifest, codec):
            listing.check(part.name, part.file.bytes)
            if part.quarantine is not None:
                held.check(part.quarantine_name, part.quarantine.bytes)
        if listing.others() != (2 if quarantine is None else 3) or held.others():
            unlisted = _unlisted(folder, manifest, codec, suffix)
            raise foreign(folder, f"it contains {unlisted}, which its manifest does not list")
    return FolderFacts(
        manifest=manifest,
        folder_mode=stat.S_IMODE(folder.status().st_mode) & 0o777,
        file_mode=_file_mode(folder),
        state=state,
        defects=missing_clause(listing.damaged + held.damaged, listing.first or held.first, "files"),
    )


def _file_mode(folder: Folder) -> int:
    status = folder.look(MANIFEST)
    return 0o600 if status is None else stat.S_IMODE(status.st_mode) & 0o777


def _unlisted(folder: Folder, manifest: Manifest, codec: Codec, suffix: str) -> str:
    listed, held = {MANIFEST, RECEIPTS}, set()
    for part in parts_in(folder, manifest, codec):
        listed.add(f"{part.name}{suffix}")
        if part.quarantine is not None:
            held.add(part.quarantine_name)
    with ExitStack() as stack:
        quarantine = quarantine_in(folder, stack) if held else None
        if quarantine is not None:
            listed.add(QUARANTINE)
            extra = next((name for name in quarantine.names() if name not in held), None)
            if extra is not None:
                return escape(f"{QUARANTINE}/{extra}")
    return escape(next((name for name in folder.names() if name not in listed), "a file that has since disappeared"))


def state_of(folder: Folder) -> State:
    """Return a value that differs for another folder, and after a change of its names or those of its quarantines."""
    status, quarantine = folder.status(), folder.look(QUARANTINE)
    found = (status,) if quarantine is None else (status, quarantine)
    return tuple((one.st_dev, one.st_ino, one.st_mtime_ns) for one in found)


def hide(folder: Folder) -> None:
    """Rename the parts of a version so that no reader takes them for data."""
    for name in list(folder.names()):
        if PART_NAME.fullmatch(name) and not name.endswith(KEPT):
            _rename(folder, name, f"{name}{KEPT}")


def show(folder: Folder) -> None:
    """Give the parts of a version back their names, durable."""
    for name in list(folder.names()):
        if PART_NAME.fullmatch(name.removesuffix(KEPT)) and name.endswith(KEPT):
            _rename(folder, name, name.removesuffix(KEPT))
    folder.sync()


def _rename(folder: Folder, name: str, new_name: str) -> None:
    # If both are there, somebody copied one: neither may be removed.
    if folder.look(new_name) is None:
        folder.move(name, folder, new_name)
