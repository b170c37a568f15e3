"""What becomes of types that a file has and the scores do not: integers to round, logical types, old timestamps."""

from __future__ import annotations

import json
import uuid
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import BadCellsError, SchemaError
from pipeline.sources.parquet.logical import uuid_text
from pipeline.types.inputs import CsvOptions
from tests.flow.conftest import Bench, sigmoid

# Nanoseconds since the epoch; float64 holds neither, and rounds one up and one down.
EPOCHS = [1_700_000_000_123_456_789, 1_700_000_000_123_456_900, None, -(2**63), 2**53 + 1]
SCALE = 1e18
TS = [{"column": "ts", "kind": "numeric", "coefficient": 1.0, "scale": SCALE}]


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_int64_beyond_2_53_is_a_bad_cell_whose_message_names_the_type_that_rounds(bench: Bench, format_: str) -> None:
    frame = pd.DataFrame({"ts": pd.array(EPOCHS, "Int64"), "k": "k"})
    path = bench.inputs / f"f.{format_}"
    frame.to_csv(path, index=False) if format_ == "csv" else frame.to_parquet(path)
    message = bench.refused(BadCellsError, known=False, model=bench.model(TS))
    assert "column ts: '1700000000123456789' cannot be held exactly as a float64" in message
    assert "add --type NAME=float64 with the name of this column to round it" in message


@pytest.mark.parametrize("format_", ["csv", "parquet"])
@pytest.mark.parametrize("type_", ["float64", "double", "float32"])
def test_type_ts_float64_rounds_by_the_users_word(bench: Bench, format_: str, type_: str) -> None:
    frame = pd.DataFrame({"ts": pd.array(EPOCHS, "Int64"), "k": "k"})
    path = bench.inputs / f"f.{format_}"
    frame.to_csv(path, index=False) if format_ == "csv" else frame.to_parquet(path)
    report = bench.score(model=bench.model(TS), types={"ts": type_}, keep=["ts"])
    assert report.totals.bad == 0
    expected = [None if value is None else float(np.dtype(type_).type(value)) for value in EPOCHS]
    table = bench.table()
    assert table["ts"].to_pylist() == expected
    known = [value for value in expected if value is not None]
    scores = [value for value in table["probability"].to_pylist() if value is not None]
    np.testing.assert_allclose(scores, sigmoid(0.5 + np.array(known) / SCALE), rtol=1e-12)
    manifest = json.loads((bench.out / "_manifest.json").read_text())
    assert ["ts", type_] in manifest["options"]["csv"]["types"]
    assert pipeline.verify(bench.out, sample=1).as_published


MOMENT = 1_600_000_000_000_000_123
TIME = [{"column": "t", "kind": "numeric", "coefficient": 1e-18}]


def test_type_ts_float64_rounds_a_timestamp_in_nanoseconds_too(bench: Bench) -> None:
    bench.put("f.parquet", pa.table({"t": pa.array([MOMENT, None, -MOMENT], pa.timestamp("ns"))}))
    message = bench.refused(BadCellsError, known=False, model=bench.model(TIME), types={"t": "int64"})
    assert "--type NAME=float64" in message
    report = bench.score(model=bench.model(TIME), types={"t": "float64"}, keep=["t"])
    assert bench.table()["t"].to_pylist() == [float(MOMENT), None, -float(MOMENT)]
    expected = [sigmoid(np.array(0.5 + sign * MOMENT * 1e-18)) for sign in (1, -1)]
    assert bench.table()["probability"].drop_null().to_pylist() == pytest.approx(expected)
    assert "t is a time: its numbers count nanoseconds" in report.plan.notes


