"""What a generator yields, as blocks of one schema: the first block sets it, and every other block is checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import count
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.errors import DataError, SchemaError
from pipeline.kernels import is_masked
from pipeline.units import escape, format_count

# The largest number: Arrow has no type for numpy's longdouble.
MOST_BYTES = 8
REMEDY = "correct the stream or the function (blocks are counted from 0); nothing was published"

_KINDS = "a NumPy array, an Arrow record batch or table, a dataframe, or a mapping of names to arrays"


class Block(Protocol):
    """One block of a stream."""

    @property
    def number(self) -> int:
        """Its number, from 0."""
        ...

    @property
    def before(self) -> int:
        """How many rows the blocks before it have."""
        ...

    @property
    def rows(self) -> int:
        """How many rows it has."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """Names and types of its columns."""
        ...

    @property
    def given(self) -> Any:
        """What the caller's function gets: an array, or a record batch."""
        ...

    def batch(self, start: int, stop: int, names: Sequence[str]) -> pa.RecordBatch:
        """Return columns of rows, in memory that does not change if the caller fills the array again."""
        ...


@dataclass(frozen=True)
class ArrayBlock:
    """A NumPy array of numbers: one dimension is a column, two are rows and columns."""

    number: int
    before: int
    given: npt.NDArray[Any]
    schema: pa.Schema

    @property
    def rows(self) -> int:
        """The length of the array."""
        return int(self.given.shape[0])

    def batch(self, start: int, stop: int, names: Sequence[str]) -> pa.RecordBatch:
        """Return columns of rows, copied."""
        columns = self.given.reshape(self.rows, len(self.schema))
        arrays = [
            # Contiguous and in native byte order, which Arrow takes without a second copy.
            pa.array(np.array(columns[start:stop, i], dtype=self.given.dtype.newbyteorder("="), order="C"))
            for i in map(self.schema.get_field_index, names)
        ]
        return _record_batch(arrays, [self.schema.field(name) for name in names], stop - start)


@dataclass(frozen=True)
class TableBlock:
    """An Arrow table, or something that was made into one."""

    number: int
    before: int
    table: pa.Table

    @property
    def rows(self) -> int:
        """Rows of the table."""
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """Names and types; blocks may differ in whether a column may have nulls."""
        return pa.schema([pa.field(field.name, field.type) for field in self.table.schema])

    @cached_property
    def given(self) -> pa.RecordBatch:
        """The table in one piece."""
        return self.batch(0, self.rows, self.schema.names)

    def batch(self, start: int, stop: int, names: Sequence[str]) -> pa.RecordBatch:
        """Return columns of rows; contiguous ones are not copied, because Arrow memory never changes."""
        arrays = [_in_one_piece(self.table.column(name).slice(start, stop - start)) for name in names]
        return _record_batch(arrays, [self.schema.field(name) for name in names], stop - start)


def blocks_of(stream: Iterator[Any], names: Sequence[str] | None) -> Iterator[Block]:
    """Yield the blocks of a stream, each of the schema of the first.

    Parameters
    ----------
    stream : iterator
    names : sequence of str, optional
        Names for the columns of arrays; ``x`` for one dimension, ``x0``, ``x1`` ... for two unless given.

    Raises
    ------
    SchemaError
        A block is not rows of numbers, or has another shape, other columns or another type than the first.
    DataError
        The stream has no rows.
    """
    first: Block | None = None
    rows = 0
    for number, given in enumerate(_noting(stream)):
        block = _block((number, rows), given, names)
        if first is None:
            first = block
        else:
            _check_like(first, block)
        rows += block.rows
        yield block
    if not rows:
        found = "blocks" if first is None else "rows in any block"
        raise DataError(
            f"the stream is empty: it has no {found}", "give at least one block with rows; nothing was published"
        )


def _noting(stream: Iterator[Any]) -> Iterator[Any]:
    """Yield what a stream gives; if it raises an error, add the number of the block to it."""
    for number in count():
        try:
            given = next(stream)
        except StopIteration:
            return
        except Exception as error:
            error.add_note(f"raised by the stream at block {number}; nothing was published")
            raise
        yield given


def refuse_single(blocks: Any) -> None:
    """Raise a ``TypeError`` if one block is given instead of a stream: its rows would be taken as blocks."""
    is_block = isinstance(blocks, str | bytes | Mapping | pa.RecordBatch | pa.Table) or (
        hasattr(blocks, "__array__") or (hasattr(blocks, "__arrow_c_stream__") and hasattr(blocks, "columns"))
    )
    if is_block:
        raise TypeError(f"a {type(blocks).__name__} is one block, not a stream of them; write [block]")
    if not isinstance(blocks, Iterable):
        raise TypeError(f"a {type(blocks).__name__} is not an iterable of blocks; each block is {_KINDS}")


def _block(place: tuple[int, int], given: Any, names: Sequence[str] | None) -> Block:
    """Return a block, given its number and the rows before it."""
    number, _ = place
    if isinstance(given, str | bytes):
        raise _unfit(number, _KINDS, f"text: {escape(repr(given), 60)}")
    if isinstance(given, pa.RecordBatch | pa.Table | Mapping) or hasattr(given, "__arrow_c_stream__"):
        if names is not None:
            raise _unfit(number, "an array, because names= is given", f"a {type(given).__name__}, which has names")
        return TableBlock(*place, _table(number, given))
    return _array_block(place, given, names)


