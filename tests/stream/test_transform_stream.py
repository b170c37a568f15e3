"""Streams from a generator: what is published, what is refused with which message, and that they are closed."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psutil
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import BadCellsError, DataError, OutputError, SchemaError, TemporaryError, UsageError
from pipeline.types.report import Published

ROOT = Path(__file__).parents[2]


class Stream:
    """A generator that says how far it was asked, and whether it was closed."""

    def __init__(self, *blocks: Any) -> None:
        self.given = 0
        self.closed = False
        self._blocks = self._yielded(blocks)

    def _yielded(self, blocks: tuple[Any, ...]) -> Iterator[Any]:
        try:
            for block in blocks:
                self.given += 1
                if isinstance(block, Exception):
                    raise block
                yield block
        finally:
            self.closed = True

    def __iter__(self) -> Iterator[Any]:
        return self._blocks


def arrays(rows: int, width: int = 2, blocks: int = 4, seed: int = 3) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(0, 3, (rows, width)) for _ in range(blocks)]


def parts(folder: Path) -> list[str]:
    """Return the digests of the parts, in order."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("part-*"))]


def nothing_left(folder: Path, output: Path) -> bool:
    """Return whether nothing is published and no row is left next to the output."""
    return not output.exists() and not [p for p in folder.rglob("*") if p.is_file() and p.name != "lock"]


def test_streaming_a_generator_to_a_file_in_one_step(tmp_path: Path) -> None:
    blocks = arrays(1_000)
    stream = Stream(*blocks)
    report = pipeline.transform_stream(
        stream, "p=sigmoid(x1, temperature=2)", tmp_path / "out", keep="x0", chunk_size=1_500
    )
    assert stream.closed
    whole = np.vstack(blocks)
    found = pq.read_table(sorted((tmp_path / "out").glob("part-*")))
    assert found.column_names == ["x0", "p"]
    np.testing.assert_array_equal(found["x0"], whole[:, 0])
    np.testing.assert_array_equal(found["p"], pipeline.sigmoid(whole[:, 1], temperature=2))
    assert [pq.read_metadata(p).num_rows for p in sorted((tmp_path / "out").glob("part-*"))] == [1_500, 1_500, 1_000]
    assert (report.published, report.totals.read, report.totals.scored, report.totals.chunks) == (True, 4_000, 4_000, 3)
    verification = pipeline.verify(tmp_path / "out")
    assert verification.differences == ()
    assert verification.rows == 4_000
    assert pipeline.inspect(tmp_path / "out").output.function == "p=sigmoid(x1, temperature=2)"


def test_parts_depend_on_the_rows_and_not_on_the_blocks(tmp_path: Path) -> None:
    whole = np.vstack(arrays(1_000))
    for name, cuts in (("a", [4_000]), ("b", [1, 2, 700, 3_999]), ("c", list(range(1, 4_000, 3)))):
        pipeline.transform_stream(np.split(whole, cuts), "sigmoid", tmp_path / name, keep=["x0"], chunk_size=1_700)
    assert parts(tmp_path / "a") == parts(tmp_path / "b") == parts(tmp_path / "c")
    assert len(parts(tmp_path / "a")) == 3


def test_a_name_applies_to_every_column_that_is_not_kept(tmp_path: Path) -> None:
    blocks = arrays(10, width=3)
    pipeline.transform_stream(blocks, "softmax", tmp_path / "s.parquet", names=["id", "a", "b"], keep="id")
    found = pq.read_table(tmp_path / "s.parquet")
    assert found.column_names == ["id", "softmax_a", "softmax_b"]
    np.testing.assert_array_equal(found["softmax_b"], pipeline.softmax(np.vstack(blocks)[:, 1:])[:, 1])
    pipeline.transform_stream([b[:, 0] for b in blocks], "tanh", tmp_path / "t.csv")
    assert pyarrow.csv.read_csv(tmp_path / "t.csv").column_names == ["tanh_x"]


