"""The model as people use it in Python."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import pickle
import stat
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from pipeline.errors import BadCellsError, DataError, InputMissingError, SchemaError
from pipeline.kernels import sigmoid
from pipeline.models import LogisticModel, ScoreBlock

DOCUMENT: dict[str, Any] = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "target": {"column": "late", "negative": "no", "positive": "yes"},
    "intercept": -0.5,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 1.25, "center": 2.0, "scale": 3.0},
        {"column": "c", "kind": "categorical", "coefficients": {"AA": 0.5, "UA": -0.75}, "unseen": "zero"},
    ],
    "training": {"rows": 3, "note": ["kept", {"as": "it is"}]},
}
X = [1.0, math.nan, 5.5, 2.0]
C = ["AA", "UA", "ZZ", None]


def model_of(**changes: Any) -> LogisticModel:
    return LogisticModel.from_json(json.dumps({**DOCUMENT, **changes}))


def numeric_model(missing: Any = "null") -> LogisticModel:
    features = [
        {"column": name, "kind": "numeric", "coefficient": weight, "missing": missing}
        for name, weight in (("a", 0.5), ("b", -1.5))
    ]
    return model_of(features=features, target={"negative": 0, "positive": 1})


def same_bits(first: Any, second: Any) -> bool:
    return bool(np.asarray(first).tobytes() == np.asarray(second).tobytes())


def tables() -> list[Any]:
    table = pa.table({"other": [object.__name__] * 4, "c": C, "x": pa.array(X)})
    return [
        table,
        pa.concat_tables([table.slice(0, 1), table.slice(1)]),
        table.combine_chunks().to_batches()[0],
        table.set_column(1, "c", table["c"].dictionary_encode()),
        {"x": X, "c": C},
        {"x": np.array(X, dtype=">f8"), "c": np.array(C, dtype=object)},
        {"x": pa.chunked_array([X[:2], X[2:]]), "c": pa.array(C)},
        np.array([[x, c] for x, c in zip(X, C, strict=True)], dtype=object),
        pl.DataFrame({"c": C, "x": X, "other": [1, 2, 3, 4]}),
    ]


@pytest.mark.parametrize("data", tables(), ids=lambda data: type(data).__name__)
def test_rows_give_the_same_bits_in_every_container(data: Any) -> None:
    model = model_of()
    (expected,) = ScoreBlock.of(model.file).block([pa.array(X), pa.array(C)]).arrays
    found = model.probability(data)
    assert found.dtype == np.float64
    assert same_bits(found, expected.to_numpy(zero_copy_only=False))
    assert np.isnan(found).tolist() == [False, True, False, True]
    both = model.predict_proba(data)
    assert both.shape == (4, 2)
    assert same_bits(both[:, 1], found)
    assert (both[:, 0] + both[:, 1]).tolist() == pytest.approx([1, math.nan, 1, math.nan], nan_ok=True)


def test_dataframes_of_pandas_are_read_by_name() -> None:
    import pandas

    frame = pandas.DataFrame({"odd": [object()] * 4, "c": C, "x": X}, index=[7, 8, 9, 10])
    assert same_bits(model_of().probability(frame), model_of().probability({"x": X, "c": C}))


def test_a_small_probability_keeps_its_digits_on_either_side() -> None:
    both = numeric_model().predict_proba(np.array([[80.0, 0.0], [-80.0, 0.0]]))
    assert both[0, 0] == pytest.approx(math.exp(-40 + 0.5), rel=1e-14)
    assert both[1, 1] == pytest.approx(math.exp(-40 - 0.5), rel=1e-14)


def test_temperature_alpha_and_beta_of_the_output_change_the_probability_alone() -> None:
    data = {"x": [100.0, -14.0, 0.9], "c": ["AA", "UA", "ZZ"]}
    plain = model_of()
    asked = model_of(output={"temperature": 2.0, "alpha": -1.5, "beta": 0.25, "threshold": 0.5})
    raw = plain.raw_prediction(data)
    assert same_bits(asked.raw_prediction(data), raw)
    expected = sigmoid((-1.5 * raw + 0.25) / 2.0)
    assert same_bits(asked.probability(data), expected)
    np.testing.assert_allclose(asked.predict_proba(data), np.stack([1 - expected, expected], axis=1), rtol=1e-12)
    assert asked.predict(data).tolist() == np.where(expected >= 0.5, "yes", "no").tolist()


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "int32", "uint8", "bool", "object", ">f8"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_of_any_numeric_type_and_layout(dtype: str, order: Any) -> None:
    data = np.array([[1, 0], [0, 1], [1, 1]], dtype=dtype, order=order)
    model = numeric_model()
    expected = model.probability({"a": [1.0, 0.0, 1.0], "b": [0.0, 1.0, 1.0]})
    assert same_bits(model.probability(data), expected)
    assert same_bits(model.probability(data[::-1]), expected[::-1])


def test_no_rows_give_no_scores() -> None:
    model = numeric_model()
    assert model.probability(np.empty((0, 2))).shape == (0,)
    assert model.predict_proba(pa.table({"a": pa.array([], "f8"), "b": pa.array([], "f8")})).shape == (0, 2)
    assert model.predict(np.empty((0, 2))).dtype == np.int64


def test_dask_arrays_give_the_bits_of_numpy_arrays() -> None:
    data = np.random.default_rng(3).normal(size=(1000, 2))
    data[5, 1] = np.nan
    model = numeric_model({"impute": 0.25})
    lazy = da.from_array(data, chunks=(300, 2))
    for name in ("probability", "predict_proba", "predict"):
        expected = getattr(model, name)(data)
        found = getattr(model, name)(lazy)
        assert isinstance(found, da.Array)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert same_bits(found.compute(scheduler="sync"), expected)
    assert model.probability(lazy).name == pickle.loads(pickle.dumps(model)).probability(lazy).name
    unknown = lazy[lazy[:, 0] > 0]
    assert same_bits(model.probability(unknown).compute(scheduler="sync"), model.probability(data[data[:, 0] > 0]))


@pytest.mark.parametrize("texts", [{}, {"x": {"text": "x is low"}}], ids=["codes", "texts"])
def test_models_of_version_2_take_rows_in_every_container_with_each_column_once(texts: Any) -> None:
    number = {"kind": "numeric", "column": "x", "coefficient": 0.5, "missing": {"impute": 1.0}}
    bins = {"kind": "binned", "column": "x", "name": "bins", "edges": [0.0], "coefficients": [-1.0, 2.0]}
    product = {"kind": "product", "terms": [{"column": "y"}, {"column": "x"}], "coefficient": -0.1}
    output = {"points": {"pdo": 20, "base_points": 600, "base_odds": 50}, "reasons": {"count": 2, "features": texts}}
    output |= {"bands": {"on": "points", "thresholds": [500.0], "names": ["low", "high"]}}
    first = {"format": "logitstream-model", "version": 2, "kind": "logistic", "intercept": 0.5, "output": output}
    model = LogisticModel.from_json(
        json.dumps(first | {"features": [number, bins, product], "offset": {"column": "w"}})
    )
    assert model.columns == ("w", "x", "y")
    matrix = np.random.default_rng(0).normal(size=(50, 3))
    matrix[::7, 1] = np.nan
    named = dict(zip(model.columns, matrix.T, strict=True))
    for method in ("probability", "contributions", "points", "points_by_feature", "band", "reasons", "reason_texts"):
        expected = getattr(model, method)(matrix)
        for data in (named, pa.table(named), pl.DataFrame(named), np.asfortranarray(matrix)):
            np.testing.assert_array_equal(getattr(model, method)(data), expected, method)
        lazy = getattr(model, method)(da.from_array(matrix, chunks=(20, 3)))
        assert (lazy.shape, lazy.dtype) == (expected.shape, expected.dtype)
        np.testing.assert_array_equal(lazy.compute(scheduler="sync"), expected, method)


def test_dask_arrays_cut_across_the_columns_are_refused_with_the_remedy() -> None:
    with pytest.raises(ValueError, match=r"data\.rechunk\(\{1: -1\}\)"):
        numeric_model().probability(da.zeros((10, 2), chunks=(5, 1)))
    with pytest.raises(ValueError, match=r"shape \(rows, 2\), got \(10, 3\)"):
        numeric_model().predict(da.zeros((10, 3)))


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({"negative": "no", "positive": "maybe"}, np.array(["no", "maybe"])),
        ({"negative": 3, "positive": 7}, np.array([3, 7])),
        ({"negative": 0.5, "positive": 1}, np.array([0.5, 1.0])),
        ({"negative": True, "positive": False}, np.array([True, False])),
        (None, np.array([False, True])),
    ],
)
def test_decisions_are_values_of_the_target(target: Any, expected: Any) -> None:
    found = model_of(target=target).predict({"x": [-9.0, 9.0], "c": ["AA", "AA"]})
    assert found.dtype == expected.dtype
    assert found.tolist() == expected.tolist()


def test_rows_without_a_decision_are_an_error() -> None:
    with pytest.raises(DataError, match="2 rows have no decision"):
        model_of().predict({"x": X, "c": C})


def test_rows_for_the_quarantine_have_no_score() -> None:
    model = numeric_model("quarantine")
    data = {"a": [1.0, None, math.nan, 2.0], "b": [1.0, 1.0, math.inf, 2.0]}
    for table in (data, pa.concat_tables([pa.table(data)] * 2).slice(4)):
        assert np.isnan(model.probability(table)).tolist() == [False, True, True, False]
        assert np.isnan(model.predict_proba(table)).tolist() == [[False] * 2, [True] * 2, [True] * 2, [False] * 2]
        with pytest.raises(DataError, match="2 rows have no decision"):
            model.predict(table)
    lazy = da.from_array(np.column_stack([[1.0, math.nan], [2.0, 2.0]]), chunks=(1, 2))
    assert np.isnan(model.probability(lazy).compute(scheduler="sync")).tolist() == [False, True]
    unseen = {**DOCUMENT["features"][1], "unseen": "quarantine", "missing": "quarantine"}
    decided = model_of(features=[unseen], target=None)
    assert decided.predict({"c": ["AA", "UA"]}).tolist() == [True, False]
    with pytest.raises(DataError, match="2 rows have no decision"):
        decided.predict({"c": ["AA", "ZZ", None]})
    policies = (("a", "quarantine"), ("b", "error"))
    mixed = [{"column": name, "kind": "numeric", "coefficient": 1, "missing": policy} for name, policy in policies]
    with pytest.raises(BadCellsError, match="row 1, column b: null is missing, and the model treats that as an error"):
        model_of(features=mixed).probability({"a": [None, None], "b": [1.0, None]})
    assert [(row.missing, row.unseen) for row in decided.coefficients()] == [("quarantine", "quarantine")] * 2


def test_bad_cells_are_named_with_their_row() -> None:
    model = numeric_model("error")
    table = pa.table({"a": pa.chunked_array([[1.0, 2.0], [3.0, None]]), "b": [1.0, 1.0, 1.0, 1.0]})
    with pytest.raises(BadCellsError, match="row 3, column a: null is missing"):
        model.probability(table)
    with pytest.raises(BadCellsError, match=r"row 0, column b: null is missing.* \(and 1 more row\)"):
        model.probability({"a": [1.0, None, 1.0], "b": [None, None, 1.0]})
    with pytest.raises(BadCellsError, match=rf"row 1, column b: {2**60} cannot be held exactly") as raised:
        model.probability({"a": [1, 2], "b": [1, 2**60]})
    assert raised.value.remedy.startswith("make the column float64, which rounds it")
    assert model.probability({"a": [1, 2], "b": np.array([1, 2**60], np.float64)}).size == 2


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        ({"y": X, "c": C}, SchemaError, 'column "x" is missing; did you mean "y"?|column "x" is missing'),
        ({"a": X}, SchemaError, 'column "x" is missing(.|\n)*column "c" is missing'),
        ({"x": C, "c": C}, SchemaError, 'column "x" is string, but a numeric feature'),
        ({"x": X, "c": pa.array([1] * 4, pa.date32())}, SchemaError, 'column "c" is date32.*a categorical feature'),
        ({"x": X, "c": C[:2]}, ValueError, "columns differ in length: x 4, c 2"),
        ({"x": [object()], "c": C[:1]}, SchemaError, 'column "x" cannot be read'),
        (pa.table([X, X, C], names=["x", "x", "c"]), SchemaError, 'column "x" is there 2 times'),
        (np.zeros(3), ValueError, r"an array must have shape \(rows, 2\) with the columns x, c; got \(3,\)"),
        (np.zeros((3, 3)), ValueError, r"got \(3, 3\)"),
        (np.ma.zeros((3, 2)), TypeError, "masked arrays are not supported"),
        ([[1.0, "AA"]], TypeError, "rows cannot be read from list"),
        (pl.Series("x", X), SchemaError, "cannot be read as a table"),
    ],
)
def test_rows_that_do_not_fit_are_refused(data: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        model_of().probability(data)


def test_columns_of_only_none_are_missing_values() -> None:
    assert np.isnan(model_of().probability({"x": [None, None], "c": [None, None]})).all()


def test_a_saved_model_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    model = model_of()
    model.save(path)
    again = LogisticModel.load(str(path))
    assert again == model
    assert hash(again) == hash(model)
    assert again.digest() == model.digest()
    assert again.training == DOCUMENT["training"]
    assert again.to_json() == model.to_json() == path.read_text()
    assert pickle.loads(pickle.dumps(model)) == model


def test_saving_replaces_in_one_step_and_keeps_the_mode(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_text("former")
    path.chmod(0o640)
    link = tmp_path / "link.json"
    link.symlink_to(path)
    model_of().save(link)
    assert link.is_symlink()
    assert LogisticModel.load(path) == model_of()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.json", "model.json"]


def test_a_new_file_has_the_mode_of_the_umask(tmp_path: Path) -> None:
    former = os.umask(0o027)
    try:
        model_of().save(tmp_path / "model.json")
    finally:
        os.umask(former)
    assert stat.S_IMODE((tmp_path / "model.json").stat().st_mode) == 0o640


def test_where_a_model_cannot_be_saved_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError):
        model_of().save(tmp_path / "none" / "model.json")
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        model_of().save(tmp_path / "folder")
    assert [entry.name for entry in tmp_path.iterdir()] == ["folder"]


def test_a_model_cannot_be_changed() -> None:
    model = model_of()
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.file = model.file  # type: ignore[misc]
    with pytest.raises(ValueError, match="frozen"):
        model.features[0].coefficient = 3.0  # type: ignore[union-attr]


def test_coefficients_are_rows_of_a_table() -> None:
    rows = model_of().coefficients()
    assert [(row.column, row.level, row.coefficient, row.missing, row.unseen) for row in rows] == [
        ("x", "", 1.25, "null", ""),
        ("c", "AA", 0.5, "null", "zero"),
        ("c", "UA", -0.75, "null", "zero"),
    ]
    assert numeric_model({"impute": 0.5}).coefficients()[0].missing == "impute 0.5"
