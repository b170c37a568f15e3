"""Every function of the registry: its bounds against mpmath, its limits, its memory. A new entry needs no new test."""

from __future__ import annotations

import math
import tracemalloc
from functools import partial

import numpy as np
import pytest

from pipeline.kernels import KERNELS, TILE_ROWS, evaluate, gradient, softmax, softmax_columns, softmax_gradient
from pipeline.registry import FUNCTIONS, Parameter
from tests.kernels import exact_functions as exact
from tests.kernels.exact import bits

POINTS = 40
ENTRIES = [entry for entry in FUNCTIONS.values() if not entry.several]
SOFTMAX = FUNCTIONS["softmax"]

every_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
every_precision = pytest.mark.parametrize("precision", ["fast", "reproducible"])


def test_every_entry_has_its_tiles() -> None:
    assert {entry.name for entry in ENTRIES} == KERNELS.keys()
    for entry in ENTRIES:
        assert bool(entry.value_derivative) == (KERNELS[entry.name].from_value is not None), entry.name


@every_entry
@every_precision
def test_values_keep_their_bound(entry, precision) -> None:
    x = exact.points(entry, POINTS, seed=1)
    for at, result in zip(x.tolist(), evaluate(entry.name, x, precision=precision).tolist(), strict=True):
        truth = exact.value(entry, at)
        slack = entry.slack(at, result) if entry.slack else 0
        assert abs(result - truth) <= entry.bound * exact.unit(truth) + slack, at


@every_entry
@every_precision
def test_derivatives_keep_their_bound(entry, precision) -> None:
    x = exact.points(entry, POINTS, seed=2)
    for at, result in zip(x.tolist(), gradient(entry.name, x, precision=precision).tolist(), strict=True):
        truth = exact.derivative(entry, at)
        slack = entry.gradient_slack(at, result) if entry.gradient_slack else 0
        assert abs(result - truth) <= entry.gradient_bound * exact.unit(truth) + slack, at


@every_entry
def test_derivatives_from_the_value_are_those_of_its_rounded_x(entry) -> None:
    x = exact.points(entry, POINTS, seed=3)
    if not entry.value_derivative:
        with pytest.raises(TypeError, match=f"{entry.name}_grad takes only x"):
            gradient(entry.name, value=x)
        return
    y = evaluate(entry.name, x)
    for at, value, result in zip(x.tolist(), y.tolist(), gradient(entry.name, value=y).tolist(), strict=True):
        first, second = exact.derivative(entry, at), exact.second_derivative(entry, at)
        # The value is off by so much, and the derivative changes by the second derivative over the first as it moves.
        moved = abs(second / first) * (entry.bound + 0.5) * exact.unit(value) if first else 0
        assert abs(result - first) <= (entry.gradient_bound + 1) * exact.unit(first) + 2 * moved, at


ASKED = [
    ("sigmoid", {"temperature": 2.5}),
    ("sigmoid", {"temperature": 0.5, "alpha": -1.5, "beta": 0.25}),
    ("sigmoid", {"low": -1, "high": 1}),
    ("sigmoid", {"low": -1, "high": 1, "temperature": 3}),
    ("sigmoid", {"low": 2, "high": 5}),
    ("sigmoid", {"low": -3, "high": -0.5}),
    ("sigmoid", {"low": -0.25, "high": 7}),
    ("leaky_relu", {"alpha": 0.3}),
    ("leaky_relu", {"alpha": 0}),
    ("elu", {"alpha": 1.75}),
]


@pytest.mark.parametrize(("name", "parameters"), ASKED, ids=str)
@every_precision
def test_parameters_keep_their_bound(name, parameters, precision) -> None:
    entry = FUNCTIONS[name]
    x = np.random.default_rng(4).uniform(-30, 30, POINTS)
    # The sigmoid's bounds are at the rounded z.
    z = x * parameters.get("alpha", 1) + parameters.get("beta", 0) if name == "sigmoid" else x
    z, rest = z / parameters.get("temperature", 1), dict(parameters)
    factor, bound, slope_bound, span = exact.VALUES.one, entry.bound, entry.gradient_bound, 0.0
    if name == "sigmoid":
        temperature, alpha, _ = (
            rest.pop(key, default) for key, default in (("temperature", 1), ("alpha", 1), ("beta", 0))
        )
        factor = exact.VALUES.mpf(alpha) / exact.VALUES.mpf(temperature)
        bound, slope_bound = 4, 8
        span = max(abs(rest.get("low", 0)), abs(rest.get("high", 1))) if rest else 0.0
    values = evaluate(name, x, precision=precision, **parameters).tolist()
    slopes = gradient(name, x, precision=precision, **parameters).tolist()
    for at, value, slope in zip(z.tolist(), values, slopes, strict=True):
        truth = exact.value(entry, at, **rest)
        assert abs(value - truth) <= bound * exact.unit(span or truth), at
        truth = factor * exact.derivative(entry, at, **rest)
        assert abs(slope - truth) <= slope_bound * exact.unit(truth), at


