"""Used rows gathered into tiles, so that what is summed inside a tile does not depend on batches."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.evaluation.states import TILE_ROWS, ScoredTile

# A tile of two classes and one model has all rows of a chunk of the usual size: its table is then made at once.
_TILE_BYTES = 1 << 25
_FEWEST_ROWS = 1 << 16
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]
AnyArray = npt.NDArray[Any]


def taken(array: AnyArray, rows: slice | npt.NDArray[np.intp]) -> AnyArray:
    """Return some rows, the last axis of an array; places are copied class by class, so that each class is in a row."""
    return array[..., rows] if isinstance(rows, slice) else np.take(array, rows, axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class UsedRows:
    """Rows that are evaluated. The rows are the last axis of each array.

    Attributes
    ----------
    scores : tuple of (ndarray of float64, or None)
        One for each model; ``None`` where rows are ranked by the probability.
    probabilities, losses : tuple of ndarray of float64
    codes : ndarray of intp, shape (rows,)
    weights : ndarray of float64, or None
    groups : tuple of ndarray of intp
        For each column that makes groups the number of the value, -1 where it is missing.
    """

    scores: tuple[Floats | None, ...]
    probabilities: tuple[Floats, ...]
    losses: tuple[Floats, ...]
    codes: Codes
    weights: Floats | None
    groups: tuple[Codes, ...]

    def arrays(self) -> list[AnyArray]:
        """Return every array."""
        scores = [each for each in self.scores if each is not None]
        weights = [] if self.weights is None else [self.weights]
        return [*scores, *self.probabilities, *self.losses, self.codes, *weights, *self.groups]

    def with_arrays(self, arrays: Sequence[AnyArray]) -> UsedRows:
        """Return rows of the same layout, with the arrays that :meth:`arrays` returns of them."""
        left = iter(arrays)
        return UsedRows(
            scores=tuple(None if each is None else next(left) for each in self.scores),
            probabilities=tuple(next(left) for _ in self.probabilities),
            losses=tuple(next(left) for _ in self.losses),
            codes=next(left),
            weights=None if self.weights is None else next(left),
            groups=tuple(left),
        )

    def of_rows(self, rows: slice | Codes) -> UsedRows:
        """Return some of the rows: a slice, or places."""
        return self.with_arrays([taken(array, rows) for array in self.arrays()])

    def tile(self) -> ScoredTile:
        """Return the rows as a state takes them."""
        pairs = zip(self.scores, self.probabilities, strict=True)
        return ScoredTile(
            scores=tuple(probability if score is None else score for score, probability in pairs),
            probabilities=self.probabilities,
            losses=self.losses,
            codes=self.codes,
            weights=self.weights,
        )


def tile_rows(row_bytes: int) -> int:
    """Return how many rows a tile has, of which each takes so many bytes."""
    fitting = max(_FEWEST_ROWS, _TILE_BYTES // max(1, row_bytes))
    return min(TILE_ROWS, 1 << (fitting.bit_length() - 1))


class TileBuffer:
    """Gathers the used rows of a chunk into tiles, whatever the batches are. For one thread.

    Parameters
    ----------
    made : int
        The bytes of a row that are made from a tile and live as long as it.
    """

    def __init__(self, made: int = 0) -> None:
        self._made = made
        self._held: UsedRows | None = None
        self._rows = self._most = 0

    def add(self, rows: UsedRows) -> Iterator[UsedRows]:
        """Add rows, and yield each tile that is full. Its arrays are valid until the next one is asked for."""
        if self._held is None:
            arrays = rows.arrays()
            self._most = tile_rows(self._made + sum(array.itemsize * math.prod(array.shape[:-1]) for array in arrays))
            # Pages that are never written to take no memory.
            empty = [np.empty((*array.shape[:-1], self._most), array.dtype) for array in arrays]
            self._held = rows.with_arrays(empty)
        start, count = 0, len(rows.codes)
        while start < count:
            taken = min(count - start, self._most - self._rows)
            for held, array in zip(self._held.arrays(), rows.arrays(), strict=True):
                held[..., self._rows : self._rows + taken] = array[..., start : start + taken]
            start, self._rows = start + taken, self._rows + taken
            if self._rows == self._most:
                yield from self.rest()

    def rest(self) -> Iterator[UsedRows]:
        """Yield the rows that are left, if there are any."""
        if self._held is not None and self._rows:
            yield self._held.of_rows(slice(0, self._rows))
        self._rows = 0
