"""Rows counted by key: the leading bits of what they are ranked by, so that ranks are known with a stated error.

A key is the leading bits of a float64 that is written as an integer of the same order. One bit fewer is kept whenever
more keys occur than may be. How many bits that leaves depends on the rows together, not on their order or on how they
were divided: rows that are a part of others never have more keys. Counts are exact, and so are sums of what each row
was rounded to.

A key whose smallest and largest number agree has no width: its rows are equal. Rows of one key that differ are what the
bounds of measures come from. Where many rows are close to each other beside a wide range of others, these use up the
keys, and the bounds are large. To keep more bits where more rows are would make tables depend on how rows were divided,
because a part of them cannot know where the others are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import Counts, Floats, carry, floats_of
from pipeline.kernels.order import Keys, values_of

Places = npt.NDArray[np.intp]

MOST_KEYS = 1 << 18
_BITS = 64
_TOP = np.uint64(2**64 - 1)
# Rows of ``sums``: p of positives, p of negatives, p squared. With weights they are weighted, and before them come the
# weights of positives and of negatives.
PLAIN_SUMS, WEIGHTED_SUMS = 3, 5
# Of a key: its ends and smallest probability, counts of both classes, sums in two parts.
KEY_BYTES, WEIGHTED_KEY_BYTES = (8 * (5 + 2 * sums) for sums in (PLAIN_SUMS, WEIGHTED_SUMS))


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
    def blank(cls, most: int, shift: int, size: int, *, weighted: bool) -> KeyTable:
        """Return a table whose arrays are to be filled."""
        rows = 2 + 2 * (WEIGHTED_SUMS if weighted else PLAIN_SUMS)
        smallest, largest = np.empty(size, dtype=np.uint64), np.empty(size, dtype=np.uint64)
        return cls(most, shift, smallest, largest, np.empty(size), np.empty((rows, size), dtype=np.int64))

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
        is_wide: npt.NDArray[np.bool_] = self.smallest != self.largest
        return is_wide

    def ends(self) -> tuple[Floats, Floats]:
        """Return the smallest and the largest number of each key."""
        return values_of(self.smallest), values_of(self.largest)

    def coarsened(self, shift: int) -> KeyTable:
        """Return the table with so many bits left out, at least as many as are."""
        if shift == self.shift or not len(self):
            return replace(self, shift=shift)
        starts = starts_of(self.keys(shift))
        table = replace(
            self,
            shift=shift,
            smallest=self.smallest[starts],
            largest=self.largest[np.append(starts[1:], len(self)) - 1],
            least=np.minimum.reduceat(self.least, starts),
            totals=np.add.reduceat(self.totals, starts, axis=1),
        )
        carry(*table.sum_parts())
        return table

    def of(self, places: Places | npt.NDArray[np.bool_] | slice) -> KeyTable:
        """Return the table of some of the keys; with a slice its arrays are views."""
        ends = self.smallest[places], self.largest[places]
        return KeyTable(self.most, self.shift, *ends, self.least[places], self.totals[:, places])

    def spread(self, size: int, places: Places | slice) -> KeyTable:
        """Return a table of so many keys, of which these are at some places and the others have no rows."""
        smallest, largest = np.full(size, _TOP), np.zeros(size, dtype=np.uint64)
        least, totals = np.full(size, np.inf), np.zeros((len(self.totals), size), dtype=np.int64)
        smallest[places], largest[places], least[places] = self.smallest, self.largest, self.least
        totals[:, places] = self.totals
        return KeyTable(self.most, self.shift, smallest, largest, least, totals)

    def with_room(self) -> KeyTable:
        """Return a copy with a key more, the last of all, which has no rows."""
        return self.spread(len(self) + 1, np.s_[:-1])

    def add_at(self, places: Places, other: KeyTable) -> None:
        """Add the rows of another table, whose keys are at these places, in place; lower parts are not carried."""
        np.minimum.at(self.smallest, places, other.smallest)
        np.maximum.at(self.largest, places, other.largest)
        np.minimum.at(self.least, places, other.least)
        for total, row in zip(self.totals, other.totals, strict=True):
            np.add.at(total, places, row)

    def emptied(self) -> KeyTable:
        """Return the table without its rows, which leaves out as many bits."""
        # Copies: views would keep the arrays of all keys in memory.
        return self.of(np.empty(0, dtype=np.intp))

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
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]], *, weighted: bool = False) -> KeyTable:
        """Return the table of which these are the arrays.

        Raises
        ------
        ValueError
            They are not those of a table.
        """
        most, shift = (int(number) for number in arrays["rule"])
        table = cls(most, shift, *(arrays[name] for name in ("smallest", "largest", "least", "totals")))
        rows = 2 + 2 * (WEIGHTED_SUMS if weighted else PLAIN_SUMS)
        shapes = [each.shape for each in (table.smallest, table.largest, table.least, table.totals)]
        if not (shapes == [(len(table),)] * 3 + [(rows, len(table))] and 0 <= shift < _BITS and len(table) <= most):
            raise ValueError("arrays of a table of keys do not fit each other")
        keys = table.keys(shift)
        if (keys[1:] <= keys[:-1]).any() or (table.largest < table.smallest).any() or (table.totals[:2] < 0).any():
            raise ValueError("a table of keys is not in order")
        return table


def merged(one: KeyTable, other: KeyTable) -> KeyTable:
    """Return the table of the rows of both."""
    shift, most = max(one.shift, other.shift), min(one.most, other.most)
    table = united(one.coarsened(shift), other.coarsened(shift))
    return replace(table, most=most).limited(most)


def least_shift(ordered: Keys, most: int, shift: int) -> int:
    """Return how many bits must be left out of ascending integers for at most so many keys; at least ``shift``."""
    apart = ordered[1:] ^ ordered[:-1]
    low, high = shift, _BITS - 1
    if np.count_nonzero(apart >= np.uint64(1 << low)) < most:
        return low
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(apart >= np.uint64(1 << middle)) < most:
            high = middle
        else:
            low = middle + 1
    return high


def united(one: KeyTable, other: KeyTable) -> KeyTable:
    """Return the table of the rows of two tables of the same shift, whatever the number of keys."""
    if not (len(one) and len(other)):
        return one if len(one) else other
    keys = np.concatenate([one.keys(one.shift), other.keys(other.shift)])
    # Two runs in order: merging them is linear.
    order = np.argsort(keys, kind="stable")
    starts = starts_of(keys[order])
    places = np.empty(len(keys), dtype=np.intp)
    places[order] = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(keys)))
    table = one.spread(len(starts), places[: len(one)])
    table.add_at(places[len(one) :], other)
    carry(*table.sum_parts())
    return table


def starts_of(keys: Keys) -> Places:
    """Return where a run of equal keys begins."""
    is_new = np.empty(len(keys), dtype=np.bool_)
    is_new[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=is_new[1:])
    return np.flatnonzero(is_new)
