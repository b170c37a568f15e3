"""Tails of distributions against SciPy."""

from __future__ import annotations

import math

import pytest
from scipy import special, stats

from pipeline.kernels.tails import NORMAL_975, chi_square_tail, two_sided_normal, upper_gamma

DEGREES = (1, 2, 3, 5, 10, 41, 200, 1_999)
VALUES = (1e-12, 1e-3, 0.5, 1.0, 3.0, 9.9, 40.0, 180.0, 700.0, 1_400.0, 2_100.0)


@pytest.mark.parametrize("degrees", DEGREES)
@pytest.mark.parametrize("value", VALUES)
def test_the_tail_of_a_chi_square_is_that_of_scipy(value, degrees) -> None:
    assert chi_square_tail(value, degrees) == pytest.approx(stats.chi2.sf(value, degrees), rel=2e-11, abs=1e-300)


def test_the_tail_begins_at_one_and_ends_at_zero() -> None:
    assert chi_square_tail(0.0, 3) == 1.0
    assert chi_square_tail(-1e-9, 3) == 1.0
    assert chi_square_tail(math.inf, 3) == 0.0
    assert chi_square_tail(1e6, 2) == 0.0
    assert upper_gamma(0.5, 1e-300) == 1.0


@pytest.mark.parametrize("z", [0.0, 0.1, -1.0, 1.96, -5.0, 20.0, -36.0])
def test_a_two_sided_normal_tail_is_that_of_scipy(z) -> None:
    assert two_sided_normal(z) == pytest.approx(2 * stats.norm.sf(abs(z)), rel=1e-12, abs=1e-320)


def test_the_interval_has_the_quantile_of_scipy() -> None:
    assert float(special.ndtri(0.975)) == NORMAL_975
