"""Millions of generated rows in one pass, against exact sorting of the same."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from sklearn import metrics

from pipeline.evaluation.measures import BOUND_TOLD
from tests.evaluation.generated_rows import NAMES, GeneratedRows, SortedRows

# What sums of 10**8 numbers that are rounded may be off by.
ROUNDED = 1e-12
# Of the blocks, of the state and of what its measures need, whatever the number of rows.
MOST_BYTES = 256 << 20
ALONE = ("uniform", "near one", "tiny", "subnormal", "ties")


@pytest.mark.parametrize("name", NAMES)
def test_sorting_gives_what_scikit_learn_gives(name: str) -> None:
    rows = GeneratedRows(name, 2000)
    ((scores, _, target),) = rows.blocks()
    exact = SortedRows.of(rows)
    assert exact.area() == pytest.approx(metrics.roc_auc_score(target, scores), abs=1e-12)
    assert exact.average_precision() == pytest.approx(metrics.average_precision_score(target, scores), abs=1e-12)


@pytest.mark.parametrize(
    "rows", [pytest.param(1_000_000, marks=pytest.mark.slow), pytest.param(100_000_000, marks=pytest.mark.campaign)]
)
@pytest.mark.parametrize("name", NAMES)
def test_the_bounds_hold_against_exact_sorting_of_all_rows(name: str, rows: int) -> None:
    generated = GeneratedRows(name, rows)
    tracemalloc.start()
    try:
        found = generated.measured()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    exact = SortedRows.of(generated)
    area, precision = exact.area(), exact.average_precision()
    off, of_precision = abs(found.auc - area), abs(found.average_precision - precision)
    print(f"{name}: {found.keys:,} keys, {peak / 2**20:.0f} MiB; off by {off:.1e} of {found.auc_bound:.1e},", end=" ")
    print(f"average precision by {of_precision:.1e} of {found.average_precision_bound:.1e}")
    assert found.rows == rows
    assert found.prevalence == len(exact.positives) / rows
    assert off <= found.auc_bound + ROUNDED
    assert of_precision <= found.average_precision_bound + ROUNDED
    assert bool(found.warnings) == (found.auc_bound > BOUND_TOLD)
    assert found.auc_bound <= BOUND_TOLD or name not in ALONE
    assert peak <= MOST_BYTES
    if name == "ties":
        assert found.auc_bound == found.average_precision_bound == 0.0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny", "a band beside a spread", "raw predictions"])
def test_means_of_many_rows_are_those_of_numpy(name: str) -> None:
    generated = GeneratedRows(name, 1_000_000)
    found = generated.measured()
    probabilities = np.concatenate([block[1] for block in generated.blocks()])
    target = np.concatenate([block[2] for block in generated.blocks()])
    assert found.mean_probability == pytest.approx(probabilities.mean(), rel=1e-12, abs=1e-18)
    assert found.brier == pytest.approx(((probabilities - target) ** 2).mean(), rel=1e-12)
    assert found.log_loss == pytest.approx(metrics.log_loss(target, probabilities), rel=1e-12)
