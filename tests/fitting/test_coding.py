"""Levels and products have as many coefficients as other tools find independent columns, and the same optimum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.fitting.designs.designing import design_of
from pipeline.fitting.running import run
from tests.fitting.jobs import job_of, learnt_by

ROWS = 2_000
CHANCE = np.random.default_rng(53)
CARRIERS, ORIGINS = CHANCE.choice(["AA", "UA", "B6"], ROWS, p=[0.5, 0.3, 0.2]), CHANCE.choice(["J", "L"], ROWS)
X = CHANCE.normal(size=ROWS)
TABLE = pa.table(
    {
        "y": (CHANCE.random(ROWS) < 1 / (1 + np.exp(-X + (CARRIERS == "UA")))).astype(np.int8),
        "c": CARRIERS.tolist(),
        "o": ORIGINS.tolist(),
        "x": X,
        "age": CHANCE.integers(18, 90, ROWS).astype(np.float64),
    }
)
# What is asked for, the same as a formula of patsy, and the rank of its columns with an intercept and without.
FORMULAS = [
    ("C(c)*C(o), x", "C(c)*C(o) + x", 7, 7),
    ("C(c):C(o)", "C(c):C(o)", 6, 6),
    ("C(o), C(c):C(o)", "C(o) + C(c):C(o)", 6, 6),
    ("C(o):x", "C(o):x", 3, 2),
    ("x, C(o):x", "x + C(o):x", 3, 2),
    ("C(c), C(c):x", "C(c) + C(c):x", 6, 6),
    ("C(c)*x", "C(c)*x", 6, 6),
    ("x:age", "x:age", 2, 1),
    ("C(c):C(o):x", "C(c):C(o):x", 7, 6),
    ("C(c):x:age, x:age", "C(c):x:age + x:age", 4, 3),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("coding")
    pq.write_table(TABLE, folder / "rows.parquet")
    return folder


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("features", "formula", "with_intercept", "without"), FORMULAS)
def test_there_are_as_many_coefficients_as_independent_columns(
    features: str, formula: str, with_intercept: int, without: int, intercept: bool, path: Path
) -> None:
    prepared, learnt, _ = learnt_by(job_of(path, features, target="y", intercept=intercept))
    design, notes = design_of(prepared.job, learnt)
    assert design.layout.width == (with_intercept if intercept else without), formula
    assert notes == ()


@pytest.mark.slow
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(("features", "formula", "with_intercept", "without"), FORMULAS)
def test_the_optimum_is_that_of_statsmodels(
    features: str, formula: str, with_intercept: int, without: int, intercept: bool, path: Path
) -> None:
    formulas = pytest.importorskip("statsmodels.formula.api")
    families = pytest.importorskip("statsmodels.genmod.families")
    text = f"y ~ {formula}{'' if intercept else ' - 1'}"
    expected = formulas.glm(text, TABLE.to_pandas(), family=families.Binomial()).fit(tol=1e-12)
    assert np.linalg.matrix_rank(expected.model.exog) == (with_intercept if intercept else without)
    report = run(job_of(path, features, target="y", intercept=intercept))
    assert report.measures.deviance == pytest.approx(expected.deviance, rel=1e-9)