@pytest.mark.parametrize(("name", "parameters"), ASKED, ids=str)
def test_derivatives_from_the_value_know_the_parameters(name, parameters) -> None:
    x = np.linspace(-2.2, 2.1, 40)
    y = evaluate(name, x, **parameters)
    slopes = gradient(name, value=y, **parameters)
    np.testing.assert_allclose(slopes, gradient(name, x, **parameters), rtol=1e-12)


@pytest.mark.parametrize("high", [1.0, 3.5])
def test_a_range_around_zero_keeps_its_digits_at_zero(high) -> None:
    x = 10.0 ** np.random.default_rng(5).uniform(-300, 0, POINTS)
    for at, result in zip(x.tolist(), evaluate("sigmoid", x, low=-high, high=high).tolist(), strict=True):
        truth = exact.value_beside_zero(FUNCTIONS["sigmoid"], at, low=-high, high=high)
        assert abs(result - truth) <= 3 * exact.unit(truth), at


def test_results_stay_inside_the_range() -> None:
    x = np.concatenate([np.linspace(-60, 60, 10_001), [-math.inf, math.inf]])
    for low, high in ((0.1, 0.3), (-0.3, -0.1), (-0.1, 0.7), (1e300, 1.1e300)):
        y = evaluate("sigmoid", x, low=low, high=high)
        assert y.min() == y[-2] == low
        assert y.max() == y[-1] == high


def test_sigmoid_grad_does_not_cancel_where_the_value_rounds_to_one() -> None:
    assert gradient("sigmoid", 40.0) == pytest.approx(math.exp(-40), rel=1e-15)
    assert gradient("sigmoid", value=1.0) == 0.0
    assert gradient("sigmoid", -40.0) == gradient("sigmoid", 40.0)
    assert gradient("tanh", 20.0) == pytest.approx(4 * math.exp(-40), rel=1e-15)


def _limit(entry, far: float) -> float:
    """The limit at infinity, from the exact value far out; NaN outside of the domain."""
    try:
        truth = float(exact.value(entry, far))
    except TypeError:
        return math.nan
    return math.copysign(math.inf, truth) if abs(truth) > 1000 else truth


@every_entry
@every_precision
def test_infinities_give_limits_and_nan_stays(entry, precision) -> None:
    with np.errstate(all="raise"):
        left, right, nan = evaluate(entry.name, np.array([-math.inf, math.inf, math.nan]), precision=precision)
        slopes = gradient(entry.name, np.array([-math.inf, math.inf, math.nan]), precision=precision)
    far = 1e305 if entry.name == "inverse_cauchit" else 1e6  # its tails fall as 1/x
    np.testing.assert_allclose([left, right], [_limit(entry, -far), _limit(entry, far)], atol=1e-300)
    assert np.isnan(nan)
    assert np.isnan(slopes[2])
    if not np.isnan(left):
        assert np.isfinite(slopes[:2]).all()
    if entry.value_derivative:
        assert np.isnan(gradient(entry.name, value=math.nan, precision=precision))


def _calls(entry):
    yield partial(evaluate, entry.name)
    yield partial(gradient, entry.name)
    if entry.value_derivative:
        yield lambda y, out=None: gradient(entry.name, value=y, out=out)


