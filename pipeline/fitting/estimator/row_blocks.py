"""Rows that a caller has, in blocks: something is computed of each block, and combined in a fixed tree.

Blocks are cut where the rows lie: a number of tiles of rows in memory, a block or partition of a Dask collection. A
block is a task by itself, and rows of different blocks never meet, so that memory holds as many blocks as run at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from functools import partial
from typing import Any, Protocol, Self, TypeVar
from uuid import uuid4

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import TILE_ROWS
from pipeline.scan import ReduceTree

Payload = TypeVar("Payload")
Matrix = npt.NDArray[Any]

# Tiles of a block of rows in memory: enough that a task costs nothing, and few enough that two threads share
# a million rows.
BLOCK_TILES = 16
# Of so many rows one is in a sample.
_SAMPLED = 16


@dataclass(frozen=True, slots=True, eq=False)
class RowBlock:
    """Rows as a caller has them.

    Attributes
    ----------
    features : ndarray, SciPy sparse matrix, dataframe or Arrow table of shape (rows, features)
    target : array of shape (rows,), or None
    weights : array of shape (rows,), or None
        ``None`` for 1.
    """

    features: Any
    target: Any = None
    weights: Any = None

    @property
    def rows(self) -> int:
        """How many rows."""
        return int(self.features.shape[0])


class Blocks(Protocol):
    """Rows in blocks."""

    def fold(
        self, compute: Callable[[RowBlock], Payload], combine: Callable[[Payload, Payload], Payload]
    ) -> Payload | None:
        """Return what is computed of each block, combined in a fixed tree; ``None`` without a block.

        ``compute`` can be pickled. ``combine`` may change and return its first argument.
        """
        ...

    def sample(self) -> Self | None:
        """Return a sixteenth of the rows, where there are enough of them that it pays to look at these first."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class MemoryBlocks:
    """Rows in memory.

    Attributes
    ----------
    block : RowBlock
        All rows.
    threads : int
        How many blocks are worked on at once; never changes a bit.
    """

    block: RowBlock
    threads: int = 1

    def fold(
        self, compute: Callable[[RowBlock], Payload], combine: Callable[[Payload, Payload], Payload]
    ) -> Payload | None:
        """Return what is computed of each block, combined in a fixed tree."""
        rows = BLOCK_TILES * TILE_ROWS
        starts = range(0, self.block.rows, rows)
        tree: ReduceTree[Payload] = ReduceTree(len(starts), combine)
        calls = [partial(self._computed, compute, start, start + rows) for start in starts]
        if self.threads == 1 or len(calls) == 1:
            for number, call in enumerate(calls):
                tree.add(number, call())
        else:
            _add_by_threads(calls, tree, self.threads)
        return tree.total()

    def sample(self) -> Self | None:
        """Return every sixteenth row; ``None`` where that makes less than two tiles of the smallest size."""
        whole = self.block
        if whole.rows < 2 * TILE_ROWS * _SAMPLED:
            return None
        target = None if whole.target is None else whole.target[::_SAMPLED]
        weights = None if whole.weights is None else whole.weights[::_SAMPLED]
        return type(self)(RowBlock(_every(whole.features, _SAMPLED), target, weights), self.threads)

    def _computed(self, compute: Callable[[RowBlock], Payload], start: int, stop: int) -> Payload:
        whole = self.block
        target = None if whole.target is None else whole.target[start:stop]
        weights = None if whole.weights is None else whole.weights[start:stop]
        return compute(RowBlock(rows_of(whole.features, start, stop), target, weights))


