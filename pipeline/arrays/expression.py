"""Dask expressions as a block function of the flow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from dask.array.core import Array
from dask.highlevelgraph import HighLevelGraph
from dask.local import get_sync
from dask.utils import key_split

from pipeline.arrays.matrix import to_matrix
from pipeline.arrays.places import RowPlaces
from pipeline.dataclass import dataclass
from pipeline.errors import FunctionError, UsageError
from pipeline.types.blocks import Field, Values
from pipeline.types.inputs import Need
from pipeline.units import escape, format_count

Key = Any

_IN_ITS_BLOCK = "keep each row in its block, without rechunk() or [::-1]"


@dataclass(frozen=True, slots=True)
class DatasetArray:
    """An array of columns of a dataset: of one dimension for one column by its name, else of two.

    Attributes
    ----------
    name : str
        The name of the Dask array.
    columns : tuple of str
    ndim : int
    """

    name: str
    columns: tuple[str, ...]
    ndim: int

    def key(self, chunk: int) -> Key:
        """Return the key of the block of a chunk."""
        return (self.name, chunk, *(0,) * (self.ndim - 1))


@dataclass(frozen=True, slots=True)
class ExpressionBlock:
    """Expressions over the arrays of a dataset; implements ``BlockFunction`` and ``PerChunk``.

    Attributes
    ----------
    arrays : tuple of (name, dask.array.Array)
        The name of each column, and what computes it.
    sources : tuple of DatasetArray
        The arrays of the dataset that the expressions use.
    tasks : mapping
        The tasks of all blocks by key.
    dependencies : mapping
        The keys that each task needs.
    places : RowPlaces
    identity : str or None
        The caller's text for what the expressions compute.
    """

    arrays: tuple[tuple[str, Array], ...]
    sources: tuple[DatasetArray, ...]
    tasks: Mapping[Key, Any]
    dependencies: Mapping[Key, Any]
    places: RowPlaces
    identity: str | None

    @property
    def whole_chunk(self) -> bool:
        """A block of a Dask array is a whole chunk."""
        return True

    @property
    def scratch_row_bytes(self) -> int:
        """A float64 of an intermediate result."""
        return 8

    @property
    def table_bytes(self) -> int:
        """It has no tables."""
        return 0

    @classmethod
    def of(
        cls,
        expressions: Mapping[str, Array],
        sources: Iterable[DatasetArray],
        rows: tuple[int, ...],
        places: RowPlaces,
        identity: str | None,
    ) -> ExpressionBlock:
        """Return the block function of expressions; ``rows`` are those of the blocks of a source.

        Raises
        ------
        ValueError
            A block depends on another chunk, or blocks are not chunks.
        TypeError
            A result is neither numbers nor booleans.
        """
        if not expressions:
            raise UsageError("there is nothing to write", "give at least one expression, as in {'p': sigmoid(x)}")
        for name, array in expressions.items():
            _check_array(name, array)
        graph = HighLevelGraph.merge(*(array.__dask_graph__() for array in expressions.values()))
        dependencies = graph.get_all_dependencies()
        used = tuple(source for source in sources if source.key(0) in dependencies)
        block = cls(tuple(expressions.items()), used, graph.to_dict(), dependencies, places, identity)
        for name, array in block.arrays:
            _check_number(name, array, rows)
            block._check_blocks(name, array, rows)
            block._check_rows(name, array, rows)
        return block

    def columns(self) -> Sequence[Need]:
        """Return the columns of every source, one source after the other."""
        return [Need(column, "numeric") for source in self.sources for column in source.columns]

    def fields(self) -> Sequence[Field]:
        """Return a column for each expression, of its dtype; no result is null."""
        return [Field(name, pa.from_numpy_dtype(array.dtype), nullable=False) for name, array in self.arrays]

    def check(self, fields: Sequence[pa.Field]) -> Sequence[str]:  # noqa: ARG002 - any block function has them
        """Return nothing: the columns were checked when their array was made."""
        return []

    def describe(self) -> Mapping[str, object] | None:
        """Return the caller's text for the function, ``None`` if there is none."""
        return None if self.identity is None else {"kind": "expression", "identity": self.identity}

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the results of the only chunk."""
        return self.of_chunk(0).block(columns)

    def of_chunk(self, chunk: int) -> ChunkExpression:
        """Return the part for one chunk: only its tasks."""
        keys = [_block_key(array, chunk) for _, array in self.arrays]
        source_keys = {source.key(chunk) for source in self.sources}
        needed = {k for key in keys for k in self._walk(key) if k not in source_keys}
        return ChunkExpression(
            results=tuple(zip((name for name, _ in self.arrays), keys, strict=True)),
            made=tuple(self.fields()),
            sources=self.sources,
            tasks={key: self.tasks[key] for key in needed},
            chunk=chunk,
            place=self.places.of(chunk),
        )

    def _walk(self, key: Key) -> Iterator[Key]:
        """Yield a key and everything that it depends on, down to the blocks of the sources."""
        seen, waiting = {key}, [key]
        while waiting:
            current = waiting.pop()
            yield current
            if self._chunk_of(current) is None:
                new = [k for k in self.dependencies[current] if k not in seen]
                seen.update(new)
                waiting.extend(new)

    def _chunk_of(self, key: Key) -> int | None:
        """Return the chunk of a source's block, ``None`` for any other key."""
        is_source = isinstance(key, tuple) and any(key[0] == source.name for source in self.sources)
        return int(key[1]) if is_source else None

    def _reach(self, key: Key) -> set[int]:
        """Return the chunks that a key depends on."""
        return {chunk for chunk in map(self._chunk_of, self._walk(key)) if chunk is not None}

    def _check_blocks(self, name: str, array: Array, rows: tuple[int, ...]) -> None:
        for block in range(array.numblocks[0]):
            key = _block_key(array, block)
            for chunk in map(self._chunk_of, self._walk(key)):
                if chunk not in {None, block}:
                    is_cut = array.chunks[0] != rows and not any(np.isnan(array.chunks[0]))
                    remedy = _IN_ITS_BLOCK if is_cut else "compute such a value first and use it as a number"
                    raise ValueError(
                        f"{name}: {self._culprit(key, block)} needs rows of other chunks (block {block} depends on "
                        f"chunk {chunk}); {remedy}"
                    )

    def _check_rows(self, name: str, array: Array, rows: tuple[int, ...]) -> None:
        """Raise unless the blocks have the rows of the chunks, which each of them alone depends on."""
        found = array.chunks[0]
        if not any(np.isnan(found)):
            if found != rows:
                raise ValueError(
                    f"{name}: the blocks do not have the rows of the chunks: rows were added, dropped or cut into "
                    f"other blocks; {_IN_ITS_BLOCK}"
                )
            return
        if any(map(self._selects, self._walk(_block_key(array, 0)))):
            raise ValueError(
                f"{name}: rows were dropped: an array selected by a condition, as in x[x > 50], has fewer rows than "
                "the dataset; keep every row, as in da.where(x > 50, x, nan)"
            )
        raise ValueError(
            f"{name}: Dask does not know how many rows the blocks have: some may have been added or dropped; call "
            "compute_chunk_sizes() on the array to find out"
        )

    def _selects(self, key: Key) -> bool:
        """Return whether a task takes rows by a condition, which is a second array."""
        return key_split(key).startswith("getitem") and len(self.dependencies[key]) > 1

    def _culprit(self, key: Key, block: int) -> str:
        """Return the name of the operation that needs another chunk, the one nearest to the source."""
        nearest = joining = key
        while self._chunk_of(key) is None:
            reach = self._reach(key)
            nearest, joining = key, key if len(reach) > 1 else joining
            key = next(k for k in self.dependencies[key] if self._reach(k) - {block})
        return str(key_split(joining if len(self._reach(joining)) > 1 else nearest))


