"""A command that fails writes its error as JSON where ``--json`` was asked for, and one document at most."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jobs.show import keeping

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
MODEL = SAMPLE / "delay_model.json"
FLIGHTS = SAMPLE / "flights"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
PLACE = {"file": None, "column": None, "row": None, "byte": None}


def error_of(outcome) -> dict[str, object]:
    """Return the error in what a command has written, after comparing it with what stderr says."""
    document = json.loads(outcome.out)
    assert (document["schema_version"], document["kind"]) == (2, "error")
    assert TIME.fullmatch(document["started"])
    assert document["started"] <= document["finished"]
    error = document["error"]
    assert error["exit_code"] == outcome.code
    remedy = f"{error['remedy']}\n" if error["remedy"] else ""
    assert outcome.err.endswith(f"error: {error['message']}\n{remedy}")
    return error


@pytest.mark.parametrize(
    ("words", "kind", "code"),
    [
        (("score", "none.csv", "-m", MODEL, "-o", "o"), "InputMissingError", 66),
        (("score", FLIGHTS, "-m", "none.json", "-o", "o"), "InputMissingError", 66),
        (("transform", FLIGHTS, "--apply", "p=sigmoid(x)", "-o", "o"), "SchemaError", 65),
        (("plan", FLIGHTS, "-m", MODEL, "-o", "none/o"), "OutputError", 73),
        (("plan", FLIGHTS, "-m", MODEL, "-o", "o.xlsx"), "UsageError", 2),
        (("inspect", "none.csv"), "InputMissingError", 66),
        (("verify", "none"), "InputMissingError", 66),
        (("rollback", "none"), "InputMissingError", 66),
        (("runs", "list", "none"), "InputMissingError", 66),
        (("runs", "show", "none"), "InputMissingError", 66),
        (("runs", "clean", "none", "--stopped"), "InputMissingError", 66),
        (("runs", "clean", "none"), "UsageError", 2),
        (("bench", "functions", "sigmod"), "UsageError", 2),
        (("diagnose", "initialisation", "--initialisation", "normal", "--gain", "2"), "UsageError", 2),
        (("diagnose", "initialisation", "--width", "10000000"), "MemoryBudgetError", 71),
        (("diagnose", "gradients", FLIGHTS, "-m", MODEL), "ModelError", 65),
        (("calibrate", FLIGHTS, "-m", MODEL, "--target", "distance", "--method", "platt"), "UsageError", 2),
        (("score", FLIGHTS, "--wokers", "3"), "UsageError", 2),
        (("score", FLIGHTS, "-m", MODEL, "-o", "o", "--workers", "none"), "UsageError", 2),
        (("scoer",), "UsageError", 2),
    ],
)
def test_every_command_writes_its_error_as_json(cli, tmp_path, monkeypatch, words, kind, code):
    monkeypatch.chdir(tmp_path)
    error = error_of(cli(*words, "--json"))
    assert (error["kind"], error["exit_code"]) == (kind, code)
    without = cli(*words)
    assert (without.code, without.out) == (code, "")


def test_the_environment_and_a_file_may_ask_for_json_too(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("score", "none.csv", "-m", MODEL, "-o", "o")
    Path("job.toml").write_text("[score]\njson = true\n")
    assert error_of(cli(*words, "--config", "job.toml"))["exit_code"] == 66
    monkeypatch.setenv("LOGITSTREAM_SCORE_JSON", "1")
    assert error_of(cli(*words))["exit_code"] == 66
    assert error_of(cli(*words, "--unknown"))["exit_code"] == 2
    monkeypatch.setenv("LOGITSTREAM_SCORE_WOKERS", "2")
    assert error_of(cli(*words))["exit_code"] == 78
    monkeypatch.delenv("LOGITSTREAM_SCORE_WOKERS")
    monkeypatch.setenv("LOGITSTREAM_SCORE_JSON", "perhaps")
    assert cli(*words, "--unknown").code == 2


def place_of(error: dict[str, object]) -> dict[str, object]:
    return {name: error[name] for name in PLACE}


def test_a_bad_cell_of_a_csv_has_its_place(cli, tmp_path):
    path = tmp_path / "in.csv"
    path.write_text("id,x\n1,2\n2,far\n")
    error = error_of(cli("transform", path, "--apply", "p=sigmoid(x)", "-o", tmp_path / "o", "--json"))
    assert error["kind"] == "BadCellsError"
    assert error["file"].endswith("in.csv")
    assert place_of(error) == {"file": error["file"], "column": "x", "row": 2, "byte": 9}


def test_a_bad_cell_of_a_parquet_file_has_its_row(cli, tmp_path):
    pq.write_table(pa.table({"x": pa.array([1, 2, 2**53 + 1])}), tmp_path / "in.parquet", row_group_size=2)
    words = ("transform", tmp_path / "in.parquet", "--apply", "p=sigmoid(x)", "-o", tmp_path / "o", "--json")
    error = error_of(cli(*words))
    assert (error["kind"], error["column"], error["row"], error["byte"]) == ("BadCellsError", "x", 3, None)


@pytest.mark.parametrize("scheduler", ["sync", "threads", "processes"])
def test_a_damaged_file_is_named_whatever_worker_finds_it(cli, tmp_path, scheduler):
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": [float(n) for n in range(1000)]}), path, compression="none", use_dictionary=False,
                   write_page_checksum=True)  # fmt: skip
    data = bytearray(path.read_bytes())
    data[len(data) // 4] ^= 255
    path.write_bytes(data)
    words = ("transform", path, "--apply", "p=sigmoid(x)", "-o", tmp_path / "o", "--scheduler", scheduler, "--json")
    error = error_of(cli(*words))
    assert error["exit_code"] == 65
    assert error["file"].endswith("in.parquet")


def test_a_file_without_a_footer_and_a_model_with_a_fault_are_named(cli, tmp_path):
    torn, model = tmp_path / "in.parquet", tmp_path / "m.json"
    torn.write_bytes(b"PAR1")
    model.write_text("{}")
    error = error_of(cli("score", torn, "-m", MODEL, "-o", tmp_path / "o", "--json"))
    assert (error["exit_code"], Path(str(error["file"])).name) == (65, "in.parquet")
    error = error_of(cli("score", torn, "-m", model, "-o", tmp_path / "o", "--json"))
    assert (error["kind"], error["file"]) == ("ModelError", str(model))


def test_a_command_that_has_written_its_findings_writes_no_second_document(cli, tmp_path):
    out = tmp_path / "out"
    assert cli("score", FLIGHTS, "-m", MODEL, "-o", out, "--limit", "20", "-q").code == 0
    next(out.glob("part-*")).unlink()
    found = cli("verify", out, "--json")
    assert (found.code, json.loads(found.out)["kind"]) == (3, "verification")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    found = cli("inspect", tmp_path / "torn.parquet", "--json")
    assert (found.code, len(json.loads(found.out)["errors"])) == (65, 1)


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [(KeyboardInterrupt("run it again"), "Stopped", 130), (ZeroDivisionError("secret"), "Bug", 1)],
)
def test_what_stops_a_command_from_outside_and_a_bug_are_errors_too(cli, monkeypatch, error, kind, code):
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(keeping, "state_of", fail)
    found = error_of(cli("runs", "show", "out", "--json"))
    assert (found["kind"], found["exit_code"], place_of(found)) == (kind, code, PLACE)
    assert "secret" not in json.dumps(found)


def test_where_stdout_takes_nothing_the_error_keeps_its_code(process):
    with Path("/dev/full").open("w") as full:
        outcome = process("inspect", "none.csv", "--json", capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert outcome.code == 66
    assert outcome.err == (
        "error: no such input: none.csv\ncheck the path\n"
        "error: standard output cannot be written: No space left on device\n"
    )


def test_times_and_the_number_of_inputs_are_in_every_report(cli, tmp_path):
    words = ("score", FLIGHTS, "-m", MODEL, "-o", tmp_path / "out", "--limit", "20", "--json")
    # The second run has nothing to do.
    for more, files in ((), None), (("-v",), 4):
        outcome = cli(*words, *more)
        assert outcome.code == 0, outcome.err
        report = json.loads(outcome.out)
        assert all(TIME.fullmatch(report[name]) for name in ("started", "finished"))
        assert report["started"] <= report["finished"]
        assert report["plan"]["inputs"] == 4
        assert len(report["plan"].get("files", ())) == (files or 0)
        assert re.search(r"^started \d{4}-\S+Z, finished \d{4}-\S+Z$", outcome.err, re.MULTILINE)
