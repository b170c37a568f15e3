"""The function that is applied to a block: built-in functions, or the caller's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.choices import Precision
from pipeline.dataclass import dataclass
from pipeline.errors import BadCellsError, SchemaError
from pipeline.grammar import Application, parse_application
from pipeline.kernels import is_masked
from pipeline.models import TransformBlock
from pipeline.registry import FUNCTIONS, function_named
from pipeline.stream.blocks import MOST_BYTES, REMEDY, Block
from pipeline.units import escape, format_count, nearest

BATCH_ROWS = 65_536


@dataclass(frozen=True, slots=True)
class Made:
    """The results for the rows ``start`` to ``stop`` of a block.

    Attributes
    ----------
    start, stop : int
    kept : pyarrow.RecordBatch
        The columns that go to the output as they are.
    fields : tuple of pyarrow.Field
    arrays : tuple of pyarrow.Array
    events : mapping of str to int
        What a report counts.
    """

    start: int
    stop: int
    kept: pa.RecordBatch
    fields: tuple[pa.Field, ...]
    arrays: tuple[pa.Array, ...]
    events: Mapping[str, int] = field(default_factory=dict)


class StreamFunction(Protocol):
    """Makes columns from a block, piece by piece."""

    @property
    def text(self) -> str:
        """Its name for people."""
        ...

    def of(self, block: Block, kept: Sequence[str]) -> Iterator[Made]:
        """Yield the results for a block; its columns ``kept`` go to the output as they are."""
        ...


FunctionLike = str | Sequence[str] | Callable[..., Any]


def function_of(function: FunctionLike, *, float32: bool, precision: Precision) -> StreamFunction:
    """Return the function meant by a name, by one or several texts, or by a callable.

    Raises
    ------
    UsageError
        A text does not follow the grammar.
    TypeError
        It is something else, or a callable with ``float32`` or ``precision``.
    """
    if callable(function):
        for option, is_given in (("float32", float32), ("precision", precision != "fast")):
            if is_given:
                raise TypeError(f"{option} applies only to built-in functions, not to your own")
        return OwnFunction(function)
    texts = (function,) if isinstance(function, str) else tuple(function)
    if not all(isinstance(text, str) for text in texts):
        raise TypeError("function must be a name, a text such as 'p=sigmoid(x)', a list of texts, or a callable")
    if len(texts) == 1 and texts[0].strip().isidentifier():
        return EachColumn(_known(texts[0].strip()), float32, precision)
    applied = TransformBlock(tuple(parse_application(text) for text in texts), float32, precision)
    return Applied(applied, ", ".join(texts))


@dataclass(frozen=True, slots=True)
class Applied:
    """Functions of named columns."""

    function: TransformBlock
    text: str

    def of(self, block: Block, kept: Sequence[str]) -> Iterator[Made]:
        """Yield the results, batch by batch."""
        return _applied(self.function, block, kept)


@dataclass(frozen=True, slots=True)
class EachColumn:
    """A function of every column that is not kept."""

    name: str
    float32: bool
    precision: Precision

    @property
    def text(self) -> str:
        """The name of the function."""
        return self.name

    def of(self, block: Block, kept: Sequence[str]) -> Iterator[Made]:
        """Yield the results, batch by batch: ``FUNCTION_COLUMN`` for each column."""
        columns = tuple(name for name in block.schema.names if name not in kept)
        if not columns:
            raise SchemaError(
                f"block {block.number} of the stream: every column is kept, so {self.name} has no column", REMEDY
            )
        return _applied(_of_each(self.name, columns, self.float32, self.precision), block, kept)


@dataclass(frozen=True, slots=True)
class OwnFunction:
    """The caller's function: it gets each block as it came, a table as one record batch."""

    function: Callable[..., Any]

    @property
    def text(self) -> str:
        """The module and the name of the callable."""
        named = self.function if hasattr(self.function, "__qualname__") else type(self.function)
        return f"{named.__module__}.{named.__qualname__}, of the caller"

    def of(self, block: Block, kept: Sequence[str]) -> Iterator[Made]:
        """Yield the results for the whole block."""
        if not block.rows:
            return
        # Taken before the call, because the function may write into the block.
        as_it_came = block.batch(0, block.rows, kept)
        try:
            results = self.function(block.given)
        except Exception as error:
            rows = f"rows {format_count(block.before + 1)} to {format_count(block.before + block.rows)}"
            place = f"block {block.number} of the stream, {rows}"
            error.add_note(f"raised by the function at {place}; nothing was published")
            raise
        columns = [(name, _column(block, name, values)) for name, values in _named(block, results)]
        if not columns:
            raise _unfit(block, "no column", "at least one")
        fields = tuple(pa.field(name, array.type, nullable=False) for name, array in columns)
        yield Made(0, block.rows, as_it_came, fields, tuple(array for _, array in columns))


