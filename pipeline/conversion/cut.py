"""Where the decision of a binary model changes, as a raw prediction."""

from __future__ import annotations

import math

import numpy as np

from pipeline.models.logistic.file import ModelFile
from pipeline.models.logistic.making import probability_of
from pipeline.models.logistic.score import ScoreBlock


def cut_of(model: ModelFile) -> tuple[float, bool]:
    """Return the raw prediction at which the decision changes, found by bisection, and whether it rises to positive.

    A rising decision is positive from the cut on, a falling one (``alpha`` is negative) up to the cut.
    """
    threshold = ScoreBlock.of(model).threshold
    is_rising = model.output.alpha > 0

    def is_positive(order: int) -> bool:
        raw = np.array([_float_at(order if is_rising else -order)])
        return bool(probability_of(model, raw, "fast")[0] >= threshold)

    # The infinities are the first and the last in the order of floats.
    low, high = -_INFINITY - 1, _INFINITY
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if is_positive(middle) else (middle, high)
    return _float_at(high if is_rising else -high), is_rising


_INFINITY = int(np.array(math.inf).view(np.int64))


def _float_at(order: int) -> float:
    """Return a float by its place in the order of all floats, 0 at 0."""
    magnitude = float(np.array(abs(order), dtype=np.int64).view(np.float64))
    return -magnitude if order < 0 else magnitude
