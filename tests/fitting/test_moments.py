"""Means and deviations of columns: right whatever their scale, and the same however rows are divided."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.fitting.first_pass.moments import Moments

CHANCE = np.random.default_rng(17)
ROWS = 200_000
SCALES = 10.0 ** np.arange(-8, 9, 2)
# Means of 1e5 deviations, at every scale.
FAR = (CHANCE.normal(size=(len(SCALES), ROWS)) + 1e5) * SCALES[:, None]


def exact(values: np.ndarray) -> tuple[float, float]:
    """Return mean and deviation, computed with exact sums."""
    mean = math.fsum(values) / len(values)
    return mean, math.sqrt(math.fsum(((values - mean) ** 2).tolist()) / len(values))


def joined(columns: np.ndarray, weights: np.ndarray | None, tile: int, chunk: int) -> Moments:
    """Return the moments of rows in tiles, tile by tile within a chunk, and chunk by chunk."""
    total = Moments.empty(len(columns))
    for begin in range(0, columns.shape[1], chunk):
        part = Moments.empty(len(columns))
        for first in range(begin, min(begin + chunk, columns.shape[1]), tile):
            rows = slice(first, min(first + tile, begin + chunk))
            part.join(Moments.of(columns[:, rows], None if weights is None else weights[rows]))
        total.join(part)
    return total


def test_means_of_a_hundred_thousand_deviations_lose_nothing() -> None:
    found = joined(FAR, None, 8_192, 50_000)
    for place, values in enumerate(FAR):
        mean, deviation = exact(values)
        assert found.mean[place] == pytest.approx(mean, rel=1e-15)
        assert found.deviation[place] == pytest.approx(deviation, rel=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_another_chunk_size_is_within_a_trillionth(weighted: bool) -> None:
    weights = CHANCE.random(ROWS) if weighted else None
    one, other = joined(FAR, weights, 8_192, 50_000), joined(FAR, weights, 8_192, 30_001)
    assert one.mean == pytest.approx(other.mean, rel=1e-15)
    assert one.deviation == pytest.approx(other.deviation, rel=1e-12)


def test_weights_count_like_repeated_rows_and_missing_values_do_not_count() -> None:
    values, times = CHANCE.normal(size=(3, 5_000)), CHANCE.integers(0, 4, 5_000)
    values[1, CHANCE.random(5_000) < 0.3] = np.nan
    values[2] = np.nan
    found = joined(values, times.astype(np.float64), 512, 1_000)
    for place in (0, 1):
        repeated = np.repeat(values[place], times)
        assert found.weight[place] == np.count_nonzero(~np.isnan(repeated))
        assert found.mean[place] == pytest.approx(np.nanmean(repeated), rel=1e-12)
        assert found.deviation[place] == pytest.approx(np.nanstd(repeated), rel=1e-12)
    assert found.missing.tolist() == np.isnan(values).sum(axis=1).tolist()
    assert (found.weight[2], found.deviation[2], found.smallest[2]) == (0, 0, np.inf)


def test_a_constant_has_no_deviation_whatever_rounding_does() -> None:
    found = joined(np.full((1, 100_000), 0.1), CHANCE.random(100_000), 8_192, 30_000)
    assert found.deviation[0] == 0
