"""Where an output is: its name, and the folder around it, which a run may write to."""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.disk import Folder
from pipeline.errors import OutputError, PermissionDeniedError
from pipeline.publish.record.names import HOME_SUFFIX, MANIFEST, home_name, is_home
from pipeline.units import escape

State = tuple[tuple[int, ...], ...]

_NAME_LIMIT = 255 - len(f".{HOME_SUFFIX}")
# A path joins the two slashes of an address.
_ADDRESS = re.compile(r"([a-z][a-z0-9+.-]+):/+")


@dataclass(frozen=True, slots=True)
class Destination:
    """An output: the real path of its parent, which exists, and its name, which may not exist."""

    parent: Path
    name: str

    @property
    def path(self) -> Path:
        """Absolute path of the output."""
        return self.parent / self.name

    @property
    def home_name(self) -> str:
        """Name of the folder next to it where runs are prepared."""
        return home_name(self.name)

    @property
    def shown(self) -> str:
        """Path as a message shows it."""
        return escape(str(self.path), 1000)


@contextmanager
def open_parent(output: Path, *, durable: bool = True) -> Iterator[tuple[Destination, Folder]]:
    """Resolve an output and open the folder that it is in; refuse a folder that a run must not write to."""
    target = resolve(output)
    with Folder.open(target.parent, durable=durable) as parent:
        mode = parent.status().st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise OutputError(
                f"any user may rename files in {escape(str(target.parent), 1000)}",
                "remove that permission (chmod o-w) or set the sticky bit (chmod +t)",
            )
        if not parent.allows(os.W_OK | os.X_OK):
            raise PermissionDeniedError(
                f"cannot write to {escape(str(target.parent), 1000)}", "check its permissions and how it is mounted"
            )
        yield target, parent


def resolve(output: Path) -> Destination:
    """Return where an output is. Raises what :func:`check_output` raises."""
    name, shown = output.name, escape(str(output), 1000)
    if name in {"", "..", "."} or not name.isprintable() or len(os.fsencode(name)) > _NAME_LIMIT:
        raise OutputError(
            f"{shown!r} cannot be used as an output name",
            f"give a path that ends in a name of at most {_NAME_LIMIT} bytes without control characters",
        )
    parent = _real_parent(output)
    if any(is_home(part) for part in (*parent.parts, name)):
        raise OutputError(
            f"{shown} is inside a folder where logitstream prepares runs", "use an output name outside of it"
        )
    _refuse_inside_an_output(shown, parent)
    return Destination(parent, name)


def _refuse_inside_an_output(shown: str, parent: Path) -> None:
    # An output with an entry that its manifest does not list could never be replaced.
    for folder in (parent, *parent.parents):
        if os.path.lexists(folder / MANIFEST):
            outer = escape(str(folder), 1000)
            raise OutputError(f"{shown} lies inside the output {outer}", f"use an output name outside {outer}")


def _real_parent(output: Path) -> Path:
    parent = output.parent
    shown = escape(str(parent), 1000)
    try:
        return disk.real_folder(parent)
    except FileNotFoundError as error:
        raise _no_folder(output) from error
    except OSError as error:
        if error.errno in {errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}:
            raise OutputError(f"{shown} is not a folder: {error.strerror}", "use another output name") from error
        raise disk.translated(error, "resolve", parent) from error


def _no_folder(output: Path) -> OutputError:
    if _ADDRESS.match(str(output)):
        address = _ADDRESS.sub(r"\1://", str(output), count=1)
        return OutputError(
            f"{escape(address, 1000)} cannot be an output", "give a local path; only local folders can be written to"
        )
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
