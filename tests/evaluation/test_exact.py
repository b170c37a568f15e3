"""Sums that no order of their terms changes."""

from __future__ import annotations

import math
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.exact import ExactSum, FixedCells, carry, fixed_rows, floats_of
from pipeline.evaluation.harmonic import harmonic_differences

FINITE = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(FINITE, max_size=6), st.integers(0, 6))
def test_a_sum_is_rounded_once_and_parts_of_it_can_be_merged(values: list[float], cut: int) -> None:
    parts = [ExactSum(), ExactSum()]
    for place, value in enumerate(values):
        parts[place >= cut].add(value)
    parts[0].merge(ExactSum.from_array(parts[1].to_array()))
    exact = sum(map(Fraction, values), Fraction())
    try:
        expected = float(exact)
    except OverflowError:
        expected = math.inf if exact > 0 else -math.inf
    assert parts[0].value() == expected


def test_infinities_and_nan_have_their_own_accounts() -> None:
    total = ExactSum()
    total.add(1.0)
    total.add(math.inf)
    assert total.value() == math.inf
    assert ExactSum.from_array(total.to_array()).value() == math.inf
    total.add(-math.inf)
    assert math.isnan(total.value())


TINY, SMALL, LARGE = st.floats(0, 1e-6), st.floats(0, 1023), st.floats(0, 2.0**24, exclude_max=True)


@given(st.one_of([st.lists(each, min_size=1, max_size=30) for each in (TINY, SMALL, LARGE)]), st.randoms())
def test_rows_are_added_with_the_same_bits_in_any_order(values: list[float], random: Random) -> None:
    one, other = ExactSum(), ExactSum()
    one.add_rows(np.array(values))
    shuffled = random.sample(values, len(values))
    other.add_rows(np.array(shuffled[:7]))
    other.add_rows(np.array(shuffled[7:]))
    assert one == other
    terms = (Fraction(value) if value >= 2**23 else Fraction(round(Fraction(value) * 2**62), 2**62) for value in values)
    assert one.units == sum(terms, Fraction()) * 2**1074


def test_a_large_or_infinite_row_is_added_as_it_is() -> None:
    total = ExactSum()
    total.add_rows(np.array([0.25, 1e300, 2.0**23]))
    assert total.value() == 1e300
    total.add_rows(np.array([math.inf]))
    assert total.value() == math.inf


def test_many_rows_that_are_as_large_as_may_be_do_not_overflow() -> None:
    values = np.full(1 << 20, np.nextafter(2.0**23, 0))
    total = ExactSum()
    total.add_rows(values)
    assert total.value() == pytest.approx(float(values.sum()), rel=1e-15)
    small = np.nextafter(values * 2.0**-13, 0)
    total.add_rows(small)
    assert total.units == (1 << 20) * sum(int(Fraction(each[0]) * 2**1074) for each in (values, small))
    cells = FixedCells.empty(2, 2)
    cells.add_rows(np.full(len(values), 3), values)
    assert cells.values()[1, 1] == pytest.approx(float(values.sum()), rel=1e-15)


@pytest.mark.parametrize("most", [1023.0, 2.0**23])
def test_a_block_of_rows_is_added_without_rounding(most: float) -> None:
    values = most * np.random.default_rng(0).uniform(0.5, 1.0, 1 << 15)
    total = ExactSum()
    total.add_rows(values)
    # Each number is a whole number of these units.
    assert total.units == sum(int(value) for value in np.ldexp(values, 44).tolist()) << (1074 - 44)


def test_lower_parts_are_carried() -> None:
    upper, lower = fixed_rows(np.array([1e-7, 2.0**-20, 0.999]))
    total = np.array([upper.sum()]), np.array([lower.sum()])
    carry(*total)
    assert floats_of(*total)[0] == pytest.approx(1e-7 + 2.0**-20 + 0.999, rel=1e-16)


@pytest.mark.parametrize(("start", "count"), [(0, 1), (0, 64), (3, 200), (63, 5), (64, 1), (70, 3), (10**8, 7)])
def test_sums_of_reciprocals_are_exact(start: int, count: int) -> None:
    expected = float(sum((Fraction(1, start + i) for i in range(1, count + 1)), Fraction()))
    found = harmonic_differences(np.array([float(start)]), np.array([float(count)]))[0]
    assert found == pytest.approx(expected, rel=2e-15)