@dataclass(frozen=True, slots=True)
class ChunkExpression:
    """The expressions of one chunk: a small graph that travels to the worker.

    Attributes
    ----------
    results : tuple of (name, key)
    made : tuple of Field
    sources : tuple of DatasetArray
    tasks : mapping
    chunk : int
    place : str
        The chunk, its files and rows, for messages.
    """

    results: tuple[tuple[str, Key], ...]
    made: tuple[Field, ...]
    sources: tuple[DatasetArray, ...]
    tasks: Mapping[Key, Any]
    chunk: int
    place: str

    @property
    def whole_chunk(self) -> bool:
        """A block of a Dask array is a whole chunk."""
        return True

    @property
    def scratch_row_bytes(self) -> int:
        """A float64 of an intermediate result."""
        return 8

    @property
    def table_bytes(self) -> int:
        """It has no tables."""
        return 0

    def columns(self) -> Sequence[Need]:
        """Return the columns of every source, one source after the other."""
        return [Need(column, "numeric") for source in self.sources for column in source.columns]

    def fields(self) -> Sequence[Field]:
        """Return a column for each expression."""
        return self.made

    def check(self, fields: Sequence[pa.Field]) -> Sequence[str]:  # noqa: ARG002 - any block function has them
        """Return nothing: the columns were checked when their array was made."""
        return []

    def describe(self) -> None:
        """Return ``None``: the whole expression is described, not its parts."""

    def block(self, columns: Sequence[pa.Array]) -> Values:
        """Return the results for the columns of one chunk; ``nan`` counts the rows with a NaN in any.

        Raises
        ------
        FunctionError
            A function in an expression raised an error, or returned values of another kind than its array has.
        ValueError
            A result does not have one value for each row.
        """
        rows = len(columns[0]) if columns else None
        pairs = zip(self.results, self._computed(columns), strict=True)
        values = [self._one_a_row(name, result, rows) for (name, _), result in pairs]
        arrays = [self._declared(found, field) for found, field in zip(values, self.made, strict=True)]
        is_nan = [np.isnan(found) for found in values if found.dtype.kind == "f"]
        return Values(tuple(arrays), nan=int(np.count_nonzero(np.logical_or.reduce(is_nan))) if is_nan else 0)

    def _computed(self, columns: Sequence[pa.Array]) -> Sequence[Any]:
        graph = dict(self.tasks)
        first = 0
        for source in self.sources:
            matrix = to_matrix([columns[first : first + len(source.columns)]], source.columns)
            graph[source.key(self.chunk)] = matrix if source.ndim == 2 else matrix[:, 0]
            first += len(source.columns)
        try:
            results: Sequence[Any] = get_sync(graph, [key for _, key in self.results])
        except MemoryError:
            raise
        except Exception as error:
            raise self._failed(error) from error
        return results

    def _failed(self, error: Exception) -> FunctionError:
        names = ", ".join(escape(name) for name, _ in self.results)
        found = escape(f"{type(error).__name__}: {error}", 500)
        return FunctionError(f"{self.place}: computing {names} raised {found}", "correct the function, or the data")

    def _declared(self, values: npt.NDArray[Any], field: Field) -> pa.Array:
        try:
            return pa.array(values, type=field.type)
        except (NotImplementedError, OverflowError, TypeError, ValueError) as error:
            raise FunctionError(
                f"{self.place}: {escape(field.name)}: the function returned values of dtype {values.dtype}, and its "
                f"array says {field.type}",
                "return numbers or booleans, of the dtype that you gave to map_blocks",
            ) from error

    def _one_a_row(self, name: str, result: npt.NDArray[Any], rows: int | None) -> npt.NDArray[Any]:
        values = np.ascontiguousarray(result).reshape(-1)
        if rows is not None and values.shape != (rows,):
            raise ValueError(
                f"{self.place}: {name}: a block of {rows:,} rows gave a result of shape {result.shape}; "
                "it must have one value a row"
            )
        return values


def _block_key(array: Array, chunk: int) -> Key:
    return (array.name, chunk, *(0 for _ in range(array.ndim - 1)))


def _check_number(name: str, array: Array, rows: tuple[int, ...]) -> None:
    """Raise if the array is known to have more or fewer rows than the dataset."""
    found, expected = sum(array.chunks[0]), sum(rows)
    if found != expected and not np.isnan(found):
        done = "added" if found > expected else "dropped"
        raise ValueError(
            f"{name}: the array has {format_count(int(found))} rows, the dataset {format_count(expected)}: "
            f"rows were {done}; keep every row of the dataset, once"
        )


def _check_array(name: str, array: Array) -> None:
    if not isinstance(array, Array):
        raise TypeError(f"{name}: {type(array).__name__} is not a Dask array")
    if array.ndim not in {1, 2} or (array.ndim == 2 and array.shape[1] != 1):
        raise ValueError(f"{name}: shape {array.shape}; write one column at a time, as in x[:, 0]")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}: dtype {array.dtype} is neither a number nor boolean")
