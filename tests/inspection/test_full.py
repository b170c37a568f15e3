"""Everything read: by all workers together, within the budget, with the same answer on every scheduler."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import pipeline
from jobs.cli import run
from pipeline.errors import MemoryBudgetError, UsageError
from pipeline.inspection import DataInspection
from pipeline.inspection.json import inspection_json

ROOT = Path(__file__).resolve().parents[2]
ROWS = 30_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of unlike columns, large ones that are cut and small ones that are gathered, and a record that is bad."""
    path = tmp_path_factory.mktemp("data")
    chance = np.random.default_rng(3)
    x = chance.normal(size=ROWS)
    x[::97], x[5::1001], x[7] = np.nan, np.inf, -1e300
    table = pa.table(
        {
            "x": x,
            "n": pa.array(chance.integers(-(10**12), 10**12, ROWS), mask=chance.random(ROWS) < 0.1),
            "t": [f"text {number:05}\nof two lines" for number in range(ROWS)],
        }
    )
    pq.write_table(table, path / "large.parquet", row_group_size=1_000, write_page_checksum=True)
    pyarrow.csv.write_csv(table, path / "large.csv")
    for number in range(30):
        part = table.slice(1_000 * number, 50).drop_columns(["t"] if number % 3 else ["n"])
        pq.write_table(part, path / f"small-{number}.parquet")
    with (path / "large.csv").open("a") as file:
        file.write("1,2\n")
    return path


def plain(path: Path, **how: Any) -> Any:
    found = pipeline.inspect(path, full=True, **how)
    assert isinstance(found, DataInspection)
    return inspection_json(found)


def test_the_answer_is_that_of_arrow(folder: Path) -> None:
    found = plain(folder, chunk_size=2_500)
    table = pq.read_table(folder / "large.parquet")
    small = pa.concat_tables(
        [pq.read_table(folder / f"small-{number}.parquet") for number in range(30)], promote_options="default"
    )
    columns = {column["name"]: column for column in found["columns"]}
    x = pa.concat_tables([table.select(["x"]), table.select(["x"]), small.select(["x"])])["x"].to_numpy()
    # In the CSV, NaN is text that no number is read from.
    assert found["rows"] == 2 * ROWS + 30 * 50
    assert found["bad_records"] == 1
    assert columns["x"]["smallest"] is None  # the types of the files cannot be compared
    assert columns["x"]["nan"] == int(np.isnan(x).sum()) - int(np.isnan(table["x"].to_numpy()).sum())
    assert columns["n"]["nulls"] == 2 * table["n"].null_count + sum(
        pq.read_table(folder / f"small-{number}.parquet")["n"].null_count for number in range(30) if number % 3
    )
    assert columns["t"]["largest"] == pc.max(table["t"]).as_py()
    assert columns["t"]["smallest"] == pc.min(table["t"]).as_py()
    (record,) = [text for text in found["differences"] if "cannot be read" in text]
    assert record.startswith("large.csv has 1 record that cannot be read")


@pytest.mark.parametrize("path", ["", "large.parquet", "large.csv"])
@pytest.mark.slow
def test_the_answer_is_the_same_whatever_carries_it_out(folder: Path, path: str) -> None:
    expected = plain(folder / path, scheduler="sync", chunk_size=10**6)
    ways: list[dict[str, Any]] = [
        {"chunk_size": "64KiB"},
        {"chunk_size": 777, "workers": 3, "memory": "4GiB"},
        {"scheduler": "sync", "chunk_size": 5_000},
    ]
    if not path:
        ways.append({"scheduler": "processes", "chunk_size": 5_000, "workers": 2})
    scheduling = dict.fromkeys(("scheduler", "chosen_by"))
    for how in ways:
        assert {**plain(folder / path, **how), **scheduling} == {**expected, **scheduling}, how


