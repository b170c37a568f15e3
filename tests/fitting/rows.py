"""Rows for tests: tiles, and the same rows as one matrix."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from pipeline.fitting.tiles.layout import Codes, FitLayout, Floats, LevelColumn, Tile


@dataclass
class Rows:
    """Rows of a fit: numbers, levels (codes, values) and what else a tile has."""

    x: Floats
    y: npt.NDArray[np.int_]
    levels: list[tuple[Codes, Floats | None]] = field(default_factory=list)
    counts: tuple[int, ...] = ()
    weights: Floats | None = None
    offset: Floats | None = None
    folds: npt.NDArray[np.int8] | None = None
    groups: Codes | None = None
    classes: int = 2
    outputs: int = 1
    intercept: bool = True

    @property
    def layout(self) -> FitLayout:
        return FitLayout(self.x.shape[1], self.counts, self.intercept, self.classes, self.outputs)

    def tiles(self, rows: int | None = None) -> list[Tile]:
        ones = [np.ones((len(self.y), 1))] if self.intercept else []
        dense = np.hstack([*ones, self.x])
        rows = rows or self.layout.tile_rows

        def cut(values: npt.NDArray | None, first: int) -> npt.NDArray | None:
            return None if values is None else values[first : first + rows]

        return [
            Tile(
                np.asfortranarray(dense[first : first + rows]),
                tuple(LevelColumn(codes[first : first + rows], cut(values, first)) for codes, values in self.levels),
                self.y[first : first + rows].astype(np.intp),
                cut(self.weights, first),
                cut(self.offset, first),
                cut(self.folds, first),
                cut(self.groups, first),
            )
            for first in range(0, len(self.y), rows)
        ]

    def matrix(self) -> Floats:
        """The rows as one matrix with a column for each coefficient of an output."""
        parts = [np.ones((len(self.y), 1))] if self.intercept else []
        parts.append(self.x)
        for (codes, values), count in zip(self.levels, self.counts, strict=True):
            hot = np.zeros((len(self.y), count + 1))
            hot[np.arange(len(self.y)), codes] = 1.0 if values is None else values
            parts.append(hot[:, :count])
        return np.hstack(parts)


def binary(rng: np.random.Generator, rows: int, coefficients: list[float], intercept: float = 0.0) -> Rows:
    """Independent normal columns, and a target that has these coefficients."""
    x = rng.normal(size=(rows, len(coefficients)))
    y = rng.random(rows) < 1.0 / (1.0 + np.exp(-(x @ coefficients + intercept)))
    return Rows(x, y.astype(np.intp))
