"""The encoded rows of a fit: a tile of them, and how coefficients are laid out.

A tile has dense columns, and columns of levels of which a row has one at most. The coefficients of one raw prediction
are, in this order: the intercept if there is one, those of the dense columns, those of the levels of each level column.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.intp]

# The fewest rows of a tile, and the most of one with few columns; between them a tile has about so many values.
TILE_ROWS = 8_192
_MOST_ROWS = 32_768
_VALUES = 1 << 20


@dataclass(frozen=True, slots=True)
class FitLayout:
    """What the coefficients of a fit are.

    Attributes
    ----------
    dense : int
        Dense columns besides the intercept.
    levels : tuple of int
        For each level column, its levels with a coefficient.
    intercept : bool
    classes : int
        2 for a binary model.
    outputs : int
        Raw predictions of a row with coefficients: 1 for a binary model. With more classes one for each class, or one
        for each but the first, which is then the reference with the raw prediction 0.
    """

    dense: int
    levels: tuple[int, ...] = ()
    intercept: bool = True
    classes: int = 2
    outputs: int = 1

    @property
    def columns(self) -> int:
        """Columns of the dense matrix: the intercept is one."""
        return self.intercept + self.dense

    @property
    def width(self) -> int:
        """Coefficients of one raw prediction."""
        return self.columns + sum(self.levels)

    @property
    def size(self) -> int:
        """Coefficients of the model."""
        return self.outputs * self.width

    @property
    def tile_rows(self) -> int:
        """Rows of a tile, from the first row of its chunk; the last tile of a chunk is shorter.

        Sums are made tile by tile, so that another number gives other bits. Many, as threads that work on small arrays
        mostly wait for each other between them; fewer of many columns, for the memory.
        """
        return min(_MOST_ROWS, max(TILE_ROWS, 1 << ((_VALUES // max(1, self.columns)).bit_length() - 1)))

    @property
    def starts(self) -> tuple[int, ...]:
        """For each level column, where its coefficients begin."""
        return tuple(accumulate(self.levels, initial=self.columns))[:-1]


@dataclass(frozen=True, slots=True, eq=False)
class LevelColumn:
    """A level of each row, or none.

    Attributes
    ----------
    codes : ndarray of intp, shape (rows,)
        Positions of the levels, -1 where a row has none with a coefficient.
    values : ndarray of float64, shape (rows,), or None
        What the coefficient is multiplied by; ``None`` for 1.
    """

    codes: Codes
    values: Floats | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """Rows that are fitted, at most :attr:`FitLayout.tile_rows` of them. Nothing in them is missing or infinite.

    Attributes
    ----------
    dense : ndarray of float64, shape (rows, columns), Fortran-ordered
        The first column is 1 where there is an intercept. Numbers are centred and scaled.
    levels : tuple of LevelColumn
    classes : ndarray of intp, shape (rows,)
        The class of each row; of a binary model 1 is the positive one.
    weights : ndarray of float64, shape (rows,), or None
        ``None`` for 1. 0 is allowed.
    offset : ndarray of float64, shape (rows,), or None
        Added to the raw prediction of a binary model; added to all of several classes it would change nothing.
    folds : ndarray of int8, shape (rows,), or None
        The fold of each row from 0, -1 for a row that is held out; ``None`` if there are neither.
    groups : ndarray of intp, shape (rows,), or None
        The group of each row, for errors that are robust within groups: a number of the whole run.
    """

    dense: Floats
    levels: tuple[LevelColumn, ...]
    classes: Codes
    weights: Floats | None = None
    offset: Floats | None = None
    folds: npt.NDArray[np.int8] | None = None
    groups: Codes | None = None

    @property
    def rows(self) -> int:
        """How many rows."""
        return len(self.classes)


@dataclass(frozen=True, slots=True, eq=False)
class Scaling:
    """How the dense columns of tiles are made of columns in their own units: ``(value - center) / scale``.

    Both have shape (dense,); the intercept and the levels are as they are.
    """

    centers: Floats
    scales: Floats
