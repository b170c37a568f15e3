"""Fitted scikit-learn estimators and steps, each with the rows that both sides score."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn import calibration, feature_selection, frozen, model_selection, multiclass
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_classif
from sklearn.impute import KNNImputer, MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, RidgeClassifier, SGDClassifier
from sklearn.metrics import f1_score, make_scorer
from sklearn.neural_network import MLPClassifier
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
    PowerTransformer,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)
from sklearn.svm import SVC, LinearSVC

ROWS = 240
LATE, KM, HOUR, SIZE = "dep delay", "distance,km", "hour", "größe"
CARRIER, ORIGIN, RATING, FLAG, GRADE = "carrier", 'origin["x"]', "rating", "is late", "Note:1"
NUMBERS = [LATE, KM, HOUR, SIZE]
FULL = [KM, HOUR]


def frame(*, seed: int, odd: bool = False) -> pd.DataFrame:
    """Return rows; ``odd`` ones have levels that no encoder has seen, in the first rows."""
    rng = np.random.default_rng(seed)
    made = pd.DataFrame(
        {
            LATE: rng.normal(1000.0, 2.0, ROWS),
            KM: rng.exponential(0.9, ROWS) + 0.01,
            HOUR: rng.integers(5, 24, ROWS),
            SIZE: rng.normal(-3.0, 1.5, ROWS),
            CARRIER: rng.choice(["AA", "UA", "B6", "9E", "(missing)"], ROWS, p=[0.4, 0.3, 0.2, 0.06, 0.04]).astype(
                object
            ),
            ORIGIN: rng.choice(["JFK", "LGA", "EWR"], ROWS).astype(object),
            RATING: rng.choice([0.5, 1.0, 2.5], ROWS),
            FLAG: rng.random(ROWS) < 0.4,
            GRADE: pd.Categorical(rng.choice(["low", "mid", "high"], ROWS), categories=["low", "mid", "high", "new"]),
        }
    )
    made.loc[rng.random(ROWS) < 0.1, LATE] = np.nan
    made.loc[rng.random(ROWS) < 0.1, SIZE] = np.nan
    made.loc[rng.random(ROWS) < 0.1, CARRIER] = None
    if odd:
        made.loc[:9, ORIGIN] = "SFO"
        made.loc[5:14, CARRIER] = "ZZ"
        made.loc[12:16, RATING] = 7.25
        made.loc[16:18, KM] = np.nan
        made.loc[18:20, ORIGIN] = None
        made.loc[20:23, RATING] = np.nan
        made.loc[22:26, GRADE] = "new"
        made.loc[25:27, GRADE] = np.nan
    return made


def target(rows: pd.DataFrame, classes: int = 2) -> Any:
    """Return labels that depend on the columns."""
    noise = np.random.default_rng(1).normal(size=len(rows))
    score = (rows[LATE].fillna(1000.0) - 1000.0) / 2 + (rows[ORIGIN] == "EWR") + rows[KM] + noise
    if classes == 2:
        return (score > score.median()).astype(int).to_numpy()
    return np.array(["early", "late", "on time", "x"])[np.argsort(np.argsort(score)) * classes // len(score)]


@dataclass(frozen=True)
class Case:
    """An estimator or a step, and whether it converts.

    ``refusal`` is what the error says. ``is_float32`` says that scikit-learn computes in float32, ``casts`` that the
    numbers are so before. Not every scikit-learn has what each case needs: ``is_available``.
    """

    group: str
    title: str
    make: Callable[[], Any]
    columns: Sequence[str]
    classes: int = 2
    refusal: str = ""
    is_float32: bool = False
    casts: bool = False
    is_available: bool = True

    def fitted(self) -> Any:
        rows = frame(seed=3)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.make().fit(self.input(rows), target(rows, self.classes))

    def input(self, rows: pd.DataFrame) -> pd.DataFrame:
        chosen = rows[list(self.columns)]
        numbers = {name: np.float32 for name in self.columns if name in NUMBERS} if self.casts else {}
        return chosen.astype(numbers)


def has(kind: type, parameter: str) -> bool:
    return parameter in inspect.signature(kind).parameters


def offers(kind: Any, parameter: str, value: str) -> bool:
    return any(value in getattr(each, "options", ()) for each in kind._parameter_constraints[parameter])


def after(*steps: Any, last: Any = None) -> Callable[[], Any]:
    return lambda: make_pipeline(*steps, LogisticRegression(max_iter=500) if last is None else last)


def filled(*steps: Any, last: Any = None) -> Callable[[], Any]:
    """Return a maker of a Pipeline that fills and scales numbers before its steps."""
    return after(SimpleImputer(), StandardScaler(), *steps, last=last)


def mixed(last: Any = None, **options: Any) -> Callable[[], Any]:
    """Return a maker of a Pipeline of numbers and categories before a classifier."""
    prepare = ColumnTransformer(
        [
            ("num", Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())]), [LATE, SIZE]),
            ("cat", OneHotEncoder(handle_unknown="ignore"), [CARRIER, ORIGIN]),
        ],
        remainder="passthrough",
        **options,
    )
    return lambda: Pipeline([("prep", prepare), ("fit", LogisticRegression(max_iter=500) if last is None else last)])


ALL = [LATE, SIZE, CARRIER, ORIGIN, KM]


def estimators() -> list[Case]:
    def case(title: str, make: Callable[[], Any], *, columns: Sequence[str] = ALL, **options: Any) -> Case:
        return Case("estimators", title, make, columns, **options)

    lr, calibrated = LogisticRegression, calibration.CalibratedClassifierCV
    saga: Any = {"solver": "saga", "max_iter": 300, "random_state": 0}
    elastic = {"l1_ratio": 0.5} if not has(lr, "multi_class") else {"penalty": "elasticnet", "l1_ratio": 0.5}
    lasso = {"l1_ratio": 1.0} if not has(lr, "multi_class") else {"penalty": "l1"}
    scores = {"response_method": "decision_function"}
    inner = lr(max_iter=500)
    one_each = {"ensemble": False, "cv": 3}
    softmax = lr(**({"multi_class": "multinomial"} if has(lr, "multi_class") else {}))
    has_temperature = offers(calibrated, "method", "temperature")
    return [
        case("LogisticRegression", mixed()),
        case("LogisticRegression, 3 classes", mixed(), classes=3),
        case("LogisticRegression, 4 classes, no intercept", mixed(lr(fit_intercept=False)), classes=4),
        case("LogisticRegression, solver liblinear", mixed(lr(solver="liblinear"))),
        case(
            "LogisticRegression, solver liblinear, 3 classes (until 1.7)",
            mixed(lr(solver="liblinear")),
            classes=3,
            is_available=has(lr, "multi_class"),
        ),
        case(
            'LogisticRegression, multi_class="ovr" (until 1.7)',
            mixed(lr(**({"multi_class": "ovr"} if has(lr, "multi_class") else {}))),
            classes=3,
            is_available=has(lr, "multi_class"),
        ),
        case(
            'LogisticRegression, binary, "multinomial" (until 1.7)',
            mixed(softmax),
            is_available=has(lr, "multi_class"),
        ),
        case("LogisticRegression, l1", mixed(lr(**lasso, **saga))),
        case("LogisticRegression, elastic net", mixed(lr(**elastic, **saga))),
        case("LogisticRegressionCV", mixed(LogisticRegressionCV(Cs=3, cv=3, **_cv()))),
        case("LogisticRegressionCV, 3 classes", mixed(LogisticRegressionCV(Cs=3, cv=3, **_cv())), classes=3),
        case('SGDClassifier, loss="log_loss"', mixed(SGDClassifier(loss="log_loss", random_state=0))),
        case(
            'SGDClassifier, loss="log_loss", 3 classes',
            mixed(SGDClassifier(loss="log_loss", random_state=0)),
            classes=3,
        ),
        case("LinearDiscriminantAnalysis", filled(last=LinearDiscriminantAnalysis()), columns=NUMBERS),
        case("OneVsRestClassifier", mixed(multiclass.OneVsRestClassifier(inner)), classes=3),
        case("OneVsRestClassifier, 2 classes", mixed(multiclass.OneVsRestClassifier(inner))),
        case(
            "OneVsRestClassifier of Pipelines",
            lambda: multiclass.OneVsRestClassifier(filled(PCA(2))()),
            columns=NUMBERS,
            classes=3,
        ),
        case("RidgeClassifier: raw prediction and decision", mixed(RidgeClassifier())),
        case("RidgeClassifier, 3 classes", mixed(RidgeClassifier()), classes=3),
        case("LinearSVC: raw prediction and decision", mixed(LinearSVC())),
        case("LinearSVC, 3 classes", mixed(LinearSVC()), classes=3),
        case("CalibratedClassifierCV, ensemble=False", lambda: calibrated(mixed()(), **one_each)),
        case("CalibratedClassifierCV of LinearSVC", lambda: calibrated(mixed(LinearSVC())(), **one_each)),
        case("CalibratedClassifierCV, 3 classes", lambda: calibrated(mixed(LinearSVC())(), **one_each), classes=3),
        case("CalibratedClassifierCV of a FrozenEstimator", _prefit),
        case(
            'CalibratedClassifierCV of LogisticRegression, binary, "multinomial" (until 1.7)',
            lambda: calibrated(mixed(softmax)(), **one_each),
            is_available=has(lr, "multi_class"),
        ),
        case(
            "CalibratedClassifierCV, temperature (from 1.8)",
            lambda: calibrated(mixed()(), method="temperature", **one_each),
            is_available=has_temperature,
        ),
        case(
            "CalibratedClassifierCV, temperature, 3 classes (from 1.8)",
            lambda: calibrated(mixed()(), method="temperature", **one_each),
            classes=3,
            is_available=has_temperature,
        ),
        case("CalibratedClassifierCV, 5 classifiers", lambda: calibrated(mixed()()), refusal="ensemble=False"),
        case(
            "CalibratedClassifierCV, isotonic",
            lambda: calibrated(mixed()(), method="isotonic", **one_each),
            refusal="interpolates between",
        ),
        case(
            "FixedThresholdClassifier",
            lambda: model_selection.FixedThresholdClassifier(mixed()(), threshold=0.3),
        ),
        case(
            "FixedThresholdClassifier, of raw predictions",
            lambda: model_selection.FixedThresholdClassifier(mixed(LinearSVC())(), threshold=0.2, **scores),
        ),
        case(
            "FixedThresholdClassifier, pos_label the first class",
            lambda: model_selection.FixedThresholdClassifier(mixed()(), threshold=0.3, pos_label=0),
        ),
        case(
            "FixedThresholdClassifier, of raw predictions, pos_label the first class",
            lambda: model_selection.FixedThresholdClassifier(mixed()(), threshold=-0.4, pos_label=0, **scores),
        ),
        case(
            "TunedThresholdClassifierCV, a scorer of the first class",
            lambda: model_selection.TunedThresholdClassifierCV(
                mixed()(), cv=3, scoring=make_scorer(f1_score, pos_label=0)
            ),
        ),
        case("TunedThresholdClassifierCV", lambda: model_selection.TunedThresholdClassifierCV(mixed()(), cv=3)),
        case("GridSearchCV", lambda: model_selection.GridSearchCV(mixed()(), {"fit__C": [0.1, 1.0]}, cv=3)),
        case("Pipeline in a Pipeline in a Pipeline", lambda: Pipeline([("a", Pipeline([("b", mixed()())]))])),
        case(
            "RandomForestClassifier", mixed(RandomForestClassifier(5)), refusal="RandomForestClassifier, which cannot"
        ),
        case("SVC", mixed(SVC()), refusal="SVC, which cannot"),
    ]


def _cv() -> dict[str, Any]:
    return (
        {"use_legacy_attributes": False, "scoring": "neg_log_loss"}
        if has(LogisticRegressionCV, "use_legacy_attributes")
        else {}
    )


def _prefit() -> Any:
    rows = frame(seed=4)
    inner = mixed()().fit(rows[ALL], target(rows))
    return calibration.CalibratedClassifierCV(frozen.FrozenEstimator(inner))


def columns() -> list[Case]:
    def case(title: str, make: Callable[[], Any], columns: Sequence[str], **options: Any) -> Case:
        return Case("columns", title, make, columns, **options)

    numbers = ("num", SimpleImputer(), make_column_selector(dtype_include=float))
    levels = ("cat", OneHotEncoder(handle_unknown="ignore"), make_column_selector(dtype_exclude=float))
    by_slice = [("num", SimpleImputer(), slice(LATE, SIZE)), ("cat", OneHotEncoder(handle_unknown="ignore"), [-1])]
    inner = ColumnTransformer([("fill", SimpleImputer(), [LATE])], remainder="passthrough").set_output(
        transform="pandas"
    )
    outer = ColumnTransformer([("scale", StandardScaler(), ["fill__dep delay"])], remainder="drop")
    union = FeatureUnion(
        [("a", SimpleImputer()), ("b", SimpleImputer(strategy="median"))], transformer_weights={"b": 0.25}
    )
    twice = ColumnTransformer([("a", SimpleImputer(), [LATE]), ("b", SimpleImputer(strategy="median"), [LATE, SIZE])])
    return [
        case("ColumnTransformer, selectors by type", after(ColumnTransformer([numbers, levels])), [LATE, SIZE, ORIGIN]),
        case(
            "ColumnTransformer, a callable",
            after(ColumnTransformer([("num", SimpleImputer(), lambda x: [0, 1]), ("cat", OneHotEncoder(), [ORIGIN])])),
            [LATE, SIZE, ORIGIN],
        ),
        case(
            "ColumnTransformer, slices and negative positions", after(ColumnTransformer(by_slice)), [LATE, SIZE, ORIGIN]
        ),
        case("ColumnTransformer, transformer_weights", mixed(transformer_weights={"num": 3.0, "cat": 0.1}), ALL),
        case("ColumnTransformer, remainder an estimator", after(_remainder()), [LATE, SIZE, ORIGIN]),
        case("ColumnTransformer behind a ColumnTransformer", after(inner, outer), [LATE, KM]),
        case("ColumnTransformer, a column twice", after(twice), [LATE, SIZE]),
        case("FeatureUnion, transformer_weights", after(union), [LATE, SIZE]),
        case("FeatureUnion of an imputer and MissingIndicator", after(_indicated()), [LATE, SIZE]),
        case("pandas category columns", after(OneHotEncoder(handle_unknown="ignore")), [GRADE]),
        case(
            "boolean columns",
            after(ColumnTransformer([("s", StandardScaler(), [KM])], remainder="passthrough")),
            [KM, FLAG],
        ),
    ]


def _remainder() -> Any:
    return ColumnTransformer(
        [("cat", OneHotEncoder(handle_unknown="ignore"), [ORIGIN])],
        remainder=make_pipeline(SimpleImputer(), MinMaxScaler()),
    )


def _indicated() -> Any:
    return FeatureUnion([("fill", SimpleImputer()), ("missing", MissingIndicator())])


def numbers() -> list[Case]:
    def case(title: str, *steps: Any, columns: Sequence[str] = NUMBERS, **options: Any) -> Case:
        return Case("number steps", title, after(*steps), columns, **options)

    clipped = [MaxAbsScaler(clip=True)] if has(MaxAbsScaler, "clip") else []
    some = SelectKBest(f_classif, k=2)
    by_model = feature_selection.SelectFromModel(LogisticRegression(), threshold="median")
    scale = StandardScaler()
    return [
        case("StandardScaler", scale, columns=FULL),
        case("StandardScaler of float32", SimpleImputer(), scale, columns=[SIZE, KM], is_float32=True, casts=True),
        case("StandardScaler, with_mean=False", StandardScaler(with_mean=False), columns=FULL),
        case("MinMaxScaler", SimpleImputer(), MinMaxScaler((-1, 2))),
        case("MinMaxScaler, clip=True", SimpleImputer(), MinMaxScaler(clip=True)),
        case("MaxAbsScaler", SimpleImputer(), MaxAbsScaler()),
        case("MaxAbsScaler, clip=True (from 1.8)", SimpleImputer(), *clipped, is_available=bool(clipped)),
        case("RobustScaler", SimpleImputer(), RobustScaler()),
        case("several scalers, imputer last", scale, RobustScaler(), MinMaxScaler(), SimpleImputer()),
        case("SimpleImputer, median", SimpleImputer(strategy="median")),
        case("SimpleImputer, most_frequent", SimpleImputer(strategy="most_frequent")),
        case("SimpleImputer, constant", SimpleImputer(strategy="constant", fill_value=-1.5)),
        case("SimpleImputer, add_indicator, then scaled", SimpleImputer(add_indicator=True), scale),
        case("SimpleImputer behind scalers, add_indicator", scale, SimpleImputer(add_indicator=True)),
        case("KNNImputer", KNNImputer(), refusal="KNNImputer"),
        case("SelectKBest", SimpleImputer(), some),
        case("SelectKBest before an encoder of the rest", scale, some, columns=FULL),
        case("VarianceThreshold", SimpleImputer(), VarianceThreshold(0.9)),
        case("SelectFromModel", SimpleImputer(), scale, by_model),
        case("RFE", SimpleImputer(), scale, feature_selection.RFE(LogisticRegression(), n_features_to_select=2)),
        case("PCA", SimpleImputer(), scale, PCA(3)),
        case("PCA, whiten=True", SimpleImputer(), scale, PCA(2, whiten=True)),
        case("IncrementalPCA", SimpleImputer(), scale, IncrementalPCA(2)),
        case("TruncatedSVD", SimpleImputer(), scale, TruncatedSVD(2, random_state=0)),
        case("FunctionTransformer(numpy.log)", FunctionTransformer(np.log), columns=FULL),
        case("FunctionTransformer(numpy.log1p), scaled", FunctionTransformer(np.log1p), scale, columns=FULL),
        case("FunctionTransformer(numpy.sqrt)", FunctionTransformer(np.sqrt), columns=FULL),
        case("FunctionTransformer(numpy.square) behind a scaler", scale, FunctionTransformer(np.square), columns=FULL),
        case(
            "FunctionTransformer of another function", FunctionTransformer(np.exp), columns=FULL, refusal="computes exp"
        ),
        case("PolynomialFeatures", SimpleImputer(), scale, PolynomialFeatures()),
        case(
            "PolynomialFeatures, interaction_only",
            SimpleImputer(),
            PolynomialFeatures(interaction_only=True, include_bias=False),
            scale,
        ),
        case("PolynomialFeatures of degree 3", SimpleImputer(), scale, PolynomialFeatures(3), columns=[LATE, KM]),
        case("Binarizer", SimpleImputer(), scale, Binarizer(threshold=0.1)),
        case("Normalizer", SimpleImputer(), Normalizer(), refusal="Normalizer"),
        case("PowerTransformer", PowerTransformer(), columns=FULL, refusal="PowerTransformer"),
        case("QuantileTransformer", QuantileTransformer(n_quantiles=50), columns=FULL, refusal="QuantileTransformer"),
        case("SplineTransformer", SplineTransformer(), columns=FULL, refusal="SplineTransformer"),
    ]


def categories() -> list[Case]:
    def case(title: str, *steps: Any, columns: Sequence[str] = (CARRIER, ORIGIN), **options: Any) -> Case:
        return Case("category steps", title, after(*steps), columns, **options)

    fill = SimpleImputer(strategy="most_frequent")
    rare = {"min_frequency": 0.08, "handle_unknown": "infrequent_if_exist"}
    warned = (
        [OneHotEncoder(handle_unknown="warn", max_categories=3)]
        if offers(OneHotEncoder, "handle_unknown", "warn")
        else []
    )
    scale = StandardScaler()
    bins = {"subsample": None} | (
        {"quantile_method": "averaged_inverted_cdf"} if has(KBinsDiscretizer, "quantile_method") else {}
    )
    number = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=np.nan)
    return [
        case("OneHotEncoder", OneHotEncoder()),
        case('OneHotEncoder, handle_unknown="ignore"', OneHotEncoder(handle_unknown="ignore")),
        case('OneHotEncoder, drop="first"', OneHotEncoder(drop="first")),
        case(
            'OneHotEncoder, drop="if_binary"',
            OneHotEncoder(drop="if_binary", handle_unknown="ignore"),
            columns=[ORIGIN, FLAG],
        ),
        case("OneHotEncoder, min_frequency", OneHotEncoder(**rare)),
        case('OneHotEncoder, max_categories, drop="first"', OneHotEncoder(max_categories=3, drop="first")),
        case('OneHotEncoder, handle_unknown="warn" (from 1.6)', *warned, is_available=bool(warned)),
        case("OneHotEncoder of floats", OneHotEncoder(handle_unknown="ignore"), columns=[RATING]),
        case("OneHotEncoder of booleans and integers", OneHotEncoder(), columns=[FLAG, HOUR]),
        case("OneHotEncoder behind an imputer", fill, OneHotEncoder(handle_unknown="ignore")),
        case("OneHotEncoder, scaled, PCA", OneHotEncoder(handle_unknown="ignore", sparse_output=False), scale, PCA(3)),
        case("OrdinalEncoder", OrdinalEncoder(), columns=[ORIGIN]),
        case("OrdinalEncoder, missing values filled behind it", number, SimpleImputer(), scale),
        case(
            "OrdinalEncoder, unknown_value and encoded_missing_value",
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
        ),
        case(
            "OrdinalEncoder, max_categories",
            OrdinalEncoder(
                max_categories=3, encoded_missing_value=9.0, handle_unknown="use_encoded_value", unknown_value=-1
            ),
        ),
        case("MissingIndicator, then OneHotEncoder", MissingIndicator(), OneHotEncoder(), columns=[LATE, SIZE]),
        case("OrdinalEncoder, then OneHotEncoder", OrdinalEncoder(encoded_missing_value=-1), OneHotEncoder()),
        case("TargetEncoder", TargetEncoder(random_state=0), scale),
        case("TargetEncoder, 3 classes", TargetEncoder(random_state=0), classes=3),
        case("KBinsDiscretizer", KBinsDiscretizer(5, **bins), columns=FULL),
        case("KBinsDiscretizer, ordinal", KBinsDiscretizer(5, encode="ordinal", **bins), columns=FULL),
        case(
            "KBinsDiscretizer behind an imputer and scalers",
            SimpleImputer(strategy="median"),
            RobustScaler(),
            scale,
            KBinsDiscretizer(20, **bins),
            columns=NUMBERS,
        ),
        case(
            "KBinsDiscretizer, uniform, dtype float32",
            SimpleImputer(),
            MinMaxScaler(),
            KBinsDiscretizer(7, strategy="uniform", dtype=np.float32, encode="onehot-dense", subsample=None),
            columns=NUMBERS,
            is_float32=True,
        ),
        case(
            "KBinsDiscretizer behind a logarithm",
            FunctionTransformer(np.log1p),
            KBinsDiscretizer(4, **bins),
            columns=FULL,
        ),
        case(
            "KBinsDiscretizer of codes",
            OrdinalEncoder(),
            scale,
            KBinsDiscretizer(2, encode="ordinal", **bins),
            columns=[ORIGIN],
        ),
        case("KBinsDiscretizer behind PCA", PCA(1), KBinsDiscretizer(3, **bins), columns=FULL, refusal="before PCA"),
        case(
            "PolynomialFeatures of categories and numbers",
            ColumnTransformer(
                [("c", OneHotEncoder(handle_unknown="ignore", sparse_output=False), [ORIGIN])], remainder=scale
            ),
            PolynomialFeatures(interaction_only=True),
            columns=[ORIGIN, KM],
        ),
        case(
            "PolynomialFeatures of scaled categories and numbers",
            ColumnTransformer(
                [("c", make_pipeline(OneHotEncoder(sparse_output=False), scale), [ORIGIN])], remainder=scale
            ),
            PolynomialFeatures(interaction_only=True),
            columns=[ORIGIN, KM],
        ),
        case(
            "PolynomialFeatures of categories",
            OneHotEncoder(handle_unknown="ignore", sparse_output=False),
            PolynomialFeatures(),
        ),
        case(
            "PolynomialFeatures of bins",
            KBinsDiscretizer(3, encode="onehot-dense", **bins),
            PolynomialFeatures(),
            columns=FULL,
            refusal="multiplies a bin",
        ),
        case(
            "an encoder behind a scaler", scale, OneHotEncoder(), columns=[RATING], refusal="encodes what was computed"
        ),
    ]


def networks() -> list[Case]:
    def case(title: str, make: Callable[[], Any], columns: Sequence[str] = ALL, **options: Any) -> Case:
        return Case("networks", title, make, columns, **options)

    def mlp(**options: Any) -> Any:
        return MLPClassifier(**{"hidden_layer_sizes": (8, 5), "max_iter": 30, "random_state": 0, **options})

    flags = SimpleImputer(add_indicator=True)
    threshold = model_selection.FixedThresholdClassifier
    return [
        case("MLPClassifier, relu", mixed(mlp())),
        case("MLPClassifier, logistic, 3 classes", mixed(mlp(activation="logistic")), classes=3),
        case("MLPClassifier, tanh, 4 classes", mixed(mlp(activation="tanh")), classes=4),
        case("MLPClassifier, identity", mixed(mlp(activation="identity"))),
        case("MLPClassifier without a hidden layer", mixed(mlp(hidden_layer_sizes=()))),
        case("MLPClassifier behind SimpleImputer, add_indicator", after(flags, StandardScaler(), last=mlp()), NUMBERS),
        case("MLPClassifier behind PCA", filled(PCA(3), last=mlp(activation="tanh")), NUMBERS),
        case("MLPClassifier in a FixedThresholdClassifier", lambda: threshold(mixed(mlp())(), threshold=0.3)),
        case("MLPClassifier in a GridSearchCV", lambda: model_selection.GridSearchCV(mixed(mlp())(), {}, cv=2)),
        case(
            "MLPClassifier behind KBinsDiscretizer",
            after(KBinsDiscretizer(3, strategy="uniform"), last=mlp()),
            FULL,
            refusal="intervals of numbers",
        ),
        case(
            "MLPClassifier behind a logarithm",
            after(FunctionTransformer(np.log1p), last=mlp()),
            FULL,
            refusal="a function of numbers",
        ),
        case(
            "MLPClassifier for each class",
            after(SimpleImputer(), StandardScaler(), last=multiclass.OneVsRestClassifier(mlp())),
            NUMBERS,
            classes=3,
            refusal="a network for each class",
        ),
    ]


CASES: Sequence[Case] = [*estimators(), *columns(), *numbers(), *categories(), *networks()]
