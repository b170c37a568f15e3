"""Rows of two models counted by pairs of keys: what the covariance of two areas under curves is made from.

The bits of both numbers take turns (the order of G. M. Morton, 1966), so that one order has equal pairs as neighbours
however many bits are left out. As in a table of one model, one bit fewer of both is kept whenever more pairs occur than
may be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import Counts, Floats
from pipeline.evaluation.keys import MOST_KEYS
from pipeline.kernels.order import Keys, keys_of

_BITS = 64
_HALF = np.uint64(32)
_LOW_HALF = np.uint64((1 << 32) - 1)
# What moves the bits of a number of 32 bits apart: by how much, and which bits are kept.
_SPREAD = tuple(
    (np.uint64(shift), np.uint64(mask))
    for shift, mask in (
        (16, 0x0000FFFF0000FFFF),
        (8, 0x00FF00FF00FF00FF),
        (4, 0x0F0F0F0F0F0F0F0F),
        (2, 0x3333333333333333),
        (1, 0x5555555555555555),
    )
)


@dataclass(slots=True, eq=False)
class JointTable:
    """Rows of two classes by pairs of keys, in the order in which the bits take turns.

    Attributes
    ----------
    most : int
        How many pairs there are at most.
    shift : int
        How many of the 64 bits of each number are left out.
    first, second : ndarray of uint64, shape (pairs,)
        The keys of both models.
    counts : ndarray of int64, shape (2, pairs)
        Rows of positives and of negatives.
    """

    most: int
    shift: int
    first: Keys
    second: Keys
    counts: Counts

    @classmethod
    def empty(cls, most: int = MOST_KEYS) -> JointTable:
        """Return a table without rows."""
        none = np.empty(0, dtype=np.uint64)
        return cls(most, 0, none, none, np.empty((2, 0), dtype=np.int64))

    @classmethod
    def of(
        cls, scores: Sequence[Floats], positive: npt.NDArray[np.bool_], most: int = MOST_KEYS, shift: int = 0
    ) -> JointTable:
        """Return the table of some rows, of which at least so many bits are left out."""
        first, second = (keys_of(each) >> np.uint64(shift) for each in scores)
        return _counted(cls(most, shift, first, second, np.stack([positive, ~positive]).astype(np.int64)))

    def limited(self, most: int) -> JointTable:
        """Return the table with as few bits left out as so many pairs allow; fewer than may be now."""
        return _counted(replace(self, most=min(most, self.most)))

    def to_arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return the table as named arrays."""
        rule = np.array([self.most, self.shift], dtype=np.int64)
        return {"rule": rule, "first": self.first, "second": self.second, "counts": self.counts}

    @classmethod
    def from_arrays(cls, arrays: dict[str, npt.NDArray[Any]]) -> JointTable:
        """Return the table of which these are the arrays.

        Raises
        ------
        ValueError
            They are not those of a table.
        """
        most, shift = (int(number) for number in arrays["rule"])
        table = cls(most, shift, *(arrays[name] for name in ("first", "second", "counts")))
        count = len(table.first)
        if not (table.second.shape == (count,) and table.counts.shape == (2, count) and 0 <= shift < _BITS):
            raise ValueError("arrays of a table of pairs do not fit each other")
        return table


def joined(one: JointTable, other: JointTable) -> JointTable:
    """Return the table of the rows of both."""
    shift = max(one.shift, other.shift)
    parts = [(each, np.uint64(shift - each.shift)) for each in (one, other)]
    together = JointTable(
        min(one.most, other.most),
        shift,
        np.concatenate([each.first >> more for each, more in parts]),
        np.concatenate([each.second >> more for each, more in parts]),
        np.concatenate([one.counts, other.counts], axis=1),
    )
    # Two runs in order: merging them is linear.
    return _counted(together, "stable")


def _counted(table: JointTable, kind: Literal["quicksort", "stable"] = "quicksort") -> JointTable:
    """Return a table with each pair once, and with as few bits left out as its pairs allow."""
    if not len(table.first):
        return table
    order, upper, lower = _ordered(table, kind)
    more = _least(upper, lower, table.most, _BITS - 1 - table.shift)
    starts = np.flatnonzero(np.concatenate([[True], _differ(upper, lower, more)]))
    here = order[starts]
    return JointTable(
        table.most,
        table.shift + more,
        table.first[here] >> np.uint64(more),
        table.second[here] >> np.uint64(more),
        np.stack([np.add.reduceat(counts[order], starts) for counts in table.counts]),
    )


def _least(upper: Keys | None, lower: Keys, most: int, high: int) -> int:
    """Return how many more bits must be left out for at most so many pairs."""
    low = 0
    if np.count_nonzero(_differ(upper, lower, low)) < most:
        return low
    while low < high:
        middle = (low + high) // 2
        if np.count_nonzero(_differ(upper, lower, middle)) < most:
            high = middle
        else:
            low = middle + 1
    return high


def _differ(upper: Keys | None, lower: Keys, more: int) -> npt.NDArray[np.bool_]:
    """Return which pairs differ from the one before when so many more bits of both numbers are left out.

    Parameters
    ----------
    upper, lower : ndarray of uint64
        What changes in the upper and in the lower halves of both, of which the bits take turns; the upper one is
        ``None`` where nothing does.
    more : int
    """
    half = int(_HALF)
    if more >= half:
        return np.zeros(len(lower), dtype=np.bool_) if upper is None else upper >= np.uint64(4 ** (more - half))
    differ = lower >= np.uint64(4**more)
    return differ if upper is None else differ | (upper > 0)


def _ordered(table: JointTable, kind: Literal["quicksort", "stable"]) -> tuple[npt.NDArray[np.intp], Keys | None, Keys]:
    """Return the order of pairs, and what changes from one to the next in their upper and lower halves."""
    if table.shift >= _BITS - int(_HALF):
        lower = _taken_in_turn(table.first, table.second)
        order = np.argsort(lower, kind=kind)
        return order, None, _changes(lower[order])
    upper = _taken_in_turn(table.first >> _HALF, table.second >> _HALF)
    lower = _taken_in_turn(table.first & _LOW_HALF, table.second & _LOW_HALF)
    order = np.lexsort((lower, upper))
    return order, _changes(upper[order]), _changes(lower[order])


def _changes(ordered: Keys) -> Keys:
    return ordered[1:] ^ ordered[:-1]


def _taken_in_turn(first: Keys, second: Keys) -> Keys:
    return (_spread(first) << np.uint64(1)) | _spread(second)


def _spread(values: Keys) -> Keys:
    """Return numbers of 32 bits with a zero before each bit."""
    spread = values.copy()
    for shift, mask in _SPREAD:
        spread |= spread << shift
        spread &= mask
    return spread
