"""A folder whose log decides what is data is refused by name, wherever it is met."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import DataError
from pipeline.sources import discover

DELTA, HUDI, ICEBERG = "_delta_log/00000000000000000000.json", ".hoodie/hoodie.properties", "metadata/v1.metadata.json"
TABLES = {
    DELTA: ("a Delta table", "COPY (FROM delta_scan('{table}')) TO"),
    HUDI: ("a Hudi table", "spark.read.format('hudi').load('{table}')"),
    ICEBERG: ("an Iceberg table", "COPY (FROM iceberg_scan('{table}')) TO"),
    "metadata/00001-a1b2.metadata.json": ("an Iceberg table", "iceberg_scan"),
    "metadata/00001-a1b2.metadata.json.gz": ("an Iceberg table", "iceberg_scan"),
}


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(folder: str, log: str) -> None:
    """Write a table whose log has removed one of its files."""
    for name in ("part-0.parquet", "data/country=NL/part-1.parquet"):
        path = Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table({"x": [1.0, 2.0]}), path)
    path = Path(folder, log)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"remove": {"path": "part-0.parquet"}}\n')


def refused(argument: str) -> DataError:
    with pytest.raises(DataError, match=r"its log .* decides which of its files are data") as caught:
        discover([argument])
    return caught.value


@pytest.mark.parametrize("log", TABLES)
@pytest.mark.parametrize(
    "argument",
    [
        "lake/t",
        "lake/t/",
        "lake",
        ".",
        "lake/*/*.parquet",
        "lake/**/*.parquet",
        "lake/t/*.parquet",
        "lake/t/part-0.parquet",
        "lake/t/data",
        "lake/t/data/country=NL",
        "lake/t/data/country=*/*.parquet",
        "lake/t/data/country=NL/part-1.parquet",
    ],
)
def test_a_table_is_refused_by_name_below_an_input_and_above_a_file_or_pattern(
    log: str, argument: str, tmp_path: Path
) -> None:
    table("lake/t", log)
    error = refused(argument)
    name, remedy = TABLES[log]
    assert error.message.startswith(f"{tmp_path}/lake/t is {name}: ")
    assert remedy.replace("{table}", f"{tmp_path}/lake/t") in error.remedy
    assert error.exit_code == 65


def test_a_link_into_a_table_is_refused(tmp_path: Path) -> None:
    table("lake/t", DELTA)
    Path("in").mkdir()
    Path("in/x.parquet").symlink_to(tmp_path / "lake/t/part-0.parquet")
    refused("in")
    refused("in/x.parquet")
    Path("in/x.parquet").unlink()
    Path("in/folder").symlink_to(tmp_path / "lake/t/data")
    refused("in")
    refused("in/folder")


def test_what_only_looks_like_a_table_is_read() -> None:
    table("t", "metadata/readme.json")
    Path("t/data/_delta_log.csv").write_text("x\n1\n")
    Path("t/data/metadata").write_text("a file")
    assert [file.path for file in discover(["t"]).files] == ["data/country=NL/part-1.parquet", "part-0.parquet"]


def test_a_folder_called_metadata_that_may_not_be_listed_is_another_one() -> None:
    table("t", "metadata/readme.json")
    Path("t/metadata").chmod(0)
    assert len(discover(["t/data"]).files) == 1
    Path("t/metadata").chmod(0o755)


def test_the_export_that_a_delta_table_is_told_of_gives_the_rows_of_its_log() -> None:
    duckdb = pytest.importorskip("duckdb")
    connection = duckdb.connect()
    for name in ("delta_scan", "iceberg_scan"):
        found = connection.execute("select 1 from duckdb_functions() where function_name = ?", [name]).fetchone()
        known = connection.execute("select 1 from duckdb_extensions() where extension_name = ?", [name[:-5]]).fetchone()
        assert found or known
