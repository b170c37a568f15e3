"""The raw prediction is the sum that the model defines, rounded step by step."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pipeline.kernels import (
    TILE_ROWS,
    Affine,
    Binned,
    Categorical,
    Clip,
    Factor,
    Guide,
    Numeric,
    Product,
    contributions,
    raw_prediction,
    tile_steps,
)
from tests.kernels.exact import bits

LEVELS = 5
NUMERIC_TYPES = ["f8", "f4", "f2", "i8", "i4", "u1", "u8", "?", ">f8", ">i2"]


def _row_by_row(terms, intercept, rows):
    """The definition in Python's own arithmetic, which never fuses a product with a sum."""
    totals = []
    for row in range(rows):
        total = intercept
        for term in terms:
            is_null = term.null is not None and term.null[row]
            if isinstance(term, Numeric):
                total = total + term.coefficient * (term.filler if is_null else float(term.values[row]))
            else:
                total = total + float(term.contributions[-1 if is_null else term.codes[row]])
        totals.append(math.nan if math.isnan(total) else total)
    return np.array(totals, dtype=np.float64)


@st.composite
def _terms(draw, rows):
    terms = []
    for _ in range(draw(st.integers(0, 4))):
        null = draw(st.none() | hnp.arrays(np.bool_, rows))
        if draw(st.booleans()):
            values = draw(hnp.arrays(draw(st.sampled_from(NUMERIC_TYPES)), rows))
            terms.append(Numeric(values, draw(st.floats()), null, draw(st.floats())))
        else:
            codes = draw(hnp.arrays(np.int32, rows, elements=st.integers(0, LEVELS - 1)))
            if null is not None:
                codes[null] = draw(st.integers(-(2**31), 2**31 - 1))
            terms.append(Categorical(codes, draw(hnp.arrays(np.float64, LEVELS)), null))
    return terms


def _random_terms(rows, seed=0):
    random = np.random.default_rng(seed)
    specials = random.choice([np.inf, -np.inf, np.nan, -np.nan, 0.0], rows)
    return [
        Numeric(random.standard_normal(rows), 0.7),
        Categorical(
            random.integers(0, LEVELS, rows, dtype=np.int32),
            random.standard_normal(LEVELS),
            random.random(rows) < 0.1,
        ),
        Numeric(random.standard_normal(rows).astype(np.float32), -1.3, random.random(rows) < 0.1, 0.3),
        Numeric(np.where(random.random(rows) < 0.05, specials, random.standard_normal(rows)), 1e-3),
        Numeric(random.integers(-(2**40), 2**40, rows), 1e-9),
        Numeric(np.where(random.random(rows) < 0.05, specials, random.standard_normal(rows)), -2.0),
    ]


def _rows(term, rows):
    null = None if term.null is None else term.null[rows]
    if isinstance(term, Numeric):
        return replace(term, values=term.values[rows], null=null)
    return replace(term, codes=term.codes[rows], null=null)


@given(data=st.data())
def test_it_is_the_sum_in_the_order_of_the_terms(data):
    rows = data.draw(st.integers(0, 12))
    terms = data.draw(_terms(rows))
    intercept = data.draw(st.floats(allow_nan=False))
    out = np.empty(rows)
    assert raw_prediction(terms, intercept, out=out) is out
    np.testing.assert_array_equal(bits(out), bits(_row_by_row(terms, intercept, rows)))


def test_products_are_rounded_before_they_are_added():
    # Fused, the result would be 9e-17, the rounding error of the product.
    out = raw_prediction([Numeric(np.full(9, 1 / 3), 3.0 + 2**-51)], -1.0, out=np.empty(9))
    assert np.all(out == 0.0)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_batching_gives_the_same_bits(data):
    rows = data.draw(st.integers(1, 2 * TILE_ROWS + 100))
    cuts = sorted(data.draw(st.lists(st.integers(0, rows), max_size=6)))
    terms = _random_terms(rows, data.draw(st.integers(0, 99)))
    whole = raw_prediction(terms, -0.25, out=np.empty(rows))
    batched = np.empty(rows)
    for first, last in zip([0, *cuts], [*cuts, rows], strict=True):
        raw_prediction([_rows(t, slice(first, last)) for t in terms], -0.25, out=batched[first:last])
    np.testing.assert_array_equal(bits(batched), bits(whole))


def test_a_row_alone_has_the_same_bits():
    terms = _random_terms(300)
    whole = raw_prediction(terms, -0.25, out=np.empty(300))
    alone = [raw_prediction([_rows(t, slice(r, r + 1)) for t in terms], -0.25, out=np.empty(1)) for r in range(300)]
    np.testing.assert_array_equal(bits(np.concatenate(alone)), bits(whole))


