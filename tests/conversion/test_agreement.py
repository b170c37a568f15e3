"""What two ways of scoring the same rows are compared by."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.conversion.agreement import absolute_differences, squashed

RAW = np.array([-2.0, 0.0, 3.5])


@pytest.mark.parametrize("shape", [(3,), (3, 1)])
def test_raw_predictions_of_one_class_become_sigmoids(shape: tuple[int, ...]) -> None:
    found = squashed(RAW.reshape(shape))
    assert found.shape == shape
    np.testing.assert_allclose(found.ravel(), 1 / (1 + np.exp(-RAW)), rtol=1e-15)


def test_raw_predictions_of_several_classes_become_shares() -> None:
    raw = np.column_stack([RAW, 2 * RAW, 0 * RAW])
    powers = np.exp(raw)
    np.testing.assert_allclose(squashed(raw), powers / powers.sum(axis=1, keepdims=True), rtol=1e-15)


def test_a_score_that_one_way_alone_gives_is_infinitely_far_and_equal_infinities_are_not() -> None:
    ours = np.array([1.0, np.nan, np.nan, np.inf, np.inf, np.inf])
    theirs = np.array([1.5, np.nan, 1.0, np.inf, -np.inf, 2.0])
    np.testing.assert_array_equal(absolute_differences(ours, theirs), [0.5, 0, np.inf, 0, np.inf, np.inf])
