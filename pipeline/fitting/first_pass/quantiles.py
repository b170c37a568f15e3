"""Histograms of numbers by key: medians and edges of intervals, within 0.4 % of any value, whatever its scale.

A key is the leading bits of a float64, written so that keys are in the order of the values. A histogram begins with all
64 bits, so that columns of few values are exact, and leaves out one bit more whenever it has too many keys. Which bits
are left out in the end depends on all the values together, not on how they came. At least 7 bits of the fraction stay:
then the middle of a key is within 0.4 % of every value in it.
"""

from __future__ import annotations

from dataclasses import field

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import Codes, Floats
from pipeline.kernels.order import Keys, keys_of, value_of

MOST_KEYS = 16_384
# Of a fraction of 52 bits 7 stay.
MOST_SHIFT = 45
_SIGN = np.uint64(1 << 63)
# Rows that are counted together, in a table of at most so many cells.
FEW_TOGETHER, MANY_TOGETHER = 16_384, 131_072
_MOST_CELLS = 1 << 18


@dataclass(frozen=True, slots=True)
class HalfWay:
    """Where the median is: between two numbers; how much weight is below the first, and how much there is in all."""

    low: float
    high: float
    below: float
    total: float


@dataclass(slots=True, eq=False)
class KeyCounts:
    """How often numbers occur, by key and class.

    Attributes
    ----------
    shift : int
        How many bits are left out.
    most : int
        How many keys there are at most, unless more bits would be left out than may be.
    together : int
        How many rows are counted together.
    keys : ndarray of uint64, shape (pairs,)
        Ascending; a key is there once for each class.
    classes : ndarray of intp, shape (pairs,)
    rows : ndarray of int64, shape (pairs,)
    weights : ndarray of float64, shape (pairs,)
    """

    shift: int = 0
    most: int = MOST_KEYS
    together: int = MANY_TOGETHER
    keys: Keys = field(default_factory=lambda: np.empty(0, dtype=np.uint64))
    classes: Codes = field(default_factory=lambda: np.empty(0, dtype=np.intp))
    rows: npt.NDArray[np.int64] = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    weights: Floats = field(default_factory=lambda: np.empty(0))
    _pending: list[tuple[Floats, Codes, Floats | None]] = field(default_factory=list)
    _waiting: int = 0

    def add(self, values: Floats, classes: Codes, weights: Floats | None) -> None:
        """Add rows; those with NaN have no value and are left out. The arrays must not change."""
        missing = np.isnan(values)
        if missing.any():
            here = ~missing
            values, classes = values[here], classes[here]
            weights = None if weights is None else weights[here]
        self._pending.append((values, classes, weights))
        self._waiting += len(values)
        if self._waiting >= self.together:
            self.settle()

    def settle(self) -> None:
        """Count the rows that wait."""
        if not self._waiting:
            self._pending = []
            return
        values = np.concatenate([each[0] for each in self._pending])
        classes = np.concatenate([each[1] for each in self._pending])
        given = [each[2] for each in self._pending if each[2] is not None]
        weights = np.concatenate(given) if given else None
        self._pending, self._waiting = [], 0
        keys = keys_of(values) >> np.uint64(self.shift)
        counted = _counted(keys, classes, weights, self.shift)
        if counted is None:
            rows = np.ones(len(keys), dtype=np.int64)
            counted = keys, classes, rows, rows.astype(np.float64) if weights is None else weights
        self._take_in(*counted)

    def join(self, other: KeyCounts, classes: Codes) -> None:
        """Add counts of rows that come after these; ``classes`` are the numbers here of the classes there."""
        self.settle()
        other.settle()
        shift = max(self.shift, other.shift)
        self.keys >>= np.uint64(shift - self.shift)
        self.shift = shift
        theirs = classes[other.classes] if classes.size else other.classes
        self._take_in(other.keys >> np.uint64(shift - other.shift), theirs, other.rows, other.weights)

    def total(self) -> float:
        """Return the weight of all rows."""
        return float(self.weights.sum())

    def half_way(self, within: HalfWay | None = None) -> HalfWay:
        """Return the ends of the keys that have the weighted median: of one, or of two where it is between them.

        ``within`` is what an earlier histogram found, where this one has the numbers in that range alone.
        """
        self.settle()
        keys, weights = self._by_key()
        before = 0.0 if within is None else within.below
        reached = before + np.cumsum(weights)
        total = float(reached[-1]) if within is None else within.total
        first, last = (
            min(int(np.searchsorted(reached, total / 2, side=side)), len(keys) - 1) for side in ("left", "right")
        )
        below = before if first == 0 else float(reached[first - 1])
        return HalfWay(self._low(int(keys[first])), self._high(int(keys[last])), below, total)

    def median(self, within: HalfWay | None = None) -> float:
        """Return the middle of the key of the weighted median; the median itself where no bits are left out.

        Of an even number of rows it is the mean of the middle two.
        """
        found = self.half_way(within)
        ends = (keys_of(np.array([end]))[0] >> np.uint64(self.shift) for end in (found.low, found.high))
        first, last = (self._middle(int(key)) for key in ends)
        return first / 2 + last / 2

    def edges(self, bins: int) -> tuple[float, ...]:
        """Return inner edges of intervals of about equal weight, at most one fewer than asked for.

        An edge is the smallest number of a key, and there are rows on both sides of it.
        """
        self.settle()
        keys, weights = self._by_key()
        reached = np.cumsum(weights)
        wanted = reached[-1] * np.arange(1, bins) / bins if len(keys) else np.empty(0)
        after = np.searchsorted(reached, wanted, side="left")
        # The end of the key that has the wanted rank, or its beginning where that is nearer.
        before = np.where(after > 0, reached[after - 1], 0.0)
        places = np.where(wanted - before < reached[after] - wanted, after, after + 1)
        lows = (self._low(int(keys[place])) for place in np.unique(places) if 0 < place < len(keys))
        return tuple(low for low in lows if np.isfinite(low))

    def between(self, edges: tuple[float, ...], classes: int) -> Floats:
        """Return the weight by interval and class, shape (edges + 1, classes), for edges as :meth:`edges` has them."""
        self.settle()
        cuts = keys_of(np.array(edges)) >> np.uint64(self.shift)
        places = np.searchsorted(cuts, self.keys, side="right")
        shape = len(edges) + 1, classes
        table: Floats = np.zeros(shape)
        table += np.bincount(places * classes + self.classes, self.weights, table.size).reshape(shape)
        return table

    def _take_in(self, keys: Keys, classes: Codes, rows: npt.NDArray[np.int64], weights: Floats) -> None:
        """Add pairs with keys of the same shift, then leave out bits until few enough keys are left."""
        self._group(
            np.concatenate([self.keys, keys]),
            np.concatenate([self.classes, classes]),
            np.concatenate([self.rows, rows]),
            np.concatenate([self.weights, weights]),
        )
        more = self._bits_to_leave_out()
        if more:
            self.shift += more
            self._group(self.keys >> np.uint64(more), self.classes, self.rows, self.weights)

    def _group(self, keys: Keys, classes: Codes, rows: npt.NDArray[np.int64], weights: Floats) -> None:
        bits = int(classes.max(initial=0)).bit_length()
        if self.shift >= bits:
            # One sort of two parts that are in order is linear.
            order = np.argsort((keys << np.uint64(bits)) | classes.astype(np.uint64), kind="stable")
        else:
            order = np.lexsort((classes, keys))
        keys, classes = keys[order], classes[order]
        is_new = np.ones(len(keys), dtype=np.bool_)
        is_new[1:] = (keys[1:] != keys[:-1]) | (classes[1:] != classes[:-1])
        starts = np.flatnonzero(is_new)
        self.keys, self.classes = keys[starts], classes[starts]
        self.rows = np.add.reduceat(rows[order], starts) if len(starts) else rows
        self.weights = np.add.reduceat(weights[order], starts) if len(starts) else weights

    def _bits_to_leave_out(self) -> int:
        low, high = 0, MOST_SHIFT - self.shift
        if self._distinct(0) <= self.most:
            return 0
        while low < high:
            middle = (low + high) // 2
            if self._distinct(middle) <= self.most:
                high = middle
            else:
                low = middle + 1
        return high

    def _distinct(self, more: int) -> int:
        keys = self.keys >> np.uint64(more)
        return int(np.count_nonzero(keys[1:] != keys[:-1])) + bool(len(keys))

    def _by_key(self) -> tuple[Keys, Floats]:
        keys, starts = np.unique(self.keys, return_index=True)
        return keys, np.add.reduceat(self.weights, starts) if len(starts) else self.weights

    def _low(self, key: int) -> float:
        return value_of(key << self.shift)

    def _high(self, key: int) -> float:
        return value_of(((key + 1) << self.shift) - 1)

    def _middle(self, key: int) -> float:
        if not self.shift:
            return self._low(key)
        return self._low(key) / 2 + self._high(key) / 2


