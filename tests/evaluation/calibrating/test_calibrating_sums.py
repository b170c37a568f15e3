"""The parts of a calibration: sums that do not depend on batches, steps within bounds, temperatures, step functions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from sklearn.isotonic import IsotonicRegression

from pipeline.evaluation.calibrating.asking import PassRequest
from pipeline.evaluation.calibrating.curves import CurveSums, ScaledCurve, curve_on
from pipeline.evaluation.calibrating.reading import RawRows
from pipeline.evaluation.calibrating.softening import LADDER, next_inverses, optimum_of, points_of, softened
from pipeline.evaluation.calibrating.stepping import newton_step
from pipeline.evaluation.calibrating.steps import isotonic_steps
from pipeline.evaluation.calibrating.summing import CalibrationSummer
from pipeline.models import LogisticModel, ScoreBlock
from tests.evaluation.calibrating.rows import drawn_rows, model_of_raw


def block_of(folder: Any) -> ScoreBlock:
    return replace(ScoreBlock.of(LogisticModel.load(model_of_raw(folder)).file), columns_made=("raw_prediction",))


@pytest.mark.parametrize("rows", [5_000, pytest.param(600_000, marks=pytest.mark.slow)])
def test_sums_have_the_same_bits_whatever_the_batches_are(rows: int, tmp_path: Any) -> None:
    z, y = drawn_rows(1, rows)
    curve = curve_on("beta", z, y.astype(float), 1.0 - y)
    assert curve is not None
    request = PassRequest(True, curve, (0.5, 0.4, -0.1), calibration={"method": "beta", "a": 0.7, "b": 0.6, "c": 0.1})
    held, block = np.arange(rows) % 5 == 0, block_of(tmp_path)

    def found(*cuts: int) -> list[bytes]:
        summer = CalibrationSummer(request, block, apart=True)
        for part in np.split(np.arange(rows), cuts):
            summer.add(RawRows(z[np.newaxis, part], y[part], held[part], 0, 0, 0))
        sums = summer.done()
        curve, state = sums.floats.curve, sums.exact.state
        assert curve is not None
        assert sums.exact.counter is not None
        arrays = [curve.gradient, curve.hessian, *sums.exact.counter.table().to_arrays().values()]
        return [float(curve.loss).hex().encode(), *(each.tobytes() for each in (*arrays, *state.to_arrays().values()))]

    assert found() == found(1) == found(1_024, 1_025, 4_000) == found(*range(0, rows, rows // 7))


def test_a_request_travels_with_every_bit() -> None:
    curve = ScaledCurve("platt", (0.1,), (1 / 3,), (1e-300, 1 - 1e-16))
    request = PassRequest(
        True, curve, (0.1 + 0.2, -0.0), (), {"method": "platt", "slope": 0.1, "intercept": 2.0}, False
    )
    assert PassRequest.of(request.to_bytes()) == request
    assert PassRequest.of(PassRequest(inverses=LADDER).to_bytes()).inverses == LADDER
    json.loads(request.to_bytes())


@pytest.mark.parametrize("scale", [1e-9, 0.1, 1.0, 1e3, 1e9])
def test_the_temperature_is_found_in_few_looks_whatever_the_scale(scale: float) -> None:
    generator = np.random.default_rng(0)
    raw = generator.normal(0, 3.0, (4, 2_000))
    shares = np.exp(0.3 * raw) / np.exp(0.3 * raw).sum(axis=0)
    codes = (generator.random(2_000) > shares.cumsum(axis=0)).sum(axis=0)
    points = points_of(LADDER, softened(raw * scale, codes, LADDER))
    looks = 1
    while inverses := next_inverses(points):
        points += points_of(inverses, softened(raw * scale, codes, inverses))
        looks += 1
    assert looks <= 6
    best = optimum_of(points)
    assert best.decrement <= 1e-16
    expected = minimize_scalar(
        lambda b: softened(raw, codes, (b,))[0, 0], bounds=(0.01, 3.0), method="bounded", options={"xatol": 1e-10}
    )
    assert best.inverse * scale == pytest.approx(expected.x, rel=1e-6)


@pytest.mark.parametrize("seed", range(20))
def test_a_step_within_bounds_is_the_best_of_all(seed: int) -> None:
    generator = np.random.default_rng(seed)
    root = generator.normal(size=(3, 3))
    sums = CurveSums(0.0, generator.normal(size=3), root.T.dot(root) + 0.01 * np.eye(3))
    weights = np.array([*generator.choice([0.0, 0.5, 1.0], 2), generator.normal()])
    found = newton_step(weights, sums, (0, 1))
    assert found is not None
    assert ((weights + found.step)[:2] >= 0).all()

    def value(step: np.ndarray) -> Any:
        return sums.gradient.dot(step) + step.dot(sums.hessian).dot(step) / 2

    assert found.decrement == pytest.approx(max(0.0, -2 * value(found.step)), abs=1e-12)
    for _ in range(200):
        other = found.step + generator.normal(0, 10.0 ** generator.uniform(-4, 0), 3)
        other[:2] = np.maximum(other[:2], -weights[:2])
        assert value(other) >= value(found.step) - 1e-12


def test_a_hessian_without_an_inverse_has_no_step() -> None:
    flat = CurveSums(0.0, np.array([1.0, 1.0]), np.array([[1.0, 1.0], [1.0, 1.0]]))
    assert newton_step(np.zeros(2), flat, ()) is None
    assert newton_step(np.zeros(2), CurveSums(0.0, np.array([np.inf, 0]), np.eye(2)), ()) is None


@pytest.mark.parametrize("seed", range(20))
def test_steps_are_those_of_an_isotonic_regression(seed: int) -> None:
    generator = np.random.default_rng(seed)
    positives, negatives = generator.integers(0, 6, (2, 12))
    negatives += (positives + negatives) == 0
    keys = np.arange(12.0)
    expected = IsotonicRegression().fit(keys, positives / (positives + negatives), positives + negatives).predict(keys)
    found = isotonic_steps(keys, keys + 0.25, positives, negatives)
    if found is None:
        assert np.ptp(expected) < 1e-12
        return
    places = np.searchsorted(found["thresholds"], keys, side="right")
    np.testing.assert_allclose(np.array(found["probabilities"])[places], expected, atol=1e-12)
    assert np.array_equal(places, np.searchsorted(found["thresholds"], keys + 0.25, side="right"))
    assert (np.diff(found["probabilities"]) > 0).all()


@pytest.mark.parametrize("below", [-1.7e308, -1.0, 0.0, 5e-324, 1.0])
def test_a_step_begins_between_neighbours(below: float) -> None:
    above = float(np.nextafter(below, np.inf))
    numbers = np.array([below, above])
    found = isotonic_steps(numbers, numbers, np.array([0, 1]), np.array([1, 0]))
    assert found is not None
    assert below < found["thresholds"][0] <= above
