"""What proves one file: a folder next to the output, found by the file's digest.

    files/<sha256>/         manifest, receipts and quarantines of the file with that digest; its parts were removed
                            with the run, their digests are in the receipts
    <any folder>/merged     a file while it is made
    <any folder>/file       a file that is about to change places with the output, or just has

A run that is stopped between two renames leaves ``file``. Only its bytes tell which version it is: :func:`settle`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator

from pipeline import disk
from pipeline.dataclass import dataclass
from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.lists import Unproven, read_manifest
from pipeline.publish.layout.proof import sha256_of
from pipeline.publish.layout.target import State
from pipeline.publish.record.manifest import Manifest, NewerVersion, newer_output
from pipeline.publish.record.names import FILE, FILES, KEPT_FILE, MERGED, SHA256, kept_file_name
from pipeline.units import escape


@dataclass(frozen=True, slots=True)
class Proven:
    """A file that something proves: its digest and manifest, and its facts when it was digested."""

    sha256: str
    manifest: Manifest
    state: State
    mode: int


def proofs(home: Folder) -> Iterator[tuple[str, Manifest | NewerVersion]]:
    """Iterate, in ascending order, over the digests of proven files, each with the manifest that proves it.

    A manifest of a newer logitstream comes as its :class:`NewerVersion`.
    """
    if not is_folder(home, FILES):
        return
    with home.enter(FILES) as files:
        for sha256 in sorted(files.names()):
            try:
                manifest = _manifest(files, sha256)
            except NewerVersion as newer:
                yield sha256, newer
                continue
            if manifest is not None:
                yield sha256, manifest


def proof_of(home: Folder, sha256: str, version: Folder) -> Manifest | None:
    """Return the manifest that proves the file with a digest in the folder of a version, ``None`` if there is none.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it; the error names the folder of the version.
    """
    if not is_folder(home, FILES):
        return None
    with home.enter(FILES) as files:
        try:
            return _manifest(files, sha256)
        except NewerVersion as newer:
            raise newer_output(escape(str(version.path), 1000), newer) from newer


def _manifest(files: Folder, sha256: str) -> Manifest | None:
    if not SHA256.fullmatch(sha256) or not is_folder(files, sha256):
        return None
    with files.enter(sha256) as folder:
        try:
            manifest = read_manifest(folder)
        except Unproven:
            return None
    return manifest if manifest.proof == sha256 else None


def proven_file(folder: Folder, name: str, home: Folder) -> Proven | None:
    """Return what proves a file, ``None`` if nothing does; a link is never proven.

    All bytes are digested, unless there is no manifest of a file of that size.

    Raises
    ------
    NewerOutputError
        A newer logitstream made its manifest; the error names the file.
    PermissionDeniedError, StorageError
        It cannot be read.
    """
    status = folder.look(name)
    if status is None or not stat.S_ISREG(status.st_mode):
        return None
    known = {sha256: proof for sha256, proof in proofs(home) if _may_prove(proof, status.st_size)}
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
    proof = known.get(sha256)
    if proof is None:
        return None
    if isinstance(proof, NewerVersion):
        raise newer_output(escape(str(folder.path / name), 1000), proof)
    return Proven(sha256, proof, state_of_file(status), stat.S_IMODE(status.st_mode) & 0o777)


def _may_prove(proof: Manifest | NewerVersion, size: int) -> bool:
    if isinstance(proof, NewerVersion):
        return True
    return proof.file is not None and proof.file.bytes == size


def state_of_file(status: os.stat_result) -> State:
    """Return a value that differs for another file, and after somebody wrote to this one; a rename keeps it."""
    return ((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size),)


def kept_in(folder: Folder) -> str | None:
    """Return the digest of the previous version in a folder, ``None`` if it holds no such file."""
    matches = (KEPT_FILE.fullmatch(name) for name in folder.names())
    return min((match[1] for match in matches if match), default=None)


def settle(home: Folder, folder: Folder, job_id: str | None = None, known: Proven | None = None) -> None:
    """Name a file that changed places with the output, or was about to, after the version that it is.

    A file of the job itself never took the place of the output; a file of another job is a previous version. A file
    that nothing proves keeps its name and is never removed. ``known`` is the file that it should be, which saves
    digesting it.
    """
    status = folder.look(FILE)
    if status is None:
        return
    found = known if known is not None and known.state == state_of_file(status) else proven_file(folder, FILE, home)
    if found is None:
        return
    name = MERGED if found.manifest.job_id == job_id else kept_file_name(found.sha256)
    if folder.look(name) is None:
        folder.move(FILE, folder, name)


def unsettled(folder: Folder) -> bool:
    """Return whether a folder holds a file whose version is not known."""
    return folder.look(FILE) is not None


def forget(
    home: Folder,
    unfinished: Iterator[Folder],
    formers: Iterator[Folder],
    published: str | None,
    among: Container[str] | None,
) -> None:
    """Remove the proofs of files that are neither the output nor a previous version.

    ``published`` is the digest of the output; ``among`` are the proofs that may be removed, all unless given. Nothing
    is removed while there is a file whose version is not known: it may be a previous version that could not be moved.
    What a newer logitstream made is never removed.
    """
    if not is_folder(home, FILES) or any(unsettled(tree) or kept_in(tree) is not None for tree in unfinished):
        return
    needed = {published}
    for former in formers:
        if unsettled(former):
            return
        needed.add(kept_in(former))
    with home.enter(FILES) as files:
        for name in list(files.names()):
            goes = SHA256.fullmatch(name) and name not in needed and (among is None or name in among)
            if goes and not _is_newer(files, name):
                remove(files, name)


def _is_newer(files: Folder, sha256: str) -> bool:
    try:
        _manifest(files, sha256)
    except NewerVersion:
        return True
    except LogitstreamError:
        return False
    return False
