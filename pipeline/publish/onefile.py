"""An output that is one file, and what proves it: a folder in the home of the output, found by the file's digest.

    files/<sha256>/                            manifest, receipts and quarantines of the file with that digest; its
                                               parts went with the run, their digests stand in the receipts
    versions/<number>-<job_id>/<sha256>.kept   a former version
    jobs/<job_id>/proof/                       becomes files/<sha256>/ before the file takes its place
    <any folder>/merged                        a file in the making
    <any folder>/file                          one that is about to change places with the output, or just has

Whoever is stopped between two renames leaves ``file``, and only its bytes tell which one it is: :func:`settle`.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from pipeline import disk
from pipeline.disk import Folder, is_folder
from pipeline.errors import OutputError
from pipeline.publish.manifest import Manifest, manifest_in
from pipeline.publish.proof import sha256_of
from pipeline.publish.target import State

FILES, PROOF, MERGED, FILE = "files", "proof", "merged", "file"
KEPT_FILE = re.compile(r"([0-9a-f]{64})\.kept")
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Proven:
    """A file that something proves: its digest and manifest, and its facts when it was digested."""

    sha256: str
    manifest: Manifest
    state: State
    mode: int


def proofs(home: Folder) -> Iterator[tuple[str, Manifest]]:
    """Iterate, in ascending order, over the digests that something proves, each with the manifest that does."""
    if not is_folder(home, FILES):
        return
    with home.enter(FILES) as files:
        for sha256 in sorted(files.names()):
            manifest = _manifest(files, sha256)
            if manifest is not None:
                yield sha256, manifest


def proof_of(home: Folder, sha256: str) -> Manifest | None:
    """Return the manifest that proves the file with a digest, ``None`` where there is none."""
    if not is_folder(home, FILES):
        return None
    with home.enter(FILES) as files:
        return _manifest(files, sha256)


def _manifest(files: Folder, sha256: str) -> Manifest | None:
    if not SHA256.fullmatch(sha256) or not is_folder(files, sha256):
        return None
    with files.enter(sha256) as folder:
        try:
            manifest = manifest_in(folder)
        except OutputError:
            return None
    return manifest if manifest.file is not None and manifest.file.sha256 == sha256 else None


def proven_file(folder: Folder, name: str, home: Folder) -> Proven | None:
    """Return what proves a file, ``None`` for anything that nothing proves, a link among them.

    All bytes are digested, unless nothing proves a file of that size.

    Raises
    ------
    PermissionDeniedError, StorageError
        It cannot be read.
    """
    status = folder.look(name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    known = {sha256: manifest for sha256, manifest in proofs(home) if _size(manifest) == status.st_size}
    if not known:
        return None
    descriptor = folder.open_file(name, disk.READ)
    try:
        status = disk.status(descriptor, folder.path / name)
        if not stat.S_ISREG(status.st_mode):
            return None
        sha256 = sha256_of(folder, descriptor, name)
    finally:
        disk.release(descriptor)
    if sha256 not in known:
        return None
    return Proven(sha256, known[sha256], state_of_file(status), stat.S_IMODE(status.st_mode) & 0o777)


def _size(manifest: Manifest) -> int:
    return -1 if manifest.file is None else manifest.file.bytes


def state_of_file(status: os.stat_result) -> State:
    """Return what tells a file from another one, and from itself once somebody wrote to it; renames change nothing."""
    return ((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size),)


def kept_in(folder: Folder) -> str | None:
    """Return the digest of the former version that a folder holds, ``None`` where it holds no file of that kind."""
    matches = (KEPT_FILE.fullmatch(name) for name in folder.names())
    return min((match[1] for match in matches if match), default=None)


def settle(home: Folder, folder: Folder, job_id: str | None = None, known: Proven | None = None) -> None:
    """Give a file that changed places with the output, or was about to, the name that says which one it is.

    That of the job itself never took its place; that of another job is a former version. What nothing proves keeps its
    name, and is not ours to remove. ``known`` is the file that it should be, which spares digesting it.
    """
    status = folder.look(FILE)
    if status is None:
        return
    found = known if known is not None and known.state == state_of_file(status) else proven_file(folder, FILE, home)
    if found is None:
        return
    name = MERGED if found.manifest.job_id == job_id else f"{found.sha256}.kept"
    if folder.look(name) is None:
        folder.move(FILE, folder, name)


def unsettled(folder: Folder) -> bool:
    """Return whether a folder holds a file of which it is not known which one it is."""
    return folder.look(FILE) is not None
