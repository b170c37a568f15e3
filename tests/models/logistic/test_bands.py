"""The band of a value is the interval that holds it."""

from __future__ import annotations

import bisect
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.logistic.bands import band_codes, code_type, faults
from pipeline.models.logistic.decisions import Labels

NUMBERS = st.floats(allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=60, unique=True).map(sorted), st.lists(NUMBERS, max_size=40))
def test_a_threshold_belongs_to_the_band_above_it(thresholds: list[float], others: list[float]) -> None:
    values = [*thresholds, *others, -np.inf, np.inf]
    found = band_codes(np.array(values), thresholds)
    assert found.tolist() == [bisect.bisect_right(thresholds, value) for value in values]


@pytest.mark.parametrize("count", [1, 24, 25, 126, 127, 128, 40_000])
def test_any_number_of_bands_has_codes_that_fit(count: int) -> None:
    codes = band_codes(np.array([-1.0, 0.5, count - 0.5, np.nan]), range(count))
    assert codes.tolist() == [0, 1, count, 0]
    assert codes.dtype == code_type(count + 1)
    assert codes.dtype.kind == "i"


def test_a_great_many_names_are_checked_and_numbered_in_a_moment() -> None:
    """Looking each name up among those before it takes minutes."""
    names = [f"band {number}" for number in range(100_000)]
    bands = {"on": "points", "thresholds": list(range(len(names) - 1)), "names": names}
    begun = time.perf_counter()
    assert list(faults(bands, has_points=True)) == []
    labels = Labels.of([*names, None, names[7]])
    assert time.perf_counter() - begun < 20
    assert (len(labels.levels), labels.place[-2:].tolist()) == (100_000, [-1, 7])
    (found,) = faults(bands | {"names": [*names[:-1], names[7]]}, has_points=True)
    assert found.path == ("names", 99_999)
