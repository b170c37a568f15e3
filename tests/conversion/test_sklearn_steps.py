"""Steps of scikit-learn in any order: bit for bit where that is promised, else converted or refused."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.feature_selection import SelectKBest, VarianceThreshold
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, RidgeClassifier, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
    TargetEncoder,
)

import pipeline
from pipeline.conversion.sklearn import from_sklearn
from pipeline.errors import ModelError
from tests.conversion.scored import by_model, by_scikit_learn, difference
from tests.conversion.sklearn_cases import has

LABELS = np.arange(300) % 3 == 0


def numbers(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"a": rng.normal(50, 4, 300), "b": rng.exponential(1, 300), "c": rng.integers(0, 9, 300) * 1.0})


def test_center_scale_and_coefficient_of_a_plain_pipeline_are_bit_for_bit_those_of_scikit_learn() -> None:
    rows = numbers()
    rows.loc[::7, "b"] = np.nan
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    estimator = make_pipeline(
        make_column_transformer((filled, ["b"]), (StandardScaler(), ["a"]), remainder="passthrough"),
        LogisticRegression(),
    ).fit(rows, LABELS)
    (_, inner, _), (_, scaler, _), _ = estimator[0].transformers_
    b, a, c = estimator[1].coef_[0].tolist()
    model = from_sklearn(estimator)
    assert model.file.version == 1
    assert model.intercept == estimator[1].intercept_[0]
    assert [feature.model_dump(exclude_defaults=True) for feature in model.features] == [
        {"column": "a", "kind": "numeric", "coefficient": a, "center": scaler.mean_[0], "scale": scaler.scale_[0]}
        | {"missing": "error"},
        {"column": "b", "kind": "numeric", "coefficient": b, "center": inner[1].mean_[0], "scale": inner[1].scale_[0]}
        | {"missing": {"impute": inner[0].statistics_[0]}},
        {"column": "c", "kind": "numeric", "coefficient": c, "missing": "error"},
    ]


BINNED = {
    "a scaler": (StandardScaler(),),
    "several scalers": (RobustScaler(), MinMaxScaler((-3, 7)), StandardScaler(), MaxAbsScaler()),
    "a clipped range": (MinMaxScaler((0.2, 0.9), clip=True), StandardScaler()),
    "a logarithm": (FunctionTransformer(np.log1p), StandardScaler()),
    "a root": (FunctionTransformer(np.sqrt), MinMaxScaler()),
}


@pytest.mark.parametrize("dtype", [None, np.float32])
@pytest.mark.parametrize("name", BINNED)
def test_every_edge_is_the_least_float_that_scikit_learn_puts_into_the_upper_bin(name: str, dtype: Any) -> None:
    rows = numbers()[["a", "b"]]
    bins = KBinsDiscretizer(8, encode="ordinal", dtype=dtype, subsample=None, **quantiles())
    steps = make_pipeline(*BINNED[name], bins)
    estimator = Pipeline([("bins", steps), ("fit", LogisticRegression())]).fit(rows, LABELS)
    checked = 0
    for feature in from_sklearn(estimator).features:
        if feature.kind != "binned":
            continue
        position = ["a", "b"].index(feature.column)  # type: ignore[attr-defined]
        edges = np.array(feature.edges)  # type: ignore[attr-defined]
        around = np.concatenate([np.nextafter(edges, -np.inf), edges])
        found = np.full((len(around), 2), rows.median())
        found[:, position] = around
        codes = steps.transform(pd.DataFrame(found, columns=["a", "b"]))[:, position]
        assert (codes[len(edges) :] > codes[: len(edges)]).all()
        checked += len(edges)
    assert checked >= 8


def quantiles() -> dict[str, Any]:
    return {"quantile_method": "averaged_inverted_cdf"} if has(KBinsDiscretizer, "quantile_method") else {}


class Doubled(TransformerMixin, BaseEstimator):
    def fit(self, rows: Any, y: Any = None) -> Doubled:
        self.n_features_in_ = rows.shape[1]
        return self

    def transform(self, rows: Any) -> Any:
        return np.asarray(rows) * 2


def test_a_step_that_cannot_be_folded_is_named_with_its_place() -> None:
    inner = Pipeline([("fill", SimpleImputer()), ("scale", Normalizer())])
    prepare = ColumnTransformer([("num", inner, ["a", "b"])], remainder="passthrough")
    estimator = Pipeline([("first", FunctionTransformer()), ("prep", prepare), ("fit", LogisticRegression())])
    with pytest.raises(ModelError) as caught:
        from_sklearn(estimator.fit(numbers(), LABELS))
    assert caught.value.message.startswith('steps[1] "prep" > transformer "num" > step "scale" (Normalizer) is not')
    assert "logitstream guide models" in caught.value.remedy
    union = FeatureUnion([("one", StandardScaler()), ("two", Doubled())])
    with pytest.raises(ModelError, match=r'steps\[0\] "featureunion" > transformer "two" \(Doubled\) is not supported'):
        from_sklearn(make_pipeline(union, LogisticRegression()).fit(numbers(), LABELS))


def several_labels() -> Any:
    labels = np.column_stack([LABELS, ~LABELS, np.arange(300) % 2 == 0]).astype(int)
    return OneVsRestClassifier(SGDClassifier(loss="log_loss", max_iter=5, tol=None)).fit(numbers(), labels)


def calibrated_twice() -> Any:
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    inner = CalibratedClassifierCV(scaled, ensemble=False, cv=2)
    return CalibratedClassifierCV(inner, ensemble=False, cv=2).fit(numbers(), LABELS)


def tampered(**attributes: Any) -> Any:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(numbers(), LABELS)
    for name, value in attributes.items():
        step = estimator[0] if name.endswith("0") else estimator[1]
        setattr(step, name.removesuffix("0").removesuffix("1"), value)
    return estimator


def several_labels_of_ridge(labels: int) -> Any:
    return RidgeClassifier().fit(numbers(), np.column_stack([LABELS, ~LABELS, LABELS])[:, :labels].astype(int))


def thresholded(**options: Any) -> Any:
    scaled = make_pipeline(StandardScaler(), LogisticRegression())
    return FixedThresholdClassifier(scaled, **options).fit(numbers(), LABELS.astype(int))


def with_codes(first: Any, column: str) -> Any:
    """Return a Pipeline whose encoder was fitted on some of what it gets, and makes the rest missing."""
    codes = OrdinalEncoder(categories=[[0.0]], handle_unknown="use_encoded_value", unknown_value=np.nan)
    rows = numbers().assign(d=np.where(LABELS, "x", "y"))[[column]]
    first.fit(rows)
    codes.fit([[0.0]])
    last = LogisticRegression().fit(numbers()[["a"]].to_numpy(), LABELS)
    return Pipeline([("first", first), ("codes", codes), ("last", last)])


def polynomial(rows: int) -> Any:
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(20, rows)), columns=[f"c{i}" for i in range(rows)])
    return wide, make_pipeline(PolynomialFeatures(), SelectKBest(k=3), LogisticRegression())


REFUSED = {
    "predicts several labels at once": several_labels,
    "predicts several labels": lambda: several_labels_of_ridge(3),
    r"\(RidgeClassifier\) predicts several labels": lambda: several_labels_of_ridge(2),
    "has 2 rows of coefficients instead of 1": lambda: tampered(coef_1=np.ones((2, 3))),
    "decides at the raw prediction 30.0": lambda: thresholded(threshold=30.0, response_method="decision_function"),
    "has the threshold 0.0, which every": lambda: thresholded(threshold=0.0, pos_label=0),
    'the level "y" of column "d" becomes missing': lambda: with_codes(OrdinalEncoder(), "d"),
    r'steps\[1\] "codes" .* makes a number of column "a" missing': lambda: with_codes(Binarizer(threshold=50), "a"),
    "fills missing values behind a logarithm": lambda: make_pipeline(
        SimpleImputer(), FunctionTransformer(np.sqrt), SimpleImputer(), LogisticRegression()
    ).fit(numbers(), LABELS),
    "leave no column": lambda: make_pipeline(
        SimpleImputer(), MissingIndicator(features="all"), LogisticRegression()
    ).fit(numbers(), LABELS),
    "calibrates": calibrated_twice,
    r'steps\[0\] "standardscaler" \(StandardScaler\) has fitted attributes that do not fit': lambda: tampered(
        mean_0=[1.0]
    ),
    r"\(LogisticRegression\) has 2 coefficients for 3 columns": lambda: tampered(coef_1=np.ones((1, 2))),
    r"\(LogisticRegression\) has fitted attributes": lambda: tampered(coef_1=np.array([["x"]])),
    "has one class": lambda: tampered(classes_1=np.array([1])),
    "predicts several outputs": lambda: tampered(classes_1=np.ones((2, 2))),
    "the class datetime.date": lambda: tampered(classes_1=np.array([pd.Timestamp(0).date(), 1], dtype=object)),
    "takes 2 columns, but gets 3": lambda: tampered(n_features_in_1=3, n_features_in_0=2),
    "beyond float64": lambda: tampered(coef_1=np.full((1, 3), 1e308), scale_0=np.full(3, 1e-300)),
}


@pytest.mark.parametrize("message", REFUSED)
def test_estimators_that_do_not_fit_together_are_refused(message: str) -> None:
    with pytest.raises(ModelError, match=message):
        from_sklearn(REFUSED[message]())


def encoders() -> list[Any]:
    known: dict[str, Any] = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    return [
        OrdinalEncoder(encoded_missing_value=-2, **known),
        OrdinalEncoder(min_frequency=0.3, encoded_missing_value=-2, **known),
        OneHotEncoder(handle_unknown="ignore"),
        TargetEncoder(),
    ]


@pytest.mark.parametrize("lack", [None, np.nan])
@pytest.mark.parametrize("encoder", encoders(), ids=repr)
def test_none_is_a_category_in_an_array_of_objects_and_nan_is_missing(encoder: Any, lack: Any) -> None:
    rng = np.random.default_rng(2)
    rows = pd.DataFrame({"a": pd.Series(rng.choice(["x", "x", "y", "z", lack], 300), dtype=object)})
    estimator = make_pipeline(encoder, LogisticRegression()).fit(rows, LABELS)
    assert difference(from_sklearn(estimator), estimator, rows).share <= 1


@pytest.mark.parametrize(
    "step",
    [Binarizer(threshold=0.5), MinMaxScaler((1, 3), clip=True), FunctionTransformer(np.log1p)],
    ids=repr,
)
def test_boolean_columns_behind_bins_and_functions_are_read_as_booleans_from_a_csv_file(
    step: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pd.DataFrame({"f": np.arange(300) % 7 < 3, "a": numbers()["a"]})
    prepare = make_column_transformer((step, ["f"]), remainder="passthrough")
    estimator = make_pipeline(prepare, LogisticRegression()).fit(rows, LABELS)
    model = pipeline.from_sklearn(estimator, check=rows)
    assert model.features[0].model_dump()["levels"] == "boolean"
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("largest")[1] == second.split("largest")[1]
    assert float(first.split()[-3]) < 1e-6


def test_a_boolean_column_that_a_selector_drops_is_read_as_one_from_a_csv_file(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rows = pd.DataFrame({"f": np.arange(300) % 7 < 3, "a": numbers()["a"] + 9 * LABELS})
    estimator = make_pipeline(SelectKBest(k=1), LogisticRegression()).fit(rows, LABELS)
    pipeline.from_sklearn(estimator, check=rows)
    first, second = capsys.readouterr().out.splitlines()
    assert first.split("largest")[1] == second.split("largest")[1]


def test_an_imputer_behind_a_step_that_refuses_missing_values_does_nothing() -> None:
    steps = SimpleImputer(), FunctionTransformer(np.log1p), PCA(2), SimpleImputer()
    estimator = make_pipeline(*steps, LogisticRegression()).fit(numbers(), LABELS)
    assert difference(from_sklearn(estimator), estimator, numbers(5)).share <= 1


def test_products_of_very_many_columns_are_refused() -> None:
    rows, estimator = polynomial(250)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator.fit(rows, np.arange(20) % 2)
    with pytest.raises(ModelError, match="makes 31,626 products"):
        from_sklearn(estimator)


@pytest.mark.slow
def test_a_thousand_columns_of_pca_and_a_thousand_levels_convert() -> None:
    rng = np.random.default_rng(0)
    wide = pd.DataFrame(rng.normal(size=(120, 1000)), columns=[f"c{place}" for place in range(1000)])
    estimator = make_pipeline(StandardScaler(), PCA(20), LogisticRegression()).fit(wide, LABELS[:120])
    assert difference(from_sklearn(estimator), estimator, wide).share <= 1
    levels = pd.DataFrame({"c": [f"level {place}" for place in range(1000)]})
    encoder = make_pipeline(OneHotEncoder(), TruncatedSVD(2), LogisticRegression()).fit(levels, np.arange(1000) % 2)
    assert difference(from_sklearn(encoder), encoder, levels).share <= 1


def random_pipeline(rng: np.random.Generator) -> Any:
    """Return a Pipeline of steps in random order; it may not fit at all."""
    steps = [
        lambda: StandardScaler(with_mean=bool(rng.integers(2))),
        RobustScaler,
        lambda: MinMaxScaler(clip=bool(rng.integers(2))),
        MaxAbsScaler,
        lambda: SimpleImputer(
            strategy=str(rng.choice(["mean", "median", "most_frequent", "constant"])),
            add_indicator=bool(rng.integers(2)),
        ),
        lambda: MissingIndicator(features="all"),
        lambda: VarianceThreshold(0.01),
        lambda: SelectKBest(k=2),
        lambda: PCA(2, whiten=bool(rng.integers(2))),
        lambda: FunctionTransformer(rng.choice([np.log1p, np.sqrt, np.square])),
        lambda: KBinsDiscretizer(3, encode=str(rng.choice(["ordinal", "onehot-dense"])), subsample=None, **quantiles()),
        lambda: PolynomialFeatures(2, interaction_only=bool(rng.integers(2)), include_bias=bool(rng.integers(2))),
        lambda: OneHotEncoder(sparse_output=False, handle_unknown=str(rng.choice(["ignore", "infrequent_if_exist"]))),
        lambda: OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        lambda: TargetEncoder(random_state=0),
        lambda: Binarizer(threshold=0.3),
        lambda: FeatureUnion([("a", StandardScaler()), ("b", SimpleImputer())], transformer_weights={"b": 0.5}),
        lambda: "passthrough",
    ]
    chosen = [steps[place]() for place in rng.integers(0, len(steps), rng.integers(1, 5))]
    text = make_pipeline(steps[12](), *[steps[place]() for place in rng.integers(0, 4, rng.integers(0, 2))])
    prepare = make_column_transformer((make_pipeline(*chosen), ["a", "b", "c"]), (text, ["d"]))
    last = SGDClassifier(loss="log_loss", random_state=0) if rng.integers(2) else LogisticRegression(max_iter=200)
    return make_pipeline(prepare, last)


def converted(estimator: Any) -> Any:
    """Return the model of an estimator; ``None`` if it is refused with a place and a remedy."""
    try:
        return from_sklearn(estimator)
    except ModelError as error:
        said = error
    assert said.message.startswith("steps["), said.message
    assert said.remedy
    return None


def tried(seed: int) -> str:
    """Return what became of a random pipeline; its scores are compared if it converts."""
    rng = np.random.default_rng(seed)
    rows = numbers(seed)
    rows["d"] = rng.choice(["x", "y", "z"], 300).astype(object)
    rows.loc[rng.random(300) < 0.1, "a"] = np.nan
    rows.loc[rng.random(300) < 0.1, "d"] = None
    if rng.integers(2):
        rows = rows.round({"a": 0, "b": 0})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = random_pipeline(rng)
        try:
            estimator.fit(rows, LABELS)
        except (ValueError, TypeError):
            return "does not fit"
        model = converted(estimator)
        if model is None:
            return "refused"
        other = rows.iloc[:60].copy()
        other.loc[:10, "d"] = "never seen"
        other.loc[5:15, "b"] = np.nan
        ours, theirs = (
            by_model(model.file, "raw_prediction", other),
            by_scikit_learn(estimator.decision_function, other),
        )
        assert (np.isnan(ours) == np.isnan(theirs)).all(), seed
        assert difference(model, estimator, other).share <= 1, seed
    return "converted"


def test_random_pipelines_convert_or_are_refused_with_a_place() -> None:
    found = [tried(seed) for seed in range(14)]
    assert found.count("converted") >= 3
    assert found.count("refused") >= 1


@pytest.mark.slow
@pytest.mark.parametrize("block", range(7))
def test_many_random_pipelines_convert_or_are_refused_with_a_place(block: int) -> None:
    found = [tried(14 + 14 * block + seed) for seed in range(14)]
    assert found.count("does not fit") < 14
