"""Columns of lists as sequences of steps: where the numbers of each step are, and the numbers themselves.

Nothing is copied but the steps that are asked for: an array may be a piece of a far larger one, and what lies behind a
null is not read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.models.columns import Mask, Rows, is_list, null_mask
from pipeline.units import EXACT_INTEGER

Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class StepBlock:
    """The numbers of some steps of some rows.

    Attributes
    ----------
    values : ndarray, shape (rows, steps, width)
        In the type of the column, perhaps in its memory: not to be written to. Zero where a row has no such step,
        arbitrary where a value is missing.
    missing : ndarray of bool, the same shape, or None
        Where values are null or NaN; ``None`` if there are none.
    wrong, inexact, infinite : ndarray of bool, shape (rows,), or None
        Rows with a step of more or fewer numbers than ``width``; with an integer that float64 cannot hold; with an
        infinite number. ``None`` if there are none.
    """

    values: npt.NDArray[Any]
    missing: Mask | None
    wrong: Mask | None
    inexact: Mask | None
    infinite: Mask | None


@dataclass(frozen=True, slots=True, eq=False)
class Sequences:
    """The cells of a column of lists, whose type suits a sequence feature.

    Attributes
    ----------
    width : int
        The numbers of a step.
    counts : ndarray of int64, shape (rows,)
        The steps of each row; 0 where the list is null.
    whole : ndarray of bool, shape (rows,)
        Where the list is a whole number of steps, as far as its length shows.
    """

    width: int
    counts: Integers
    whole: Mask
    _starts: Integers
    _inner: _Lists | None
    _numbers: _StepNumbers

    @classmethod
    def read(cls, array: pa.Array, width: int) -> Sequences:
        """Return the cells of an array: of lists of numbers, or of lists of lists of ``width`` numbers."""
        outer, every = _Lists.of(array), np.arange(len(array))
        starts, counts = outer.starts(every), outer.counts(every)
        if (null := null_mask(array)) is not None:
            counts[null] = 0
        if is_list(array.type.value_type):
            lists = array.values
            whole = np.ones(len(array), dtype=np.bool_)
            return cls(width, counts, whole, starts, _Lists.of(lists), _StepNumbers.of(lists.values))
        steps, rest = np.divmod(counts, width)
        return cls(width, steps, rest == 0, starts, None, _StepNumbers.of(array.values))

    def block(self, rows: Rows, first: int, count: int) -> StepBlock:
        """Return ``count`` steps of some rows, from step ``first`` on."""
        if (whole := self._in_one_piece(rows)) is not None:
            values = whole[:, first : first + count]
            return _judged(values, None, None)
        left = np.clip(self.counts[rows] - first, 0, count)
        there: Mask = np.arange(count) < left[:, np.newaxis]
        starts, null, wrong = self._places(rows, first, there)
        places = starts[:, :, np.newaxis] + np.arange(self.width)
        values = self._numbers.at(places, there)
        missing = self._numbers.null_at(places, there)
        if null is not None:
            missing = np.zeros(values.shape, dtype=np.bool_) if missing is None else missing
            missing |= null[:, :, np.newaxis]
        return _judged(values, missing, wrong)

    def _in_one_piece(self, rows: Rows) -> npt.NDArray[Any] | None:
        """Return all numbers of some rows where these follow each other, equally long and without nulls."""
        counts = self.counts[rows]
        if self._inner is not None or self._numbers.validity is not None or not (counts == counts[0]).all():
            return None
        starts, size = self._starts[rows], int(counts[0]) * self.width
        if not np.array_equal(starts, starts[0] + size * np.arange(len(rows))):
            return None
        first = int(starts[0])
        return self._numbers.data[first : first + len(rows) * size].reshape(len(rows), -1, self.width)

    def _places(self, rows: Rows, first: int, there: Mask) -> tuple[Integers, Mask | None, Mask | None]:
        """Return where each step begins, where it is null, and which rows have one of another width.

        ``there`` says which steps there are; steps of another width are taken out of it.
        """
        starts, steps = self._starts[rows][:, np.newaxis], np.arange(first, first + there.shape[1])
        if self._inner is None:
            return np.where(there, starts + steps * self.width, 0), None, None
        inner = self._inner
        numbers = np.where(there, starts + steps, 0)
        if not there.any():
            return numbers, None, None
        null = inner.null_at(numbers, there)
        wrong = there & (inner.counts(numbers) != self.width)
        if null is not None:
            wrong &= ~null
            there &= ~null
        there &= ~wrong
        return np.where(there, inner.starts(numbers), 0), null, _any(wrong.any(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class _Lists:
    """Where the lists of an array are in its values: by offsets, or each ``size`` long."""

    offsets: npt.NDArray[Any] | None
    first: int
    size: int
    validity: _Bits | None

    @classmethod
    def of(cls, array: pa.Array) -> _Lists:
        validity = _Bits.of(array)
        if pa.types.is_fixed_size_list(array.type):
            return cls(None, array.offset, array.type.list_size, validity)
        dtype = np.dtype(np.int64 if pa.types.is_large_list(array.type) else np.int32)
        buffer = array.buffers()[1]
        if not len(array) or buffer is None:
            return cls(np.zeros(len(array) + 1, dtype=dtype), 0, 0, validity)
        start = array.offset * dtype.itemsize
        return cls(np.frombuffer(buffer, dtype=dtype, count=len(array) + 1, offset=start), 0, 0, validity)

    def starts(self, index: Integers) -> Integers:
        if self.offsets is None:
            return (self.first + index) * self.size
        starts: Integers = self.offsets[index].astype(np.int64)
        return starts

    def counts(self, index: Integers) -> Integers:
        if self.offsets is None:
            return np.full(index.shape, self.size, dtype=np.int64)
        counts: Integers = self.offsets[index + 1].astype(np.int64) - self.offsets[index]
        return counts

    def null_at(self, index: Integers, there: Mask) -> Mask | None:
        return None if self.validity is None else _any(self.validity.null(index) & there)


@dataclass(frozen=True, slots=True, eq=False)
class _StepNumbers:
    """The values of lists as NumPy has them."""

    data: npt.NDArray[Any]
    validity: _Bits | None

    @classmethod
    def of(cls, array: pa.Array) -> _StepNumbers:
        if pa.types.is_null(array.type):
            array = array.cast(pa.float64())
        dtype = np.dtype(array.type.to_pandas_dtype())
        buffer = array.buffers()[1]
        if not len(array) or buffer is None:
            return cls(np.zeros(len(array), dtype=dtype), _Bits.of(array))
        data = np.frombuffer(buffer, dtype=dtype, count=len(array), offset=array.offset * dtype.itemsize)
        return cls(data, _Bits.of(array))

    def at(self, places: Integers, there: Mask) -> npt.NDArray[Any]:
        """Return the numbers at some places, zero for the steps that are not there."""
        if not there.any():
            return np.zeros(places.shape, dtype=self.data.dtype)
        values = self.data.take(places, mode="clip")
        values[~there] = 0
        return values

    def null_at(self, places: Integers, there: Mask) -> Mask | None:
        if self.validity is None or not there.any():
            return None
        return _any(self.validity.null(places) & there[:, :, np.newaxis])


@dataclass(frozen=True, slots=True, eq=False)
class _Bits:
    """Which cells of an array are valid, a bit for each."""

    octets: npt.NDArray[np.uint8]
    offset: int

    @classmethod
    def of(cls, array: pa.Array) -> _Bits | None:
        """Return the bits of an array; ``None`` if it has no nulls."""
        buffer = array.buffers()[0]
        if buffer is None or array.null_count == 0:
            return None
        return cls(np.frombuffer(buffer, dtype=np.uint8), array.offset)

    def null(self, index: Integers) -> Mask:
        """Return where some cells are null."""
        bits = index + self.offset
        octets = self.octets.take(bits >> 3, mode="clip")
        null: Mask = (octets >> (bits & 7).astype(np.uint8)) & 1 == 0
        return null


def _judged(values: npt.NDArray[Any], missing: Mask | None, wrong: Mask | None) -> StepBlock:
    """Return the block of some values, with what is odd in them."""
    infinite = inexact = None
    if values.dtype.kind == "f":
        if not (finite := np.isfinite(values)).all():
            nan = np.isnan(values)
            infinite = ~(finite | nan)
            missing = nan if missing is None else missing | nan
    elif values.dtype.itemsize == 8:
        inexact = values > EXACT_INTEGER
        if values.dtype.kind == "i":
            inexact |= values < -EXACT_INTEGER
    missing = _any(missing)
    return StepBlock(values, missing, wrong, _rows(inexact, missing), _rows(infinite, missing))


def _any(mask: Mask | None) -> Mask | None:
    return mask if mask is not None and mask.any() else None


def _rows(odd: Mask | None, missing: Mask | None) -> Mask | None:
    """Return the rows of a block in which a value that is there is odd; ``None`` if there are none."""
    if odd is None or not odd.any():
        return None
    found = odd if missing is None else odd & ~missing
    return _any(np.any(found, axis=(1, 2)))