def _array_block(place: tuple[int, int], given: Any, names: Sequence[str] | None) -> Block:
    number, _ = place
    _refuse_mask(number, given)
    try:
        array = np.asarray(given)
    except ValueError as error:
        raise _unfit(number, "rows of equal length", f"ragged rows ({escape(str(error), 200)})") from None
    if array.dtype.kind == "O":
        raise _unfit(number, "numbers in rows of equal length", f"a {type(given).__name__} of dtype object")
    if array.dtype.kind not in "fiub":
        what = "text" if array.dtype.kind in "UST" else "values"
        raise _unfit(number, "numbers or booleans", f"{what} of dtype {array.dtype}")
    if array.dtype.itemsize > MOST_BYTES:
        raise _unfit(number, "numbers of at most 64 bits", f"dtype {array.dtype}")
    if array.ndim not in {1, 2}:
        raise _unfit(number, "an array of one or two dimensions", f"shape {array.shape}")
    width = 1 if array.ndim == 1 else array.shape[1]
    if width == 0:
        raise _unfit(number, "at least one column", f"shape {array.shape}")
    called = names or (["x"] if array.ndim == 1 else [f"x{i}" for i in range(width)])
    if len(called) != width:
        raise _unfit(number, f"{_columns(len(called))}, as in names=", _shape(array.ndim, width))
    type_ = pa.from_numpy_dtype(array.dtype.newbyteorder("="))
    return ArrayBlock(*place, array, pa.schema([pa.field(name, type_, nullable=False) for name in called]))


def _refuse_mask(number: int, given: Any) -> None:
    if is_masked(given):
        raise _unfit(number, "an array without a mask", "a masked array: fill it with NaN")


def _table(number: int, given: Any) -> pa.Table:
    if isinstance(given, pa.RecordBatch):
        return pa.Table.from_batches([given])
    if isinstance(given, Mapping):
        for values in given.values():
            _refuse_mask(number, values)
        given = {name: np.array(v) if isinstance(v, np.ndarray) else v for name, v in given.items()}
    try:
        table = given if isinstance(given, pa.Table) else pa.table(given)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unfit(number, "columns of equal length, each of one type", escape(str(error), 200)) from None
    # The index of pandas is not a column of the frame.
    columns = None if isinstance(given, pa.Table | Mapping) else getattr(given, "columns", None)
    table = table if columns is None else table.select([str(name) for name in columns])
    if repeated := sorted({name for name in table.column_names if table.column_names.count(name) > 1}):
        raise _unfit(number, "a name for each column", f'"{escape(repeated[0])}" twice')
    return table


def _check_like(first: Block, block: Block) -> None:
    """Raise if a block has other dimensions, columns or types than the first."""
    if type(first) is not type(block):
        raise _unfit(block.number, f"{_what(first)}, as in block 0", _what(block))
    if isinstance(first, ArrayBlock) and isinstance(block, ArrayBlock) and first.given.ndim != block.given.ndim:
        raise _unfit(block.number, f"{_what(first)}, as in block 0", _what(block))
    expected, found = first.schema, block.schema
    if len(expected) != len(found):
        raise _unfit(block.number, f"{_columns(len(expected))}, as in block 0", _columns(len(found)))
    for one, other in zip(expected, found, strict=True):
        if one.name != other.name:
            raise _unfit(block.number, f'column "{escape(one.name)}", as in block 0', f'"{escape(other.name)}"')
        if one.type != other.type:
            column = f' in column "{escape(one.name)}"' if isinstance(first, TableBlock) else ""
            raise _unfit(block.number, f"{_type(one.type)}{column}, as in block 0", _type(other.type))


def _what(block: Block) -> str:
    if isinstance(block, ArrayBlock):
        return f"an array of shape {_shape(block.given.ndim, len(block.schema))}"
    return f"a table of {_columns(len(block.schema))}"


def _shape(dimensions: int, width: int) -> str:
    return "(rows,)" if dimensions == 1 else f"(rows, {width})"


def _columns(count: int) -> str:
    return f"{format_count(count)} column{'' if count == 1 else 's'}"


def _type(type_: pa.DataType) -> str:
    names = {"double": "float64", "float": "float32", "halffloat": "float16"}
    return names.get(str(type_), escape(str(type_)))


def _unfit(number: int, expected: str, found: str) -> SchemaError:
    return SchemaError(f"block {number} of the stream: expected {expected}, got {found}", REMEDY)


def _in_one_piece(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        # Only text of more than 2 GiB cannot be contiguous, and the slices taken here are far smaller.
        return pa.concat_arrays(joined.chunks) if joined.num_chunks else pa.array([], column.type)
    return joined


def _record_batch(arrays: Sequence[pa.Array], fields: Sequence[pa.Field], rows: int) -> pa.RecordBatch:
    if not arrays:
        return pa.RecordBatch.from_struct_array(pa.array([{}] * rows, pa.struct([])))
    return pa.RecordBatch.from_arrays(list(arrays), schema=pa.schema(list(fields)))
