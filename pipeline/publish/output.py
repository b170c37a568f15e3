"""What stands under the name of an output, and whether a run may put its result there."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline import disk
from pipeline.choices import IfExists
from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, OutputError, PermissionDeniedError
from pipeline.publish.manifest import MANIFEST, Manifest, aside, foreign, manifest_in
from pipeline.publish.onefile import FILES, Proven, proven_file, state_of_file
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, parts_in
from pipeline.publish.target import Destination, State, open_parent
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Version:
    """A version of ours as it was found under the name of the output.

    ``defects`` says what a file lacks, as a clause, and is empty where every listed file is there with its size.
    ``state`` changes when another folder or file takes the name, a name appears in or goes from the folder, or
    somebody writes to the file. ``file`` is set where the output is one.
    """

    manifest: Manifest
    folder_mode: int
    file_mode: int
    state: State
    defects: str
    file: Proven | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands under the name of the output: nothing, or a version; and whether that is this very job, intact."""

    version: Version | None
    same: Manifest | None


def check_output(
    output: Path, job_id: str, *, if_exists: IfExists, codec: Codec, is_file: bool = False, reuse: bool = True
) -> Manifest | None:
    """Refuse an output that a run would refuse, without making or locking anything.

    ``is_file`` says that the output is to be one file, not a folder of parts; without ``reuse`` what stands is replaced
    though it may be the result of this very job.

    Returns
    -------
    Manifest or None
        The manifest, where this very job already stands published and intact: there is nothing to do.

    Raises
    ------
    OutputError
        The parent is missing or unsafe; the output is a link, a mount point, a file where a folder is asked for
        or the other way round, not ours, or exists under ``fail``.
    PermissionDeniedError
        The system would refuse it.
    """
    with open_parent(output) as (target, parent):
        return find(target, parent, job_id, if_exists, codec, is_file=is_file, reuse=reuse).same


def find(
    target: Destination, parent: Folder, job_id: str, if_exists: IfExists, codec: Codec, *, is_file: bool, reuse: bool
) -> Finding:
    """Examine the output and decide; raises as :func:`check_output` does."""
    version = examine(target, parent, codec, is_file=is_file)
    if version is None:
        return Finding(None, None)
    # Of the parts only the sizes were looked at; whoever knows better can have them made again.
    anew = if_exists == "replace" and not reuse
    if version.manifest.job_id == job_id and not version.defects and not anew:
        return Finding(version, version.manifest)
    if if_exists == "fail":
        raise OutputError(_taken(target, job_id, version), "--if-exists replace puts the new result in its place")
    refuse_of_others(target, parent)
    return Finding(version, None)


def refuse_of_others(target: Destination, parent: Folder) -> None:
    """Raise where the system would not let this user give the output's name to something else."""
    # To give a folder another parent one must be allowed to write to it; for a file that does not matter.
    writable = not is_folder(parent, target.name) or parent.allows(os.W_OK, target.name)
    if not writable or not _may_rename(target, parent):
        raise PermissionDeniedError(f"cannot replace {target.shown}: it belongs to another user", "check its owner")


def _taken(target: Destination, job_id: str, version: Version) -> str:
    found = version.manifest.job_id
    if found == job_id:
        return f"{target.shown} holds the result of this very job, but {version.defects}"
    return f"{target.shown} holds the result of another job ({found[:12]}, {version.manifest.rows:,} rows)"


def _may_rename(target: Destination, parent: Folder) -> bool:
    facts, output, user = parent.status(), parent.look(target.name), disk.user()
    if output is None or not facts.st_mode & stat.S_ISVTX:
        return True
    return user in {0, facts.st_uid, output.st_uid}


def examine(target: Destination, parent: Folder, codec: Codec, *, is_file: bool | None = None) -> Version | None:
    """Return the version of ours that stands under the name, ``None`` where nothing does.

    A folder is ours if its manifest parses, the digest holds, and every entry is listed; a file, if its digest names a
    manifest beside it. ``is_file`` says which one it must be, ``None`` that both will do.

    Raises
    ------
    OutputError
        Anything else; nothing was touched.
    """
    status = parent.look(target.name)
    if status is None:
        return None
    _refuse_kind(target, status.st_mode, is_file)
    if disk.is_mount_point(target.path):
        raise OutputError(f"{target.shown} is a mount point and cannot be exchanged", "name a folder inside it")
    try:
        if stat.S_ISREG(status.st_mode):
            return _file_version(target, parent, codec)
        with parent.enter(target.name) as folder:
            return version_in(folder, codec)
    except LogitstreamError:
        now = parent.look(target.name)
        if now is not None and os.path.samestat(now, status):
            raise
    # Another run has just exchanged it: what was judged is on its way to the kept versions.
    return examine(target, parent, codec, is_file=is_file)


def _refuse_kind(target: Destination, mode: int, is_file: bool | None) -> None:
    if stat.S_ISDIR(mode):
        kind = "a folder, not a file" if is_file else ""
    elif stat.S_ISREG(mode):
        kind = "a file, not a folder" if is_file is False else ""
    elif stat.S_ISLNK(mode):
        kind = "a symbolic link"
    else:
        kind = "neither a file nor a folder"
    if kind:
        raise OutputError(f"{target.shown} is {kind}", aside(target.path))


