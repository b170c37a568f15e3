"""Errors, tests and measures against statsmodels."""

from __future__ import annotations

import json

import pytest

from pipeline.fitting.inference import Inference, coefficient_rows, measures
from tests.fitting.stored_inference import CASES, STORED, fitted

EXPECTED = json.loads(STORED.read_text())


@pytest.fixture(params=list(CASES))
def case(request):
    design, learnt, solution = fitted(CASES[request.param])
    return Inference(design, learnt, solution), EXPECTED[request.param]


def test_coefficients_and_errors_are_those_of_statsmodels(case) -> None:
    found, expected = case
    rows = coefficient_rows(found)
    for name, tolerance in {"value": 1e-8, "error": 1e-8, "z": 1e-7, "p": 1e-6, "low": 1e-7, "high": 1e-7}.items():
        values = [getattr(row, name) for row in rows if row.note != "reference"]
        assert values == pytest.approx(expected[name], rel=tolerance, abs=1e-12), name


def test_measures_are_those_of_statsmodels(case) -> None:
    found, expected = case
    made = measures(found)
    for name, value in expected["measures"].items():
        assert getattr(made, name) == pytest.approx(value, rel=1e-9), name
