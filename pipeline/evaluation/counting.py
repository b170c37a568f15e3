"""Rows into a table of keys, tile by tile.

Each row is added to the totals of its key in fixed point, so that neither the order of rows nor how they are cut into
tiles changes a bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.evaluation.exact import LOWER_BITS, UPPER_BITS, Floats, carry, fixed_rows
from pipeline.evaluation.finding import KeyFinder, Places, finder_of, starts_of
from pipeline.evaluation.keys import PLAIN_SUMS, KeyTable, least_shift, merged
from pipeline.kernels.order import Keys, keys_of, values_of

_FEW_PLACES = 1 << 10
_WORD = 8
# Squares of probabilities without weights: in one part, in units of 2**-42.
_SQUARE = 2.0**42
_SQUARE_UPPER = 42 - UPPER_BITS
_SQUARE_LOWER = LOWER_BITS - _SQUARE_UPPER
_SQUARE_MASK = np.int64((1 << _SQUARE_UPPER) - 1)
# Without weights a number of rows and the upper part of a sum of p, which is below 2**41, are added as one number.
_ROW_BITS = 41
_ROW = np.int64(1 << _ROW_BITS)
_ROW_MASK = np.int64((1 << _ROW_BITS) - 1)
_PLAIN_LOWER = np.s_[2 + PLAIN_SUMS : 4 + PLAIN_SUMS]
# Lower parts, packed numbers and squares, of so many rows add up to less than 2**63.
_UNSETTLED_ROWS = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class KeyedRows:
    """At most 2**19 rows that are to be counted.

    Attributes
    ----------
    scores : ndarray of float64, shape (rows,)
        What they are ranked by; no NaN.
    probabilities : ndarray of float64, shape (rows,)
        A function of the score that never falls; the same array where it is the score.
    positive : ndarray of bool, shape (rows,)
    weights : ndarray of float64, shape (rows,), or None
        From 0 up to and without 2**24.
    """

    scores: Floats
    probabilities: Floats
    positive: npt.NDArray[np.bool_]
    weights: Floats | None = None


class KeyCounter:
    """A table of keys that rows are added to. For one thread.

    While it grows, its keys are in the order in which they came, with a guide to them; it travels as its table.

    Parameters
    ----------
    table : KeyTable
        With which it begins.
    """

    def __init__(self, table: KeyTable) -> None:
        self._table: KeyTable | None = table
        self._is_score = False
        self._unsettled = 0

    def __reduce__(self) -> tuple[type[KeyCounter], tuple[KeyTable]]:
        return KeyCounter, (self.table(),)

    def _load(self, table: KeyTable) -> None:
        self._most, self._shift, self._count = table.most, table.shift, len(table)
        size = max(min(_FEW_PLACES, table.most), min(2 * self._count, table.most))
        smallest, largest = table.ends()
        self._smallest, self._largest = _grown(smallest, size, np.inf), _grown(largest, size, -np.inf)
        self._least, self._totals = _grown(table.least, size, np.inf), _grown(table.totals, size, 0)
        self._keys = _grown(table.keys(table.shift), size, 0)
        self._squares = np.zeros(size, dtype=np.int64)
        self._packed = np.zeros((2, size), dtype=np.int64)
        self._finder: KeyFinder = finder_of(self._keys[: self._count], self._shift)

    def table(self) -> KeyTable:
        """Return the table of all rows; the counter keeps nothing else then."""
        if self._table is None:
            self._table = self._ordered()
            self._load(KeyTable.empty())
        return self._table

    def take(self) -> KeyTable:
        """Return the table of all rows, and begin anew with the keys that there are, in which more rows may be.

        As many bits are left out from then on as now, or more: merged, such tables are what one table of all rows is.
        """
        if self._table is not None:
            table, self._table = self._table, self._table.emptied()
            return table
        table = self._ordered()
        for values, empty in ((self._smallest, np.inf), (self._largest, -np.inf), (self._least, np.inf)):
            values.fill(empty)
        self._totals.fill(0)
        return table

    def merge(self, other: KeyCounter) -> None:
        """Add other rows."""
        self._table = merged(self.table(), other.table())

    def limit(self, most: int) -> None:
        """Keep at most so many keys from now on."""
        self._table = self.table().limited(most)

    def add(self, rows: KeyedRows) -> None:
        """Add rows."""
        if self._table is not None:
            self._load(self._table)
            self._table = None
        if self._unsettled + len(rows.scores) > _UNSETTLED_ROWS:
            self._settle()
        self._unsettled += len(rows.scores)
        scores = rows.scores + 0.0  # minus zero is zero
        places = self._places(scores)
        self._is_score = rows.probabilities is rows.scores
        # One array after the other: each stays in the cache while all rows are added to it.
        # Few rows are outside of the others of their keys, and to look costs less than to write.
        outside = np.flatnonzero(self._smallest.take(places) > scores)
        np.minimum.at(self._smallest, places[outside], scores[outside])
        outside = np.flatnonzero(self._largest.take(places) < scores)
        np.maximum.at(self._largest, places[outside], scores[outside])
        if not self._is_score:
            np.minimum.at(self._least, places, rows.probabilities)
        of_class = places + ~rows.positive * np.intp(self._totals.shape[1])
        if rows.weights is None:
            self._add_plain(places, of_class, rows.probabilities)
        else:
            self._add_weighted(places, of_class, rows.probabilities, rows.weights)

    def _add_plain(self, places: Places, of_class: Places, probabilities: Floats) -> None:
        upper, lower = fixed_rows(probabilities)
        upper += _ROW
        np.add.at(self._packed.reshape(-1), of_class, upper)
        np.add.at(self._totals[_PLAIN_LOWER].reshape(-1), of_class, lower)
        squares = probabilities * probabilities
        squares *= _SQUARE
        np.rint(squares, out=squares)
        np.add.at(self._squares, places, squares.astype(np.int64))

    def _add_weighted(self, places: Places, of_class: Places, probabilities: Floats, weights: Floats) -> None:
        np.add.at(self._totals[:2].reshape(-1), of_class, np.int64(1))
        self._add_to(0, of_class, weights)
        weighted = weights * probabilities
        self._add_to(2, of_class, weighted)
        weighted *= probabilities
        self._add_to(4, places, weighted)

    def _add_to(self, row: int, places: Places, values: Floats) -> None:
        """Add numbers to a row of the sums, or to it and the next one: places run on."""
        half = 1 + len(self._totals) // 2
        for first, part in zip((2 + row, half + row), fixed_rows(values), strict=True):
            np.add.at(self._totals[first : first + 2].reshape(-1), places, part)

    def _settle(self) -> None:
        """Carry what the lower parts have too much."""
        self._unsettled = 0
        used = np.s_[: self._count]
        half = 1 + len(self._totals) // 2
        upper, lower = self._totals[2:half, used], self._totals[half:, used]
        if len(upper) == PLAIN_SUMS:
            packed, squares = self._packed[:, used], self._squares[used]
            self._totals[:2, used] += packed >> _ROW_BITS
            upper[:2] += packed & _ROW_MASK
            packed[:] = 0
            upper[-1] += squares >> _SQUARE_UPPER
            lower[-1] += (squares & _SQUARE_MASK) << _SQUARE_LOWER
            squares[:] = 0
        carry(upper, lower)

    def _places(self, scores: Floats) -> Places:
        """Return the places of rows, after room was made for keys that are new."""
        places = self._finder.look_up(scores)
        missing = np.flatnonzero(places < 0)
        if not len(missing):
            return places
        ordered = np.sort(keys_of(scores[missing]))
        if self._count + len(starts_of(ordered >> np.uint64(self._shift))) > self._most:
            # Keys become shorter, and those without rows are left: all rows need their places.
            if len(missing) < len(scores):
                missing, ordered = np.arange(len(scores)), np.sort(keys_of(scores))
            self._make_room(ordered)
        self._take_in(ordered)
        places[missing] = self._finder.look_up(scores[missing])
        return places

    def _make_room(self, ordered: Keys) -> None:
        """Leave out as many bits as it takes to add rows, given by all bits in order."""
        table = self._ordered()
        starts = starts_of(ordered >> np.uint64(self._shift))
        shift = least_shift(np.sort(np.concatenate([table.smallest, ordered[starts]])), self._most, self._shift)
        self._load(table.coarsened(shift))

    def _take_in(self, ordered: Keys) -> None:
        """Add the keys of rows, given by all bits in order."""
        starts = starts_of(ordered >> np.uint64(self._shift))
        keys = ordered[starts]
        rows = values_of(keys)
        if self._count:
            is_new = self._finder.look_up(rows) < 0
            keys, rows = keys[is_new], rows[is_new]
        first, self._count = self._count, self._count + len(rows)
        if self._count > len(self._smallest):
            # Half full at most, or as large as it may become: growing takes longer than keeping room.
            self._grow(min(max(2 * self._count, _FEW_PLACES), self._most))
        self._smallest[first : self._count] = rows
        self._largest[first : self._count] = rows
        self._keys[first : self._count] = keys >> np.uint64(self._shift)
        if not first or not self._finder.enter(self._keys[first : self._count], first):
            self._finder = finder_of(self._keys[: self._count], self._shift)

    def _grow(self, size: int) -> None:
        self._smallest, self._largest = _grown(self._smallest, size, np.inf), _grown(self._largest, size, -np.inf)
        self._least, self._totals = _grown(self._least, size, np.inf), _grown(self._totals, size, 0)
        self._keys = _grown(self._keys, size, 0)
        self._squares, self._packed = _grown(self._squares, size, 0), _grown(self._packed, size, 0)

    def _ordered(self) -> KeyTable:
        """Return the table of the keys that have rows."""
        self._settle()
        used = np.flatnonzero(self._totals[0, : self._count] + self._totals[1, : self._count])
        used = used[np.argsort(self._smallest[used])]
        least = self._smallest if self._is_score else self._least
        totals = np.stack([row[used] for row in self._totals])
        ends = keys_of(self._smallest[used]), keys_of(self._largest[used])
        return KeyTable(self._most, self._shift, *ends, least[used], totals)


def _grown(values: Any, size: int, empty: float) -> Any:
    """Return an array whose last axis is longer."""
    grown = np.full((*values.shape[:-1], size), empty, dtype=values.dtype)
    grown[..., : values.shape[-1]] = values
    return grown


def tile_bytes(rows: int) -> int:
    """Return the bytes that adding a tile of so many rows takes besides the tile and the counter."""
    # Scores, places, places by class, two parts of a sum and what they are made from.
    return _WORD * 6 * rows
