"""The transformers for scikit-learn: all of its own checks, the bits of the functions, and the names of columns."""

from __future__ import annotations

import inspect
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import pipeline
from pipeline.errors import InputMissingError, SchemaError
from pipeline.models import LogisticModel
from pipeline.registry import FUNCTIONS

pd = pytest.importorskip("pandas", reason="pandas is not installed (extra test)")
pl = pytest.importorskip("polars", reason="polars is not installed (extra test)")
pytest.importorskip("sklearn", reason="scikit-learn is not installed (extra sklearn)")

import dask.dataframe as dd  # noqa: E402 - where they are installed
from sklearn.base import clone  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.pipeline import Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402

from pipeline.sklearn import ActivationTransformer, LogisticScorer, SigmoidTransformer  # noqa: E402

ROOT = Path(__file__).parents[2]
MODEL = ROOT / "sample_data" / "delay_model.json"
X = np.random.default_rng(5).normal(0, 4, (30, 2))
FRAME = pd.DataFrame(X, columns=["a", "b"], index=range(100, 130))
KINDS = {
    "numpy": X,
    "pandas": FRAME,
    "polars": pl.DataFrame({"a": X[:, 0], "b": X[:, 1]}),
    "dask array": da.from_array(X, chunks=(10, 2)),
    "dask dataframe": dd.from_pandas(FRAME, npartitions=3),
}


@pytest.fixture(autouse=True)
def _without_threads() -> Iterator[None]:
    with dask.config.set(scheduler="sync"):
        yield


CHECKS = """
import json, warnings
from sklearn.utils.estimator_checks import check_estimator
from pipeline.registry import FUNCTIONS
from pipeline.sklearn import ActivationTransformer, SigmoidTransformer

warnings.simplefilter("ignore")
estimators = [SigmoidTransformer(), SigmoidTransformer(temperature=2, alpha=3, beta=1, low=-1, high=2)]
estimators += [ActivationTransformer(name) for name in FUNCTIONS]
for estimator in estimators:
    results = check_estimator(estimator, on_fail=None)
    print(json.dumps([str(estimator), [[each["check_name"], each["status"]] for each in results]]))
"""


@pytest.mark.slow
def test_check_estimator_of_scikit_learn_passes_in_full() -> None:
    # In a process of its own: some of its checks write pickles to disk and load them again.
    # One of them is left out unless scipy is told beforehand that arrays of other libraries may come.
    environment = {**os.environ, "SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-c", CHECKS]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == 2 + len(FUNCTIONS)
    for estimator, results in found:
        assert len(results) > 40
        assert [name for name, state in results if state != "passed"] == [], estimator


@pytest.mark.parametrize("kind", KINDS)
def test_scikit_learn_sigmoid_transformer(kind: str) -> None:
    expected = pipeline.sigmoid(X, temperature=2, alpha=1.5, beta=-1, low=-1, high=1)
    transformer = SigmoidTransformer(temperature=2, alpha=1.5, beta=-1, low=-1, high=1)
    # As every stateless transformer: before fit as behind it.
    np.testing.assert_array_equal(np.asarray(transformer.transform(KINDS[kind])), expected)
    found = transformer.fit(KINDS[kind]).transform(KINDS[kind])
    np.testing.assert_array_equal(np.asarray(found), expected)
    assert transformer.n_features_in_ == 2
    lazy = {"dask array": da.Array, "dask dataframe": dd.DataFrame}
    assert isinstance(found, lazy.get(kind, np.ndarray))
    names = ["x0", "x1"] if kind in {"numpy", "dask array"} else ["a", "b"]
    assert list(transformer.get_feature_names_out()) == names


@pytest.mark.parametrize("name", FUNCTIONS)
def test_scikit_learn_activation_transformer_has_every_function(name: str) -> None:
    rows = np.abs(X) / 40
    found = ActivationTransformer(name).fit_transform(rows)
    np.testing.assert_array_equal(found, getattr(pipeline, name)(rows))


def test_the_parameters_are_those_of_the_registry() -> None:
    signature = inspect.signature(SigmoidTransformer)
    assert {name: each.default for name, each in signature.parameters.items()} == FUNCTIONS["sigmoid"].defaults
    leaky = ActivationTransformer("leaky_relu", {"alpha": 0.2})
    np.testing.assert_array_equal(leaky.transform(X), pipeline.leaky_relu(X, alpha=0.2))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_names_are_kept_with_set_output(container: str) -> None:
    found = SigmoidTransformer().set_output(transform=container).fit_transform(FRAME)
    assert list(found.columns) == ["a", "b"]
    assert type(found).__module__.startswith(container)
    if container == "pandas":
        assert list(found.index) == list(FRAME.index)
    columns = ColumnTransformer([("s", SigmoidTransformer(), ["b"])], remainder="passthrough").fit(FRAME)
    assert list(columns.get_feature_names_out()) == ["s__b", "remainder__a"]


def test_dask_dataframes_stay_lazy_and_keep_names_and_index() -> None:
    frame = KINDS["dask dataframe"]
    found = ActivationTransformer("tanh").fit(frame).transform(frame)
    assert list(found.columns) == ["a", "b"]
    assert found.npartitions == 3
    pd.testing.assert_frame_equal(found.compute(), np.tanh(FRAME), check_exact=False, rtol=1e-15)
    for transform in ("pandas", "polars"):
        wanted = ActivationTransformer("tanh").set_output(transform=transform)
        assert isinstance(wanted.fit(frame).transform(frame), dd.DataFrame)
        assert isinstance(wanted.fit_transform(KINDS["dask array"]), da.Array)
    with pytest.raises(ValueError, match="columns of X are"):
        ActivationTransformer("tanh").fit(frame).transform(frame[["b", "a"]])
    with pytest.raises(ValueError, match="X has 1 features, but ActivationTransformer is expecting 2"):
        ActivationTransformer("tanh").fit(frame).transform(da.zeros((3, 1)))


