"""Outputs and what lies next to them: opened, synced, linked, renamed, locked, removed.

Every call is on descriptors of folders rather than on paths, so that nobody who swaps a folder for a link can lead a
run elsewhere. Errors of the system are translated by :func:`pipeline.disk.translated`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

from pipeline.disk.mounts import mounts
from pipeline.disk.refusals import door, free_space
from pipeline.disk.renaming import renameat2

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC

_NOREPLACE, _EXCHANGE = 1, 2
# Old sandboxes answer an unknown system call with EPERM.
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM})
_NO_SECOND_NAME = frozenset({errno.EXDEV, errno.EMLINK, errno.EACCES, errno.ENOENT})

_making = threading.Lock()


class Folder:
    """An open folder. Names are looked up below its descriptor, wherever its path leads; links are not followed.

    Every method raises the project's errors, which name the path; the context manager closes the descriptor. If it is
    not ``durable``, nothing in it is ever synced, and the folders entered from it are not durable either.
    """

    __slots__ = ("descriptor", "durable", "path")

    def __init__(self, descriptor: int, path: Path, *, durable: bool = True) -> None:
        self.descriptor = descriptor
        self.path = path
        self.durable = durable

    @classmethod
    def open(cls, path: Path, flags: int = 0, *, durable: bool = True) -> Self:
        """Open a folder by its path."""
        with door("open", path):
            return cls(os.open(path, _FOLDER | flags), path, durable=durable)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor >= 0:
            release(descriptor)

    def enter(self, name: str) -> Folder:
        """Open a folder below this one."""
        with door("open", self.path, name):
            descriptor = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=self.descriptor)
        return Folder(descriptor, self.path / name, durable=self.durable)

    def make(self, name: str, *, exist_ok: bool = False) -> Folder:
        """Make a folder that only its owner may enter, sync its name, and open it.

        If several threads make the same folder, none of them has it open before its name is synced.
        """
        with _making:
            with door("make the folder", self.path, name):
                try:
                    os.mkdir(name, 0o700, dir_fd=self.descriptor)
                except FileExistsError:
                    if not exist_ok:
                        raise
                    return self.enter(name)
            folder = self.enter(name)
            try:
                # The umask may have taken rights from the owner.
                folder.set_mode(0o700)
                self.sync()
            except BaseException:
                folder.close()
                raise
            return folder

    def set_mode(self, mode: int) -> None:
        """Set the permissions, and keep the bit that passes the group on."""
        with door("set the mode of", self.path):
            wanted = mode | (os.fstat(self.descriptor).st_mode & stat.S_ISGID)
            os.fchmod(self.descriptor, wanted)

    def status(self) -> os.stat_result:
        """Return the facts of the folder itself."""
        with door("look at", self.path):
            return os.fstat(self.descriptor)

    def look(self, name: str) -> os.stat_result | None:
        """Return the facts of a name, ``None`` where there is no such name."""
        with door("look at", self.path, name):
            try:
                return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            except FileNotFoundError:
                return None

    def names(self) -> Iterator[str]:
        """Iterate over the names in the folder, in no order; they may be removed on the way."""
        with door("list", self.path), os.scandir(self.descriptor) as entries:
            for entry in entries:
                yield entry.name

    def allows(self, mode: int, name: str = ".") -> bool:
        """Return whether the system would grant this access to a name."""
        return os.access(name, mode, dir_fd=self.descriptor, effective_ids=True)

    def open_file(self, name: str, flags: int, mode: int = 0o600) -> int:
        """Open a file and return its descriptor."""
        with door("create" if flags & os.O_EXCL else "open", self.path, name):
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, mode, dir_fd=self.descriptor)

    def link(self, name: str, target: Folder, new_name: str) -> None:
        """Give a file a second name, or move it where the file system has no second names."""
        if not self.try_link(name, target, new_name):
            with door("rename to", target.path, new_name):
                self._move_where_free(name, target, new_name)

    def try_link(self, name: str, target: Folder, new_name: str) -> bool:
        """Give a file a second name; ``False``, with nothing done, where it cannot have one there."""
        with door("link", target.path, new_name):
            try:
                os.link(
                    name,
                    new_name,
                    src_dir_fd=self.descriptor,
                    dst_dir_fd=target.descriptor,
                    follow_symlinks=False,
                )
            except OSError as error:
                if error.errno not in _UNSUPPORTED | _NO_SECOND_NAME:
                    raise
                return False
        return True

    def move(self, name: str, target: Folder, new_name: str) -> None:
        """Rename to a name that must be free.

        Where the file system cannot refuse a taken name itself, the caller's lock keeps the name free between the look
        and the rename.
        """
        with door("rename to", target.path, new_name):
            try:
                renameat2(self.descriptor, name, target.descriptor, new_name, _NOREPLACE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                self._move_where_free(name, target, new_name)

    def _move_where_free(self, name: str, target: Folder, new_name: str) -> None:
        if target.look(new_name) is not None:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        os.rename(name, new_name, src_dir_fd=self.descriptor, dst_dir_fd=target.descriptor)

    def replace(self, name: str, new_name: str) -> None:
        """Rename a file within the folder, in one step, in the place of the file that has the name."""
        with door("rename to", self.path, new_name):
            os.rename(name, new_name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def exchange(self, name: str, target: Folder, other_name: str) -> None:
        """Swap two names in one step."""
        with door("exchange", target.path, other_name):
            renameat2(self.descriptor, name, target.descriptor, other_name, _EXCHANGE)

    def can_exchange(self, name: str, other_name: str) -> bool:
        """Swap two names of this folder, and return whether the file system can."""
        with door("exchange", self.path, name):
            try:
                renameat2(self.descriptor, name, self.descriptor, other_name, _EXCHANGE)
            except OSError as error:
                if error.errno not in _UNSUPPORTED:
                    raise
                return False
        return True

    def unlink(self, name: str) -> None:
        """Remove a file."""
        with door("remove", self.path, name):
            os.unlink(name, dir_fd=self.descriptor)

    def remove_folder(self, name: str) -> None:
        """Remove an empty folder."""
        with door("remove", self.path, name):
            os.rmdir(name, dir_fd=self.descriptor)

    def sync(self) -> None:
        """Sync the names in the folder, so that they survive a power cut."""
        if self.durable:
            sync(self.descriptor, self.path)

    def sync_file(self, descriptor: int, name: str) -> None:
        """Sync an open file of the folder, so that its content survives a power cut."""
        if self.durable:
            sync(descriptor, self.path / name)

    def sync_tree(self) -> None:
        """Sync every file in the folder and in folders below it, with all of their names."""
        if not self.durable:
            return
        for name in list(self.names()):
            if is_folder(self, name):
                with self.enter(name) as below:
                    below.sync_tree()
            else:
                self.sync_named(name)
        self.sync()

    def sync_named(self, name: str) -> None:
        """Sync a file of the folder by its name; the name itself is synced with the folder."""
        descriptor = self.open_file(name, READ)
        try:
            self.sync_file(descriptor, name)
        finally:
            release(descriptor)


def is_folder(parent: Folder, name: str) -> bool:
    """Return whether a name is that of a folder, not of a link to one."""
    status = parent.look(name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def free_bytes(path: Path) -> int:
    """Return the bytes that this user may still write to the file system that holds an existing path."""
    with door("measure the free space of", path):
        return free_space(path)


def real_folder(path: Path) -> Path:
    """Return the absolute path of a folder that exists, links resolved. Raises the system's own errors."""
    real = Path(os.path.realpath(path, strict=True))
    if not real.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return real


