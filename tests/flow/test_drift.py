"""Files that differ in their columns: types that unify, columns that a file lacks, columns that the path has, too."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pipeline
from jobs.cli import run
from pipeline.errors import BadCellsError, SchemaError
from tests.flow.conftest import FEATURES, STRICT, Bench, sigmoid

TEXTS = ["a", None, "bé"]
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def rows(k: pa.Array | None, x: float = 1.0, **other: Any) -> pa.Table:
    """Return three rows that the model scores, with a column ``k`` if there is one."""
    columns = {"x": [x, x + 1, x + 2], "c": ["a", "b", "a"]}
    return pa.table(columns | ({} if k is None else {"k": k}) | other)


def union(bench: Bench, column: str = "k") -> list[Any]:
    """Return what DuckDB reads of a column of all files, by name and in the order of the files."""
    duckdb = pytest.importorskip("duckdb")
    paths = sorted(map(str, bench.inputs.rglob("*.parquet")))
    asked = f"SELECT {column} FROM read_parquet({paths}, union_by_name=true, hive_partitioning=false)"
    return [value for (value,) in duckdb.sql(asked).fetchall()]


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ([pa.int8(), pa.int64()], pa.int64()),
        ([pa.int16(), pa.int32(), pa.int8()], pa.int32()),
        ([pa.uint8(), pa.uint32()], pa.uint32()),
        ([pa.uint32(), pa.int8()], pa.int64()),
        ([pa.float32(), pa.float64()], pa.float64()),
        ([pa.null(), pa.int32()], pa.int32()),
        ([pa.null(), pa.float32(), pa.float64()], pa.float64()),
        ([pa.null(), pa.timestamp("us")], pa.timestamp("us")),
    ],
    ids=str,
)
def test_kept_columns_unify_by_themselves_where_nothing_is_lost(
    bench: Bench, types: list[pa.DataType], expected: pa.DataType
) -> None:
    for number, type_ in enumerate(types):
        values = [None] * 3 if pa.types.is_null(type_) else [number, None, 100]
        bench.put(
            f"{number}.parquet",
            rows(pa.array(values, pa.null() if pa.types.is_null(type_) else pa.int64()).cast(type_)),
        )
    report = bench.score(keep=["k"])
    found = bench.table()["k"]
    assert found.type == expected
    assert found.to_pylist() == union(bench)
    frames = pd.concat([pq.read_table(path).to_pandas() for path in sorted(bench.inputs.iterdir())])["k"]
    assert found.to_pandas().isna().tolist() == frames.isna().tolist()
    named = f"k is {types[0]} in 1 file (0.parquet), "
    assert any(note.startswith(named) and note.endswith(f": written as {expected}") for note in report.plan.notes)


@pytest.mark.parametrize("other", [pa.large_string(), pa.string_view(), DICTIONARY, pa.null()], ids=str)
def test_text_of_every_kind_unifies(bench: Bench, other: pa.DataType) -> None:
    plain = pa.array(TEXTS)
    bench.put("a.parquet", rows(plain))
    bench.put("b.parquet", rows(pa.nulls(3) if pa.types.is_null(other) else plain.cast(other)))
    bench.score(keep=["k"])
    found = bench.table()["k"]
    assert found.type == (pa.large_string() if other == pa.large_string() else pa.string())
    assert found.to_pylist() == union(bench)


def test_null_unifies_with_a_nested_type_and_with_a_dictionary(bench: Bench) -> None:
    nested = pa.array([[{"a": 1}], None, []])
    bench.put("a.parquet", rows(pa.nulls(3), d=pa.nulls(3)))
    bench.put("b.parquet", rows(nested, d=pa.array(TEXTS).dictionary_encode()))
    bench.score(keep=["k", "d"])
    assert bench.table()["k"].type == nested.type
    assert bench.table()["k"].to_pylist() == [None] * 3 + nested.to_pylist()
    assert bench.table()["d"].to_pylist() == [None] * 3 + TEXTS


def test_text_of_a_csv_unifies_with_large_text(bench: Bench) -> None:
    bench.put("a.csv", "x,c,k\n1,a,NA\n2,b,\n")
    bench.put("b.parquet", rows(pa.array(TEXTS, pa.large_string())))
    bench.put("k=z/c.csv", "x,c\n1,a\n")
    bench.score(keep=["k"], null=["NA"])
    assert bench.table()["k"].type == pa.large_string()
    assert bench.table()["k"].to_pylist() == ["NA", None, *TEXTS, "z"]


def test_int64_with_float64_is_an_error_that_names_the_type_for_parquet_too(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, None])))
    bench.put("b.parquet", rows(pa.array([0.5, None, 1.0])))
    message = bench.refused(SchemaError, keep=["k"])
    assert message.splitlines()[1:] == [
        "  k is int64 in 1 file (a.parquet), double in 1 file (b.parquet)",
        "fix the files, or use other columns; --type k=float64 reads a column as one type",
    ]
    bench.score(keep=["k"], types={"k": "float64"})
    assert bench.table()["k"].to_pylist() == union(bench)


def test_types_that_nothing_holds_name_the_type_too(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, None]), j=pa.array([True] * 3)))
    bench.put("b.parquet", rows(pa.array(TEXTS), j=pa.array([1] * 3)))
    message = bench.refused(SchemaError, keep=["k", "j"])
    assert "k is int64 in 1 file (a.parquet), string in 1 file (b.parquet)" in message
    assert "--type k=string, and so on, reads a column as one type" in message
    bench.score(keep=["k", "j"], types={"k": "string", "j": "int8"})
    assert bench.table()["k"].to_pylist() == ["1", "2", None, *TEXTS]
    assert bench.table()["j"].to_pylist() == [1] * 6


@pytest.mark.parametrize(
    ("types", "named"),
    [
        ((pa.timestamp("us"), pa.timestamp("ns")), "--type 'k=timestamp[ns]'"),
        ((pa.timestamp("us", "UTC"), pa.timestamp("ms", "UTC")), "--type 'k=timestamp[us, UTC]'"),
        ((pa.timestamp("us"), pa.timestamp("us", "UTC")), "--type k=string"),
        ((pa.decimal128(5, 2), pa.decimal128(6, 4)), "--type 'k=decimal128(7, 4)'"),
        ((pa.int8(), pa.float32(), pa.null()), "--type k=float64"),
    ],
)
def test_the_type_that_an_error_names_reads_the_files(bench: Bench, types: tuple[pa.DataType, ...], named: str) -> None:
    for number, type_ in enumerate(types):
        bench.put(f"{number}.parquet", rows(pa.array([None] * 3 if pa.types.is_null(type_) else [1, 2, None], type_)))
    message = bench.refused(SchemaError, keep=["k"])
    assert f"{named} reads a column as one type" in message
    name, _, kind = named.removeprefix("--type ").strip("'").partition("=")
    bench.score(keep=["k"], types={name: kind})
    assert str(bench.table().schema.field("k").type).replace(" tz=", " ") == kind.replace("float64", "double")


def test_the_type_that_an_error_names_is_that_of_parquet_where_a_csv_or_a_path_has_text(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, None], pa.int32()), x=1.0))
    bench.put("b.csv", "x,c,k\n1,a,3\n")
    bench.put("x=5/c.parquet", pa.table({"c": ["b"], "k": pa.array([4], pa.int32())}))
    message = bench.refused(SchemaError, keep=["k", "x"])
    assert "--type k=int32, and so on, reads a column as one type" in message
    assert "--type x=float64 reads a column as one type" in bench.refused(SchemaError, keep=["x"])
    bench.score(keep=["k", "x"], types={"k": "int32", "x": "float64"})
    assert bench.table()["k"].to_pylist() == [1, 2, None, 3, 4]
    assert bench.table()["x"].to_pylist() == [1, 2, 3, 1, 5]


def test_no_type_is_named_where_none_reads_the_files(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([[1], None, [2]])))
    bench.put("b.parquet", rows(pa.array([1, 2, None])))
    message = bench.refused(SchemaError, keep=["k"])
    assert message.splitlines()[-1] == "fix the files, or use other columns"


FAMILIES = [
    [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.null()],
    [pa.float32(), pa.float64(), pa.null()],
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        DICTIONARY,
        pa.dictionary(pa.int8(), pa.large_string()),
        pa.null(),
    ],
]


@st.composite
def _schemas(draw: st.DrawFn) -> list[dict[str, pa.DataType]]:
    families = draw(st.lists(st.sampled_from(FAMILIES), min_size=1, max_size=3))
    files = draw(st.integers(2, 4))
    columns = {f"k{number}": family for number, family in enumerate(families)}
    return [
        {name: draw(st.sampled_from(family)) for name, family in columns.items() if draw(st.integers(0, 4))}
        for _ in range(files)
    ]


def _array(type_: pa.DataType, number: int) -> pa.Array:
    if pa.types.is_null(type_):
        return pa.nulls(3)
    plain = pa.array([number, None, 100 + number])
    if pa.types.is_integer(type_) or pa.types.is_floating(type_):
        return plain.cast(type_)
    texts = pa.array([f"t{number}", None, "é"])
    return (
        texts.cast(type_.value_type).dictionary_encode().cast(type_)
        if pa.types.is_dictionary(type_)
        else texts.cast(type_)
    )


@settings(max_examples=5, deadline=None)
@given(schemas=_schemas(), random=st.randoms(use_true_random=False))
def test_unified_columns_have_the_same_bytes_whatever_the_order_of_files_and_the_chunk_size(
    tmp_path_factory: pytest.TempPathFactory, schemas: list[dict[str, pa.DataType]], random: Any
) -> None:
    bench = Bench(tmp_path_factory.mktemp("drift"))
    names = sorted({name for schema in schemas for name in schema})
    tables = [
        rows(None, x=float(number), **{name: _array(type_, number) for name, type_ in schema.items()})
        for number, schema in enumerate(schemas)
    ]
    orders = [range(len(tables)), random.sample(range(len(tables)), len(tables))]
    options = {"keep": names, "absent": "null", "if_exists": "replace", "durability": "none", "fingerprint": "full"}
    found = []
    for order in orders:
        for place, number in enumerate(order):
            bench.put(f"{place}.parquet", tables[number])
        bench.score(chunk_size=3, reuse=False, **options)
        parts = sorted(bench.out.glob("*.parquet"))
        digests = {hashlib.sha256(path.read_bytes()).hexdigest() for path in parts}
        found.append((pq.read_schema(parts[0]), digests))
        whole = bench.table()
        bench.score(chunk_size=random.choice([1, 2, 4, 7, 1000]), **options)
        assert bench.table().to_pydict() == whole.to_pydict()
    assert all(each == found[0] for each in found)
    shutil.rmtree(bench.folder)


def test_a_column_that_a_file_lacks_is_null_in_its_rows(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, 3], pa.int32()), extra=pa.array(TEXTS)))
    bench.put("b.parquet", rows(None))
    bench.put("c.parquet", rows(pa.array([4, None, 5], pa.int8())))
    report = bench.score(keep=["k", "extra"], absent="null")
    table = bench.table()
    assert table["k"].to_pylist() == union(bench) == [1, 2, 3, None, None, None, 4, None, 5]
    assert table["extra"].to_pylist() == union(bench, "extra")
    assert table.schema.field("k") == pa.field("k", pa.int32())
    frame = pd.concat([pd.read_parquet(path) for path in sorted(bench.inputs.iterdir())])
    assert table["k"].to_pandas().isna().tolist() == frame["k"].isna().tolist()
    assert report.totals.events == {"absent extra": 6, "absent k": 3}
    assert "extra is missing in 2 files of 3 (b.parquet, c.parquet): taken as null (--absent null)" in report.plan.notes
    assert "k is missing in 1 file of 3 (b.parquet): taken as null (--absent null)" in report.plan.notes
    assert [file.absent for file in report.plan.files] == [(), ("k", "extra"), ("extra",)]


def test_a_kept_column_that_is_never_null_may_be_null_where_a_file_lacks_it(bench: Bench) -> None:
    never = pa.schema([("x", pa.float64()), ("c", pa.string()), pa.field("k", pa.int64(), nullable=False)])
    bench.put("a.parquet", rows(pa.array([1, 2, 3])).cast(never))
    bench.put("b.parquet", rows(None))
    bench.score(keep=["k"], absent="null")
    assert bench.table()["k"].to_pylist() == [1, 2, 3, None, None, None]


def test_a_name_that_differs_in_case_is_not_taken_for_an_absent_column_in_silence(bench: Bench) -> None:
    bench.put("a.csv", "x,c,k\n1,a,7\n")
    bench.put("b.csv", "x,c,K \n1,a,7\n")
    assert "b.csv: has 'K ', but no 'k'" in bench.score(keep=["k"], absent="null").plan.notes


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_feature_that_a_file_lacks_is_missing_by_the_policy_of_the_model(bench: Bench, ending: str) -> None:
    features = [FEATURES[0] | {"missing": {"impute": 2.0}}, FEATURES[1] | {"missing": {"level": "b"}}]
    tables = [rows(None), rows(None).drop_columns(["x"]), rows(None).drop_columns(["c"])]
    for number, table in enumerate(tables):
        if ending == "csv":
            bench.inputs.mkdir(exist_ok=True)
            table.to_pandas().to_csv(bench.inputs / f"{number}.csv", index=False)
        else:
            bench.put(f"{number}.parquet", table)
    report = bench.score(model=bench.model(features), absent="null", keep=["x", "c"], types={"x": "float64"})
    frame = pd.concat([table.to_pandas() for table in tables])
    coefficient = frame["c"].fillna("b").map({"a": 1.0, "b": -1.0})
    expected = sigmoid(0.5 + frame["x"].fillna(2.0).to_numpy() + coefficient.to_numpy())
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), expected, rtol=1e-12)
    assert report.totals.events == {"absent c": 3, "absent x": 3, "missing c": 3, "missing x": 3}
    assert bench.table()["x"].to_pylist() == [1.0, 2.0, 3.0, None, None, None, 1.0, 2.0, 3.0]


def test_an_absent_feature_whose_policy_is_error_is_an_error_as_usual(bench: Bench) -> None:
    bench.put("a.csv", "x,c\n1,a\n")
    bench.put("b.csv", "c\na\n")
    message = bench.refused(BadCellsError, known=False, model=bench.model(STRICT), absent="null")
    assert message.startswith("b.csv: record 1 (byte 2), column x: null is missing, and the model treats that as an")


@pytest.mark.parametrize("name", ["k", "x"])
def test_a_column_that_no_file_has_stays_an_error(bench: Bench, name: str) -> None:
    for number in range(2):
        bench.put(f"{number}.parquet", rows(None).drop_columns(["x"] if name == "x" else []))
    message = bench.refused(SchemaError, keep=["k"] if name == "k" else [], absent="null")
    assert message.splitlines()[1] == f"  0.parquet (like 1 other file: 1.parquet): has no column '{name}'"
    assert "--absent" not in message


def test_the_default_is_the_error_whose_remedy_names_absent_null(bench: Bench) -> None:
    bench.put("a.csv", "x,c,k\n1,a,7\n")
    bench.put("b.csv", "x,c\n1,a\n")
    bench.put("empty.csv", "")
    message = bench.refused(SchemaError, keep=["k"])
    assert message.splitlines()[1] == "  b.csv: has no column 'k'; its header is x, c"
    assert "--absent null takes what a file lacks (k) as null" in message.splitlines()[2]
    report = bench.score(keep=["k"], absent="null")
    assert bench.table()["k"].to_pylist() == ["7", None]
    assert report.plan.lacking == (pipeline.types.report.Lacking("k", 1, ("b.csv",)),)


def test_keep_everything_is_the_union_in_order_of_first_appearance(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"x": [1.0], "c": ["a"], "p": [1]}))
    bench.put("b.parquet", pa.table({"q": ["t"], "c": ["a"], "x": [2.0]}))
    bench.put("c.parquet", pa.table({"x": [3.0], "c": ["a"], "p": [2]}))
    bench.put("h=1/d.csv", "r,c,x\n9,a,4\n")
    bench.score(keep=["*"], absent="null", types={"x": "float64"})
    table = bench.table()
    assert table.column_names == ["x", "c", "p", "q", "r", "h", "probability"]
    assert table["p"].to_pylist() == [1, None, 2, None]
    assert table["q"].to_pylist() == [None, "t", None, None]
    assert table["r"].to_pylist() == [None, None, None, "9"]
    assert table["h"].to_pylist() == [None, None, None, "1"]


def test_parts_of_files_that_lack_nothing_are_reused_when_another_file_lacks_a_column(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, 3])))
    bench.put("b.parquet", rows(pa.array([4, 5, 6])))
    bench.score(keep=["k"], chunk_size=3)
    bench.put("c.parquet", rows(None))
    report = bench.score(keep=["k"], chunk_size=3, absent="null", if_exists="replace")
    assert (report.totals.chunks, report.totals.reused) == (3, 2)
    assert bench.table()["k"].to_pylist() == [1, 2, 3, 4, 5, 6, None, None, None]


def test_absent_and_rename_are_in_the_manifest_so_that_a_sample_can_be_verified(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, 3], pa.int8()), probability=[0.1, 0.2, 0.3]))
    bench.put("b.csv", "x,c,k\n1,a,7\n")
    options = {"absent": "null", "rename": {"probability": "before", "k": "key"}, "types": {"k": "int64"}}
    report = bench.score(keep=["probability", "k"], **options)
    manifest = json.loads((bench.out / "_manifest.json").read_bytes())
    assert manifest["options"]["absent"] == "null"
    assert manifest["options"]["rename"] == options["rename"]
    found = pipeline.verify(bench.out, inputs=True, sample=1)
    assert (found.differences, found.chunks_scored) == ((), 1)
    assert bench.preview(keep=["probability", "k"], if_exists="replace", **options).job_id == report.plan.job_id
    other = options | {"rename": {"probability": "earlier", "k": "key"}}
    assert bench.preview(keep=["probability", "k"], if_exists="replace", **other).job_id != report.plan.job_id


def test_the_plan_tells_programs_what_files_lack(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    bench.put("a.csv", "x,c,k\n1,a,7\n")
    bench.put("b.csv", "x,c\n1,a\n")
    model = str(bench.model())
    words = ["plan", str(bench.inputs), "--model", model, "--output", str(bench.out), "--keep", "k", "--json", "-v"]
    assert run(words) == 65
    capsys.readouterr()
    assert run([*words, "--absent", "null", "--rename", "k=key"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert (plan["absent"], plan["rename"]) == ("null", {"k": "key"})
    assert plan["lacking"] == [{"column": "k", "files": 1, "first": ["b.csv"]}]
    assert [file["absent"] for file in plan["files"]] == [[], ["k"]]


def test_inspect_tells_of_drift_in_the_words_of_a_run(bench: Bench) -> None:
    bench.put("a.parquet", rows(pa.array([1, 2, 3])))
    bench.put("b.parquet", rows(pa.array([1, 2, 3], pa.int8())))
    bench.put("c.parquet", rows(None))
    notes = bench.preview(keep=["k"], absent="null").notes
    differences = pipeline.inspect(bench.inputs).differences
    assert [any(note.startswith(each) for note in notes) for each in differences] == [True, True]


@pytest.mark.parametrize("same", [True, False])
def test_files_with_the_same_header_are_one_message(bench: Bench, same: bool) -> None:
    for number in range(40):
        bench.put(f"{number:02}.csv", "X,C\n1,a\n" if same or number else "x,d\n1,a\n")
    _, *lines, _ = bench.refused(SchemaError, keep=["k", "l"]).splitlines()
    missing = "has no columns 'x', 'c', 'k', 'l'; its header is X, C; did you mean \"X\", \"C\"?"
    if same:
        assert lines == [f"  00.csv (like 39 other files: 01.csv, 02.csv, ...): {missing}"]
    else:
        assert lines == [
            "  00.csv: has no columns 'c', 'k', 'l'; its header is x, d",
            f"  01.csv (like 38 other files: 02.csv, 03.csv, ...): {missing}",
        ]


STATED = {"csv": "x,c,z\n3,a,7\n3.0,b,8\n", "parquet": pa.table({"x": [3, 3], "c": ["a", "b"], "z": [7, 8]})}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_column_that_the_path_has_too_is_no_error_where_the_job_does_not_need_it(bench: Bench, ending: str) -> None:
    bench.put(f"z=1/f.{ending}", STATED[ending])
    bench.score()
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), sigmoid(np.array([4.5, 2.5])), rtol=1e-14)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
@pytest.mark.parametrize("chunk_size", ["1048576", "8B"])
def test_where_it_needs_it_equal_values_are_checked(bench: Bench, ending: str, chunk_size: str) -> None:
    bench.put(f"x=3/f.{ending}", STATED[ending])
    bench.put("x=4/c=b/g.csv", "z,c\n1,b\n")
    bench.score(keep=["c"], chunk_size=chunk_size)
    expected = sigmoid(np.array([4.5, 2.5, 3.5]))
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), expected, rtol=1e-14)
    assert bench.table()["c"].to_pylist() == ["a", "b", "b"]


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_path_that_states_nan_equals_nan_in_the_file(bench: Bench, ending: str) -> None:
    csv, values = "x,c\nnan,a\nNaN,b\n3,b\n", [np.nan, np.nan, 3.0]
    bench.put(f"x=nan/f.{ending}", csv if ending == "csv" else pa.table({"x": values, "c": ["a", "b", "b"]}))
    report = bench.score(max_bad=1)
    assert (report.totals.null, report.totals.quarantined) == (2, 1)


@pytest.mark.parametrize(
    ("path", "content", "keep", "place", "text"),
    [
        ("x=3/f.csv", "x,c\n3,a\n3,a\n4,a\n3,b\n", (), "record 3 (byte 12), column x", "'4.0' is not '3'"),
        ("c=a/f.csv", "x,c\n3,a\n3,b\n", (), "record 2 (byte 8), column c", "'b' is not 'a'"),
        ("k=a/f.csv", "x,c,k\n3,a,\n", ("k",), "record 1 (byte 6), column k", "'null' is not 'a'"),
        ("x=3/f.parquet", {"x": [3, 4], "c": ["a", "b"]}, (), "row 2, column x", "'4' is not '3'"),
        ("c=a/f.parquet", {"x": [3, 3], "c": ["a", None]}, (), "row 2, column c", "'null' is not 'a'"),
        ("k=2/f.parquet", {"x": [3], "c": ["a"], "k": [7]}, ("k",), "row 1, column k", "'7' is not '2'"),
        (
            "k=__HIVE_DEFAULT_PARTITION__/f.parquet",
            {"x": [3], "c": ["a"], "k": [7]},
            ("k",),
            "row 1, column k",
            "'7' is not null",
        ),
    ],
)
def test_a_difference_is_65(
    bench: Bench, path: str, content: Any, keep: tuple[str, ...], place: str, text: str
) -> None:
    bench.put(path, content if isinstance(content, str) else pa.table(content))
    message = bench.refused(BadCellsError, known=False, keep=keep)
    assert message.splitlines()[0] == f"{path}: {place}: {text}, the value that the path of the file states"
    assert BadCellsError.exit_code == 65
    read = 4 if "4,a" in content else len(content["x"]) if isinstance(content, dict) else content.count("\n") - 1
    report = bench.score(keep=keep, max_bad=1)
    assert (report.totals.read, report.totals.quarantined, report.totals.bad) == (read, 1, 1)
    assert pipeline.verify(bench.out, sample=1).differences == ()


def test_differences_are_counted_in_every_cut(bench: Bench) -> None:
    lines = [f"{3 if number % 7 else 5},{'ab'[number % 2]},{number}" for number in range(300)]
    bench.put("x=3/f.csv", "x,c,k\n" + "\n".join(lines) + "\n")
    for chunk_size in ("20B", "1KiB", "1048576"):
        report = bench.score(keep=["k"], max_bad="50%", chunk_size=chunk_size, if_exists="replace", limit=290)
        assert report.totals.quarantined == 42
        assert bench.table()["k"].to_pylist() == [str(number) for number in range(290) if number % 7]


def test_a_path_that_is_not_of_the_type_of_the_column_is_refused_before_work(bench: Bench) -> None:
    bench.put("k=abc/f.parquet", rows(pa.array([1, 2, 3])))
    message = bench.refused(SchemaError, keep=["k"])
    assert "k=abc/f.parquet: column 'k' is 'abc' in the path, but int64 in the file" in message


def test_dask_arrays_have_nan_where_a_file_lacks_a_column(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"x": [1, 2], "y": [1.5, 2.5]}))
    bench.put("b.csv", "y\n3\n4\n")
    with pytest.raises(
        SchemaError, match=r"b\.csv: has no column 'x'; its header is y\nopen_dataset\(.*absent=\"null\""
    ):
        pipeline.open_dataset(bench.inputs).to_dask_array("x")
    dataset = pipeline.open_dataset(bench.inputs, absent="null", chunk_size=2)
    array = dataset.to_dask_array(["y", "x"])
    frame = pd.concat([pd.read_parquet(bench.inputs / "a.parquet"), pd.read_csv(bench.inputs / "b.csv")])
    np.testing.assert_array_equal(array.compute(scheduler="sync"), frame[["y", "x"]].to_numpy(dtype=float))
    assert dataset.columns == ("x", "y")
    with pytest.raises(SchemaError, match="no file has a column 'z'"):
        dataset.to_dask_array("z")
    report = dataset.write({"s": array[:, 0] * 2}, str(bench.out), keep=["x"], rename={"x": "before"}, scheduler="sync")
    assert bench.table().to_pydict() == {"before": [1, 2, None, None], "s": [3.0, 5.0, 6.0, 8.0]}
    assert report.totals.events == {"absent x": 2}


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_dask_array_of_a_column_that_the_path_has_too_is_compared_with_it(bench: Bench, ending: str) -> None:
    bench.put(f"x=3/f.{ending}", STATED[ending])
    dataset = pipeline.open_dataset(bench.inputs)
    assert dataset.to_dask_array("x").compute(scheduler="sync").ravel().tolist() == [3.0, 3.0]
    (bench.inputs / "x=3").rename(bench.inputs / "x=4")
    array = pipeline.open_dataset(bench.inputs).to_dask_array("x")
    place = "byte 6, " if ending == "csv" else ""
    with pytest.raises(BadCellsError, match=rf"x=4/f.{ending}: {place}column x: '3(\.0)?' is not '4', the value"):
        array.compute(scheduler="sync")


def test_a_dataset_writes_files_whose_numbers_have_other_types_in_one_chunk(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"x": pa.array([1, None])}))
    bench.put("b.parquet", pa.table({"x": [1.5]}))
    bench.put("c.parquet", pa.table({"x": [True]}))
    dataset = pipeline.open_dataset(bench.inputs)
    array = dataset.to_dask_array("x")
    dataset.write({"s": array}, str(bench.out), scheduler="sync")
    np.testing.assert_array_equal(bench.table()["s"].to_numpy(), array.compute(scheduler="sync"))
    bench.put("a.parquet", pa.table({"x": pa.array([2**53 + 1])}))
    dataset = pipeline.open_dataset(bench.inputs)
    with pytest.raises(BadCellsError, match="column x: float64 cannot hold 9007199254740993 exactly"):
        dataset.write({"s": dataset.to_dask_array("x")}, str(bench.folder / "other"))


@pytest.mark.parametrize("value", ["nul", "drop", 1])
def test_absent_takes_only_its_words(bench: Bench, value: Any) -> None:
    bench.put("a.csv", "x,c\n1,a\n")
    for call in (lambda: bench.score(absent=value), lambda: pipeline.open_dataset(bench.inputs, absent=value)):
        with pytest.raises(pipeline.errors.UsageError, match=r"absent .*: there is no such choice"):
            call()


def test_inspect_tells_of_a_column_that_the_path_has_too(bench: Bench) -> None:
    bench.put("z=1/f.csv", STATED["csv"])
    assert pipeline.inspect(bench.inputs).differences == (
        "z=1/f.csv has a column 'z', which its path has too: the values are not shown",
    )


def test_a_feature_of_another_type_in_parquet_names_the_type_too(bench: Bench) -> None:
    bench.put("a.parquet", pa.table({"x": ["1", "2.5"], "c": ["a", "b"]}))
    message = bench.refused(SchemaError)
    assert message.endswith("fix the files, or use other columns; --type NAME=TYPE reads a column as another type")
    bench.score(types={"x": "float64"})
    np.testing.assert_allclose(bench.table()["probability"].to_numpy(), sigmoid(np.array([2.5, 2.0])), rtol=1e-12)
