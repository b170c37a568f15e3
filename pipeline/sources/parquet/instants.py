"""Timestamps that the type asked for cannot hold: bad cells, never another date."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline import compute as pc
from pipeline.dataclass import dataclass
from pipeline.types.inputs import Integers
from pipeline.types.rows import BadCell

Mask = npt.NDArray[np.bool_]

_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_PER_DAY = 86_400
_SECONDS, _FINE = "s", "ns"
_LARGEST = 2**63 - 1


@dataclass(slots=True)
class Refused:
    """The rows of a batch that have a value of no use: for each the first such cell, in the order of the columns."""

    cells: dict[int, BadCell] = field(default_factory=dict)

    def add(self, mask: Mask, column: str, type_: pa.DataType, moments: npt.NDArray[np.datetime64]) -> None:
        """Refuse the rows of a mask, for what a column has there."""
        for row in np.flatnonzero(mask).tolist():
            self.cells.setdefault(row, BadCell(row, column, str(moments[row]), "out of range", (str(type_),)))

    def used(self, rows: int) -> Integers:
        """Return the other rows of a batch, ascending."""
        mask = np.ones(rows, dtype=np.bool_)
        mask[list(self.cells)] = False
        return np.flatnonzero(mask)


def is_fine(type_: pa.DataType) -> bool:
    """Return whether a type is a timestamp in nanoseconds."""
    return bool(pa.types.is_timestamp(type_) and type_.unit == _FINE)


def within(array: pa.Array, type_: pa.DataType, column: str, refused: Refused) -> pa.Array:
    """Return a column, null where a finer timestamp type cannot hold the value; such rows are refused."""
    unit = _unit(array.type)
    if unit is None or not pa.types.is_timestamp(type_):
        return array
    per_unit = _PER_SECOND[type_.unit] * _PER_DAY if unit == "D" else _PER_SECOND[type_.unit] // _PER_SECOND[unit]
    if per_unit <= 1 or not len(array):
        return array
    values = _values(array)
    most = _LARGEST // per_unit
    if values.max() <= most and values.min() >= -most:
        return array
    beyond = ((values > most) | (values < -most)) & _valid(array)
    refused.add(beyond, column, type_, values.astype(f"datetime64[{unit}]"))
    return _without(array, beyond)


Opener = Callable[[str, Sequence[str]], Iterator[pa.RecordBatch]]


class OldTimestamps:
    """The INT96 columns of a slice, checked against a second reading of them in seconds, which hold any INT96.

    Arrow wraps what nanoseconds or microseconds cannot hold into another date, without a word.

    Parameters
    ----------
    names : sequence of str
        The columns, each read in microseconds.
    fine : collection of str
        Those to be given in nanoseconds.
    opener : callable
        Returns the batches of some columns, with INT96 in a unit.
    """

    def __init__(self, names: Sequence[str], fine: Collection[str], opener: Opener) -> None:
        self._names = names
        self._fine = [name for name in names if name in fine]
        self._seconds = _Aligned(opener(_SECONDS, names))
        self._nanoseconds = _Aligned(opener(_FINE, self._fine)) if self._fine else None

    def settled(self, batch: pa.RecordBatch, refused: Refused) -> pa.RecordBatch:
        """Return the next rows with these columns in their units, null where those cannot hold the value."""
        seconds = self._seconds.take(batch.num_rows)
        nanoseconds = self._nanoseconds.take(batch.num_rows) if self._nanoseconds is not None else None
        for name in self._names:
            array = batch.column(name) if nanoseconds is None or name not in self._fine else nanoseconds.column(name)
            moments = _values(seconds.column(name))
            wrapped = (_values(array) // _PER_SECOND[array.type.unit] != moments) & _valid(array)
            if wrapped.any():
                refused.add(wrapped, name, array.type, moments.astype("datetime64[s]"))
                array = _without(array, wrapped)
            batch = batch.set_column(batch.schema.get_field_index(name), name, array)
        return batch


class _Aligned:
    """Batches, as many rows at a time as are asked for, at least one."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._left: pa.RecordBatch | None = None

    def take(self, rows: int) -> pa.RecordBatch:
        parts: list[pa.RecordBatch] = []
        while rows:
            left = self._left if self._left is not None and self._left.num_rows else next(self._batches, None)
            if left is None:
                raise pa.ArrowInvalid("a column of timestamps has fewer values than the others")
            parts.append(left.slice(0, rows))
            self._left = left.slice(rows)
            rows -= parts[-1].num_rows
        return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _unit(type_: pa.DataType) -> str | None:
    if pa.types.is_timestamp(type_):
        return str(type_.unit)
    return "D" if pa.types.is_date32(type_) else None


def _values(array: pa.Array) -> Integers:
    dtype = np.int32 if array.type.bit_width == 32 else np.int64
    data = array.buffers()[1]
    if data is None:
        return np.zeros(len(array), dtype=np.int64)
    return np.frombuffer(data, dtype, len(array), array.offset * dtype().itemsize).astype(np.int64, copy=False)


def _valid(array: pa.Array) -> Mask:
    if not array.null_count:
        return np.ones(len(array), dtype=np.bool_)
    valid: Mask = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _without(array: pa.Array, rows: Mask) -> pa.Array:
    return pc.if_else(pa.array(rows), pa.scalar(None, array.type), array)