def _known(name: str) -> str:
    try:
        return function_named(name).name
    except LookupError:
        # The parser raises the better error, with the place.
        parse_application(f"{name}(x)")
        raise


@lru_cache(maxsize=4)
def _of_each(name: str, columns: tuple[str, ...], float32: bool, precision: Precision) -> TransformBlock:
    if FUNCTIONS[name].several:
        return TransformBlock((Application(name, name, columns),), float32, precision)
    return TransformBlock(tuple(Application(f"{name}_{c}", name, (c,)) for c in columns), float32, precision)


def _applied(function: TransformBlock, block: Block, kept: Sequence[str]) -> Iterator[Made]:
    names = [need.name for need in function.columns()]
    _check_columns(function, block, names)
    fields = tuple(pa.field(f.name, f.type, nullable=f.nullable) for f in function.fields())
    for start in range(0, block.rows, BATCH_ROWS):
        stop = min(start + BATCH_ROWS, block.rows)
        values = function.block(block.batch(start, stop, names).columns)
        if values.rejected:
            cell = values.rejected[0]
            raise BadCellsError(
                f"block {block.number} of the stream: row {format_count(start + cell.record)}, "
                f"column {escape(cell.column)}: {escape(cell.text)} {cell.reason}",
                f"correct the cell (blocks and rows are counted from 0); {REMEDY.partition('; ')[2]}",
            )
        yield Made(start, stop, block.batch(start, stop, kept), fields, values.arrays, values.events)


def _check_columns(function: TransformBlock, block: Block, names: Sequence[str]) -> None:
    known = block.schema.names
    missing = [f'no column "{escape(name)}"{nearest(name, known)}' for name in names if name not in known]
    problems = missing or function.check([block.schema.field(name) for name in names])
    if problems:
        there = f"; there are {escape(', '.join(known), 300)}" if missing else ""
        raise SchemaError(f"block {block.number} of the stream: {'; '.join(problems)}{there}", REMEDY)


def _named(block: Block, results: Any) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Yield the results of a callable with their names: those of a mapping, else ``y``, or ``y0``, ``y1`` ..."""
    if isinstance(results, Mapping):
        for name, values in results.items():
            yield str(name), _array(block, str(name), values)
        return
    values = _array(block, "y", results)
    if values.ndim == 2:
        yield from ((f"y{i}", values[:, i]) for i in range(values.shape[1]))
    else:
        yield "y", values


def _array(block: Block, name: str, values: Any) -> npt.NDArray[Any]:
    if is_masked(values):
        raise _unfit(block, f"a masked array for {escape(name)}", "an array without a mask (fill it with NaN)")
    try:
        return np.asarray(values)
    except ValueError as error:
        found = f"ragged rows for {escape(name)} ({escape(str(error), 200)})"
        raise _unfit(block, found, "rows of equal length") from None


def _unfit(block: Block, found: str, expected: str) -> SchemaError:
    where = f"block {block.number} of the stream"
    return SchemaError(f"{where}: the function returned {found}, expected {expected}", REMEDY)


def _column(block: Block, name: str, values: npt.NDArray[Any]) -> pa.Array:
    called = escape(name)
    if values.dtype.kind not in "fiub":
        raise _unfit(block, f"dtype {values.dtype} for {called}", "numbers or booleans")
    if values.dtype.itemsize > MOST_BYTES:
        raise _unfit(block, f"dtype {values.dtype} for {called}", "numbers of at most 64 bits")
    if values.shape != (block.rows,):
        raise _unfit(block, f"shape {values.shape} for {called}", f"({block.rows:,},)")
    # A copy, because a function may fill the same array at every call.
    return pa.array(np.array(values, dtype=values.dtype.newbyteorder("="), order="C"))
