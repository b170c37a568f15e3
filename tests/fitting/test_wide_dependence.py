"""Fits that have no matrix of second derivatives name numbers that others explain, as the exact method does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import DataError
from pipeline.fitting.report import FitReport

ROWS = 60_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    chance = np.random.default_rng(11)
    a, b = chance.normal(size=(2, ROWS))
    # What explains a column in most rows, but not in all.
    nearly = np.where(np.arange(ROWS) % 20_000 == 7, 1.0, 0.0) + 2.0 * a
    late = chance.random(ROWS) < 1.0 / (1.0 + np.exp(1.0 - a + 0.5 * b))
    rows = pa.table({"late": late, "a": a, "b": b, "twice": 3.0 * a + 5.0, "sum": a - b, "nearly": nearly})
    path = tmp_path_factory.mktemp("rows") / "rows.parquet"
    pq.write_table(rows, path)
    return path


def fit(data: Path, features: str, **options: Any) -> FitReport:
    return pipeline.fit(data, target="late", features=features, **options)


@pytest.mark.parametrize("solver", ["newton-cg", "owlqn"])
def test_numbers_that_others_explain_are_named_and_left_out(data: Path, solver: str) -> None:
    found, exact = (fit(data, "a, b, twice, sum", solver=each) for each in (solver, "newton"))
    named = [note for note in exact.notes if note.endswith("left out")]
    assert len(named) == 2
    assert [note for note in found.notes if note.endswith("left out")] == named
    assert found.certificate["converged"]
    values = {row.feature: row.value for row in found.coefficients}
    assert values["twice"] == values["sum"] == 0.0
    for row in exact.coefficients:
        assert values[row.feature] == pytest.approx(row.value, rel=1e-6, abs=1e-9)


def test_a_number_that_is_explained_in_the_sample_alone_is_kept(data: Path) -> None:
    found = fit(data, "a, b, nearly", solver="newton-cg")
    assert not [note for note in found.notes if note.endswith("left out")]
    exact = fit(data, "a, b, nearly", solver="newton")
    assert not [note for note in exact.notes if note.endswith("left out")]


def test_strict_refuses_them_whatever_the_method(data: Path) -> None:
    for solver in ("newton", "newton-cg"):
        with pytest.raises(DataError, match="twice is") as error:
            fit(data, "a, b, twice", solver=solver, strict=True)
        assert error.value.exit_code == 65


def test_with_a_penalty_none_is_left_out(data: Path) -> None:
    found = fit(data, "a, b, twice", solver="newton-cg", l2=0.1)
    assert not [note for note in found.notes if note.endswith("left out")]
