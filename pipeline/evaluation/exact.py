"""Sums without rounding: what is added in another order, or in parts that are merged, has the same bits."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]

# What belongs to so many rows stays in the cache.
BLOCK_ROWS = 1 << 15
# Every float64 is a whole number of these: the smallest subnormal one.
_UNIT_BITS = 1074
# Of a float64 at most 1024 bits are before the point; 64 more for as many terms.
_BYTES = (_UNIT_BITS + 1024 + 64) // 8 + 1
# The units of a fixed-point number: of its upper part, and how many bits its lower part has.
UPPER_BITS, LOWER_BITS = 20, 42
_LOWER_MASK = np.int64((1 << LOWER_BITS) - 1)
# What a row can count at least: smaller weights are rounded to a multiple of it.
SMALLEST_WEIGHT = 2.0 ** -(UPPER_BITS + LOWER_BITS)
# The same for numbers of which a block adds up to less than 2**53 in both parts.
_SMALL = 2.0**10
_SMALL_UPPER_BITS, _SMALL_LOWER_BITS = 28, 34
# Of 2**20 numbers below it the upper parts add up to an int64.
MOST_FIXED = 2.0**23


@dataclass(slots=True)
class ExactSum:
    """A sum of float64 numbers that is rounded once, when it is asked for.

    Attributes
    ----------
    units : int
        The sum of the finite terms in units of 2**-1074.
    positive, negative, undefined : int
        How many terms are infinite, and how many are NaN.
    """

    units: int = 0
    positive: int = 0
    negative: int = 0
    undefined: int = 0

    def add(self, value: float) -> None:
        """Add one number."""
        if math.isfinite(value):
            numerator, denominator = value.as_integer_ratio()
            self.units += numerator * ((1 << _UNIT_BITS) // denominator)
        else:
            self.positive += value == math.inf
            self.negative += value == -math.inf
            self.undefined += math.isnan(value)

    def add_rows(self, values: Floats) -> None:
        """Add numbers, not negative; those below 2**23 are rounded to 2**-62."""
        largest = values.max(initial=0.0)
        if not largest < MOST_FIXED:  # NaN among them
            is_large = ~(values < MOST_FIXED)
            for value in values[is_large].tolist():
                self.add(value)
            values = values[~is_large]
        is_small = bool(largest < _SMALL)
        cut_at = (_SMALL_UPPER_BITS if is_small else UPPER_BITS), (_SMALL_LOWER_BITS if is_small else LOWER_BITS)
        for start in range(0, len(values), BLOCK_ROWS):
            upper, lower = _cut(values[start : start + BLOCK_ROWS], *cut_at)
            # Of small numbers the parts add up to less than 2**53: a sum of floats is exact.
            whole, rest = (part.sum() if is_small else part.astype(np.int64).sum() for part in (upper, lower))
            self.units += int(whole) << (_UNIT_BITS - cut_at[0])
            self.units += int(rest) << (_UNIT_BITS - sum(cut_at))

    def merge(self, other: ExactSum) -> None:
        """Add the terms of another sum."""
        self.units += other.units
        self.positive += other.positive
        self.negative += other.negative
        self.undefined += other.undefined

    def value(self) -> float:
        """Return the sum, rounded to the nearest float64; infinite where it is too large for one."""
        if self.undefined or (self.positive and self.negative):
            return math.nan
        if self.positive or self.negative:
            return math.inf if self.positive else -math.inf
        try:
            return self.units / (1 << _UNIT_BITS)
        except OverflowError:
            return math.inf if self.units > 0 else -math.inf

    def to_array(self) -> npt.NDArray[np.uint8]:
        """Return the sum as bytes, of one length for all sums."""
        counts = (self.positive, self.negative, self.undefined)
        parts = [self.units.to_bytes(_BYTES, "little", signed=True), *(count.to_bytes(8, "little") for count in counts)]
        return np.frombuffer(b"".join(parts), dtype=np.uint8)

    @classmethod
    def from_array(cls, array: npt.NDArray[np.uint8]) -> ExactSum:
        """Return the sum of which these are the bytes."""
        data = array.tobytes()
        counts = (int.from_bytes(data[start : start + 8], "little") for start in range(_BYTES, _BYTES + 24, 8))
        return cls(int.from_bytes(data[:_BYTES], "little", signed=True), *counts)


def fixed_rows(values: Floats) -> tuple[Counts, Counts]:
    """Return the upper and the lower part of numbers from 0 to 2**23: ``upper * 2**-20 + lower * 2**-62``.

    Each is rounded to 2**-62; what is then added up, in any order and in any parts, is not rounded again. Parts of
    up to 2**20 numbers can be added before a :func:`carry`.
    """
    upper, lower = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.int64)
    for start in range(0, len(values), BLOCK_ROWS):
        block = np.s_[start : start + BLOCK_ROWS]
        upper[block], lower[block] = _cut(values[block], UPPER_BITS, LOWER_BITS)
    return upper, lower


def _cut(values: Floats, upper_bits: int, lower_bits: int) -> tuple[Floats, Floats]:
    """Return whole units of numbers that are not negative, and what is left in smaller units, rounded."""
    rest = values * 2.0**upper_bits
    upper = np.floor(rest)
    rest -= upper
    rest *= 2.0**lower_bits
    return upper, np.rint(rest, out=rest)


def carry(upper: Counts, lower: Counts) -> None:
    """Move whole units of the upper parts out of lower ones, in place."""
    upper += lower >> LOWER_BITS
    lower &= _LOWER_MASK


def floats_of(upper: Counts, lower: Counts) -> Floats:
    """Return fixed-point numbers as float64, within one unit in the last place."""
    values: Floats = upper * 2.0**-UPPER_BITS + lower * 2.0 ** -(UPPER_BITS + LOWER_BITS)
    return values


@dataclass(slots=True, eq=False)
class FixedCells:
    """Sums in the cells of a table, in fixed point.

    Attributes
    ----------
    upper, lower : ndarray of int64
        Of one shape.
    """

    upper: Counts
    lower: Counts

    @classmethod
    def empty(cls, *shape: int) -> FixedCells:
        """Return zeros."""
        return cls(np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64))

    def add_rows(self, places: npt.NDArray[np.intp], values: Floats) -> None:
        """Add numbers, each to the cell at its place among all cells."""
        upper, lower = fixed_rows(values)
        np.add.at(self.upper.reshape(-1), places, upper)
        np.add.at(self.lower.reshape(-1), places, lower)
        carry(self.upper, self.lower)

    def merge(self, other: FixedCells) -> None:
        """Add other sums, cell by cell."""
        self.upper += other.upper
        self.lower += other.lower
        carry(self.upper, self.lower)

    def values(self) -> Floats:
        """Return the sums."""
        return floats_of(self.upper, self.lower)
