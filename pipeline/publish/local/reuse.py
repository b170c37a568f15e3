"""Parts of the published version, carried over into a run that would make the same ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import groupby

from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.layout.entries import quarantine_in
from pipeline.publish.layout.proof import checked, proven
from pipeline.publish.local.attempts import new_attempt_name
from pipeline.publish.record.names import ATTEMPT_NAME, attempt_path, thousand_of
from pipeline.publish.record.receipts import Part
from pipeline.publish.store import Adopted
from pipeline.types.outputs import PartFile

# The folder and the name of a file of a version, its record, and its status if it is intact.
_Found = tuple[Folder, str, PartFile, os.stat_result]


def adopted(
    version: Folder, attempts: Folder, chosen: Iterable[tuple[int, Part]], mode: int
) -> Iterator[tuple[int, Part, Adopted | None]]:
    """Link parts of a version, and their quarantines, among the attempts at chunks; yield each with the linked files.

    All of them are digested first, several at once. A part that is not intact or cannot be linked comes with ``None``,
    and so does one with other permissions than the run publishes: setting them would change those of the published
    version too.
    """
    with ExitStack() as stack:
        quarantines = quarantine_in(version, stack)

        def intact(pair: tuple[int, Part]) -> Sequence[_Found] | None:
            part = pair[1]
            files = [(version, part.name, part.file)]
            if part.quarantine is not None:
                if quarantines is None:
                    return None
                files.append((quarantines, part.quarantine_name, part.quarantine))
            found = [(*file, status) for file in files if (status := _proven(*file, mode)) is not None]
            return found if len(found) == len(files) else None

        results = stack.enter_context(closing(checked(chosen, intact)))
        # To open the subfolder for each part costs as much time as all else that is done here but the digests.
        for thousand, group in groupby(results, lambda result: thousand_of(result[0][0])):
            with attempts.make(thousand, exist_ok=True) as bucket:
                for (chunk, part), files in group:
                    yield chunk, part, None if files is None else _adopted(files, bucket, chunk)


def _proven(folder: Folder, name: str, file: PartFile, mode: int) -> os.stat_result | None:
    # What cannot be read is computed again.
    try:
        status = proven(folder, name, file)
    except LogitstreamError:
        return None
    return status if status is not None and stat.S_IMODE(status.st_mode) == mode else None


def _adopted(files: Sequence[_Found], bucket: Folder, chunk: int) -> Adopted | None:
    taken = []
    for folder, name, file, status in files:
        path = _linked(folder, name, status, bucket, chunk)
        if path is None:
            return None
        taken.append(PartFile(path, file.bytes, file.sha256, file.rows))
    return taken[0], taken[1] if len(taken) > 1 else None


def _linked(folder: Folder, name: str, status: os.stat_result, bucket: Folder, chunk: int) -> str | None:
    extension = name.partition(".")[2]
    if not ATTEMPT_NAME.fullmatch(f"{chunk}-{'0' * 32}.{extension}.attempt"):
        return None
    thousand, attempt = new_attempt_name(chunk, extension)
    if not folder.try_link(name, bucket, attempt):
        return None
    linked = bucket.look(attempt)
    # Since this one was digested, another file may have taken the name, or something may have written to it.
    if linked is None or _state(linked) != _state(status):
        return None
    return attempt_path(thousand, attempt)


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
