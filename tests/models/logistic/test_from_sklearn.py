"""Models from scikit-learn give the scores of the estimators."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from pipeline.errors import BadCellsError, DataError, ModelError
from pipeline.models import LogisticModel
from pipeline.models.logistic.from_sklearn import compare, from_sklearn

pytestmark = pytest.mark.filterwarnings("ignore:lbfgs failed to converge")

ROWS = 200
NAMES = ["delay", "distance", "hour", "carrier", "origin", "flag"]


def matrix(*, missing: bool, seed: int = 5) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    data = np.empty((ROWS, 6), dtype=object)
    data[:, 0] = rng.normal(0.3, 1, ROWS)
    data[:, 1] = rng.uniform(0.08, 5, ROWS)
    data[:, 2] = rng.integers(5, 24, ROWS)
    data[:, 3] = rng.choice(["AA", "UA", "B6", "9E"], ROWS)
    data[:, 4] = rng.choice(["JFK", "LGA", "EWR"], ROWS)
    data[:, 5] = rng.choice(["n", "y"], ROWS)
    if missing:
        data[rng.random(ROWS) < 0.1, 0] = np.nan
        data[rng.random(ROWS) < 0.1, 3] = np.nan
    return data


def labels(data: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    noise = np.random.default_rng(1).normal(size=len(data))
    return (np.nan_to_num(data[:, 0].astype(float)) + (data[:, 4] == "EWR") + noise > 0.5).astype(int)


def fitted(*transformers: Any, missing: bool = False, **options: Any) -> Pipeline:
    data = matrix(missing=missing)
    prepare = ColumnTransformer(list(transformers), **options)
    return Pipeline([("prepare", prepare), ("fit", LogisticRegression())]).fit(data, labels(data))


def check_equal(estimator: Any, data: np.ndarray[Any, Any]) -> LogisticModel:
    model = from_sklearn(estimator, columns=NAMES)
    found = compare(model, estimator, data, columns=NAMES)
    assert found.rows == len(data)
    assert found.relative <= 1e-14
    return model


ENCODERS = [
    {"handle_unknown": unknown, "drop": drop}
    for unknown, drop in itertools.product(["ignore", "infrequent_if_exist"], [None, "first", "if_binary"])
]


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("options", ENCODERS, ids=str)
@pytest.mark.parametrize("fill", [None, "most_frequent", "constant"])
def test_encoders_with_missing_and_unseen_levels(options: dict[str, Any], fill: str | None) -> None:
    encode: Any = OneHotEncoder(**options)
    if fill is not None:
        encode = make_pipeline(SimpleImputer(strategy=fill, fill_value="none"), encode)
    estimator = fitted(("encode", encode, [3, 4, 5]), ("scale", StandardScaler(), [1]), missing=True)
    data = matrix(missing=True, seed=8)
    data[:20, 4] = "SFO"
    check_equal(estimator, data)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize(
    "scale", [StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False), None]
)
def test_imputers_and_scalers(strategy: str, scale: Any) -> None:
    impute = SimpleImputer(strategy=strategy, fill_value=-7.5 if strategy == "constant" else None)
    estimator = fitted(("numbers", make_pipeline(impute, scale or "passthrough"), [0, 1]), missing=True)
    model = check_equal(estimator, matrix(missing=True, seed=8))
    assert [feature.column for feature in model.features] == ["delay", "distance"]
    assert model.features[0].missing != "error"


def test_what_the_estimator_refuses_is_an_error_of_the_model() -> None:
    data = matrix(missing=False)
    estimator = fitted(("encode", OneHotEncoder(), [4]), ("numbers", "passthrough", [0, 2]))
    model = check_equal(estimator, data)
    for column, value, message in (
        (0, np.nan, "column delay: null is missing"),
        (4, "SFO", "column origin: SFO is not a"),
    ):
        broken = data.copy()
        broken[7, column] = value
        with pytest.raises(DataError, match="scikit-learn refuses the rows"):
            compare(model, estimator, broken, columns=NAMES)
        with pytest.raises(BadCellsError, match=f"row 7, {message}"):
            model.probability({name: broken[:, position] for position, name in enumerate(NAMES)})


def test_features_keep_the_order_of_the_input_so_that_arrays_fit_both() -> None:
    data = matrix(missing=False)[:, :3].astype(float)
    estimator = make_pipeline(
        make_column_transformer((StandardScaler(), [2]), ("passthrough", [1]), (SimpleImputer(), [0])),
        LogisticRegression(),
    ).fit(data, labels(matrix(missing=False)))
    model = from_sklearn(estimator, columns=["a", "b", "c"])
    assert [feature.column for feature in model.features] == ["a", "b", "c"]
    assert np.allclose(model.predict_proba(data), estimator.predict_proba(data), rtol=1e-13, atol=0)
    assert (model.predict(data) == estimator.predict(data)).all()


@pytest.mark.parametrize("columns", [slice(0, 2), [True, True, False, False, False, False], np.array([0, 1]), [-6, -5]])
def test_columns_may_be_chosen_in_any_way(columns: Any) -> None:
    estimator = fitted(("numbers", StandardScaler(), columns))
    assert [feature.column for feature in check_equal(estimator, matrix(missing=False)).features] == NAMES[:2]


def test_a_scaler_alone_and_a_regression_alone() -> None:
    data = matrix(missing=False)[:, :3].astype(float)
    y = labels(matrix(missing=False))
    for estimator in (
        make_pipeline(StandardScaler(), LogisticRegression()),
        LogisticRegression(fit_intercept=False),
    ):
        estimator.fit(data, y)
        model = from_sklearn(estimator, columns=["a", "b", "c"])
        assert compare(model, estimator, data).relative <= 1e-14


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ([0, 1], (0, 1)),
        ([False, True], (False, True)),
        (["late", "on time"], ("late", "on time")),
        ([-1.0, 2.0], (-1.0, 2.0)),
    ],
)
def test_the_target_has_the_classes_of_the_estimator(classes: list[Any], expected: tuple[Any, Any]) -> None:
    data = matrix(missing=False)[:, :1].astype(float)
    y = np.array(classes)[labels(matrix(missing=False))]
    model = from_sklearn(LogisticRegression().fit(data, y), columns=["delay"], target="outcome", threshold=0.5)
    assert model.target is not None
    assert (model.target.column, model.target.negative, model.target.positive) == ("outcome", *expected)
    assert type(model.target.positive) is type(expected[1])
    assert model.output.threshold == 0.5
    assert (model.predict(data) == LogisticRegression().fit(data, y).predict(data)).all()


def test_frames_are_scored_both_ways_and_the_difference_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    import polars

    data = matrix(missing=False)
    columns = {name: data[:, position].tolist() for position, name in enumerate(NAMES)}
    frame = polars.DataFrame(columns)
    prepare = make_column_transformer(
        (StandardScaler(), ["distance", "delay"]), (OneHotEncoder(), ["carrier", "flag"]), ("passthrough", ["hour"])
    )
    estimator = make_pipeline(prepare, LogisticRegression()).fit(frame, labels(data))
    model = from_sklearn(estimator, check=frame)
    assert capsys.readouterr().out.startswith("200 rows scored both ways: largest difference ")
    assert [feature.column for feature in model.features] == ["delay", "distance", "hour", "carrier", "flag"]
    assert from_sklearn(estimator, columns=NAMES) == model
    assert capsys.readouterr().out == ""


def piped(*steps: Any, last: Any = None) -> Any:
    data = matrix(missing=False)
    return make_pipeline(*steps, last or LogisticRegression()).fit(data[:, :3].astype(float), labels(data))


def three_classes() -> Any:
    data = matrix(missing=False)
    return LogisticRegression().fit(data[:, :2].astype(float), data[:, 4])


UNSUPPORTED: dict[str, Callable[[], Any]] = {
    "not fitted": LogisticRegression,
    "3 classes": three_classes,
    "the estimator is a object, not a LogisticRegression": object,
    r'step "decisiontreeclassifier" is a DecisionTreeClassifier': lambda: piped(last=DecisionTreeClassifier()),
    r'step "minmaxscaler" \(MinMaxScaler\) is not supported': lambda: piped(MinMaxScaler()),
    r'step "standardscaler-2" \(StandardScaler\) comes after': lambda: piped(StandardScaler(), StandardScaler()),
    "add_indicator": lambda: piped(SimpleImputer(add_indicator=True)),
    "imputes -1, not missing values": lambda: piped(SimpleImputer(missing_values=-1)),
    "a second time": lambda: piped(SimpleImputer(), SimpleImputer()),
    'column "delay" is used twice': lambda: fitted(("a", StandardScaler(), [0]), ("b", "passthrough", [0])),
    "transformer_weights": lambda: fitted(("a", StandardScaler(), [0]), transformer_weights={"a": 2.0}),
    "groups infrequent categories": lambda: fitted(("a", OneHotEncoder(max_categories=2), [3])),
    'column "delay" has .* as a category, a float': lambda: fitted(("a", OneHotEncoder(), [0])),
    'column "origin" is used twice': lambda: fitted(("a", OneHotEncoder(), [4]), ("b", OneHotEncoder(), [4])),
}


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_a_model_file_cannot_state_is_named(message: str) -> None:
    estimator = UNSUPPORTED[message]()
    with pytest.raises(ModelError, match=message):
        from_sklearn(estimator, columns=NAMES[: getattr(estimator, "n_features_in_", 3)])


def test_names_must_be_known_and_agree() -> None:
    data = matrix(missing=False)[:, :2].astype(float)
    estimator = LogisticRegression().fit(data, labels(matrix(missing=False)))
    with pytest.raises(ModelError, match="fitted without column names\ngive columns="):
        from_sklearn(estimator)
    with pytest.raises(ModelError, match="columns has 1 names, but the estimator takes 2"):
        from_sklearn(estimator, columns=["a"])
    with pytest.raises(ModelError, match='"a" is already the column of features'):
        from_sklearn(estimator, columns=["a", "a"])
