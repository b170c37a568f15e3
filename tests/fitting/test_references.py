"""Coefficients and errors are those that statsmodels, R and Stata publish for data that statsmodels ships."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.fitting.passes.blocks import unpack
from pipeline.fitting.tiles.layout import Floats
from tests.fitting.fits import fitted
from tests.fitting.rows import Rows, binary

pytestmark = pytest.mark.slow
sm = pytest.importorskip("statsmodels.api")


def scaled(x: Floats) -> tuple[Floats, Floats]:
    """Columns centred and scaled, as tiles have them, and the matrix that turns coefficients back."""
    centers, scales = x.mean(axis=0), x.std(axis=0)
    back = np.diag(np.concatenate([[1.0], 1.0 / scales]))
    back[0, 1:] = -centers / scales
    return (x - centers) / scales, back


def in_own_units(rows: Rows) -> tuple[Floats, Floats]:
    """Coefficients and errors of columns as they are; the intercept first."""
    x, back = scaled(rows.x)
    solution = fitted(replace(rows, x=x))
    assert solution.certificate.converged
    assert solution.sums.hessian is not None
    covariance = np.linalg.inv(unpack(solution.sums.hessian, solution.coefficients.size))
    whole = np.kron(np.eye(rows.outputs), back)
    bse = np.sqrt(np.diag(whole @ covariance @ whole.T))
    return solution.coefficients @ back.T, bse.reshape(solution.coefficients.shape)


def agree(found: tuple[Floats, Floats], result: object) -> None:
    np.testing.assert_allclose(found[0].ravel(), np.asarray(result.params).T.ravel(), rtol=1e-8)
    np.testing.assert_allclose(found[1].ravel(), np.asarray(result.bse).T.ravel(), rtol=1e-6)


EXACT = {"method": "newton", "maxiter": 100, "disp": 0, "tol": 1e-14}


def test_spector_is_that_of_statsmodels_and_of_stata() -> None:
    data = sm.datasets.spector.load()
    x, y = np.asarray(data.exog), np.asarray(data.endog)
    found = in_own_units(Rows(x, y))
    agree(found, sm.Logit(y, sm.add_constant(x)).fit(**EXACT))
    stata = importlib.import_module("statsmodels.discrete.tests.results.results_discrete").Spector.logit
    np.testing.assert_allclose(np.roll(found[0][0], -1), stata.params, rtol=1e-6)
    np.testing.assert_allclose(np.roll(found[1][0], -1), stata.bse, rtol=1e-5)


def test_anes96_has_seven_classes() -> None:
    data = sm.datasets.anes96.load()
    x, y = np.asarray(data.exog), np.asarray(data.endog).astype(int)
    found = in_own_units(Rows(x, y, classes=7, outputs=6))
    agree(found, sm.MNLogit(y, sm.add_constant(x)).fit(**EXACT))
    stata = importlib.import_module("statsmodels.discrete.tests.results.results_discrete").Anes.mnlogit_basezero
    np.testing.assert_allclose(np.roll(found[0], -1, axis=1).T, stata.params, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(np.roll(found[1], -1, axis=1).T, stata.bse, rtol=1e-6)


def test_randhie_made_binary() -> None:
    data = sm.datasets.randhie.load()
    x, y = np.asarray(data.exog), (np.asarray(data.endog) > 0).astype(int)
    agree(in_own_units(Rows(x, y)), sm.Logit(y, sm.add_constant(x)).fit(**EXACT))


def test_star98_has_two_weighted_rows_a_district() -> None:
    data = sm.datasets.star98.load()
    x, counts = np.asarray(data.exog), np.asarray(data.endog)
    rows = Rows(np.repeat(x, 2, axis=0), np.tile([1, 0], len(x)), weights=counts.ravel())
    result = sm.GLM(counts, sm.add_constant(x), family=sm.families.Binomial()).fit(tol=1e-14, maxiter=100)
    found = in_own_units(rows)
    np.testing.assert_allclose(found[0][0], result.params, rtol=1e-8)
    np.testing.assert_allclose(found[1][0], result.bse, rtol=1e-6)


def test_offsets_and_weights_are_those_of_statsmodels() -> None:
    rng = np.random.default_rng(3)
    plain = binary(rng, 3_000, [0.5, -1.0, 0.3])
    rows = replace(plain, offset=rng.normal(size=3_000), weights=rng.integers(1, 5, 3_000).astype(float))
    model = sm.GLM(rows.y, rows.matrix(), family=sm.families.Binomial(), offset=rows.offset, freq_weights=rows.weights)
    agree(in_own_units(rows), model.fit(tol=1e-14, maxiter=100))


@pytest.mark.parametrize("number", range(9))
def test_elastic_nets_are_those_of_glmnet(number: int) -> None:
    results = importlib.import_module("statsmodels.genmod.tests.results.glmnet_r_results")
    alpha, size, *expected = getattr(results, f"rslt_binomial_{number}")
    data = np.genfromtxt(Path(results.__file__).with_name("enet_binomial.csv"), delimiter=",")
    # R reads the first row as names, and scales by the deviation of a sample.
    x, y = data[1:, 1:], data[1:, 0]
    x = (x - x.mean(axis=0)) / x.std(axis=0, ddof=1)
    solution = fitted(Rows(x, y.astype(int), intercept=False), l1=alpha * size, l2=(1 - alpha) * size)
    assert solution.certificate.converged
    # glmnet stops at about 1e-4 of these.
    np.testing.assert_allclose(solution.coefficients[0], expected, rtol=2e-3, atol=2e-4)
