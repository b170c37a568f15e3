"""What stands under the name of an output, and whether a run may put its result there."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import LogitstreamError, OutputError, PermissionDeniedError
from pipeline.publish import system
from pipeline.publish.manifest import MANIFEST, Manifest, aside, foreign, manifest_in
from pipeline.publish.receipts import QUARANTINE, RECEIPTS, Codec, parts_in
from pipeline.publish.system import Folder
from pipeline.types import IfExists
from pipeline.units import escape

State = tuple[tuple[int, int, int], ...]

HOME_SUFFIX = ".logitstream"
_NAME_LIMIT = 255 - len(f".{HOME_SUFFIX}")
# A path joins the two slashes of an address.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+")


@dataclass(frozen=True, slots=True)
class Target:
    """An output by the real path of its parent, which exists, and its own name, which may not."""

    parent: Path
    name: str

    @property
    def path(self) -> Path:
        """Absolute path of the output."""
        return self.parent / self.name

    @property
    def home_name(self) -> str:
        """Name of the folder beside it, in which runs are prepared."""
        return f".{self.name}{HOME_SUFFIX}"

    @property
    def shown(self) -> str:
        """Path for a message."""
        return escape(str(self.path), 1000)


@dataclass(frozen=True, slots=True)
class Version:
    """A version of ours as it was found under the name of the output.

    ``defects`` says what a file lacks, as a clause, and is empty where every listed file is there with its size.
    ``state`` changes when another folder takes the name, or a name appears in or goes from this one.
    """

    manifest: Manifest
    folder_mode: int
    file_mode: int
    state: State
    defects: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands under the name of the output: nothing, or a version; and whether that is this very job, intact."""

    version: Version | None
    same: Manifest | None


def check_output(output: Path, job_id: str, *, if_exists: IfExists, codec: Codec) -> Manifest | None:
    """Refuse an output that a run would refuse, without making or locking anything.

    Returns
    -------
    Manifest or None
        The manifest, where this very job already stands published and intact: there is nothing to do.

    Raises
    ------
    OutputError
        The parent is missing or unsafe; the output is a link, a file, a mount point, not ours, or exists under
        ``fail``.
    PermissionDeniedError
        The system would refuse it.
    """
    with open_parent(output) as (target, parent):
        return find(target, parent, job_id, if_exists, codec).same


@contextmanager
def open_parent(output: Path, *, durable: bool = True) -> Iterator[tuple[Target, Folder]]:
    """Resolve an output and open the folder that it stands in, if a run may write there."""
    target = resolve(output)
    with Folder.open(target.parent, durable=durable) as parent:
        mode = parent.status().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OutputError(
                f"anyone may rename what stands in {escape(str(target.parent), 1000)}",
                "take that right away (chmod o-w) or set the sticky bit (chmod +t)",
            )
        if not parent.allows(os.W_OK | os.X_OK):
            raise PermissionDeniedError(
                f"cannot write to {escape(str(target.parent), 1000)}", "check its mode and mount"
            )
        yield target, parent


def resolve(output: Path) -> Target:
    """Return where an output stands. Raises as :func:`check_output` does."""
    name, shown = output.name, escape(str(output), 1000)
    if name in {"", "..", "."} or not name.isprintable() or len(os.fsencode(name)) > _NAME_LIMIT:
        raise OutputError(
            f"{shown!r} is no name for an output",
            f"give a path that ends in a name of at most {_NAME_LIMIT} bytes without control characters",
        )
    parent = _real_parent(output)
    if any(part.startswith(".") and part.endswith(HOME_SUFFIX) for part in (*parent.parts, name)):
        raise OutputError(f"{shown} lies in a folder in which runs are prepared", "choose another --output")
    _refuse_inside_an_output(shown, parent)
    return Target(parent, name)


def _refuse_inside_an_output(shown: str, parent: Path) -> None:
    # An output with an entry that its manifest does not list could never be replaced.
    for folder in (parent, *parent.parents):
        if os.path.lexists(folder / MANIFEST):
            outer = escape(str(folder), 1000)
            raise OutputError(f"{shown} lies inside the output {outer}", f"choose an --output outside {outer}")


def _real_parent(output: Path) -> Path:
    parent = output.parent
    shown = escape(str(parent), 1000)
    try:
        return system.real_folder(parent)
    except FileNotFoundError as error:
        raise _no_folder(output) from error
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}:
            raise OutputError(f"{shown} is not a folder: {error.strerror}", "choose another --output") from error
        raise system.translated(error, "resolve", parent) from error


