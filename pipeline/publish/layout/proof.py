"""Whether a file is still the one in its record: a regular file, reached without links, with its size and digest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from pipeline import disk
from pipeline.disk import Folder
from pipeline.types.outputs import PartFile
from pipeline.units import KIB

# One block, small enough to stay in the cache of its core from the copy to the digest, and large enough that threads
# seldom wait for each other between the two.
_BLOCK = 512 * KIB
# Several syncs share one turn of the disk, so more threads than cores are worth it.
_THREADS = 8
_AHEAD = 32

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


def proven(folder: Folder, name: str, file: PartFile) -> os.stat_result | None:
    """Return the status of a file if all its bytes, digested again, are those in its record; else ``None``.

    The file is synced, unless the folder is not durable: the process that wrote it may not have done so.
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
    """Return the digest, in hexadecimal, of an open file from its current position to its end."""
    found, block, path = hashlib.sha256(), memoryview(bytearray(_BLOCK)), folder.path / name
    while count := disk.read_into(descriptor, block, path):
        found.update(block[:count])
    return found.hexdigest()


def checked(
    items: Iterable[Item], check: Callable[[Item], Outcome], threads: int = _THREADS
) -> Generator[tuple[Item, Outcome], None, None]:
    """Iterate over items, in order, with the result of a check of each; several are checked at once, a few ahead."""
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