def test_missing_values_infinities_and_types_stay() -> None:
    rows = np.array([[np.nan, np.inf], [-np.inf, 0]], dtype=np.float32)
    found = SigmoidTransformer().fit_transform(rows)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [[np.nan, 1], [0, 0.5]])
    assert SigmoidTransformer().fit_transform(np.array([[1]])).dtype == np.float64


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (SigmoidTransformer(temperature=0), "temperature must be more than 0, got 0"),
        (SigmoidTransformer(low=2), "low must be less than high"),
        (SigmoidTransformer(alpha="1"), "alpha must be a number, got str"),
        (ActivationTransformer(None), "function must be the name of a function, got NoneType"),
        (ActivationTransformer("elu", [1]), r"parameters must map names to numbers, got \[1\]"),
        (ActivationTransformer("elu", {1: 2}), r"parameters must map names to numbers, got {1: 2}"),
        (ActivationTransformer("sigmod"), 'no function "sigmod"; did you mean "sigmoid"'),
        (ActivationTransformer("relu", {"alpha": 1}), "relu has no parameters"),
    ],
)
def test_wrong_parameters_are_a_value_error_at_fit(estimator: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        estimator.fit(X)


def test_text_is_refused() -> None:
    with pytest.raises(ValueError, match="could not convert string to float"):
        SigmoidTransformer().fit(np.array([["a"]]))
    frame = dd.from_pandas(FRAME.assign(b="text"), npartitions=2)
    for act in (SigmoidTransformer().fit, SigmoidTransformer().transform):
        with pytest.raises(ValueError, match=r"expected numbers or booleans, got .* in column 'b'"):
            act(frame)
        with pytest.raises(ValueError, match="expected numbers or booleans, got <U1"):
            act(da.from_array(np.array([["a"]])))


@pytest.mark.parametrize("types", ["Int64", "Float32", "boolean", {"a": "Int8", "b": "float32"}], ids=str)
def test_nullable_columns_give_nan_where_they_are_missing_on_dask_as_in_memory(types: Any) -> None:
    frame = pd.DataFrame({"a": [0, 1, 1], "b": [1, 0, 1]}).astype(types)
    frame.loc[1, "a"] = pd.NA
    found = SigmoidTransformer().fit_transform(dd.from_pandas(frame, npartitions=2)).compute()
    expected = SigmoidTransformer().fit_transform(frame)
    assert np.isnan(expected[1, 0])
    np.testing.assert_array_equal(found.to_numpy(), expected)
    assert set(found.dtypes) == {expected.dtype}


def test_docstrings_state_formula_range_error_and_source() -> None:
    for estimator, names in ((SigmoidTransformer, ["sigmoid"]), (ActivationTransformer, FUNCTIONS)):
        text = " ".join(estimator.__doc__.split())
        for entry in map(FUNCTIONS.__getitem__, names):
            facts = (f"``{entry.formula}``", f"Range: {entry.range}.", f"{entry.error}. Source: {entry.source}.")
            assert all(" ".join(fact.split()) in text for fact in facts)
    assert all(word in LogisticScorer.__doc__ for word in ("1 / (1 + exp(-z))", "Range", "Error", "Source: P. F."))


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return pd.read_csv(ROOT / "sample_data" / "flights.csv", nrows=500)


def test_logistic_scorer_gives_probability_columns_from_a_model_file(flights: pd.DataFrame) -> None:
    model = LogisticModel.load(MODEL)
    expected = model.probability(flights)
    scorer = LogisticScorer(MODEL)
    assert scorer.transform(flights).shape == (500, 1)
    np.testing.assert_array_equal(scorer.fit(flights).transform(pl.from_pandas(flights))[:, 0], expected)
    assert list(scorer.get_feature_names_out()) == ["probability"]
    assert list(scorer.feature_names_in_) == [feature.column for feature in model.features]
    frame = LogisticScorer(model).set_output(transform="pandas").fit_transform(flights)
    assert list(frame.columns) == ["probability"]
    lazy = LogisticScorer(MODEL).fit().transform(dd.from_pandas(flights, npartitions=2))
    np.testing.assert_array_equal(lazy.compute()["probability"], expected)


def test_logistic_scorer_is_a_step_like_any_other() -> None:
    text = """{"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.5, "features": [
        {"column": "a", "kind": "numeric", "coefficient": 2}, {"column": "b", "kind": "numeric", "coefficient": -1}]}"""
    model = LogisticModel.from_json(text)
    steps = make_pipeline(StandardScaler(), LogisticScorer(model))
    scaled = StandardScaler().fit_transform(X)
    np.testing.assert_array_equal(steps.fit_transform(X), model.probability(scaled).reshape(-1, 1))
    assert isinstance(clone(steps), Pipeline)
    array = da.from_array(X, chunks=(10, 2))
    np.testing.assert_array_equal(LogisticScorer(model).transform(array).compute()[:, 0], model.probability(X))
    with pytest.raises(SchemaError, match='column "b" is missing'):
        LogisticScorer(model).transform(FRAME[["a"]])
    with pytest.raises(InputMissingError):
        LogisticScorer("nowhere.json").fit()


def test_transformers_survive_a_pickle() -> None:
    again = pickle.loads(pickle.dumps(LogisticScorer(MODEL).fit()))
    assert list(again.get_feature_names_out()) == ["probability"]


def test_without_scikit_learn_the_extra_is_named() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import pipeline.sklearn"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert "ConfigurationError: scikit-learn is not installed\npip install 'logitstream[sklearn]'" in done.stderr
