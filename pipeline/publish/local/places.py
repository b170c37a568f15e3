"""A whole number for each chunk, in a few bytes: where its receipt is in the journal, or only that it has one."""

from __future__ import annotations

from array import array

_BLOCK = 1024
_NONE = -1


class JournalPlaces:
    """Numbers of at least 0 by chunk, in blocks of a thousand chunks; a million of them take 8 MB.

    Chunks may be any whole numbers: those far apart cost a block each. The memory of as many as are expected,
    from 0 on, is taken at the start, so that a long run does not grow with what it has done.
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
        """Return the place of a chunk, ``None`` where it has none."""
        block = self._blocks.get(chunk // _BLOCK)
        place = _NONE if block is None else block[chunk % _BLOCK]
        return None if place == _NONE else place

    def put(self, chunk: int, place: int) -> None:
        """Give a chunk its place, whatever it had."""
        block = self._blocks.get(chunk // _BLOCK)
        if block is None:
            block = self._blocks[chunk // _BLOCK] = _block()
        self._count += block[chunk % _BLOCK] == _NONE
        block[chunk % _BLOCK] = place


def _block() -> array[int]:
    return array("q", [_NONE]) * _BLOCK
