"""Where the probability of a binary model reaches a threshold, as a raw prediction."""

from __future__ import annotations

import math

import numpy as np

from pipeline.models.logistic.calibration import Platt
from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import probability_of


def cut_at(model: ModelFile, threshold: float) -> tuple[float, bool]:
    """Return the raw prediction at which the probability reaches a threshold, by bisection, and whether it rises.

    A rising probability is at least the threshold from the cut on, a falling one (a negative slope) up to the cut. The
    cut is NaN where it never is.
    """
    calibration = model.output.calibration
    slope = calibration.slope if isinstance(calibration, Platt) else model.output.alpha
    is_rising = slope > 0

    def reaches(order: int) -> bool:
        raw = np.array([_float_at(order if is_rising else -order)])
        return bool(probability_of(model, raw, "fast")[0] >= threshold)

    # The infinities are the first and the last in the order of floats.
    low, high = -_INFINITY - 1, _INFINITY
    if not reaches(high):
        return math.nan, is_rising
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if reaches(middle) else (middle, high)
    return _float_at(high if is_rising else -high), is_rising


_INFINITY = int(np.array(math.inf).view(np.int64))


def _float_at(order: int) -> float:
    """Return a float by its place in the order of all floats, 0 at 0."""
    magnitude = float(np.array(abs(order), dtype=np.int64).view(np.float64))
    return -magnitude if order < 0 else magnitude