def is_mount_point(path: Path) -> bool:
    """Return whether something is mounted on an absolute, resolved path, a bind mount included."""
    if os.path.ismount(path):
        return True
    wanted = str(path)
    for character in "\\ \t\n":
        wanted = wanted.replace(character, f"\\{ord(character):03o}")
    return any(mount.place == wanted for mount in mounts())


def umask() -> int:
    """Return the umask of the process without setting it, which other threads would notice."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


def user() -> int:
    """Return the user id under which files are made."""
    return os.geteuid()


def write_all(descriptor: int, data: memoryview, path: Path) -> None:
    """Write all bytes, in as many calls as needed."""
    with door("write", path):
        while data:
            data = data[os.write(descriptor, data) :]


def write_at(descriptor: int, data: memoryview, offset: int, path: Path) -> None:
    """Write all bytes from an offset, in as many calls as needed."""
    with door("write", path):
        while data:
            count = os.pwrite(descriptor, data, offset)
            data, offset = data[count:], offset + count


def sync(descriptor: int, path: Path) -> None:
    """Sync what was written. A failure is final: the system may have dropped the pages."""
    with door("sync", path):
        os.fsync(descriptor)


def set_mode(descriptor: int, mode: int, path: Path) -> None:
    """Set the permissions of an open file."""
    with door("set the mode of", path):
        os.fchmod(descriptor, mode)


def status(descriptor: int, path: Path) -> os.stat_result:
    """Return the facts of an open file."""
    with door("look at", path):
        return os.fstat(descriptor)


def close(descriptor: int, path: Path) -> None:
    """Close a file; some file systems report here what they could not write."""
    with door("close", path):
        os.close(descriptor)


def release(descriptor: int) -> None:
    """Close what holds nothing unwritten: a folder, a lock, a file that was read, synced or given up.

    An error here says nothing about the data, and must not hide the error that led here.
    """
    with suppress(OSError):
        os.close(descriptor)


def take_over(descriptor: int, other: int, path: Path) -> None:
    """Let a descriptor mean the open file of another, with its lock; the other one is closed, and the file before."""
    with door("open", path):
        os.dup2(other, descriptor, inheritable=False)
    release(other)


def try_lock(descriptor: int, path: Path, *, shared: bool = False) -> bool:
    """Take the lock on an open file, held until it is closed; ``False`` where another process has it.

    Several processes may have a shared lock at once.
    """
    with door("lock", path):
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def overwrite(descriptor: int, content: bytes, path: Path) -> None:
    """Replace the content of an open file, not atomically."""
    with door("write", path):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, content, 0)


def truncate(descriptor: int, size: int, path: Path) -> None:
    """Cut an open file to ``size`` bytes."""
    with door("cut", path):
        os.ftruncate(descriptor, size)


def read(descriptor: int, size: int, path: Path) -> bytes:
    """Read at most ``size`` bytes from where the last read ended; empty at the end of the file."""
    with door("read", path):
        return os.read(descriptor, size)


def read_into(descriptor: int, view: memoryview, path: Path) -> int:
    """Fill the beginning of a view from where the last read ended and return how many bytes that was; 0 at the end."""
    with door("read", path):
        return os.readv(descriptor, [view])


def read_at(descriptor: int, size: int, offset: int, path: Path) -> bytes:
    """Read at most ``size`` bytes from an offset; empty past the end."""
    with door("read", path):
        return os.pread(descriptor, size, offset)
