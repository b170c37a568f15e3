"""Models from scikit-learn give the scores of the estimators."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, Normalizer, OneHotEncoder, StandardScaler
from sklearn.tree import DecisionTreeClassifier

from pipeline.conversion.sklearn import compare, from_sklearn
from pipeline.errors import BadCellsError, DataError, ModelError, UsageError
from pipeline.models import LogisticModel

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
    imported = (model.training or {})["imported"]
    assert (imported["from"], imported["rows"]) == ("scikit-learn", 200)
    assert imported["largest_difference"] <= 1e-14
    assert imported["tool"] == f"scikit-learn {sklearn.__version__}"
    assert from_sklearn(estimator, columns=NAMES).file == model.file.model_copy(update={"training": None})
    assert capsys.readouterr().out == ""


def piped(*steps: Any, last: Any = None) -> Any:
    data = matrix(missing=False)
    return make_pipeline(*steps, last or LogisticRegression()).fit(data[:, :3].astype(float), labels(data))


def three_classes() -> Any:
    data = matrix(missing=False)
    return LogisticRegression().fit(data[:, :2].astype(float), data[:, 4])


def dated() -> Any:
    days = np.array(["2013-01-01", "2013-01-02"], dtype="datetime64[D]").astype(object)
    data = matrix(missing=False)
    data[:, 0] = days[np.arange(ROWS) % 2]
    prepare = ColumnTransformer([("a", OneHotEncoder(), [0])])
    return make_pipeline(prepare, LogisticRegression()).fit(data, np.arange(ROWS) % 2)


def searched(**options: Any) -> Any:
    data = matrix(missing=False)
    pipe = make_pipeline(StandardScaler(), LogisticRegression())
    search = GridSearchCV(pipe, {"logisticregression__C": [0.1, 1.0]}, **options)
    return search.fit(data[:, :3].astype(float), labels(data))


def misnamed() -> Any:
    second = ColumnTransformer([("a", StandardScaler(), [0])])
    estimator = Pipeline([("first", ColumnTransformer([("b", "passthrough", [0, 1])])), ("second", second)])
    estimator.steps.append(("fit", LogisticRegression()))
    data = matrix(missing=False)
    estimator.fit(data, labels(data))
    second.transformers_ = [("a", StandardScaler(), ["b__delay"])]
    return estimator


def encoded_twice() -> Any:
    pandas = pytest.importorskip("pandas")
    data = pandas.DataFrame(matrix(missing=False), columns=NAMES)
    first = make_column_transformer((OneHotEncoder(sparse_output=False), ["carrier"])).set_output(transform="pandas")
    second = make_column_transformer((OneHotEncoder(), ["onehotencoder__carrier_AA"]))
    return make_pipeline(first, second, LogisticRegression()).fit(data, labels(data.to_numpy()))


UNSUPPORTED: dict[str, Callable[[], Any]] = {
    "not fitted": LogisticRegression,
    "the estimator is a object, which cannot be converted": object,
    r'steps\[0\] "decisiontreeclassifier" is a DecisionTreeClassifier': lambda: piped(last=DecisionTreeClassifier()),
    r'steps\[0\] "normalizer" \(Normalizer\) is not supported': lambda: piped(Normalizer()),
    "imputes -1, not missing values": lambda: piped(SimpleImputer(missing_values=-1)),
    'column "delay" has .* as a category, a date': dated,
    r"GridSearchCV\) has no best_estimator_": lambda: GridSearchCV(LogisticRegression(), {"C": [1.0]}),
    r"GridSearchCV\) has no best_estimator_.*\n.*leave refit": lambda: searched(refit=False),
    r'steps\[1\] "second" \(ColumnTransformer\) chooses columns for "a" that it does not get': misnamed,
}

CONVERTED: dict[str, Callable[[], Any]] = {
    "three classes": three_classes,
    "a range": lambda: piped(MinMaxScaler()),
    "two scalers": lambda: piped(StandardScaler(), StandardScaler()),
    "an indicator": lambda: piped(SimpleImputer(add_indicator=True)),
    "two imputers": lambda: piped(SimpleImputer(), SimpleImputer()),
    "a column twice": lambda: fitted(("a", StandardScaler(), [0]), ("b", "passthrough", [0])),
    "weights": lambda: fitted(("a", StandardScaler(), [0]), transformer_weights={"a": 2.0}),
    "infrequent categories": lambda: fitted(("a", OneHotEncoder(max_categories=2), [3])),
    "an encoded column encoded": encoded_twice,
    "categories twice": lambda: fitted(("a", OneHotEncoder(), [4]), ("b", OneHotEncoder(), [4])),
}


@pytest.mark.parametrize("name", CONVERTED)
def test_what_a_model_file_of_version_2_can_state_converts(name: str) -> None:
    estimator = CONVERTED[name]()
    data: Any = matrix(missing=False)[:, : estimator.n_features_in_]
    names = NAMES[: estimator.n_features_in_]
    columns = None if hasattr(estimator, "feature_names_in_") else names
    if columns is None:
        data = pytest.importorskip("pandas").DataFrame(data, columns=names)
    model = from_sklearn(estimator, columns=columns)
    assert compare(model, estimator, data, columns=names).relative <= 1e-14


@pytest.mark.parametrize("message", UNSUPPORTED)
def test_what_a_model_file_cannot_state_is_named(message: str) -> None:
    estimator = UNSUPPORTED[message]()
    columns = None if hasattr(estimator, "feature_names_in_") else NAMES[: getattr(estimator, "n_features_in_", 3)]
    with pytest.raises(ModelError, match=message):
        from_sklearn(estimator, columns=columns)


def test_names_must_be_known_and_agree() -> None:
    data = matrix(missing=False)[:, :2].astype(float)
    estimator = LogisticRegression().fit(data, labels(matrix(missing=False)))
    with pytest.raises(ModelError, match="fitted without column names\ngive columns="):
        from_sklearn(estimator)
    with pytest.raises(ModelError, match="the estimator takes 2 columns, but columns has names for 1"):
        from_sklearn(estimator, columns=["a"])
    with pytest.raises(ModelError, match='two input columns are named "a"'):
        from_sklearn(estimator, columns=["a", "a"])


def test_a_threshold_for_several_classes_and_a_path_as_rows_are_refused_in_words() -> None:
    data = matrix(missing=False)[:, :2].astype(float)
    three = LogisticRegression().fit(data, np.arange(len(data)) % 3)
    with pytest.raises(UsageError, match="threshold is for two classes; the estimator has 3\nleave it out"):
        from_sklearn(three, columns=["a", "b"], threshold=0.5)
    with pytest.raises(UsageError, match="check takes rows, not the path of a file\nread the file first"):
        from_sklearn(three, columns=["a", "b"], check="rows.csv")


@pytest.mark.parametrize("step", ["passthrough", None])
def test_a_pipeline_may_begin_with_a_step_that_is_no_estimator(step: Any) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(matrix(missing=False), columns=NAMES)[NAMES[:3]].astype(float)
    target = labels(matrix(missing=False))
    for steps in ([("first", step)], [("first", step), ("scale", StandardScaler())]):
        estimator = Pipeline([*steps, ("fit", LogisticRegression())]).fit(frame, target)
        assert compare(from_sklearn(estimator), estimator, frame).relative <= 1e-14


@pytest.mark.parametrize("search", [GridSearchCV, RandomizedSearchCV])
def test_searches_use_their_best_estimator(search: Any) -> None:
    data = matrix(missing=False)
    numbers = data[:, :3].astype(float)
    options = {"n_iter": 2, "random_state": 0} if search is RandomizedSearchCV else {}
    whole = search(
        make_pipeline(StandardScaler(), LogisticRegression()), {"logisticregression__C": [0.1, 1]}, **options
    )
    last = make_pipeline(StandardScaler(), search(LogisticRegression(), {"C": [0.1, 1.0]}, **options))
    for estimator in (whole, last):
        estimator.fit(numbers, labels(data))
        model = from_sklearn(estimator, columns=NAMES[:3])
        assert compare(model, estimator, numbers, columns=NAMES[:3]).relative <= 1e-14


def test_a_sparse_matrix_of_coefficients_converts() -> None:
    estimator = fitted(("encode", OneHotEncoder(), [3, 4]), ("scale", StandardScaler(), [1]))
    dense = from_sklearn(estimator, columns=NAMES)
    estimator.steps[-1][1].sparsify()
    assert from_sklearn(estimator, columns=NAMES) == dense


@pytest.mark.parametrize("named", [True, False])
def test_a_column_transformer_behind_another_converts(named: bool) -> None:
    pandas = pytest.importorskip("pandas")
    data = matrix(missing=False)
    first: Any = make_column_transformer((SimpleImputer(strategy="median"), ["distance"]), remainder="passthrough")
    numbers, texts = (
        (["simpleimputer__distance", "remainder__delay"], ["remainder__carrier"]) if named else ([0, 1], [3])
    )
    second = make_column_transformer((StandardScaler(), numbers), (OneHotEncoder(), texts))
    if named:
        first = first.set_output(transform="pandas")
    frame = pandas.DataFrame(data, columns=NAMES).astype({"distance": float, "delay": float})
    estimator = make_pipeline(first, second, LogisticRegression()).fit(frame, labels(data))
    model = from_sklearn(estimator)
    assert {feature.column for feature in model.features} == {"distance", "delay", "carrier"}
    assert compare(model, estimator, frame).relative <= 1e-14


def test_a_frame_whose_columns_are_numbers_takes_the_names_given(capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(matrix(missing=False)[:, :3].astype(float))
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame, labels(matrix(missing=False)))
    model = from_sklearn(estimator, columns=["a", "b", "c"], check=frame)
    assert [feature.column for feature in model.features] == ["a", "b", "c"]
    assert "200 rows scored both ways: largest difference " in capsys.readouterr().out
    assert compare(model, estimator, frame, columns=["a", "b", "c"]).relative <= 1e-14


CATEGORIES: dict[str, tuple[list[Any], str, list[str]]] = {
    "booleans": ([True, False], "boolean", ["false", "true"]),
    "booleans among objects": ([True, None, False], "boolean", ["false", "true", "(missing)"]),
    "integers": ([3, -1], "integer", ["-1", "3"]),
    "integers among objects": ([3, None, -1], "integer", ["-1", "3", "(missing)"]),
    "floats": ([1.0, 2.0, np.nan], "number", ["1.0", "2.0", "(missing)"]),
    "small floats": ([1e-7, 0.5], "number", ["1e-07", "0.5"]),
    "text": (["1", "2"], "text", ["1", "2"]),
    "text that is like a boolean": (["true", "false"], "text", ["false", "true"]),
}


@pytest.mark.parametrize("name", CATEGORIES)
def test_from_sklearn_always_writes_levels_from_the_type_of_the_categories(name: str) -> None:
    values, type_, levels = CATEGORIES[name]
    is_object = name.endswith("objects") or type_ == "text"
    column = np.array(values * 40, dtype=object if is_object else None).reshape(-1, 1)
    y = np.arange(len(column)) % 3 == 0
    estimator = make_pipeline(OneHotEncoder(), LogisticRegression()).fit(column, y)
    (feature,) = from_sklearn(estimator, columns=["c"]).features
    assert (feature.levels, list(feature.coefficients)) == (type_, levels)  # type: ignore[attr-defined]
    assert compare(from_sklearn(estimator, columns=["c"]), estimator, column, columns=["c"]).absolute <= 1e-14


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_an_encoder_of_floats_behind_an_imputer_converts(strategy: str, dtype: Any) -> None:
    column = np.array([0.1, 2.0, np.nan, 2.0, 0.0] * 40, dtype=dtype).reshape(-1, 1)
    impute = SimpleImputer(strategy=strategy, fill_value=0 if strategy == "constant" else None)
    estimator = make_pipeline(impute, OneHotEncoder(), LogisticRegression()).fit(column, np.arange(200) % 3 == 0)
    model = from_sklearn(estimator, columns=["c"])
    (feature,) = model.features
    filled = "0.0" if strategy == "constant" else "2.0"
    assert feature.missing.level == filled  # type: ignore[attr-defined]
    assert list(feature.coefficients) == ["0.0", "0.1", "2.0"]  # type: ignore[attr-defined]
    assert compare(model, estimator, column, columns=["c"]).absolute <= 1e-14


def test_a_numeric_feature_is_boolean_if_the_rows_to_check_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    pandas = pytest.importorskip("pandas")
    data = matrix(missing=False)
    frame = pandas.DataFrame({"flag": data[:, 5] == "y", "hour": data[:, 2].astype(int), "x": data[:, 0] > 0})
    scaled = make_column_transformer((StandardScaler(), ["x"]), remainder="passthrough")
    estimator = make_pipeline(scaled, LogisticRegression()).fit(frame, labels(data))
    model = from_sklearn(estimator, check=frame)
    assert [feature.boolean for feature in model.features] == [True, False, True]  # type: ignore[attr-defined]
    assert not any(feature.boolean for feature in from_sklearn(estimator).features)  # type: ignore[attr-defined]
    assert "largest difference" in capsys.readouterr().out


def test_what_the_estimator_refuses_is_told_before_anything_is_compared() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": np.arange(20.0)})
    estimator = LogisticRegression().fit(frame, np.arange(20) % 2)
    with pytest.raises(DataError, match="scikit-learn refuses the rows"):
        from_sklearn(estimator, check=pandas.DataFrame({"y": [1.0]}))