def _inputs(entry) -> np.ndarray:
    odd = [0.0, -0.0, math.nan, -math.nan, math.inf, -math.inf, 5e-324, -5e-324, 1e308, -1e308, -750.5, 3.0, -3.0]
    x = np.concatenate([exact.points(entry, 4 * TILE_ROWS // 15, seed=10), odd * 3])
    return np.random.default_rng(11).permutation(x)


@every_entry
def test_an_element_has_the_same_bits_at_every_place(entry) -> None:
    x = _inputs(entry)
    for call in _calls(entry):
        expected = bits(call(x))
        np.testing.assert_array_equal(bits(np.concatenate([call(x[:7]), call(x[7:5000]), call(x[5000:])])), expected)
        np.testing.assert_array_equal(bits(call(x[::-1])), expected[::-1])
        np.testing.assert_array_equal(bits(call(np.stack([x, x], axis=1)[:, 1])), expected)
        np.testing.assert_array_equal(bits(np.array([call(value) for value in x[:60]])), expected[:60])
        own = x.copy()
        assert call(own, out=own) is own
        np.testing.assert_array_equal(bits(own), expected)


@every_precision
@pytest.mark.parametrize("alpha", [None, 0.0])
def test_relu_of_a_negative_zero_is_the_positive_one_in_every_lane(precision, alpha) -> None:
    name, more = ("relu", {}) if alpha is None else ("leaky_relu", {"alpha": alpha})
    zeros = np.full(TILE_ROWS + 80, -0.0)
    for length in (*range(70), TILE_ROWS - 1, TILE_ROWS + 71):
        for offset in range(9):
            part = zeros[offset : offset + length]
            assert not np.signbit(evaluate(name, part, precision=precision, **more)).any()
            own = part.copy()
            assert not np.signbit(evaluate(name, own, out=own, precision=precision, **more)).any()


@every_entry
def test_types_are_kept_and_small_floats_are_rounded_once(entry) -> None:
    x = np.random.default_rng(12).random(1000)
    for call in _calls(entry):
        for dtype in (np.float32, np.float16):
            small = x.astype(dtype)
            np.testing.assert_array_equal(call(small), call(small.astype(np.float64)).astype(dtype))
        for whole in (np.array([0, 1]), np.array([False, True])):
            np.testing.assert_array_equal(bits(call(whole)), bits(call(whole.astype(np.float64))))
        with pytest.raises(TypeError, match="out must be float64"):
            call(x, out=np.empty(1000, np.float32))


@every_entry
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_extra_memory_is_at_most_a_mebibyte(entry, dtype) -> None:
    x = np.random.default_rng(6).random(16 * TILE_ROWS).astype(dtype)
    out = np.empty_like(x)
    for call in (evaluate, gradient):
        assert _peak(lambda call=call: call(entry.name, x, out=out)) <= 1 << 20


@pytest.mark.parametrize("columns", [2, 3, 64, 65, 1000])
def test_extra_memory_of_softmax_is_at_most_a_mebibyte(columns) -> None:
    x = np.random.default_rng(6).random((400_000 // columns, columns))
    out = np.empty_like(x)
    assert _peak(lambda: softmax(x, out=out)) <= 1 << 20
    assert _peak(lambda: softmax_gradient(x, out=out)) <= 1 << 20
    assert _peak(lambda: softmax_gradient(value=x, out=out)) <= 1 << 20


def _peak(function) -> int:
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("columns", [2, 3, 64, 65, 300])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_softmax_keeps_its_bound(columns, temperature) -> None:
    x = np.random.default_rng(7).standard_normal((2, columns)) * 20
    results = softmax(x, temperature=temperature)
    slopes = softmax_gradient(x, temperature=temperature)
    for row, result, slope in zip(x.tolist(), results.tolist(), slopes.tolist(), strict=True):
        truths = SOFTMAX.exact(exact.VALUES, [exact.VALUES.mpf(value) for value in row], temperature=temperature)
        for at, value, derivative, truth in zip(row, result, slope, truths, strict=True):
            allowed = SOFTMAX.bound + columns / 2 + 2 * (max(row) - at) / temperature
            assert abs(value - truth) <= allowed * exact.unit(truth)
            others = exact.VALUES.fsum([p for p in truths if p is not truth])
            truth_of_slope = truth * others / temperature
            allowed = SOFTMAX.gradient_bound + 2 * columns + 6 * (max(row) - min(row)) / temperature
            assert abs(derivative - truth_of_slope) <= allowed * exact.unit(truth_of_slope)


def test_softmax_grad_from_the_value_does_not_cancel_where_one_is_all_but_one() -> None:
    x = np.array([[40.0, 0.0, -3.0], [1.0, 2.0, 0.5], [-5.0, 700.0, 650.0]])
    for temperature in (1.0, 2.5):
        p = softmax(x, temperature=temperature)
        expected = softmax_gradient(x, temperature=temperature)
        np.testing.assert_allclose(softmax_gradient(value=p, temperature=temperature), expected, rtol=1e-14)
    np.testing.assert_array_equal(softmax_gradient(value=[[1.0], [math.nan]]), [[0.0], [math.nan]])


def test_softmax_of_a_row_depends_on_the_row_alone() -> None:
    for columns in (1, 2, 7, 64, 65, 1000):
        x = np.random.default_rng(8).standard_normal((700, columns)) * 9
        expected = bits(softmax(x))
        np.testing.assert_array_equal(bits(np.stack([softmax(row) for row in x])), expected)
        np.testing.assert_array_equal(bits(softmax(np.asfortranarray(x))), expected)
        np.testing.assert_array_equal(bits(softmax(x.T.copy(), axis=0)).T, expected)
        np.testing.assert_array_equal(bits(np.stack(softmax_columns(list(x.T.copy())), axis=1)), expected)
        np.testing.assert_array_equal(bits(softmax(x[::-1])), expected[::-1])
        assert softmax(x, out=x) is x
        np.testing.assert_array_equal(bits(x), expected)


def test_softmax_of_every_axis_type_and_odd_rows() -> None:
    x = np.random.default_rng(9).standard_normal((3, 4, 5))
    for axis in (0, 1, 2, -1, -2):
        np.testing.assert_allclose(softmax(x, axis=axis).sum(axis=axis), 1, rtol=1e-15)
    assert softmax(x.astype(np.float32)).dtype == np.float32
    assert softmax([[1, 2]]).dtype == np.float64
    assert softmax(np.empty((0, 3))).shape == (0, 3)
    with np.errstate(all="raise"):
        odd = softmax([[0.0, -math.inf], [math.inf, 0.0], [math.nan, 0.0], [1e308, -1e308]])
    np.testing.assert_array_equal(odd, [[1, 0], [math.nan] * 2, [math.nan] * 2, [1, 0]])
    with pytest.raises(ValueError, match="softmax needs an axis"):
        softmax(1.0)
    with pytest.raises(TypeError, match="takes either x or value="):
        softmax_gradient()


def test_a_wrong_request_is_explained() -> None:
    with pytest.raises(LookupError, match='no function "sigmod"; did you mean "sigmoid"'):
        evaluate("sigmod", 1.0)
    with pytest.raises(TypeError, match='no parameter "temprature"; did you mean "temperature"'):
        evaluate("sigmoid", 1.0, temprature=2)
    with pytest.raises(TypeError, match="tanh has no parameters"):
        evaluate("tanh", 1.0, alpha=2)
    with pytest.raises(ValueError, match="temperature must be more than 0, got 0"):
        evaluate("sigmoid", 1.0, temperature=0)
    with pytest.raises(ValueError, match="low must be less than high, got 2 and 1"):
        evaluate("sigmoid", 1.0, low=2)
    with pytest.raises(TypeError, match="alpha must be a number, got str"):
        evaluate("elu", 1.0, alpha="2")
    with pytest.raises(TypeError, match="takes either x or value="):
        gradient("tanh", 1.0, value=1.0)
    with pytest.raises(LookupError, match="softmax takes several columns"):
        evaluate("softmax", 1.0)
    for value in (math.nan, math.inf, -0.1, 1.1):
        with pytest.raises(ValueError, match="share must be between 0 and 1"):
            Parameter("share", 0.5, "", least=0, most=1).checked(value)


@pytest.mark.campaign
@every_entry
@every_precision
def test_the_worst_of_many_points_keeps_the_bound(entry, precision) -> None:
    """In 80-bit floats the plain expression is right to a thousandth of a unit: fast enough for millions of points."""
    if np.finfo(np.longdouble).nmant < 63:
        pytest.skip("long double is no wider than double here")
    worst = 0.0
    for seed in range(40):
        x = exact.points(entry, 100_000, seed)
        with np.errstate(all="ignore"):
            truth = np.asarray(entry.plain(np, x.astype(np.longdouble)))
            units = np.ldexp(1.0, np.maximum(np.frexp(truth)[1] - 53, -1074).astype(int))
            results = evaluate(entry.name, x, precision=precision)
            slack = [entry.slack(a, b) for a, b in zip(x, results, strict=True)] if entry.slack else 0
            errors = ((np.abs(results - truth) - slack) / units).astype(float)
        worst = max(worst, float(np.nanmax(errors)))
    print(f"{entry.name} {precision}: {worst:.2f} u")
    assert worst <= entry.bound
