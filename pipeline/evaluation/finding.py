"""Where a key is in a list of keys, for many rows at once."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.exact import BLOCK_ROWS, Floats
from pipeline.kernels.order import Keys, keys_of

Places = npt.NDArray[np.intp]

NOWHERE = -1
_FRACTION_BITS = 52
_SIGN_PLACE = np.uint64(63)
_SIGN = np.uint64(1 << 63)
_FRACTION = np.uint64(_FRACTION_BITS)
# All signs and exponents.
_BINADES = 1 << 12
_MOST_CELLS = 1 << 21
GUIDE_BYTES = 4 * _MOST_CELLS


class KeyFinder(Protocol):
    """Finds the places of keys."""

    def look_up(self, scores: Floats) -> Places:
        """Return the place of the key of each score, ``NOWHERE`` for one that is not listed; no score is minus zero."""

    def enter(self, keys: Keys, first: int) -> bool:
        """Take in new keys, whose places begin at ``first``; return whether there was room for them."""


def finder_of(keys: Keys, shift: int) -> KeyFinder:
    """Return what finds keys with so many bits left out, at their places in the list."""
    if 0 < _FRACTION_BITS - shift < _MOST_CELLS.bit_length():
        guide = _KeyGuide(shift)
        if guide.enter(keys, 0):
            return guide
    return _OrderedKeys(keys, shift)


def _codes_of(keys: Keys, shift: int) -> Keys:
    """Return what :func:`_leading` has for the numbers of keys."""
    first = keys << np.uint64(shift)
    return (first ^ (((first >> _SIGN_PLACE) - np.uint64(1)) | _SIGN)) >> np.uint64(shift)


def _leading(values: Floats, shift: np.uint64) -> Keys:
    """Return the leading bits of numbers as they are stored, which numbers have in common that have a key in common.

    Keys of negative numbers end at a number with few digits, so that one unit less decides there.
    """
    bits = values.view(np.uint64)
    return (bits - (bits >> _SIGN_PLACE)) >> shift


class _KeyGuide:
    """A table of the places of all keys of the binades that occur: sign and exponent say where a binade begins."""

    def __init__(self, shift: int) -> None:
        self._shift = np.uint64(shift)
        self._binade_bits = np.uint64(_FRACTION_BITS - shift)
        # The first block has no key: it is that of all binades which do not occur.
        self._blocks = np.zeros(_BINADES, dtype=np.int64)
        self._starts = np.empty(_BINADES, dtype=np.int64)
        self._places = np.empty(0, dtype=np.int32)
        self._make_blocks(np.empty(0, dtype=np.int64))

    def look_up(self, scores: Floats) -> Places:
        places = np.empty(len(scores), dtype=np.intp)
        for start in range(0, len(scores), BLOCK_ROWS):
            block = np.s_[start : start + BLOCK_ROWS]
            places[block] = self._places.take(self._cells(_leading(scores[block], self._shift)))
        return places

    def enter(self, keys: Keys, first: int) -> bool:
        codes = _codes_of(keys, int(self._shift))
        binades = np.flatnonzero(np.bincount((codes >> self._binade_bits).view(np.int64), minlength=_BINADES))
        new = binades[self._blocks[binades] == 0]
        if len(new) and not self._make_blocks(new):
            return False
        self._places[self._cells(codes)] = np.arange(first, first + len(keys))
        return True

    def _make_blocks(self, binades: npt.NDArray[np.int64]) -> bool:
        """Make room for the keys of other binades, and return whether there is."""
        width = 1 << int(self._binade_bits)
        count = int(self._blocks.max()) + 1
        if (count + len(binades)) * width > _MOST_CELLS:
            return False
        more = np.full((count + len(binades)) * width - len(self._places), NOWHERE, dtype=np.int32)
        self._places = np.concatenate([self._places, more])
        self._blocks[binades] = np.arange(count, count + len(binades))
        self._starts = (self._blocks - np.arange(_BINADES)) * width
        return True

    def _cells(self, codes: Keys) -> Places:
        cells: Places = codes.view(np.int64) + self._starts.take((codes >> self._binade_bits).view(np.int64))
        return cells


class _OrderedKeys:
    """Keys in order: for those that a guide would be too large for."""

    def __init__(self, keys: Keys, shift: int) -> None:
        self._shift = shift
        self._order = np.argsort(keys)
        self._keys = keys[self._order]

    def look_up(self, scores: Floats) -> Places:
        if not len(self._keys):
            return np.full(len(scores), NOWHERE, dtype=np.intp)
        rows = keys_of(scores) >> np.uint64(self._shift)
        order = np.argsort(rows)
        starts = starts_of(rows[order])
        found = rows[order[starts]]
        near = np.minimum(np.searchsorted(self._keys, found), len(self._keys) - 1)
        places = np.where(self._keys[near] == found, self._order[near], NOWHERE)
        result = np.empty(len(rows), dtype=np.intp)
        result[order] = places[places_of(starts, len(rows))]
        return result

    def enter(self, keys: Keys, first: int) -> bool:
        places = np.searchsorted(self._keys, keys)
        self._keys = np.insert(self._keys, places, keys)
        self._order = np.insert(self._order, places, np.arange(first, first + len(keys)))
        return True


def starts_of(keys: Keys) -> Places:
    """Return where a run of equal keys begins."""
    is_new = np.empty(len(keys), dtype=np.bool_)
    is_new[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


def places_of(starts: Places, size: int) -> Places:
    """Return the number of the run that each of so many keys is in, given where runs begin."""
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=size))