def _no_folder(output: Path) -> OutputError:
    if _ADDRESS.match(str(output)):
        address = _ADDRESS.sub(r"\1://", str(output), count=1)
        return OutputError(f"{escape(address, 1000)} cannot be an output", "only local folders can be written")
    if not output.is_absolute() and _working_folder_is_gone():
        return OutputError("the working folder no longer exists", "give absolute paths")
    _refuse_inside_an_output(escape(str(output), 1000), Path(os.path.realpath(output.parent)))
    shown = escape(str(output.parent), 1000)
    return OutputError(f"there is no folder {shown}", f"make it: mkdir -p {shown!r}")


def _working_folder_is_gone() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return True
    return False


def find(target: Target, parent: Folder, job_id: str, if_exists: IfExists, codec: Codec) -> Finding:
    """Examine the output and decide; raises as :func:`check_output` does."""
    version = examine(target, parent, codec)
    if version is None:
        return Finding(None, None)
    if version.manifest.job_id == job_id and not version.defects:
        return Finding(version, version.manifest)
    if if_exists == "fail":
        raise OutputError(_taken(target, job_id, version), "--if-exists replace puts the new result in its place")
    refuse_of_others(target, parent)
    return Finding(version, None)


def refuse_of_others(target: Target, parent: Folder) -> None:
    """Raise where the system would not let this user give the output's name to another folder."""
    if not parent.allows(os.W_OK, target.name) or not _may_rename(target, parent):
        raise PermissionDeniedError(f"cannot replace {target.shown}: it belongs to another user", "check its owner")


def _taken(target: Target, job_id: str, version: Version) -> str:
    found = version.manifest.job_id
    if found == job_id:
        return f"{target.shown} holds the result of this very job, but {version.defects}"
    return f"{target.shown} holds the result of another job ({found[:12]}, {version.manifest.rows:,} rows)"


def _may_rename(target: Target, parent: Folder) -> bool:
    facts, output, user = parent.status(), parent.look(target.name), system.user()
    if output is None or not facts.st_mode & stat.S_ISVTX:
        return True
    return user in {0, facts.st_uid, output.st_uid}


def examine(target: Target, parent: Folder, codec: Codec) -> Version | None:
    """Return the version of ours that stands under the name, ``None`` where nothing does.

    A version is ours if its manifest parses, the digest holds, and every entry of the folder is listed.

    Raises
    ------
    OutputError
        Anything else; nothing was touched.
    """
    status = parent.look(target.name)
    if status is None:
        return None
    if not stat.S_ISDIR(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "a file, not a folder"
        raise OutputError(f"{target.shown} is {kind}", aside(target.path))
    if system.is_mount_point(target.path):
        raise OutputError(f"{target.shown} is a mount point and cannot be exchanged", "name a folder inside it")
    with parent.enter(target.name) as folder:
        try:
            return version_in(folder, codec)
        except LogitstreamError:
            now = parent.look(target.name)
            if now is not None and os.path.samestat(now, folder.status()):
                raise
    # Another run has just exchanged it: what was judged is on its way to the kept versions.
    return examine(target, parent, codec)


def version_in(folder: Folder, codec: Codec, suffix: str = "") -> Version:
    """Return the version of ours in an open folder; its parts have their names with a suffix. Raises for any other."""
    if next(folder.names(), None) is None:
        shown = escape(str(folder.path), 1000)
        raise OutputError(f"{shown} is an empty folder that no run made", f"remove it: rmdir {shown!r}")
    state = state_of(folder)
    manifest = manifest_in(folder)
    with ExitStack() as stack:
        quarantine = _quarantine(folder, stack) if manifest.quarantines else None
        listing, held = _Listing(folder, suffix), _Listing(quarantine)
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


class _Listing:
    """Counts, of the files that should be in a folder, those that are not as they should; of no folder, all."""

    def __init__(self, folder: Folder | None, suffix: str = "") -> None:
        self._folder = folder
        self._suffix = suffix
        self._present = 0
        self.damaged = 0
        self.first = ""

    def check(self, name: str, size: int) -> None:
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


def refuse_if_changed(target: Target, parent: Folder, version: Version) -> None:
    """Raise where what stands under the name of the output is no longer the version that was found there."""
    status = parent.look(target.name)
    if status is not None and stat.S_ISDIR(status.st_mode):
        with parent.enter(target.name) as folder:
            if state_of(folder) == version.state:
                return
    raise OutputError(f"{target.shown} was changed by somebody else during the run", aside(target.path))
