"""Results of statsmodels become models with its probabilities."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sklearn.linear_model  # noqa: F401 - before tests begin: it sets variables of the environment

import pipeline as logitstream
from pipeline.errors import DataError, ModelError, UsageError
from tests.conversion import stored_statsmodels
from tests.conversion.stored_statsmodels import CASES, rebuilt

STORED = json.loads(stored_statsmodels.STORED.read_text())


def probabilities(model: logitstream.LogisticModel, rows: Any) -> Any:
    return model.predict_proba(rows) if model.file.classes else model.probability(rows)


@pytest.mark.parametrize("case", STORED)
def test_probabilities_are_those_that_statsmodels_predicted(case: str) -> None:
    stored = STORED[case]
    model = logitstream.from_statsmodels(rebuilt(stored["result"]), **stored["names"])
    # A fit that has gone astray predicts 0 and 1 alone.
    assert 0.01 < np.median(stored["probabilities"]) < 0.99
    assert probabilities(model, stored["rows"]) == pytest.approx(np.array(stored["probabilities"]), rel=0, abs=1e-12)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES)
def test_probabilities_are_those_of_statsmodels_here(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    for module in ("statsmodels", "patsy", "formulaic"):
        pytest.importorskip(module)
    fit, names = CASES[case]
    result, frame = fit()
    with stored_statsmodels.engine_of(case):
        model = logitstream.from_statsmodels(result, check=frame, **names)
    facts = (model.training or {})["imported"]
    said = capsys.readouterr().out
    assert said.startswith(f"{len(frame):,} rows scored both ways: largest difference ")
    assert facts["rows"] == len(frame)
    assert facts["tool"].startswith("statsmodels 0.")
    print(f"{case}: {said}", end="")
    assert facts["largest_difference"] <= 1e-12


def test_the_kinds_of_features_are_those_of_the_terms() -> None:
    stored = STORED["fair patsy"]
    model = logitstream.from_statsmodels(rebuilt(stored["result"]), threshold=0.5, target="affair")
    kinds = {feature.kind for feature in model.features}
    assert kinds == {"categorical", "numeric", "transformed", "product"}
    assert model.output.threshold == 0.5
    assert model.target is not None
    assert (model.target.column, model.target.negative, model.target.positive) == ("affair", 0, 1)


def test_a_model_without_products_and_links_is_of_version_1() -> None:
    stored = STORED["spector formula"]
    assert logitstream.from_statsmodels(rebuilt(stored["result"])).file.version == 1


def test_classes_have_the_values_of_the_data() -> None:
    for case, first in (("anes96 of seven numbers", 0), ("anes96 of seven names", "p0")):
        stored = STORED[case]
        model = logitstream.from_statsmodels(rebuilt(stored["result"]))
        assert model.file.classes is not None
        assert (len(model.file.classes), model.file.classes[0]) == (7, first)


def test_a_missing_value_gives_no_score_and_an_unseen_level_is_an_error() -> None:
    stored = STORED["fair text and boolean"]
    model = logitstream.from_statsmodels(rebuilt(stored["result"]))
    rows = {name: values[:2] for name, values in stored["rows"].items()}
    for column in ("age", "job", "devout"):
        found = model.probability(rows | {column: [None, rows[column][1]]})
        assert np.isnan(found).tolist() == [True, False]
    with pytest.raises(DataError, match="pilot"):
        model.probability(rows | {"job": ["pilot", "other"]})


@pytest.mark.parametrize(
    ("rows", "told"),
    [({"GPA": [1.0], "TUCE": [2.0]}, "the rows to check have no column PSI"), (np.empty((0, 3)), "no rows to check")],
)
def test_rows_to_check_need_every_column_and_a_row(rows: Any, told: str) -> None:
    result = rebuilt(STORED["spector logit"]["result"])
    result.predict = lambda exog: np.empty(0)
    with pytest.raises(DataError, match=told):
        logitstream.from_statsmodels(result, check=rows)


def test_a_dataframe_is_also_compared_as_csv_and_the_difference_is_stored(capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    stored = STORED["spector logit"]
    result = rebuilt(stored["result"])
    result.predict = lambda exog: np.array(stored["probabilities"])
    model = logitstream.from_statsmodels(result, check=pandas.DataFrame(stored["rows"]))
    said = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in said] == [
        "25 rows scored both ways",
        "the same rows from a CSV file, as to_csv writes it",
    ]
    imported = (model.training or {})["imported"]
    assert (imported["from"], imported["rows"]) == ("statsmodels", 25)
    assert imported["largest_difference"] <= 1e-15


def test_a_row_that_both_refuse_is_no_difference() -> None:
    """The logarithm of a negative number is NaN for statsmodels, and a bad cell here."""
    stored = json.loads(json.dumps(STORED["spector formula"]["result"]))
    stored["spec"]["factors"]["np.log(GPA)"] = stored["spec"]["factors"].pop("GPA") | {"eval_code": "np.log(GPA)"}
    stored["spec"]["subterms"][1][0][0] = "np.log(GPA)"
    stored["params"] = [0.5, 0.25, 0.0, 0.0]
    result = rebuilt(stored)
    result.predict = lambda rows: np.array([1 / (1 + math.exp(-0.5)), math.nan])
    rows = {"GPA": [1.0, -1.0], "TUCE": [1.0, 1.0], "PSI": [0, 1]}
    model = logitstream.from_statsmodels(result, check=rows)
    assert (model.training or {})["imported"]["largest_difference"] <= 1e-16
    result.predict = lambda rows: np.array([0.5, 0.5])
    model = logitstream.from_statsmodels(result, check=rows)
    assert (model.training or {})["imported"]["largest_difference"] is None


def test_an_offset_that_differs_in_the_csv_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    stored = STORED["star98 with an offset"]
    result = rebuilt(stored["result"])
    (name,) = stored["names"].values()
    frame = pandas.DataFrame(stored["rows"])
    frame[name] = np.float32(0.1)
    result.predict = lambda exog, offset: np.array(stored["probabilities"])
    logitstream.from_statsmodels(result, **stored["names"], check=frame)
    assert f'column "{name}" differs in {len(frame)} rows: in row 0, 0.1' in capsys.readouterr().out


def test_columns_of_an_array_get_the_names_that_are_given() -> None:
    result = rebuilt(STORED["spector logit"]["result"])
    model = logitstream.from_statsmodels(result, columns=["a", "b", "c"])
    assert [feature.column for feature in model.features] == ["a", "b", "c"]
    with pytest.raises(UsageError, match="columns has 2 names, but the result has 3 columns"):
        logitstream.from_statsmodels(result, columns=["a", "b"])
    with pytest.raises(UsageError, match="the result has a formula, which names its columns"):
        logitstream.from_statsmodels(rebuilt(STORED["spector formula"]["result"]), columns=["a", "b", "c"])


def test_a_constant_of_another_name_is_a_column() -> None:
    stored = json.loads(json.dumps(STORED["spector logit"]["result"]))
    stored["exog_names"][0] = "ones"
    assert next(feature.column for feature in logitstream.from_statsmodels(rebuilt(stored)).features) == "ones"


def test_an_offset_needs_a_name_and_a_name_needs_an_offset() -> None:
    result = rebuilt(STORED["star98 with an offset"]["result"])
    with pytest.raises(UsageError, match='name its column: offset="COLUMN"'):
        logitstream.from_statsmodels(result)
    assert logitstream.from_statsmodels(result, offset="e").file.offset.column == "e"  # type: ignore[union-attr]
    without = rebuilt(STORED["spector logit"]["result"])
    with pytest.raises(UsageError, match="the result has no offset, but offset is e"):
        logitstream.from_statsmodels(without, offset="e")


def test_what_has_no_effect_in_statsmodels_has_none_here() -> None:
    several = rebuilt(STORED["anes96 of seven numbers"]["result"])
    several.model.offset = np.full(3, 2.0)
    assert logitstream.from_statsmodels(several).file.offset is None
    with pytest.raises(UsageError, match="the result has no offset"):
        logitstream.from_statsmodels(several, offset="e")
    binary = rebuilt(STORED["spector logit"]["result"])
    binary.model.exposure = np.full(3, 2.0)
    assert logitstream.from_statsmodels(binary).file.offset is None


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"kind": "OLS"}, "the result is that of OLS"),
        ({"kind": "Poisson"}, "the result is that of Poisson"),
        ({"kind": "GLM", "family": "Poisson"}, "the GLM has the family Poisson, not Binomial"),
        ({"kind": "GLM", "family": "Binomial", "link": "Log"}, "the GLM has the link Log"),
        ({"kind": "GLM", "family": "Binomial", "link": "CDFLink"}, "the GLM has the link CDFLink"),
        ({"params": [1.0, 2.0]}, "the result has 2 coefficients for 4 columns"),
    ],
)
def test_what_is_no_binomial_model_is_refused_by_name(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ModelError) as caught:
        logitstream.from_statsmodels(rebuilt(STORED["spector logit"]["result"] | change))
    assert told in caught.value.message
    assert caught.value.remedy


def test_a_result_of_the_constant_alone_is_refused() -> None:
    stored = json.loads(json.dumps(STORED["spector logit"]["result"]))
    stored |= {"exog_names": ["const"], "params": stored["params"][:1]}
    with pytest.raises(ModelError, match="the result has no columns beside the constant"):
        logitstream.from_statsmodels(rebuilt(stored))


def test_what_is_no_result_is_refused() -> None:
    for value in (object(), SimpleNamespace(model=None), 3):
        with pytest.raises(ModelError, match="is not a fitted result of statsmodels"):
            logitstream.from_statsmodels(value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("bs(x, df=4)", "is a spline or makes several columns"),
        ("cr(x, 3)", "is a spline"),
        ("poly(x, 2)", "is a spline or makes several columns"),
        ("np.exp(x)", "calls np.exp"),
        ("x.round()", "calls x.round"),
        ("np.where(x > 1, x, 0)", "calls np.where"),
        ("I(x > 1)", "has x > 1"),
        ("I(x ** 0.5)", "has x ** 0.5"),
        ("I(x ** z)", "has x ** z"),
        ("I(1 / x)", "has 1 / x"),
        ("I(x / 0)", "has x / 0"),
        ("I(x ** 99)", "has x ** 99"),
        ("np.log(x + z)", "x"),
        ("I(x * k)", "names k, which is not a column of the data"),
        ("__import__('os').system('true')", "calls __import__('os').system"),
        ("standardize(x)", "learns from the data, but what it learnt is not in the result"),
        ("lambda: 1", "has lambda: 1"),
        ("x[0]", "has x[0]"),
        ("'x'", "has 'x'"),
    ],
)
def test_a_term_that_no_feature_can_say_is_refused_by_name(code: str, told: str) -> None:
    stored = json.loads(json.dumps(STORED["spector formula"]["result"]))
    stored["types"] |= {"x": "float64", "z": "float64"}
    factor = stored["spec"]["factors"].pop("GPA")
    stored["spec"]["factors"][code] = factor | {"eval_code": code}
    stored["spec"]["subterms"][1][0][0] = code
    with pytest.raises(ModelError) as caught:
        logitstream.from_statsmodels(rebuilt(stored))
    assert told in str(caught.value)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("I(x + z)", lambda x, z: x + z),
        ("I(2 * x - 3)", lambda x, z: 2 * x - 3),
        ("I(-x / 4)", lambda x, z: -x / 4),
        ("I(x ** 1 + x ** 2 + x ** 3)", lambda x, z: x + x**2 + x**3),
        ("I((x - 2) * (z + 1))", lambda x, z: (x - 2) * (z + 1)),
        ("np.log(x + 1.5)", lambda x, z: np.log(x + 1.5)),
        ("np.log2(x)", lambda x, z: np.log2(x)),
        ("np.sqrt(np.log1p(x))", lambda x, z: np.sqrt(np.log1p(x))),
        ("np.square(x - 1)", lambda x, z: (x - 1) ** 2),
        ("I(np.log(x) * z)", lambda x, z: np.log(x) * z),
        ("Q('x')", lambda x, z: x),
    ],
)
def test_arithmetic_in_a_term_is_that_of_the_formula(code: str, value: Any) -> None:
    stored = json.loads(json.dumps(STORED["spector formula"]["result"]))
    stored["types"] |= {"x": "float64", "z": "float64"}
    stored["spec"]["factors"][code] = stored["spec"]["factors"].pop("GPA") | {"eval_code": code}
    stored["spec"]["subterms"][1][0][0] = code
    stored["params"] = [0.5, 0.25, 0.0, 0.0]
    model = logitstream.from_statsmodels(rebuilt(stored))
    x, z = np.array([0.5, 2.0, 7.25]), np.array([-1.0, 0.125, 3.0])
    found = model.probability({"x": x, "z": z, "TUCE": x, "PSI": x})
    assert found == pytest.approx(1 / (1 + np.exp(-0.5 - 0.25 * value(x, z))), rel=1e-13)
