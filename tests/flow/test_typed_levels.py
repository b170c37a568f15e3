"""Levels have a type: files that pandas wrote give the probabilities of scikit-learn on the original frame."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

import pipeline
from pipeline import flow
from pipeline.errors import BadCellsError
from pipeline.interface import score_job
from pipeline.models import ScoreRequest, score_block
from pipeline.types.report import Report

pd = pytest.importorskip("pandas")

ROWS = 400
RNG = np.random.default_rng(7)
PLAIN = pd.DataFrame(
    {
        "flag": RNG.random(ROWS) < 0.5,
        "code": RNG.integers(1, 4, ROWS),
        "grade": RNG.choice([1.0, 2.0, np.nan], ROWS),
        "x": RNG.normal(size=ROWS),
    }
)
Y = (PLAIN.flag + PLAIN.code + PLAIN.x + RNG.normal(size=ROWS)) > 2.5
WITH_NULL = PLAIN.assign(code=PLAIN.code.where(PLAIN.index != 3))


def fitted(step: Any, column: str, frame: Any = PLAIN) -> Any:
    prepare = make_column_transformer((StandardScaler(), ["x"]), (step, [column]))
    return make_pipeline(prepare, LogisticRegression()).fit(frame, Y)


def scored(folder: Path, model: Any, name: str, write: Callable[[Path], object], **options: Any) -> tuple[Any, Report]:
    """Return the probabilities of a file, NaN where they are null, and the report."""
    write(folder / name)
    report = pipeline.score(folder / name, model, folder / f"{name}.out.parquet", **options)
    return pd.read_parquet(folder / f"{name}.out.parquet")["probability"].to_numpy(), report


def check(found: np.ndarray[Any, Any], estimator: Any, frame: Any) -> None:
    assert np.abs(found - estimator.predict_proba(frame)[:, 1]).max() <= 1e-12


def test_a_boolean_category_is_written_by_pandas_as_true_and_false(tmp_path: Path) -> None:
    estimator = fitted(OneHotEncoder(), "flag")
    model = pipeline.from_sklearn(estimator)
    found, report = scored(tmp_path, model, "a.csv", PLAIN.to_csv)
    check(found, estimator, PLAIN)
    assert report.totals.events == {"read as level flag": ROWS}
    assert ("read as level", "flag 400") in report._summary().facts
    found, report = scored(tmp_path, model, "a.parquet", PLAIN.to_parquet)
    check(found, estimator, PLAIN)
    assert report.totals.events == {}


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_integer_category_of_which_one_null_made_pandas_write_2_0(tmp_path: Path, kind: str) -> None:
    estimator = fitted(OneHotEncoder(handle_unknown="ignore"), "code")
    found, report = scored(tmp_path, pipeline.from_sklearn(estimator), f"a.{kind}", getattr(WITH_NULL, f"to_{kind}"))
    check(found, estimator, WITH_NULL)
    assert report.totals.events == {"missing code": 1, "read as level code": 399}


def test_an_integer_level_is_met_by_a_cell_with_leading_zeros(tmp_path: Path) -> None:
    estimator = fitted(OneHotEncoder(), "code")
    zeros = PLAIN.assign(code=PLAIN.code.map("{:02d}".format))
    found, report = scored(tmp_path, pipeline.from_sklearn(estimator), "a.csv", zeros.to_csv)
    check(found, estimator, PLAIN)
    assert report.totals.events == {"read as level code": ROWS}


@pytest.mark.parametrize("impute", [False, True])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_encoder_that_was_fitted_on_floats_converts(tmp_path: Path, impute: bool, kind: str) -> None:
    encode: Any = OneHotEncoder()
    if impute:
        encode = make_pipeline(SimpleImputer(strategy="most_frequent"), encode)
    estimator = fitted(encode, "grade")
    found, report = scored(tmp_path, pipeline.from_sklearn(estimator), f"a.{kind}", getattr(PLAIN, f"to_{kind}"))
    check(found, estimator, PLAIN)
    assert report.totals.events == {"missing grade": int(PLAIN.grade.isna().sum())}


def test_a_boolean_numeric_feature_reads_true_where_the_model_says_that_the_column_is_boolean(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    estimator = fitted("passthrough", "flag")
    model = pipeline.from_sklearn(estimator, check=PLAIN)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("400 rows scored both ways: largest difference ")
    assert second.startswith("the same rows from a CSV file, as to_csv writes it: largest difference ")
    assert float(second.split()[-3]) <= 1e-12
    for frame in (PLAIN, PLAIN.assign(flag=PLAIN.flag.astype(int)), PLAIN.assign(flag=PLAIN.flag.map(spelled))):
        found, _ = scored(tmp_path, model, f"{len(list(tmp_path.iterdir()))}.csv", frame.to_csv)
        check(found, estimator, PLAIN)
    numbers = [PLAIN, PLAIN.assign(flag=PLAIN.flag.astype(int)), PLAIN.assign(flag=PLAIN.flag.astype(float))]
    for frame in numbers:
        found, _ = scored(tmp_path, model, f"{len(list(tmp_path.iterdir()))}.parquet", frame.to_parquet)
        check(found, estimator, PLAIN)


@pytest.mark.parametrize("dtype", ["boolean", "bool[pyarrow]", "category", "object"])
@pytest.mark.parametrize("step", [OneHotEncoder(), "passthrough", "imputed"], ids=["encoded", "passed", "imputed"])
def test_booleans_that_scikit_learn_makes_numbers_are_booleans_in_files(tmp_path: Path, dtype: str, step: Any) -> None:
    frame = PLAIN.assign(flag=PLAIN.flag.astype(dtype))
    if step == "imputed":
        step = make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder())
        frame["flag"] = frame.flag.where(frame.index % 7 > 0)
    estimator = fitted(step, "flag", frame)
    model = pipeline.from_sklearn(estimator, check=frame)
    for kind in ("csv", "parquet"):
        found, report = scored(tmp_path, model, f"a.{kind}", getattr(frame, f"to_{kind}"))
        check(found, estimator, frame)
        assert not any(event.startswith("unseen") for event in report.totals.events)


def test_none_beside_an_imputer_is_the_category_that_the_encoder_knows(tmp_path: Path) -> None:
    frame = PLAIN.assign(flag=PLAIN.flag.astype(object).where(PLAIN.index % 7 > 0, None))
    estimator = fitted(make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder()), "flag", frame)
    found, _ = scored(tmp_path, pipeline.from_sklearn(estimator, check=frame), "a.csv", frame.to_csv)
    check(found, estimator, frame)


def spelled(flag: bool) -> str:
    return "tRUE" if flag else "fALSe"


def test_what_is_no_boolean_is_a_bad_row_of_a_csv_and_of_parquet(tmp_path: Path) -> None:
    model = document({"column": "x", "kind": "numeric", "coefficient": 1.0, "boolean": True})
    (tmp_path / "a.csv").write_text("x\n1\nTrue\nyes\n")
    with pytest.raises(BadCellsError, match=r"column x: 'yes' is not of type bool"):
        pipeline.score(tmp_path / "a.csv", model, tmp_path / "out")
    pq.write_table(pa.table({"x": [1, 0, 2]}), tmp_path / "a.parquet")
    with pytest.raises(BadCellsError, match=r"row 3, column x: '2' is neither 1 nor 0, and the feature is a boolean"):
        pipeline.score(tmp_path / "a.parquet", model, tmp_path / "out")
    report = pipeline.score([tmp_path / "a.csv", tmp_path / "a.parquet"], model, tmp_path / "out", max_bad=2)
    assert (report.totals.written, report.totals.bad) == (4, 2)
    reasons = pq.read_table(tmp_path / "out" / "_quarantine").column("reason").to_pylist()
    assert reasons == ["is not of type bool", "is neither 1 nor 0, and the feature is a boolean"]


def test_a_boolean_written_as_a_float_is_read_as_the_error_says(tmp_path: Path) -> None:
    model = document({"column": "x", "kind": "numeric", "coefficient": 1.0, "boolean": True})
    rows = tmp_path / "rows.csv"
    rows.write_text("x\n1.0\n0.0\n")
    with pytest.raises(BadCellsError, match=r"'1\.0' is not of type bool") as raised:
        pipeline.score(rows, model, tmp_path / "out")
    assert raised.value.remedy.startswith("add --type NAME=float64")
    pipeline.score(rows, model, tmp_path / "out", types={"x": "float64"})
    expected = model.probability({"x": [True, False]})
    assert pd.read_parquet(tmp_path / "out")["probability"].tolist() == expected.tolist()


def test_nulls_of_a_boolean_feature_and_partitions_that_are_one(tmp_path: Path) -> None:
    model = document(
        {"column": "x", "kind": "numeric", "coefficient": 1.0, "boolean": True, "missing": {"impute": 0.5}},
        {"column": "y", "kind": "numeric", "coefficient": 8.0, "boolean": True},
    )
    for value in ("True", "false"):
        (tmp_path / "in" / f"y={value}").mkdir(parents=True)
        (tmp_path / "in" / f"y={value}" / "a.csv").write_text("id,x\n1,\n2,NA\n3,TRUE\n")
    pipeline.score(tmp_path / "in", model, tmp_path / "out.parquet", null="NA", raw_prediction=True)
    raw = pq.read_table(tmp_path / "out.parquet").column("raw_prediction").to_pylist()
    assert raw == [8.5, 8.5, 9.0, 0.5, 0.5, 1.0]


def document(*features: Mapping[str, Any]) -> pipeline.LogisticModel:
    head = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.0}
    return pipeline.LogisticModel.from_json(json.dumps({**head, "features": list(features)}))


def test_a_type_named_by_the_user_beats_the_boolean_of_the_model(tmp_path: Path) -> None:
    model = document({"column": "x", "kind": "numeric", "coefficient": 1.0, "boolean": True})
    (tmp_path / "a.csv").write_text("x\n1.0\n0.0\n")
    pipeline.score(tmp_path / "a.csv", model, tmp_path / "out.parquet", types={"x": "float64"}, raw_prediction=True)
    assert pq.read_table(tmp_path / "out.parquet").column("raw_prediction").to_pylist() == [1.0, 0.0]


def test_check_names_the_column_where_the_file_differs(capsys: pytest.CaptureFixture[str]) -> None:
    frame = PLAIN.assign(text=np.where(PLAIN.index % 4 == 0, "", "b"), flag=PLAIN.flag.astype(float))
    prepare = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["text"]), ("passthrough", ["flag", "x"])
    )
    estimator = make_pipeline(prepare, LogisticRegression()).fit(frame, Y)
    pipeline.from_sklearn(estimator, check=frame)
    both, csv, *columns = capsys.readouterr().out.splitlines()
    assert both.startswith("400 rows scored both ways: largest difference ")
    assert csv.startswith("the same rows from a CSV file, as to_csv writes it: largest difference 0.")
    assert columns == ["  column \"text\" differs in 100 rows: in row 0, '' is null in the file"]


def test_check_names_the_cell_that_cannot_be_read_from_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    frame = PLAIN.assign(text=np.where(PLAIN.index == 4, "a\0b", "b"))
    pipeline.from_sklearn(fitted(OneHotEncoder(), "text", frame), check=frame)
    _, csv, column = capsys.readouterr().out.splitlines()
    assert csv == "the same rows from a CSV file, as to_csv writes it: largest difference inf (relative inf)"
    assert column.startswith(
        """  column "text" differs in 1 row: in row 4, 'a\\x00b' is 'a\\x00b', which contains a NUL"""
    )


def test_check_tells_why_the_file_cannot_be_read(capsys: pytest.CaptureFixture[str]) -> None:
    frame = PLAIN.rename_axis("x")
    pipeline.from_sklearn(fitted("passthrough", "code", frame), check=frame)
    both, csv = capsys.readouterr().out.splitlines()
    assert both.startswith("400 rows scored both ways: largest difference ")
    assert csv.startswith("the same rows from a CSV file, as to_csv writes it: it has 2 columns 'x'; its header is x,")


def test_levels_are_read_in_every_file_alike_and_by_every_scheduler(tmp_path: Path) -> None:
    model = document({"column": "c", "kind": "categorical", "coefficients": {"1": 1.0, "2": 2.0}})
    (tmp_path / "in").mkdir()
    for number, cells in enumerate((["1", "2"], ["1.0", "2.0"], ["01", "+2"])):
        (tmp_path / "in" / f"{number}.csv").write_text("c\n" + "\n".join(cells) + "\n")
    pq.write_table(pa.table({"c": [1.0, 2.0]}), tmp_path / "in" / "3.parquet")
    pq.write_table(pa.table({"c": [1, 2]}), tmp_path / "in" / "4.parquet")
    for scheduler in ("sync", "threads"):
        output = tmp_path / f"{scheduler}.parquet"
        report = pipeline.score(tmp_path / "in", model, output, scheduler=scheduler, raw_prediction=True)
        assert pq.read_table(output).column("raw_prediction").to_pylist() == [1.0, 2.0] * 5
        assert report.totals.events == {"read as level c": 6}


def test_the_decimal_sign_applies_to_levels_of_a_csv_is_in_the_identity_and_verify_knows_it(tmp_path: Path) -> None:
    model = document({"column": "c", "kind": "categorical", "coefficients": {"1": 1.0, "2": 2.0}, "unseen": "zero"})
    (tmp_path / "a.csv").write_text("c;x\n2,0;1\n1;1\n2.0;1\n")
    point = score_job(tmp_path / "a.csv", model, tmp_path / "out.parquet", delimiter=";", raw_prediction=True)
    request = ScoreRequest(raw_prediction=True, decimal=",")
    comma = replace(point, csv=replace(point.csv, decimal=","), block=score_block(model, request))
    assert flow.plan(point).job_id != flow.plan(comma).job_id
    for job, expected in (point, [0.0, 1.0, 2.0]), (replace(comma, if_exists="replace"), [2.0, 1.0, 0.0]):
        flow.run(job)
        assert pq.read_table(tmp_path / "out.parquet").column("raw_prediction").to_pylist() == expected
        assert pipeline.verify(tmp_path / "out.parquet", inputs=True, sample=1).differences == ()


@pytest.mark.parametrize("scheduler", ["sync", "processes"])
def test_the_decimal_sign_of_a_csv_is_not_that_of_paths_and_of_parquet(tmp_path: Path, scheduler: str) -> None:
    features = ({"column": name, "kind": "categorical", "coefficients": {"1.5": 1.0, "2": 2.0}} for name in "cp")
    model, data = document(*features), tmp_path / "in"
    for path, rows in (("p=2.0", ["1,50", "2,"]), ("p=1.50", ["+1,5", "2.0"])):
        (data / path).mkdir(parents=True)
        (data / path / "a.csv").write_text("c;y\n" + "".join(f"{cell};1\n" for cell in rows))
        pq.write_table(pa.table({"c": [cell.replace(",", ".") for cell in rows]}), data / path / "b.parquet")
    options: dict[str, Any] = {"delimiter": ";", "decimal": ",", "scheduler": scheduler, "raw_prediction": True}
    report = pipeline.score(data, model, tmp_path / "out", sample_rows=10, **options)
    found = pq.read_table(tmp_path / "out").column("raw_prediction").to_pylist()
    assert found == [2.0, None, 2.0, 3.0, 3.0, 4.0, 3.0, 4.0]
    assert report.totals.events["unseen c"] == 1
    assert pipeline.verify(tmp_path / "out", sample=1).differences == ()
