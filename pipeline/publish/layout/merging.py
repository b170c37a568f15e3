"""Parts that become one file: merged in the folder of a run, digested, and put in place in one step."""

from __future__ import annotations

import os
import stat
from collections.abc import Generator, Iterable
from contextlib import closing, suppress
from typing import BinaryIO

from pipeline import disk
from pipeline.disk import Folder, NewFile
from pipeline.errors import LogitstreamError, StorageError
from pipeline.publish.layout.base import Place
from pipeline.publish.layout.clearing import remove
from pipeline.publish.layout.commit import can_exchange, refuse_if_changed, sync_published, take_name
from pipeline.publish.layout.proof import sha256_of
from pipeline.publish.layout.proofs import settle
from pipeline.publish.record.names import ATTEMPT_PATH, ATTEMPTS, FILE, FILES, MERGED, PROOF, TREE
from pipeline.publish.store import Merge
from pipeline.types.outputs import PartFile
from pipeline.units import escape, quoted


def merge_parts(staging: Folder, files: Iterable[PartFile], rows: int, merge: Merge, mode: int) -> PartFile:
    """Merge attempts, in order, into a new, durable file of ``rows`` rows and return its facts.

    Every byte of an attempt is digested before it is merged.

    Raises
    ------
    StorageError
        An attempt is missing, or is not the file in its receipt, or the disk is full.
    """
    with staging.make(TREE) as tree, staging.enter(ATTEMPTS) as attempts, NewFile(tree, MERGED, mode) as new:
        with disk.door("merge the parts into", new.path), closing(_opened(attempts, files)) as parts:
            merge(parts, new.file, rows)
        new.finish()
        tree.sync()
    return PartFile("", new.bytes, new.sha256, rows)


def _opened(attempts: Folder, files: Iterable[PartFile]) -> Generator[BinaryIO, None, None]:
    for file in files:
        path = ATTEMPT_PATH.fullmatch(file.path)
        if path is None:
            raise ValueError(f"{quoted(file.path)} is not the path of an attempt")
        with attempts.enter(path[1]) as bucket, os.fdopen(bucket.open_file(path[2], disk.READ), "rb") as part:
            _check(bucket, part.fileno(), path[2], file)
            part.seek(0)
            yield part


def _check(bucket: Folder, descriptor: int, name: str, file: PartFile) -> None:
    path = bucket.path / name
    status = disk.status(descriptor, path)
    regular = stat.S_ISREG(status.st_mode) and status.st_size == file.bytes
    if not regular or sha256_of(bucket, descriptor, name) != file.sha256:
        raise StorageError(
            f"{escape(str(path), 1000)} changed after it was written: "
            f"{file.bytes:,} bytes then, {status.st_size:,} bytes now",
            "make sure that nothing else changes files there, then run again",
        )


def put_in_place(place: Place, staging: Folder, sha256: str) -> None:
    """Put the merged file under the name of the output in one step, durable on return; its proof comes first.

    An output that has the same bytes already stays, and only its proof is exchanged.
    """
    version = place.version
    published = None if version is None else version.proven
    with place.home.make(FILES, exist_ok=True) as files, staging.enter(TREE) as tree:
        # A run that was stopped before it synced the name may have made it.
        place.home.sync()
        if version is not None and published is not None and published.sha256 == sha256:
            refuse_if_changed(place.target, place.parent, version)
            staging.exchange(PROOF, files, sha256)
            sync_published(place.target, files, staging)
            return
        _place_proof(place, staging, files, sha256)
        files.sync()
        staging.sync()
        # The name says that it may have been exchanged.
        tree.move(MERGED, tree, FILE)
        tree.sync()
        take_name(place, tree, FILE)
        sync_published(place.target, place.parent, tree)
        # The next run heals what is left over.
        with suppress(LogitstreamError):
            settle(place.home, tree, known=published)


def _place_proof(place: Place, staging: Folder, files: Folder, sha256: str) -> None:
    """Put the proof of the file in its place; an earlier run may have done so, or have made an equal file."""
    if files.look(sha256) is not None:
        if place.version is not None or can_exchange(staging):
            staging.exchange(PROOF, files, sha256)
            return
        # Where nothing can be exchanged there are no previous versions, so the proof that is there is not needed.
        remove(files, sha256)
    staging.move(PROOF, files, sha256)
