"""The least float64 at which something begins to hold, to the last bit."""

from __future__ import annotations

import math

import numpy as np

from pipeline.conversion.floats import least_floats


def test_the_least_number_is_found_to_the_last_bit_over_the_whole_range() -> None:
    largest = np.finfo(np.float64).max
    wanted = np.array([0.0, 5e-324, -5e-324, 1.5, -2.5, largest, -largest])
    np.testing.assert_array_equal(least_floats(lambda values: values >= wanted, wanted.size), wanted)
    np.testing.assert_array_equal(
        least_floats(lambda values: values > wanted, wanted.size), [math.nextafter(each, math.inf) for each in wanted]
    )


def test_what_holds_always_begins_at_minus_infinity_and_what_never_holds_at_infinity() -> None:
    found = least_floats(lambda values: np.array([True, False, values[2] == math.inf]), 3)
    np.testing.assert_array_equal(found, [-math.inf, math.inf, math.inf])
