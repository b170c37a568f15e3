"""Calibration: from a raw prediction to a probability that agrees with what was observed.

Sources of the methods: Platt 1999, "Probabilistic outputs for support vector machines" (``platt``); Guo et al. 2017,
"On calibration of modern neural networks" (``temperature``); Kull et al. 2017, "Beta calibration" (``beta``); Zadrozny
and Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates" (``isotonic``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import AfterValidator, Field, Strict
from pydantic_core import PydanticCustomError

from pipeline.kernels import evaluate
from pipeline.models.document import Problem
from pipeline.models.logistic.sections import Section, Slope, miscounted, not_increasing

if TYPE_CHECKING:
    from pipeline.choices import Precision

Floats = npt.NDArray[np.float64]
Numbers = Annotated[tuple[float, ...], Strict(strict=False), Field(min_length=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def _not_negative(number: float) -> float:
    if number < 0:
        raise PydanticCustomError("negative", "must not be negative: a larger raw prediction would be less probable")
    return number


NotNegative = Annotated[float, AfterValidator(_not_negative)]


class Platt(Section):
    """``sigmoid(slope * raw_prediction + intercept)``."""

    method: Literal["platt"]
    slope: Slope
    intercept: float


class Temperature(Section):
    """``sigmoid(raw_prediction / temperature)``, or the softmax of the same quotients."""

    method: Literal["temperature"]
    temperature: Annotated[float, Field(gt=0)]


class Beta(Section):
    """``sigmoid(a * log(s) - b * log(1 - s) + c)``, with s the sigmoid of the raw prediction."""

    method: Literal["beta"]
    a: NotNegative
    b: NotNegative
    c: float


class Isotonic(Section):
    """``probabilities[i]`` where ``thresholds[i - 1] <= raw_prediction < thresholds[i]``: a step function."""

    method: Literal["isotonic"]
    thresholds: Numbers
    probabilities: Annotated[tuple[Share, ...], Strict(strict=False)]


Calibration = Platt | Temperature | Beta | Isotonic
METHODS: Mapping[str, type[Section]] = {"platt": Platt, "temperature": Temperature, "beta": Beta, "isotonic": Isotonic}


def calibrate(
    calibration: Calibration, raw: Floats, *, out: Floats | None = None, precision: Precision = "fast"
) -> Floats:
    """Return the calibrated probability of each row.

    Parameters
    ----------
    calibration : Platt, Temperature, Beta or Isotonic
    raw : ndarray of float64, shape (rows,)
        The raw predictions. NaN stays NaN; infinities give the limits.
    out : ndarray of float64, shape (rows,), optional
        Where the result goes; may be ``raw``.
    precision : {"fast", "accurate", "reproducible"}
        Of the functions.

    Returns
    -------
    ndarray of float64, shape (rows,)
    """
    if isinstance(calibration, Isotonic):
        return _steps(calibration, raw, out)
    if isinstance(calibration, Beta):
        raw = _beta_argument(calibration, raw, precision)
        out = raw if out is None else out
    return evaluate("sigmoid", raw, out=out, precision=precision, **_parameters(calibration))


def complement(calibration: Calibration, raw: Floats, *, precision: Precision = "fast") -> Floats:
    """Return one minus the calibrated probability; a sigmoid keeps the digits of a small result."""
    if isinstance(calibration, Isotonic):
        return 1.0 - _steps(calibration, raw, None)
    if isinstance(calibration, Beta):
        raw = _beta_argument(calibration, raw, precision)
    parameters = {"alpha": 1.0, "beta": 0.0} | _parameters(calibration)
    mirrored = parameters | {"alpha": -parameters["alpha"], "beta": -parameters["beta"]}
    return evaluate("sigmoid", raw, precision=precision, **mirrored)


def argument(calibration: Calibration, raw: Floats, *, precision: Precision = "fast") -> Floats | None:
    """Return what the calibrated probability is the sigmoid of, in a new array; ``None`` for a step function."""
    if isinstance(calibration, Isotonic):
        return None
    if isinstance(calibration, Beta):
        return _beta_argument(calibration, raw, precision)
    with np.errstate(all="ignore"):
        if isinstance(calibration, Platt):
            found: Floats = raw * calibration.slope + calibration.intercept
            return found
        return raw / calibration.temperature


def faults(calibration: object) -> Iterator[Problem]:
    """Yield what does not fit together in a calibration as JSON with any content, with its path in it."""
    if not isinstance(calibration, Mapping):
        return
    if calibration.get("method") == "beta" and calibration.get("a") == 0 and calibration.get("b") == 0:
        yield Problem(("a",), "must not be 0 where b is 0: every row would have the same probability")
    if calibration.get("method") != "isotonic":
        return
    thresholds, probabilities = calibration.get("thresholds"), calibration.get("probabilities")
    yield from not_increasing(thresholds, ("thresholds",))
    yield from not_increasing(probabilities, ("probabilities",), may_repeat=True)
    if isinstance(thresholds, list) and isinstance(probabilities, list) and len(probabilities) != len(thresholds) + 1:
        yield Problem(("probabilities",), miscounted("number", probabilities, thresholds, "steps"))


def _parameters(calibration: Calibration) -> dict[str, Any]:
    if isinstance(calibration, Platt):
        return {"alpha": calibration.slope, "beta": calibration.intercept}
    return {"temperature": calibration.temperature} if isinstance(calibration, Temperature) else {}


def _beta_argument(calibration: Beta, raw: Floats, precision: Precision) -> Floats:
    """Return ``a * log(s) - b * log(1 - s) + c``; 1 - s is the sigmoid of the negative."""
    total = np.full(raw.shape, calibration.c)
    # A factor of 0 leaves its term out: 0 times the logarithm of 0 would be NaN.
    for sign, factor in ((1.0, calibration.a), (-1.0, -calibration.b)):
        if factor:
            term = evaluate("log_sigmoid", raw * sign, precision=precision)
            np.multiply(term, factor, out=term)
            np.add(total, term, out=total)
    return total


def _steps(calibration: Isotonic, raw: Floats, out: Floats | None) -> Floats:
    nan = np.isnan(raw)
    found = np.searchsorted(np.array(calibration.thresholds), raw, side="right")
    values: Floats = np.take(np.array(calibration.probabilities), found, out=out, mode="clip")
    values[nan] = np.nan
    return values
