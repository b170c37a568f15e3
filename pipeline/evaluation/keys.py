"""Rows counted by key: the leading bits of what they are ranked by, so that ranks are known with a stated error.

A key is the leading bits of a float64 that is written as an integer of the same order. One bit fewer is kept whenever
more keys occur than may be. How many bits that leaves depends on the rows together, not on their order or on how they
were divided: rows that are a part of others never have more keys. A key whose smallest and largest number agree has no
width: its rows are equal. Counts are exact, and so are sums, but for the rounding of :func:`fixed_rows` for each key
and tile.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.exact import Counts, Floats, carry, fixed_rows, floats_of
from pipeline.kernels.order import Keys, keys_of, values_of

MOST_KEYS = 1 << 18
_BITS = 64
_TOP = np.uint64(2**64 - 1)
# Rows of ``sums``: p of positives, p of negatives, p squared. With weights they are weighted, and before them come the
# weights of positives and of negatives.
PLAIN_SUMS, WEIGHTED_SUMS = 3, 5


@dataclass(slots=True, eq=False)
class KeyTable:
    """Rows of two classes by key, in ascending order.

    Attributes
    ----------
    most : int
        How many keys there are at most.
    shift : int
        How many of the 64 bits are left out.
    smallest, largest : ndarray of uint64, shape (keys,)
        The ends of the numbers of a key, as integers of the same order.
    least : ndarray of float64, shape (keys,)
        The smallest probability of the rows of a key.
    totals : ndarray of int64, shape (2 + 2 * sums, keys)
        Rows of positives and of negatives; the upper parts of the sums; their lower parts.
    """

    most: int
    shift: int
    smallest: Keys
    largest: Keys
    least: Floats
    totals: Counts

    @classmethod
    def empty(cls, most: int = MOST_KEYS, *, weighted: bool = False) -> KeyTable:
        """Return a table without rows."""
        none = np.empty(0, dtype=np.uint64)
        sums = WEIGHTED_SUMS if weighted else PLAIN_SUMS
        return cls(most, 0, none, none, np.empty(0), np.empty((2 + 2 * sums, 0), dtype=np.int64))

    @classmethod
    def of(cls, rows: KeyedRows, most: int = MOST_KEYS, shift: int = 0) -> KeyTable:
        """Return the table of some rows, of which at least so many bits are left out."""
        parts = (_of_class(rows, is_positive, most, shift) for is_positive in (True, False))
        return merged(*parts)

    def __len__(self) -> int:
        return len(self.smallest)

    @property
    def sums(self) -> Floats:
        """The sums, shape (sums, keys)."""
        upper, lower = self.sum_parts()
        return floats_of(upper, lower)

    def sum_parts(self) -> tuple[Counts, Counts]:
        """Return the upper and the lower parts of the sums, as views."""
        half = 1 + len(self.totals) // 2
        return self.totals[2:half], self.totals[half:]

    def keys(self, shift: int) -> Keys:
        """Return the keys with so many bits left out; equal ones are neighbours."""
        return self.smallest >> np.uint64(shift)

    def is_wide(self) -> npt.NDArray[np.bool_]:
        """Return which keys have rows that differ."""
        return self.smallest != self.largest

    def ends(self) -> tuple[Floats, Floats]:
        """Return the smallest and the largest number of each key."""
        return values_of(self.smallest), values_of(self.largest)

    def coarsened(self, shift: int) -> KeyTable:
        """Return the table with so many bits left out, at least as many as are."""
        if shift == self.shift or not len(self):
            return replace(self, shift=shift)
        starts = starts_of(self.keys(shift))
        table = KeyTable(
            self.most,
            shift,
            self.smallest[starts],
            np.maximum.reduceat(self.largest, starts),
            np.minimum.reduceat(self.least, starts),
            np.add.reduceat(self.totals, starts, axis=1),
        )
        carry(*table.sum_parts())
        return table

    def limited(self, most: int) -> KeyTable:
        """Return the table with as few bits left out as so many keys allow; fewer than may be now."""
        most = min(most, self.most)
        shift = least_shift(self.smallest, most, self.shift)
        return replace(self.coarsened(shift), most=most)

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the table as named arrays."""
        return {
            "rule": np.array([self.most, self.shift], dtype=np.int64),
            "smallest": self.smallest,
            "largest": self.largest,
            "least": self.least,
            "totals": self.totals,
        }

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> KeyTable:
        """Return the table of which these are the arrays."""
        most, shift = (int(number) for number in arrays["rule"])
        return cls(most, shift, *(arrays[name] for name in ("smallest", "largest", "least", "totals")))