@pytest.mark.parametrize("type_", ["int64", "float64"])
def test_times_in_different_units_are_no_numbers_of_one_column(bench: Bench, type_: str) -> None:
    bench.put("a.parquet", pa.table({"t": pa.array([MOMENT], pa.timestamp("ns"))}))
    bench.put("b.parquet", pa.table({"t": pa.array([MOMENT // 1000], pa.timestamp("us", "UTC"))}))
    message = bench.refused(SchemaError, model=bench.model(TIME), types={"t": type_})
    counts = "t counts nanoseconds in 1 file (a.parquet), microseconds in 1 file (b.parquet)"
    assert f"{counts}: as numbers they cannot be compared" in message
    with pytest.raises(SchemaError, match="counts nanoseconds, microseconds"):
        pipeline.open_dataset(str(bench.inputs), types={"t": type_}).to_dask_array("t")


@pytest.mark.parametrize("scale", [0, 2, 10, 20])
def test_decimals_round_once(bench: Bench, scale: int) -> None:
    random = np.random.default_rng(scale)
    cells = [Decimal(int(random.integers(2**62)) * 10**12 + 7).scaleb(-scale) for _ in range(200)]
    bench.put("f.parquet", pa.table({"ts": pa.array(cells, pa.decimal128(38, scale))}))
    bench.score(model=bench.model(TS), types={"ts": "float64"}, keep=["ts"])
    assert bench.table()["ts"].to_pylist() == [float(cell) for cell in cells]


@pytest.mark.parametrize("type_", ["int64", "uint64"])
def test_another_type_does_not_round(bench: Bench, type_: str) -> None:
    bench.put("f.csv", f"ts\n{2**53 + 1}\n")
    bench.refused(BadCellsError, known=False, model=bench.model(TS), types={"ts": type_})


def test_a_partition_rounds_by_the_users_word(bench: Bench) -> None:
    bench.put(f"ts={2**53 + 1}/f.csv", "x\n1\n")
    message = bench.refused(SchemaError, model=bench.model(TS))
    assert "cannot be held exactly as a float64" in message
    assert "--type ts=float64 rounds it" in message
    bench.score(model=bench.model(TS), types={"ts": "float64"}, keep=["ts"])
    assert bench.table()["ts"].to_pylist() == [float(2**53)]


UUIDS = [uuid.UUID(int=number * 7919) for number in range(3)]
DOCUMENTS = ['{"a": 1}', None, "[1, 2]"]


def duck(bench: Bench, name: str, query: str, options: str = "") -> None:
    """Write a Parquet file with DuckDB."""
    connection = pytest.importorskip("duckdb").connect()
    connection.execute(f"COPY ({query}) TO '{bench.inputs / name}' (FORMAT parquet{options})")


def described(bench: Bench) -> dict[str, str]:
    """Return the types that DuckDB finds in the output."""
    query = f"DESCRIBE FROM '{bench.out}/*.parquet'"
    return {row[0]: row[1] for row in pytest.importorskip("duckdb").sql(query).fetchall()}


def logical(bench: Bench) -> dict[str, str]:
    """Return the logical types of the columns of the first part."""
    schema = pq.read_metadata(min(bench.out.glob("*.parquet"))).schema
    return {schema.column(number).name: schema.column(number).logical_type.type for number in range(len(schema))}


def identified(store_schema: bool, bench: Bench, name: str = "f.parquet") -> None:
    """Write a file of pyarrow with a UUID and a JSON column, with or without the Arrow schema in it."""
    storage = pa.array([value.bytes for value in UUIDS], pa.binary(16))
    columns = {
        "u": pa.ExtensionArray.from_storage(pa.uuid(), storage),
        "j": pa.ExtensionArray.from_storage(pa.json_(), pa.array(DOCUMENTS)),
        "x": [0.0, 1.0, 2.0],
        "c": ["a", "b", "a"],
    }
    bench.put(name, pa.table(columns), store_schema=store_schema)


@pytest.mark.parametrize("writer", ["duckdb", "pyarrow", "pyarrow without the schema"])
@pytest.mark.parametrize("output", ["out", "out.parquet"])
def test_kept_uuid_and_json_columns_keep_their_logical_type(bench: Bench, writer: str, output: str) -> None:
    if writer == "duckdb":
        values = ", ".join(
            f"({number}, '{one}'::UUID, {'NULL' if text is None else repr(text)}::JSON, {number}::DOUBLE, 'a')"
            for number, (one, text) in enumerate(zip(UUIDS, DOCUMENTS, strict=True))
        )
        duck(bench, "f.parquet", f"SELECT u, j, x, c FROM (VALUES {values}) t(n, u, j, x, c) ORDER BY n")
    else:
        identified(writer == "pyarrow", bench)
    report = bench.score(output=bench.folder / output, keep=["u", "j"], chunk_size="2")
    if output != "out":
        bench.out.mkdir()
        (bench.folder / output).rename(bench.out / "part.parquet")
    assert {name: type_ for name, type_ in logical(bench).items() if name in "uj"} == {"u": "UUID", "j": "JSON"}
    assert [described(bench)[name] for name in "uj"] == ["UUID", "JSON"]
    table = bench.table()
    assert [table.schema.field(name).type for name in "uj"] == [pa.uuid(), pa.json_()]
    assert table["u"].to_pylist() == UUIDS
    assert table["j"].to_pylist() == DOCUMENTS
    assert not any("lost" in note for note in report.plan.notes)


def test_an_output_with_logical_types_is_verified_resumed_and_reused(bench: Bench) -> None:
    identified(True, bench)
    bench.score(keep=["*"])
    assert pipeline.verify(bench.out, sample=1).as_published
    assert bench.score(keep=["*"]).totals.read == 3
    identified(False, bench, "g.parquet")
    again = bench.score(keep=["*"], if_exists="replace")
    assert again.totals.read == 6
    assert pipeline.verify(bench.out, sample=2).as_published


def test_a_type_given_for_a_column_replaces_its_logical_type(bench: Bench) -> None:
    identified(True, bench)
    bench.score(keep=["j"], types={"j": "string"})
    assert bench.table().schema.field("j").type == pa.string()
    assert logical(bench)["j"] == "STRING"


@pytest.mark.parametrize("store_schema", [True, False])
def test_type_string_writes_a_uuid_as_its_text(bench: Bench, store_schema: bool) -> None:
    identified(store_schema, bench)
    expected = list(map(str, UUIDS))
    bench.put("g.parquet", pa.table({"u": [*expected, None], "x": [1.0] * 4, "c": ["a"] * 4}))
    assert "--type u=string reads a column as one type" in bench.refused(SchemaError, keep=["u"])
    bench.score(keep=["u"], types={"u": "string"}, chunk_size="2")
    assert bench.table()["u"].to_pylist() == [*expected, *expected, None]
    bench.score(keep=["u"], types={"u": "string"}, output=bench.folder / "out.csv")
    assert pd.read_csv(bench.folder / "out.csv")["u"].dropna().tolist() == expected * 2


def test_a_uuid_in_nulls_and_slices_is_the_text_that_python_gives() -> None:
    values = [uuid.UUID(int=number * 2**117 + number) for number in range(200)]
    storage = [None if number % 7 == 0 else value.bytes for number, value in enumerate(values)]
    expected = [None if number % 7 == 0 else str(value) for number, value in enumerate(values)]
    array = pa.array(storage, pa.binary(16))
    for start, count in ((0, 200), (3, 100), (199, 1), (5, 0)):
        assert uuid_text(array.slice(start, count)).to_pylist() == expected[start : start + count]
    assert uuid_text(pa.nulls(3, pa.binary(16))).to_pylist() == [None] * 3


def test_a_uuid_column_stays_one_beside_a_file_that_has_only_null(bench: Bench) -> None:
    identified(True, bench)
    bench.put("g.parquet", pa.table({"u": pa.nulls(1), "j": pa.nulls(1), "x": [1.0], "c": ["a"]}))
    bench.put("h.parquet", pa.table({"x": [1.0], "c": ["a"]}))
    report = bench.score(keep=["u", "j"], absent="null", chunk_size="2")
    assert not any("lost" in note for note in report.plan.notes)
    assert described(bench)["u"] == "UUID"
    table = bench.table()
    assert [table.schema.field(name).type for name in "uj"] == [pa.uuid(), pa.json_()]
    assert table["u"].to_pylist() == [*UUIDS, None, None]
    assert pipeline.verify(bench.out, sample=1).as_published


def test_uuids_in_lists_and_structs_are_kept_and_null_where_a_file_lacks_them(bench: Bench) -> None:
    ids = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([value.bytes for value in UUIDS], pa.binary(16)))
    nested = {"u": pa.ListArray.from_arrays([0, 1, 1, 3], ids), "s": pa.StructArray.from_arrays([ids], ["id"])}
    bench.put("a.parquet", pa.table({"x": [0.0, 1.0, 2.0], "c": ["a", "b", "a"], **nested}))
    bench.put("b.parquet", pa.table({"x": [1.0], "c": ["a"]}))
    bench.score(keep=["u", "s"], absent="null", chunk_size="2")
    assert bench.table()["u"].to_pylist() == [UUIDS[:1], [], UUIDS[1:], None]
    assert bench.table()["s"].to_pylist() == [*({"id": value} for value in UUIDS), None]
    assert pipeline.verify(bench.out, sample=2).as_published


def test_files_that_differ_give_the_storage_and_a_note(bench: Bench) -> None:
    identified(True, bench)
    bench.put("g.parquet", pa.table({"u": pa.array([b"x" * 16], pa.binary(16)), "j": ["{}"], "x": [1.0], "c": ["a"]}))
    plan = bench.preview(keep=["u", "j"])
    assert "column 'u': the type UUID is lost, the output has fixed_size_binary[16]" in plan.notes
    assert "column 'j': the type JSON is lost, the output has string" in plan.notes
    bench.score(keep=["u", "j"])
    assert bench.table()["j"].to_pylist() == [*DOCUMENTS, "{}"]


def test_a_csv_has_json_as_text(bench: Bench) -> None:
    identified(False, bench)
    bench.score(keep=["j"], format="csv")
    frame = pd.concat(pd.read_csv(path) for path in sorted(bench.out.glob("*.csv")))
    assert frame["j"].astype(object).replace({np.nan: None}).tolist() == DOCUMENTS


def test_json_is_text_for_a_categorical_feature(bench: Bench) -> None:
    identified(True, bench)
    features = [{"column": "j", "kind": "categorical", "coefficients": {'{"a": 1}': 1.0, "[1, 2]": -1.0}}]
    bench.score(model=bench.model(features))
    expected = [sigmoid(np.array(1.5)), None, sigmoid(np.array(-0.5))]
    assert bench.table()["probability"].to_pylist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("query", "options", "note"),
    [
        (
            "42::VARIANT AS v",
            "",
            "column 'v': the type VARIANT is lost, the output has struct<metadata: binary not null",
        ),
        ("'POINT (1 2)'::GEOMETRY AS v", "", "column 'v': the type GEOMETRY is lost, the output has binary"),
        (
            "'POINT (1 2)'::GEOMETRY AS v",
            ", geoparquet_version 'V2'",
            "column 'v': the type GEOMETRY is lost, the output has binary",
        ),
        ("INTERVAL 3 DAY AS v", "", "column 'v': the type INTERVAL is lost, the output has fixed_size_binary[12]"),
        ("{'u': uuid()} AS v", "", "column 'v': the type UUID in struct is lost, the output has struct<u: fixed"),
        ("['{}'::JSON] AS v", "", "column 'v': the type JSON in list is lost, the output has list<"),
    ],
)
def test_a_note_names_the_column_and_the_loss(bench: Bench, query: str, options: str, note: str) -> None:
    try:
        duck(bench, "f.parquet", f"SELECT 1.0::DOUBLE AS x, 'a' AS c, {query}", options)
    except pytest.importorskip("duckdb").Error as error:
        pytest.skip(f"this DuckDB does not write it: {error}")
    plan = bench.preview(keep=["v"])
    assert [each for each in plan.notes if each.startswith(note)], plan.notes
    report = bench.score(keep=["v"])
    assert len(bench.table()) == report.totals.read == 1
    assert not any("lost" in each for each in bench.preview(output=bench.folder / "other").notes)


def test_many_columns_that_lose_the_same_type_are_one_note(bench: Bench) -> None:
    columns = ", ".join(f"INTERVAL 1 DAY AS v{number}" for number in range(9))
    duck(bench, "f.parquet", f"SELECT 1.0::DOUBLE AS x, 'a' AS c, {columns}")
    notes = [note for note in bench.preview(keep=["*"]).notes if "lost" in note]
    assert notes == [
        "columns 'v0', 'v1', 'v2' and 6 more: the type INTERVAL is lost, the output has fixed_size_binary[12]"
    ]


MOMENTS = ["2020-01-01T00:00:00.123456", None, "9999-12-31T00:00:00", "1600-01-01T00:00:00"]


def int96(bench: Bench) -> list[np.datetime64]:
    """Write a file with an INT96 column, as Spark and Impala did."""
    moments = [np.datetime64("NaT" if each is None else each, "us") for each in MOMENTS]
    columns = {"x": [0.0, 1.0, 2.0, 3.0], "c": ["a", "b", "a", "b"], "t": pa.array(np.array(moments))}
    bench.put("f.parquet", pa.table(columns), use_deprecated_int96_timestamps=True, store_schema=False)
    return moments


def test_int96_stays_in_microseconds_with_a_note(bench: Bench) -> None:
    moments = int96(bench)
    note = "column 't': INT96, read in microseconds; --type 't=timestamp[ns]' keeps nanoseconds"
    assert note in bench.preview(keep=["t"]).notes
    assert note not in bench.preview().notes
    report = bench.score(keep=["t"])
    assert note in report.plan.notes
    table = bench.table()
    assert table.schema.field("t").type == pa.timestamp("us")
    np.testing.assert_array_equal(table["t"].to_numpy(), np.array(moments))
    query = (
        f"SELECT epoch_us(t) FROM '{bench.out}/*.parquet' EXCEPT ALL SELECT epoch_us(t) FROM '{bench.inputs}/*.parquet'"
    )
    assert pytest.importorskip("duckdb").sql(query).fetchall() == []


def test_int96_beyond_nanoseconds_is_a_bad_cell_with_its_place(bench: Bench) -> None:
    int96(bench)
    types = {"t": "timestamp[ns]"}
    assert not any("INT96" in note for note in bench.preview(keep=["t"], types=types).notes)
    message = bench.refused(BadCellsError, known=False, keep=["t"], types=types)
    place = "f.parquet: row 3, column t: '9999-12-31T00:00:00' is beyond the range of timestamp[ns]"
    assert message.startswith(place)


def test_int96_beyond_nanoseconds_is_set_aside_and_the_accounts_balance(bench: Bench) -> None:
    int96(bench)
    report = bench.score(keep=["t", "x"], types={"t": "timestamp[ns]"}, max_bad=2)
    assert (report.totals.read, report.totals.written, report.totals.bad) == (4, 2, 2)
    table = bench.table()
    assert table.schema.field("t").type == pa.timestamp("ns")
    assert table["x"].to_pylist() == [0.0, 1.0]
    assert table["t"].cast(pa.int64()).to_pylist() == [1_577_836_800_123_456_000, None]
    quarantined = pq.read_table(bench.out / "_quarantine").to_pylist()
    assert [(row["record"], row["column"], json.loads(row["line"])) for row in quarantined] == [
        (3, "t", {"t": "9999-12-31T00:00:00", "x": 2.0, "c": "a"}),
        (4, "t", {"t": "1600-01-01T00:00:00", "x": 3.0, "c": "b"}),
    ]
    assert pipeline.verify(bench.out, sample=1).as_published
    assert pipeline.inspect(bench.inputs, full=True, types={"t": "timestamp[ns]"}).bad_records == 2


def test_lists_of_int96_have_a_note(bench: Bench) -> None:
    cells = pa.array([[1], [2]], pa.list_(pa.timestamp("us")))
    table = pa.table({"x": [0.0, 1.0], "c": ["a", "b"], "t": cells})
    bench.put("f.parquet", table, use_deprecated_int96_timestamps=True)
    assert "column 't': INT96 in list, read in microseconds" in bench.preview(keep=["t"]).notes


def test_a_row_that_is_set_aside_has_dates_that_python_does_not_know(bench: Bench) -> None:
    cells = pa.array([10**18, 253_402_300_800_000_000], pa.timestamp("us"))
    bench.put("f.parquet", pa.table({"x": [0.0, None], "c": ["a", "b"], "t": cells}))
    refusing = [{"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": "error"}]
    bench.score(model=bench.model(refusing), keep=["t"], max_bad=1)
    (row,) = pq.read_table(bench.out / "_quarantine").to_pylist()
    assert json.loads(row["line"]) == {"x": None, "t": "10000-01-01 00:00:00.000000"}


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_open_dataset_rounds_by_the_users_word_too(bench: Bench, format_: str) -> None:
    frame = pd.DataFrame({"ts": [2**53 + 1, 1_700_000_000_123_456_789], "k": "k"})
    path = bench.inputs / f"f.{format_}"
    frame.to_csv(path, index=False) if format_ == "csv" else frame.to_parquet(path)
    told = "cannot be held exactly" if format_ == "csv" else "round it by giving the column the type float64"
    with pytest.raises(BadCellsError, match=told):
        pipeline.open_dataset(bench.inputs).to_dask_array("ts").compute(scheduler="sync")
    rounding = CsvOptions.given(types={"ts": "float64"})
    found = pipeline.open_dataset(bench.inputs, csv=rounding).to_dask_array("ts").compute(scheduler="sync")
    assert found.ravel().tolist() == frame["ts"].astype("float64").tolist()


def test_inspect_shows_logical_types(bench: Bench) -> None:
    identified(False, bench)
    int96(bench)
    (bench.inputs / "f.parquet").rename(bench.inputs / "old.parquet")
    identified(True, bench)
    kinds = {column.name: column.types[0][0] for column in pipeline.inspect(bench.inputs).columns}
    assert (kinds["u"], kinds["j"], kinds["t"]) == (
        "fixed_size_binary[16] (UUID)",
        "string (JSON)",
        "timestamp[us] (INT96)",
    )
