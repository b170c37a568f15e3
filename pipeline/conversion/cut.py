"""Where the probability of a binary model reaches a threshold, as a raw prediction."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from pipeline.conversion.floats import least_floats
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
    sign = 1.0 if slope > 0 else -1.0

    def reaches(raw: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
        return np.asarray(probability_of(model, sign * raw, "fast") >= threshold)

    found = least_floats(reaches) if reaches(np.array([math.inf])).all() else np.array([math.nan])
    # Without the sign of a zero.
    return float(sign * found[0]) + 0.0, slope > 0
