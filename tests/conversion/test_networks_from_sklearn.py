"""Networks from fitted MLPClassifiers give their probabilities."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.model_selection import FixedThresholdClassifier, GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    Binarizer,
    FunctionTransformer,
    KBinsDiscretizer,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

import pipeline as logitstream
from pipeline.errors import BadCellsError, ModelError, UsageError
from pipeline.models import LogisticModel
from pipeline.models.network.model import NetworkModel

pytestmark = pytest.mark.filterwarnings("ignore:Stochastic Optimizer")

NUMBERS = ["delay", "distance", "hour"]


def frame(rows: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "delay": rng.normal(5, 30, rows),
            "distance": rng.uniform(80, 5000, rows),
            "hour": rng.integers(5, 24, rows).astype(float),
            "carrier": rng.choice(["AA", "UA", "B6"], rows),
        }
    )


def classes(rows: pd.DataFrame, count: int = 2) -> np.ndarray[Any, Any]:
    score = rows["delay"] / 30 + (rows["carrier"] == "B6") + np.sin(rows["hour"])
    return pd.qcut(score, count, labels=[f"c{number}" for number in range(count)]).astype(str).to_numpy()


def mlp(**options: Any) -> MLPClassifier:
    return MLPClassifier(**{"hidden_layer_sizes": (8, 5), "max_iter": 15, "random_state": 3, **options})


def difference(model: Any, estimator: Any, rows: Any) -> float:
    return float(np.abs(model.predict_proba(rows) - estimator.predict_proba(rows)).max())


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("count", [2, 4])
def test_probabilities_are_those_of_the_estimator(activation: str, count: int, tmp_path: Path) -> None:
    rows = frame()
    estimator = make_pipeline(StandardScaler(), mlp(activation=activation)).fit(rows[NUMBERS], classes(rows, count))
    model = logitstream.from_sklearn(estimator, target="late")
    others = frame(1000, seed=1)[NUMBERS]
    assert isinstance(model, NetworkModel)
    assert difference(model, estimator, others) <= 1e-12
    assert list(model.classes) == list(estimator.classes_)
    assert list(model.predict(others)) == list(estimator.predict(others))
    saved = model.save(tmp_path / "model.json")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    again = NetworkModel.load(tmp_path / "model.json")
    assert saved == again == model
    np.testing.assert_array_equal(again.predict_proba(others), model.predict_proba(others))


def test_an_estimator_that_stands_alone_takes_columns_by_their_names() -> None:
    rows = frame()
    data = rows[NUMBERS].to_numpy() / [30, 5000, 24]
    estimator = mlp(hidden_layer_sizes=(6,)).fit(data, classes(rows))
    with pytest.raises(ModelError, match="fitted without column names"):
        logitstream.from_sklearn(estimator)
    model = logitstream.from_sklearn(estimator, columns=NUMBERS)
    assert model.columns == tuple(NUMBERS)
    np.testing.assert_allclose(model.probability(data), estimator.predict_proba(data)[:, 1], rtol=0, atol=1e-12)


def test_rows_of_float32_are_computed_in_float64() -> None:
    rows = frame()
    data = (rows[NUMBERS].to_numpy() / [30, 5000, 24]).astype(np.float32)
    estimator = mlp().fit(data, classes(rows))
    model = logitstream.from_sklearn(estimator, columns=NUMBERS)
    assert 0 < difference(model, estimator, data) <= 1e-6
    assert difference(model, estimator, data.astype(np.float64)) <= 1e-12


PREPARED = {
    "scaled and one-hot": [
        ("scale", StandardScaler(), NUMBERS),
        ("encode", OneHotEncoder(handle_unknown="ignore"), ["carrier"]),
    ],
    "imputed": [
        ("scale", make_pipeline(SimpleImputer(strategy="median"), RobustScaler()), NUMBERS),
        ("encode", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(drop="first")), ["carrier"]),
    ],
    "components": [("scale", make_pipeline(StandardScaler(), PCA(2)), NUMBERS)],
    "chosen": [("scale", make_pipeline(MinMaxScaler(), SelectKBest(k=2)), NUMBERS)],
    "ordinal": [("scale", StandardScaler(), NUMBERS), ("encode", OrdinalEncoder(), ["carrier"])],
}


@pytest.mark.filterwarnings("ignore:Found unknown categories")
@pytest.mark.parametrize("steps", PREPARED)
def test_steps_before_the_network_become_its_features(steps: str) -> None:
    rows = frame()
    prepared = ColumnTransformer(PREPARED[steps], sparse_threshold=0)
    estimator = make_pipeline(prepared, mlp(activation="tanh")).fit(rows, classes(rows))
    others = frame(500, seed=2)
    if steps == "imputed":
        others.loc[:50, NUMBERS] = np.nan
        others.loc[20:90, "carrier"] = None
    elif steps == "scaled and one-hot":
        others.loc[:40, "carrier"] = "unheard of"
    assert difference(logitstream.from_sklearn(estimator), estimator, others) <= 1e-12


def test_what_the_estimator_refuses_is_an_error() -> None:
    rows = frame()
    steps = [("scale", StandardScaler(), NUMBERS), ("encode", OneHotEncoder(), ["carrier"])]
    model = logitstream.from_sklearn(make_pipeline(ColumnTransformer(steps), mlp()).fit(rows, classes(rows)))
    missing = frame(5)
    missing.loc[3, "hour"] = np.nan
    with pytest.raises(BadCellsError, match="row 3, column hour"):
        model.predict_proba(missing)
    with pytest.raises(BadCellsError, match="unheard of"):
        model.predict_proba(frame(5).assign(carrier="unheard of"))


UNFIT = {
    "function": (FunctionTransformer(np.log1p), 'a function of numbers of column "delay"'),
    "bins": (KBinsDiscretizer(3, strategy="uniform"), 'intervals of numbers of column "delay"'),
    "threshold": (Binarizer(), 'intervals of numbers of column "delay"'),
    "products": (PolynomialFeatures(2), "product of columns"),
    "norm": (Normalizer(), 'step "normalizer"|steps\\[0\\] "normalizer"'),
}


@pytest.mark.parametrize("step", UNFIT)
def test_a_step_without_a_feature_is_refused_by_name(step: str) -> None:
    rows = frame()
    transformer, message = UNFIT[step]
    estimator = make_pipeline(transformer, StandardScaler(with_mean=False), mlp())
    estimator.fit(rows[NUMBERS].abs(), classes(rows))
    with pytest.raises(ModelError, match=message) as raised:
        logitstream.from_sklearn(estimator)
    assert raised.value.remedy


def test_a_column_that_is_used_in_two_ways_is_refused() -> None:
    rows = frame()
    steps = [("scale", StandardScaler(), NUMBERS), ("encode", OneHotEncoder(handle_unknown="ignore"), ["hour"])]
    estimator = make_pipeline(ColumnTransformer(steps, sparse_threshold=0), mlp()).fit(rows, classes(rows))
    with pytest.raises(ModelError, match='column "hour" in two ways'):
        logitstream.from_sklearn(estimator)


def test_several_labels_are_refused() -> None:
    rows = frame()
    labels = np.column_stack([classes(rows) == "c0", rows["carrier"] == "B6"]).astype(int)
    with pytest.raises(ModelError, match="several labels at once"):
        logitstream.from_sklearn(mlp().fit(rows[NUMBERS], labels))
    with pytest.raises(ModelError, match="is not fitted"):
        logitstream.from_sklearn(mlp(), columns=NUMBERS)


def test_a_network_for_each_class_is_refused() -> None:
    rows = frame()
    estimator = OneVsRestClassifier(mlp()).fit(rows[NUMBERS], classes(rows, 3))
    with pytest.raises(ModelError, match="a network for each class"):
        logitstream.from_sklearn(estimator)


def test_searches_and_thresholds_are_looked_into() -> None:
    rows = frame()
    search = GridSearchCV(make_pipeline(StandardScaler(), mlp()), {"mlpclassifier__alpha": [0.1, 1]}, cv=2)
    estimator = FixedThresholdClassifier(search.fit(rows[NUMBERS], classes(rows)), threshold=0.3)
    estimator.fit(rows[NUMBERS], classes(rows))
    model = logitstream.from_sklearn(estimator)
    assert model.output.threshold == 0.3
    assert list(model.predict(rows)) == list(estimator.predict(rows[NUMBERS]))


def test_without_a_hidden_layer_it_is_a_logistic_model() -> None:
    rows = frame()
    estimator = make_pipeline(StandardScaler(), mlp(hidden_layer_sizes=())).fit(rows[NUMBERS], classes(rows, 3))
    model = logitstream.from_sklearn(estimator)
    assert isinstance(model, LogisticModel)
    assert difference(model, estimator, rows[NUMBERS]) <= 1e-14


def test_rows_are_scored_both_ways_and_once_more_from_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    rows = frame().assign(code=["7", "07", "8"] * 100)
    steps = [("scale", StandardScaler(), NUMBERS), ("encode", OneHotEncoder(), ["code"])]
    estimator = make_pipeline(ColumnTransformer(steps, sparse_threshold=0), mlp()).fit(rows, classes(rows))
    model = logitstream.from_sklearn(estimator, check=rows)
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("300 rows scored both ways: largest difference ")
    assert printed[1].startswith("the same rows from a CSV file, as to_csv writes it: largest difference ")
    model.save(tmp_path / "model.json")
    imported = json.loads((tmp_path / "model.json").read_text())["training"]["imported"]
    assert (imported["from"], imported["rows"]) == ("scikit-learn", 300)
    assert imported["largest_difference"] <= 1e-12
    assert NetworkModel.load(tmp_path / "model.json").digest() == model.digest()


def test_a_column_that_csv_changes_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    rows = frame().assign(code=["NA", "AA", "UA"] * 100)
    steps = [("scale", StandardScaler(), NUMBERS), ("encode", OneHotEncoder(handle_unknown="ignore"), ["code"])]
    estimator = make_pipeline(ColumnTransformer(steps, sparse_threshold=0), mlp()).fit(rows, classes(rows))
    other = rows.copy()
    other.loc[4, "code"] = ""
    logitstream.from_sklearn(estimator, check=other)
    assert 'column "code" differs in 1 row' in capsys.readouterr().out


def test_files_are_scored_with_what_saving_returns(tmp_path: Path) -> None:
    rows = frame()
    estimator = make_pipeline(StandardScaler(), mlp()).fit(rows[NUMBERS], classes(rows))
    model = logitstream.from_sklearn(estimator)
    rows.to_parquet(tmp_path / "rows.parquet")
    with pytest.raises(UsageError, match="in memory alone"):
        logitstream.score(str(tmp_path / "rows.parquet"), model, str(tmp_path / "out"))
    saved = model.save(tmp_path / "model.json")
    logitstream.score(str(tmp_path / "rows.parquet"), saved, str(tmp_path / "out"), scheduler="sync")
    found = pd.concat([pd.read_parquet(path) for path in sorted((tmp_path / "out").glob("*.parquet"))])
    np.testing.assert_array_equal(found["probability"].to_numpy(), model.probability(rows))
