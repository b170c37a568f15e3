"""Rows into a table of keys: they are put in order, and neighbours of one key add up.

Each row is added to the totals of its key in fixed point, so that neither the order of rows nor how they are cut into
tiles changes a bit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.evaluation.exact import BLOCK_ROWS, LOWER_BITS, UPPER_BITS, Counts, Floats, carry, fixed_rows
from pipeline.evaluation.keys import WEIGHTED_SUMS, KeyTable, Places, least_shift, merged, starts_of, united
from pipeline.kernels.order import Keys, keys_of, values_of

Mask = npt.NDArray[np.bool_]

# Tables of fewer keys are merged as a whole: adding to places of a larger one does not pay.
_FEW_KEYS = 1 << 14
# Keys that a table lacks wait until they are this part of it.
_PART_WAITING = 8
# Tables while one is added to another, in units of one: both, and what they become.
MERGED_TABLES = 3
_WORD = 8
# Squares of probabilities without weights are in one part: in units of 2**-42, and of 2**-62 where the probability is
# below 2**-10. Either way the squares of 2**20 rows add up to less than 2**63.
_SMALL_PROBABILITY = 2.0**-10
_SQUARE_BITS, _SMALL_SQUARE_BITS = 42, 62
# Lower parts of so many rows, or tables, add up to less than 2**63.
_UNSETTLED = 1 << 20
# Without weights a number of rows and the upper part of a sum of p, which is below 2**41, are added as one number.
_ROW_BITS = 41
_ROW = np.int64(1 << _ROW_BITS)
_ROW_MASK = np.int64((1 << _ROW_BITS) - 1)
_SIGN = np.uint64(1 << 63)
_ONE = np.uint64(1)


@dataclass(frozen=True, slots=True, eq=False)
class KeyedRows:
    """At most 2**20 rows that are to be counted.

    Attributes
    ----------
    scores : ndarray of float64, shape (rows,)
        What they are ranked by; no NaN.
    probabilities : ndarray of float64, shape (rows,)
        A function of the score that never falls; the same array where it is the score.
    positive : ndarray of bool, shape (rows,)
    weights : ndarray of float64, shape (rows,), or None
        From 0 up to and without 2**23.
    """

    scores: Floats
    probabilities: Floats
    positive: Mask
    weights: Floats | None = None


def table_of(rows: KeyedRows, most: int, shift: int = 0) -> KeyTable:
    """Return the table of rows, with at most so many keys, of which at least so many bits are left out."""
    ordered = _Ordered.of(rows)
    keys = ordered.keys
    shift = least_shift(keys, most, shift)
    starts = starts_of(keys >> np.uint64(shift))
    table = KeyTable.blank(most, shift, len(starts), weighted=rows.weights is not None)
    table.smallest[:] = keys[starts]
    table.largest[:-1], table.largest[-1:] = keys[starts[1:] - 1], keys[-1:]
    for of_keys, of_rows in _blocks(starts, len(keys)):
        ordered.add_up(of_rows, starts[of_keys] - of_rows.start, table, of_keys)
    carry(*table.sum_parts())
    return table


def _blocks(starts: Places, rows: int) -> Iterator[tuple[slice, slice]]:
    """Yield neighbouring keys and their rows: what stays in the cache, or one key of more rows."""
    ends = np.append(starts[1:], rows)
    first = 0
    while first < len(starts):
        last = int(np.searchsorted(ends, starts[first] + BLOCK_ROWS, side="right"))
        last = max(last, first + 1)
        yield slice(first, last), slice(int(starts[first]), int(ends[last - 1]))
        first = last


@dataclass(frozen=True, slots=True, eq=False)
class _Ordered:
    """Rows in ascending order.

    Attributes
    ----------
    keys : ndarray of uint64
        All 64 bits.
    order : ndarray of intp, or None
        Which row is at each place; ``None`` where the keys are the probabilities, and the classes are at hand.
    positive : ndarray of bool
        In the order of the keys where ``order`` is ``None``, else in that of the rows.
    rows : KeyedRows
    """

    keys: Keys
    order: Places | None
    positive: Mask
    rows: KeyedRows

    @classmethod
    def of(cls, rows: KeyedRows) -> _Ordered:
        """Put rows in order."""
        keys = np.empty(len(rows.scores), dtype=np.uint64)
        for start in range(0, len(keys), BLOCK_ROWS):
            keys[start : start + BLOCK_ROWS] = keys_of(rows.scores[start : start + BLOCK_ROWS])
        if rows.weights is None and rows.probabilities is rows.scores and (keys >= _SIGN).all():
            # No number is negative: the place of the sign has room for the class, and sorting alone is fast.
            keys <<= _ONE
            keys |= rows.positive
            keys.sort()
            positive = (keys & _ONE).astype(np.bool_)
            keys >>= _ONE
            keys |= _SIGN
            return cls(keys, None, positive, rows)
        order = np.argsort(keys)
        return cls(keys[order], order, rows.positive, rows)

    def add_up(self, of_rows: slice, starts: Places, table: KeyTable, of_keys: slice) -> None:
        """Add up some rows into the table; ``starts`` are those of their keys among them."""
        here: slice | Places = of_rows
        if self.order is None:
            probabilities, positive = values_of(self.keys[of_rows]), self.positive[of_rows]
            table.least[of_keys] = probabilities[starts]
        else:
            here = self.order[of_rows]
            probabilities, positive = self.rows.probabilities[here], self.positive[here]
            # Of zeros of both signs no order tells which is the smallest: minus zero becomes zero.
            table.least[of_keys] = np.minimum.reduceat(probabilities, starts) + 0.0
        totals = table.totals[:, of_keys]
        if self.rows.weights is None:
            _add_up_plain(probabilities, positive, starts, totals)
        else:
            _add_up_weighted(probabilities, positive, self.rows.weights[here], starts, totals)


def _add_up_plain(probabilities: Floats, positive: Mask, starts: Places, totals: Counts) -> None:
    totals[4], totals[7] = _squares(probabilities, starts)
    upper, lower = fixed_rows(probabilities)
    upper += _ROW
    packed = _by_class(upper, positive, starts)
    totals[:2] = packed >> _ROW_BITS
    totals[2:4] = packed & _ROW_MASK
    totals[5:7] = _by_class(lower, positive, starts)


def _squares(probabilities: Floats, starts: Places) -> tuple[Counts, Counts]:
    """Return the sums of squares by key, in two parts: how each is rounded depends on the row alone."""
    small = probabilities < _SMALL_PROBABILITY
    if small.all():
        return _squares_in(_SMALL_SQUARE_BITS, probabilities, starts)
    if not small.any():
        return _squares_in(_SQUARE_BITS, probabilities, starts)
    of_small = _squares_in(_SMALL_SQUARE_BITS, probabilities * small, starts)
    of_others = _squares_in(_SQUARE_BITS, probabilities * ~small, starts)
    return of_small[0] + of_others[0], of_small[1] + of_others[1]


def _squares_in(bits: int, probabilities: Floats, starts: Places) -> tuple[Counts, Counts]:
    """Return the sums of squares by key, each rounded to so many bits behind the point, in two parts."""
    squares = probabilities * probabilities
    squares *= 2.0**bits
    sums = np.add.reduceat(np.rint(squares, out=squares).astype(np.int64), starts)
    below = bits - UPPER_BITS
    return sums >> below, (sums & ((1 << below) - 1)) << (LOWER_BITS - below)


def _add_up_weighted(probabilities: Floats, positive: Mask, weights: Floats, starts: Places, totals: Counts) -> None:
    totals[:2] = _by_class(np.ones(len(positive), dtype=np.int64), positive, starts)
    for sum_ in (0, 2, 4):
        for first, part in zip((2, 2 + WEIGHTED_SUMS), fixed_rows(weights), strict=True):
            row = first + sum_
            if sum_ < 4:
                totals[row : row + 2] = _by_class(part, positive, starts)
            else:
                totals[row] = np.add.reduceat(part, starts)
        weights *= probabilities


def _by_class(values: Counts, positive: Mask, starts: Places) -> Counts:
    """Return the sums of positives and of negatives by key, shape (2, keys). Changes the values."""
    total = np.add.reduceat(values, starts)
    values *= positive
    positives = np.add.reduceat(values, starts)
    return np.stack([positives, total - positives])


class KeyCounter:
    """A table of keys that rows and other tables are added to. For one thread; it travels as its table.

    Parameters
    ----------
    table : KeyTable
        With which it begins.
    """

    def __init__(self, table: KeyTable) -> None:
        self._table = table
        # The same arrays with room for keys that it lacks, while others are added to it; and these keys.
        self._cells: KeyTable | None = None
        self._waiting = table.emptied()
        self._unsettled = 0

    def __reduce__(self) -> tuple[type[KeyCounter], tuple[KeyTable]]:
        return KeyCounter, (self.table(),)

    def table(self) -> KeyTable:
        """Return the table of all rows."""
        self._settle()
        return self._table

    def merge(self, other: KeyCounter) -> None:
        """Add other rows."""
        self._add(other.table())

    def limit(self, most: int) -> None:
        """Keep at most so many keys from now on."""
        self._settle()
        self._replace(self._table.limited(most))

    def add(self, rows: KeyedRows) -> None:
        """Add rows."""
        self._add(table_of(rows, self._table.most, self._table.shift))

    def _add(self, table: KeyTable) -> None:
        shift, most = max(table.shift, self._table.shift), min(table.most, self._table.most)
        if (shift, most) != (self._table.shift, self._table.most) or len(self._table) < _FEW_KEYS:
            self._settle()
            self._replace(merged(self._table, table))
        elif len(table):
            self._add_at_places(table)

    def _add_at_places(self, table: KeyTable) -> None:
        """Add a table to the keys that there are; keys that are not there wait."""
        if self._cells is None:
            self._cells = self._table.with_room()
            self._table = self._cells.of(np.s_[:-1])
        # Each key once, so that no more than one lower part of the table is added to a key.
        table = table.coarsened(self._table.shift)
        keys, nowhere = table.keys(table.shift), len(self._table)
        known = self._cells.keys(table.shift)
        places = np.searchsorted(known[:nowhere], keys)
        is_new = (places == nowhere) | (known[places] != keys)
        places[is_new] = nowhere
        self._cells.add_at(places, table)
        if is_new.any():
            self._waiting = united(self._waiting, table.of(is_new))
        self._unsettled += 1
        room = min(len(self._table) // _PART_WAITING, self._table.most - len(self._table))
        if len(self._waiting) > room or self._unsettled > _UNSETTLED:
            self._settle()

    def _settle(self) -> None:
        """Take in the keys that wait, and carry what lower parts have too much."""
        if self._cells is None:
            return
        self._cells, self._unsettled = None, 0
        carry(*self._table.sum_parts())
        if len(self._waiting):
            self._replace(merged(self._table, self._waiting))

    def _replace(self, table: KeyTable) -> None:
        self._table, self._waiting = table, table.emptied()


def tile_bytes(rows: int) -> int:
    """Return the bytes that adding a tile of so many rows takes besides the tile and the tables."""
    # Keys, their order, two parts of a sum and what they are made from.
    return _WORD * 6 * rows