def _counted(
    keys: Keys, classes: Codes, weights: Floats | None, shift: int
) -> tuple[Keys, Codes, npt.NDArray[np.int64], Floats] | None:
    """Return each pair of key and class once, with its rows and weight; ``None`` where a table would be too large.

    The table has the keys of negative numbers, that of zero, and those of positive numbers. What is between them, the
    keys of numbers smaller than any that occurs, is left out: it would be most of the table.
    """
    zero = np.uint64(int(_SIGN) >> shift)
    is_positive, is_negative = keys > zero, keys < zero
    first = np.min(keys, where=is_positive, initial=np.iinfo(np.uint64).max)
    last = np.max(keys, where=is_negative, initial=0)
    lowest, highest = keys.min(), keys.max()
    negatives = int(last - lowest) + 1 if lowest < zero else 0
    positives = int(highest - first) + 1 if highest > zero else 0
    wide = int(classes.max(initial=0)) + 1
    cells = (negatives + 1 + positives) * wide
    if cells > _MOST_CELLS:
        return None
    above = np.uint64(negatives + 1)
    numbers = np.where(is_positive, keys - first + above, np.where(is_negative, keys - lowest, np.uint64(negatives)))
    places = numbers.astype(np.intp) * wide + classes
    rows = np.bincount(places, minlength=cells)
    found = np.flatnonzero(rows)
    weight = rows if weights is None else np.bincount(places, weights, cells)
    number = (found // wide).astype(np.uint64)
    back = np.where(number > negatives, number - above + first, np.where(number < negatives, number + lowest, zero))
    return back, found % wide, rows[found], weight[found].astype(np.float64)
