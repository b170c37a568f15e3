"""Fits as functions: what their options become, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.errors import UsageError
from pipeline.fitting.asking.job import DataWishes, FitJob, MeansWishes, ModelWishes, SolveWishes
from pipeline.fitting.asking.terms import AllTerm, CategoryTerm, NumberTerm, ProductTerm
from pipeline.schedulers import ClusterWishes
from pipeline.training import fit_job
from pipeline.types.inputs import CsvOptions
from pipeline.types.job import BadLimit


def job(features: Any = "x, C(c)", **options: Any) -> FitJob:
    return fit_job("in.csv", target="y", features=features, **options)


def test_only_inputs_target_and_features_are_needed() -> None:
    expected = ModelWishes("y", features=(NumberTerm("x"), CategoryTerm("c")))
    assert job() == FitJob(DataWishes(("in.csv",)), expected)


def test_every_option_gets_where_it_belongs() -> None:
    found = fit_job(
        [Path("a.csv"), "b.csv"], target="y", features=["x, C(c)", "x:z"], output=Path("m.json"),
        positive="late", weight="w", offset="o", class_weight={"late": 3}, prior=0.1, missing_target="drop",
        missing={"x": "impute-median"}, exact_median=True, min_count=5, max_levels=50, control=["z"], sign={"x": "-"},
        strict=True, l1=0.5, l2=1, path=20, folds=5, holdout="20%", key="id", one_standard_error=True, solver="owlqn",
        effects=True, allow_unconverged=True, absent="null", limit=9, max_bad="1%", fingerprint="full",
        chunk_size="1MiB", workers=2, memory=1_000, scratch=Path("tmp"), scheduler="sync", insecure=True, retries=0,
        if_exists="replace", delimiter=";", null="NA",
    )  # fmt: skip
    assert found == FitJob(
        DataWishes(
            ("a.csv", "b.csv"), CsvOptions(delimiter=";", nulls=("", "NA")), "null", BadLimit(None, 0.01), 9, "1MiB",
            "full",
        ),
        ModelWishes(
            "y", "late", (NumberTerm("x"), CategoryTerm("c"), ProductTerm((NumberTerm("x"), NumberTerm("z")))),
            missing_of={"x": "impute-median"}, missing_target="drop", controls=("z",), signs={"x": -1}, weight="w",
            offset="o", class_weights={"late": 3.0}, prior=0.1, min_count=5, max_levels=50, exact_median=True,
            strict=True,
        ),
        SolveWishes(
            "owlqn", 0.5, 1.0, 20, 5, "20%", "id", one_standard_error=True, effects=True,
        ),
        MeansWishes("1000B", 2, "sync", ClusterWishes("option", insecure=True), retries=0, scratch="tmp"),
        "m.json", "replace", allow_unconverged=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("given", "rule", "of_columns"),
    [
        ("drop", "drop", {}),
        ("impute-mean, x=drop", "impute-mean", {"x": "drop"}),
        (["x=drop", "indicator"], "indicator", {"x": "drop"}),
        ({"x": "drop", "c": "indicator"}, "error", {"x": "drop", "c": "indicator"}),
        ((), "error", {}),
    ],
)
def test_rules_for_missing_values_are_for_all_features_or_for_one(given: Any, rule: str, of_columns: Any) -> None:
    model = job(missing=given).model
    assert (model.missing, model.missing_of) == (rule, of_columns)


@pytest.mark.parametrize(
    ("given", "text"), [(True, "true"), (False, "false"), (1, "1"), (2.0, "2"), (0.5, "0.5"), ("late", "late")]
)
def test_the_positive_value_is_spelled_as_in_a_model_file(given: Any, text: str) -> None:
    assert job(positive=given).model.positive == text


@pytest.mark.parametrize(
    ("given", "weights"),
    [
        (None, None),
        ("balanced", "balanced"),
        ("late=3, early=0.5", {"late": 3.0, "early": 0.5}),
        ({True: 2, False: 1}, {"true": 2.0, "false": 1.0}),
        (["a=b=3"], {"a=b": 3.0}),
    ],
)
def test_classes_have_weights(given: Any, weights: Any) -> None:
    assert job(class_weight=given).model.class_weights == weights


@pytest.mark.parametrize(
    "holdout", ["20%", " 0.5 % ", "date >= 2013-11-01", '"a b"="x"', "`dep <` != 3", "x<5", "x==1"]
)
def test_rows_can_be_held_out(holdout: str) -> None:
    assert job(holdout=holdout).solve.holdout == holdout


@pytest.mark.parametrize(
    ("options", "message", "remedy"),
    [
        ({"features": "x, y"}, "the target y is among the features", "leave it out"),
        ({"features": "C(c):log(y)"}, "the target y is among the features", "leave it out"),
        ({"features": "*, M(y)"}, "the target y is among the features", "leave it out"),
        ({"features": ""}, "expected a feature", "write names"),
        ({"features": []}, "there are no features", "write names"),
        ({"output": "m.csv"}, "'m.csv' cannot be the output: a model file is JSON", "m.json"),
        ({"output": ""}, "'' cannot be the output", "m.json"),
        ({"weight": "y"}, "y is both target and weight", "two columns"),
        ({"weight": "\udcff"}, r"weight is '\\udcff': it must be valid text", "name a column"),
        ({"key": "", "folds": 5}, "key is '': it must be valid text", "name a column"),
        ({"weight": "w", "offset": "w"}, "w is both weight and offset", "two columns"),
        ({"control": "year"}, "control names year, which is not among the features", "name a column of the --features"),
        ({"control": "X"}, 'control names X, .*; did you mean "x"?', ""),
        ({"missing": "z=drop"}, "missing names z, which is not among the features", ""),
        ({"missing": "fill"}, "missing fill: there is no such choice", "impute-mean"),
        ({"missing": "=drop"}, "'=drop' names no column", "age=drop"),
        ({"missing": ["drop", "error"]}, "missing has two rules for all features", "give one"),
        ({"missing": ["x=drop", "x=error"]}, "missing has x twice", "give one"),
        ({"sign": "c=+"}, "sign names c, which is not a feature that is a number", ""),
        ({"sign": "x=up"}, r"'x=up' is not COLUMN=\+ or COLUMN=-", "distance=+"),
        ({"sign": "x"}, r"'x' is not COLUMN=\+ or COLUMN=-", "distance=+"),
        ({"sign": ["x=+", "x=-"]}, "sign has x twice", "give one"),
        ({"class_weight": "late"}, "'late' is neither balanced nor VALUE=WEIGHT", "late=3"),
        ({"class_weight": "late=-1"}, "'late=-1' is neither balanced nor VALUE=WEIGHT", "positive weight"),
        ({"class_weight": {"late": 0}}, "'late=0' is neither", "positive weight"),
        ({"class_weight": {"late": float("nan")}}, "'late=nan' is neither", "positive weight"),
        ({"class_weight": "late=3,late=2"}, "class_weight has late twice", "give one"),
        ({"class_weight": "balanced,late=2"}, "class_weight has balanced and something else", "write balanced"),
        ({"prior": 0}, "prior is 0: it must be between 0 and 1", ""),
        ({"prior": float("nan")}, "prior is nan: it must be between 0 and 1", ""),
        ({"l1": -1}, "l1 is -1: it must be 0 or more", ""),
        ({"l2": float("inf")}, "l2 is inf: it must be 0 or more", ""),
        ({"folds": 1}, "folds is 1: it must be at least 2", ""),
        ({"folds": 101}, "folds is 101: it must be at most 100", ""),
        ({"path": 1}, "path is 1: it must be at least 2", ""),
        ({"min_count": 0}, "min_count is 0: it must be at least 1", ""),
        ({"memory": 0}, "memory is 0: it must be at least 1", ""),
        ({"chunk_size": "many"}, "'many' is not a chunk size|'many' is not a size", ""),
        ({"solver": "newtn"}, 'solver newtn: there is no such choice; did you mean "newton"?', "choose auto"),
        ({"missing_target": "x"}, "missing_target x: there is no such choice", "error or drop"),
        ({"holdout": "most"}, "--holdout: expected <, <=, .*, at column 5\n", "date >= 2013-11-01"),
        ({"holdout": "100%"}, "--holdout 100%: the share is not between 0% and 100%", "20%"),
        ({"holdout": "date >="}, "--holdout: expected one number, date or text", "20%"),
        ({"path": 5, "folds": 5}, "--path needs a penalty to end with", "--l2"),
        ({"path": 5, "l2": 1}, "--path needs rows that are left out, to choose a penalty by", "--folds 5"),
        ({"one_standard_error": True, "folds": 5}, "--one-standard-error needs folds and a path", "--path 20"),
        ({"key": "id"}, "--key needs folds, or a percentage of rows", "--folds 5"),
        ({"key": "id", "holdout": "date > 3"}, "--key needs folds, or a percentage of rows", "--folds 5"),
        ({"robust": True, "l2": 1}, "with a penalty there are no standard errors", "leave out"),
        ({"robust_groups": "g", "l1": 1}, "with a penalty there are no standard errors", "leave out"),
        ({"solver": "newton-cg", "l1": 1}, "--solver newton-cg cannot fit with --l1", "leave out one"),
        ({"solver": "gradient", "l1": 1}, "--solver gradient cannot fit with --l1", "leave out one"),
        ({"solver": "newton-cg", "sign": "x=+"}, "--solver newton-cg cannot fit with --sign", "leave out one"),
        ({"iterations": 5}, "--learning-rate and --iterations are for the solver gradient", "--solver gradient"),
        ({"prior": 0.1, "intercept": False}, "--prior corrects the intercept, and there is none", "--no-intercept"),
        ({"exact_median": True}, "--exact-median needs a median to impute", "--missing impute-median"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_are_one_error(options: dict[str, Any], message: str, remedy: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        job(**options)
    assert remedy in caught.value.remedy


def test_with_all_numeric_columns_names_are_known_later() -> None:
    model = job("*", control="year", sign="age=+", missing="age=drop").model
    assert (model.features, model.controls, model.signs) == ((AllTerm(),), ("year",), {"age": 1})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"features": 3}, 'features is the int 3, not text; write features="distance, C'),
        ({"features": ["x", 3]}, "features has the int 3 in it"),
        ({"features": {"x": 1}}, "features is the dict .*, not text"),
        ({"l2": "1"}, "l2 is the str '1'; write a number, such as l2=0.5"),
        ({"l1": True}, "l1 is the bool True; write a number"),
        ({"folds": 2.5}, "folds is the float 2.5; write a whole number"),
        ({"l2": None}, "l2 is None; leave it out, or write l2=0.0"),
        ({"iterations": None}, "iterations is None; leave it out, or write iterations=1000"),
        ({"weight": 3}, "weight is the int 3; write a text"),
        ({"control": 3}, "control is the int 3, not names of columns"),
        ({"control": [3]}, r"control is the list \[3\], not names of columns"),
        ({"intercept": "false"}, "intercept is the str 'false'; write True or False"),
        ({"robust": "HC1"}, "robust is the str 'HC1'; write True or False"),
        ({"quoted_null": None}, "quoted_null is the NoneType None; write True or False"),
        ({"memory": 1.5}, "memory is the float 1.5; write memory="),
        ({"scratch": False}, 'scratch is the bool False; write the path of a folder, "auto" or "none"'),
        ({"scheduler": ["threads"]}, "scheduler is the list .*; write scheduler="),
        ({"encoding": 8}, "encoding is the int 8; write encoding="),
        ({"output": 3}, "output is the int 3; write the path of a model file"),
        ({"missing": 3}, "missing is the int 3; write missing="),
        ({"sign": [1]}, r"sign is the list \[1\]; write sign="),
        ({"types": ["x=int64"]}, "types is the list .*, not a mapping"),
        ({"lambda": 1}, "there is no option 'lambda'"),
        ({"sample_weight": "w"}, "there is no option 'sample_weight'; did you mean \"weight\"?"),
    ],
)
def test_an_option_of_another_type_says_what_to_write(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        job(**options)


def test_numbers_of_numpy_are_as_good_as_those_of_python() -> None:
    found = job(min_count=np.int64(2), l2=np.float32(0.5), workers=np.int8(1), skip_lines=np.int64(1))
    assert found == job(min_count=2, l2=0.5, workers=1, skip_lines=1)
    assert {type(found.model.min_count), type(found.means.workers), type(found.data.csv.skip_lines)} == {int}
    assert type(found.solve.l2) is float
    with pytest.raises(UsageError, match="workers is 0: it must be at least 1"):
        job(workers=np.int64(0))


def test_a_target_is_the_name_of_a_column() -> None:
    with pytest.raises(TypeError, match=r"target is the list .*, not the name of a column"):
        fit_job("in.csv", target=["y"], features="x")  # type: ignore[arg-type]
    for target, shown in (("", "''"), ("\udcff", r"'\\udcff'")):
        with pytest.raises(UsageError, match=f"target is {shown}: it must be valid text"):
            fit_job("in.csv", target=target, features="x")


def test_a_table_is_answered_with_what_fits_it() -> None:
    with pytest.raises(TypeError, match=r"inputs is a DataFrame, .*pipeline.sklearn.LogisticRegression\(\)"):
        fit_job(pd.DataFrame({"a": [1]}), target="y", features="x")  # type: ignore[arg-type]
