"""Clipped gradients have the norm that was asked for, whatever their sizes, and the given ones are not changed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.kernels.layers import clip_gradients

FINITE = st.floats(-1e150, 1e150)


@given(st.lists(st.lists(FINITE, max_size=4), max_size=3), st.floats(1e-100, 1e100))
def test_norm_is_at_most_the_threshold_and_the_direction_stays(values: list[list[float]], threshold: float) -> None:
    clipped = clip_gradients([np.array(each) for each in values], threshold)
    before, after = [math.hypot(*np.concatenate([*parts, []]) / threshold) for parts in (values, clipped)]
    assert after <= 1 + 1e-14
    if before <= 1 - 1e-14:
        for each, kept in zip(values, clipped, strict=True):
            np.testing.assert_array_equal(kept, each)
    else:
        assert after == pytest.approx(1, rel=1e-14)
    for each, kept in zip(values, clipped, strict=True):
        assert (np.sign(kept) * np.sign(each) >= 0).all()


def test_norm_is_that_of_all_gradients_together() -> None:
    gradients = [np.array([3.0, 4.0]), np.array([[12.0]])]
    first, second = clip_gradients(gradients, 6.5)
    np.testing.assert_allclose(first, [1.5, 2.0], rtol=1e-15)
    np.testing.assert_allclose(second, [[6.0]], rtol=1e-15)
    np.testing.assert_array_equal(gradients[0], [3.0, 4.0])


def test_squares_beyond_float64_are_no_trouble() -> None:
    np.testing.assert_allclose(clip_gradients([np.array([3e300, 4e300])], 5e-10)[0], [3e-10, 4e-10], rtol=1e-15)
    np.testing.assert_array_equal(clip_gradients(np.array([3e-300, 4e-300]), 5), [3e-300, 4e-300])


def test_dask_arrays_are_computed() -> None:
    dask, da = pytest.importorskip("dask"), pytest.importorskip("dask.array")
    with dask.config.set(scheduler="synchronous"):
        found = clip_gradients([da.from_array(np.array([3.0, 4.0]), chunks=1)], 1.0)
    assert isinstance(found[0], np.ndarray)
    np.testing.assert_allclose(found[0], [0.6, 0.8], rtol=1e-15)


def test_elementwise_clipping() -> None:
    clipped = clip_gradients({"w": np.array([-7.0, 0.5]), "b": np.array([2.0])}, 1, elementwise=True)
    assert list(clipped) == ["w", "b"]
    np.testing.assert_array_equal(clipped["w"], [-1.0, 0.5])
    np.testing.assert_array_equal(clipped["b"], [1.0])


@pytest.mark.parametrize("elementwise", [False, True])
def test_results_have_the_type_and_the_form_of_what_was_given(elementwise: bool) -> None:
    single = np.array([3, 4], np.float32)
    assert clip_gradients(single, 1, elementwise=elementwise).dtype == np.float32
    assert clip_gradients((single, [3, 4]), 1, elementwise=elementwise)[1].dtype == np.float64
    assert clip_gradients([], 1, elementwise=elementwise) == []
    assert clip_gradients({}, 1, elementwise=elementwise) == {}
    kept = clip_gradients(single, 9, elementwise=elementwise)
    assert not np.shares_memory(kept, single)


@pytest.mark.parametrize(
    ("gradients", "threshold", "error", "message"),
    [
        ([[1.0], [np.nan]], 1, ValueError, "gradient 1 holds NaN or infinity, which clipping cannot mend"),
        ({"w": [np.inf]}, 1, ValueError, "gradient 'w' holds NaN or infinity"),
        (np.array([-np.inf]), 1, ValueError, "the gradient holds NaN or infinity"),
        ([["1"]], 1, TypeError, "expected booleans, integers, float16, float32 or float64"),
        ([[1.0]], 0, ValueError, "threshold must be a finite number above 0, got 0"),
        ([[1.0]], np.nan, ValueError, "threshold must be a finite number above 0, got nan"),
        ([[1.0]], "1", TypeError, "threshold must be a number, got str"),
    ],
)
def test_gradients_and_thresholds_that_cannot_be_used(
    gradients: Any, threshold: Any, error: type[Exception], message: str
) -> None:
    for elementwise in (False, True):
        with pytest.raises(error, match=message):
            clip_gradients(gradients, threshold, elementwise=elementwise)


@pytest.mark.slow
def test_clipping_agrees_with_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    drawn = [np.random.default_rng(seed).normal(size=(5, seed + 1)) for seed in range(4)]
    for threshold in (0.1, 3.0, 1000.0):
        parameters = [torch.nn.Parameter(torch.zeros(each.shape, dtype=torch.float64)) for each in drawn]
        for parameter, each in zip(parameters, drawn, strict=True):
            parameter.grad = torch.from_numpy(each.copy())
        torch.nn.utils.clip_grad_norm_(parameters, threshold)
        for parameter, clipped in zip(parameters, clip_gradients(drawn, threshold), strict=True):
            # It adds 1e-6 to the norm.
            np.testing.assert_allclose(clipped, parameter.grad.numpy(), rtol=1e-6)
