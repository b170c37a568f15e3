"""Models on Dask dataframes: what comes back, and that nothing is computed before it is asked for."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest

from pipeline.errors import SchemaError
from pipeline.models import LogisticModel
from pipeline.models.network.model import NetworkModel
from tests.models.network.networks import categorical, drawn, layers, numeric, written

pd = pytest.importorskip("pandas", reason="pandas is not installed")
dd = pytest.importorskip("dask.dataframe", reason="dask.dataframe needs pandas")


def numeric_model(missing: Any = "null") -> LogisticModel:
    names = {"a": 0.5, "b": -2.0}
    features = [{"column": c, "kind": "numeric", "coefficient": w, "missing": missing} for c, w in names.items()]
    target = {"column": "y", "negative": 0, "positive": 1}
    first = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.1, "target": target}
    return LogisticModel.from_json(json.dumps(first | {"features": features}))


def same_bits(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(found.dtype == expected.dtype and found.tobytes() == np.ascontiguousarray(expected).tobytes())


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed")


def lazily() -> Any:
    return dask.config.set(scheduler=never)


def test_dask_frames_give_lazy_series_and_frames_with_index_partitions_and_bits() -> None:
    random = np.random.default_rng(3)
    frame = pd.DataFrame({"other": "x", "b": random.normal(size=9), "a": random.normal(size=9).astype("f4")})
    frame.loc[4, "b"] = np.nan
    frame.index = pd.Index(range(100, 109), name="row")
    model, lazy = numeric_model({"impute": 0.25}), dd.from_pandas(frame, npartitions=3)
    for name, made in (
        ("probability", "probability"), ("raw_prediction", "raw_prediction"), ("predict", "decision"),
        ("predict_proba", ["probability_0", "probability_1"]), ("contributions", list(model.contribution_names)),
    ):  # fmt: skip
        with lazily():
            found = getattr(model, name)(lazy)
        expected = getattr(model, name)(frame)
        assert (found.npartitions, found.divisions) == (3, lazy.divisions)
        computed = found.compute(scheduler="sync")
        assert computed.index.equals(frame.index)
        assert same_bits(computed.to_numpy(), expected)
        labelled = isinstance(made, list)
        assert (list(computed.columns) if labelled else computed.name) == made
        same = pd.testing.assert_frame_equal if labelled else pd.testing.assert_series_equal
        same(found._meta, computed.iloc[:0])
    assert model.probability(lazy)._name == pickle.loads(pickle.dumps(model)).probability(lazy)._name


def test_what_is_wrong_with_a_dask_frame_is_told_before_it_is_computed() -> None:
    model = numeric_model()
    frame = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})
    with lazily():
        with pytest.raises(SchemaError, match='column "b" is missing'):
            model.probability(dd.from_pandas(frame[["a"]], npartitions=1))
        with pytest.raises(SchemaError, match='column "b" is large_string, but a numeric feature'):
            model.predict(dd.from_pandas(frame, npartitions=1))
        with pytest.raises(TypeError, match="give a dataframe"):
            model.probability(dd.from_pandas(frame.a, npartitions=1))


def test_decisions_and_reasons_of_a_dask_frame_are_text_in_every_partition() -> None:
    output = {"points": {"pdo": 20, "base_points": 600, "base_odds": 50}, "reasons": {"count": 2}}
    output |= {"bands": {"on": "points", "thresholds": [500.0], "names": ["low", "high"]}}
    text = json.dumps(
        {
            "format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.5, "output": output,
            "target": {"column": "y", "negative": "no", "positive": "yes"},
            "features": [{"kind": "numeric", "column": "x", "coefficient": 1.5, "missing": {"impute": 1.0}}],
        }
    )  # fmt: skip
    model = LogisticModel.from_json(text)
    frame = pd.DataFrame({"x": np.linspace(-2, 2, 8)})
    lazy, kept = dd.from_pandas(frame, npartitions=4), frame[frame.x > -1.0]
    lazy = lazy[lazy.x > -1.0]
    for method, names in (
        ("predict", None), ("band", None), ("points", None), ("reasons", ["reason_1", "reason_2"]),
        ("reason_texts", ["reason_1", "reason_2"]), ("points_by_feature", ["x"]),
    ):  # fmt: skip
        found, expected = getattr(model, method)(lazy), getattr(model, method)(kept)
        computed = found.compute(scheduler="sync")
        assert computed.to_numpy().tolist() == expected.tolist(), method
        assert names is None or list(computed.columns) == names
        assert (found.dtype == computed.dtype) if names is None else (found.dtypes == computed.dtypes).all()


@pytest.mark.parametrize("dtype", ["object", "category", "unknown category", "string[pyarrow]"])
def test_levels_may_be_text_or_categories_of_any_kind_in_a_frame_without_divisions(dtype: str) -> None:
    features = [{"column": "c", "kind": "categorical", "coefficients": {"AA": 0.1, "UA": -0.2}, "unseen": "zero"}]
    first = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0.1}
    model = LogisticModel.from_json(json.dumps(first | {"features": features}))
    frame = pd.DataFrame({"c": ["AA", "UA", "ZZ", None]}, index=pd.Index([7, 7, 2, 3], name="row"))
    known = frame.astype("category" if dtype == "unknown category" else dtype)
    with dask.config.set({"dataframe.convert-string": False}):
        lazy = dd.from_pandas(frame if dtype == "unknown category" else known, npartitions=2, sort=False)
        if dtype == "unknown category":
            lazy["c"] = lazy.c.astype("category")
        with lazily():
            found = model.probability(lazy)
        computed = found.compute(scheduler="sync")
    assert computed.index.equals(frame.index)
    assert same_bits(computed.to_numpy(), model.probability(frame))


def test_a_delayed_is_no_rows() -> None:
    with pytest.raises(TypeError, match="rows cannot be read from Delayed"):
        numeric_model().probability(dask.delayed(never)())


def test_networks_take_dask_frames_too(tmp_path: Path) -> None:
    features = [numeric("x", center=2.0, scale=3.0), categorical("c", ["AA", "UA"], unseen="zero")]
    described = {"features": features, "layers": layers(2, "tanh"), "head": "softmax", "classes": ["a", "b", "c"]}
    model = NetworkModel.load(written(tmp_path, drawn([3, 4, 3]), **described))
    frame = pd.DataFrame({"c": ["AA", "UA", "ZZ", "AA", None], "x": [1.0, 0.5, 5.5, 2.0, np.nan]}, index=list("vwxyz"))
    with lazily():
        found = model.predict_proba(dd.from_pandas(frame, npartitions=2))
    computed = found.compute(scheduler="sync")
    assert list(computed.columns) == ["probability_a", "probability_b", "probability_c"]
    assert computed.index.tolist() == list("vwxyz")
    np.testing.assert_array_equal(computed.to_numpy(), model.predict_proba(frame))
    with pytest.raises(ValueError, match="has 3 classes"):
        model.probability(dd.from_pandas(frame, npartitions=2))
