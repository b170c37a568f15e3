"""What ``model show`` says of each kind of feature: a person can compute a score from it, and a program, too."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from pipeline.models import LogisticModel, describe_model, schema, show_model

FEATURES: list[dict[str, Any]] = [
    {"column": "distance", "kind": "numeric", "coefficient": 0.12, "center": 1048.3, "scale": 735.6},
    {"column": "carrier", "kind": "categorical", "coefficients": {"AA": 0.1, "UA": -0.2}, "unseen": "zero"},
    {"column": "month", "kind": "categorical", "coefficients": {"1": 0.5, "2": 1}, "levels": "integer"},
    {
        "column": "delay",
        "kind": "binned",
        "edges": [0, 0.1 + 0.2, 60],
        "coefficients": [-0.5, 0.1, 0.9, 2.0],
        "missing": {"coefficient": 0.3},
    },
    {"column": "delay", "kind": "indicator", "coefficient": 0.4},
    {
        "column": "distance",
        "name": "log_distance",
        "kind": "transformed",
        "transform": [{"clip": [1, None]}, "log", {"center": 0.5, "scale": 2}],
        "coefficient": 0.3,
        "center": 2,
        "missing": {"impute": 500},
    },
    {
        "name": "by_carrier",
        "kind": "product",
        "terms": [
            {"column": "distance", "center": 1000, "scale": 500, "transform": "log1p", "missing": "quarantine"},
            {"column": "carrier", "kind": "categorical", "unseen": "zero", "missing": {"level": "UA"}},
        ],
        "coefficients": {"AA": 0.01, "UA": 0.02},
    },
    {"kind": "product", "terms": [{"column": "hour"}, {"column": "hour"}], "coefficient": 0.001},
]
DOCUMENT: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 2,
    "kind": "logistic",
    "link": "cloglog",
    "intercept": -1.5,
    "offset": {"column": "exposure", "name": "log_exposure", "missing": {"impute": 0.0}},
    "features": FEATURES,
}
OF_CLASSES: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 2,
    "kind": "logistic",
    "classes": ["early", "late", "x: y"],
    "normalise": "one-vs-rest",
    "intercept": [0.1, 0.2, 0.3],
    "features": [
        {"column": "distance", "kind": "numeric", "coefficient": [0.12, 0, 1], "center": 10, "scale": 4},
        {"column": "delay", "kind": "binned", "edges": [5], "coefficients": [[1, 2, 3], [4, 5, 6]]},
    ],
}


def model_of(document: dict[str, Any]) -> LogisticModel:
    return LogisticModel.from_json(json.dumps(document))


def test_every_kind_is_a_row_for_each_of_its_coefficients() -> None:
    assert [row[:7] if not row[7] else row for row in show_model(model_of(DOCUMENT)).rows] == [
        ("distance", "numeric", "", 0.12, 1048.3, 735.6, "null"),
        ("carrier", "categorical", "AA", 0.1, "", "", "null", "zero"),
        ("", "", "UA", -0.2, "", "", ""),
        ("month", "categorical (integer levels)", "1", 0.5, "", "", "null", "null"),
        ("", "", "2", 1.0, "", "", ""),
        ("delay", "binned", "(-inf, 0)", -0.5, "", "", ""),
        ("", "", "[0, 0.30000000000000004)", 0.1, "", "", ""),
        ("", "", "[0.30000000000000004, 60)", 0.9, "", "", ""),
        ("", "", "[60, inf)", 2.0, "", "", ""),
        ("", "", "missing", 0.3, "", "", ""),
        ("delay", "indicator", "missing", 0.4, "", "", ""),
        (
            "distance (log_distance)",
            "transformed: clip(1, inf) then log then scale(0.5, 2)",
            "",
            0.3,
            2.0,
            1.0,
            ("impute", 500.0),
        ),
        ("distance:carrier (by_carrier)", "product", "term distance: log1p", "", 1000.0, 500.0, "quarantine"),
        ("", "", "term carrier", "", "", "", "level UA", "zero"),
        ("", "", "AA", 0.01, "", "", ""),
        ("", "", "UA", 0.02, "", "", ""),
        ("hour:hour", "product", "term hour", "", 0.0, 1.0, "null"),
        ("", "", "term hour", "", 0.0, 1.0, "null"),
        ("", "", "", 0.001, "", "", ""),
    ]


def test_the_facts_have_the_link_the_base_and_the_offset() -> None:
    model = model_of(DOCUMENT)
    facts = dict(show_model(model).facts)
    assert (facts["link"], facts["intercept"], facts["features"]) == ("cloglog", -1.5, "8")
    assert facts["offset"] == "exposure (log_exposure), missing: impute 0.0"
    # Of the features without a product, those with a center add to the base.
    assert facts["base"] == math.fsum([-1.5, -0.12 * 1048.3 / 735.6, -0.3 * 2.0]) == model.base


def test_a_score_can_be_computed_by_hand_from_what_is_shown() -> None:
    model, described = model_of(DOCUMENT), dict(describe_model(model_of(DOCUMENT)))
    features = {each["name"]: each for each in described["features"]}
    f = features["log_distance"]["transform"]
    assert f == [{"clip": [1.0, None]}, "log", {"center": 0.5, "scale": 2.0}]
    z = described["base"] + 0.7
    z += features["distance"]["weight"] * 900 + features["carrier"]["coefficients"]["UA"]
    z += features["month"]["coefficients"]["2"]
    z += dict(zip(features["delay"]["intervals"], features["delay"]["coefficients"], strict=True))["[60, inf)"]
    z += features["log_distance"]["weight"] * ((math.log(max(900, 1)) - 0.5) / 2)
    z += features["by_carrier"]["coefficients"]["UA"] * ((math.log1p(900) - 1000) / 500)
    z += features["hour:hour"]["coefficient"] * 5 * 5
    row = {"exposure": [0.7], "distance": [900.0], "carrier": ["UA"], "month": ["02"], "delay": [60.0], "hour": [5]}
    np.testing.assert_allclose(model.raw_prediction(row), [z], rtol=1e-14)
    np.testing.assert_allclose(model.probability(row), [-math.expm1(-math.exp(z))], rtol=1e-14)


def test_with_classes_there_is_a_row_for_each_of_them() -> None:
    shown = show_model(model_of(OF_CLASSES))
    facts = dict(shown.facts)
    assert (facts["classes"], facts["normalise"]) == ('"early", "late", "x: y"', "one-vs-rest")
    assert [facts[f"intercept {name}"] for name in ("early", "late", "x: y")] == [0.1, 0.2, 0.3]
    assert facts["base x: y"] == 0.3 - 10 / 4
    assert [row[2:4] for row in shown.rows] == [
        ("early", 0.12), ("late", 0.0), ("x: y", 1.0),
        ("early: (-inf, 5)", 1.0), ("late: (-inf, 5)", 2.0), ("x: y: (-inf, 5)", 3.0),
        ("early: [5, inf)", 4.0), ("late: [5, inf)", 5.0), ("x: y: [5, inf)", 6.0),
    ]  # fmt: skip


def test_a_program_gets_every_default_and_what_follows() -> None:
    described = dict(describe_model(model_of(OF_CLASSES)))
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described["digest"] == model_of(OF_CLASSES).digest()
    assert described["base"] == list(model_of(OF_CLASSES).file.bases)
    assert (described["link"], described["offset"], described["normalise"]) == ("logit", None, "one-vs-rest")
    distance, delay = described["features"]
    assert distance == {
        "name": "distance",
        "column": "distance",
        "kind": "numeric",
        "coefficient": [0.12, 0.0, 1.0],
        "center": 10.0,
        "scale": 4.0,
        "boolean": False,
        "missing": "null",
        "constant": [-0.12 * 10 / 4, 0.0, -2.5],
        "weight": [0.03, 0.0, 0.25],
    }
    assert (delay["intervals"], delay["constant"]) == (["(-inf, 5)", "[5, inf)"], [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("levels", "expected"), [({"1": 1, "2": 2}, "integer"), ({"a": 1}, "text"), ({"0.5": 1}, "number")]
)
def test_the_type_by_which_cells_are_read_is_told_even_if_the_spellings_decide(levels, expected) -> None:
    feature = {"column": "c", "kind": "categorical", "coefficients": levels}
    (found,) = dict(describe_model(model_of(DOCUMENT | {"features": [feature]})))["features"]
    assert (found["levels"], found["read_as"]) == (None, expected)


def test_the_json_schema_has_every_word_of_version_2() -> None:
    described = schema()
    assert described["properties"]["version"]["enum"] == [1, 2]
    assert described["properties"]["link"]["enum"] == ["logit", "probit", "cloglog", "loglog", "cauchit"]
    assert described["properties"]["normalise"]["enum"] == ["softmax", "one-vs-rest"]
    defined = described["$defs"]
    for feature in [*FEATURES, *FEATURES[6]["terms"]]:
        name = f"{feature.get('kind', 'numeric').title()}{'Feature' if feature in FEATURES else 'Term'}"
        assert feature.keys() <= defined[name]["properties"].keys()
        assert set(defined[name]["required"]) <= feature.keys()
    words = defined["TransformedFeature"]["properties"]["transform"]["oneOf"][0]["enum"]
    assert words == ["log", "log1p", "sqrt", "square"]


@pytest.mark.slow
def test_an_editor_accepts_what_is_valid_and_marks_wrong_keys_and_types() -> None:
    jsonschema = pytest.importorskip("jsonschema", reason="jsonschema is not installed")
    validator = jsonschema.Draft202012Validator(schema())
    for document in (DOCUMENT, OF_CLASSES, json.loads(model_of(DOCUMENT).to_json())):
        assert list(validator.iter_errors(document)) == []
    for wrong in (
        {"link": "gompit"},
        {"version": 3},
        {"clases": ["a", "b"]},
        {"classes": ["a"]},
        {"offset": {"column": "o", "scale": 1}},
        {"features": [FEATURES[3] | {"edges": ["a"]}]},
        {"features": [FEATURES[5] | {"transform": "exp"}]},
        {"features": [FEATURES[6] | {"terms": [{"column": "x"}]}]},
        {"features": [FEATURES[6] | {"coefficients": {"AA": "x"}}]},
        {"features": [{"column": "x", "kind": "spline"}]},
    ):
        assert list(validator.iter_errors(DOCUMENT | wrong)) != [], wrong


def test_a_level_of_empty_text_is_shown_as_a_level() -> None:
    levels: dict[str, float] = {"": 0.5, " ": 0.25, "AA": 0.125}
    by_carrier = {
        "name": "by_carrier", "kind": "product", "coefficients": levels,
        "terms": [{"column": "distance"}, {"column": "carrier", "kind": "categorical"}],
    }  # fmt: skip
    alone = {"column": "carrier", "kind": "categorical", "coefficients": levels}
    model = LogisticModel.from_json(json.dumps(DOCUMENT | {"features": [alone, by_carrier]}))
    shown = [row[2:6] for row in show_model(model).rows if isinstance(row[3], float)]
    assert shown == [(level, value, "", "") for level, value in (('""', 0.5), ('" "', 0.25), ("AA", 0.125))] * 2
