"""Text in the delta encodings, as DuckDB and Spark write it in version 2 of the format, is read like any other text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run
from pipeline.errors import DataError, LogitstreamError
from pipeline.inspection import DataInspection
from pipeline.sources.parquet.footer import translated
from pipeline.sources.parquet.source import ParquetSource
from pipeline.types.inputs import InputFile, Need
from tests.contracts.source import read_rows, whole

ROWS = 6_000
LEVELS = ["AA", "UA", "", "größer", "a level of some more letters"]
MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.25,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 0.5},
        {
            "column": "c",
            "kind": "categorical",
            "coefficients": dict(zip(LEVELS, (0.1, -0.7, 0.3, 1.1, -2.5), strict=True)),
        },
    ],
}


def rows(start: int = 0, stop: int = ROWS, *, distinct: bool = False) -> pa.Table:
    """Return rows with levels, nulls and a text of their own; ``distinct`` levels are as many as the rows."""
    numbers = range(start, stop)
    levels = [f"level {n}" if distinct else None if n % 11 == 0 else LEVELS[n % 5] for n in numbers]
    return pa.table(
        {
            "x": np.sin(np.arange(start, stop)),
            "c": pa.array(levels, pa.string()),
            "k": pa.array([None if n % 7 == 0 else f"row {n // 3} é" for n in numbers], pa.string()),
        }
    )


def write(path: Path, table: pa.Table, encoding: str) -> None:
    """Write text columns in an encoding; ``mixed`` has one of each kind."""
    texts = [field.name for field in table.schema if field.type in {pa.string(), pa.large_string()}]
    kinds = ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"] * len(texts) if encoding == "mixed" else [encoding] * 9
    chosen = dict(zip(texts, kinds, strict=False))
    pq.write_table(
        table, path, use_dictionary=False, column_encoding=chosen, data_page_version="2.0", row_group_size=1_500
    )


def encodings(path: Path, column: int) -> list[set[str]]:
    """Return the encodings of a column in each row group, as the footer names them."""
    metadata = pq.read_metadata(path)
    return [set(metadata.row_group(n).column(column).encodings) for n in range(metadata.num_row_groups)]


@pytest.fixture(scope="module")
def dictionary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows with dictionaries, scored: a folder with ``in`` and ``out``."""
    folder = tmp_path_factory.mktemp("dictionary")
    (folder / "in").mkdir()
    (folder / "model.json").write_text(json.dumps(MODEL))
    pq.write_table(rows(), folder / "in" / "f.parquet", row_group_size=1_500)
    score(folder)
    return folder


def score(folder: Path) -> pa.Table:
    pipeline.score(
        folder / "in", folder / "model.json", folder / "out", keep=["c", "k"], chunk_size=4_000, scheduler="sync"
    )
    return pq.read_table(folder / "out")


@pytest.fixture
def folder(dictionary: Path, tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    shutil.copy(dictionary / "model.json", tmp_path)
    return tmp_path


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY", "mixed"])
def test_scores_and_kept_text_are_those_of_the_same_rows_with_dictionaries(
    dictionary: Path, folder: Path, encoding: str
) -> None:
    write(folder / "in" / "f.parquet", rows(), encoding)
    assert all(
        "DELTA" in " ".join(each) for column in (1, 2) for each in encodings(folder / "in" / "f.parquet", column)
    )
    assert score(folder).equals(pq.read_table(dictionary / "out"))
    parts = [sorted(path.read_bytes() for path in (one / "out").glob("*.parquet")) for one in (dictionary, folder)]
    assert parts[0] == parts[1]


def test_files_of_both_kinds_are_read_together(dictionary: Path, folder: Path) -> None:
    pq.write_table(rows(0, 2_000), folder / "in" / "a.parquet")
    write(folder / "in" / "b.parquet", rows(2_000, 4_000), "DELTA_BYTE_ARRAY")
    pq.write_table(rows(4_000), folder / "in" / "c.parquet", use_dictionary=False)
    assert score(folder).equals(pq.read_table(dictionary / "out"))


@pytest.mark.parametrize("type_", [pa.large_string(), pa.string_view()])
def test_other_types_of_text_are_read_too(dictionary: Path, folder: Path, type_: pa.DataType) -> None:
    table = rows()
    table = table.set_column(1, "c", table["c"].cast(type_)).set_column(2, "k", table["k"].cast(type_))
    chosen = dict.fromkeys(("c", "k"), "DELTA_BYTE_ARRAY")
    pq.write_table(table, folder / "in" / "f.parquet", use_dictionary=False, column_encoding=chosen)
    found, expected = score(folder), pq.read_table(dictionary / "out")
    assert found["probability"].equals(expected["probability"])
    assert found["k"].cast(pa.string()).equals(expected["k"])


def duckdb_file(path: Path, tables: list[pa.Table]) -> None:
    """Have DuckDB write tables as version 2, each a row group or more."""
    duckdb = pytest.importorskip("duckdb")
    table = pa.concat_tables(tables)
    with duckdb.connect() as connection:
        connection.execute("SET threads = 1")
        connection.register("rows", table)
        connection.execute(
            f"COPY (SELECT * FROM rows) TO '{path}' (FORMAT parquet, PARQUET_VERSION v2, ROW_GROUP_SIZE {2_048})"
        )


def test_a_file_of_duckdb_in_version_2_scores_as_the_same_rows_do(folder: Path, tmp_path: Path) -> None:
    tables = [rows(0, 6_144), rows(6_144, 12_288, distinct=True)]
    duckdb_file(folder / "in" / "f.parquet", tables)
    found = encodings(folder / "in" / "f.parquet", 1)
    assert any("DELTA_LENGTH_BYTE_ARRAY" in each for each in found)
    assert any("DELTA_LENGTH_BYTE_ARRAY" not in each for each in found), "row groups of both kinds"
    pipeline.score(folder / "in", folder / "model.json", folder / "out", keep=["c", "k"], chunk_size=20_000)
    (tmp_path / "plain" / "in").mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables), tmp_path / "plain" / "in" / "f.parquet")
    pipeline.score(
        tmp_path / "plain" / "in", folder / "model.json", tmp_path / "plain" / "out", keep=["c", "k"], chunk_size=20_000
    )
    assert pq.read_table(folder / "out").equals(pq.read_table(tmp_path / "plain" / "out"))


