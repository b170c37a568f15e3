"""``logitstream calibrate``: what it shows, its options from every place, and its exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pipeline as logitstream
from tests.evaluation.calibrating.rows import drawn_rows, model_of_raw, rows_file
from tests.jobs.conftest import parsed


@pytest.fixture
def given(tmp_path: Path) -> tuple[Any, ...]:
    data = rows_file(tmp_path, *drawn_rows(1, 2_000))
    return ("calibrate", data, "--model", model_of_raw(tmp_path), "--target", "y", "--scheduler", "sync")


def test_what_is_shown_is_the_calibration_the_rows_and_measures_before_and_after(
    given: tuple[Any, ...], cli: Any, tmp_path: Path
) -> None:
    outcome = cli(*given, "--method", "platt", "--holdout", "20%", "-o", tmp_path / "out.json")
    assert outcome.code == 0
    words = " ".join(outcome.out.split())
    assert "method platt: slope " in words
    assert re.search(
        r" rows 2,000 read = 1,\d{3} used \+ \d{3} held out \+ 0 dropped \+ 0 bad \+ 0 without target ", words
    )
    assert "optimum largest gradient " in words
    assert " rows that were held out before after " in words
    for name in ("log loss", "ECE", "ECE noise floor", "slope", "intercept"):
        assert f"\n{name} " in outcome.out.replace("\n ", "\n").replace("│", "")
    assert "pass 1 (count): 2,000 rows in " in outcome.err
    assert "passes in " in outcome.err
    assert logitstream.LogisticModel.load(tmp_path / "out.json").output.calibration is not None


def test_each_pass_has_a_line_and_a_bar_that_starts_again_unless_the_command_is_quiet(
    given: tuple[Any, ...], cli: Any
) -> None:
    words = (*given, "--method", "platt", "--progress")
    shown = cli(*words, "bar").err
    assert "2,000 of 2,000 rows" in shown
    assert "pass 1 (count): 2,000 rows in " in shown
    lines = cli(*words, "none").err.splitlines()
    assert lines[0].startswith("pass 1 (count): 2,000 rows in ")
    assert cli(*words, "bar", "-q").err == ""


def test_without_rows_held_out_that_is_said(given: tuple[Any, ...], cli: Any) -> None:
    outcome = cli(*given, "--method", "isotonic")
    words = " ".join(outcome.out.split())
    assert "the same 2,000 rows that the calibration was fitted to; --holdout 20% measures on others" in words
    assert "isotonic: " in words
    assert " keys of the raw prediction; the largest has 0.05% of the rows" in words


def test_model_show_counts_the_steps_of_an_isotonic_calibration(
    given: tuple[Any, ...], cli: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out.json"
    assert cli(*given, "--method", "isotonic", "-o", output).code == 0
    steps = len(json.loads(output.read_text())["output"]["calibration"]["probabilities"])
    assert f" method isotonic, {steps} steps\n" in cli("model", "show", output).out
    assert cli("model", "check", output).code == 0


def test_json_has_the_keys_that_are_documented(given: tuple[Any, ...], cli: Any) -> None:
    found = json.loads(cli(*given, "--method", "beta", "--json").out)
    assert found["kind"] == "calibration"
    assert found["calibration"].keys() == {"method", "a", "b", "c"}
    assert found["before"].keys() == found["after"].keys()
    assert found["after"]["log_loss"] < found["before"]["log_loss"]
    assert found["certificate"]["decrement"] <= 1e-16
    assert (found["output"], found["measured_on"], found["rows"]["read"]) == (None, "used", 2_000)


def test_a_quiet_command_shows_nothing_where_the_model_is_written(
    given: tuple[Any, ...], cli: Any, tmp_path: Path
) -> None:
    outcome = cli(*given, "--method", "temperature", "-q", "-o", tmp_path / "out.json")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "")
    assert cli(*given, "--method", "temperature", "-q").out != ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--method", "plat"), 2, "'plat' is not one of 'platt', 'temperature', 'beta', 'isotonic'"),
        ((), 2, "missing option '--method'"),
        (("--method", "platt", "--target", "z"), 2, "the target z is a feature of the model"),
        (("--method", "platt", "--target", "x"), 65, "x"),
        (("--method", "platt", "-o", "model.json"), 73, "model.json exists"),
        (("--method", "platt", "--model", "no.json"), 66, "no.json"),
        (("--method", "platt", "--holdout", "z > 1e9"), 65, "no row is held out"),
    ],
)
def test_mistakes_have_their_exit_codes(
    words: tuple[str, ...], code: int, message: str, given: tuple[Any, ...], cli: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = cli(*given, *words)
    assert outcome.code == code
    assert message in outcome.err.lower()


def test_options_come_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "job.toml").write_text(
        '[calibrate]\ninputs = ["a.csv"]\nmodel = "m.json"\ntarget = "y"\nmethod = "beta"\nholdout = "20%"\n'
    )
    monkeypatch.setenv("LOGITSTREAM_CALIBRATE_METHOD", "platt")
    params: dict[str, Any] = parsed("calibrate", "--config", str(tmp_path / "job.toml"))
    assert (params["method"], params["holdout"], params["target"]) == ("platt", "20%", "y")
    assert params["inputs"] == (str(tmp_path / "a.csv"),)


def test_levels_that_the_model_does_not_know_are_told_even_quietly(tmp_path: Path, cli: Any) -> None:
    z, y = drawn_rows(1, 400)
    table = pa.table({"z": z, "y": y, "c": ["u"] * 400})
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=100)
    model = json.loads(model_of_raw(tmp_path).read_text())
    model["features"].append({"column": "c", "kind": "categorical", "coefficients": {"a": 1.0}, "unseen": "zero"})
    (tmp_path / "model.json").write_text(json.dumps(model))
    words = ("calibrate", tmp_path / "in.parquet", "--model", tmp_path / "model.json", "--target", "y", "-q", "--json")
    outcome = cli(*words, "--method", "platt", "--chunk-size", "100")
    told = "column c: all 400 values (100%) are levels that the model does not know"
    assert (outcome.code, told in outcome.err) == (0, True)
    (warning,) = json.loads(outcome.out)["warnings"]
    assert warning.startswith(told)