@pytest.mark.parametrize("step", [-1, 2, -3])
def test_the_layout_of_a_column_does_not_show(step):
    terms = _random_terms(2 * TILE_ROWS + 1)
    strided = [_rows(t, slice(None, None, step)) for t in terms]
    rows = len(strided[0].values)
    contiguous = [replace(t, values=t.values.copy()) if isinstance(t, Numeric) else t for t in strided]
    np.testing.assert_array_equal(
        bits(raw_prediction(strided, 1.5, out=np.empty(rows))),
        bits(raw_prediction(contiguous, 1.5, out=np.empty(rows))),
    )


def test_columns_are_read_only_and_unchanged():
    values = np.arange(10.0)
    values.flags.writeable = False
    raw_prediction([Numeric(values, 2.0)], 0.0, out=np.empty(10))
    np.testing.assert_array_equal(values, np.arange(10.0))


def test_no_terms_leave_the_intercept():
    np.testing.assert_array_equal(raw_prediction([], 0.25, out=np.empty(3)), [0.25, 0.25, 0.25])


def test_nothing_warns_or_raises_for_any_error_state_of_the_caller():
    values = np.array([np.inf, 1e308, 5e-324, np.nan, 0.0])
    with np.errstate(all="raise"):
        out = raw_prediction([Numeric(values, 1e10), Numeric(-values, 1e10)], 0.0, out=np.empty(5))
    np.testing.assert_array_equal(out, [np.nan, np.nan, 0.0, np.nan, 0.0])


def test_memory_is_a_few_tiles_and_no_matrix():
    rows = 20 * TILE_ROWS
    terms = [*_random_terms(rows), *_random_terms(rows, 1)]
    out = np.empty(rows)
    tracemalloc.start()
    try:
        raw_prediction(terms, 0.0, out=out)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * TILE_ROWS * 8


@pytest.mark.parametrize("codes", [[0, 1, LEVELS], [-1, 0, 1]])
def test_a_code_outside_its_table_is_refused(codes):
    term = Categorical(np.array(codes, np.int32), np.zeros(LEVELS))
    with pytest.raises(IndexError, match=f"for a table of {LEVELS} contributions"):
        raw_prediction([term], 0.0, out=np.empty(3))


def test_a_code_outside_its_table_is_refused_even_next_to_a_null():
    term = Categorical(np.array([7, 9, 0], np.int32), np.zeros(LEVELS), np.array([False, True, True]))
    with pytest.raises(IndexError, match="codes from 7 to 7"):
        raw_prediction([term], 0.0, out=np.empty(3))


@pytest.mark.parametrize("null", [np.zeros(2, np.bool_), np.zeros(3, np.int8)])
def test_nulls_that_are_not_booleans_are_refused(null):
    with pytest.raises(ValueError, match="term 0: nulls must be"):
        raw_prediction([Numeric(np.zeros(3), 1.0, null)], 0.0, out=np.empty(3))


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.zeros(3, complex), TypeError, "term 0: a column of complex128 cannot be used"),
        (np.array(["a", "b", "c"]), TypeError, "term 0: a column of <U1 cannot be used"),
        (np.zeros(3, np.longdouble), TypeError, "term 0: a column of"),
        (np.zeros(2), ValueError, r"term 0: the column has shape \(2,\), but out has \(3,\)"),
        (np.zeros((3, 1)), ValueError, r"term 0: the column has shape \(3, 1\)"),
    ],
)
def test_an_unfit_column_is_refused(values, error, message):
    with pytest.raises(error, match=message):
        raw_prediction([Numeric(values, 1.0)], 0.0, out=np.empty(3))


def test_unfit_tables_and_codes_are_refused():
    codes = np.zeros(3, np.int32)
    with pytest.raises(TypeError, match="contributions must be one- or two-dimensional float64"):
        raw_prediction([Categorical(codes, np.zeros(2, np.float32))], 0.0, out=np.empty(3))
    with pytest.raises(TypeError, match="a column of float64 cannot be used"):
        raw_prediction([Categorical(codes.astype(float), np.zeros(2))], 0.0, out=np.empty(3))


