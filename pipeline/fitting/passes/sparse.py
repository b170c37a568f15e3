"""Products with the matrix of rows that are mostly zeros: SciPy's, on what is not zero.

Columns are centred and scaled without filling in the zeros: with C the centers, S the scales and X the rows, the matrix
of the fit is (X - 1 C') S^-1, so that each product is one with X, less what the centers add.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipeline.fitting.passes.blocks import TileProducts
from pipeline.fitting.tiles.layout import FitLayout, Floats, Scaling, Tile


class SparseProducts(TileProducts):
    """Products with the matrix of some rows.

    Parameters
    ----------
    layout : FitLayout
        Without level columns.
    tile : Tile
        Of any number of rows, without dense columns.
    rows : SciPy sparse matrix, shape (rows, dense columns of the layout)
    scaling : Scaling
    """

    def __init__(self, layout: FitLayout, tile: Tile, rows: Any, scaling: Scaling) -> None:
        super().__init__(layout, tile)
        self._rows = rows
        self._scaling = scaling

    def raw(self, coefficients: Floats) -> Floats:
        """Return the matrix times coefficients of shape (outputs, width): shape (outputs, rows)."""
        start = int(self.layout.intercept)
        own = coefficients[:, start:] / self._scaling.scales
        raw = np.asarray(self._rows @ own.T, dtype=np.float64).T
        constants = -(own @ self._scaling.centers)
        if start:
            constants += coefficients[:, 0]
        return np.ascontiguousarray(raw + constants[:, np.newaxis])

    def summed(self, rows: Floats, *, squared: bool = False) -> Floats:
        """Return numbers of shape (outputs, rows) times the matrix, or times its squares: shape (outputs, width)."""
        start = int(self.layout.intercept)
        centers, scales = self._scaling.centers, self._scaling.scales
        result = np.empty((len(rows), self.layout.width))
        total = rows.sum(axis=1)[:, np.newaxis]
        if start:
            result[:, :1] = total
        found = np.asarray(self._rows.T @ rows.T, dtype=np.float64).T
        if squared:
            squares = np.asarray(self._rows.power(2).T @ rows.T, dtype=np.float64).T
            result[:, start:] = (squares - 2 * centers * found + centers**2 * total) / scales**2
        else:
            result[:, start:] = (found - centers * total) / scales
        return result

    def square(self, root: Floats, scratch: Floats) -> tuple[Floats, Floats]:
        """Return nothing, as there are no level columns, and the sum of the squares of the weighted rows."""
        start = int(self.layout.intercept)
        centers, scales = self._scaling.centers, self._scaling.scales
        weights = root * root
        # Sorted by rows, so that the products of each row are added in the order of the rows.
        weighted = self._rows.multiply(root[:, np.newaxis]).tocsr()
        found = (weighted.T @ weighted).toarray()
        sums = np.asarray(self._rows.T @ weights, dtype=np.float64)
        total = float(weights.sum())
        square = np.empty((self.layout.columns, self.layout.columns))
        mixed = np.outer(centers, sums)
        inner = found - mixed - mixed.T + total * np.outer(centers, centers)
        square[start:, start:] = inner / np.outer(scales, scales)
        if start:
            square[0, 0] = total
            square[0, 1:] = square[1:, 0] = (sums - total * centers) / scales
        return scratch[:, :0], square
