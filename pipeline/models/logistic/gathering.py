"""The gatherers: contributions, points and reasons of a batch, made term by term while they are in the cache."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pipeline.dataclass import dataclass
from pipeline.models.columns import Rows
from pipeline.models.logistic.gathered import Exact, Where
from pipeline.models.logistic.points import Points, feature_points
from pipeline.models.logistic.reasons import Codes, Ranking, ReasonRules, rank

Floats = npt.NDArray[np.float64]

# Rows that are ranked exactly at once.
_EXACT_ROWS = 4_096


@dataclass(frozen=True, eq=False)
class KeptContributions:
    """The contributions themselves, float64, shape (terms, rows); 0 in rows without a score."""

    values: Floats

    def put(self, where: slice | Rows, term: int, contributions: Floats) -> None:
        """Keep them."""
        self.values[term, where] = contributions

    def settle(self, exact: Exact) -> None:
        """Do nothing."""

    def blank(self, where: Where) -> None:
        """Make them 0."""
        self.values[:, where] = 0.0


@dataclass(frozen=True, eq=False)
class PointsOfTerms:
    """The points of the offset and each feature, 0 in rows without a score.

    Attributes
    ----------
    points : Points
    shares : sequence of float
        What each term has of the constant part.
    values : ndarray of float64, shape (terms, rows), or None
        ``None`` if they are not wanted.
    total : ndarray of float64, shape (rows,), or None
        Their sum, added in the order of the terms; ``None`` if it is not wanted.
    """

    points: Points
    shares: Sequence[float]
    values: Floats | None
    total: Floats | None

    def put(self, where: slice | Rows, term: int, contributions: Floats) -> None:
        """Keep the points and their sum."""
        found = feature_points(self.points, contributions, self.shares[term])
        if self.values is not None:
            self.values[term, where] = found
        if self.total is not None:
            with np.errstate(all="ignore"):
                self.total[where] = (self.total[where] if term else 0.0) + found

    def settle(self, exact: Exact) -> None:
        """Do nothing."""

    def blank(self, where: Where) -> None:
        """Make them 0."""
        if self.values is not None:
            self.values[:, where] = 0.0
        if self.total is not None:
            self.total[where] = 0.0


class ReasonCodes:
    """The features that are reasons, shape (count, rows); -1 where there are fewer and in rows without a score.

    ``first`` is the number of terms before the features.
    """

    def __init__(self, reasons: ReasonRules, references: Floats, first: int, codes: Codes) -> None:
        self._reasons, self._references, self._first = reasons, references, first
        self._ranking = Ranking(reasons.count, reasons.direction, references)
        self._unclear: list[Rows] = []
        self.codes = codes

    def put(self, where: slice | Rows, term: int, contributions: Floats) -> None:
        """Take the contributions of a feature; with those of the last one find the reasons."""
        feature = term - self._first
        if feature < 0:
            return
        self._ranking.add(feature, contributions)
        if feature == self._references.size - 1:
            self.codes[:, where], unclear = self._ranking.find()
            self._unclear.append(where.start + unclear if isinstance(where, slice) else where[unclear])

    def settle(self, exact: Exact) -> None:
        """Rank the rows that were not clear."""
        rows = np.concatenate([*self._unclear, np.empty(0, dtype=np.intp)])
        self._unclear.clear()
        for start in range(0, rows.size, _EXACT_ROWS):
            unclear = rows[start : start + _EXACT_ROWS]
            effects = exact(unclear)[self._first :]
            self.codes[:, unclear] = rank(effects, self._references, self._reasons.count, self._reasons.direction)

    def blank(self, where: Where) -> None:
        """Forget the reasons."""
        self.codes[:, where] = -1
