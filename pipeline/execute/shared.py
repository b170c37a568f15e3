"""Bytes that tasks need on every worker, by their digest: one copy in each process, for all its threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import field
from typing import Any, TypeVar

from pipeline.canonical import sha256
from pipeline.dataclass import dataclass
from pipeline.errors import BalanceError

Made = TypeVar("Made")


@dataclass(slots=True)
class _HeldBytes:
    """Bytes, how many blocks hold them (two runs of a process may share them), and what was made of them."""

    content: bytes
    holders: int = 0
    made: Any = None
    making: threading.Lock = field(default_factory=threading.Lock)


_lock = threading.Lock()
_held: dict[str, _HeldBytes] = {}


def hold(content: bytes, digest: str) -> None:
    """Keep bytes until they were released as often as they were held."""
    with _lock:
        _held.setdefault(digest, _HeldBytes(content)).holders += 1


def let_go(digest: str) -> None:
    """Undo one :func:`hold`."""
    with _lock:
        held = _held[digest]
        held.holders -= 1
        if not held.holders:
            del _held[digest]


@contextmanager
def holding(content: bytes) -> Iterator[str]:
    """Keep bytes in this process inside the block, and yield their digest."""
    digest = sha256(content)
    hold(content, digest)
    try:
        yield digest
    finally:
        let_go(digest)


def content(digest: str) -> bytes:
    """Return the bytes with a digest, which the scheduler has sent to this process.

    Raises
    ------
    BalanceError
        They are not in this process, because the run that shared them has ended.
    """
    return _found(digest).content


def made_of(digest: str, make: Callable[[bytes], Made]) -> Made:
    """Return what ``make`` returns for the bytes with a digest: called once, and kept as long as the bytes.

    Raises
    ------
    BalanceError
        As :func:`content`.
    """
    held = _found(digest)
    with held.making:
        if held.made is None:
            held.made = make(held.content)
        made: Made = held.made
    return made


def _found(digest: str) -> _HeldBytes:
    held = _held.get(digest)
    if held is None:
        raise BalanceError(f"the shared bytes {digest[:12]} are not on this worker", "run again")
    return held
