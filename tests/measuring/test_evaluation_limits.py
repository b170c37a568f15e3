"""Limits for values that a model does not know, and for missing ones, in evaluations of files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from pipeline.errors import DataError, UsageError
from pipeline.types.report import Noted
from tests.measuring.observed import model_file

CATEGORICAL = {
    "column": "c",
    "kind": "categorical",
    "coefficients": {"a": 1.0},
    "unseen": "zero",
    "missing": {"level": "a"},
}
NUMERIC = {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": {"impute": 0.0}}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Write 200 rows: of c 30 of 150 values are unknown to the model (20%), of x 40 values are missing (20%)."""
    cells: dict[str, list[Any]] = {
        "c": ["a"] * 120 + ["u"] * 30 + [None] * 50,
        "x": [None] * 40 + [0.5] * 160,
        "y": [1, 0] * 100,
        "p": [0.5] * 200,
    }
    pq.write_table(pa.table(cells), tmp_path / "in.parquet", row_group_size=30)
    return tmp_path / "in.parquet"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return model_file(tmp_path, features=[CATEGORICAL, NUMERIC])


UNSEEN = "column c: 30 of 150 values (20%) are levels that the model does not know"
MISSING = "column x: there is no value in 40 of 200 rows (20%)"


@pytest.mark.parametrize(
    ("over", "under", "told", "limit"),
    [
        ({"max_unseen": "19%"}, {"max_unseen": "20%"}, UNSEEN, "(--max-unseen allows 19%)"),
        ({"max_unseen": ["99%", "c=19%"]}, {"max_unseen": {"c": "20%"}}, UNSEEN, "(--max-unseen allows 19%)"),
        ({"max_missing": "x=19%"}, {"max_missing": "x=20%"}, MISSING, "(--max-missing allows 19%)"),
        ({"max_missing": ["0%", "c=25%"]}, {"max_missing": ["20%", "c=25%"]}, MISSING, "(--max-missing allows 0%)"),
    ],
)
def test_more_than_the_limit_ends_an_evaluation_and_as_much_as_it_does_not(
    rows: Path, model: Path, over: dict[str, Any], under: dict[str, Any], told: str, limit: str
) -> None:
    plain = logitstream.evaluate(rows, target="y", model=model)
    state = rows.with_suffix(".state")
    with pytest.raises(DataError) as caught:
        logitstream.evaluate(rows, target="y", model=model, chunk_size=30, state=state, **over)
    assert (caught.value.exit_code, caught.value.column) == (65, told[7])
    assert caught.value.message.startswith(told)
    assert caught.value.message.endswith(limit)
    assert caught.value.remedy.endswith("=100%; nothing was measured")
    assert not state.exists()
    assert logitstream.evaluate(rows, target="y", model=model, **under).measures == plain.measures


def test_a_run_that_scores_says_the_same(rows: Path, model: Path) -> None:
    texts = []
    for run in (
        lambda: logitstream.evaluate(rows, target="y", model=model, max_unseen="19%"),
        lambda: logitstream.score(rows, model, rows.parent / "out", max_unseen="19%"),
    ):
        with pytest.raises(DataError) as caught:
            run()
        texts.append(caught.value.message)
    assert texts[0] == texts[1]


def test_each_of_two_models_is_judged_by_its_own_levels_and_missing_values_count_once(rows: Path, model: Path) -> None:
    knows = model_file(
        rows.parent, "knows.json", features=[CATEGORICAL | {"coefficients": {"a": 1.0, "u": 0.5}}, NUMERIC]
    )
    for first, second in ((model, knows), (knows, model)):
        both: dict[str, Any] = {"target": "y", "model": first, "challenger": second}
        logitstream.evaluate(rows, **both, max_unseen="20%", max_missing={"x": "20%", "c": "25%"})
        for options, told in (({"max_unseen": "19%"}, UNSEEN), ({"max_missing": "x=19%"}, MISSING)):
            with pytest.raises(DataError) as caught:
                logitstream.evaluate(rows, **both, **options)
            assert caught.value.message.startswith(told)
            assert "the same is true" not in caught.value.message


def test_a_column_that_two_models_do_not_know_is_named_once(rows: Path, model: Path) -> None:
    other = model_file(
        rows.parent, "other.json", features=[CATEGORICAL | {"coefficients": {"a": 1.0, "b": 0.5}}, NUMERIC]
    )
    told: list[Any] = []
    with pytest.raises(DataError) as caught:
        logitstream.evaluate(rows, target="y", model=model, challenger=other, max_unseen="19%", observe=told.append)
    assert caught.value.message.startswith(UNSEEN)
    assert "the same is true" not in caught.value.message
    (noted,) = [event.text for event in told if isinstance(event, Noted)]
    assert noted.startswith(UNSEEN)
    assert "known levels: 'a', 'b'" in noted


def test_a_limit_is_in_no_state(rows: Path, model: Path) -> None:
    paths = [rows.parent / f"{name}.state" for name in ("plain", "limited")]
    for path, options in zip(paths, ({}, {"max_unseen": "50%", "max_missing": "50%"}), strict=True):
        logitstream.evaluate(rows, target="y", model=model, state=path, **options)
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_unseen": "x=20%"}, "--max-unseen x: this feature is numeric, so that no value is unseen"),
        ({"max_missing": "z=20%"}, "--max-missing z: the model has no feature of that name"),
        ({"max_missing": "20"}, "'20' is not a share"),
        ({"max_unseen": ["20%", "30%"]}, "max_unseen has two limits for all features"),
    ],
)
def test_a_limit_that_cannot_be_is_refused(rows: Path, model: Path, options: dict[str, Any], told: str) -> None:
    with pytest.raises(UsageError, match=told):
        logitstream.evaluate(rows, target="y", model=model, **options)


@pytest.mark.parametrize("name", ["max_unseen", "max_missing"])
def test_a_limit_has_no_effect_without_a_model(rows: Path, name: str) -> None:
    limit: Any = {name: "20%"}
    with pytest.raises(UsageError, match="has no effect with --probability"):
        logitstream.evaluate(rows, target="y", probability="p", **limit)
