"""Parts of the published version, carried over into a run that would make the same ones."""

from __future__ import annotations

import os
import stat
from contextlib import ExitStack

from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.entries import quarantine_in
from pipeline.publish.layout.proof import proven
from pipeline.publish.local.attempts import new_attempt_name
from pipeline.publish.record.names import ATTEMPT_NAME, attempt_path
from pipeline.publish.record.receipts import Part
from pipeline.types.outputs import PartFile


def adopt(
    version: Folder, attempts: Folder, chunk: int, part: Part, mode: int
) -> tuple[PartFile, PartFile | None] | None:
    """Link a part of a version, and its quarantine, among the attempts; return ``None`` if that is impossible.

    Both are digested first. A file with other permissions than the run publishes is not linked: setting them would
    change those of the published version too.
    """
    with ExitStack() as stack:
        sources = [(version, part.name, part.file)]
        if part.quarantine is not None:
            quarantines = quarantine_in(version, stack)
            if quarantines is None:
                return None
            sources.append((quarantines, part.quarantine_name, part.quarantine))
        found = [(*source, _proven(*source)) for source in sources]
        taken = []
        for folder, name, file, status in found:
            if status is None or stat.S_IMODE(status.st_mode) != mode:
                return None
            path = _linked(folder, name, status, attempts, chunk)
            if path is None:
                return None
            taken.append(PartFile(path, file.bytes, file.sha256, file.rows))
    return taken[0], taken[1] if part.quarantine is not None else None


def _proven(folder: Folder, name: str, file: PartFile) -> os.stat_result | None:
    # What cannot be read is computed again.
    try:
        return proven(folder, name, file)
    except LogitstreamError:
        return None


def _linked(folder: Folder, name: str, status: os.stat_result, attempts: Folder, chunk: int) -> str | None:
    extension = name.partition(".")[2]
    if not ATTEMPT_NAME.fullmatch(f"{chunk}-{'0' * 32}.{extension}.attempt"):
        return None
    thousand, attempt = new_attempt_name(chunk, extension)
    with attempts.make(thousand, exist_ok=True) as bucket:
        if not folder.try_link(name, bucket, attempt):
            return None
        linked = bucket.look(attempt)
        # Another file may have taken the name since this one was digested.
        if linked is None or not os.path.samestat(linked, status):
            return None
    return attempt_path(thousand, attempt)