def test_a_file_that_is_cut_and_damaged_in_the_middle_counts_for_nothing(folder: Path, tmp_path: Path) -> None:
    for name in ("large.parquet", "small-1.parquet"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    expected = plain(tmp_path / "small-1.parquet")
    size = (tmp_path / "large.parquet").stat().st_size
    with (tmp_path / "large.parquet").open("r+b") as file:
        file.seek(size // 2)
        file.write(bytes(2_000))
    found = plain(tmp_path, chunk_size=2_000)
    assert [error["path"] for error in found["errors"]] == ["large.parquet"]
    assert found["columns"] == expected["columns"]
    assert found["rows"] == expected["rows"]


def test_a_column_without_a_name_is_named_and_left_aside(tmp_path: Path) -> None:
    pd.DataFrame({"a": [1, 2, 3.5], "b": ["x", "y", None]}).to_csv(tmp_path / "index.csv")
    for full in (False, True):
        found = pipeline.inspect(tmp_path / "index.csv", full=full)
        assert isinstance(found, DataInspection)
        assert [column.name for column in found.columns] == ["", "a", "b"]
        assert found.differences == ("index.csv has a column without a name: the values are not shown",)
        assert found.columns[0].nulls is None
    assert found.columns[2].nulls == 1
    assert found.columns[1].largest_number == 3.5


def test_the_scheduler_that_read_everything_is_named_with_the_rule_that_chose_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = folder / "small-1.parquet"
    by_default = pipeline.inspect(path, full=True)
    assert isinstance(by_default, DataInspection)
    assert by_default == pipeline.inspect(path, full=True, scheduler="sync")
    assert "threads, by default" in str(by_default)
    assert run(["inspect", str(path), "--full", "--scheduler", "sync"]) == 0
    assert "scheduler   sync, as asked" in capsys.readouterr().out
    found = plain(path, scheduler="sync")
    assert (found["scheduler"], found["chosen_by"]) == ("sync", "option")
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:1")
    statistics = inspection_json(pipeline.inspect(path))
    assert (statistics["scheduler"], statistics["chosen_by"]) == (None, None)


@pytest.mark.parametrize("rows", [1, 8])
@pytest.mark.slow
def test_what_does_not_fit_the_budget_is_refused_by_name_and_hides_no_other(tmp_path: Path, rows: int) -> None:
    """A file of some kilobytes that decodes to a hundred megabytes, beside one that is sound."""
    bomb = pa.table({"map": pa.array([np.zeros(12_000_000 // rows, dtype=np.int64)] * rows)})
    pq.write_table(bomb, tmp_path / "bomb.parquet", compression="brotli", use_dictionary=False)
    del bomb
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "sound.parquet")
    assert (tmp_path / "bomb.parquet").stat().st_size < 20_000
    code = (
        "import sys\nfrom jobs.cli import run\nfrom pipeline.memory import peak_bytes\n"
        "code = run(sys.argv[1:])\nprint(peak_bytes(), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    words = ["inspect", str(tmp_path), "--full", "--memory", "400MiB", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 71, done.stderr
    found = json.loads(done.stdout)
    assert [file["path"] for file in found["files"]] == ["sound.parquet"]
    assert found["rows"] == 2
    assert "bomb.parquet: the job needs" in done.stderr
    assert int(done.stderr.split()[-1]) < 400 * 2**20


def test_a_budget_that_nothing_fits_is_an_error_of_every_file(folder: Path) -> None:
    found = pipeline.inspect(folder / "large.csv", full=True, memory="50MiB")
    (error,) = found.errors
    assert isinstance(error.error, MemoryBudgetError)
    assert "large.csv" in error.error.message


@pytest.mark.parametrize("how", [{"memory": "4GiB"}, {"workers": 2}, {"scheduler": "sync"}, {"chunk_size": 5}])
def test_options_of_a_scan_go_with_full(folder: Path, how: dict[str, Any]) -> None:
    (name,) = how
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} is only for data that is read with --full"):
        pipeline.inspect(folder, **how)


@pytest.mark.parametrize("how", [{"memory": 0}, {"workers": 0}, {"chunk_size": 0}, {"scheduler": ""}])
def test_nothing_is_no_amount_and_no_scheduler(folder: Path, how: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        pipeline.inspect(folder, full=True, **how)


def test_a_scheduler_that_does_not_exist_is_refused(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is no scheduler"):
        pipeline.inspect(folder, full=True, scheduler="thread")
