"""Payloads combined in a fixed binary tree over chunk numbers, so that sums have the same bits on every scheduler.

Leaf i is the payload of chunk i; node j of a level covers the chunks ``[j * 2**level, (j + 1) * 2**level)``. Payloads
come in any order, and each pair is combined as soon as both halves are there, so at most one node for each level and
gap waits. A chunk without a payload adds nothing, and so does every number beyond the plan.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

Payload = TypeVar("Payload")


class ReduceTree(Generic[Payload]):
    """Combines the payloads of a number of chunks; for one thread.

    Parameters
    ----------
    chunks : int
    combine : callable
        Takes a payload and the one to its right, never ``None``. May change and return either.
    """

    def __init__(self, chunks: int, combine: Callable[[Payload, Payload], Payload]) -> None:
        self._levels = max(0, chunks - 1).bit_length()
        self._chunks = chunks
        self._combine = combine
        self._waiting: dict[tuple[int, int], Payload | None] = {}

    def add(self, number: int, payload: Payload | None, level: int = 0) -> None:
        """Add the payload of a chunk, or of a node of a level; ``None`` where it has none. Each chunk is added once."""
        node = payload
        while level < self._levels and (found := self._sibling(level, number)) is not None:
            other = found[0]
            left, right = (other, node) if number & 1 else (node, other)
            node = self._joined(left, right)
            level, number = level + 1, number >> 1
        self._waiting[level, number] = node

    @property
    def waiting(self) -> int:
        """How many nodes wait for their other half."""
        return len(self._waiting)

    def total(self) -> Payload | None:
        """Return all payloads combined, ``None`` where there is none; chunks that never came count as none."""
        for level in range(self._levels):
            for found, number in sorted(key for key in self._waiting if key[0] == level):
                self._raise(found, number)
        return self._waiting.get((self._levels, 0))

    def _raise(self, level: int, number: int) -> None:
        """Combine a node with its sibling, or with nothing where the sibling never came."""
        if (level, number) not in self._waiting:
            return
        node = self._waiting.pop((level, number))
        other = self._waiting.pop((level, number ^ 1), None)
        left, right = (other, node) if number & 1 else (node, other)
        self._waiting[level + 1, number >> 1] = self._joined(left, right)

    def _sibling(self, level: int, number: int) -> tuple[Payload | None] | None:
        """Remove and return the other half of a pair; ``None`` where it has not come yet."""
        sibling = number ^ 1
        if sibling << level >= self._chunks:
            return (None,)
        return (self._waiting.pop((level, sibling)),) if (level, sibling) in self._waiting else None

    def _joined(self, left: Payload | None, right: Payload | None) -> Payload | None:
        if left is None or right is None:
            return right if left is None else left
        return self._combine(left, right)
