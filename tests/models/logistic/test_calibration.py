"""Calibrated probabilities are those of the published formulas, at every raw prediction."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import mpmath
import numpy as np
import pytest
from pydantic import TypeAdapter

from pipeline.models.logistic.calibration import METHODS, calibrate, complement
from pipeline.models.logistic.output import METHOD_NAMES, AnyCalibration

EXACT = mpmath.mp.clone()
EXACT.prec = 4000
RAW = [-745.0, -300.0, -36.5, -4.0, -1.0, -1e-3, 0.0, 0.3, 1.0, 7.0, 40.0, 300.0]


def section(document: Mapping[str, Any]) -> Any:
    return TypeAdapter(AnyCalibration).validate_python(document)


def exact(document: Mapping[str, Any], raw: float) -> Any:
    """Return the probability with 4,000 bits."""
    z = EXACT.mpf(raw)
    match document:
        case {"method": "platt", "slope": slope, "intercept": intercept}:
            argument = EXACT.mpf(slope) * z + EXACT.mpf(intercept)
        case {"method": "temperature", "temperature": temperature}:
            argument = z / EXACT.mpf(temperature)
        case {"a": a, "b": b, "c": c}:
            # Kull et al. 2017, section 3: 1 / (1 + 1 / (exp(c) * s^a / (1 - s)^b)).
            s = 1 / (1 + EXACT.exp(-z))
            rest = 1 / (1 + EXACT.exp(z))
            argument = EXACT.mpf(c) + EXACT.mpf(a) * EXACT.log(s) - EXACT.mpf(b) * EXACT.log(rest)
    return 1 / (1 + EXACT.exp(-argument))


SIGMOIDS = [
    {"method": "platt", "slope": 0.8, "intercept": -0.25},
    {"method": "platt", "slope": -1.5, "intercept": 2.0},
    {"method": "temperature", "temperature": 2.5},
    {"method": "temperature", "temperature": 0.5},
    {"method": "beta", "a": 1.2, "b": 0.7, "c": -0.1},
    {"method": "beta", "a": 0.0, "b": 0.7, "c": 0.5},
    {"method": "beta", "a": 1.0, "b": 0.0, "c": 0.5},
]


@pytest.mark.parametrize("document", SIGMOIDS, ids=str)
@pytest.mark.parametrize("precision", ["accurate", "reproducible"])
def test_calibrated_probabilities_are_those_of_the_formulas(document: Mapping[str, Any], precision: Any) -> None:
    calibration, raw = section(document), np.array(RAW)
    for function, true in ((calibrate, lambda p: p), (complement, lambda p: 1 - p)):
        found = function(calibration, raw, precision=precision)
        for z, value in zip(RAW, found, strict=True):
            expected = true(exact(document, z))
            # An error of 2 u in the argument is one of 2 u * |argument| in the probability.
            assert abs(value - expected) <= expected * 2.0**-50 * (1 + 3 * abs(z)) + 5e-324, z


def test_beta_with_a_and_b_of_1_is_the_sigmoid_moved_by_c() -> None:
    raw = np.linspace(-30, 30, 1001)
    found = calibrate(section({"method": "beta", "a": 1.0, "b": 1.0, "c": 0.75}), raw)
    moved = calibrate(section({"method": "platt", "slope": 1.0, "intercept": 0.75}), raw)
    np.testing.assert_allclose(found, moved, rtol=1e-13)


@pytest.mark.parametrize("document", SIGMOIDS, ids=str)
def test_infinite_raw_predictions_have_the_limits_and_nan_stays_nan(document: Mapping[str, Any]) -> None:
    calibration = section(document)
    ends = calibrate(calibration, np.array([-np.inf, np.inf, np.nan]))
    near = calibrate(calibration, np.array([-1e6, 1e6]))
    np.testing.assert_array_equal(ends, [*near, np.nan])


STEPS = {"method": "isotonic", "thresholds": [-1.0, 0.5, 2.0], "probabilities": [0.0, 0.25, 0.25, 1.0]}


def test_isotonic_is_a_step_function_whose_steps_begin_at_the_thresholds() -> None:
    raw = np.array([-np.inf, np.nextafter(-1.0, -2), -1.0, 0.5, np.nextafter(2.0, 0), 2.0, np.inf, np.nan])
    expected = [0.0, 0.0, 0.25, 0.25, 0.25, 1.0, 1.0, np.nan]
    np.testing.assert_array_equal(calibrate(section(STEPS), raw), expected)
    np.testing.assert_array_equal(complement(section(STEPS), raw), 1 - np.array(expected))


@pytest.mark.parametrize("document", [*SIGMOIDS, STEPS], ids=str)
def test_the_result_may_take_the_place_of_the_raw_predictions(document: Mapping[str, Any]) -> None:
    calibration, raw = section(document), np.array([*RAW, math.nan])
    expected = calibrate(calibration, raw)
    found = calibrate(calibration, raw, out=raw)
    assert found is raw
    assert found.tobytes() == expected.tobytes()


def test_the_output_knows_the_methods_without_loading_them() -> None:
    assert tuple(METHODS) == METHOD_NAMES
