"""The one door to the operating system: open, sync, link, rename, lock, remove, and what is refused, translated.

system     calls on descriptors of folders and files; :class:`Folder`
newfile    files written once, digested on the way; :class:`NewFile`
renaming   renameat2(2), which Python does not have
"""

from pipeline.disk.newfile import DigestingFile, NewFile, write_new
from pipeline.disk.system import (
    CREATE,
    READ,
    Folder,
    close,
    door,
    free_bytes,
    is_folder,
    is_mount_point,
    overwrite,
    read,
    read_at,
    real_folder,
    release,
    set_mode,
    status,
    sync,
    translated,
    truncate,
    try_lock,
    umask,
    user,
    write_all,
)

__all__ = [
    "CREATE",
    "READ",
    "DigestingFile",
    "Folder",
    "NewFile",
    "close",
    "door",
    "free_bytes",
    "is_folder",
    "is_mount_point",
    "overwrite",
    "read",
    "read_at",
    "real_folder",
    "release",
    "set_mode",
    "status",
    "sync",
    "translated",
    "truncate",
    "try_lock",
    "umask",
    "user",
    "write_all",
    "write_new",
]
