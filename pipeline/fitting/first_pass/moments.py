"""Counts, means and deviations of many columns at once, tile by tile, without loss where means are large.

A tile is summed in two passes around its own mean; two parts are joined by the formula of Chan, Golub and LeVeque
(*Updating formulae and a pairwise algorithm for computing sample variances*, 1979). Means are kept as a sum of two
numbers: with a mean of 1e5 deviations, the difference of two means in one float64 would have lost five digits.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.fitting.tiles.layout import Floats

Counts = npt.NDArray[np.int64]


@dataclass(slots=True, eq=False)
class Moments:
    """What is known of the values of some columns; every array has shape (columns,).

    Attributes
    ----------
    values, missing : ndarray of int64
        Rows with a value, and rows without.
    weight : ndarray of float64
        The sum of the weights of the rows with a value.
    mean, rest : ndarray of float64
        The weighted mean is the sum of both; ``rest`` is what rounding left out of ``mean``.
    squares : ndarray of float64
        The weighted sum of the squared distances from the mean.
    smallest, largest : ndarray of float64
        Infinite where there is no value.
    """

    values: Counts
    missing: Counts
    weight: Floats
    mean: Floats
    rest: Floats
    squares: Floats
    smallest: Floats
    largest: Floats

    @classmethod
    def empty(cls, columns: int) -> Moments:
        """Return what is known before any row."""
        weight, mean, rest, squares = np.zeros((4, columns))
        values, missing = np.zeros((2, columns), dtype=np.int64)
        return cls(values, missing, weight, mean, rest, squares, np.full(columns, np.inf), np.full(columns, -np.inf))

    @classmethod
    def of(cls, tile: Floats, weights: Floats | None) -> Moments:
        """Return the moments of a tile.

        Parameters
        ----------
        tile : ndarray of float64, shape (columns, rows)
            NaN where a value is missing.
        weights : ndarray of float64, shape (rows,), or None
            ``None`` for 1.
        """
        if weights is None and np.isfinite(tile.sum()):
            return _of_plain(tile)
        return _of_weighted(tile, weights)

    def join(self, other: Moments) -> None:
        """Add rows that come after these."""
        weight = self.weight + other.weight
        share = np.divide(other.weight, weight, out=np.zeros_like(weight), where=weight > 0)
        # A side without weight has the mean 0, which must not count.
        known = (self.weight > 0) & (other.weight > 0)
        difference = np.where(known, (other.mean - self.mean) + (other.rest - self.rest), 0.0)
        # Squares of numbers beyond 1e154 are infinite; the design refuses them by name.
        with np.errstate(over="ignore", invalid="ignore"):
            self.squares += other.squares + difference**2 * (self.weight * share)
        first = np.where(self.weight > 0, self.mean, other.mean)
        rest = np.where(self.weight > 0, self.rest, other.rest)
        self.mean, self.rest = _sum_of_two(first, rest + difference * share)
        self.weight = weight
        self.values += other.values
        self.missing += other.missing
        np.minimum(self.smallest, other.smallest, out=self.smallest)
        np.maximum(self.largest, other.largest, out=self.largest)

    @property
    def deviation(self) -> Floats:
        """The standard deviations of the population; 0 where there is no weight, and where all values are equal."""
        variance = np.divide(self.squares, self.weight, out=np.zeros_like(self.weight), where=self.weight > 0)
        return np.where(self.smallest < self.largest, np.sqrt(variance), 0.0)


def _of_plain(tile: Floats) -> Moments:
    """Return the moments of a tile without weights, of which no value is missing."""
    columns, rows = tile.shape
    rough = tile.mean(axis=1)
    distances = tile - rough[:, None]
    rest = distances.mean(axis=1)
    squares = np.square(distances, out=distances).sum(axis=1) - rows * rest**2
    mean, rest = _sum_of_two(rough, rest)
    return Moments(
        np.full(columns, rows, dtype=np.int64),
        np.zeros(columns, dtype=np.int64),
        np.full(columns, float(rows)),
        mean,
        rest,
        np.maximum(squares, 0.0),
        tile.min(axis=1),
        tile.max(axis=1),
    )


def _of_weighted(tile: Floats, weights: Floats | None) -> Moments:
    is_value = ~np.isnan(tile)
    values = is_value.sum(axis=1)
    weighing = is_value * (1.0 if weights is None else weights)
    weight = weighing.sum(axis=1)
    filled = np.where(is_value, tile, 0.0)

    def mean_of(values: Floats) -> Floats:
        means: Floats = np.divide((weighing * values).sum(axis=1), weight, out=np.zeros_like(weight), where=weight > 0)
        return means

    rough = mean_of(filled)
    distances = np.where(is_value, filled - rough[:, None], 0.0)
    rest = mean_of(distances)
    squares = (weighing * np.square(distances)).sum(axis=1) - weight * rest**2
    mean, rest = _sum_of_two(rough, rest)
    return Moments(
        values,
        tile.shape[1] - values,
        weight,
        mean,
        rest,
        np.maximum(squares, 0.0),
        np.where(is_value, tile, np.inf).min(axis=1),
        np.where(is_value, tile, -np.inf).max(axis=1),
    )


def _sum_of_two(first: Floats, second: Floats) -> tuple[Floats, Floats]:
    """Return the rounded sum and what rounding left out (Knuth, *The Art of Computer Programming* 2, 4.2.2)."""
    total = first + second
    other = total - first
    return total, (first - (total - other)) + (second - other)
