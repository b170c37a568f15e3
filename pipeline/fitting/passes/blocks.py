"""Products with the matrix of a tile, which is never built: dense columns are multiplied, levels are looked up.

They are made by ``numpy.dot``: the operator ``@`` keeps the interpreter's lock while BLAS works (NumPy 2.4), so that
threads wait for each other.

X has the dense columns and, for each level column, one column for each level that is 1, or the value of the row, in the
rows of that level. X'WX falls into blocks: dense by dense is one symmetric product, level by dense a sum by level for
each dense column, level by level of one column a diagonal, of two columns a sum by pairs of levels.
"""

from __future__ import annotations

from functools import cached_property
from itertools import combinations

import numpy as np

from pipeline.fitting.passes.likelihood import RowLabels
from pipeline.fitting.tiles.layout import TILE_ROWS, Codes, FitLayout, Floats, Tile


class TileProducts:
    """Products with the matrix of one tile. What several points share is made once."""

    def __init__(self, layout: FitLayout, tile: Tile) -> None:
        self.layout = layout
        self.tile = tile

    @cached_property
    def codes(self) -> tuple[Codes, ...]:
        """The levels of each level column, from 1; 0 where a row has none with a coefficient."""
        return tuple(column.codes + 1 for column in self.tile.levels)

    @cached_property
    def labels(self) -> RowLabels:
        """The classes of the rows."""
        return RowLabels.of(self.tile.classes)

    @cached_property
    def weights(self) -> Floats:
        """The weights of the rows."""
        return np.ones(self.tile.rows) if self.tile.weights is None else self.tile.weights

    def valued(self, number: int, rows: Floats) -> Floats:
        """Return numbers of the rows times the values of a level column."""
        values = self.tile.levels[number].values
        return rows if values is None else rows * values

    def raw(self, coefficients: Floats) -> Floats:
        """Return the matrix times coefficients of shape (outputs, width): shape (outputs, rows)."""
        columns = self.layout.columns
        raw: Floats = np.dot(coefficients[:, :columns], self.tile.dense.T)
        for number, (start, count) in enumerate(zip(self.layout.starts, self.layout.levels, strict=True)):
            for output, own in enumerate(coefficients[:, start : start + count]):
                found = np.concatenate([[0.0], own]).take(self.codes[number], mode="clip")
                raw[output] += self.valued(number, found)
        return raw

    def summed(self, rows: Floats, *, squared: bool = False) -> Floats:
        """Return numbers of shape (outputs, rows) times the matrix, or times its squares: shape (outputs, width)."""
        result = np.empty((len(rows), self.layout.width))
        dense = self.tile.dense
        result[:, : self.layout.columns] = np.dot(rows, dense * dense if squared else dense)
        for number, (start, count) in enumerate(zip(self.layout.starts, self.layout.levels, strict=True)):
            for output, own in enumerate(rows):
                valued = self.valued(number, own)
                valued = self.valued(number, valued) if squared else valued
                result[output, start : start + count] = self.by_level(number, valued)[1:]
        return result

    def square(self, root: Floats, scratch: Floats) -> tuple[Floats, Floats]:
        """Return the dense columns times the roots of weights, in ``scratch``, and the products of these with another.

        Shapes (columns, rows) and (columns, columns).
        """
        scaled = scratch[:, : len(root)]
        np.multiply(self.tile.dense.T, root, out=scaled)
        # The same array twice, once transposed: half the work, as BLAS is asked for one triangle.
        return scaled, np.dot(scaled, scaled.T)

    def by_level(self, number: int, rows: Floats) -> Floats:
        """Return numbers of the rows, summed for each level from 0, which is none."""
        return level_sums(self.codes[number], rows, self.layout.levels[number] + 1)

    def pairs(self, one: int, other: int) -> Codes:
        """Return the position of the pair of levels of each row, in a table of the levels of both columns."""
        if (one, other) not in self._pairs:
            self._pairs[one, other] = self.codes[one] * (self.layout.levels[other] + 1) + self.codes[other]
        return self._pairs[one, other]

    @cached_property
    def _pairs(self) -> dict[tuple[int, int], Codes]:
        return {}


