"""Inverse links and their complements: both tails against mpmath, their symmetry, their bits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.kernels import LINKS, TILE_ROWS, complement_link, evaluate, inverse_link, sigmoid
from pipeline.registry import FUNCTIONS
from tests.kernels import exact_functions as exact
from tests.kernels.exact import bits

PRECISIONS = ["fast", "accurate", "reproducible"]
POINTS = 150

every_link = pytest.mark.parametrize("link", LINKS)
every_precision = pytest.mark.parametrize("precision", PRECISIONS)

# The complement of each link, in the exact numbers of another: none of them is computed as 1 minus something.
COMPLEMENTS = {
    "logit": lambda z: exact.value(FUNCTIONS["sigmoid"], -z),
    "probit": lambda z: exact.value(FUNCTIONS["inverse_probit"], -z),
    "cloglog": lambda z: exact.value(FUNCTIONS["inverse_loglog"], -z),
    "loglog": lambda z: exact.value(FUNCTIONS["inverse_cloglog"], -z),
    "cauchit": lambda z: exact.value(FUNCTIONS["inverse_cauchit"], -z),
}
BOUNDS = {"logit": 2.75, "probit": 7.0, "cloglog": 5.0, "loglog": 3.0, "cauchit": 3.0}


def _function_of(link: str) -> str:
    return "sigmoid" if link == "logit" else f"inverse_{link}"


def _points(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.concatenate(
        [
            random.uniform(-7, 7, POINTS),
            random.uniform(-39, 39, POINTS),
            # exp(-exp(6.6)) is subnormal, and exp(-exp(z)) changes its formula at 0.
            random.uniform(6, 6.7, POINTS) * random.choice([-1, 1], POINTS),
            random.uniform(-1e-3, 1e-3, POINTS // 3),
            random.uniform(-745, 745, POINTS // 3),
        ]
    )


@every_link
@every_precision
def test_the_negative_class_keeps_its_digits_where_the_positive_one_rounds_to_one(link, precision) -> None:
    z = np.append(_points(seed=1), 1e17)
    results = complement_link(link, z, precision=precision)
    for at, result in zip(z.tolist(), results.tolist(), strict=True):
        truth = COMPLEMENTS[link](at)
        assert abs(result - truth) <= BOUNDS[link] * exact.unit(truth), at
    assert (results[inverse_link(link, z, precision=precision) == 1.0] > 0).any()


@every_link
@every_precision
def test_a_link_has_the_bits_of_its_function(link, precision) -> None:
    z = _points(seed=2)
    expected = bits(evaluate(_function_of(link), z, precision=precision))
    np.testing.assert_array_equal(bits(inverse_link(link, z, precision=precision)), expected)
    own = z.copy()
    assert inverse_link(link, own, out=own, precision=precision) is own
    np.testing.assert_array_equal(bits(own), expected)


@every_link
@every_precision
def test_both_probabilities_add_up_to_one(link, precision) -> None:
    z = _points(seed=3)
    total = inverse_link(link, z, precision=precision) + complement_link(link, z, precision=precision)
    np.testing.assert_allclose(total, 1.0, rtol=0, atol=4e-16)


@every_precision
@pytest.mark.parametrize("link", ["logit", "probit", "cauchit"])
def test_a_symmetric_link_is_one_half_at_zero_and_the_complement_is_its_mirror(link, precision) -> None:
    zeros = np.array([0.0, -0.0])
    np.testing.assert_array_equal(inverse_link(link, zeros, precision=precision), 0.5)
    np.testing.assert_array_equal(complement_link(link, zeros, precision=precision), 0.5)
    z = _points(seed=4)
    mirrored = inverse_link(link, -z, precision=precision)
    np.testing.assert_array_equal(bits(complement_link(link, z, precision=precision)), bits(mirrored))


@every_link
@every_precision
def test_an_element_of_a_complement_has_the_same_bits_at_every_place(link, precision) -> None:
    odd = [math.nan, -math.nan, math.inf, -math.inf, 0.0, -0.0, 5e-324, 1e308, -1e308]
    z = np.random.default_rng(5).permutation(np.concatenate([np.tile(_points(5), 2 * TILE_ROWS // 1000), odd * 3]))
    expected = bits(complement_link(link, z, precision=precision))
    cut = [complement_link(link, part, precision=precision) for part in (z[:7], z[7:5000], z[5000:])]
    np.testing.assert_array_equal(bits(np.concatenate(cut)), expected)
    np.testing.assert_array_equal(bits(complement_link(link, z[::-1], precision=precision)), expected[::-1])
    alone = np.array([complement_link(link, value, precision=precision) for value in z[:60]])
    np.testing.assert_array_equal(bits(alone), expected[:60])


@every_link
@every_precision
def test_infinities_give_certainty_and_nan_stays(link, precision) -> None:
    z = np.array([-math.inf, math.inf, math.nan])
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(inverse_link(link, z, precision=precision), [0.0, 1.0, math.nan])
        np.testing.assert_array_equal(complement_link(link, z, precision=precision), [1.0, 0.0, math.nan])


@every_link
@every_precision
def test_a_larger_raw_prediction_never_has_a_visibly_smaller_probability(link, precision) -> None:
    z = np.linspace(-50.0, 50.0, 400_001)
    steps = np.diff(inverse_link(link, z, precision=precision).view(np.int64))
    # Neighbours may step back by what both may be off.
    assert steps.min() >= -2 * FUNCTIONS[_function_of(link)].bound


@every_precision
def test_probabilities_of_probit_are_those_of_scipy(precision) -> None:
    special = pytest.importorskip("scipy.special")
    z = _points(seed=6)
    # Its exp(-z^2 / 2) magnifies the rounding of the square.
    np.testing.assert_allclose(inverse_link("probit", z, precision=precision), special.ndtr(z), rtol=1e-12, atol=1e-300)


@pytest.mark.slow
def test_probabilities_are_those_that_statsmodels_gives() -> None:
    links = pytest.importorskip("statsmodels.genmod.families.links", reason="statsmodels is not installed")
    z = np.linspace(-5, 5, 201)
    for link, name in (("probit", "Probit"), ("cloglog", "CLogLog"), ("loglog", "LogLog"), ("cauchit", "Cauchy")):
        np.testing.assert_allclose(inverse_link(link, z), getattr(links, name)().inverse(z), rtol=1e-9, err_msg=link)


def test_cauchit_has_the_same_bits_with_every_precision() -> None:
    z = _points(seed=7)
    expected = bits(inverse_link("cauchit", z))
    for precision in PRECISIONS:
        np.testing.assert_array_equal(bits(inverse_link("cauchit", z, precision=precision)), expected)


def test_an_unknown_link_or_precision_is_refused() -> None:
    with pytest.raises(LookupError, match='no link "gompit"; there are logit, probit, cloglog, loglog, cauchit'):
        inverse_link("gompit", 0.5)
    for link in LINKS:
        for function in (inverse_link, complement_link):
            with pytest.raises(ValueError, match="precision must be one of"):
                function(link, 0.5, precision="exact")  # type: ignore[arg-type]


def test_the_logit_is_the_sigmoid() -> None:
    z = _points(seed=8)
    np.testing.assert_array_equal(bits(inverse_link("logit", z)), bits(sigmoid(z)))