def _add_by_threads(calls: Sequence[Callable[[], Payload]], tree: ReduceTree[Payload], threads: int) -> None:
    """Add what calls return, in their order; no more results wait than there are threads."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[Payload]] = deque()
        for number, call in enumerate(calls):
            waiting.append(pool.submit(call))
            if len(waiting) > threads:
                tree.add(number - threads, waiting.popleft().result())
        for number, future in enumerate(waiting, len(calls) - len(waiting)):
            tree.add(number, future.result())


@dataclass(frozen=True, slots=True, eq=False)
class DaskBlocks:
    """Rows of Dask collections: each block is a task, and its payload the only thing that leaves it.

    A pass is a graph of its own. It is made of plain tasks, as Dask's own ways to join collections take a time that
    grows with the square of the blocks.

    Attributes
    ----------
    graph : mapping
        What the blocks are made by.
    features, target : sequence of keys
        A block each, in the order of the rows.
    weights : sequence of keys, or None
    """

    graph: Mapping[Any, Any]
    features: Sequence[Any]
    target: Sequence[Any]
    weights: Sequence[Any] | None = None

    @classmethod
    def of(cls, features: Any, target: Any, weights: Any = None) -> DaskBlocks:
        """Return the blocks of collections; target and weights may also be arrays in memory, one for each block."""
        graph: dict[Any, Any] = {}
        keys_of_weights = None if weights is None else _into(graph, weights)
        return cls(graph, _into(graph, features), _into(graph, target), keys_of_weights)

    def sample(self) -> Self | None:
        """Return every sixteenth block; ``None`` where that makes less than two."""
        if len(self.features) < 2 * _SAMPLED:
            return None
        place = slice(_SAMPLED // 2, None, _SAMPLED)
        weights = None if self.weights is None else self.weights[place]
        return type(self)(self.graph, self.features[place], self.target[place], weights)

    def fold(
        self, compute: Callable[[RowBlock], Payload], combine: Callable[[Payload, Payload], Payload]
    ) -> Payload | None:
        """Return what is computed of each block, combined in a fixed tree, on the scheduler that Dask has."""
        from dask.delayed import Delayed  # noqa: PLC0415 - Dask is here, since the rows are

        if not self.features:
            return None
        name = f"logitstream-pass-{uuid4().hex}"
        graph = {**self.graph, (name, "compute"): compute, (name, "combine"): partial(_joined, combine)}
        weights = [None] * len(self.features) if self.weights is None else self.weights
        found = []
        for number, keys in enumerate(zip(self.features, self.target, weights, strict=True)):
            graph[name, 0, number] = (_carried_out, (name, "compute"), *keys)
            found.append((name, 0, number))
        level = 0
        while len(found) > 1:
            level += 1
            pairs = [found[start : start + 2] for start in range(0, len(found), 2)]
            found = [(name, level, number) if len(pair) == 2 else pair[0] for number, pair in enumerate(pairs)]
            graph |= {
                key: (_called, (name, "combine"), *pair)
                for key, pair in zip(found, pairs, strict=True)
                if len(pair) == 2
            }
        total: Payload = Delayed(found[0], graph).compute()
        return total


def _into(graph: dict[Any, Any], blocks: Any) -> Sequence[Any]:
    """Add what makes blocks to a graph, and return their keys."""
    from dask.base import optimize  # noqa: PLC0415 - Dask is here, since the rows are
    from dask.core import flatten  # noqa: PLC0415 - as above

    if hasattr(blocks, "__dask_graph__"):
        # Of a dataframe the general function (Dask 2026.8) returns other columns.
        kept = blocks.optimize() if hasattr(blocks, "optimize") else optimize(blocks)[0]
        graph.update(kept.__dask_graph__())
        return list(flatten(kept.__dask_keys__()))
    name = f"logitstream-rows-{uuid4().hex}"
    keys = [(name, place) for place in range(len(blocks))]
    graph.update(zip(keys, blocks, strict=True))
    return keys


def _carried_out(compute: Callable[[RowBlock], Payload], features: Any, target: Any, weights: Any) -> Payload:
    return compute(RowBlock(features, target, weights))


def _called(function: Callable[..., Payload], *arguments: Any) -> Payload:
    return function(*arguments)


def _joined(combine: Callable[[Payload, Payload], Payload], left: Payload, right: Payload) -> Payload:
    # What a task gets may be needed again, where a worker dies.
    return combine(deepcopy(left), right)


def rows_of(features: Any, start: int, stop: int) -> Any:
    """Return some rows of features, of the same kind; a view where there can be one."""
    if isinstance(features, pa.Table | pa.RecordBatch):
        return features.slice(start, stop - start)
    # pandas takes a slice in brackets for one of its index.
    return features.iloc[start:stop] if hasattr(features, "iloc") else features[start:stop]


def _every(features: Any, step: int) -> Any:
    """Return every so many rows of features."""
    if isinstance(features, pa.Table | pa.RecordBatch):
        return features.take(np.arange(0, features.num_rows, step))
    return features.iloc[::step] if hasattr(features, "iloc") else features[::step]


def is_sparse(features: Any) -> bool:
    """Tell whether features are a SciPy sparse matrix."""
    return hasattr(features, "toarray") and hasattr(features, "tocsr")


def matrix_of(features: Any) -> Matrix:
    """Return features as a matrix of numbers, shape (rows, features); nulls are NaN.

    Raises
    ------
    ValueError, TypeError
        A column cannot be read as numbers.
    """
    if isinstance(features, np.ndarray):
        return features
    if is_sparse(features):
        return np.asarray(features.toarray(order="F"))
    if isinstance(features, pa.Table | pa.RecordBatch):
        # Booleans and decimals with nulls would be objects.
        columns = [column.cast(pa.float64(), safe=False) for column in features.columns]
        return _of_columns([column.to_numpy(zero_copy_only=False) for column in columns], features.num_rows)
    if hasattr(features, "iloc"):
        return np.asarray(features.to_numpy(dtype=np.float64, na_value=np.nan))
    # As above.
    return np.asarray(features.cast(float).to_numpy())


def _of_columns(columns: Sequence[Matrix], rows: int) -> Matrix:
    matrix = np.empty((rows, len(columns)), order="F")
    for position, column in enumerate(columns):
        matrix[:, position] = column
    return matrix
