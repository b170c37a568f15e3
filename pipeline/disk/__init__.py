"""The one door to the operating system: every file is opened, read, written, renamed, listed or removed here.

inputs     files that are read at any offset; names in folders
whole      small files read and written whole, and what is under a path
system     outputs and what lies next to them, on descriptors of folders; :class:`Folder`
newfile    files written once, digested on the way; :class:`NewFile`
mounts     what is mounted where, and of what type
renaming   renameat2(2), which Python does not have
refusals   errors of the system, translated into the project's errors
"""

from pipeline.disk.inputs import OpenFile, entries, mode_of, require_regular
from pipeline.disk.mounts import mounts
from pipeline.disk.newfile import NewFile, write_new
from pipeline.disk.refusals import door, input_error, show, translated
from pipeline.disk.system import (
    CREATE,
    READ,
    Folder,
    free_bytes,
    is_folder,
    is_mount_point,
    overwrite,
    read,
    read_at,
    read_into,
    real_folder,
    release,
    set_mode,
    status,
    sync,
    take_over,
    truncate,
    try_lock,
    umask,
    user,
    write_all,
    write_at,
)
from pipeline.disk.whole import (
    draft_name,
    facts,
    file_sha256,
    make_folders,
    names_in,
    read_file,
    remove_drafts,
    require_writable,
    scratch_folder,
    temporary_folder,
    write_file,
)

__all__ = [
    "CREATE",
    "READ",
    "Folder",
    "NewFile",
    "OpenFile",
    "door",
    "draft_name",
    "entries",
    "facts",
    "file_sha256",
    "free_bytes",
    "input_error",
    "is_folder",
    "is_mount_point",
    "make_folders",
    "mode_of",
    "mounts",
    "names_in",
    "overwrite",
    "read",
    "read_at",
    "read_file",
    "read_into",
    "real_folder",
    "release",
    "remove_drafts",
    "require_regular",
    "require_writable",
    "scratch_folder",
    "set_mode",
    "show",
    "status",
    "sync",
    "take_over",
    "temporary_folder",
    "translated",
    "truncate",
    "try_lock",
    "umask",
    "user",
    "write_all",
    "write_at",
    "write_file",
    "write_new",
]