@pytest.mark.parametrize("kind", ["batch", "table", "pandas", "polars", "mapping"])
def test_tables_of_any_kind_are_blocks(tmp_path: Path, kind: str) -> None:
    def block(start: int) -> Any:
        columns = {"id": np.arange(start, start + 5), "score": np.linspace(-9, 9, 5), "name": ["a", "b", "c", "d", "e"]}
        table = pa.table(columns)
        if kind == "pandas":
            return pd.DataFrame(columns, index=range(start, start + 5))
        kinds = {"batch": table.to_batches()[0], "table": table, "polars": pl.DataFrame(columns), "mapping": columns}
        return kinds[kind]

    stream = (block(start) for start in range(0, 50, 5))
    pipeline.transform_stream(stream, ["p=sigmoid(score)", "relu(score)"], tmp_path / "out", keep=["*"])
    found = pq.read_table(sorted((tmp_path / "out").glob("part-*")))
    assert found.column_names == ["id", "score", "name", "p", "relu_score"]
    assert found["id"].to_pylist() == list(range(50))
    assert found["name"].to_pylist() == ["a", "b", "c", "d", "e"] * 10


def test_missing_values_are_accounted_for(tmp_path: Path) -> None:
    table = pa.table({"x": pa.array([0.0, None, float("nan"), 1.0])})
    report = pipeline.transform_stream([table, table], "p=sigmoid(x)", tmp_path / "out", chunk_size=3)
    totals = report.totals
    assert (totals.read, totals.scored, totals.null, totals.nan) == (8, 4, 2, 2)
    assert totals.events == {"missing x": 2}
    assert pipeline.verify(tmp_path / "out").differences == ()


def test_a_callable_is_given_the_block_as_it_came(tmp_path: Path) -> None:
    blocks = arrays(10)
    buffer = np.empty((10, 2))

    def filled() -> Iterator[np.ndarray]:
        for block in blocks:
            buffer[...] = block
            yield buffer

    def same(block: np.ndarray) -> np.ndarray:
        return block

    pipeline.transform_stream(filled(), same, tmp_path / "two", keep=["x1"])
    found = pq.read_table(sorted((tmp_path / "two").glob("part-*")))
    assert found.column_names == ["x1", "y0", "y1"]
    np.testing.assert_array_equal(np.column_stack([found["y0"], found["y1"]]), np.vstack(blocks))
    np.testing.assert_array_equal(found["x1"], np.vstack(blocks)[:, 1])
    pipeline.transform_stream(blocks, lambda x: {"low": x[:, 0] < 0, "sum": x.sum(1)}, tmp_path / "three")
    found = pq.read_table(sorted((tmp_path / "three").glob("part-*")))
    assert found.schema.types == [pa.bool_(), pa.float64()]
    batch = pa.record_batch({"a": [1.0, 2.0]})
    pipeline.transform_stream([batch], lambda b: np.asarray(b["a"]) * 2, tmp_path / "four.csv")
    assert pyarrow.csv.read_csv(tmp_path / "four.csv").to_pydict() == {"y": [2, 4]}


def test_a_callable_that_works_in_place_leaves_kept_columns_as_they_came(tmp_path: Path) -> None:
    def tenfold(x: np.ndarray) -> np.ndarray:
        x *= 10
        return x

    blocks = arrays(10)
    before = np.vstack(blocks)
    pipeline.transform_stream(blocks, tenfold, tmp_path / "out.parquet", keep="*")
    found = pq.read_table(tmp_path / "out.parquet")
    np.testing.assert_array_equal(np.column_stack([found["x0"], found["x1"]]), before)
    np.testing.assert_array_equal(np.column_stack([found["y0"], found["y1"]]), before * 10)


X = np.zeros((3, 2))


