"""What proves one file: a folder in the home of the output, found by the file's digest.

    files/<sha256>/         manifest, receipts and quarantines of the file with that digest; its parts went with the
                            run, their digests are in the receipts
    <any folder>/merged     a file in the making
    <any folder>/file       one that is about to change places with the output, or just has

A run that is stopped between two renames leaves ``file``, and only its bytes tell which one it is: :func:`settle`.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Container, Iterator
from dataclasses import dataclass

from pipeline import disk
from pipeline.disk import Folder, is_folder
from pipeline.errors import LogitstreamError, NewerOutputError
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.lists import manifest_or_none
from pipeline.publish.layout.proof import sha256_of
from pipeline.publish.layout.target import State
from pipeline.publish.record.manifest import Manifest
from pipeline.publish.record.names import FILE, FILES, KEPT_FILE, MERGED, SHA256, kept_file_name


@dataclass(frozen=True, slots=True)
class Proven:
    """A file that something proves: its digest and manifest, and its facts when it was digested."""

    sha256: str
    manifest: Manifest
    state: State
    mode: int


def proofs(home: Folder) -> Iterator[tuple[str, Manifest | NewerOutputError]]:
    """Iterate, in ascending order, over the digests that something proves, each with the manifest that does.

    Of one that a newer logitstream made comes the error that says so.
    """
    if not is_folder(home, FILES):
        return
    with home.enter(FILES) as files:
        for sha256 in sorted(files.names()):
            try:
                manifest = _manifest(files, sha256)
            except NewerOutputError as newer:
                yield sha256, newer
                continue
            if manifest is not None:
                yield sha256, manifest


def proof_of(home: Folder, sha256: str) -> Manifest | None:
    """Return the manifest that proves the file with a digest, ``None`` where there is none.

    Raises
    ------
    NewerOutputError
        A newer logitstream made it.
    """
    if not is_folder(home, FILES):
        return None
    with home.enter(FILES) as files:
        return _manifest(files, sha256)


def _manifest(files: Folder, sha256: str) -> Manifest | None:
    if not SHA256.fullmatch(sha256) or not is_folder(files, sha256):
        return None
    with files.enter(sha256) as folder:
        manifest = manifest_or_none(folder)
    return manifest if manifest is not None and manifest.proof == sha256 else None


def proven_file(folder: Folder, name: str, home: Folder) -> Proven | None:
    """Return what proves a file, ``None`` for anything that nothing proves, a link among them.

    All bytes are digested, unless nothing can prove a file of that size.

    Raises
    ------
    NewerOutputError
        A newer logitstream made what proves it.
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
    if isinstance(proof, NewerOutputError):
        raise proof
    return Proven(sha256, proof, state_of_file(status), stat.S_IMODE(status.st_mode) & 0o777)


def _may_prove(proof: Manifest | NewerOutputError, size: int) -> bool:
    if isinstance(proof, NewerOutputError):
        return True
    return proof.file is not None and proof.file.bytes == size


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
    name = MERGED if found.manifest.job_id == job_id else kept_file_name(found.sha256)
    if folder.look(name) is None:
        folder.move(FILE, folder, name)


def unsettled(folder: Folder) -> bool:
    """Return whether a folder holds a file of which it is not known which one it is."""
    return folder.look(FILE) is not None


def forget(
    home: Folder,
    unfinished: Iterator[Folder],
    formers: Iterator[Folder],
    published: str | None,
    among: Container[str] | None,
) -> None:
    """Remove what proves a file that is neither the output nor a former version.

    ``published`` is the digest of the output; ``among`` are those that may go, all unless given. Nothing goes while
    a file is there of which it is not known which one it is: it may be a former version that could not be put away.
    What a newer logitstream made never goes.
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
    except NewerOutputError:
        return True
    except LogitstreamError:
        return False
    return False
