"""The public functions on series and frames, and on xarray: what comes back, and what stays lazy."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
import pytest

import pipeline

pd = pytest.importorskip("pandas", reason="pandas is not installed")
dd = pytest.importorskip("dask.dataframe", reason="dask.dataframe needs pandas")

X = np.array([-800.0, -1.5, np.nan, 0.0, 2.0, np.inf])
ROWS = pd.Index(list("abcdef"), name="row")


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("something was computed")


def computed(lazy: Any) -> Any:
    return lazy.compute(scheduler="sync")


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16"])
def test_a_series_of_pandas_keeps_index_name_and_float_type(dtype: str) -> None:
    series = pd.Series(X.astype(dtype), index=ROWS, name="x")
    found = pipeline.sigmoid(series)
    pd.testing.assert_series_equal(found, pd.Series(pipeline.sigmoid(X.astype(dtype)), index=ROWS, name="x"))
    slopes = pipeline.tanh_grad(value=pipeline.tanh(series))
    expected = pipeline.tanh_grad(value=pipeline.tanh(X.astype(dtype)))
    pd.testing.assert_series_equal(slopes, pd.Series(expected, index=ROWS, name="x"))


@pytest.mark.parametrize(
    ("dtype", "result"),
    [
        ("int64", "float64"), ("bool", "float64"), ("Int64", "Float64"), ("boolean", "Float64"), ("Float32", "Float32"),
        ("int8[pyarrow]", "double[pyarrow]"), ("float[pyarrow]", "float[pyarrow]"), ("category", "float64"),
        ("Sparse[float64]", "float64"),
    ],
)  # fmt: skip
def test_types_with_nulls_stay_types_with_nulls(dtype: str, result: str) -> None:
    nullable = result[0] == "F" or "pyarrow" in result
    series = pd.Series([1, None if nullable else 1, 0], dtype=dtype)
    found = pipeline.sigmoid(series)
    assert str(found.dtype) == result
    assert found.isna().tolist() == [False, nullable, False]
    assert (
        found.tolist()[::2]
        == pipeline.sigmoid(np.array([1, 0], "f4" if result in {"Float32", "float[pyarrow]"} else "f8")).tolist()
    )


def test_what_is_nan_in_a_nullable_type_stays_nan_beside_null() -> None:
    found = pipeline.logit(pd.Series([2.0, None, 0.5], dtype="Float64"))
    assert found.array._mask.tolist() == [False, True, False]
    assert np.isnan(found.array._data[0])


def test_a_frame_of_pandas_keeps_its_labels_and_the_type_of_each_column() -> None:
    frame = pd.DataFrame({"a": X, "b": X.astype("f4")}, index=ROWS).assign(c=1)
    frame.columns = pd.Index(["a", "b", "a"], name="columns")
    found = pipeline.relu(frame)
    assert found.index.equals(ROWS)
    assert found.columns.equals(frame.columns)
    assert list(found.dtypes) == ["float64", "float32", "float64"]
    np.testing.assert_array_equal(found.to_numpy(), pipeline.relu(frame.to_numpy()))
    shares = pipeline.softmax(frame.iloc[[1, 3, 4]])
    np.testing.assert_array_equal(shares, pipeline.softmax(frame.iloc[[1, 3, 4]].to_numpy()))
    assert shares.columns.equals(frame.columns)
    assert pipeline.sigmoid(pd.Index([0, 1], name="i")).equals(pd.Index(pipeline.sigmoid([0, 1])))
    assert pipeline.sigmoid(pd.DataFrame(index=ROWS)).shape == (6, 0)


def test_an_array_of_pandas_keeps_its_nulls() -> None:
    found = pipeline.sigmoid(pd.array([0, None], dtype="Int64"))
    assert found.dtype == "Float64"
    assert found.isna().tolist() == [False, True]
    assert found[0] == 0.5


def test_text_is_refused_with_its_column_and_out_with_its_library() -> None:
    frame = pd.DataFrame({"a": [1.0], "t": ["x"]})
    for data in (frame, dd.from_pandas(frame, npartitions=1)):
        with pytest.raises(TypeError, match=r"column 't': expected booleans, integers, .*got"):
            pipeline.sigmoid(data)
    for data, library in ((frame.a, "pandas"), (dd.from_pandas(frame.a, npartitions=1), "dask")):
        with pytest.raises(TypeError, match=f"out= works only with numpy arrays, not with data of {library}"):
            pipeline.sigmoid(data, out=np.empty(1))


def test_series_and_frames_of_polars_come_back_with_their_nulls() -> None:
    pl = pytest.importorskip("polars", reason="Polars is not installed")
    for values, dtype in (
        ([1.5, None, float("nan")], pl.Float32),
        ([1, None, 0], pl.Int64),
        ([True, None], pl.Boolean),
    ):
        series = pl.Series("x", values, dtype=dtype)
        found = pipeline.sigmoid(series)
        plain = np.array([np.nan if v is None else v for v in values], "f4" if dtype == pl.Float32 else "f8")
        assert (found.name, found.dtype) == ("x", pl.Float32 if dtype == pl.Float32 else pl.Float64)
        assert found.is_null().to_list() == series.is_null().to_list()
        np.testing.assert_array_equal(found.to_numpy(), pipeline.sigmoid(plain))
    frame = pl.DataFrame({"a": [0.0, 1.0], "b": [2, 3]})
    assert pipeline.tanh(frame).equals(pl.DataFrame({"a": np.tanh([0.0, 1.0]), "b": pipeline.tanh([2, 3])}))
    shares = pipeline.softmax(frame)
    np.testing.assert_array_equal(shares.to_numpy(), pipeline.softmax(frame.to_numpy()))
    assert shares.columns == ["a", "b"]
    with pytest.raises(TypeError, match="column 't'"):
        pipeline.tanh(pl.DataFrame({"t": ["x"]}))


def test_dask_series_and_frames_stay_lazy_with_partitions_index_names_and_meta() -> None:
    frame = pd.DataFrame({"x": X, "y": X[::-1].astype("f4"), "n": 1}, index=pd.RangeIndex(10, 16, name="row"))
    lazy = dd.from_pandas(frame, npartitions=3)
    with dask.config.set(scheduler=never):
        results = {
            "series": (pipeline.sigmoid(lazy.x, temperature=2), pipeline.sigmoid(frame.x, temperature=2)),
            "slopes": (pipeline.gelu_grad(lazy.y), pipeline.gelu_grad(frame.y)),
            "by value": (pipeline.tanh_grad(value=lazy.y), pipeline.tanh_grad(value=frame.y)),
            "frame": (pipeline.relu(lazy), pipeline.relu(frame)),
            "rows": (pipeline.softmax(lazy), pipeline.softmax(frame)),
            "index": (pipeline.sigmoid(lazy.reset_index().index), pipeline.sigmoid(pd.RangeIndex(2))),
        }
    for name, (found, expected) in results.items():
        assert found.npartitions == 3, name
        if name == "index":
            assert computed(found).tolist() == pipeline.sigmoid([0, 1] * 3).tolist()
            continue
        assert found.divisions == lazy.divisions, name
        same = pd.testing.assert_series_equal if expected.ndim == 1 else pd.testing.assert_frame_equal
        same(found._meta, expected.iloc[:0])
        same(computed(found), expected)
    with pytest.raises(ValueError, match=r"separate partitions; join them: x\.repartition\(npartitions=1\)"):
        pipeline.softmax(lazy, axis=0)
    with pytest.raises(ValueError, match="separate partitions"):
        pipeline.softmax(lazy.x)
    whole = computed(pipeline.softmax(lazy.x.repartition(npartitions=1)))
    pd.testing.assert_series_equal(whole, pipeline.softmax(frame.x))


@pytest.mark.parametrize("index", [None, "row"])
@pytest.mark.parametrize(
    "dtype", ["float32", "int16", "bool", "Int64", "Float32", "boolean", "int64[pyarrow]", "float[pyarrow]", "category"]
)
def test_a_dask_series_of_any_type_without_divisions_and_with_empty_partitions_is_what_pandas_gives(
    dtype: str, index: str | None
) -> None:
    values = pd.array([1, 0, 1, 1, 0, 1], dtype="bool" if dtype in {"bool", "boolean"} else "int64")
    series = pd.Series(values, name="x", index=pd.Index([5, 5, 1, 0, 9, 9], name=index)).astype(dtype)
    if dtype in {"Int64", "boolean", "int64[pyarrow]"}:
        series.iloc[3] = None
    kept = np.array([True, True, False, False, True, True])
    lazy = dd.from_pandas(pd.DataFrame({"x": series, "kept": kept}), npartitions=3, sort=False)
    lazy = lazy[lazy.kept]
    with dask.config.set(scheduler=never):
        found = pipeline.sigmoid(lazy.x)
    assert (found.npartitions, found.known_divisions, found.name, found.index.name) == (3, False, "x", index)
    expected = pipeline.sigmoid(series[kept])
    pd.testing.assert_series_equal(found._meta, expected.iloc[:0])
    pd.testing.assert_series_equal(computed(found), expected)


def test_dask_arrays_without_known_chunks_or_dimensions_stay_lazy() -> None:
    unknown = da.from_array(X, chunks=2)
    unknown = unknown[unknown < 1]
    with dask.config.set(scheduler=never):
        found, number = pipeline.tanh(unknown), pipeline.tanh(da.from_array(np.array(2, dtype="i1")))
    assert (found.numblocks, number.shape, number.dtype) == ((3,), (), np.float64)
    assert np.isnan(found.chunks[0]).all()
    np.testing.assert_array_equal(computed(found), pipeline.tanh(X[X < 1]))
    assert computed(number) == pipeline.tanh(2)


def test_what_has_no_type_before_it_is_computed_is_refused() -> None:
    with pytest.raises(TypeError, match=r"a Dask scalar is one number: compute\(\) it first"):
        pipeline.sigmoid(dd.from_pandas(pd.Series(X), npartitions=2).sum())
    with pytest.raises(TypeError, match=r"expected booleans, integers, .* got object"):
        pipeline.sigmoid(dask.delayed(never)())


def test_the_same_call_on_a_dask_series_has_the_same_name_and_another_call_another() -> None:
    lazy = dd.from_pandas(pd.Series(X), npartitions=2)
    names = [pipeline.sigmoid(lazy, temperature=t)._name for t in (1, 1, 2)]
    assert names[0] == names[1] != names[2]


def test_data_of_xarray_keeps_dimensions_coordinates_attributes_and_chunks() -> None:
    xr = pytest.importorskip("xarray", reason="xarray is not installed")
    values = np.arange(12.0).reshape(4, 3) - 6
    plain = xr.DataArray(values, dims=("t", "c"), coords={"t": [1, 2, 3, 4]}, name="v", attrs={"units": "m"})
    lazy = plain.chunk({"t": 2})
    with dask.config.set(scheduler=never):
        found = pipeline.sigmoid(lazy)
        shares = pipeline.softmax(lazy)
        both = pipeline.relu(lazy.to_dataset())
    assert isinstance(found.data, da.Array)
    assert (found.chunks, found.dims, found.name, found.attrs) == (((2, 2), (3,)), ("t", "c"), "v", {"units": "m"})
    xr.testing.assert_identical(computed(found), plain.copy(data=pipeline.sigmoid(values)))
    xr.testing.assert_identical(pipeline.sigmoid(plain), plain.copy(data=pipeline.sigmoid(values)))
    assert shares.chunks == ((2, 2), (3,))
    np.testing.assert_array_equal(computed(shares), pipeline.softmax(values))
    assert both.v.chunks == ((2, 2), (3,))
    xr.testing.assert_identical(computed(pipeline.tanh_grad(lazy)), plain.copy(data=pipeline.tanh_grad(values)))


def test_coordinates_stay_and_what_is_wrong_in_data_of_xarray_is_named() -> None:
    xr = pytest.importorskip("xarray", reason="xarray is not installed")
    values = np.arange(12.0).reshape(4, 3)
    coordinates = {"t": [1, 2, 3, 4], "area": (("t", "c"), values), "height": 5.0}
    plain = xr.DataArray(values, dims=("t", "c"), coords=coordinates, name="v")
    lazy = plain.chunk({"t": 2, "c": 2})
    with dask.config.set(scheduler=never):
        found = pipeline.sigmoid(lazy)
        for axis, dimension in ((-1, "c"), (0, "t")):
            with pytest.raises(ValueError, match=rf"'{dimension}' is in separate .*x\.chunk\({{'{dimension}': -1}}\)"):
                pipeline.softmax(lazy, axis=axis)
        with pytest.raises(TypeError, match="variable 's': expected booleans"):
            pipeline.relu(lazy.to_dataset().assign(s=("t", list("abcd"))))
        whole = pipeline.softmax(lazy.to_dataset().chunk({"c": -1}))
    xr.testing.assert_identical(computed(found), plain.copy(data=pipeline.sigmoid(values)))
    assert found.area.chunks == lazy.area.chunks
    xr.testing.assert_identical(computed(whole), plain.copy(data=pipeline.softmax(values)).to_dataset())
