"""Rows that a network learns from: numbers, and levels as codes until a batch needs them one-hot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.first_pass.dividing import HELD_OUT
from pipeline.fitting.tiles.layout import Codes, FitLayout, Floats, Tile


@dataclass(frozen=True, slots=True, eq=False)
class LearningRows:
    """Rows of a chunk that are fitted, without the ones that are held out.

    Attributes
    ----------
    numbers : ndarray of float64, shape (rows, numbers)
    levels : ndarray of int32, shape (rows, level columns)
        The code of each level, -1 for none.
    classes : ndarray of intp, shape (rows,)
    weights, offset : ndarray of float64, shape (rows,), or None
    """

    numbers: Floats
    levels: npt.NDArray[np.int32]
    classes: Codes
    weights: Floats | None
    offset: Floats | None = None

    def __len__(self) -> int:
        return len(self.classes)

    def taken(self, rows: Codes | slice) -> LearningRows:
        """Return some of the rows."""
        return LearningRows(
            self.numbers[rows],
            self.levels[rows],
            self.classes[rows],
            None if self.weights is None else self.weights[rows],
            None if self.offset is None else self.offset[rows],
        )

    def inputs(self, layout: FitLayout) -> Floats:
        """Return the inputs of a network, shape (rows, inputs): numbers, then levels one-hot."""
        made = np.zeros((len(self), layout.width - layout.intercept))
        made[:, : layout.dense] = self.numbers
        for number, start in enumerate(layout.starts):
            codes = self.levels[:, number]
            (known,) = np.nonzero(codes >= 0)
            made[known, start - layout.intercept + codes[known]] = 1.0
        return made


def joined(parts: Sequence[LearningRows]) -> LearningRows:
    """Return the rows of all parts, at least one."""
    if len(parts) == 1:
        return parts[0]
    return LearningRows(
        np.concatenate([part.numbers for part in parts]),
        np.concatenate([part.levels for part in parts]),
        np.concatenate([part.classes for part in parts]),
        _joined_numbers([part.weights for part in parts]),
        _joined_numbers([part.offset for part in parts]),
    )


def _joined_numbers(parts: Iterable[Floats | None]) -> Floats | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if known else None


def fitted_rows(tiles: Iterable[Tile], layout: FitLayout) -> LearningRows:
    """Return the rows of the tiles of a chunk that are not held out."""
    parts = [part for tile in tiles if len(part := rows_of(tile, layout, held=False))]
    return joined(parts) if parts else _none(layout)


def rows_of(tile: Tile, layout: FitLayout, *, held: bool) -> LearningRows:
    """Return a copy of the rows of a tile that are held out, or of the others."""
    is_held = np.zeros(tile.rows, dtype=np.bool_) if tile.folds is None else tile.folds == HELD_OUT
    (rows,) = np.nonzero(is_held if held else ~is_held)
    codes = [column.codes[rows].astype(np.int32) for column in tile.levels]
    return LearningRows(
        np.ascontiguousarray(tile.dense[rows, int(layout.intercept) :]),
        np.stack(codes, axis=1) if codes else np.empty((len(rows), 0), dtype=np.int32),
        tile.classes[rows],
        None if tile.weights is None else tile.weights[rows],
        None if tile.offset is None else tile.offset[rows],
    )


def pieces(rows: LearningRows, size: int) -> Iterator[LearningRows]:
    """Yield the rows in pieces of a size, the last one shorter."""
    for first in range(0, len(rows), size):
        yield rows.taken(slice(first, first + size))


def row_bytes(layout: FitLayout) -> int:
    """Return the bytes of a row."""
    return 8 * layout.dense + 4 * len(layout.levels) + 24


def _none(layout: FitLayout) -> LearningRows:
    levels = np.empty((0, len(layout.levels)), dtype=np.int32)
    return LearningRows(np.empty((0, layout.dense)), levels, np.empty(0, dtype=np.intp), None)
