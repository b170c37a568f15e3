"""Coefficients and covariances in units of their columns, against the matrix of the change of units."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.fitting.designs.design import DesignColumn, FitDesign
from pipeline.fitting.tiles.layout import FitLayout
from pipeline.fitting.outcome.own_units import OwnUnits, slice_of
from pipeline.fitting.asking.terms import CategoryTerm, NumberTerm

NUMBER = st.floats(-1e6, 1e6, allow_nan=False)
SCALE = st.floats(1e-6, 1e6)


def units_of(centers, scales, *, intercept=True, outputs=1) -> OwnUnits:
    columns = [
        DesignColumn(NumberTerm(f"x{place}"), f"x{place}", place, center=center, scale=scale)
        for place, (center, scale) in enumerate(zip(centers, scales, strict=True))
    ]
    columns.append(DesignColumn(CategoryTerm("c"), "C(c)", levels=0, labels=("a", "b"), cells=((0,), (1,))))
    layout = FitLayout(len(centers), (2,), intercept, 2 if outputs == 1 else outputs + 1, outputs)
    return OwnUnits.of(FitDesign(layout, tuple(columns), (), ()))


@given(st.lists(st.tuples(NUMBER, NUMBER, SCALE), min_size=1, max_size=6), NUMBER)
def test_the_intercept_takes_the_centers_away_and_is_rounded_once(columns, first) -> None:
    fitted, centers, scales = (list(each) for each in zip(*columns, strict=True))
    units = units_of(centers, scales)
    found = units.coefficients(np.array([[first, *fitted, 1.5, -2.5]]))[0]
    parts = [-(each * center) / scale for each, center, scale in zip(fitted, centers, scales, strict=True)]
    assert found[0] == float(sum(map(Fraction, parts), Fraction(first)))
    assert found[1:-2].tolist() == [each / scale for each, scale in zip(fitted, scales, strict=True)]
    assert found[-2:].tolist() == [1.5, -2.5]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_covariance_changes_its_units_as_the_coefficients_do(intercept, outputs) -> None:
    chance = np.random.default_rng(2)
    centers, scales = chance.normal(0, 10, 4) * intercept, chance.gamma(2.0, 1.0, 4)
    units = units_of(centers, scales, intercept=intercept, outputs=outputs)
    layout = units.layout
    half = chance.normal(size=(layout.size, layout.size))
    covariance = half @ half.T
    # Column by column what happens to coefficients that are 1 and else 0.
    unit = np.eye(layout.size).reshape(layout.size, outputs, layout.width)
    jacobian = np.array([units.coefficients(each).ravel() for each in unit]).T
    np.testing.assert_allclose(units.covariance(covariance), jacobian @ covariance @ jacobian.T, rtol=1e-10, atol=1e-10)


def test_coefficients_are_where_the_layout_has_them() -> None:
    design = FitDesign(FitLayout(1, (2, 3)), (), (), ())
    assert slice_of(DesignColumn(NumberTerm("x"), "x", dense=0), design.layout) == slice(1, 2)
    assert slice_of(DesignColumn(CategoryTerm("c"), "C(c)", levels=1), design.layout) == slice(4, 7)