@pytest.mark.parametrize("encoding", ["DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_inspect_and_verify_read_them_too(
    dictionary: Path, folder: Path, encoding: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(folder / "in" / "f.parquet", rows(), encoding)
    found, expected = (pipeline.inspect(one / "in", full=True) for one in (folder, dictionary))
    assert isinstance(found, DataInspection)
    assert isinstance(expected, DataInspection)
    assert found.errors == ()
    assert found.columns == expected.columns
    score(folder)
    assert run(["verify", str(folder / "out"), "--inputs", "--sample", "2"]) == 0
    assert "the same bits" in capsys.readouterr().out


def test_text_that_repeats_a_long_prefix_does_not_take_all_memory_at_once(tmp_path: Path) -> None:
    """Each row of a delta encoding may repeat the row before it: pages of kilobytes, text of gigabytes."""
    path = tmp_path / "f.parquet"
    table = pa.table({"t": pa.array(["long " * 10_000] * 3_000)})
    pq.write_table(table, path, use_dictionary=False, column_encoding={"t": "DELTA_BYTE_ARRAY"}, compression="none")
    assert path.stat().st_size < 400_000
    source = ParquetSource()
    facts = source.facts(InputFile("f.parquet", str(path), 0, "parquet"))
    for role in ("kept", "categorical"):
        with source.read(facts.file, facts.identity, whole(facts), [Need("t", role)], 65_536) as reader:
            sizes = [batch.num_rows for batch in reader]
        assert sum(sizes) == 3_000
        assert max(sizes) <= 1_024


def delta_dictionary(path: Path) -> InputFile:
    """Write a column that its Arrow schema makes a dictionary, in an encoding that Arrow cannot read as one."""
    levels = pa.array(["a", "b", "a"]).dictionary_encode()
    table = pa.table({"x": [1.0, 2.0, 3.0], "level\n": levels})
    pq.write_table(table, path, use_dictionary=False, column_encoding={"level\n": "DELTA_BYTE_ARRAY"})
    return InputFile(path.name, str(path), 0, "parquet")


def test_what_arrow_does_not_support_names_the_column_and_is_not_called_damage(tmp_path: Path) -> None:
    file = delta_dictionary(tmp_path / "f.parquet")
    source = ParquetSource()
    facts = source.facts(file)
    with pytest.raises(DataError) as caught:
        read_rows(source, facts, whole(facts), [Need("x", "kept"), Need("level\n", "kept")], 10)
    expected = r"f.parquet cannot be read: column 'level\n' uses a part of Parquet that Arrow does not support: "
    assert caught.value.message.startswith(expected)
    assert "damage" not in str(caught.value)
    assert caught.value.remedy.endswith("or leave the column out")
    assert read_rows(source, facts, whole(facts), [Need("x", "kept")], 10)[0] == [(1.0,), (2.0,), (3.0,)]


def test_a_codec_without_code_names_the_column(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    pq.write_table(pa.table({"x": [1.0], "c": ["a"]}), path, compression={"x": "none", "c": "zstd"})
    content = path.read_bytes()
    # In the footer, the codec of a column is the number behind its name: 3 is LZO, 6 is zstd, each times two.
    assert content.count(b"\x18\x01c\x15\x0c") == 1
    path.write_bytes(content.replace(b"\x18\x01c\x15\x0c", b"\x18\x01c\x15\x06"))
    with pytest.raises(DataError) as caught:
        ParquetSource().facts(InputFile("f.parquet", str(path), 0, "parquet"))
    assert caught.value.message.startswith(
        "f.parquet cannot be read: column 'c' uses a part of Parquet that Arrow does"
    )
    assert "LZO" in caught.value.message
    assert "leave the column out" not in caught.value.remedy


@pytest.mark.parametrize(
    "raising",
    [
        lambda: pa.ArrowNotImplementedError("no code for this"),
        lambda: OSError("Not yet implemented: no code for this"),
    ],
)
def test_not_implemented_is_not_damage(raising: Callable[[], Exception]) -> None:
    with pytest.raises(LogitstreamError) as caught, translated("f.parquet"):
        raise raising()
    assert type(caught.value) is DataError
    assert caught.value.message.startswith("f.parquet cannot be read: it uses a part of Parquet that Arrow does not")
    assert "write the file again" in caught.value.remedy
