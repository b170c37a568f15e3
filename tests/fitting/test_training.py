"""The model file of a whole fit says how it came about, and two fits of the same rows have the same bytes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import threadpoolctl  # noqa: F401 - sets a variable of the environment, which a test must not

import pipeline


def test_two_fits_of_the_same_rows_write_the_same_bytes(tmp_path: Path) -> None:
    chance = np.random.default_rng(8)
    x, level = chance.normal(size=900), chance.choice(["a", "b"], 900)
    y = chance.random(900) < 1 / (1 + np.exp(-x - (level == "b")))
    for folder in ("one", "other"):
        (tmp_path / folder).mkdir()
        pq.write_table(pa.table({"x": x, "level": level, "y": y}), tmp_path / folder / "rows.parquet")
    reports = [
        pipeline.fit(
            tmp_path / folder / "rows.parquet",
            target="y",
            features="x, C(level)",
            output=tmp_path / f"{folder}.json",
            **how,
        )
        for folder, how in (("one", {"workers": 1}), ("other", {"workers": 2, "scheduler": "threads"}))
    ]
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()
    training = reports[0].model.training
    assert training["rows"]["used"] == 900
    assert training["certificate"] == reports[0].certificate
    assert training["certificate"]["converged"] is True
    assert training["profile"]["columns"]["level"]["counts"] == {
        each: int((level == each).sum()) for each in sorted(("a", "b"), key=lambda each: -(level == each).sum())
    }
    assert str(tmp_path) not in (tmp_path / "one.json").read_text()


def test_with_several_classes_the_table_names_the_reference_and_there_is_no_inflation(
    tmp_path: Path,
) -> None:
    chance = np.random.default_rng(9)
    rows = {"x": chance.normal(size=600), "y": chance.choice(["a", "b", "c"], 600)}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    report = pipeline.fit(tmp_path / "rows.parquet", target="y", features="x")
    named = [(row.output, row.note) for row in report.coefficients]
    assert named == [("a", "reference class"), ("b", ""), ("b", ""), ("c", ""), ("c", "")]
    assert any(note.startswith("variance inflation is for two classes") for note in report.notes)
    penalised = pipeline.fit(tmp_path / "rows.parquet", target="y", features="x", l2=0.1)
    assert [row.output for row in penalised.coefficients] == ["a", "a", "b", "b", "c", "c"]
    assert not any("inflation" in note for note in penalised.notes)


def test_large_weights_change_nothing_but_the_errors(tmp_path: Path) -> None:
    chance = np.random.default_rng(10)
    x = chance.normal(size=500)
    rows = {"x": x, "y": chance.random(500) < 1 / (1 + np.exp(-x)), "w": np.full(500, 1e12)}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    plain, weighted = (
        pipeline.fit(tmp_path / "rows.parquet", target="y", features="x", weight=weight) for weight in (None, "w")
    )
    assert weighted.certificate["converged"]
    for one, other in zip(plain.coefficients, weighted.coefficients, strict=True):
        assert other.value == pytest.approx(one.value, rel=1e-9)
        assert other.error == pytest.approx(one.error / 1e6, rel=1e-9)


@pytest.mark.parametrize("shift", [0.0, 40.0])
def test_with_folds_the_null_model_has_the_offset_too(tmp_path: Path, shift: float) -> None:
    chance = np.random.default_rng(11)
    x, o = chance.normal(size=400), shift + chance.normal(size=400)
    y = chance.random(400) < 1 / (1 + np.exp(-x - o + shift))
    pq.write_table(pa.table({"x": x, "o": o, "y": y}), tmp_path / "rows.parquet")
    once, folded = (
        pipeline.fit(tmp_path / "rows.parquet", target="y", features="x", offset="o", folds=folds)
        for folds in (None, 3)
    )
    assert folded.measures.null_deviance == pytest.approx(once.measures.null_deviance, rel=1e-12)
    assert folded.measures.likelihood_ratio == pytest.approx(once.measures.likelihood_ratio, rel=1e-9)


@pytest.mark.parametrize(("signs", "solver"), [({}, "newton-cg"), ({"x": "+"}, "owlqn")])
def test_a_plan_names_the_solver_that_the_fit_has(tmp_path: Path, signs: dict[str, str], solver: str) -> None:
    rows = {"x": np.arange(4_400.0) % 7, "c": np.arange(4_400) // 2, "y": np.arange(4_400) % 3 == 0}
    pq.write_table(pa.table(rows), tmp_path / "rows.parquet")
    how = {"target": "y", "features": "x, C(c)", "max_levels": 3_000, "l2": 0.1, "sign": signs}
    assert pipeline.preview_fit(tmp_path / "rows.parquet", **how).solver == solver
    found = pipeline.fit(tmp_path / "rows.parquet", **how)
    assert found.model.training["algorithm"]["method"] == solver
