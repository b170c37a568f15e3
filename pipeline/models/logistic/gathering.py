"""What is gathered of contributions, tile by tile, while they are in the cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.models.logistic.gathered import Where
from pipeline.models.logistic.points import Points, feature_points
from pipeline.models.logistic.reasons import Codes, Ranking, ReasonRules

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class KeptContributions:
    """The contributions themselves, float64, shape (terms, rows); 0 in rows without a score."""

    values: Floats

    def put(self, where: Where, contributions: Floats) -> None:
        """Keep them."""
        self.values[:, where] = contributions

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

    def put(self, where: Where, contributions: Floats) -> None:
        """Keep the points and their sum."""
        total = np.zeros(contributions.shape[1])
        for term, share in enumerate(self.shares):
            found = feature_points(self.points, contributions[term], share)
            with np.errstate(all="ignore"):
                np.add(total, found, out=total)
            if self.values is not None:
                self.values[term, where] = found
        if self.total is not None:
            self.total[where] = total

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
        self._ranking: Ranking | None = None
        self._tile_rows = 0
        self.codes = codes

    def put(self, where: Where, contributions: Floats) -> None:
        """Find the reasons."""
        rows = contributions.shape[1]
        if self._ranking is None or rows > self._tile_rows:
            self._tile_rows = rows
            self._ranking = Ranking(self._reasons.count, self._reasons.direction, self._references, rows)
        self.codes[:, where] = self._ranking.find(contributions[self._first :])

    def blank(self, where: Where) -> None:
        """Forget the reasons."""
        self.codes[:, where] = -1
