"""Bytes that tasks need on every worker, known by their digest: one copy a process, however many threads ask."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.canonical import sha256
from pipeline.errors import BalanceError

_lock = threading.Lock()
# How many blocks hold each content: two runs of one process may share the same.
_held: dict[str, tuple[bytes, int]] = {}


def hold(content: bytes, digest: str) -> None:
    """Keep bytes until they were let go of as often as they were held."""
    with _lock:
        kept, count = _held.get(digest, (content, 0))
        _held[digest] = kept, count + 1


def let_go(digest: str) -> None:
    """Undo one :func:`hold`."""
    with _lock:
        kept, count = _held.pop(digest)
        if count > 1:
            _held[digest] = kept, count - 1


@contextmanager
def held(content: bytes) -> Iterator[str]:
    """Keep bytes in this process inside the block, and yield their digest."""
    digest = sha256(content)
    hold(content, digest)
    try:
        yield digest
    finally:
        let_go(digest)


def content(digest: str) -> bytes:
    """Return the bytes with a digest, which the scheduler has brought to this process.

    Raises
    ------
    BalanceError
        They are not here: the run that shared them has ended.
    """
    found = _held.get(digest)
    if found is None:
        raise BalanceError(f"what tasks share as {digest[:12]} is not on this worker", "run again")
    return found[0]