@pytest.mark.parametrize(
    ("blocks", "function", "message"),
    [
        ([X, np.zeros((3, 3))], "sigmoid", r"block 1 of the stream: expected 2 columns, as in block 0, got 3 columns"),
        ([X, np.zeros(3)], "sigmoid", r"block 1 .* expected an array of shape \(rows, 2\), .* got .* shape \(rows,\)"),
        ([X, X, X.astype(np.float32)], "sigmoid", r"block 2 .* expected float64, as in block 0, got float32"),
        ([X, X.astype(np.int64)], "sigmoid", r"block 1 .* expected float64, as in block 0, got int64"),
        ([X, pa.table({"x0": [1.0], "x1": [2.0]})], "sigmoid", r"block 1 .* expected an array .* got a table of 2"),
        ([[1.0, 2.0], [[1.0], [2.0, 3.0]]], "sigmoid", r"block 1 .* expected rows of equal length, got ragged rows"),
        (
            [{"a": [1.0, 2.0], "b": [1.0]}],
            "sigmoid",
            r"block 0 .* expected columns of equal length, .*",
        ),
        ([X, np.array(["a", "b"])], "sigmoid", r"block 1 .* expected numbers or booleans, got text of dtype <U1"),
        (["0.5"], "sigmoid", r"block 0 .* expected a NumPy array, .* got text: '0.5'"),
        ([np.array([None, 1.0])], "sigmoid", r"block 0 .* got a ndarray of dtype object"),
        ([X, np.zeros((1, 2, 2))], "sigmoid", r"block 1 .* one or two dimensions, got shape \(1, 2, 2\)"),
        ([np.float64(1)], "sigmoid", r"block 0 .* one or two dimensions, got shape \(\)"),
        ([X, X.astype(np.longdouble)], "sigmoid", r"block 1 .* expected numbers of at most 64 bits, got dtype"),
        (
            [{"a": np.zeros(3, np.longdouble)}],
            "sigmoid",
            r"block 0 .* expected columns of equal length, ",
        ),
        ([np.ma.masked_less(X, 1)], "sigmoid", r"block 0 .* expected an array without a mask"),
        ([{"a": np.ma.masked_less(X[:, 0], 1)}], "sigmoid", r"block 0 .* expected an array without a mask"),
        ([X], "p=sigmoid(x2)", r'block 0 .* no column "x2"; there are x0, x1'),
        ([{"a": ["u"]}], "p=sigmoid(a)", r'block 0 .* column "a" is string, but a function takes an integer, '),
        ([{"a": [1.0]}, {"b": [1.0]}], "sigmoid", r'block 1 .* expected column "a", as in block 0, got "b"'),
        ([{"a": [1.0]}, {"a": ["u"]}], "sigmoid", r'block 1 .* expected float64 in column "a", .* got string'),
        ([X], lambda x: x[:1], r"block 0 .* the function returned shape \(1,\) for y0, expected \(3,\)"),
        ([X], lambda x: ["a"] * 3, r"block 0 .* the function returned dtype <U1 for y"),
        (
            [X],
            lambda x: [[1.0], [2.0, 3.0], [4.0]],
            r"block 0 .* the function returned ragged rows for y .*, expected rows",
        ),
        ([X], lambda x: {"p": [[1.0], [2.0, 3.0], [4.0]]}, r"block 0 .* the function returned ragged rows for p"),
        ([X], lambda x: x.astype(np.longdouble), r"block 0 .* returned dtype (float128|longdouble) for y0, .* 64 bits"),
        ([X], lambda x: {}, r"block 0 .* the function returned no column, expected at least one"),
        ([X], lambda x: x[:, :0], r"block 0 .* the function returned no column, expected at least one"),
        ([X], lambda x: np.ma.masked_less(x, 1), r"block 0 .* returned a masked array for y, .*fill it with NaN"),
        ([X], lambda x: {"p": np.ma.masked_less(x[:, 0], 1)}, r"block 0 .* returned a masked array for p, "),
        (
            [X, X + 1],
            lambda x: x[:, 0] if x[0, 0] else x,
            r"block 1 .* columns that differ .* y0: .* got y: double",
        ),
    ],
)
def test_an_error_names_the_block_and_what_was_expected(
    tmp_path: Path, blocks: list[Any], function: Any, message: str
) -> None:
    stream = Stream(*blocks, X)
    with pytest.raises(SchemaError, match=message) as raised:
        pipeline.transform_stream(stream, function, tmp_path / "out", chunk_size=2)
    assert (
        raised.value.remedy == "correct the stream or the function (blocks are counted from 0); nothing was published"
    )
    assert stream.closed
    assert stream.given == len(blocks)
    assert nothing_left(tmp_path, tmp_path / "out")


