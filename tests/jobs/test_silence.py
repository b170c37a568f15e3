"""Warnings speak through ``-q``; limits come from the command line, the environment or a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.jobs.conftest import Outcome

MODEL = {
    "format": "logitstream-model",
    "version": 1,
    "kind": "logistic",
    "intercept": 0.5,
    "features": [
        {"column": "x", "kind": "numeric", "coefficient": 1.0, "missing": {"impute": 0}},
        {"column": "carrier", "kind": "categorical", "coefficients": {"AA": 1.0, "UA": -1.0}, "unseen": "zero"},
    ],
}
TEXT = (
    "column carrier: 40 of 200 values (20%) are levels that the model does not know; most frequent: 'NA' (40); "
    "known levels: 'AA', 'UA'; they look like missing values: --null NA, and "
    "--quoted-null if they are in quotes"
)
SCORE = ("score", "in.csv", "-m", "m.json", "-o", "out")
PLAN = ("plan", *SCORE[1:])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("m.json").write_text(json.dumps(MODEL))
    Path("in.csv").write_text("x,carrier\n" + "1,NA\n" * 40 + "2,UA\n" * 160)
    return tmp_path


def test_a_warning_goes_to_standard_error_even_with_q_and_the_exit_code_is_0(cli):
    assert cli(*SCORE, "-q") == Outcome(0, "", f"warning: {TEXT}\n")
    assert json.loads(Path("out/_manifest.json").read_text())["observed"]["warnings"][0]["message"] == TEXT


@pytest.mark.parametrize("words", [(), ("-v",), ("--progress", "none"), ("--progress", "log"), ("--progress", "bar")])
def test_a_warning_is_shown_once(cli, words):
    outcome = cli(*SCORE, *words)
    assert outcome.code == 0
    assert "".join(outcome.err.split()).count("".join(TEXT.split())) == 1


def test_a_warning_is_in_the_json_of_a_report(cli):
    outcome = cli(*SCORE, "-q", "--json")
    (warning,) = json.loads(outcome.out)["warnings"]
    assert warning == {
        "kind": "unseen",
        "column": "carrier",
        "file": None,
        "count": 40,
        "of": 200,
        "values": [{"text": "NA", "at_least": 40}],
        "levels": ["AA", "UA"],
        "known_levels": 2,
        "cause": "missing value",
        "fails": False,
        "message": TEXT,
    }
    assert outcome.err == f"warning: {TEXT}\n"


def test_too_many_unseen_values_are_told_as_other_errors_of_data_are(cli):
    outcome = cli(*SCORE, "-q", "--json", "--max-unseen", "carrier=19%")
    assert outcome.code == 65
    found = json.loads(outcome.out)["error"]
    assert (found["exit_code"], found["kind"], found["column"]) == (65, "DataError", "carrier")
    assert found["message"] == f"{TEXT} (--max-unseen allows 19%)"
    assert outcome.err == f"error: {found['message']}\n{found['remedy']}\n"
    assert not Path("out").exists()


def test_plan_warns_of_a_sample_in_the_same_words(cli):
    Path("in.csv").write_text("x,carrier\n" + "1,NA\n2,UA\n3,AA\n4,AA\n5,AA\n" * 100)
    outcome = cli(*PLAN, "--sample-rows", "200", "-q")
    assert (outcome.code, outcome.err) == (0, f"warning: {TEXT}\n")
    assert "the first rows were sampled: 200 rows of 1 file" in outcome.out
    assert cli(*PLAN, "-q").err == ""
    (warning,) = json.loads(cli(*PLAN, "--sample-rows", "200", "--json", "-q").out)["warnings"]
    assert (warning["message"], warning["fails"]) == (TEXT, False)
    assert cli(*PLAN, "--sample-rows", "200", "--max-unseen", "1%", "-q").err == (
        f"warning: {TEXT}; score would end with 65\n"
    )
    assert cli(*SCORE, "--dry-run", "--sample-rows", "200", "-q").err == f"warning: {TEXT}\n"


@pytest.mark.parametrize(
    ("option", "shares", "code"),
    [
        ("max-unseen", ["19%"], 65),
        ("max-unseen", ["20%"], 0),
        ("max-unseen", ["1%", "carrier=20%"], 0),
        ("max-missing", ["x=19%"], 65),
        ("max-missing", ["x=0%", "carrier=100%"], 65),
        ("max-missing", ["x=20%", "0%"], 0),
    ],
    ids=str,
)
def test_a_limit_may_come_from_the_environment_or_a_file(cli, monkeypatch, option, shares, code):
    Path("in.csv").write_text("x,carrier\n" + ",UA\n" * 40 + "1,NA\n" * 40 + "2,UA\n" * 120)
    with monkeypatch.context() as patch:
        patch.setenv(f"LOGITSTREAM_SCORE_{option.upper().replace('-', '_')}", ",".join(shares))
        patch.setenv("LOGITSTREAM_SCORE_SAMPLE_ROWS", "10")
        assert "10 rows of 1 file" in cli(*PLAN).out
        assert cli(*SCORE).code == code
    job = {"inputs": ["in.csv"], "model": "m.json", "output": "other", option: shares, "sample-rows": 10}
    lines = (f"{name} = {json.dumps(value)}\n" for name, value in job.items())
    Path("job.toml").write_text("[score]\n" + "".join(lines))
    assert cli("score", "--config", "job.toml").code == code
    assert cli("plan", "--config", "job.toml").code == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--max-unseen", "20"), "'20' is not a share"),
        (("--max-unseen", "carier=20%"), 'no categorical feature of that name; did you mean "carrier"?'),
        (("--max-missing", "y=20%"), "the model has no feature of that name"),
        (("--max-unseen", "1%", "--max-unseen", "2%"), "max_unseen has two limits for all features"),
        (("--sample-rows", "0"), "is not a whole number of at least 1"),
    ],
)
def test_a_wrong_limit_is_a_mistake_of_the_command(cli, words, message):
    for command in (SCORE, PLAN):
        outcome = cli(*command, *words)
        assert outcome.code == 2
        assert message in outcome.err


def test_transform_has_no_features_and_no_limits(cli):
    outcome = cli("transform", "in.csv", "--apply", "p=sigmoid(x)", "-o", "out", "--max-unseen", "20%")
    assert outcome.code == 2
    assert cli("transform", "in.csv", "--apply", "p=sigmoid(x)", "-o", "out", "-q") == Outcome(0, "", "")