def test_an_unfit_out_is_refused():
    with pytest.raises(TypeError, match="out must be float64, got float32"):
        raw_prediction([], 0.0, out=np.empty(3, np.float32))
    for out in (np.empty((3, 1, 1)), np.empty(6)[::2], np.empty(3)[::-1]):
        with pytest.raises(ValueError, match="two-dimensional, contiguous and writeable"):
            raw_prediction([], 0.0, out=out)
    values = np.arange(4.0)
    with pytest.raises(ValueError, match="term 0: the column overlaps out"):
        raw_prediction([Numeric(values[1:], 1.0)], 0.0, out=values[:-1])
    np.testing.assert_array_equal(values, np.arange(4.0))


def _table(random, *shape):
    return random.standard_normal(shape)


def _terms_of_all_kinds(rows, outputs=None, seed=3):
    """One term of each kind, with nulls; coefficients for several outputs, or for one."""
    random = np.random.default_rng(seed)
    shape = () if outputs is None else (outputs,)
    number = (lambda: float(random.standard_normal())) if outputs is None else (lambda: _table(random, outputs))
    null = random.random(rows) < 0.1
    codes = random.integers(0, LEVELS, rows, dtype=np.int32)
    guide = Guide.of([-1.0, 0.0, 0.25, 2.0])
    factors = (
        Factor(random.standard_normal(rows).astype(np.float32), (), null, 0.5),
        Factor(random.integers(1, 9, rows), tile_steps(["log", Affine(0.5, 2.0), Clip(-1.0, 1.0)], "fast")),
    )
    return [
        Numeric(random.standard_normal(rows), number()),
        Numeric(random.integers(-9, 9, rows, dtype=np.int16), number(), null, 3.0),
        Categorical(codes, _table(random, *shape, LEVELS), null),
        Binned(random.standard_normal(rows), guide, guide.by_slot(_table(random, *shape, 6)), null),
        Product(factors, number()),
        Product(factors[:1], Categorical(codes, _table(random, *shape, LEVELS))),
    ]


def _of_output(term, output):
    """The term of one output alone."""
    if isinstance(term, Product):
        levels = isinstance(term.coefficient, Categorical)
        return replace(term, coefficient=_of_output(term.coefficient, output) if levels else term.coefficient[output])
    name = "coefficient" if isinstance(term, Numeric) else "contributions"
    return replace(term, **{name: getattr(term, name)[output]})


@pytest.mark.parametrize("rows", [0, 1, 4_096, 40_001])
def test_each_of_several_outputs_has_the_bits_of_that_output_alone(rows):
    terms = _terms_of_all_kinds(rows, outputs=3)
    intercepts = np.array([0.5, -1.0, 0.0])
    out = raw_prediction(terms, intercepts, out=np.empty((3, rows)))
    for output, intercept in enumerate(intercepts):
        alone = [_of_output(term, output) for term in terms]
        np.testing.assert_array_equal(bits(out[output]), bits(raw_prediction(alone, intercept, out=np.empty(rows))))


@pytest.mark.parametrize("rows", [1, 8_192, 40_001])
def test_visited_contributions_are_what_is_added(rows):
    terms = _terms_of_all_kinds(rows)
    parts = np.full((len(terms), rows), np.nan)

    def keep(place, term, added):
        parts[term, place] = added

    out = raw_prediction(terms, -0.75, out=np.empty(rows), visit=keep)
    np.testing.assert_array_equal(bits(out), bits(raw_prediction(terms, -0.75, out=np.empty(rows))))
    total = np.full(rows, -0.75)
    for part in parts:
        total = total + part
    np.testing.assert_array_equal(bits(out), bits(total))
    chosen = np.flatnonzero(np.random.default_rng(rows).random(rows) < 0.3)
    np.testing.assert_array_equal(bits(contributions(terms, chosen)), bits(parts[:, chosen]))


def test_contributions_to_several_outputs_cannot_be_visited():
    with pytest.raises(ValueError, match="one output"):
        raw_prediction([], np.zeros(2), out=np.empty((2, 3)), visit=print)


def test_a_product_is_multiplied_from_left_to_right_and_its_coefficient_comes_last():
    values = np.array([0.1, 0.2, 0.3])
    product = Product((Factor(values), Factor(values), Factor(values)), 0.7)
    out = raw_prediction([product], 0.0, out=np.empty(3))
    assert out.tolist() == [((x * x) * x) * 0.7 for x in values.tolist()]


def intervals_of(guide, values):
    """The interval of each value, by the slot that the guide gives it."""
    slots = np.empty(values.size, dtype=np.intp)
    with np.errstate(all="ignore"):
        guide.find(values, slots, np.empty(values.size))
    by_slot = guide.by_slot(np.arange(guide.intervals + 1.0))
    assert by_slot[-1] == guide.intervals
    return by_slot[:-1][slots].astype(int).tolist()


