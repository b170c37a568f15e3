"""Gather the rows of a row group, column by column, until they are written in one piece."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.errors import DataError
from pipeline.units import escape


class GatheredColumn(Protocol):
    """One column of the current row group. For one thread."""

    @property
    def bytes(self) -> int:
        """The bytes of the rows added since the last take, at least."""
        ...

    def add(self, array: pa.Array) -> None:
        """Add the rows of a batch."""
        ...

    def take(self) -> pa.Array:
        """Return the rows added so far in one piece, valid until the next ``add``, and start again."""
        ...


def column(field: pa.Field, rows: int, *, is_encoded: bool = False) -> GatheredColumn:
    """Return the gatherer of a column, to which at most ``rows`` rows are added between two takes.

    An encoded column is a dictionary that stays the same.
    """
    type_ = field.type
    if is_encoded:
        return _Encoded(type_, rows)
    if pa.types.is_primitive(type_) and type_.bit_width % 8 == 0:
        return _FixedWidth(type_, rows)
    return _Pieces(field)


class _FixedWidth:
    """Values of one width, copied to where they are written from.

    Batches are released at once, so that the next one finds their memory still in the cache; the memory of a row group
    is used again for the next one.
    """

    def __init__(self, type_: pa.DataType, rows: int) -> None:
        self._type = type_
        self._width: int = type_.bit_width // 8
        self._values: npt.NDArray[np.uint8] = np.empty(rows * self._width, dtype=np.uint8)
        self._valid: npt.NDArray[np.bool_] | None = None
        self._rows = 0

    @property
    def bytes(self) -> int:
        """The bytes of the values and of the flags that mark nulls."""
        return self._rows * (self._width + (self._valid is not None))

    def add(self, array: pa.Array) -> None:
        """Add the rows of a batch; the value under a null does not matter."""
        count, width, start = len(array), self._width, self._rows
        if count == 0:
            return
        self._rows += count
        data = array.buffers()[1]
        if data is not None:
            source = np.frombuffer(data, dtype=np.uint8, count=count * width, offset=array.offset * width)
            self._values[start * width : self._rows * width] = source
        if array.null_count:
            if self._valid is None:
                self._valid = np.ones(len(self._values) // width, dtype=np.bool_)
            self._valid[start : self._rows] = _bits(array.is_valid())

    def take(self) -> pa.Array:
        """Return the rows, in memory that the next ``add`` overwrites."""
        rows, valid = self._rows, self._valid
        self._rows, self._valid = 0, None
        validity = None if valid is None else pa.py_buffer(np.packbits(valid[:rows], bitorder="little"))
        return pa.Array.from_buffers(self._type, rows, [validity, pa.py_buffer(self._values)])


def _bits(flags: pa.Array) -> npt.NDArray[np.bool_]:
    """Return booleans, none of them null. Read from their bits, as to_numpy() loads pandas where it is installed."""
    packed = np.frombuffer(flags.buffers()[1], dtype=np.uint8)
    unpacked = np.unpackbits(packed, count=flags.offset + len(flags), bitorder="little")
    return unpacked[flags.offset :].view(np.bool_)


class _Encoded:
    """Numbers of the levels of one dictionary."""

    def __init__(self, type_: pa.DataType, rows: int) -> None:
        self._codes = _FixedWidth(type_.index_type, rows)
        self._levels: pa.Array = None

    @property
    def bytes(self) -> int:
        """The bytes of the numbers, and of the flags that mark nulls."""
        return self._codes.bytes

    def add(self, array: pa.Array) -> None:
        """Add the rows of a batch.

        Raises
        ------
        TypeError
            It has another dictionary than the batches before it.
        """
        if self._levels is None:
            self._levels = array.dictionary
        elif not array.dictionary.equals(self._levels):
            raise TypeError("the dictionary of an encoded text column differs from that of the batches before it")
        self._codes.add(array.indices)

    def take(self) -> pa.Array:
        """Return the rows, in memory that the next ``add`` overwrites."""
        # The batches had valid numbers.
        return pa.DictionaryArray.from_arrays(self._codes.take(), self._levels, safe=False)


class _Pieces:
    """Values of any type, kept as they came and joined by copying."""

    def __init__(self, field: pa.Field) -> None:
        self._field = field
        self._held: list[pa.Array] = []
        self.bytes = 0

    def add(self, array: pa.Array) -> None:
        """Add the rows of a batch, which stays in memory."""
        self._held.append(array)
        self.bytes += _decoded_bytes(array)

    def take(self) -> pa.Array:
        """Return the rows in one piece.

        Raises
        ------
        DataError
            The column has more levels than the index of the dictionary type can number, or the like.
        """
        held, self._held, self.bytes, field = self._held, [], 0, self._field
        try:
            if not pa.types.is_dictionary(field.type) or field.type.ordered:
                return held[0] if len(held) == 1 else pa.concat_arrays(held)
            values = pa.concat_arrays([piece.dictionary_decode() for piece in held])
            encoded = values.dictionary_encode()
            return pa.DictionaryArray.from_arrays(encoded.indices.cast(field.type.index_type), encoded.dictionary)
        except (pa.ArrowException, ValueError) as error:
            message = f"column '{escape(field.name)}' cannot be written as {field.type}: {escape(str(error), 300)}"
            raise DataError(message, f"keep it as text with --type {escape(field.name)}=string") from error


def _decoded_bytes(array: pa.Array) -> int:
    """Return the bytes of an array; a dictionary counts as its decoded values, each as wide as the mean level."""
    if not pa.types.is_dictionary(array.type):
        return int(array.nbytes)
    levels = array.dictionary
    return int(array.indices.nbytes + len(array) * levels.nbytes / max(1, len(levels)))
