"""Points are those of optbinning, whole where they are rounded, and add up to the points of a row."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.errors import ModelError
from pipeline.models import LogisticModel, ScoreBlock, scorecard_model

HERE = Path(__file__).resolve().parent
STORED: dict[str, Any] = json.loads((HERE / "optbinning.json").read_text())
X = {"kind": "numeric", "column": "x", "coefficient": 0.5, "center": 2.0, "scale": 4.0}
C = {"kind": "categorical", "column": "c", "coefficients": {"a": 0.3, "b": -0.7}}
SCALE = {"pdo": 20.0, "base_points": 600.0, "base_odds": 50.0}


def document(*features: Any, **output: Any) -> dict[str, Any]:
    head = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": -0.4}
    return head | {"features": list(features), "output": output}


def model(*features: Any, **output: Any) -> LogisticModel:
    return LogisticModel.from_json(json.dumps(document(*features, **output)))


def of_optbinning(card: dict[str, Any], **points: Any) -> LogisticModel:
    scale = card["scale"]
    stated = {"pdo": scale["pdo"], "base_points": scale["scorecard_points"], "base_odds": scale["odds"]} | points
    return LogisticModel.from_json(
        json.dumps(document(*card["features"], points=stated) | {"intercept": card["intercept"]})
    )


@pytest.mark.parametrize("name", STORED)
def test_points_and_probabilities_of_rows_are_those_of_optbinning(name: str) -> None:
    card = STORED[name]
    ours = of_optbinning(card)
    np.testing.assert_allclose(ours.points(card["rows"]), card["points"], rtol=1e-12)
    np.testing.assert_allclose(ours.probability(card["rows"]), card["probability"], rtol=1e-12)
    np.testing.assert_allclose(ours.points_by_feature(card["rows"]).sum(axis=1), card["points"], rtol=1e-12)


@pytest.mark.parametrize("name", STORED)
def test_the_scorecard_has_the_points_of_optbinning(name: str) -> None:
    card = STORED[name]
    ours = {(each.feature, each.attribute): each.points for each in scorecard_model(of_optbinning(card)).attributes}
    found = {feature: [] for feature in card["rows"]}
    for (feature, attribute), own in ours.items():
        if own is not None and not attribute.startswith("unseen"):
            found[feature].append(own)
    for feature, points in found.items():
        theirs = [row[-1] for row in card["table"] if row[0] == feature]
        # Optbinning has a row for special codes, of which there are none, and for missing ones of every feature.
        stated = theirs[:-2] + (theirs[-1:] if feature != "state" else [])
        if feature == "state":
            points.sort()
            stated = sorted(stated)
        np.testing.assert_allclose(points, stated, rtol=1e-12)


@pytest.mark.campaign
def test_optbinning_still_says_what_is_stored(tmp_path: Path) -> None:
    # Found but not imported: it leaves threads behind.
    if find_spec("optbinning") is None:
        pytest.skip("optbinning is not installed, whose points are compared")
    script = tmp_path / "optbinning_points.py"
    script.write_text((HERE / "optbinning_points.py").read_text())
    subprocess.run([sys.executable, str(script)], check=True)
    again = json.loads((tmp_path / "optbinning.json").read_text())
    for name, card in STORED.items():
        np.testing.assert_allclose(again[name]["points"], card["points"], rtol=1e-6)
        np.testing.assert_allclose(of_optbinning(again[name]).points(again[name]["rows"]), again[name]["points"])


ROWS = {"x": [1.0, -7.5, np.nan, np.inf, 1e300], "c": ["a", "b", "a", "b", None]}


@pytest.mark.parametrize("higher", ["negative", "positive"])
def test_points_double_the_odds_of_the_class_that_they_grow_with(higher: str) -> None:
    ours = model(X, C, points=SCALE | {"higher": higher})
    raw = ours.raw_prediction(ROWS)
    log_odds = raw if higher == "positive" else -raw
    expected = 600 + 20 / np.log(2) * (log_odds - np.log(50))
    np.testing.assert_allclose(ours.points(ROWS), expected, rtol=1e-14)


def test_rounded_points_are_integers_and_null_where_they_are_not_finite() -> None:
    for rounding in ("points", "features"):
        ours = model(X, C, points=SCALE | {"rounding": rounding})
        block = ScoreBlock.of(ours.file)
        (field,) = [each for each in block.fields() if each.name == "points"]
        assert (field.type, field.nullable) == (pa.int64(), True)
        columns = [pa.array([1.0, None, np.inf, 1e300]), pa.array(["a", "b", "b", "a"])]
        found = block.block(columns).arrays[1].to_pylist()
        plain = ScoreBlock.of(model(X, C, points=SCALE).file).block(columns).arrays[1].to_pylist()
        assert found[1:] == [None, None, None]
        assert abs(found[0] - plain[0]) <= (0.5 if rounding == "points" else 1)


def test_points_of_features_rounded_one_by_one_add_up_to_the_points_of_the_row() -> None:
    offset = {"offset": {"column": "o"}}
    head = document(X, C, points=SCALE | {"rounding": "features"}) | offset
    ours = LogisticModel.from_json(json.dumps(head))
    random = np.random.default_rng(0)
    rows = {"o": random.standard_normal(500), "x": random.normal(0, 9, 500), "c": random.choice(["a", "b"], 500)}
    parts = ours.points_by_feature(rows)
    assert parts.shape == (500, 3)
    assert (parts == np.rint(parts)).all()
    np.testing.assert_array_equal(ours.points(rows), parts.sum(axis=1))
    unrounded = LogisticModel.from_json(json.dumps(document(X, C, points=SCALE) | offset)).points_by_feature(rows)
    np.testing.assert_array_equal(parts, np.rint(unrounded))


def test_whole_points_are_never_null_where_no_row_can_be_without_them() -> None:
    sure = C | {"missing": {"level": "a"}, "unseen": "zero"}
    for coefficient, nullable in ((0.3, False), (1e300, True)):
        feature = sure | {"coefficients": {"a": coefficient, "b": 0.5}}
        ours = model(feature, points=SCALE | {"rounding": "points"})
        (field,) = [each for each in ScoreBlock.of(ours.file).fields() if each.name == "points"]
        assert field.nullable is nullable


def test_a_scorecard_has_the_points_that_rows_get() -> None:
    features = [
        X | {"missing": {"impute": 3.0}},
        C | {"missing": {"level": "b"}, "unseen": "zero"},
        {"kind": "indicator", "column": "x", "coefficient": 0.9},
        {"kind": "numeric", "column": "f", "coefficient": 0.2, "boolean": True, "missing": "error"},
        {"kind": "transformed", "column": "y", "transform": "log1p", "coefficient": 0.4},
        {
            "kind": "product",
            "name": "p",
            "terms": [{"column": "x", "missing": {"impute": 0}}, {"column": "y"}],
            "coefficient": 0.1,
        },
    ]
    ours = model(*features, points=SCALE)
    card = {(each.feature, each.attribute): each.points for each in scorecard_model(ours).attributes}
    rows = {"x": [2.0, None], "c": ["zz", None], "f": [True, False], "y": [0.0, np.expm1(1.0)]}
    parts = dict(zip(ours.contribution_names, ours.points_by_feature(rows).T, strict=True))
    close = pytest.approx
    assert parts["x"][0] == close(card["x", "x is 0"] + 2 * card["x", "each 1 more of x"])
    assert parts["x"][1] == close(card["x", "missing: as 3"])
    assert parts["c"].tolist() == [close(card["c", "unseen"]), close(card["c", 'missing: as "b"'])]
    assert card["c", 'missing: as "b"'] == card["c", "b"]
    assert parts["missing_x"].tolist() == [close(card["missing_x", a]) for a in ("not missing", "missing")]
    assert parts["f"].tolist() == [close(card["f", a]) for a in ("true", "false")]
    assert parts["y"][1] == close(card["y", "log1p of y is 0"] + card["y", "each 1 more of log1p of y"])
    assert parts["p"][0] == close(card["p", "the product is 0"])
    assert parts["p"][0] + card["p", "each 1 more of the product"] == close(
        ours.points_by_feature({"x": [1.0], "c": ["a"], "f": [True], "y": [1.0]})[0][-1]
    )
    assert card["f", "missing: error"] is None


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"classes": ["a", "b"], "intercept": [0, 1], "features": [X | {"coefficient": [1, 2]}]}, "has 2 classes"),
        ({"link": "probit"}, 'has the link "probit"'),
    ],
)
def test_a_model_that_cannot_have_points_is_not_told_to_add_them(changed: dict[str, Any], expected: str) -> None:
    with pytest.raises(ModelError, match=expected) as caught:
        scorecard_model(LogisticModel.from_json(json.dumps(document(X) | changed)))
    assert "output.points" not in f"{caught.value}{caught.value.remedy}"


def test_a_model_without_a_scale_says_which_lines_to_add() -> None:
    with pytest.raises(ModelError, match=r"model has no output.points") as caught:
        scorecard_model(model(X))
    assert caught.value.exit_code == 65
    stated = caught.value.remedy.partition('"points": ')[2].partition(" (")[0]
    assert scorecard_model(model(X, points=json.loads(stated))).attributes
