"""Small files read and written whole, and the facts of paths.

Errors of the system are raised unchanged, or returned as an answer where a function says so: each caller words its own
message.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_DRAFT_END = re.compile("[0-9a-f]{12}")


def read_file(path: str | os.PathLike[str], limit: int | None = None) -> bytes:
    """Return the first ``limit`` bytes of a file, or all of them. Waits if it is a FIFO."""
    with Path(path).open("rb") as file:
        return file.read(limit)


def file_sha256(path: Path) -> str:
    """Return the SHA-256, in hexadecimal, of all bytes of a file."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_file(path: Path, content: bytes) -> None:
    """Write a file durably and in one step: whatever happens, ``path`` has the whole content or what it had before.

    A file that is replaced passes its mode on; a new one has 0666 less the umask. A symbolic link is replaced, not
    followed. The file and its name are synced.
    """
    draft = path.with_name(draft_name(path))
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - of a descriptor
            if (former := facts(path)) is not None:
                os.fchmod(descriptor, former.st_mode & 0o777)
            file.write(content)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def require_writable(path: Path) -> None:
    """Raise an ``OSError`` where it is known beforehand that :func:`write_file` would; a full disk is not."""
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path.parent))
    with suppress(FileNotFoundError):
        # A name may be too long.
        path.lstat()


def draft_name(path: Path) -> str:
    """Return a new name for a file beside ``path`` that will take its place; :func:`remove_drafts` knows it."""
    return f"{_draft_begin(path)}{secrets.token_hex(6)}"


def remove_drafts(path: Path) -> None:
    """Remove what killed processes have left of writing a file; no other process may be writing it."""
    begin = _draft_begin(path)
    for name in names_in(path.parent):
        if name.startswith(begin) and _DRAFT_END.fullmatch(name, len(begin)):
            path.with_name(name).unlink(missing_ok=True)


def _draft_begin(path: Path) -> str:
    # A name has at most 255 bytes, and a character may take four of them.
    return f".{path.name[:50]}."


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make a folder among the temporary files, and remove it with all that is in it at the end."""
    with tempfile.TemporaryDirectory(prefix="logitstream-") as name:
        yield Path(name)


def temporary_folder() -> Path:
    """Return the folder of temporary files: ``TMPDIR``, or that of the system."""
    return Path(tempfile.gettempdir())


def _sync_folder(path: Path) -> None:
    """Sync the names in a folder, so that they survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folders(path: Path) -> None:
    """Make a folder, and those above it that do not exist."""
    path.mkdir(parents=True, exist_ok=True)


def facts(path: str | os.PathLike[str], *, follow_links: bool = True) -> os.stat_result | None:
    """Return the facts of what is at a path; ``None`` where nothing is there, or the system does not tell."""
    with suppress(OSError):
        return Path(path).stat(follow_symlinks=follow_links)
    return None


def names_in(path: str | os.PathLike[str]) -> list[str]:
    """Return the names in a folder, sorted."""
    return sorted(each.name for each in Path(path).iterdir())
