"""Datasets as Dask arrays: what can be written, and what is refused before any work."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask
import dask.array as da
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.arrays import Dataset
from pipeline.arrays.places import RowPlaces
from pipeline.errors import BadCellsError, FunctionError, InputChangedError, SchemaError, UsageError
from pipeline.types.inputs import CsvOptions

ROWS = 1_000


@pytest.fixture
def table() -> pa.Table:
    random = np.random.default_rng(7)
    x = random.normal(size=ROWS)
    return pa.table(
        {
            "id": pa.array(range(ROWS), pa.int64()),
            "x": pa.array(x, mask=random.random(ROWS) < 0.05),
            "n": pa.array(random.integers(0, 9, ROWS), pa.int8()),
            "flag": pa.array(random.random(ROWS) < 0.5),
            "name": pa.array([f"name {i}" for i in range(ROWS)]),
        }
    )


@pytest.fixture
def dataset(table: pa.Table, tmp_path: Path) -> Dataset:
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    return pipeline.open_dataset(tmp_path / "in.parquet", chunk_size=300)


def doubles(table: pa.Table, name: str) -> np.ndarray:
    return table[name].cast(pa.float64()).to_numpy()


def written(folder: Path) -> pa.Table:
    return pq.read_table(folder)


def test_a_dataset_gives_one_fortran_ordered_block_a_chunk(dataset: Dataset, table: pa.Table) -> None:
    x = dataset.to_dask_array(["x", "n", "flag"])
    assert x.shape == (ROWS, 3)
    assert x.chunks[0] == (300, 300, 300, 100)
    assert x.dtype == np.float64
    assert x.to_delayed()[1, 0].compute(scheduler="sync").flags.f_contiguous
    expected = np.column_stack([doubles(table, name) for name in ("x", "n", "flag")])
    np.testing.assert_array_equal(x.compute(scheduler="sync"), expected)


def test_one_column_by_its_name_has_one_dimension_and_a_list_or_several_have_two(
    dataset: Dataset, table: pa.Table, tmp_path: Path
) -> None:
    one = dataset.to_dask_array("x")
    assert (one.shape, one.chunks, one.dtype) == ((ROWS,), ((300, 300, 300, 100),), np.float64)
    np.testing.assert_array_equal(one.compute(scheduler="sync"), doubles(table, "x"))
    assert one.partitions[3].compute(scheduler="sync").shape == (100,)
    listed, several = dataset.to_dask_array(["x"]), dataset.to_dask_array("x, n")
    assert (listed.shape, several.shape) == ((ROWS, 1), (ROWS, 2))
    dataset.write({"p": one + listed[:, 0], "q": several[:, 1] - one}, str(tmp_path / "out"))
    out = written(tmp_path / "out")
    np.testing.assert_array_equal(out["p"].to_numpy(), 2 * doubles(table, "x"))
    np.testing.assert_array_equal(out["q"].to_numpy(), doubles(table, "n") - doubles(table, "x"))


def test_one_column_of_one_chunk_cannot_use_rows_of_others_either(table: pa.Table, tmp_path: Path) -> None:
    pq.write_table(table, tmp_path / "in.parquet")
    dataset = pipeline.open_dataset(tmp_path / "in.parquet")
    x = dataset.to_dask_array("x")
    np.testing.assert_array_equal(x.compute(scheduler="sync"), doubles(table, "x"))
    with pytest.raises(ValueError, match=r"p: mean.*other chunks"):
        dataset.write({"p": x - x.mean()}, str(tmp_path / "out"))
    dataset.write({"p": pipeline.sigmoid(x)}, str(tmp_path / "out"))
    np.testing.assert_array_equal(written(tmp_path / "out")["p"].to_numpy(), pipeline.sigmoid(doubles(table, "x")))


@pytest.mark.parametrize("chunk_size", [300, 5_000], ids=["chunks", "one chunk"])
@pytest.mark.parametrize("select", [lambda x: x[x > 0], lambda x: pipeline.sigmoid(x[~np.isnan(x)]) * 2])
def test_an_array_selected_by_a_condition_says_that_rows_were_dropped(
    table: pa.Table, tmp_path: Path, select: Callable[[Any], Any], chunk_size: int
) -> None:
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    dataset = pipeline.open_dataset(tmp_path / "in.parquet", chunk_size=chunk_size)
    x = dataset.to_dask_array("x")
    with pytest.raises(ValueError, match=r"p: rows were dropped.*x\[x > 50\].*keep every row"):
        dataset.write({"p": select(x)}, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def lengths_computed(x: Any) -> Any:
    with dask.config.set(scheduler="sync"):
        return x.compute_chunk_sizes()


def through_a_dataframe(x: Any) -> Any:
    return pytest.importorskip("dask.dataframe").from_dask_array(x).values


@pytest.mark.parametrize("chunk_size", [300, 5_000], ids=["chunks", "one chunk"])
@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda x: x[:10], "the array has 10 rows, the dataset 1,000: rows were dropped"),
        (lambda x: x[300:], "the array has 700 rows, the dataset 1,000: rows were dropped"),
        (lambda x: x[::2], "the array has 500 rows, the dataset 1,000: rows were dropped"),
        (lambda x: x[np.arange(1_000) < 4], "the array has 4 rows, the dataset 1,000: rows were dropped"),
        (lambda x: da.concatenate([x, x]), "the array has 2,000 rows, the dataset 1,000: rows were added"),
        (lambda x: da.append(x, x[:1]), "the array has 1,001 rows, the dataset 1,000: rows were added"),
        (lambda x: lengths_computed(x[x > 499]), "the array has 500 rows, the dataset 1,000: rows were dropped"),
        (lambda x: x[x > x.mean()], r"mean\S* needs rows of other chunks .*compute such a value first"),
        (lambda x: da.nonzero(x)[0], "rows were dropped: an array selected by a condition"),
        (lambda x: x[:, None][x > 499][:, 0], "rows were dropped: an array selected by a condition"),
        (da.unique, r"unique\S* needs rows of other chunks .*compute such a value first"),
        (lambda x: x.rechunk(50), r"rechunk\S* needs rows of other chunks .*keep each row in its block, without re"),
        (lambda x: x.rechunk(-1), "(rechunk-merge needs rows|the blocks do not have the rows).*without rechunk"),
        (through_a_dataframe, r"Dask does not know how many rows the blocks have.*call compute_chunk_sizes\(\)"),
    ],
)  # fmt: skip
def test_what_is_told_of_an_array_with_other_rows_is_true(
    table: pa.Table, tmp_path: Path, change: Callable[[Any], Any], told: str, chunk_size: int
) -> None:
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    dataset = pipeline.open_dataset(tmp_path / "in.parquet", chunk_size=chunk_size)
    with pytest.raises(ValueError, match=f"p: {told}"):
        dataset.write({"p": change(dataset.to_dask_array("id"))}, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("chunk_size", [300, 5_000], ids=["chunks", "one chunk"])
@pytest.mark.parametrize(
    "keep",
    [lambda x: x[x >= 0], through_a_dataframe, lambda x: x[:, None].ravel(), lambda x: x[:1_000]],
    ids=["a condition", "a dataframe", "ravel", "a slice"],
)
def test_an_array_of_computed_lengths_that_kept_every_row_is_written(
    table: pa.Table, tmp_path: Path, keep: Callable[[Any], Any], chunk_size: int
) -> None:
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    dataset = pipeline.open_dataset(tmp_path / "in.parquet", chunk_size=chunk_size)
    p = lengths_computed(keep(dataset.to_dask_array("id")) * 2)
    dataset.write({"p": p}, str(tmp_path / "out"))
    np.testing.assert_array_equal(written(tmp_path / "out")["p"].to_numpy(), 2 * doubles(table, "id"))


class UnpicklableError(Exception):
    def __init__(self, one: str, other: str) -> None:
        super().__init__(one + other)


def fail_in_the_second_chunk(block: np.ndarray) -> np.ndarray:
    if block.size and block[0] == 300.0:
        raise ZeroDivisionError("by \x1b nothing")
    return block


def fail_and_cannot_travel(block: np.ndarray) -> np.ndarray:
    if block.size and block[0] == 300.0:
        raise UnpicklableError("a", "b")
    return block


@pytest.mark.parametrize("scheduler", ["threads", "sync", pytest.param("processes", marks=pytest.mark.slow)])
def test_an_error_in_a_function_names_chunk_file_and_rows_and_keeps_its_cause(
    dataset: Dataset, tmp_path: Path, scheduler: str
) -> None:
    p = dataset.to_dask_array("id").map_blocks(fail_in_the_second_chunk, dtype=np.float64)
    place = r"chunk 1: .*in\.parquet, rows 301 to 600: computing p raised ZeroDivisionError: by \\x1b nothing"
    with pytest.raises(FunctionError, match=place) as caught:
        dataset.write({"p": p}, str(tmp_path / "out"), scheduler=scheduler, workers=1)
    cause = caught.value.__cause__
    assert type(cause) is ZeroDivisionError
    told = "".join(traceback.format_exception(cause))
    assert "fail_in_the_second_chunk" in told
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_a_cause_that_cannot_leave_its_process_is_told(dataset: Dataset, tmp_path: Path) -> None:
    p = dataset.to_dask_array("id").map_blocks(fail_and_cannot_travel, dtype=np.float64)
    with pytest.raises(FunctionError, match="rows 301 to 600: computing p raised UnpicklableError: ab") as caught:
        dataset.write({"p": p}, str(tmp_path / "out"), scheduler="processes", workers=1)
    assert "fail_and_cannot_travel" in "".join(caught.value.__notes__)


def test_rows_are_counted_in_the_file_that_they_are_in(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, rows in enumerate((7, 2, 3)):
        lines = [f"{10 * number + row}\n" for row in range(rows)]
        (tmp_path / "in" / f"{number}.csv").write_text("x\n" + "".join(lines))
    dataset = pipeline.open_dataset(tmp_path / "in", chunk_size="6B")
    places = RowPlaces(dataset.plan, dataset.files, dataset._counted.rows)
    told = [places.of(chunk) for chunk, rows in enumerate(places.rows) if rows]
    assert told == [
        "chunk 0: 0.csv, rows 1 to 2", "chunk 1: 0.csv, rows 3 to 5", "chunk 2: 0.csv, rows 6 to 7",
        "chunk 3: 1.csv, rows 1 to 2", "chunk 5: 2.csv, rows 1 to 2", "chunk 6: 2.csv, rows 3 to 3",
    ]  # fmt: skip
    whole = pipeline.open_dataset(tmp_path / "in")
    assert RowPlaces(whole.plan, whole.files, whole._counted.rows).of(0) == "chunk 0: 0.csv and 2 more files, 12 rows"


def test_columns_that_are_not_numbers_are_a_type_error(dataset: Dataset) -> None:
    with pytest.raises(TypeError, match=r"in\.parquet: column name is text; only numeric and boolean"):
        dataset.to_dask_array(["x", "name"])
    with pytest.raises(SchemaError, match="nothing"):
        dataset.to_dask_array(["nothing"])


def test_affine_and_sigmoid_are_published_with_kept_columns(dataset: Dataset, table: pa.Table, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x", "n"])
    p = pipeline.sigmoid(2.0 * x[:, 0] - 0.5 * x[:, 1] + 1.0)
    report = dataset.write({"p": p}, str(tmp_path / "out"), keep=["id", "name"])
    out = written(tmp_path / "out")
    assert out.column_names == ["id", "name", "p"]
    assert out["name"].equals(table["name"])
    z = 2.0 * doubles(table, "x") - 0.5 * doubles(table, "n") + 1.0
    np.testing.assert_array_equal(out["p"].to_numpy(), pipeline.sigmoid(z))
    nan = int(np.isnan(z).sum())
    assert (report.totals.read, report.totals.nan, report.totals.null) == (ROWS, nan, 0)


def test_two_outputs_a_user_function_where_and_float32(dataset: Dataset, table: pa.Table, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x"])
    n = dataset.to_dask_array(["n"])[:, 0]
    shifted = x.map_blocks(lambda block: block - 1.0)
    chosen = da.where(n > 4, n, -n)
    single = (x[:, 0] * 3).astype(np.float32)
    dataset.write({"shifted": shifted, "chosen": chosen, "single": single, "big": n > 4}, str(tmp_path / "out"))
    out = written(tmp_path / "out")
    source = doubles(table, "n")
    np.testing.assert_array_equal(out["shifted"].to_numpy(), doubles(table, "x") - 1.0)
    np.testing.assert_array_equal(out["chosen"].to_numpy(), np.where(source > 4, source, -source))
    np.testing.assert_array_equal(out["single"].to_numpy(), (doubles(table, "x") * 3).astype(np.float32))
    assert out.schema.field("single").type == pa.float32()
    assert out.schema.field("big").type == pa.bool_()


@pytest.mark.parametrize(
    ("expression", "operation"),
    [
        (lambda x: x - x.mean(), "mean"),
        (lambda x: x[::-1], "getitem"),
        (lambda x: da.cumsum(x, axis=0), "cumsum"),
        (lambda x: da.concatenate([x[1:], x[:1]]), "concatenate|getitem"),
        (lambda x: pipeline.sigmoid(x[::-1]) * 2, "getitem"),
    ],
)
def test_an_operation_that_needs_other_chunks_is_refused_and_named(
    dataset: Dataset, tmp_path: Path, expression: object, operation: str
) -> None:
    x = dataset.to_dask_array(["x"])[:, 0]
    with pytest.raises(ValueError, match=rf"p: .*({operation}).*other chunks") as caught:
        dataset.write({"p": expression(x)}, str(tmp_path / "out"))  # type: ignore[operator]
    assert "chunk" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("expression", [lambda x: x - x.mean(), lambda x: x[::-1], lambda x: da.cumsum(x, axis=0)])
def test_one_chunk_refuses_what_several_refuse(table: pa.Table, tmp_path: Path, expression: object) -> None:
    pq.write_table(table, tmp_path / "in.parquet")
    dataset = pipeline.open_dataset(tmp_path / "in.parquet")
    x = dataset.to_dask_array(["x"])[:, 0]
    assert len(dataset.plan) == 1
    with pytest.raises(ValueError, match="p: "):
        dataset.write({"p": expression(x)}, str(tmp_path / "out"))  # type: ignore[operator]
    dataset.write({"p": x + 1}, str(tmp_path / "out"))
    np.testing.assert_array_equal(written(tmp_path / "out")["p"].to_numpy(), doubles(table, "x") + 1)


def test_options_that_do_not_exist_are_refused(dataset: Dataset, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x"])[:, 0]
    for option in ("limit", "float32", "delimiter", "chunk_size"):
        with pytest.raises(TypeError, match=option):
            dataset.write({"p": x}, str(tmp_path / "out"), **{option: 1})
    assert not (tmp_path / "out").exists()
    assert repr(dataset) == "<Dataset of 1 file in 4 chunks: id, x, n, flag, name>"


def test_a_dataset_shows_its_columns_even_those_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(",Kunde\n0,1\n")
    dataset = pipeline.open_dataset(tmp_path / "in.csv")
    assert repr(dataset) == "<Dataset of 1 file in 1 chunk: (no name), Kunde>"


def test_columns_are_those_of_the_first_file_that_has_any(tmp_path: Path) -> None:
    (tmp_path / "k=1").mkdir()
    (tmp_path / "k=1" / "0.csv").touch()
    assert pipeline.open_dataset(tmp_path).columns == ("k",)
    for number, header in ((1, "x,y"), (2, "x,z")):
        (tmp_path / "k=1" / f"{number}.csv").write_text(f"{header}\n1,2\n")
    assert pipeline.open_dataset(tmp_path).columns == ("x", "y", "k")
    assert pipeline.open_dataset(tmp_path, absent="null").columns == ("x", "y", "k", "z")


def test_a_result_of_another_length_or_kind_is_refused(dataset: Dataset, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x", "n"])
    with pytest.raises(ValueError, match="one column at a time"):
        dataset.write({"p": x}, str(tmp_path / "out"))
    with pytest.raises(TypeError, match="neither a number nor boolean"):
        dataset.write({"p": x[:, 0].astype(str)}, str(tmp_path / "out"))
    with pytest.raises(TypeError, match="not a Dask array"):
        dataset.write({"p": np.zeros(ROWS)}, str(tmp_path / "out"))
    with pytest.raises(ValueError, match="rows"):
        dataset.write({"p": x[:, 0].map_blocks(lambda b: b[:5])}, str(tmp_path / "out"))
    with pytest.raises(UsageError):
        dataset.write({}, str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_function_that_returns_text_where_its_array_has_numbers_is_named(dataset: Dataset, tmp_path: Path) -> None:
    x = dataset.to_dask_array("id")
    text = r"chunk 0: .*in\.parquet, rows 1 to 300: p: the function returned values of dtype <U\d+, .* says double"
    with pytest.raises(FunctionError, match=text):
        dataset.write({"p": x.map_blocks(lambda b: b.astype(str), dtype=np.float64)}, str(tmp_path / "out"), workers=1)
    assert not (tmp_path / "out").exists()


def test_an_expression_has_no_identity_unless_the_caller_gives_one(dataset: Dataset, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x"])[:, 0]
    first = dataset.write({"p": x * 2}, str(tmp_path / "a"))
    second = dataset.write({"p": x * 2}, str(tmp_path / "b"))
    assert first.plan.job_id != second.plan.job_id
    named = [dataset.write({"p": x * 2}, str(tmp_path / n), identity="twice x") for n in ("c", "d")]
    assert named[0].plan.job_id == named[1].plan.job_id


def test_a_csv_that_is_cut_has_known_rows_and_the_same_values(table: pa.Table, tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    rows = zip(table["id"].to_pylist(), table["x"].to_pylist(), table["n"].to_pylist(), strict=True)
    lines = [f'{i},"line\nbreak, ""{i}""",{"" if x is None else repr(x)},{n}' for i, x, n in rows]
    path.write_text("id,text,x,n\n" + "\n".join(lines) + "\n")
    dataset = pipeline.open_dataset(path, chunk_size="1KiB")
    x = dataset.to_dask_array(["x", "n"])
    assert len(dataset.plan) > 10
    assert x.shape == (ROWS, 2)
    expected = np.column_stack([doubles(table, "x"), doubles(table, "n")])
    np.testing.assert_array_equal(x.compute(scheduler="sync"), expected)
    dataset.write({"double": 2 * x[:, 0]}, str(tmp_path / "out"), keep=["id"])
    out = written(tmp_path / "out")
    assert out["id"].to_pylist() == [str(i) for i in range(ROWS)]
    np.testing.assert_array_equal(out["double"].to_numpy(), 2 * doubles(table, "x"))


