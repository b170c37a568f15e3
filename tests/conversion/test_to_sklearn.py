"""A model written as a scikit-learn Pipeline gives its scores, and read back the same bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.conversion.sklearn import compare, from_sklearn
from pipeline.errors import ModelError
from pipeline.models import LogisticModel
from pipeline.models.logistic.parsing import from_mapping
from tests.conversion.sklearn_cases import CASES, frame

HEAD = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": -0.25}
X: dict[str, Any] = {"column": "x", "kind": "numeric", "coefficient": 0.3, "missing": "error"}
C: dict[str, Any] = {"column": "c", "kind": "categorical", "coefficients": {"a": 0.5, "b": -1.25}} | dict.fromkeys(
    ["missing", "unseen"], "error"
)


def model(*features: dict[str, Any], **other: Any) -> LogisticModel:
    return LogisticModel(from_mapping({**HEAD, "features": list(features), **other}, "a test"))


def rows() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    made = pd.DataFrame(
        {
            "x": rng.normal(1e3, 2, 200),
            "y": rng.normal(0, 1, 200),
            "c": rng.choice(["a", "b"], 200).astype(object),
            "d": rng.choice(["a", "zz", None, np.nan], 200),
            "n": rng.choice([1.0, 2.5, np.nan], 200),
            "i": rng.integers(0, 3, 200),
            "f": rng.random(200) < 0.5,
        }
    )
    made.loc[::9, "y"] = np.nan
    return made


FEATURES = [
    X | {"center": 1000.0, "scale": 1.9},
    X | {"column": "y", "missing": {"impute": 0.125}},
    C,
    C
    | {
        "column": "d",
        "coefficients": {"a": 0.1, "(missing)": 0.7},
        "missing": {"level": "(missing)"},
        "unseen": "zero",
    },
    C
    | {"column": "n", "levels": "number", "coefficients": {"1": 0.1, "2.5": 0.9, "none": -0.2}}
    | {"missing": {"level": "none"}},
    C
    | {"column": "i", "levels": "integer", "coefficients": {"0": 0.1, "2": 0.9}}
    | {"missing": {"level": "2"}, "unseen": "zero"},
    C | {"column": "f", "levels": "boolean", "coefficients": {"false": 0.1, "true": 0.9}},
]


def test_every_policy_that_scikit_learn_has_is_written_and_read_back_bit_for_bit() -> None:
    ours = model(*FEATURES)
    theirs = ours.to_sklearn()
    assert compare(ours, theirs, rows()).relative <= 1e-12
    again = from_sklearn(theirs)
    assert (again.raw_prediction(rows()) == ours.raw_prediction(rows())).all()
    assert all(getattr(feature, "scale", 1.0) == 1.0 for feature in again.features)


@pytest.mark.parametrize("title", ["LogisticRegression", "LogisticRegression, 3 classes", "OneHotEncoder of floats"])
def test_models_from_scikit_learn_go_back(title: str) -> None:
    case = next(case for case in CASES if case.title == title)
    taken = case.input(frame(seed=9)).dropna(subset=[name for name in case.columns if name == "distance,km"])
    ours = from_sklearn(case.fitted())
    again = from_sklearn(ours.to_sklearn())
    assert compare(ours, ours.to_sklearn(), taken).absolute <= 1e-12
    assert (again.raw_prediction(taken) == ours.raw_prediction(taken)).all()
    assert again.classes == ours.classes


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_a_threshold_decides_the_same_rows_and_is_read_back(threshold: float) -> None:
    feature = X | {"center": 1000.0, "scale": 1.9}
    for target in ({}, {"target": {"negative": "no", "positive": "yes"}}):
        ours = model(feature, output={"threshold": threshold}, **target)
        theirs = ours.to_sklearn()
        assert (theirs.predict(rows()) == ours.predict(rows())).all()
        assert compare(ours, theirs, rows()).relative <= 1e-12
        assert from_sklearn(theirs).file.output.threshold == threshold


REFUSED: dict[str, LogisticModel] = {
    r'features\[0\]: column "x" has the policy "missing": null': model(X | {"missing": "null"}),
    r'column "x" has the policy "missing": quarantine': model(X | {"missing": "quarantine"}),
    r'features\[1\]: column "c" has the policy "missing": null': model(X, C | {"missing": "null"}),
    r'column "c" has the policy "missing": error': model(C | {"unseen": "zero"}),
    r'column "c" has the policy "unseen": null': model(C | {"unseen": "null"}),
    r'column "c" has the policy "unseen": a level': model(C | {"unseen": {"level": "a"}}),
    "parameters of the sigmoid": model(X, output={"temperature": 2.0}),
    "contributions": model(X, version=2, output={"columns": ["contributions"]}),
    "the model has points": model(
        X, version=2, output={"points": {"pdo": 20, "base_points": 600, "base_odds": 50}, "columns": ["points"]}
    ),
    "the model has reasons": model(X, version=2, output={"reasons": {"count": 1}, "columns": ["reasons"]}),
    "the model has bands": model(
        X, version=2, output={"bands": {"on": "probability", "thresholds": [0.5], "names": ["low", "high"]}}
    ),
    'two classes in "classes", not in "target"': model(
        X | {"coefficient": [1.0, 2.0]}, version=2, classes=["a", "b"], intercept=[0.0, 0.5]
    ),
    'the link "probit"': model(X, version=2, link="probit"),
    "an offset": model(X, version=2, offset={"column": "e"}),
    r'features\[0\] \("missing_x"\) is of the kind indicator': model(
        {"kind": "indicator", "column": "x", "coefficient": 1.0}, version=2
    ),
    "one-vs-rest": model(
        X | {"coefficient": [1.0, 2.0]}, version=2, classes=["a", "b"], intercept=[0.0, 0.5], normalise="one-vs-rest"
    ),
    "has the column of another feature": model(X, X | {"name": "again"}, version=2),
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_scikit_learn_cannot_say_is_refused_by_name(message: str) -> None:
    with pytest.raises(ModelError, match=message):
        REFUSED[message].to_sklearn()