class SymmetricBlocks:
    """X'WX summed over tiles, by blocks.

    Memory: at most the square of the coefficients of one output.
    """

    def __init__(self, layout: FitLayout) -> None:
        self._layout = layout
        counts = [count + 1 for count in layout.levels]
        self._dense = np.zeros((layout.columns, layout.columns))
        self._mixed = [np.zeros((layout.columns, count)) for count in counts]
        self._diagonals = [np.zeros(count) for count in counts]
        self._pairs = {
            (one, other): np.zeros(counts[one] * counts[other]) for other, one in combinations(range(len(counts)), 2)
        }

    def add(self, products: TileProducts, weights: Floats, scratch: Floats) -> None:
        """Add a tile, with weights of its rows that are not negative. ``scratch`` is as large as the dense part."""
        root = np.sqrt(weights)
        scaled, square = products.square(root, scratch)
        self._dense += square
        for number in range(len(self._mixed)):
            self._add_level(products, number, weights, scaled, root)

    def add_signed(self, products: TileProducts, weights: Floats) -> None:
        """Add a tile, with weights of its rows of any sign."""
        scaled = products.tile.dense.T * weights
        self._dense += np.dot(scaled, products.tile.dense)
        for number in range(len(self._mixed)):
            self._add_level(products, number, weights, scaled, np.ones(len(weights)))

    def _add_level(self, products: TileProducts, number: int, weights: Floats, scaled: Floats, factor: Floats) -> None:
        """Add the blocks of a level column: with the dense columns, with itself, and with the columns before it."""
        mixed = self._mixed[number]
        own = products.valued(number, factor)
        for column, dense in enumerate(scaled):
            mixed[column] += products.by_level(number, dense * own)
        valued = products.valued(number, weights)
        self._diagonals[number] += products.by_level(number, products.valued(number, valued))
        for other in range(number):
            _add_at(self._pairs[number, other], products.pairs(number, other), products.valued(other, valued))

    def square(self) -> Floats:
        """Return the sum as a symmetric matrix of shape (width, width)."""
        layout = self._layout
        square = np.zeros((layout.width, layout.width))
        columns = slice(0, layout.columns)
        square[columns, columns] = self._dense
        places = [slice(start, start + count) for start, count in zip(layout.starts, layout.levels, strict=True)]
        for number, place in enumerate(places):
            square[place, columns] = self._mixed[number][:, 1:].T
            square[columns, place] = self._mixed[number][:, 1:]
            positions = np.arange(place.start, place.stop)
            square[positions, positions] = self._diagonals[number][1:]
        for (one, other), table in self._pairs.items():
            block = table.reshape(layout.levels[one] + 1, -1)[1:, 1:]
            square[places[one], places[other]] = block
            square[places[other], places[one]] = block.T
        return square


def _add_at(table: Floats, places: Codes, rows: Floats) -> None:
    """Add numbers of rows to their places of a table; one that is larger than a tile is not summed apart first."""
    if len(table) > TILE_ROWS:
        np.add.at(table, places, rows)
    else:
        table += level_sums(places, rows, len(table))


def level_sums(places: Codes, rows: Floats, count: int) -> Floats:
    """Return numbers of the rows, summed for each of some places."""
    return np.bincount(places, weights=rows, minlength=count).astype(np.float64, copy=False)


def pack(blocks: dict[tuple[int, int], Floats], layout: FitLayout) -> Floats:
    """Return the lower triangle, row by row, of the matrix whose block of two outputs is given; the later one first."""
    packed = np.empty(layout.size * (layout.size + 1) // 2)
    width = layout.width
    for (one, other), block in blocks.items():
        for row in range(width):
            position = one * width + row
            start = position * (position + 1) // 2 + other * width
            count = row + 1 if one == other else width
            packed[start : start + count] = block[row, :count]
    return packed


def unpack(packed: Floats, size: int) -> Floats:
    """Return the symmetric matrix whose lower triangle is given row by row."""
    matrix = np.empty((size, size))
    start = 0
    for row in range(size):
        matrix[row, : row + 1] = packed[start : start + row + 1]
        matrix[:row, row] = packed[start : start + row]
        start += row + 1
    return matrix