EDGES = st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=60, unique=True).map(sorted)


@given(EDGES, st.lists(st.floats(allow_nan=False), max_size=30), st.integers(0, 3))
def test_a_value_is_in_the_interval_that_a_search_finds(edges, values, nearby):
    guide = Guide.of(edges)
    with np.errstate(over="ignore"):
        near = [np.nextafter(edge, np.inf if nearby % 2 else -np.inf) for edge in edges[: 10 * nearby]]
    cells = np.array([*values, *edges, *near])
    assert intervals_of(guide, cells) == np.searchsorted(edges, cells, side="right").tolist()
    assert guide.intervals == len(edges) + 1


def test_a_nan_is_in_some_interval():
    for edges in ([0.0], [0.0, 1.0], [-1e308, 1e308]):
        guide = Guide.of(edges)
        assert set(intervals_of(guide, np.array([np.nan, -np.nan, 0.5]))) <= set(range(guide.intervals))


STEPS = [("log", mpmath.log), ("log1p", mpmath.log1p), ("sqrt", mpmath.sqrt), ("square", lambda x: x * x)]


@pytest.mark.parametrize(("step", "exact"), STEPS, ids=[name for name, _ in STEPS])
@pytest.mark.parametrize("precision", ["fast", "accurate", "reproducible"])
def test_steps_are_within_two_units_of_the_exact_function(step, exact, precision):
    random = np.random.default_rng(0)
    tile = np.concatenate([np.exp(random.uniform(-300, 300, 2_000)), random.uniform(1e-3, 3, 2_000), [1e300, 1.7e308]])
    if step == "log1p":
        tile = np.concatenate([tile, random.uniform(-0.999, 0.999, 2_000), -np.exp(random.uniform(-40, -1, 500))])
    if step == "square":
        tile = tile[np.abs(np.log10(np.abs(tile))) < 150]
    result = tile.copy()
    for change in tile_steps([step], precision):
        change(result)
    with mpmath.workdps(40):
        wanted = [exact(mpmath.mpf(x)) for x in tile.tolist()]
        pairs = zip(result.tolist(), wanted, strict=True)
        errors = [abs(mpmath.mpf(y) - z) / mpmath.mpf(np.spacing(abs(y))) for y, z in pairs]
    assert max(errors) <= 2


@pytest.mark.parametrize("precision", ["fast", "reproducible"])
def test_steps_outside_their_domain_give_what_ieee_arithmetic_gives(precision):
    cells = np.array([0.0, -1.0, -2.0, np.inf, -np.inf, np.nan])
    expected = {
        "log": [-np.inf, np.nan, np.nan, np.inf, np.nan, np.nan],
        "log1p": [0.0, -np.inf, np.nan, np.inf, np.nan, np.nan],
        "sqrt": [0.0, np.nan, np.nan, np.inf, np.nan, np.nan],
    }
    for step, wanted in expected.items():
        result = cells.copy()
        with np.errstate(all="ignore"):
            for change in tile_steps([step], precision):
                change(result)
        np.testing.assert_array_equal(result, wanted)


def test_clip_keeps_nan_and_affine_divides():
    tile = np.array([-5.0, 0.3, 5.0, np.nan])
    for change in tile_steps([Clip(-1.0, 1.0), Affine(0.1, 0.7)], "fast"):
        change(tile)
    np.testing.assert_array_equal(tile, [(-1.0 - 0.1) / 0.7, (0.3 - 0.1) / 0.7, (1.0 - 0.1) / 0.7, np.nan])


@pytest.mark.parametrize("close", [1e-3, 1e-5, 1e-9], ids=["first table", "second table", "search"])
def test_edges_that_lie_close_together_are_told_apart(close):
    edges = [0.0, close, 1.0]
    guide = Guide.of(edges)
    values = np.array([-1.0, 0.0, close / 2, np.nextafter(close, 0), close, 0.5, 1.0, 2.0])
    assert intervals_of(guide, values) == np.searchsorted(edges, values, side="right").tolist()


def test_a_table_by_slot_has_a_row_for_each_output():
    guide = Guide.of([0.0, 1.0])
    table = np.array([[1.0, 2.0, 3.0, -1.0], [4.0, 5.0, 6.0, -2.0]])
    by_slot = guide.by_slot(table)
    for output in (0, 1):
        np.testing.assert_array_equal(by_slot[output], guide.by_slot(table[output]))
    assert by_slot[:, -1].tolist() == [-1.0, -2.0]
