"""Initial weights have the spread that their sources state, and the same numbers for the same seed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.kernels.layers import default_gain, glorot, he, normal
from pipeline.registry import FUNCTIONS

INPUTS, UNITS = 300, 700
MADE: dict[str, tuple[Callable[..., Any], float]] = {
    "glorot": (glorot, math.sqrt(2 / (INPUTS + UNITS))),
    "he": (he, math.sqrt(2 / INPUTS)),
    "normal": (normal, 0.5),
}


@pytest.mark.parametrize("name", MADE)
def test_weights_have_the_shape_of_pytorch_and_the_stated_deviation(name: str) -> None:
    make, deviation = MADE[name]
    weight = make(INPUTS, UNITS, seed=3)
    assert (weight.shape, weight.dtype) == ((UNITS, INPUTS), np.float64)
    assert weight.mean() == pytest.approx(0, abs=4 * deviation / math.sqrt(weight.size))
    assert weight.std() == pytest.approx(deviation, rel=0.01)


def test_glorot_weights_fill_their_uniform_range() -> None:
    weight = glorot(INPUTS, UNITS)
    limit = math.sqrt(6 / (INPUTS + UNITS))
    assert 0.999 * limit < np.abs(weight).max() <= limit


@pytest.mark.parametrize("name", MADE)
def test_same_seed_same_weights(name: str) -> None:
    make, _ = MADE[name]
    np.testing.assert_array_equal(make(5, 4, seed=7), make(5, 4, seed=7))
    others = [make(5, 4, seed=seed) for seed in (0, 7, 8, (7, 1), (7, 2))]
    assert len({weight.tobytes() for weight in others}) == 5


@pytest.mark.parametrize("name", ["glorot", "he"])
def test_gain_scales_the_weights(name: str) -> None:
    make, _ = MADE[name]
    np.testing.assert_allclose(make(5, 4, gain=4.0), 4 * make(5, 4), rtol=1e-15)


def test_weights_are_the_first_draws_of_numpy_for_that_seed() -> None:
    uniform = [[-1.0611140347167947, -1.031203381566546], [-1.2105938800323448, 0.750907477865089]]
    normals = np.array([[0.561455211185646, -0.9619375618162148], [0.025380113609183755, -0.49255514069541123]])
    np.testing.assert_allclose(glorot(2, 2, seed=1), uniform, rtol=1e-15)
    np.testing.assert_allclose(he(2, 2, seed=1), normals, rtol=1e-15)
    np.testing.assert_allclose(normal(2, 2, seed=1), normals / 2, rtol=1e-15)


@pytest.mark.parametrize(
    ("function", "gain"),
    [
        ("sigmoid", 4),
        ("tanh", 1),
        ("hard_sigmoid", 6),
        ("relu", math.sqrt(2)),
        ("gelu", math.sqrt(2)),
        ("softplus", 2),
        ("inverse_probit", math.sqrt(2 * math.pi)),
        ("inverse_cauchit", math.pi),
        ("logit", 0.25),
        ("softmax", 1),
    ],
)
def test_default_gain(function: str, gain: float) -> None:
    assert default_gain(function) == pytest.approx(gain, rel=1e-14)


def test_default_gain_follows_the_parameters() -> None:
    assert default_gain("leaky_relu", alpha=1) == 1
    assert default_gain("sigmoid", temperature=2) == 8
    assert default_gain("sigmoid", low=-1, high=1) == 2


def test_every_function_of_the_registry_has_a_gain() -> None:
    assert all(0 < default_gain(name) < 10 for name in FUNCTIONS)


def test_gain_of_a_flat_function_is_an_error() -> None:
    with pytest.raises(ValueError, match="flat at 0"):
        default_gain("sigmoid", alpha=0)


def test_gain_of_no_function_names_the_nearest() -> None:
    with pytest.raises(LookupError, match="sigmoid"):
        default_gain("sigmod")


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"inputs": 0}, ValueError, "inputs must be at least 1, got 0"),
        ({"units": 2.0}, TypeError, "units must be an integer, got float"),
        ({"units": True}, TypeError, "units must be an integer, got bool"),
        ({"gain": 0}, ValueError, "gain must be a finite number above 0, got 0"),
        ({"gain": math.inf}, ValueError, "gain must be a finite number above 0, got inf"),
        ({"gain": "4"}, TypeError, "gain must be a number, got str"),
        ({"seed": -1}, ValueError, "seed must not be negative, got -1"),
        ({"seed": 0.5}, TypeError, "seed must be an integer or a tuple of integers, got 0.5"),
        ({"seed": None}, TypeError, "seed must be an integer or a tuple of integers, got None"),
    ],
)
def test_wrong_sizes_gains_and_seeds_are_errors(changed: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        glorot(**{"inputs": 2, "units": 3, "gain": 1.0, "seed": 0, **changed})
