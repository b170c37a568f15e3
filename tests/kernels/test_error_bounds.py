"""The bounds that the docstrings state, against mpmath."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.kernels import log_sigmoid, logit, sigmoid
from tests.kernels import exact

POINTS = 1500
BOUNDS = {"fast": 2.75, "accurate": 2.75, "reproducible": 2.75}
LOG_SIGMOID_BOUND = 2.0
LOGIT_BOUNDS = {"fast": 2.25, "reproducible": 2.5}
LOGARITHMS = ["fast", "reproducible"]  # accurate ones are those of fast

# The worst that searches of some hundred million points found, with numpy's own exp, that of glibc or our own: the
# results lie just under a power of two, where a unit is smallest in proportion.
WORST = [
    float.fromhex(x)
    for x in (
        "-0x1.25e96d31eda5bp+5",
        "-0x1.8f24504812cc1p+2",
        "-0x1.25e5fa41a605fp+5",
        "-0x1.3683b8538615fp+2",
        "-0x1.8f40ae01d50d5p+3",
    )
]
WORST_OF_LOGIT = [float.fromhex(x) for x in ("0x1.138425452b4cdp-2", "0x1.1459daf3d7e9bp-2")]


def _around_powers_of_two(random):
    power = 2.0 ** -random.integers(1, 60, POINTS)
    return np.log(power) - np.log1p(-power) - random.random(POINTS) * 0.01


REGIONS = {
    "subnormal results": lambda random: random.uniform(-745.2, -708.0, POINTS),
    "around the change of formula": lambda random: random.uniform(-700.5, -699.5, POINTS),
    "the left tail": lambda random: random.uniform(-700.0, -37.0, POINTS),
    "the left flank": lambda random: random.uniform(-37.0, -1.0, POINTS),
    "the middle": lambda random: random.uniform(-1.0, 1.0, POINTS),
    "the right flank": lambda random: random.uniform(1.0, 40.0, POINTS),
    "near zero": lambda random: random.standard_normal(POINTS) * 10.0 ** random.uniform(-320, 0, POINTS),
    "just under powers of two": _around_powers_of_two,
    "the worst known": lambda random: np.array(WORST),
}


@pytest.mark.parametrize("precision", BOUNDS)
@pytest.mark.parametrize("region", REGIONS)
def test_sigmoid_keeps_its_bound(region, precision):
    x = REGIONS[region](np.random.default_rng(7))
    assert exact.largest_error(sigmoid(x, precision=precision), x, exact.sigmoid) <= BOUNDS[precision]


def test_accurate_is_the_better_one_in_the_left_tail():
    x = np.random.default_rng(6).uniform(-700.0, -37.5, POINTS)
    assert exact.largest_error(sigmoid(x, precision="accurate"), x, exact.sigmoid) <= 1.0
    assert 1.0 < exact.largest_error(sigmoid(x), x, exact.sigmoid) <= 2.0


@pytest.mark.parametrize("precision", LOGARITHMS)
@pytest.mark.parametrize("region", REGIONS)
def test_log_sigmoid_keeps_its_bound(region, precision):
    x = REGIONS[region](np.random.default_rng(8))
    assert exact.largest_error(log_sigmoid(x, precision=precision), x, exact.log_sigmoid) <= LOG_SIGMOID_BOUND


@pytest.mark.parametrize("precision", LOGARITHMS)
@pytest.mark.parametrize("sign", [-1, 1])
def test_log_sigmoid_keeps_its_bound_far_out(sign, precision):
    random = np.random.default_rng(9)
    x = sign * np.concatenate([random.uniform(37.0, 745.0, POINTS), 10.0 ** random.uniform(1, 308, POINTS)])
    x = x[x <= 745.0]
    assert exact.largest_error(log_sigmoid(x, precision=precision), x, exact.log_sigmoid) <= LOG_SIGMOID_BOUND


@pytest.mark.parametrize("precision", LOGARITHMS)
@pytest.mark.parametrize(
    "probabilities",
    [
        pytest.param(lambda random: random.random(POINTS), id="everywhere"),
        pytest.param(lambda random: random.uniform(0.25, 0.35, POINTS), id="around the lower change of formula"),
        pytest.param(lambda random: random.uniform(0.6, 0.7, POINTS), id="around the upper change of formula"),
        pytest.param(lambda random: 0.5 + 0.1 * 10.0 ** random.uniform(-15, 0, POINTS), id="above one half"),
        pytest.param(lambda random: 0.5 - 0.1 * 10.0 ** random.uniform(-15, 0, POINTS), id="below one half"),
        pytest.param(lambda random: 10.0 ** random.uniform(-323, -1, POINTS), id="near zero"),
        pytest.param(lambda random: 1.0 - 10.0 ** random.uniform(-15, -1, POINTS), id="near one"),
        pytest.param(lambda random: np.array(WORST_OF_LOGIT), id="the worst known"),
    ],
)
def test_logit_keeps_its_bound(probabilities, precision):
    p = probabilities(np.random.default_rng(10))
    assert exact.largest_error(logit(p, precision=precision), p, exact.logit) <= LOGIT_BOUNDS[precision]


@pytest.mark.parametrize("precision", BOUNDS)
def test_huge_inputs_saturate(precision):
    x = np.concatenate([np.linspace(746.0, 1e4, 500), 10.0 ** np.linspace(4, 308, 500)])
    assert np.all(sigmoid(x, precision=precision) == 1.0)
    assert np.all(sigmoid(-x, precision=precision) == 0.0)
    assert np.array_equal(log_sigmoid(-x, precision=precision), -x)
    assert np.all(log_sigmoid(x, precision=precision) == 0.0)


@pytest.mark.parametrize("precision", BOUNDS)
def test_special_values_of_the_sigmoid(precision):
    x = np.array([np.inf, -np.inf, np.nan, 0.0, -0.0, 5e-324, -5e-324])
    np.testing.assert_array_equal(sigmoid(x, precision=precision), [1.0, 0.0, np.nan, 0.5, 0.5, 0.5, 0.5])


@pytest.mark.parametrize("precision", BOUNDS)
def test_special_values_of_the_logarithms(precision):
    x = np.array([np.inf, -np.inf, np.nan])
    np.testing.assert_array_equal(log_sigmoid(x, precision=precision), [0.0, -np.inf, np.nan])
    p = np.array([0.0, -0.0, 1.0, 0.5, np.nan, np.inf, -np.inf, -5e-324, np.nextafter(1.0, 2.0), -1.0, 2.0])
    nan = np.nan
    expected = [-np.inf, -np.inf, np.inf, 0.0, nan, nan, nan, nan, nan, nan, nan]
    np.testing.assert_array_equal(logit(p, precision=precision), expected)


def _neighbours(low, high):
    """Runs of 33 float64 numbers in sequence, none left out, in increasing order."""
    starts = np.random.default_rng(11).uniform(low, high, 4000)
    runs = np.abs(starts).view(np.int64)[:, None] + np.arange(33)
    magnitudes = runs.view(np.float64)
    return magnitudes if low >= 0 else -magnitudes[:, ::-1]


@pytest.mark.parametrize("edges", [(-745, -40), (-40, -8), (-8, -1), (-1, 0), (0, 1), (1, 40)])
def test_fast_never_steps_back_and_the_others_by_a_unit_at_most(edges):
    x = _neighbours(*edges)
    steps = {p: np.diff(sigmoid(x, precision=p).view(np.int64), axis=1) for p in BOUNDS}
    assert steps["fast"].min() >= 0
    assert steps["accurate"].min() >= -1
    assert steps["reproducible"].min() >= -1


@pytest.mark.parametrize("precision", BOUNDS)
def test_the_sigmoid_rises_across_the_change_of_formula(precision):
    x = np.linspace(-760.0, 40.0, 800_001)
    assert np.all(np.diff(sigmoid(x, precision=precision)) >= 0)
