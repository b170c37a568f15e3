"""Points: the raw prediction on the scale of a scorecard.

A scorecard states how many points double the odds (``pdo``), and how many points certain odds have. Source: Siddiqi
2006, "Credit risk scorecards", chapter 6: ``points = offset + factor * ln(odds)``, with ``factor = pdo / ln(2)`` and
``offset = base_points - factor * ln(base_odds)``.
"""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from pipeline.models.logistic.sections import Section, fault

Floats = npt.NDArray[np.float64]

# Beyond it int64 has no value for a rounded sum.
_MOST = 2.0**63


class Points(Section):
    """How points are counted.

    ``higher`` is the class whose odds the points grow with, and ``base_odds`` are odds of that class. ``rounding`` is
    ``none``, ``points`` (the sum) or ``features`` (the points of each feature; the sum is that of whole numbers).
    """

    pdo: Annotated[float, Field(gt=0)]
    base_points: float
    base_odds: Annotated[float, Field(gt=0)]
    rounding: Literal["none", "points", "features"] = "none"
    higher: Literal["negative", "positive"] = "negative"

    @model_validator(mode="after")
    def _scale_is_finite(self) -> Points:
        if not (math.isfinite(self.slope) and math.isfinite(self.constant)):
            raise fault("points", "base_points and pdo / ln(2) * ln(base_odds) are beyond float64", ["pdo"])
        return self

    @property
    def slope(self) -> float:
        """Points for each unit of the raw prediction; negative if higher points mean the negative class."""
        factor = self.pdo / math.log(2)
        return factor if self.higher == "positive" else -factor

    @property
    def constant(self) -> float:
        """The points of a raw prediction of 0."""
        return self.base_points - self.pdo / math.log(2) * math.log(self.base_odds)

    def share(self, base: float, features: int) -> float:
        """Return what each feature has of the constant part: the points of the base, divided by their number."""
        return (self.constant + self.slope * base) / features

    @property
    def are_whole(self) -> bool:
        """Whether points are whole numbers."""
        return self.rounding != "none"


def total_points(points: Points, raw: Floats, *, out: Floats | None = None) -> Floats:
    """Return the points of raw predictions, whole where ``rounding`` is ``points``; NaN where the prediction is.

    ``out`` is where the result goes; it may be ``raw``.
    """
    with np.errstate(all="ignore"):
        found: Floats = np.multiply(raw, points.slope, out=out)
        np.add(found, points.constant, out=found)
    return np.rint(found, out=found) if points.rounding == "points" else found


def feature_points(points: Points, contributions: Floats, share: float, *, out: Floats | None = None) -> Floats:
    """Return the points of one feature, whole where ``rounding`` is ``features``.

    Parameters
    ----------
    points : Points
    contributions : ndarray of float64, shape (rows,)
        What the feature adds to the raw prediction.
    share : float
        Its part of the constant, as :meth:`Points.share` returns it; 0 for an offset.
    out : ndarray of float64, shape (rows,), optional
        Where the result goes; may be ``contributions``.
    """
    with np.errstate(all="ignore"):
        found: Floats = np.multiply(contributions, points.slope, out=out)
        np.add(found, share, out=found)
    return np.rint(found, out=found) if points.rounding == "features" else found


def whole(values: Floats) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """Return rounded points as integers, 0 where int64 has no value for them, and where that is."""
    lost = ~(np.abs(values) < _MOST)
    return np.where(lost, 0.0, values).astype(np.int64), lost
