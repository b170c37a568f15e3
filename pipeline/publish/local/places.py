"""A whole number for each chunk in a few bytes: the place of its receipt in the journal."""

from __future__ import annotations

from array import array

_BLOCK = 1024
_NONE = -1


class JournalPlaces:
    """Numbers of at least 0 by chunk, in blocks of 1,024 chunks; a million of them take 8 MB.

    Chunks may be any whole numbers; chunks far apart cost a block each. The memory for ``expected`` chunks, counted
    from 0, is taken at the start, so that a long run does not grow.
    """

    def __init__(self, expected: int = 0) -> None:
        self._blocks = {number: _block() for number in range(-(-expected // _BLOCK))}
        self._count = 0

    def __len__(self) -> int:
        """Return how many chunks have a place."""
        return self._count

    def __contains__(self, chunk: int) -> bool:
        """Return whether a chunk has a place."""
        return self.get(chunk) is not None

    def get(self, chunk: int) -> int | None:
        """Return the place of a chunk, ``None`` if it has none."""
        block = self._blocks.get(chunk // _BLOCK)
        place = _NONE if block is None else block[chunk % _BLOCK]
        return None if place == _NONE else place

    def put(self, chunk: int, place: int) -> None:
        """Set the place of a chunk."""
        block = self._blocks.get(chunk // _BLOCK)
        if block is None:
            block = self._blocks[chunk // _BLOCK] = _block()
        self._count += block[chunk % _BLOCK] == _NONE
        block[chunk % _BLOCK] = place


def _block() -> array[int]:
    return array("q", [_NONE]) * _BLOCK
