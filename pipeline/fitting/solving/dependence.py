"""Columns that are combinations of columns before them, found in a Gram matrix.

The matrix is brought to a unit diagonal, and swept in the order of the columns, as Cholesky's factorisation does it
(Golub and Van Loan, Matrix Computations, section 4.2): what is left of the diagonal of a column is the share of it that
the columns before it do not explain. Rounding leaves about 1e-15 of an exact combination; a correlation of 0.999999
leaves 2e-6.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from pipeline.fitting.passes.points import PassSums, Point
from pipeline.fitting.solving.objective import Objective
from pipeline.fitting.tiles.layout import FitLayout, Floats, Tile

# The unexplained share at or below which a column is a combination of others.
UNEXPLAINED = 1e-11
# Factors of a combination below this, on columns of unit length, are rounding.
_NEGLIGIBLE = 1e-5

# What a combination may leave of a column in a row, in deviations of the column.
_RESIDUAL = 1e-6
# So many columns have a Gram matrix of 32 MB.
_MOST_DENSE = 2_000

Combination = tuple[tuple[int, float], ...]


def dependent(gram: Floats, able: npt.NDArray[np.bool_]) -> dict[int, Combination]:
    """Return the columns that others before them explain, each with the positions and factors of those.

    Parameters
    ----------
    gram : ndarray, shape (columns, columns)
        Products of the columns, with weights that are positive.
    able : ndarray of bool, shape (columns,)
        Which columns may be dropped; the others explain, and are kept.

    Returns
    -------
    dict of int to tuple of (int, float)
        No factors for a column that is 0 in every row.
    """
    lengths = np.sqrt(np.diag(gram))
    nothing = lengths <= 0.0
    safe = np.where(nothing, 1.0, lengths)
    unit = gram / np.outer(safe, safe)
    kept = _kept(unit, able & ~nothing)
    found: dict[int, Combination] = {int(column): () for column in np.flatnonzero(nothing & able)}
    for column in np.flatnonzero(~kept & ~nothing):
        before = np.flatnonzero(kept[:column] & ~nothing[:column])
        factors = np.linalg.lstsq(unit[np.ix_(before, before)], unit[before, column], rcond=None)[0]
        large = np.abs(factors) > _NEGLIGIBLE
        scaled = factors * lengths[column] / lengths[before]
        found[int(column)] = tuple(zip(before[large].tolist(), scaled[large].tolist(), strict=True))
    return dict(sorted(found.items()))


def _kept(unit: Floats, able: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Return which columns are kept, of a Gram matrix with a unit diagonal."""
    count = len(unit)
    kept = np.ones(count, dtype=bool)
    if _is_clear(unit):
        return kept
    factor = np.zeros((count, count))
    rank = 0
    for column in range(count):
        rest = unit[column:, column] - factor[column:, :rank] @ factor[column, :rank]
        if rest[0] <= UNEXPLAINED:
            kept[column] = not able[column]
            continue
        factor[column:, rank] = rest / np.sqrt(rest[0])
        rank += 1
    return kept


def _is_clear(unit: Floats) -> bool:
    """Whether LAPACK finds no column that is nearly a combination of those before it."""
    try:
        return bool((np.diag(np.linalg.cholesky(unit)) ** 2).min(initial=1.0) > UNEXPLAINED)
    except np.linalg.LinAlgError:
        return False


def suspects(tiles: Iterable[Tile], layout: FitLayout, able: npt.NDArray[np.bool_]) -> dict[int, Combination]:
    """Return the dense columns that other dense ones explain in the rows of some tiles; none where they are many."""
    if not 0 < layout.columns <= _MOST_DENSE:
        return {}
    gram = np.zeros((layout.columns, layout.columns))
    for tile in tiles:
        gram += np.dot(tile.dense.T, tile.dense)
    may_go = able[: layout.columns].copy()
    may_go[: layout.intercept] = False
    return dependent(gram, may_go)


def residual_points(layout: FitLayout, combinations: Mapping[int, Combination]) -> Iterator[Point]:
    """Yield where a pass finds the extremes of what each combination leaves of its column."""
    zeros = np.zeros((layout.outputs, layout.width))
    for column, parts in combinations.items():
        step = zeros.copy()
        step[0, column] = 1.0
        for other, factor in parts:
            step[0, other] -= factor
        yield Point(zeros, 0, step=step)


def is_zero(sums: PassSums) -> bool:
    """Return whether a combination leaves nothing of its column, in any row."""
    return max(abs(sums.smallest), abs(sums.largest)) <= _RESIDUAL


def without(objective: Objective, columns: Iterable[int]) -> Objective:
    """Return an objective in which the coefficients of some columns stay 0."""
    fixed = np.zeros(objective.layout.width, dtype=bool) if objective.fixed is None else objective.fixed.copy()
    fixed[list(columns)] = True
    return replace(objective, fixed=fixed)


def handed_over(values: Floats, found: Mapping[int, Combination]) -> Floats:
    """Return coefficients, of shape (outputs, width), with those of columns given to the columns that explain them.

    No raw prediction changes.
    """
    values = values.copy()
    for column, combination in found.items():
        for other, factor in combination:
            values[:, other] += factor * values[:, column]
        values[:, column] = 0.0
    return values
