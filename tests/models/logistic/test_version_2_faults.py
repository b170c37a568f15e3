"""What can be wrong with a model file of version 2, row by row, and that all of it is named at once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.models.logistic.test_model_faults import refused

NUMERIC: dict[str, Any] = {"column": "x", "kind": "numeric", "coefficient": 1.25}
CATEGORICAL: dict[str, Any] = {"column": "c", "kind": "categorical", "coefficients": {"AA": 0.5, "UA": -0.75}}
BINNED: dict[str, Any] = {"column": "a", "kind": "binned", "edges": [0, 10], "coefficients": [1, 2, 3]}
INDICATOR: dict[str, Any] = {"column": "i", "kind": "indicator", "coefficient": 0.1}
LOG: dict[str, Any] = {"column": "t", "kind": "transformed", "transform": "log", "coefficient": 0.1}
TERMS: list[dict[str, Any]] = [{"column": "x"}, {"column": "y"}]
PRODUCT: dict[str, Any] = {"kind": "product", "terms": TERMS, "coefficient": 0.1}
LEVELS: dict[str, Any] = {"column": "c", "kind": "categorical"}
CROSSED: dict[str, Any] = {"kind": "product", "terms": [{"column": "x"}, LEVELS], "coefficients": {"AA": 0.1}}
OF_CLASSES: dict[str, Any] = {"classes": ["a", "b", "c"], "intercept": [0, 1, 2]}
OF_THREE: dict[str, Any] = NUMERIC | {"coefficient": [1, 2, 3]}


def document(*features: object, **other: object) -> dict[str, Any]:
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.5}
    return head | {"features": list(features) or [NUMERIC, CATEGORICAL]} | other


def without(feature: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in feature.items() if name != key}


def diagonal(levels: int, number: object) -> dict[str, Any]:
    return {f"b{level}": {f"c{level}": number} for level in range(levels)}


# The file, the place of its only fault, and words of the message.
ROWS: list[tuple[dict[str, Any], str, str]] = [
    # Unknown keys.
    (document(clases=["a", "b"]), "clases", 'unknown key "clases"; did you mean "classes"?'),
    (document(BINNED | {"edgs": [1]}), "features[0].edgs", 'did you mean "edges"?'),
    (document(BINNED | {"missing": {"coefficient": 1, "x": 1}}), "features[0].missing.x", 'unknown key "x"'),
    (document(INDICATOR | {"missing": "null"}), "features[0].missing", 'unknown key "missing"'),
    (document(LOG | {"transfrm": "log"}), "features[0].transfrm", 'did you mean "transform"?'),
    (document(LOG | {"transform": {"clip": [0, 1], "x": 1}}), "features[0].transform.x", 'unknown key "x"'),
    (document(LOG | {"transform": {"scal": 1}}), "features[0].transform.scal", 'did you mean "scale"?'),
    (document(PRODUCT | {"terms": [{"column": "x", "centre": 1}, TERMS[1]]}), "features[0].terms[0].centre", "center"),
    (document(CROSSED | {"terms": [TERMS[0], LEVELS | {"center": 1}]}), "features[0].terms[1].center", "unknown key"),
    (document(offset={"column": "o", "scale": 1}), "offset.scale", 'unknown key "scale"'),
    (document(NUMERIC | {"transform": "log"}), "features[0].transform", 'the kind "transformed" has it'),
    (document(CATEGORICAL | {"edges": [1]}), "features[0].edges", 'unknown key "edges"; the kind "binned" has it'),
    # Policies of another kind.
    (
        document(CATEGORICAL | {"missing": {"impute": 0}}),
        "features[0].missing",
        'must be "null", "error", "quarantine" or {"level": text}, not {"impute": 0}',
    ),
    (document(LOG | {"missing": {"level": "a"}}), "features[0].missing", 'or {"impute": number}, not {"level": "a"}'),
    (
        document(BINNED | {"missing": "zero"}),
        "features[0].missing",
        'must be "null", "error", "quarantine", {"impute": number} or {"coefficient": number}, not "zero"',
    ),
    # Without the head, or with a kind or link that does not exist: nothing is said of what follows from that.
    (without(document(), "version"), "version", 'is required but missing: write "version": 2'),
    (without(document(), "kind"), "kind", 'is required but missing: write "kind": "logistic"'),
    (document(NUMERIC | {"kind": "number"}, output={"reasons": {"reference": "best"}}), "features[0].kind", "must be"),
    (
        document(NUMERIC, output={"reasons": {"reference": "best"}}),
        "output.reasons.features.x.reference",
        'a numeric feature has no best contribution: write {"value": number}',
    ),
    (document(link="logistic", output={"temperature": 2}), "link", 'not "logistic"'),
    # Lists of a wrong length, in a wrong order, or of the wrong things.
    (document(BINNED | {"coefficients": [1, 2]}), "features[0].coefficients", "has 2 numbers, but 2 edges make 3 int"),
    (
        document(BINNED | {"edges": [1], "coefficients": [1]}),
        "features[0].coefficients",
        "has 1 number, but 1 edge makes",
    ),
    (document(BINNED | {"coefficients": {"a": 1}}), "features[0].coefficients", "must be a list"),
    (document(BINNED | {"edges": []}), "features[0].edges", "must not be empty"),
    (document(BINNED | {"edges": [10, 0]}), "features[0].edges[1]", "must be more than the edge before it, 10"),
    (document(BINNED | {"edges": [0, 0]}), "features[0].edges[1]", "must be more than the edge before it, 0"),
    (document(BINNED | {"edges": ["0", 1]}), "features[0].edges[0]", "must be a number"),
    (document(BINNED | {"edges": [None, 1]}), "features[0].edges[0]", "must be a number, not null"),
    (document(without(BINNED, "edges")), "features[0].edges", "is required but missing"),
    (document(PRODUCT | {"terms": []}), "features[0].terms", "must not be empty"),
    (document(PRODUCT | {"terms": TERMS[:1]}), "features[0].terms", "has 1 term, but a product has at least 2"),
    (document(without(PRODUCT, "terms")), "features[0].terms", "is required but missing"),
    (document(PRODUCT | {"terms": ["x", TERMS[1]]}), "features[0].terms[0]", "must be an object"),
    (document(PRODUCT | {"terms": [BINNED, TERMS[1]]}), "features[0].terms[0].kind", 'must be "numeric" or "categor'),
    # Coefficients of products.
    (document(without(PRODUCT, "coefficient")), "features[0].coefficient", "is required but missing"),
    (document(PRODUCT | {"coefficients": {"a": 1}}), "features[0].coefficients", 'has "coefficient" instead'),
    (document(CROSSED | {"coefficient": 1}), "features[0].coefficient", 'has "coefficients" instead'),
    (document(CROSSED | {"coefficients": {}}), "features[0].coefficients", "must not be empty"),
    (document(CROSSED | {"coefficients": {"AA": {"b": 1}}}), "features[0].coefficients.AA", "must be a finite number"),
    (
        document(CROSSED | {"terms": [LEVELS | {"column": "b"}, LEVELS]}),
        "features[0].coefficients.AA",
        "must be an object with the levels of the next term",
    ),
    (
        document(CROSSED | {"terms": [LEVELS | {"column": "b"}, LEVELS], "coefficients": diagonal(3_200, 1)}),
        "features[0].coefficients",
        "has 3,200 x 3,200 levels, more than 10,000,000 combinations",
    ),
    (
        document(
            CROSSED | {"terms": [LEVELS | {"column": "b"}, LEVELS], "coefficients": diagonal(2_000, [1, 2, 3])},
            **OF_CLASSES,
        ),
        "features[0].coefficients",
        "has 2,000 x 2,000 levels of 3 classes, more than 10,000,000 combinations",
    ),
    # Transforms.
    (document(LOG | {"transform": "exp"}), "features[0].transform", '"log", "log1p", "sqrt", "square", {"clip"'),
    (document(LOG | {"transform": ["log", "exp"]}), "features[0].transform[1]", 'not "exp"'),
    (document(LOG | {"transform": []}), "features[0].transform", "must not be empty"),
    (document(LOG | {"transform": {"clip": [2, 1]}}), "features[0].transform.clip", "must not be more than the second"),
    (document(LOG | {"transform": {"clip": [None, None]}}), "features[0].transform.clip", "must be a number"),
    (document(LOG | {"transform": {"clip": [1]}}), "features[0].transform.clip[1]", "is required but missing"),
    (document(LOG | {"transform": {"scale": 0}}), "features[0].transform.scale", "must not be 0"),
    (document(without(LOG, "transform")), "features[0].transform", "is required but missing"),
    (
        document(LOG | {"missing": {"impute": 0}}),
        "features[0].missing.impute",
        "log of 0 is not a finite number: impute another one",
    ),
    (
        document(PRODUCT | {"terms": [{"column": "x", "transform": "sqrt", "missing": {"impute": -1}}, TERMS[1]]}),
        "features[0].terms[0].missing.impute",
        "sqrt of -1 is not a finite",
    ),
    # Names.
    (document(NUMERIC, NUMERIC), "features[1].kind", 'features[0] is called "x", too: give this feature another "n'),
    (document(NUMERIC | {"name": "n"}, CATEGORICAL | {"name": "n"}), "features[1].name", 'is called "n", too'),
    (document(PRODUCT, PRODUCT), "features[1].kind", 'features[0] is called "x:y", too'),
    (document(offset={"column": "x"}), "features[0].kind", 'offset is called "x", too'),
    (document(NUMERIC | {"name": ""}), "features[0].name", "must not be empty"),
    # Classes.
    (document(NUMERIC, **OF_CLASSES), "features[0].coefficient", "must be a list of 3 numbers, one for each class"),
    (
        document(NUMERIC | {"coefficient": {"a": 1, "b": 2, "c": 3}}, **OF_CLASSES),
        "features[0].coefficient",
        "must be a list of 3 numbers, one for each class",
    ),
    (document(NUMERIC | {"coefficient": [1, 2]}, **OF_CLASSES), "features[0].coefficient", "has 2 numbers, but there"),
    (
        document(NUMERIC | {"coefficient": [1]}, **OF_CLASSES),
        "features[0].coefficient",
        "has 1 number, but there are 3",
    ),
    (
        document(CATEGORICAL | {"coefficients": {"AA": [1, 2, 3], "UA": 1}}, **OF_CLASSES),
        "features[0].coefficients.UA",
        "must be a list of 3 numbers",
    ),
    (
        document(BINNED | {"coefficients": [[1, 2, 3], [1, 2], [1, 2, 3]]}, **OF_CLASSES),
        "features[0].coefficients[1]",
        "has 2 numbers, but there are 3 classes",
    ),
    (
        document(BINNED | {"coefficients": [[1, 2, 3]] * 3, "missing": {"coefficient": 1}}, **OF_CLASSES),
        "features[0].missing.coefficient",
        "must be a list of 3 numbers",
    ),
    (document(CROSSED | {"coefficients": {"AA": [1]}}, **OF_CLASSES), "features[0].coefficients.AA", "has 1 number"),
    (document(OF_THREE, **OF_CLASSES | {"intercept": 1}), "intercept", "must be a list of 3 numbers"),
    *(
        (
            document(
                NUMERIC | {"coefficient": numbers}, output={"reasons": {"features": {"x": {"reference": {"value": 1}}}}}
            ),
            "features[0].coefficient",
            "must be one number, because the model has no classes",
        )
        for numbers in ([], [1, 2])
    ),
    (document(OF_THREE), "features[0].coefficient", "must be one number, because the model has no classes"),
    (document(OF_THREE, **OF_CLASSES | {"classes": ["a"]}), "classes", "has 1 class; a model has at least 2 and at mo"),
    (document(OF_THREE, **OF_CLASSES | {"classes": []}), "classes", "has 0 classes"),
    (
        document(OF_THREE, **OF_CLASSES | {"classes": [*range(1001)]}),
        "classes",
        "has 1,001 classes; a model has at lea",
    ),
    (
        document(OF_THREE, **OF_CLASSES | {"classes": ["a", None, "c"]}),
        "classes[1]",
        "must be text, a boolean or a num",
    ),
    (
        document(OF_THREE, **OF_CLASSES | {"classes": ["a", ["b"], "c"]}),
        "classes[1]",
        "must be text, a boolean or a nu",
    ),
    (document(OF_THREE, **OF_CLASSES | {"classes": ["a", 1, "c"]}), "classes[1]", "must be text as the first class is"),
    (document(OF_THREE, **OF_CLASSES | {"classes": ["a", "a", "c"]}), "classes[1]", '"a" is there twice'),
    (document(OF_THREE, output={"threshold": 0.5}, **OF_CLASSES), "output.threshold", "is not for models with classes"),
    (document(OF_THREE, output={"alpha": 2}, **OF_CLASSES), "output.alpha", "is not for models with classes"),
    (document(OF_THREE, output={"columns": ["contributions"]}, **OF_CLASSES), "output.columns[0]", "is not for models"),
    (document(OF_THREE, link="probit", **OF_CLASSES), "link", "is not for models with classes"),
    (document(OF_THREE, normalise="max", **OF_CLASSES), "normalise", 'must be "softmax" or "one-vs-rest", not "max"'),
    (document(normalise="softmax"), "normalise", "is for models with classes"),
    # Links and the offset.
    (document(link="gompit"), "link", 'must be "logit", "probit", "cloglog", "loglog" or "cauchit", not "gompit"'),
    (document(link="probit", output={"temperature": 2}), "output.temperature", 'is for the link "logit", not "probit"'),
    (document(offset="o"), "offset", "must be an object"),
    (document(offset={}), "offset.column", "is required but missing"),
    (document(offset={"column": "o", "missing": "zero"}), "offset.missing", 'or {"impute": number}, not "zero"'),
    # Levels that are the same value, or of a type that the column does not have.
    (
        document(CATEGORICAL | {"levels": "integer", "coefficients": {"1": 0.5, "01": 1}}),
        'features[0].coefficients["01"]',
        'the levels "1" and "01" are the same integer',
    ),
    (
        document(CATEGORICAL | {"levels": "number", "coefficients": {"0.5": 0.5, "0.50": 1}}),
        'features[0].coefficients["0.50"]',
        'the levels "0.5" and "0.50" are the same number',
    ),
    (
        document(CATEGORICAL | {"levels": "boolean", "coefficients": {"true": 0.5, "True": 1}}),
        "features[0].coefficients.True",
        'the levels "true" and "True" are the same boolean',
    ),
    (
        document(
            CROSSED | {"terms": [TERMS[0], LEVELS | {"levels": "integer"}], "coefficients": {"1": 1, "01": 2}},
        ),
        "features[0].terms[1]",
        'the levels "1" and "01" are the same integer',
    ),
    (
        document(CROSSED | {"terms": [TERMS[0], LEVELS | {"unseen": {"level": "ZZ"}}]}),
        "features[0].terms[1].unseen.level",
        'unknown level "ZZ"',
    ),
    (document(NUMERIC, CATEGORICAL | {"column": "x", "name": "level"}), "features[1]", 'this one needs "levels"'),
    # Coefficients that overflow.
    (document(NUMERIC | {"coefficient": 1e308, "scale": 1e-10}), "features[0].coefficient", "is beyond float64"),
    (document(LOG | {"coefficient": 1e308, "scale": 1e-10}), "features[0].coefficient", "is beyond float64"),
    (
        document(NUMERIC | {"coefficient": [1, 2, 1e308], "scale": 1e-10}, **OF_CLASSES),
        "features[0].coefficient",
        "is beyond float64",
    ),
    (document(NUMERIC | {"coefficient": 1e308, "center": 1e10}), "intercept", "is beyond float64"),
    (
        document(NUMERIC | {"coefficient": [1, 2, 1e308], "center": 1e10}, **OF_CLASSES),
        "intercept",
        "is beyond float64",
    ),
    # What a file of version 1 cannot say.
    (document(BINNED, version=1), "features[0].kind", 'needs "version": 2'),
    (document(NUMERIC | {"name": "n"}, version=1), "features[0].name", 'needs "version": 2'),
    (document(version=1, link="probit"), "link", 'needs "version": 2'),
    (document(version=1, offset={"column": "o"}), "offset", 'needs "version": 2'),
]


@pytest.mark.parametrize(("value", "place", "expected"), ROWS)
def test_v01_each_fault_is_named_once_with_its_place(value: dict[str, Any], place: str, expected: str) -> None:
    first, second = refused(value).splitlines()
    assert first == "model is not a valid model: 1 problem"
    assert second.startswith(f"  {place} at line 1, column ")
    assert expected in second


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999", "9" * 5000])
@pytest.mark.parametrize(
    ("old", "place"),
    [
        ('"edges": [0', "edges[0]"),
        ('"coefficients": [1', "coefficients[0]"),
        ('"clip": [0.5', "transform.clip[0]"),
        ('"center": 7', "terms[0].center"),
        ('"AA": 0.1', "coefficients.AA"),
        ('"impute": 3', "offset.missing.impute"),
        ('"intercept": [0', "intercept[0]"),
    ],
)
def test_v01_numbers_that_are_not_finite_are_named_in_every_kind(old: str, place: str, number: str) -> None:
    crossed = CROSSED | {"terms": [{"column": "x", "center": 7}, LEVELS]}
    value = document(BINNED, LOG | {"transform": {"clip": [0.5, 1]}}, crossed)
    value |= {"offset": {"column": "o", "missing": {"impute": 3}}}
    text = json.dumps(value | ({"intercept": [0, 1]} if place.startswith("intercept") else {}))
    assert text.count(old) == 1
    message = refused(text.replace(old, old.rstrip("0123456789.") + number))
    assert f"{place} at line 1" in message
    assert "is not a finite number" in message or "is beyond the range of float64" in message


def test_v02_everything_that_is_wrong_is_named_at_once_in_the_order_of_the_text() -> None:
    message = refused(
        document(
            NUMERIC | {"coefficient": "a", "name": "n"},
            BINNED | {"edges": [1, 0], "name": "n"},
            LOG | {"transform": "exp"},
            PRODUCT | {"terms": TERMS[:1]},
            CROSSED | {"coefficients": {"AA": {}}},
            CATEGORICAL | {"levels": "integer", "coefficients": {"1": 1, "01": "x"}},
            INDICATOR | {"coefficient": [1]},
            link="gompit",
            offset={"column": "o", "missing": "zero"},
            output={"columns": ["decision"]},
        )
    )
    first, *others = message.splitlines()
    assert first == "model is not a valid model: 11 problems"
    assert [line.strip().partition(" at ")[0] for line in others] == [
        "features[0].coefficient",
        "features[1].edges[1]",
        "features[1].name",
        "features[2].transform",
        "features[3].terms",
        "features[4].coefficients.AA",
        'features[5].coefficients["01"]',
        "features[6].coefficient",
        "link",
        "offset.missing",
        "output.columns",
    ]
