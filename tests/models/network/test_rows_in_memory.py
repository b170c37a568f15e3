"""Networks score rows in memory as they score files, by the methods of logistic models."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import pipeline as logitstream
from pipeline.errors import BadCellsError, DataError, InputMissingError, ModelError, SchemaError, UsageError
from pipeline.models import LogisticModel, ScoreRequest, load_model, score_block
from pipeline.models.network.model import NetworkModel
from tests.models.network.networks import categorical, columns, drawn, layers, numeric, written

FEATURES = [numeric("x", center=2.0, scale=3.0), categorical("c", ["AA", "UA"], unseen="zero")]
X = np.array([1.0, np.nan, 5.5, 2.0])
C = ["AA", "UA", "ZZ", None]
CLASSES: dict[str, Any] = {"head": "softmax", "classes": ["a", "b", "c"]}


def network(folder: Path, outputs: int = 1, **content: Any) -> NetworkModel:
    other = CLASSES if outputs > 1 else {"target": {"column": "late", "negative": "no", "positive": "yes"}}
    described = {"features": FEATURES, "layers": layers(2, "tanh")}
    return NetworkModel.load(written(folder, drawn([3, 4, outputs]), **{**described, **other, **content}))


def scored(model: NetworkModel, arrays: list[pa.Array], name: str) -> np.ndarray:
    block = score_block(model, ScoreRequest(raw_prediction=True))
    position = [field.name for field in block.fields()].index(name)
    return block.block(arrays).arrays[position].to_numpy(zero_copy_only=False)


def test_all_forms_of_rows_give_the_bits_of_a_file(tmp_path: Path) -> None:
    model = network(tmp_path)
    table = pa.table({"other": [1] * 4, "c": C, "x": pa.array(X)})
    expected = scored(model, [pa.array(X), pa.array(C)], "probability")
    expected[[1, 3]] = np.nan
    matrix = np.array([X, C], dtype=object).T
    forms = [
        table,
        table.to_batches()[0],
        {"x": X, "c": C},
        pd.DataFrame({"x": X, "c": C}),
        pl.DataFrame(table),
        matrix,
    ]
    for rows in forms:
        found = model.probability(rows)
        np.testing.assert_array_equal(found, expected)
        assert np.isfinite(found[[0, 2]]).all()
        np.testing.assert_array_equal(model.predict_proba(rows)[:, 1], found)
        np.testing.assert_allclose(model.predict_proba(rows).sum(axis=1)[[0, 2]], 1, rtol=1e-15)
        np.testing.assert_allclose(1 / (1 + np.exp(-model.raw_prediction(rows))), found, rtol=1e-14)
    assert model.columns == ("x", "c")
    assert model.classes == ("no", "yes")


def test_decisions_are_values_of_the_target(tmp_path: Path) -> None:
    model = network(tmp_path, output={"threshold": 0.25})
    rows = {"x": np.linspace(-9, 9, 50), "c": ["AA", "UA"] * 25}
    np.testing.assert_array_equal(model.predict(rows) == "yes", model.probability(rows) >= 0.25)
    with pytest.raises(DataError, match="2 rows have no decision"):
        model.predict({"x": X, "c": C})


def test_classes_have_a_column_each(tmp_path: Path) -> None:
    model = network(tmp_path, 3)
    rows = {"x": np.linspace(-9, 9, 50), "c": ["AA", "UA"] * 25}
    probabilities, raw = model.predict_proba(rows), model.raw_prediction(rows)
    assert probabilities.shape == raw.shape == (50, 3)
    np.testing.assert_allclose(probabilities, np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True), rtol=1e-13)
    assert list(model.predict(rows)) == [model.classes[place] for place in raw.argmax(axis=1)]
    with pytest.raises(ValueError, match="3 classes"):
        model.probability(rows)


def test_sequences_are_lists_or_arrays(tmp_path: Path) -> None:
    tensors = {"w": np.full((8, 3), 0.25), "h": np.full((8, 2), -0.5), "d": np.ones((1, 2))}
    described = [{"kind": "lstm", "input_weight": "w", "hidden_weight": "h"}, {"kind": "last"}]
    features = [{"column": "s", "kind": "sequence", "width": 3}]
    content = {"features": features, "layers": [*described, {"kind": "dense", "weight": "d"}]}
    model = NetworkModel.load(written(tmp_path, tensors, **content))
    rows = np.random.default_rng(0).normal(size=(50, 4, 3))
    rows[7, 2, 1] = np.nan
    expected = model.probability(pa.table({"s": rows.tolist()}))
    assert np.isnan(expected[7])
    for given in (rows, {"s": rows}, {"s": rows.reshape(50, 12)}, {"s": rows.tolist()}, {"s": rows[:, ::1].copy("F")}):
        np.testing.assert_array_equal(model.probability(given), expected)
    assert model.probability(rows[:0]).shape == (0,)
    assert np.isnan(model.probability(rows[:, :0])).all()
    assert np.isfinite(model.probability(rows[:3].astype(">f4"))).all()
    with pytest.raises(ValueError, match=r"not \(50, 4, 3, 1\)"):
        model.probability({"s": rows[..., None]})
    with pytest.raises(ValueError, match="shape"):
        model.probability(rows[..., None])
    with pytest.raises(ValueError, match=r"shape \(rows, 1\).*got \(50, 12\)"):
        model.probability(rows.reshape(50, 12))


def test_a_dask_array_gives_a_dask_array_with_the_same_bits(tmp_path: Path) -> None:
    plain = NetworkModel.load(
        written(tmp_path, drawn([3, 4, 1]), features=columns(3), layers=layers(2, "tanh"), output={"threshold": 0.5})
    )
    rows = np.random.default_rng(0).normal(size=(2500, 3))
    lazy = da.from_array(rows, chunks=(700, 3))
    for method in (plain.probability, plain.predict_proba, plain.raw_prediction, plain.predict):
        found = method(lazy)
        assert isinstance(found, da.Array)
        np.testing.assert_array_equal(found.compute(scheduler="sync"), method(rows))


def test_points_are_those_of_the_scale(tmp_path: Path) -> None:
    output = {"columns": ["probability", "points"], "points": {"base_points": 600, "base_odds": 30, "pdo": 20}}
    model = network(tmp_path, output=output)
    raw, points = model.raw_prediction({"x": [1.0], "c": ["AA"]}), model.points({"x": [1.0], "c": ["AA"]})
    factor = 20 / np.log(2)
    assert abs(abs(points - (600 - factor * np.log(30))) - abs(factor * raw))[0] <= 1
    with pytest.raises(ValueError, match="bands"):
        model.band({"x": [1.0], "c": ["AA"]})


def test_bad_cells_and_columns_are_named(tmp_path: Path) -> None:
    model = network(tmp_path, features=[numeric("x", missing="error"), FEATURES[1]])
    with pytest.raises(BadCellsError, match="row 1, column x"):
        model.probability({"x": X, "c": C})
    with pytest.raises(SchemaError, match='"c" is missing'):
        model.probability({"x": X})


def test_a_network_is_equal_to_another_with_the_same_content(tmp_path: Path) -> None:
    model = network(tmp_path / "one")
    saved = model.save(tmp_path / "other.json")
    assert saved == model
    assert hash(saved) == hash(model)
    assert Path(saved.path) == tmp_path / "other.safetensors"
    assert saved.digest() == load_model(tmp_path / "other.json").digest() == model.digest()
    assert pickle.loads(pickle.dumps(model)).probability({"x": X, "c": C})[0] == model.probability({"x": X, "c": C})[0]
    assert "dense, 3 to 4, tanh" in repr(model)
    assert "NetworkModel" in model._repr_html_()


def test_saving_says_what_is_wrong(tmp_path: Path) -> None:
    model = network(tmp_path)
    with pytest.raises(UsageError, match="file of weights"):
        model.save(tmp_path / "model.safetensors")
    with pytest.raises(InputMissingError):
        model.save(tmp_path / "nowhere" / "model.json")
    with (tmp_path / "model.safetensors").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match="has changed"):
        model.save(tmp_path / "other.json")


def test_each_kind_is_loaded_by_its_class(tmp_path: Path) -> None:
    network(tmp_path)
    with pytest.raises(ModelError, match="is a network") as raised:
        LogisticModel.load(tmp_path / "model.json")
    assert "NetworkModel.load" in str(raised.value.remedy)
    features = [{"column": "x", "kind": "numeric", "coefficient": 1}]
    logistic = {"format": "logitstream-model", "version": 1, "kind": "logistic", "intercept": 0, "features": features}
    (tmp_path / "logistic.json").write_text(json.dumps(logistic))
    with pytest.raises(ModelError, match="logistic model, not a network"):
        logitstream.NetworkModel.load(tmp_path / "logistic.json")
