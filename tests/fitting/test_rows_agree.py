"""Every pass reads the rows that the first pass counted, whatever is wrong with the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest

from pipeline.fitting.running import run
from pipeline.types.job import BadLimit
from tests.fitting.jobs import job_of, learnt_by

ROWS = 3_000
CHANCE = np.random.default_rng(41)


def sparse(values: list[Any], share: float, instead: Any = None) -> list[Any]:
    """Return values, some of which are another or missing."""
    return [instead if lost else value for value, lost in zip(values, CHANCE.random(ROWS) < share, strict=True)]


X = CHANCE.normal(size=ROWS)
TABLE = pa.table(
    {
        "late": sparse((CHANCE.random(ROWS) < 1 / (1 + np.exp(-X))).tolist(), 0.03),
        "x": sparse(sparse(X.tolist(), 0.05), 0.01, float("inf")),
        "y": sparse(CHANCE.gamma(2.0, 2.0, ROWS).tolist(), 0.02, -1.0),
        "big": sparse([int(each) for each in CHANCE.integers(0, 50, ROWS)], 0.01, 2**53 + 1),
        "c": sparse(CHANCE.choice(["AA", "UA", "B6"], ROWS).tolist(), 0.04),
        "w": sparse(CHANCE.random(ROWS).tolist(), 0.02),
        "day": sparse([f"2013-{month:02}-01" for month in CHANCE.integers(1, 13, ROWS)], 0.02, "never"),
        "key": CHANCE.integers(0, 99, ROWS),
    }
)
FEATURES = "x, log1p(y), big, C(c), C(c):x, B(y, bins=4), M(x)"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("parquet", {"missing": "drop"}),
        ("csv", {"missing": "indicator", "missing_of": {"c": "drop"}}),
        ("parquet", {"missing": "impute-median", "weight": "w"}),
        ("parquet", {"missing": "error"}),
        ("csv", {"missing": "impute-mean", "weight": "w", "solve": {"holdout": "day >= 2013-10-01"}}),
        ("parquet", {"missing": "drop", "solve": {"holdout": "30%"}}),
        ("parquet", {"missing": "drop", "solve": {"holdout": "30%", "key": "key"}}),
    ],
    ids=str,
)
def test_as_many_rows_are_fitted_as_the_first_pass_counted(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    if kind == "csv":
        pc.write_csv(TABLE, tmp_path / "rows.csv")
    else:
        pq.write_table(TABLE, tmp_path / "rows.parquet", row_group_size=400)
    shared: dict[str, Any] = {
        "missing_target": "drop",
        "data": {"max_bad": BadLimit(None, 1.0), "chunk_size": "900"},
    }
    job = job_of(tmp_path, FEATURES, **shared, **options)
    _, learnt, _ = learnt_by(job)
    rows = learnt.rows
    assert rows.read == ROWS == rows.used + rows.held_out + rows.dropped + rows.bad + rows.without_target
    assert min(rows.used, rows.bad, rows.without_target) > 0
    report = run(job)
    assert report.rows == {name: getattr(rows, name) for name in report.rows}
    assert report.certificate["rows"] == rows.used
    assert report.certificate["converged"]


@pytest.mark.parametrize("missing", ["error", "drop", "impute-mean", "indicator"])
@pytest.mark.parametrize(
    ("feature", "cell"),
    [("k", np.inf), ("log1p(k)", -5.0), ("k:z", -np.inf), ("C(one):k", np.inf), ("sqrt(k):z", -1.0)],
)
def test_a_row_that_is_bad_in_a_feature_that_is_left_out_is_not_fitted(
    feature: str, cell: float, missing: str, tmp_path: Path
) -> None:
    chance = np.random.default_rng(7)
    k = np.full(600, 2.0)
    k[7] = cell
    rows = {"late": chance.random(600) < 0.4, "x": chance.normal(size=600), "k": k, "z": np.ones(600)}
    rows["one"] = np.full(600, "a")
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    report = run(job_of(tmp_path, f"x, {feature}", missing=missing, data={"max_bad": BadLimit(5)}))
    assert (report.rows["used"], report.rows["bad"], report.certificate["rows"]) == (599, 1, 599)
    assert any(note.endswith("left out") for note in report.notes)


@pytest.mark.parametrize("type_", ["text", "integer"])
def test_held_out_rows_with_a_level_that_no_fitted_row_has_count_as_rare_ones_as_at_scoring(
    type_: str, tmp_path: Path
) -> None:
    names = {"text": ["a", "b", "r", "n"], "integer": [1, 2, 3, 4]}[type_]
    kinds = np.repeat([0, 1, 2, 3], [1_400, 1_400, 100, 100])
    late = np.random.default_rng(3).random(3_000) < np.array([0.3, 0.6, 0.9, 0.9])[kinds]
    rows = {
        "late": late,
        "c": pa.array([names[kind] for kind in kinds]),
        "new": np.where(kinds == 3, 9, np.arange(3_000) % 9),
    }
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    report = run(job_of(tmp_path, "C(c)", min_count=200, solve={"holdout": "new >= 8"}))
    held = pa.table(rows).filter(rows["new"] >= 8)
    chance = report.model.predict_proba(held.select(["c"]))[:, 1]
    losses = -np.log(np.where(held["late"].to_numpy(), chance, 1 - chance))
    assert report.measures.held_out_log_loss == pytest.approx(losses.mean(), rel=1e-12)


def test_held_out_rows_that_the_model_has_no_score_for_are_left_out_of_the_held_out_loss(tmp_path: Path) -> None:
    chance = np.random.default_rng(5)
    day = np.repeat(np.arange(10), 300)
    kinds = np.where((day >= 8) & (chance.random(3_000) < 0.2), "new", chance.choice(["a", "b"], 3_000))
    late = chance.random(3_000) < np.where(kinds == "a", 0.3, 0.6)
    rows = pa.table({"late": late, "c": kinds, "x": chance.normal(size=3_000), "day": day})
    pq.write_table(rows, tmp_path / "rows.parquet", row_group_size=700)
    report = run(job_of(tmp_path, "x, C(c)", solve={"holdout": "day >= 8"}))
    probabilities = report.model.predict_proba(rows.filter(day >= 8).select(["x", "c"]))[:, 1]
    has_score = ~np.isnan(probabilities)
    of_class = np.where(late[day >= 8], probabilities, 1 - probabilities)[has_score]
    assert report.measures.held_out_log_loss == pytest.approx(-np.log(of_class).mean(), rel=1e-12)
    unscored = int((~has_score).sum())
    assert unscored == (kinds == "new").sum() > 0
    assert report.rows["held_out"] == 600
    assert any(
        note.startswith(f"{unscored} held-out rows have a level that no fitted row has") for note in report.notes
    )


@pytest.mark.parametrize("left_out", ["twice", "always", "C(one)"])
def test_a_row_that_is_dropped_for_a_feature_that_is_left_out_has_no_score(left_out: str, tmp_path: Path) -> None:
    chance = np.random.default_rng(6)
    x = chance.normal(size=600)
    lost = chance.random(600) < 0.1
    rows = pa.table(
        {
            "late": chance.random(600) < 0.4,
            "x": x,
            "twice": pa.array(2 * x, mask=lost),
            "always": pa.array(np.ones(600), mask=lost),
            "one": pa.array(["a"] * 600, mask=lost),
        }
    )
    pq.write_table(rows, tmp_path / "rows.parquet")
    report = run(job_of(tmp_path, f"x, {left_out}", missing="drop"))
    assert any(f"{left_out} is" in note or f"{left_out} has" in note for note in report.notes)
    probabilities = report.model.predict_proba(rows.drop_columns(["late"]))[:, 1]
    assert report.rows["used"] == 600 - lost.sum() == np.count_nonzero(~np.isnan(probabilities))


def test_a_row_of_a_csv_that_cannot_be_read_is_bad_whether_it_has_a_target_or_not(tmp_path: Path) -> None:
    rows = [f"{number % 3 == 0},{number * 7 % 11}" for number in range(60)]
    rows[4], rows[8], rows[9], rows[20] = ",many", "true,many", ",5", ",inf"
    (tmp_path / "rows.csv").write_text("\n".join(["late,x", *rows]) + "\n")
    report = run(job_of(tmp_path, "x", missing_target="drop", data={"max_bad": BadLimit(5)}))
    assert (report.rows["bad"], report.rows["without_target"], report.rows["used"]) == (2, 2, 56)


@pytest.mark.parametrize("kind", ["parquet", "csv"])
@pytest.mark.parametrize("solve", [{"holdout": "20%", "key": "c"}, {"holdout": "c == 'UA'"}], ids=str)
def test_a_column_may_be_an_indicator_of_missing_values_and_divide_the_rows(
    solve: dict[str, Any], kind: str, tmp_path: Path
) -> None:
    chance = np.random.default_rng(8)
    lost = chance.random(600) < 0.2
    names = pa.array(chance.choice([f"n{number}" for number in range(60)], 600), mask=lost)
    rows = pa.table({"late": chance.random(600) < 0.4, "x": chance.normal(size=600), "c": names})
    if kind == "csv":
        pc.write_csv(rows, tmp_path / "rows.csv")
    else:
        pq.write_table(rows, tmp_path / "rows.parquet")
    report = run(job_of(tmp_path, "x, M(c)", solve=solve))
    assert report.rows["used"] + report.rows["held_out"] == 600
    assert report.certificate["rows"] == report.rows["used"]
    assert {row.feature for row in report.coefficients} >= {"x", "M(c)"}