def found_file(target: Destination, parent: Folder) -> Proven:
    """Return what proves the file under the name of an output.

    Raises
    ------
    OutputError
        Nothing does.
    """
    found = None
    if is_folder(parent, target.home_name):
        with parent.enter(target.home_name) as home:
            found = proven_file(parent, target.name, home)
    if found is None:
        reason = "no manifest beside it speaks of a file with this content"
        raise OutputError(f"{target.shown} was not published by logitstream: {reason}", aside(target.path))
    return found


def _file_version(target: Destination, parent: Folder, codec: Codec) -> Version:
    found = found_file(target, parent)
    with parent.enter(target.home_name) as home:
        defects = _proof_defects(home, found, codec)
    return Version(found.manifest, 0o700, found.mode, found.state, defects, found)


def _proof_defects(home: Folder, found: Proven, codec: Codec) -> str:
    with ExitStack() as stack:
        files = stack.enter_context(home.enter(FILES))
        folder = stack.enter_context(files.enter(found.sha256))
        held = Listing(_quarantine(folder, stack))
        try:
            for part in parts_in(folder, found.manifest, codec):
                if part.quarantine is not None:
                    held.check(part.quarantine_name, part.quarantine.bytes)
        except OutputError:
            return "the receipts beside it are missing or damaged"
    return f"{held.damaged} of its quarantines are missing or cut, {held.first} first" if held.damaged else ""


def version_in(folder: Folder, codec: Codec, suffix: str = "") -> Version:
    """Return the version of ours in an open folder; its parts have their names with a suffix. Raises for any other."""
    if next(folder.names(), None) is None:
        shown = escape(str(folder.path), 1000)
        raise OutputError(f"{shown} is an empty folder that no run made", f"remove it: rmdir {shown!r}")
    state = state_of(folder)
    manifest = manifest_in(folder)
    with ExitStack() as stack:
        quarantine = _quarantine(folder, stack) if manifest.quarantines else None
        listing, held = Listing(folder, suffix), Listing(quarantine)
        for part in parts_in(folder, manifest, codec):
            listing.check(part.name, part.file.bytes)
            if part.quarantine is not None:
                held.check(part.quarantine_name, part.quarantine.bytes)
        if listing.others() != (2 if quarantine is None else 3) or held.others():
            raise foreign(folder, f"it holds {_unlisted(folder, manifest, codec, suffix)}, which no manifest lists")
    damaged, first = listing.damaged + held.damaged, listing.first or held.first
    return Version(
        manifest=manifest,
        folder_mode=stat.S_IMODE(folder.status().st_mode) & 0o777,
        file_mode=_file_mode(folder),
        state=state,
        defects=f"{damaged} of its parts are missing or cut, {first} first" if damaged else "",
    )


class Listing:
    """Counts, of the files that should be in a folder, those that are not as they should; of no folder, all."""

    def __init__(self, folder: Folder | None, suffix: str = "") -> None:
        self._folder = folder
        self._suffix = suffix
        self._present = 0
        self.damaged = 0
        self.first = ""

    def check(self, name: str, size: int) -> None:
        """Look at a file that is listed with a size."""
        status = self._folder.look(f"{name}{self._suffix}") if self._folder is not None else None
        self._present += status is not None
        if status is None or not stat.S_ISREG(status.st_mode) or status.st_size != size:
            self.damaged += 1
            self.first = self.first or name

    def others(self) -> int:
        """Return how many names there are in the folder that were not checked."""
        return sum(1 for _ in self._folder.names()) - self._present if self._folder is not None else 0


def _quarantine(folder: Folder, stack: ExitStack) -> Folder | None:
    status = folder.look(QUARANTINE)
    if status is None or not stat.S_ISDIR(status.st_mode):
        return None
    return stack.enter_context(folder.enter(QUARANTINE))


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
        quarantine = _quarantine(folder, stack) if held else None
        if quarantine is not None:
            listed.add(QUARANTINE)
            extra = next((name for name in quarantine.names() if name not in held), None)
            if extra is not None:
                return escape(f"{QUARANTINE}/{extra}")
    return escape(next((name for name in folder.names() if name not in listed), "a file that is gone again"))


def state_of(folder: Folder) -> State:
    """Return what tells a folder, with its list of names and that of its quarantines, from another."""
    status, quarantine = folder.status(), folder.look(QUARANTINE)
    found = (status,) if quarantine is None else (status, quarantine)
    return tuple((one.st_dev, one.st_ino, one.st_mtime_ns) for one in found)


def refuse_if_changed(target: Destination, parent: Folder, version: Version) -> None:
    """Raise where what stands under the name of the output is no longer the version that was found there."""
    status = parent.look(target.name)
    if status is not None and stat.S_ISREG(status.st_mode) and state_of_file(status) == version.state:
        return
    if status is not None and stat.S_ISDIR(status.st_mode):
        with parent.enter(target.name) as folder:
            if state_of(folder) == version.state:
                return
    raise OutputError(f"{target.shown} was changed by somebody else during the run", aside(target.path))
