"""A fit that has no optimum says so, and names what separates."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fitting.fits import fitted
from tests.fitting.rows import Rows, binary

RNG = np.random.default_rng(4)


def test_a_column_that_separates_completely() -> None:
    x = RNG.normal(size=(300, 3))
    certificate = fitted(Rows(x, (x[:, 1] > 0.3).astype(int))).certificate
    assert not certificate.converged
    assert certificate.separation == "complete"
    assert certificate.separating[0] == 2
    assert "complete separation" in certificate.reason
    assert certificate.passes <= 20


def test_a_column_that_separates_some_rows() -> None:
    x = RNG.normal(size=(400, 2))
    x[:, 0] = np.arange(400) % 2
    y = np.where(x[:, 0] == 1, 1, RNG.integers(0, 2, 400))
    certificate = fitted(Rows(x, y)).certificate
    assert (certificate.converged, certificate.separation) == (False, "quasi-complete")
    assert certificate.separating[0] == 1


@pytest.mark.parametrize("rows", [20_000])
def test_one_level_of_three_hundred_that_is_all_positive(rows: int) -> None:
    plain = binary(RNG, rows, [0.5, -1.0])
    codes = RNG.integers(-1, 299, rows)
    y = np.where(codes == 7, 1, plain.y)
    certificate = fitted(Rows(plain.x, y, [(codes, None)], (299,))).certificate
    assert (certificate.converged, certificate.separation) == (False, "quasi-complete")
    assert certificate.separating == (3 + 7,)
    # A gradient alone would have certified it.
    assert certificate.gradient < 1e-6
    assert certificate.passes <= 15


def test_a_class_of_three_that_a_column_separates() -> None:
    x = RNG.normal(size=(600, 2))
    y = np.where(x[:, 0] > 0.5, 2, RNG.integers(0, 2, 600))
    certificate = fitted(Rows(x, y, classes=3, outputs=2)).certificate
    assert (certificate.converged, certificate.separation) == (False, "quasi-complete")
    assert 3 + 1 in certificate.separating


def test_a_penalty_gives_separated_rows_an_optimum() -> None:
    x = RNG.normal(size=(300, 3))
    certificate = fitted(Rows(x, (x[:, 1] > 0.3).astype(int)), l2=1e-3).certificate
    assert certificate.converged
    assert certificate.separation is None


def test_hard_rows_that_are_not_separated_converge() -> None:
    x = RNG.normal(size=(300, 1))
    y = (x[:, 0] > 0).astype(int)
    y[np.argsort(x[:, 0])[-20]] = 0
    certificate = fitted(Rows(x, y)).certificate
    assert certificate.converged
    assert certificate.separation is None
