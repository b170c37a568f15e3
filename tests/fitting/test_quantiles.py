"""Histograms of numbers by key: in order, exact where values are few, the same however values come."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.fitting.first_pass.quantiles import MOST_KEYS, KeyCounts
from pipeline.kernels.order import keys_of, value_of

NO_CLASSES = np.zeros(1, dtype=np.intp)
CHANCE = np.random.default_rng(3)
COLUMNS = {
    "normal": CHANCE.normal(size=50_001),
    "scales": CHANCE.normal(size=50_001) * 10.0 ** CHANCE.integers(-8, 9, 50_001),
    "narrow": 1e5 + CHANCE.normal(size=50_001) * 1e-3,
    "negative": -CHANCE.gamma(2.0, 1e6, 50_001),
    "whole": CHANCE.integers(0, 2_000, 50_001).astype(np.float64),
}


def counted(values: np.ndarray, pieces: int = 1, most: int = MOST_KEYS) -> KeyCounts:
    """Return the histogram of values that come in so many pieces."""
    total = KeyCounts(most=most)
    for piece in np.array_split(values, pieces):
        part = KeyCounts(most=most)
        part.add(piece, np.zeros(len(piece), dtype=np.intp), None)
        total.join(part, NO_CLASSES)
    return total


@given(st.lists(st.floats(allow_nan=False), min_size=2, max_size=50))
def test_keys_are_in_the_order_of_numbers_and_lead_back_to_them(values: list[float]) -> None:
    array = np.array(values)
    keys = keys_of(array)
    assert np.array_equal(np.argsort(keys, kind="stable"), np.argsort(array + 0.0, kind="stable"))
    assert [value_of(int(key)) for key in keys] == (array + 0.0).tolist()


@pytest.mark.parametrize("name", COLUMNS)
def test_the_median_is_within_four_thousandths(name: str) -> None:
    values = COLUMNS[name]
    assert counted(values).median() == pytest.approx(np.median(values), rel=0.004)


def test_the_median_of_few_different_numbers_is_exact() -> None:
    assert counted(COLUMNS["whole"]).median() == np.median(COLUMNS["whole"])
    assert counted(np.array([1.0, 2.0, 3.0, 10.0])).median() == 2.5
    assert counted(np.array([-7.0])).median() == -7.0


@settings(max_examples=25)
@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=300), st.integers(1, 9))
def test_what_is_left_out_does_not_depend_on_how_values_come(values: list[float], pieces: int) -> None:
    array = np.array(values)
    whole, parts = counted(array, most=16), counted(array, pieces, most=16)
    assert whole.shift == parts.shift
    assert np.array_equal(whole.keys, parts.keys)
    assert np.array_equal(whole.rows, parts.rows)
    assert whole.median() == parts.median()
    assert whole.edges(5) == parts.edges(5)


def test_a_weighted_median_is_that_of_repeated_rows() -> None:
    chance = np.random.default_rng(5)
    values, times = chance.normal(size=400), chance.integers(0, 6, 400)
    keys = KeyCounts()
    keys.add(values, np.zeros(400, dtype=np.intp), times.astype(np.float64))
    assert keys.median() == np.median(np.repeat(values, times))


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("bins", [2, 7, 20])
def test_edges_make_intervals_of_about_equal_counts(name: str, bins: int) -> None:
    values = COLUMNS[name]
    edges = np.array(counted(values).edges(bins))
    counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=bins)
    assert len(edges) == bins - 1
    assert counts.min() > 0.95 * len(values) / bins
    assert counted(values).between(tuple(edges), 1)[:, 0].tolist() == counts.tolist()


def test_an_edge_always_splits_something() -> None:
    values = np.repeat([0.0, 0.0, 0.0, 1.0, 5.0], 100)
    assert counted(values).edges(20) == (1.0, 5.0)
    assert counted(np.ones(50)).edges(4) == ()
    assert counted(np.array([-math.inf, 0.0, 1.0, math.inf])).edges(10) == (0.0, 1.0)


@pytest.mark.parametrize("name", ["normal", "negative"])
def test_edges_have_few_binary_digits(name: str) -> None:
    edges = np.array(counted(COLUMNS[name]).edges(10))
    assert not np.any(edges.view(np.uint64) & np.uint64(0xFFFF_FFFF))
