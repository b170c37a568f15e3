"""Files and folders that are not read, as the command line tells of them."""

from __future__ import annotations

import gzip
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import joblib
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from tests.jobs.conftest import ROOT, Outcome

MODEL = ROOT / "sample_data" / "delay_model.json"
FLIGHTS = ROOT / "sample_data" / "flights.csv"

Cli = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["score", "plan"])
@pytest.mark.parametrize("name", ["model.pkl", "model.joblib", "model"])
def test_a_pickled_model_is_told_of_from_sklearn(cli: Cli, command: str, name: str) -> None:
    Path(name).write_bytes(pickle.dumps({"a": 1}))
    words = (command, FLIGHTS, "--model", name, "--output", "out")
    done = cli(*words)
    assert done.code == 65
    assert f"{name} is a pickled object, not a model file; it was not opened because a pickle runs code" in done.err
    assert "from_sklearn(estimator).save('model.json')" in done.err


@pytest.mark.parametrize("command", [("model", "import"), ("model", "show")])
@pytest.mark.slow
def test_the_lines_that_convert_a_pickle_convert_it(cli: Cli, command: tuple[str, ...]) -> None:
    rows = pd.DataFrame({"x": [0.0, 1.0, 2.0, 3.0]})
    joblib.dump(LogisticRegression().fit(rows, [0, 0, 1, 1]), "late.joblib", compress=3)
    done = cli(*command, "late.joblib", *(("-o", "model.json") if command[1] == "import" else ()))
    lines = done.err.splitlines()[-3:]
    assert (done.code, lines[0][:6]) == (65, "import"), done.err
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
    )
    assert run.returncode == 0
    assert cli("model", "check", "model.json").code == 0


@pytest.mark.parametrize("command", ["score", "plan", "inspect"])
@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("data.jsonl", lambda path: pd.DataFrame({"x": [1]}).to_json(path, orient="records", lines=True), "DuckDB"),
        ("data.feather", lambda path: pd.DataFrame({"x": [1]}).to_feather(path), "pandas.read_feather('data.feather')"),
        ("data.pkl", lambda path: pd.DataFrame({"x": [1]}).to_pickle(path), "frame.to_parquet"),
    ],
)
def test_an_input_in_another_format_is_told_what_to_do(
    cli: Cli, command: str, name: str, write: Callable[[str], object], told: str
) -> None:
    write(name)
    words = () if command == "inspect" else ("--model", MODEL, "--output", "out")
    done = cli(command, name, *words)
    assert (done.code, told in done.err) == (65, True), done.err
    assert len(done.err.splitlines()) <= 3


def test_a_delta_table_is_refused_by_every_command_that_reads(cli: Cli) -> None:
    Path("table/_delta_log").mkdir(parents=True)
    Path("table/part-0.csv").write_bytes(FLIGHTS.read_bytes())
    for words in (
        ("score", "table", "--model", MODEL, "--output", "out"),
        ("plan", "table/part-0.csv", "--model", MODEL, "--output", "out"),
        ("transform", "table/*.csv", "--apply", "p=sigmoid(distance)", "--output", "out"),
        ("inspect", "table"),
    ):
        done = cli(*words)
        assert done.code == 65
        assert "table is a Delta table: its log (_delta_log) decides which of its files are data" in done.err
        assert "delta_scan('" in done.err


def test_plan_lists_files_without_an_ending_and_what_is_skipped(cli: Cli) -> None:
    Path("in").mkdir()
    header, *rows = FLIGHTS.read_text().splitlines(keepends=True)[:21]
    Path("in/part-00000").write_text(header + "".join(rows[:10]))
    Path("in/part-00001.gz").write_bytes(gzip.compress((header + "".join(rows[10:])).encode()) + bytes(512))
    for name in ("_SUCCESS", ".part-00000.crc", "notes.md", "other.json"):
        Path("in", name).write_text("text")
    words = ("in", "--model", MODEL, "--output", "out")
    shown = cli("plan", *words)
    assert shown.code == 0
    read = "2 files without an ending read as CSV: part-00000, part-00001.gz"
    skipped = "skipped 2 files that are neither Parquet nor CSV: notes.md, other.json (JSON)"
    told = json.loads(cli("plan", *words, "--json").out)
    assert {read, skipped} <= set(told["notes"])
    assert read in " ".join(shown.out.split())
    report = json.loads(cli("score", *words, "--json").out)
    assert report["rows"]["read"] == 20
