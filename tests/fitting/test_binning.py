"""Weights of evidence, and intervals that are merged until they are monotone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.isotonic import IsotonicRegression

from pipeline.fitting.first_pass.binning import learnt_bins, merged, weights_of_evidence
from pipeline.fitting.asking.terms import BinsTerm

COUNTS = hnp.arrays(np.float64, st.tuples(st.integers(2, 12), st.just(2)), elements=st.integers(1, 50).map(float))


def test_weights_of_evidence_are_logarithms_of_shares() -> None:
    goods, bads = [860, 4_000, 6_000, 9_140], [140, 1_000, 1_000, 860]
    woe, value = weights_of_evidence(np.array([goods, bads], dtype=float).T)
    shares = [(bad / 3_000, good / 20_000) for good, bad in zip(goods, bads, strict=True)]
    assert woe == pytest.approx([np.log(bad / good) for bad, good in shares])
    assert value == pytest.approx(sum((bad - good) * np.log(bad / good) for bad, good in shares))


def test_weights_of_evidence_are_those_of_optbinning() -> None:
    # By OptimalBinning(user_splits=EDGES, user_splits_fixed=[True] * 4).fit(x, y).binning_table.build() of optbinning
    # 1.0.0, whose weights have the other sign.
    theirs = (1.4525860981437915, 0.5795833625543794, -0.08654310838921848, -0.8067500496247764, -1.7214834520037308)
    chance = np.random.default_rng(0)
    x = chance.normal(size=20_000)
    y = chance.random(20_000) < 1 / (1 + np.exp(-x))
    slots = np.searchsorted([-1.0, -0.25, 0.5, 1.25], x, side="right")
    woe, value = weights_of_evidence(np.stack([np.bincount(slots[y == each], minlength=5) for each in (0, 1)], axis=1))
    assert woe == pytest.approx([-each for each in theirs], rel=1e-13)
    assert value == pytest.approx(0.7436603502817045, rel=1e-13)


def test_an_interval_with_one_class_alone_has_a_finite_weight() -> None:
    woe, value = weights_of_evidence(np.array([[10.0, 0.0], [5.0, 5.0], [0.0, 0.0]]))
    assert woe[0] == pytest.approx(np.log((0.5 / 5.5) / (10.5 / 15.5)))
    assert woe[2] == 0
    assert np.isfinite(value)


@pytest.mark.parametrize("falling", [False, True])
@given(counts=COUNTS)
def test_merged_intervals_are_the_blocks_of_an_isotonic_regression(counts: np.ndarray, falling: bool) -> None:
    edges = tuple(range(1, len(counts)))
    missing = np.zeros((1, 2))
    kept, rows = merged(edges, np.vstack([counts, missing]), falling=falling)
    rate, weight = counts[:, 1] / counts.sum(axis=1), counts.sum(axis=1)
    numbers = np.arange(len(counts))
    expected = IsotonicRegression(increasing=not falling).fit(numbers, rate, weight).predict(numbers)
    found = np.repeat(rows[:-1, 1] / rows[:-1].sum(axis=1), np.diff([0, *kept, len(counts)]))
    assert found == pytest.approx(expected)
    shares = rows[:-1, 1] / rows[:-1].sum(axis=1)
    assert np.all(np.diff(shares) < 0 if falling else np.diff(shares) > 0)
    assert rows.sum() == counts.sum()


def test_monotone_weights_of_evidence_have_fewer_intervals() -> None:
    counts = np.array([[9.0, 1.0], [8.0, 2.0], [9.0, 1.0], [5.0, 5.0], [3.0, 1.0]])
    found = learnt_bins(BinsTerm("x", woe=True, monotone="up"), (1.0, 2.0, 3.0), counts)
    assert found.edges == (1.0, 3.0)
    assert found.counts == ((9.0, 1.0), (17.0, 3.0), (5.0, 5.0), (3.0, 1.0))
    assert list(found.woe[:3]) == sorted(found.woe[:3])
    plain = learnt_bins(BinsTerm("x"), (1.0, 2.0, 3.0), counts)
    assert (plain.edges, plain.woe, plain.information_value) == ((1.0, 2.0, 3.0), (), None)