def test_an_integer_that_float64_cannot_hold_is_named(tmp_path: Path) -> None:
    stream = Stream(np.zeros(2, np.int64), np.array([1, 2**53 + 1]))
    with pytest.raises(BadCellsError, match=r"block 1 .* row 1, column x: 9007199254740993"):
        pipeline.transform_stream(stream, "p=sigmoid(x)", tmp_path / "out")
    assert stream.closed
    assert nothing_left(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(("blocks", "words"), [([], "no blocks"), ([X[:0], X[:0]], "no rows in any block")])
def test_an_empty_generator_is_an_error(tmp_path: Path, blocks: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=f"the stream is empty: it has {words}"):
        pipeline.transform_stream(Stream(*blocks), "sigmoid", tmp_path / "out")
    assert nothing_left(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("where", ["stream", "function"])
def test_an_error_of_the_caller_comes_unchanged_with_its_block(tmp_path: Path, where: str) -> None:
    def function(x: np.ndarray) -> np.ndarray:
        if where == "function" and x[0, 0]:
            raise ZeroDivisionError
        return x

    error = OSError("the sensor is gone")
    stream = Stream(X, error if where == "stream" else X + 1)
    with pytest.raises(OSError if where == "stream" else ZeroDivisionError) as raised:
        pipeline.transform_stream(stream, function, tmp_path / "out", chunk_size=2)
    first, last = len(X) + 1, 2 * len(X)
    place = "block 1" if where == "stream" else f"block 1 of the stream, rows {first} to {last}"
    assert raised.value.__notes__ == [f"raised by the {where} at {place}; nothing was published"]
    assert stream.closed
    assert nothing_left(tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("function", "options", "error", "message"),
    [
        ("sigmod", {}, UsageError, 'no function "sigmod", at column 1; did you mean "sigmoid"'),
        ("p=sigmoid(x0, temperature=0)", {}, UsageError, "temperature must be more than 0"),
        ("p=sigmoid(x0, tau=1)", {}, UsageError, 'no parameter "tau"'),
        ("sigmoid", {"keep": "id"}, UsageError, "no column id"),
        ("x0=sigmoid(x0)", {"keep": "x0"}, UsageError, 'two columns of the output are called "x0"'),
        ("sigmoid", {"keep": "*"}, SchemaError, "every column is kept"),
        ("sigmoid", {"chunk_size": 0}, UsageError, "chunk_size 0"),
        ("sigmoid", {"names": ["a"]}, SchemaError, r"expected 1 column, as in names=, got \(rows, 2\)"),
        ("sigmoid", {"names": ["a", "a"]}, UsageError, "two columns have the same name"),
        ("sigmoid", {"compression": "lzw"}, UsageError, "--compression lzw"),
        ("sigmoid", {"resume": True}, TypeError, "there is no option 'resume'"),
        ("sigmoid", {"durability": "ful"}, UsageError, "durability ful: there is no such choice"),
        ("sigmoid", {"keep_versions": -1}, UsageError, "keep_versions is -1: it must be at least 0"),
        ("sigmoid", {"precision": "no"}, UsageError, "precision no: there is no such choice"),
        (lambda x: x, {"float32": True}, TypeError, "float32 applies only to built-in functions"),
        (lambda x: x, {"precision": "no"}, UsageError, "precision no: there is no such choice"),
        (lambda x: x, {"precision": "reproducible"}, TypeError, "precision applies only to built-in functions"),
        (3, {}, TypeError, "'int' object is not iterable|function must be"),
    ],
)
def test_what_contradicts_itself_is_refused(
    tmp_path: Path, function: Any, options: dict[str, Any], error: type[Exception], message: str
) -> None:
    stream = Stream(X, X)
    with pytest.raises(error, match=message):
        pipeline.transform_stream(stream, function, tmp_path / "out", **options)
    assert stream.given <= 1
    assert nothing_left(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("blocks", [X, pa.table({"a": [1]}), pd.DataFrame({"a": [1]}), "x", {"a": X}, 3])
def test_one_block_is_not_a_stream(tmp_path: Path, blocks: Any) -> None:
    with pytest.raises(TypeError, match=r"is one block, not a stream of them|is not an iterable of blocks"):
        pipeline.transform_stream(blocks, "sigmoid", tmp_path / "out")


def test_the_output_is_judged_before_the_generator_begins(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("x")
    stream = Stream(X)
    with pytest.raises(OutputError, match="was not published by logitstream"):
        pipeline.transform_stream(stream, "sigmoid", tmp_path / "out", if_exists="replace")
    assert stream.given == 0


def test_the_old_output_stays_until_the_new_one_is_complete(tmp_path: Path) -> None:
    output = tmp_path / "out"
    first = pipeline.transform_stream([X], "sigmoid", output)
    with pytest.raises(OutputError, match="another job"):
        pipeline.transform_stream([X], "sigmoid", output)
    before = parts(output)
    with pytest.raises(SchemaError):
        pipeline.transform_stream([X + 1, X[:, :1]], "sigmoid", output, if_exists="replace")
    assert parts(output) == before
    events: list[Any] = []
    second = pipeline.transform_stream([X + 1], "sigmoid", output, if_exists="replace", observe=events.append)
    assert second.manifest_digest != first.manifest_digest
    assert isinstance(events[-1], Published)
    assert parts(output) != before
    pipeline.rollback(output)
    assert parts(output) == before


def test_a_deadline_ends_it_and_says_that_it_begins_anew(tmp_path: Path) -> None:
    def endless() -> Iterator[np.ndarray]:
        while True:
            yield X

    with pytest.raises(TemporaryError, match="deadline") as raised:
        pipeline.transform_stream(endless(), "sigmoid", tmp_path / "out", deadline=0.05, durability="none")
    assert "from its beginning" in raised.value.remedy
    assert nothing_left(tmp_path, tmp_path / "out")


def test_two_at_once_exclude_each_other(tmp_path: Path) -> None:
    def with_another_inside() -> Iterator[np.ndarray]:
        yield X
        with pytest.raises(TemporaryError, match="is being published by process"):
            pipeline.transform_stream([X], "sigmoid", tmp_path / "out")
        assert not pipeline.transform_stream([X], "sigmoid", tmp_path / "out", if_running="skip").published
        yield X

    report = pipeline.transform_stream(with_another_inside(), "sigmoid", tmp_path / "out")
    assert report.totals.read == 6


def test_what_a_killed_process_leaves_goes_with_the_next(tmp_path: Path) -> None:
    output = tmp_path / "out"
    pipeline.transform_stream([X], "sigmoid", output)
    before = parts(output)
    code = f"""
import os, signal, numpy as np, pipeline
def killed():
    for number in range(9):
        yield np.full((3, 2), number)
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
pipeline.transform_stream(killed(), "sigmoid", {str(output)!r}, if_exists="replace", chunk_size=4)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert parts(output) == before
    assert pipeline.verify(output).differences == ()
    staged = tmp_path / ".out.logitstream" / "jobs"
    assert len(list(staged.iterdir())) == 1
    pipeline.transform_stream([X + 1], "sigmoid", output, if_exists="replace")
    assert list(staged.iterdir()) == []


def test_there_are_no_inputs_to_verify(tmp_path: Path) -> None:
    pipeline.transform_stream([X], "sigmoid", tmp_path / "out")
    for options in ({"inputs": True}, {"sample": 1}):
        with pytest.raises(UsageError, match="was made from a stream"):
            pipeline.verify(tmp_path / "out", **options)


def test_dictionaries_of_small_blocks_may_differ(tmp_path: Path) -> None:
    def block(number: int) -> pa.Table:
        levels = pa.DictionaryArray.from_arrays(pa.array([0, 1], pa.int8()), [f"a{number}", f"b{number}"])
        return pa.table({"level": levels, "x": [float(number), 0.5]})

    pipeline.transform_stream(map(block, range(40)), "p=relu(x)", tmp_path / "out", keep="level")
    found = pq.read_table(sorted((tmp_path / "out").glob("part-*")))
    assert found["level"].to_pylist() == [f"{letter}{number}" for number in range(40) for letter in "ab"]


@pytest.mark.slow
def test_memory_is_that_of_a_block_however_long_the_stream(tmp_path: Path) -> None:
    block = np.random.default_rng(0).normal(size=(65_536, 4))
    process = psutil.Process()
    peaks = []

    def stream(blocks: int) -> Iterator[np.ndarray]:
        for _ in range(blocks):
            peaks.append(process.memory_info().rss)
            yield block

    pipeline.transform_stream(stream(20), "sigmoid", tmp_path / "warm", durability="none")
    peaks.clear()
    pipeline.transform_stream(stream(150), "sigmoid", tmp_path / "out", keep=[], durability="none")
    # The rows of 150 blocks are 300 MiB.
    assert max(peaks) - peaks[0] < 60 * 2**20
    row = block[:1]
    peaks.clear()
    pipeline.transform_stream((peaks.append(process.memory_info().rss) or row for _ in range(10_000)),
                              "sigmoid", tmp_path / "rows", durability="none")  # fmt: skip
    assert max(peaks) - peaks[0] < 60 * 2**20