def test_bad_cells_are_errors_when_computed(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("x\n1\ntwo\n")
    with pytest.raises(BadCellsError, match="two"):
        pipeline.open_dataset(path, csv=CsvOptions()).to_dask_array(["x"]).compute(scheduler="sync")
    pq.write_table(pa.table({"x": pa.array([2**53 + 1], pa.int64())}), tmp_path / "in.parquet")
    with pytest.raises(BadCellsError, match=str(2**53 + 1)):
        pipeline.open_dataset(tmp_path / "in.parquet").to_dask_array(["x"]).compute(scheduler="sync")


def test_files_that_changed_since_are_refused(dataset: Dataset, table: pa.Table, tmp_path: Path) -> None:
    x = dataset.to_dask_array(["x"])[:, 0]
    pq.write_table(table.slice(0, 10), tmp_path / "in.parquet")
    with pytest.raises(InputChangedError):
        dataset.write({"p": x}, str(tmp_path / "out"))


def test_functions_take_numpy_and_dask_alike() -> None:
    values = np.linspace(-5, 5, 1001)
    blocks = da.from_array(values, chunks=100)
    for function in (pipeline.sigmoid, pipeline.log_sigmoid):
        np.testing.assert_array_equal(function(blocks).compute(scheduler="sync"), function(values))
    p = pipeline.sigmoid(values)
    blocks = pipeline.logit(da.from_array(p, chunks=100))
    np.testing.assert_array_equal(blocks.compute(scheduler="sync"), pipeline.logit(p))


@pytest.mark.parametrize("function", [pipeline.sigmoid, pipeline.log_sigmoid, pipeline.logit])
def test_functions_of_a_dask_array_have_the_precision_asked_for(function: Callable[..., Any]) -> None:
    p = np.linspace(0.01, 0.99, 1001)
    blocks = function(da.from_array(p, chunks=100), precision="reproducible").compute(scheduler="sync")
    np.testing.assert_array_equal(blocks, function(p, precision="reproducible"))
    assert np.any(blocks != function(p))