@dataclass(frozen=True, slots=True, eq=False)
class KeyedRows:
    """Rows that are to be counted.

    Attributes
    ----------
    scores : ndarray of float64, shape (rows,)
        What they are ranked by; no NaN.
    probabilities : ndarray of float64, shape (rows,)
        A function of the score that never falls; the same array where it is the score.
    positive : ndarray of bool, shape (rows,)
    weights : ndarray of float64, shape (rows,), or None
    """

    scores: Floats
    probabilities: Floats
    positive: npt.NDArray[np.bool_]
    weights: Floats | None = None


def merged(one: KeyTable, other: KeyTable) -> KeyTable:
    """Return the table of the rows of both."""
    shift, most = max(one.shift, other.shift), min(one.most, other.most)
    table = _united(one.coarsened(shift), other.coarsened(shift))
    return replace(table, most=most).limited(most)


def starts_of(keys: Keys) -> npt.NDArray[np.intp]:
    """Return where a run of equal keys begins."""
    is_new = np.empty(len(keys), dtype=np.bool_)
    is_new[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)


def least_shift(ordered: Keys, most: int, shift: int) -> int:
    """Return how many bits must be left out of ascending integers for at most so many keys; at least ``shift``."""
    apart = ordered[1:] ^ ordered[:-1]
    low, high = shift, _BITS - 1
    if np.count_nonzero(apart >> np.uint64(low)) < most:
        return low
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(apart >> np.uint64(middle)) < most:
            high = middle
        else:
            low = middle + 1
    return high


def _of_class(rows: KeyedRows, is_positive: bool, most: int, shift: int) -> KeyTable:
    here = np.flatnonzero(rows.positive if is_positive else ~rows.positive)
    weighted = rows.weights is not None
    if not len(here):
        return replace(KeyTable.empty(most, weighted=weighted), shift=shift)
    if rows.weights is None:
        # Equal scores have equal probabilities: each can be sorted by itself.
        scores = np.sort(rows.scores[here])
        same = rows.probabilities is rows.scores
        probabilities = scores if same else np.sort(rows.probabilities[here])
        terms = [probabilities, probabilities * probabilities]
    else:
        # Stable, so that weights of equal scores are added in the order of the rows.
        here = here[np.argsort(rows.scores[here], kind="stable")]
        scores, probabilities, weights = rows.scores[here], rows.probabilities[here], rows.weights[here]
        terms = [weights, weights * probabilities, weights * probabilities * probabilities]
    keys = keys_of(scores)
    shift = least_shift(keys, most, shift)
    starts = starts_of(keys >> np.uint64(shift))
    ends = np.append(starts[1:], len(keys))
    totals = _totals(is_positive, ends - starts, [np.add.reduceat(term, starts) for term in terms])
    return KeyTable(most, shift, keys[starts], keys[ends - 1], probabilities[starts], totals)


def _totals(is_positive: bool, counts: npt.NDArray[np.intp], sums: list[Floats]) -> Counts:
    """Return the totals of rows of one class."""
    rows = WEIGHTED_SUMS if len(sums) > 2 else PLAIN_SUMS
    totals = np.zeros((2 + 2 * rows, len(counts)), dtype=np.int64)
    place = 0 if is_positive else 1
    totals[place] = counts
    # A sum for each class takes two rows; that of squares is for both.
    for number, values in enumerate(sums):
        row = rows - 1 if number == len(sums) - 1 else 2 * number + place
        totals[2 + row], totals[2 + rows + row] = fixed_rows(values)
    return totals


def _united(one: KeyTable, other: KeyTable) -> KeyTable:
    """Return the table of the rows of two tables of the same shift, whatever the number of keys."""
    if len(one) < len(other):
        one, other = other, one
    if not len(other):
        return one
    mine, theirs = one.keys(one.shift), other.keys(other.shift)
    places = np.searchsorted(mine, theirs)
    is_new = mine[np.minimum(places, len(mine) - 1)] != theirs
    before = np.cumsum(is_new)
    others: Any = places + before - is_new
    ours: Any = np.s_[:]
    if count := int(before[-1]):
        ours = np.arange(len(mine)) + np.searchsorted(theirs[is_new], mine)
    size = len(mine) + count
    smallest, largest = np.full(size, _TOP), np.zeros(size, dtype=np.uint64)
    least, totals = np.full(size, np.inf), np.zeros((len(one.totals), size), dtype=np.int64)
    smallest[ours], largest[ours], least[ours] = one.smallest, one.largest, one.least
    smallest[others] = np.minimum(smallest[others], other.smallest)
    largest[others] = np.maximum(largest[others], other.largest)
    least[others] = np.minimum(least[others], other.least)
    for total, our_part, their_part in zip(totals, one.totals, other.totals, strict=True):
        total[ours] = our_part
        total[others] += their_part
    table = KeyTable(one.most, one.shift, smallest, largest, least, totals)
    carry(*table.sum_parts())
    return table
