"""Files in other formats are known by first bytes or ending, and told what to do with what exists."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

import pipeline
from pipeline.errors import DataError, InputMissingError, ModelError
from pipeline.formats import FOREIGN, by_ending, by_start
from pipeline.models import LogisticModel
from pipeline.sources import CsvSource, ParquetSource, discover
from pipeline.types.inputs import CsvOptions, InputFile

ROOT = Path(__file__).parents[2]
FRAME = pd.DataFrame({"x": [1.0, 2.0], "c": ["AA", "UA"]})
TABLE = pa.table(FRAME)


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "x\n1\n")


def packed(path: Path) -> None:
    with tarfile.open(path, "w") as archive:
        entry = tarfile.TarInfo("x.csv")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"x\n1\n"))


def database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        FRAME.to_sql("t", connection)
    connection.close()


def duck(path: Path) -> None:
    connection = pytest.importorskip("duckdb").connect(str(path))
    connection.execute("create table t as select 1 x")
    connection.close()


def stream(path: Path) -> None:
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write(TABLE)


def numpy_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=np.arange(3))


def numpy_file(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


# ending, how such a file is written, its name in messages, what the remedy contains
Case = tuple[str, Callable[[Path], object], str, str]
WRITTEN: list[Case] = [
    ("pkl", lambda path: path.write_bytes(pickle.dumps(FRAME)), "a pickled object", "frame.to_parquet"),
    ("npy", numpy_file, "a pickled object", "frame.to_parquet"),
    ("npz", numpy_archive, "a pickled object", "frame.to_parquet"),
    ("onnx", lambda path: path.write_bytes(b"\x08\x09\x12\x07skl2onnx"), "an ONNX model", "as INPUT"),
    ("vw", lambda path: path.write_bytes(b"\x07\0\0\x009.11.9\0\x01\0\0\0\0m"), "a binary model of VW", "as INPUT"),
    ("pmml", lambda path: path.write_text('<?xml version="1.0"?>\n<PMML version="4.4"/>'), "a PMML model", "as INPUT"),
    ("json", FRAME.to_json, "JSON", "COPY (FROM read_json('data.json'))"),
    (
        "json",
        lambda path: FRAME.to_json(path, orient="records", indent=2),
        "JSON",
        "COPY (FROM read_json('data.json'))",
    ),
    ("feather", lambda path: feather.write_feather(TABLE, path), "Arrow or Feather", "read_feather('data.feather')"),
    ("arrows", stream, "Arrow or Feather", "read_feather"),
    ("orc", lambda path: orc.write_table(TABLE, path), "ORC", "read_orc('data.orc')"),
    ("avro", lambda path: path.write_bytes(b"Obj\x01\x04\x16avro.schema"), "Avro", "read_avro('data.avro')"),
    ("xlsx", lambda path: zipped(path, "[Content_Types].xml", "xl/workbook.xml"), "an Excel workbook", "read_excel"),
    ("xlsx", lambda path: zipped(path, "docProps/app.xml", "xl/workbook.xml"), "an Excel workbook", "read_excel"),
    ("xls", lambda path: path.write_bytes(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504)), "an Excel", "read_excel"),
    ("zip", lambda path: zipped(path, "x.csv"), "zip", "unpack it"),
    ("sas7bdat", lambda path: path.write_bytes(bytes(12) + b"\xc2\xea\x81\x60\xb3\x14\x11\xcf"), "SAS", "read_sas"),
    ("dta", lambda path: FRAME.to_stata(path, version=118), "Stata", "read_stata('data.dta')"),
    ("sqlite", database, "an SQLite database", "sqlite_scan('data.sqlite', 'TABLE')"),
    ("duckdb", duck, "a DuckDB database", "duckdb data.duckdb"),
    ("tar", packed, "a tar archive", "unpack it"),
    ("bz2", lambda path: path.write_bytes(bz2.compress(b"x\n1\n")), "bzip2", "unpack it"),
    ("xz", lambda path: path.write_bytes(lzma.compress(b"x\n1\n")), "xz", "unpack it"),
    ("html", lambda path: path.write_text("<!DOCTYPE html>\n<html><body>Log in"), "a web page", "download it again"),
]
IDS = [f"{number} {case[0]}" for number, case in enumerate(WRITTEN)]


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(path: Path) -> DataError:
    with pytest.raises(DataError) as caught:
        discover([str(path)])
    return caught.value


@pytest.mark.parametrize(("ending", "write", "name", "remedy"), WRITTEN, ids=IDS)
def test_a_format_is_known_as_input_by_ending_and_told_what_to_do(
    ending: str, write: Callable[[Path], object], name: str, remedy: str
) -> None:
    path = Path(f"data.{ending}")
    write(path)
    error = refused(path)
    assert error.message.startswith(f"data.{ending} is {name}")
    assert error.message.endswith("not Parquet or CSV")
    assert remedy in error.remedy
    assert error.exit_code == 65


@pytest.mark.parametrize(("ending", "write", "name", "remedy"), WRITTEN, ids=IDS)
def test_a_format_is_known_as_input_by_first_bytes(
    ending: str, write: Callable[[Path], object], name: str, remedy: str
) -> None:
    write(Path("data"))
    assert f"data is {name}" in refused(Path("data")).message
    Path("data").rename("data.csv")
    (file,) = discover(["data.csv"]).files
    with pytest.raises(DataError, match=rf"^data\.csv is {name}.*, not CSV"):
        CsvSource(CsvOptions()).facts(file)


@pytest.mark.parametrize(("ending", "write", "name", "remedy"), WRITTEN, ids=IDS)
def test_a_format_is_known_as_model_by_ending_or_first_bytes(
    ending: str, write: Callable[[Path], object], name: str, remedy: str
) -> None:
    if ending == "json":
        pytest.skip("a model file is JSON")
    for path in (Path(f"model.{ending}"), Path("model")):
        write(path)
        with pytest.raises(ModelError, match=rf"^{path} is {name}.*, not a model file") as caught:
            LogisticModel.load(path)
        assert caught.value.remedy
        assert caught.value.exit_code == 65


@pytest.mark.parametrize("ending", ["pkl", "joblib", "sav", "npz"])
def test_a_model_of_scikit_learn_is_told_of_from_sklearn(ending: str) -> None:
    Path(f"model.{ending}").write_bytes(pickle.dumps(FRAME))
    with pytest.raises(ModelError) as caught:
        LogisticModel.load(f"model.{ending}")
    assert "logitstream.from_sklearn(estimator).save('model.json')" in caught.value.remedy
    assert callable(pipeline.from_sklearn)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("model.onnx", b"\x08\x09\x12\x07skl2onnx"),
        ("model.pmml", b'<?xml version="1.0"?><PMML version="4.4">'),
        ("model.skops", b"PK\x03\x04" + bytes(26) + b"140546700536464.npy"),
        ("model.txt", b"Version 9.11.9\nId \nMin label:-50\n"),
    ],
)
def test_a_model_of_another_tool_is_told_of_the_command_that_imports_it(name: str, content: bytes) -> None:
    Path(name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        LogisticModel.load(name)
    assert f"logitstream model import {name} --output model.json" in caught.value.remedy


def test_an_archive_whose_first_file_is_named_like_json_is_no_model() -> None:
    Path("{a}").write_text("text")
    with tarfile.open("m.json", "w") as archive:
        archive.add("{a}")
    with pytest.raises(ModelError, match=r"m\.json is a tar archive, not a model file"):
        LogisticModel.load("m.json")


def test_json_lines_are_no_model_unless_they_say_so() -> None:
    Path("m.jsonl").write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(ModelError, match=r"m\.jsonl is JSON lines, not a model file") as caught:
        LogisticModel.load("m.jsonl")
    assert "give the JSON file of a model" in caught.value.remedy
    Path("m.jsonl").write_bytes((ROOT / "sample_data" / "delay_model.json").read_bytes())
    assert LogisticModel.load("m.jsonl").features


@pytest.mark.parametrize("name", ["data.json", "data.csv"])
def test_what_is_said_of_json_writes_it_as_parquet(name: str) -> None:
    Path(name).write_text('{"a": 1}\n{"a": 2}\n')
    with pytest.raises(DataError, match="is JSON") as caught:
        facts_of(discover([name]).files[0])
    pytest.importorskip("duckdb").sql(caught.value.remedy.partition("DuckDB: ")[2])
    assert pq.read_table("data.parquet").to_pydict() == {"a": [1, 2]}


@pytest.mark.parametrize("name", ["data.parquet", "data", "data.csv", "data.csv.gz"])
def test_data_given_as_a_model_are_told_where_they_go(name: str) -> None:
    if "csv" in name:
        FRAME.to_csv(name)
    else:
        pq.write_table(TABLE, name)
    with pytest.raises(ModelError, match=r"is (Parquet|CSV), not a model file") as caught:
        LogisticModel.load(name)
    assert "data are the INPUT" in caught.value.remedy


@pytest.mark.parametrize("name", ["data.jsonl", "data.ndjson", "data.jsonl.gz"])
def test_json_lines_given_as_a_model_are_known_by_their_ending(name: str) -> None:
    FRAME.to_json(name, orient="records", lines=True)
    with pytest.raises(ModelError, match=r"is JSON lines, not a model file") as caught:
        LogisticModel.load(name)
    assert "give the JSON file of a model" in caught.value.remedy


@pytest.mark.parametrize("name", ["model.json", "model", "model.csv", "model.jsonl"])
def test_a_model_given_as_data_is_told_where_it_goes(name: str) -> None:
    Path(name).write_bytes((ROOT / "sample_data" / "delay_model.json").read_bytes())
    with pytest.raises(DataError, match=rf"^{name} is a model file of logitstream") as caught:
        facts_of(discover([name]).files[0])
    assert "give it to --model" in caught.value.remedy
    assert LogisticModel.load(name).features


@pytest.mark.parametrize("ending", [ending for known in FOREIGN for ending in known.endings.split()])
def test_an_ending_alone_is_enough_where_the_file_is_not_text(ending: str) -> None:
    Path(f"data.{ending}").write_bytes(b"\x01\x02\x03\0damaged")
    assert "not Parquet or CSV" in refused(Path(f"data.{ending}")).message
    assert by_ending(f"a/DATA.{ending.upper()}") is by_ending(f"data.{ending}") is not None


@pytest.mark.parametrize("ending", ["xls", "dat", "db", "orc"])
def test_text_under_the_ending_of_a_binary_format_is_read_as_before(ending: str) -> None:
    Path(f"data.{ending}").write_bytes(b"x\ty\n1\t2\n")
    assert discover([f"data.{ending}"]).files[0].format == "csv"


@pytest.mark.parametrize("name", ["data.pkl.gz", "data.jsonl.gz", "data.onnx.zst"])
def test_a_packed_file_is_known_by_the_ending_inside(name: str) -> None:
    Path(name).write_bytes(gzip.compress(b"\x80\x04whatever"))
    assert "not Parquet or CSV" in refused(Path(name)).message


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (pickle.dumps(FRAME), "a pickled object"),
        (b'{"x": 1, "y": 2}\n{"x": 3, "y": 4}\n', "JSON"),
        (b"PK\x03\x04" + bytes(26) + b"xl/workbook.xml", "an Excel workbook"),
    ],
)
def test_what_is_inside_a_gzip_is_known_too(content: bytes, name: str) -> None:
    Path("data.csv.gz").write_bytes(gzip.compress(content))
    (file,) = discover(["data.csv.gz"]).files
    with pytest.raises(DataError, match=rf"^data\.csv\.gz is {name}, not CSV"):
        CsvSource(CsvOptions()).facts(file)


@pytest.mark.parametrize(
    "header",
    [
        b"ORC,Elf\n", b"FEA1,FEA2\n", b"PAR1,PAR2\n", b"BZh,x\n", b"Obj,x\n", b"PK,x\n", b"animals,DUCK\n",
        b"ARROW1,x\n", b"x" * 257 + b"ustar\n", b"{x},y\n", b"<b>,y\n", b"SQLite format 3,y\n",
        b'{"a": 1}\t5\n{"a": 2}\t6\n',
    ],
)  # fmt: skip
def test_a_header_that_spells_a_mark_is_a_header(header: bytes) -> None:
    assert by_start(header + b"1,2\n") is None
    Path("data").write_bytes(header + b"1,2\n")
    assert discover(["data"]).files[0].format == "csv"


def test_json_without_a_header_is_read_where_the_columns_are_given() -> None:
    Path("data.csv").write_bytes(b'{"a": 1}\n{"a": 2}\n')
    (file,) = discover(["data.csv"]).files
    names = [column.field.name for column in CsvSource(CsvOptions(columns=("j",), quote="")).facts(file).columns]
    assert names == ["j"]


def test_what_a_folder_skips_is_named_with_its_format() -> None:
    Path("in").mkdir()
    for name in ("a.jsonl", "b.xlsx", "c.md"):
        Path("in", name).write_text("text")
    with pytest.raises(InputMissingError, match=r"contains no .*3 files .* skipped: a\.jsonl is JSON lines") as caught:
        discover(["in"])
    assert "COPY (FROM read_json('a.jsonl'))" in caught.value.remedy
    FRAME.to_csv("in/x.csv")
    found = discover(["in"])
    assert found.skipped == ("a.jsonl (JSON lines)", "b.xlsx (an Excel workbook)", "c.md")
    assert found.notes == (
        "skipped 3 files that are neither Parquet nor CSV: a.jsonl (JSON lines), b.xlsx (an Excel workbook), c.md",
    )


@pytest.mark.parametrize("damage", ["end", "begin", "a byte of the begin"])
def test_a_damaged_parquet_file_without_the_ending_is_not_called_text(damage: str) -> None:
    pq.write_table(TABLE, "data")
    content = Path("data").read_bytes()
    head, tail = {"end": (content[:-8], b""), "begin": (b"", content[40:]), "a byte of the begin": (b"Q", content[1:])}[
        damage
    ]
    Path("data").write_bytes(head + tail)
    (file,) = discover(["data"]).files
    assert file.format == "parquet"
    with pytest.raises(DataError, match=r"^data is (cut short|damaged)"):
        ParquetSource().facts(file)


def test_text_that_ends_in_the_mark_of_parquet_is_text() -> None:
    Path("data").write_bytes(b"x,kind\n1,OTHER\n31,PAR1")
    assert discover(["data"]).files[0].format == "csv"


def test_a_file_called_parquet_that_is_another_format_is_told_which() -> None:
    feather.write_feather(TABLE, "data.parquet")
    (file,) = discover(["data.parquet"]).files
    with pytest.raises(DataError, match=r"is not a Parquet file.*; it is Arrow or Feather") as caught:
        ParquetSource().facts(file)
    assert "read_feather('data.parquet')" in caught.value.remedy


@pytest.mark.parametrize("name", ["data.pkl", "data", "data.csv", "data.pkl.gz"])
def test_nothing_is_ever_unpickled(name: str) -> None:
    content = pickle.dumps(Trap())
    Path(name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    for use in (lambda: facts_of(discover([name]).files[0]), lambda: LogisticModel.load(name)):
        with pytest.raises((DataError, ModelError)):
            use()
    assert not Path("sprung").exists()


class Trap:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return spring, ("sprung",)


def spring(name: str) -> None:
    Path(name).touch()


def facts_of(file: InputFile) -> object:
    return (ParquetSource() if file.format == "parquet" else CsvSource(CsvOptions())).facts(file)


class TestFilesWithoutAnEnding:
    def test_parquet_is_known_by_its_magic_and_text_only_where_the_name_is_part(self) -> None:
        Path("in/day=1").mkdir(parents=True)
        pq.write_table(TABLE, "in/000000_0")
        pq.write_table(TABLE, "in/day=1/part-00000")
        Path("in/part-00001").write_text("x,c\n1,AA\n")
        Path("in/part-00002.gz").write_bytes(gzip.compress(b"x,c\n1,AA\n"))
        for name in ("README", "000001_0", "_SUCCESS", ".part-00001.crc", "part-00003.crc"):
            Path("in", name).write_text("x,c\n1,AA\n")
        found = discover(["in"])
        assert [(file.path, file.format) for file in found.files] == [
            ("000000_0", "parquet"),
            ("day=1/part-00000", "parquet"),
            ("part-00001", "csv"),
            ("part-00002.gz", "csv"),
        ]
        assert found.skipped == ("000001_0", "README", "part-00003.crc")
        assert found.notes == (
            "skipped 3 files that are neither Parquet nor CSV: 000001_0, README, part-00003.crc",
            "2 files without an ending read as Parquet: 000000_0, day=1/part-00000",
            "2 files without an ending read as CSV: part-00001, part-00002.gz",
        )

    def test_text_is_read_where_the_file_itself_is_an_argument(self) -> None:
        Path("in").mkdir()
        Path("in/000001_0").write_text("x,c\n1,AA\n")
        for argument in ("in/000001_0", "in/0000*"):
            found = discover([argument])
            assert [file.format for file in found.files] == ["csv"]
            assert found.notes == ()

    def test_a_part_in_another_format_is_skipped_and_told(self) -> None:
        Path("in").mkdir()
        Path("in/part-00000").write_bytes(pickle.dumps(FRAME))
        orc.write_table(TABLE, "in/part-00001")
        Path("in/part-00002").write_text("x\n1\n")
        found = discover(["in"])
        assert [file.path for file in found.files] == ["part-00002"]
        assert found.skipped == ("part-00000 (a pickled object)", "part-00001 (ORC)")

    def test_a_damaged_parquet_file_in_a_folder_is_an_error_not_skipped(self) -> None:
        Path("in").mkdir()
        pq.write_table(TABLE, "in/part-00000")
        Path("in/part-00000").write_bytes(Path("in/part-00000").read_bytes()[:-9])
        (file,) = discover(["in"]).files
        with pytest.raises(DataError, match="is cut short"):
            facts_of(file)
