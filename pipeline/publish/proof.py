"""Whether a file is still the one that was recorded: regular, reached without following links, size and digest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeGuard, TypeVar

from pipeline import disk
from pipeline.disk import Folder
from pipeline.errors import LogitstreamError
from pipeline.publish.files import ATTEMPT_PATH
from pipeline.publish.places import JournalPlaces
from pipeline.types.outputs import PartFile

_BLOCK = 2**20
# A sync of a file that is on disk already costs a turn of the disk, which several share: more threads than cores.
_THREADS = 8
_AHEAD = 32

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def proven(folder: Folder, name: str, file: PartFile) -> os.stat_result | None:
    """Return the facts of a file whose every byte was digested and is what was recorded; ``None`` for any other.

    It is synced, unless the folder is not durable: whoever wrote it may not have done so.
    """
    found = folder.look(name)
    if found is None or not stat.S_ISREG(found.st_mode):
        return None
    descriptor = folder.open_file(name, disk.READ)
    try:
        status = disk.status(descriptor, folder.path / name)
        if not stat.S_ISREG(status.st_mode) or status.st_size != file.bytes:
            return None
        if sha256_of(folder, descriptor, name) != file.sha256:
            return None
        folder.sync_file(descriptor, name)
        return status
    finally:
        disk.release(descriptor)


def sha256_of(folder: Folder, descriptor: int, name: str) -> str:
    """Return the digest, in hexadecimal, of what an open file holds from where it stands."""
    found = hashlib.sha256()
    while block := disk.read(descriptor, _BLOCK, folder.path / name):
        found.update(block)
    return found.hexdigest()


def checked(
    items: Iterable[Item], check: Callable[[Item], Outcome], threads: int = _THREADS
) -> Iterator[tuple[Item, Outcome]]:
    """Iterate over items, in their order, with what a check says of each; several are checked at once, a few ahead."""
    pool = ThreadPoolExecutor(threads, "logitstream-check")
    waiting: deque[tuple[Item, Future[Outcome]]] = deque()
    try:
        for item in items:
            waiting.append((item, pool.submit(check, item)))
            if len(waiting) >= _AHEAD:
                first, answer = waiting.popleft()
                yield first, answer.result()
        while waiting:
            first, answer = waiting.popleft()
            yield first, answer.result()
    finally:
        pool.shutdown(cancel_futures=True)


Replayed = tuple[Mapping[str, object], int]


def standing_receipts(receipts: Iterable[Replayed], attempts: Folder) -> Iterator[Replayed]:
    """Iterate over the receipts whose files are all what they were when they were written, one a chunk.

    Each comes, and is yielded, with its place in the journal. Of several that stand for a chunk the first one counts. A
    receipt without a part, of a task that gave up, or one that names anything but attempts, stands for nothing.
    """
    done = JournalPlaces()

    def candidates() -> Iterator[tuple[int, Replayed, tuple[PartFile, ...]]]:
        for receipt, place in receipts:
            chunk, files = _chunk_of(receipt), _files(receipt)
            if chunk is not None and files and chunk not in done:
                yield chunk, (receipt, place), files

    def stands(candidate: tuple[int, Replayed, tuple[PartFile, ...]]) -> bool:
        return all(_attempt_stands(attempts, file) for file in candidate[2])

    for (chunk, found, _), good in checked(candidates(), stands):
        if good and chunk not in done:
            done.put(chunk, found[1])
            yield found


def _attempt_stands(attempts: Folder, file: PartFile) -> bool:
    path = ATTEMPT_PATH.fullmatch(file.path)
    if path is None:
        return False
    # What cannot be read or synced is of no use: the chunk is computed again, into another file.
    try:
        with attempts.enter(path.group(1)) as bucket:
            return proven(bucket, path.group(2), file) is not None
    except LogitstreamError:
        return False


def _chunk_of(receipt: Mapping[str, object]) -> int | None:
    chunk = receipt.get("chunk")
    return chunk if _is_count(chunk) else None


def _files(receipt: Mapping[str, object]) -> tuple[PartFile, ...]:
    """Return the files of a receipt, none where it is not one of a chunk that was done."""
    part, quarantine = receipt.get("part"), receipt.get("quarantine")
    files = [_file(facts) for facts in (part, quarantine) if facts is not None]
    if part is None or None in files:
        return ()
    return tuple(file for file in files if file is not None)


def _file(facts: object) -> PartFile | None:
    if not isinstance(facts, Mapping):
        return None
    path, size, sha256, rows = (facts.get(name) for name in ("path", "bytes", "sha256", "rows"))
    if not isinstance(path, str) or not isinstance(sha256, str) or not _is_count(size) or not _is_count(rows):
        return None
    return PartFile(path, size, sha256, rows)


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
