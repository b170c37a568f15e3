"""Where a value comes from: the command line, then the environment, then a file, then the default."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import click
import pytest

from jobs.options.values import split_list
from pipeline import disk
from tests.jobs.conftest import parsed

SAMPLE = Path(__file__).resolve().parents[3] / "sample_data"


def write(folder: Path, text: str) -> str:
    path = folder / "job.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


WHOLE = """
[score]
inputs = ["flights", "more/*.csv"]
model = "m.json"
output = "/published/out"
keep = ["id", "a,b"]
raw-prediction = true
threshold = 0.25
limit = 100
delimiter = "tab"
null = ["NA", "-"]
columns = ["id", "a,b", "x"]
type = ["id=int64", "d=decimal128(10, 2)"]
chunk-size = 5000
workers = 3
memory = "2GiB"
if-exists = "replace"
max-bad = 100
fingerprint = "full"
retries = 0
no-resume = true
no-reuse = true
if-running = "wait=10m"
deadline = 3600
grace = "5s"
keep-versions = 0
durability = "none"
json = true

[transform]
apply = ["p=sigmoid(x)"]
"""


def test_a_file_states_the_whole_job(tmp_path):
    params = parsed("score", "--config", write(tmp_path, WHOLE))
    assert params["inputs"] == (f"{tmp_path}/flights", f"{tmp_path}/more/*.csv")
    assert params["model"] == f"{tmp_path}/m.json"
    assert params["output"] == "/published/out"
    assert params["keep"] == ("id", "a,b")
    assert params["raw_prediction"] is True
    assert params["threshold"] == 0.25
    assert params["limit"] == 100
    assert params["delimiter"] == "\t"
    assert params["null"] == ("NA", "-")
    assert params["columns"] == ("id", "a,b", "x")
    assert params["type"] == (("id", "int64"), ("d", "decimal128(10, 2)"))
    assert (params["chunk_size"], params["workers"], params["memory"]) == ("5000", 3, "2GiB")
    assert (params["max_bad"], params["fingerprint"], params["retries"]) == ("100", "full", 0)
    assert (params["no_resume"], params["no_reuse"], params["if_running"]) == (True, True, "wait=10m")
    assert (params["deadline"], params["grace"]) == ("3600", "5s")
    assert (params["keep_versions"], params["durability"]) == (0, "none")
    assert params["json"] is True
    assert params["quote"] == '"'


def test_a_plan_reads_the_table_and_the_environment_of_score(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_SCORE_WORKERS", "7")
    params = parsed("plan", "--config", write(tmp_path, WHOLE))
    assert (params["workers"], params["memory"]) == (7, "2GiB")


def test_the_flag_beats_the_environment_and_the_environment_the_file(tmp_path, monkeypatch):
    words = ["score", "--config", write(tmp_path, WHOLE)]
    assert parsed(*words)["workers"] == 3
    monkeypatch.setenv("LOGITSTREAM_SCORE_WORKERS", "4")
    assert parsed(*words)["workers"] == 4
    assert parsed(*words, "--workers", "5")["workers"] == 5
    assert parsed(*words, "given.csv")["inputs"] == ("given.csv",)
    assert parsed(*words, "--keep", "other")["keep"] == ("other",)


def test_the_environment_names_the_file_too(tmp_path, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_SCORE_CONFIG", write(tmp_path, WHOLE))
    assert parsed("score")["workers"] == 3


def test_several_values_in_the_environment_are_separated_by_commas(monkeypatch):
    for name, value in {
        "KEEP": 'id, "a,b"', "NULL": "NA,-", "TYPE": "id=int64, d=decimal128(10, 2)", "COLUMNS": "id,d",
        "RAW_PREDICTION": "1", "JSON": "true", "FORMAT": "csv", "CHUNK_SIZE": "64MiB",
        "MAX_BAD": "0.5%", "FINGERPRINT": "full", "RETRIES": "0", "NO_RESUME": "1", "NO_REUSE": "true",
        "IF_RUNNING": "skip", "DEADLINE": "3h", "GRACE": "5", "KEEP_VERSIONS": "2", "DURABILITY": "none",
    }.items():  # fmt: skip
        monkeypatch.setenv(f"LOGITSTREAM_SCORE_{name}", value)
    params = parsed("score", "a.csv", "--model", "m", "--output", "o")
    assert params["keep"] == ("id", "a,b")
    assert params["null"] == ("NA", "-")
    assert params["type"] == (("id", "int64"), ("d", "decimal128(10, 2)"))
    assert params["columns"] == ("id", "d")
    assert (params["raw_prediction"], params["json"], params["format"]) == (True, True, "csv")
    assert params["chunk_size"] == "64MiB"
    assert (params["max_bad"], params["fingerprint"], params["retries"]) == ("0.5%", "full", 0)
    assert (params["no_resume"], params["no_reuse"], params["if_running"]) == (True, True, "skip")
    assert (params["deadline"], params["grace"]) == ("3h", "5")
    assert (params["keep_versions"], params["durability"]) == (2, "none")


def test_several_functions_in_the_environment(monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_TRANSFORM_APPLY", 'p=sigmoid(x), q=logit("a,b")')
    assert parsed("transform", "a.csv", "--output", "o")["apply"] == ("p=sigmoid(x)", 'q=logit("a,b")')


@pytest.mark.parametrize(
    ("text", "spellings"),
    [
        ("NA", ("NA",)),
        ("NA,-", ("NA", "-")),
        ("NA, n/a", ("NA", "n/a")),
        ('","', (",",)),
        ('"a,b",c', ("a,b", "c")),
        ('" NA"', (" NA",)),
        ("", ("",)),
        ("NA,NA", ("NA",)),
    ],
)
def test_a_comma_separates_two_spellings_of_null(monkeypatch, tmp_path, text, spellings):
    words = ("score", "a.csv", "--model", "m", "--output", "o")
    assert parsed(*words, "--null", text)["null"] == spellings
    file = write(tmp_path, f"[score]\nnull = [{json.dumps(text)}, '?']\n")
    assert parsed(*words, "--config", file)["null"] == (text, "?")
    if text:
        monkeypatch.setenv("LOGITSTREAM_SCORE_NULL", text)
        assert parsed(*words)["null"] == spellings


def test_spellings_of_null_may_be_given_one_by_one(tmp_path):
    words = ("score", "a.csv", "--model", "m", "--output", "o")
    assert parsed(*words, "--null", "NA", "--null", "-,?")["null"] == ("NA", "-", "?")
    assert parsed(*words, "--config", write(tmp_path, "[score]\nnull = 'NA,-'\n"))["null"] == ("NA", "-")


def test_both_spellings_of_null_are_read_as_null(cli, tmp_path):
    (tmp_path / "in.csv").write_text("x\nNA\n1\n-\n")
    words = ("transform", tmp_path / "in.csv", "--apply", "p=sigmoid(x)", "-o", tmp_path / "out", "--null", "NA,-")
    outcome = cli(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["rows"]["null"] == 2


def test_a_list_in_one_text():
    assert split_list('a, b(c, d) ,"e,f"') == ["a", "b(c, d)", '"e,f"']
    assert split_list("") == [""]
    assert split_list("a)),b") == ["a))", "b"]


def test_a_folder_that_a_slash_asks_for_stays_one(tmp_path):
    text = '[score]\ninputs = ["data"]\nmodel = "m.json"\noutput = "scores.parquet/"\n'
    assert parsed("score", "--config", write(tmp_path, text))["output"] == f"{tmp_path}/scores.parquet/"


def test_a_path_in_a_file_starts_from_the_folder_of_the_file(tmp_path, monkeypatch):
    folder = tmp_path / "data[1]"
    folder.mkdir()
    path = write(folder, '[score]\ninputs = ["x.csv", "*.csv"]\nmodel = "m.json"\noutput = "out"\n')
    params = parsed("score", "--config", path)
    assert params["inputs"] == (f"{folder}/x.csv", f"{tmp_path}/data[[]1]/*.csv")
    monkeypatch.chdir(folder)
    assert parsed("score", "--config", "job.toml")["inputs"] == ("x.csv", "*.csv")
    assert parsed("score", "--config", "job.toml", "--output", "other")["output"] == "other"


FAULTS = {
    "[score]\nwokers = 3\n": ("[score] wokers is not known", "did you mean workers?"),
    "[score]\nchunk_size = 3\n": ("[score] chunk_size is not known", "did you mean chunk-size?"),
    "[score]\nconfig = 'other.toml'\n": (
        "[score] config is not known",
        "choose absent, adapt, allow-empty, chunk-size,",
    ),
    "[score]\nna-values = 'NA'\n": ("[score] na-values is not known", "did you mean null?"),
    "[scores]\nworkers = 3\n": ("table [scores] is not known", "did you mean score?"),
    "workers = 3\n": ("workers is not known", "choose calibrate, evaluate, fit, fit-network, score or transform"),
    "[transform]\n": ("has no table [score]", "write the options below a line [score]"),
    "score = 3\n": ("has no table [score]", "write the options below a line [score]"),
    "[score]\nworkers = '3'\n": ("[score] workers is a string, not a whole number", ""),
    "[score]\nworkers = true\n": ("[score] workers is true or false, not a whole number", ""),
    "[score]\nworkers = 0\n": ("[score] workers: '0' is not a whole number of at least 1", ""),
    "[score]\nthreshold = 'half'\n": ("[score] threshold is a string, not a number", ""),
    "[score]\nthreshold = 2.5\n": ("[score] threshold: 2.5 is not a number from 0 to 1", ""),
    "[score]\nkeep = [1]\n": ("[score] keep is a list, not a list of strings", ""),
    "[score]\nkeep = ['']\n": ("[score] keep: a column name is empty", ""),
    "[score]\nnull = 5\n": ("[score] null is a whole number, not a list of strings", ""),
    "[score]\njson = 'yes'\n": ("[score] json is a string, not true or false", ""),
    "[score]\nmemory = 0.5\n": ("[score] memory is a number, not a string or a whole number", ""),
    "[score]\nretries = -1\n": ("[score] retries: '-1' is not a whole number of at least 0", ""),
    "[score]\nretries = '3'\n": ("[score] retries is a string, not a whole number", ""),
    "[score]\nkeep-versions = -1\n": ("[score] keep-versions: '-1' is not a whole number of at least 0", ""),
    "[score]\nmax-bad = 0.5\n": ("[score] max-bad is a number, not a string or a whole number", ""),
    "[score]\nmax-bad = '101%'\n": ("[score] max-bad: '101%' is not a number of bad rows: write a number", ""),
    "[score]\nno-resume = 'yes'\n": ("[score] no-resume is a string, not true or false", ""),
    "[score]\nresume = false\n": ("[score] resume is not known", "did you mean no-resume?"),
    "[score]\nno-reuse = 1\n": ("[score] no-reuse is a whole number, not true or false", ""),
    "[score]\nif-running = 'skip=5m'\n": ("[score] if-running: 'skip=5m' is neither fail, skip nor wait", ""),
    "[score]\nif-running = true\n": ("[score] if-running is true or false, not a string", ""),
    "[score]\ndeadline = '3 weeks'\n": ("[score] deadline: '3 weeks' is not a duration: write 90s, 25m, 3h", ""),
    "[score]\ngrace = 0\n": ("[score] grace: '0' is not a duration: it must be more than 0", ""),
    "[score]\nfingerprint = 'none'\n": ("[score] fingerprint: 'none' is not one of 'ends', 'full'", ""),
    "[score]\ndurability = 'half'\n": ("[score] durability: 'half' is not one of 'full', 'none'", ""),
    "[score]\nmodel = 2013-01-01\n": ("[score] model is a date or a time, not a string", ""),
    "[score]\nprecision = 'quick'\n": (
        "[score] precision: 'quick' is not one of 'fast', 'accurate', 'reproducible'",
        "",
    ),
    "[score\n": ("is not TOML: ", "(at line 1, column 7)"),
    "[score]\n'\\u001b[31m' = 1\n": ("[score] \\u001b[31m is not known", ""),
}


@pytest.mark.parametrize("text", FAULTS, ids=[text.replace("\n", " ")[:40] for text in FAULTS])
def test_a_fault_of_the_file_is_named_with_its_place(cli, tmp_path, text):
    message, more = FAULTS[text]
    path = write(tmp_path, text)
    outcome = cli("score", "a.csv", "--model", "m", "--output", "o", "--config", path)
    assert outcome.code == 78, outcome.err
    assert outcome.err.startswith(f"error: {path}")
    assert message in outcome.err
    assert more in outcome.err


def test_a_file_that_cannot_be_read(cli, tmp_path):
    outcome = cli("score", "--config", tmp_path / "none.toml")
    assert outcome.code == 78
    assert outcome.err == f"error: {tmp_path}/none.toml cannot be read: No such file or directory\ncheck the path\n"
    (tmp_path / "latin.toml").write_bytes(b"[score]\nmodel = '\xe9'\n")
    assert cli("score", "--config", tmp_path / "latin.toml").code == 78
    assert cli("score", "--config", tmp_path).code == 78


def test_a_file_that_may_not_be_read(cli, tmp_path, monkeypatch):
    path = write(tmp_path, WHOLE)

    def refuse(*_: object) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)

    # The superuser may read whatever its mode is.
    monkeypatch.setattr(disk, "read_file", refuse)
    outcome = cli("score", "--config", path)
    assert outcome.code == 77
    assert outcome.err == (
        f"error: {path} cannot be read: Permission denied\ncheck the permissions of the file and its folders\n"
    )


@pytest.mark.parametrize(("stated", "flag", "other"), [("quiet", "-v", "verbose"), ("verbose", "-q", "quiet")])
def test_how_much_is_said_is_decided_by_the_stronger_place(tmp_path, monkeypatch, stated, flag, other):
    words = ("score", "a.csv", "--model", "m", "--output", "o")
    file = ("--config", write(tmp_path, f"[score]\n{stated} = true\n"))
    params = parsed(*words, *file, flag)
    assert (params[stated], params[other]) == (False, True)
    monkeypatch.setenv(f"LOGITSTREAM_SCORE_{other.upper()}", "1")
    params = parsed(*words, *file)
    assert (params[stated], params[other]) == (False, True)
    monkeypatch.setenv(f"LOGITSTREAM_SCORE_{stated.upper()}", "1")
    with pytest.raises(click.UsageError, match="contradict each other"):
        parsed(*words)


def test_an_empty_path_and_an_address_in_a_file_stay_what_they_are(cli, tmp_path):
    path = write(tmp_path, "[score]\ninputs = ['a.csv']\nmodel = ''\noutput = 's3://b/x'\n")
    outcome = cli("score", "--config", path)
    assert (outcome.code, outcome.err) == (78, f"error: {path}: [score] model: it is empty\n")
    assert parsed("score", "--config", path, "--model", "m")["output"] == "s3://b/x"


@pytest.mark.parametrize("command", ["score", "plan"])
def test_a_misspelt_variable_is_an_error_that_names_the_nearest(cli, monkeypatch, command):
    monkeypatch.setenv("LOGITSTREAM_SCORE_WOKERS", "3")
    for words in (("a.csv", "--model", "m", "--output", "o"), ()):
        outcome = cli(command, *words)
        assert (outcome.code, outcome.out) == (78, "")
        assert outcome.err == (
            "error: the environment variable LOGITSTREAM_SCORE_WOKERS is not known\n"
            "did you mean LOGITSTREAM_SCORE_WORKERS?\n"
        )
    assert cli(command, "--help").code == 0


def test_a_variable_that_is_like_no_option_is_an_error(cli, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_MODEL_CHECK_XYZ", "3")
    outcome = cli("model", "check", "m.json")
    assert outcome.code == 78
    assert outcome.err == (
        "error: the environment variable LOGITSTREAM_MODEL_CHECK_XYZ is not known\n"
        "unset it, or see 'logitstream model check --help'\n"
    )


@pytest.mark.parametrize(
    ("name", "command", "meant"),
    [
        ("LOGITSTREAM_CHUNK_SIZE", "score", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
        ("LOGITSTREAM_CHUNKSIZE", "transform", "LOGITSTREAM_TRANSFORM_CHUNK_SIZE"),
        ("LOGITSTREAM_SCOR_CHUNK_SIZE", "score", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
        ("LOGITSTREAM_SCOR_CHUNK_SIZE", "transform", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
        ("LOGITSTREAM_SCOR_CHUNK_SIZE", "guide", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
        ("LOGITSTREAM_PLAN_CHUNK_SIZE", "plan", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
        ("LOGITSTREAM_PLAN_CHUNK_SIZE", "transform", "LOGITSTREAM_SCORE_CHUNK_SIZE"),
    ],
)
def test_a_variable_of_no_command_is_an_error_that_names_the_nearest(cli, monkeypatch, name, command, meant):
    monkeypatch.setenv(name, "3")
    outcome = cli(command)
    assert (outcome.code, outcome.out) == (78, "")
    assert outcome.err == f"error: the environment variable {name} is not known\ndid you mean {meant}?\n"


def test_variables_of_other_commands_and_programs_are_left_alone(cli, monkeypatch):
    services = ("SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_80_TCP", "PORT_80_TCP_ADDR")
    for name in (
        "_LOGITSTREAM_COMPLETE", "LOGITSTREAMS", "LOGITSTREAM_TRANSFORM_APLY", "LOGITSTREAM_MODEL_SHOW_VERBOSE",
        "LOGITSTREAM_VERSION", *(f"LOGITSTREAM_{service}" for service in services),
    ):  # fmt: skip
        monkeypatch.setenv(name, "1")
    for command in ("score", "plan"):
        assert parsed(command, "a.csv", "--model", "m", "--output", "o")["workers"] is None
    # Also next to the command that reads it.
    assert cli("model", "check", SAMPLE / "delay_model.json").code == 0


def test_the_input_cannot_come_from_the_environment(cli, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_SCORE_INPUTS", "a.csv")
    outcome = cli("score", "--model", "m", "--output", "o")
    assert outcome.code == 78
    assert "LOGITSTREAM_SCORE_INPUTS is not known" in outcome.err


def test_groups_that_are_no_columns_are_named_by_the_place_that_says_so(cli, monkeypatch, tmp_path):
    told = "--by 'a::b' is not the name of a column, or several with colons between them"
    path = write(tmp_path, "[evaluate]\nby = ['a::b']\n")
    outcome = cli("evaluate", "a.csv", "--target", "y", "--probability", "p", "--config", path)
    assert (outcome.code, outcome.err.splitlines()[0]) == (78, f"error: {path}: [evaluate] by: {told}")
    monkeypatch.setenv("LOGITSTREAM_EVALUATE_BY", "a::b")
    outcome = cli("evaluate", "a.csv", "--target", "y", "--probability", "p")
    assert (outcome.code, outcome.err.splitlines()[0]) == (78, f"error: LOGITSTREAM_EVALUATE_BY: {told}")


def test_a_fault_of_the_environment_is_named_by_the_variable(cli, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_SCORE_PRECISION", "quick")
    outcome = cli("plan", "a.csv", "--model", "m", "--output", "o")
    assert outcome.code == 78
    choices = "'fast', 'accurate', 'reproducible'"
    assert outcome.err == f"error: LOGITSTREAM_SCORE_PRECISION: 'quick' is not one of {choices}\n"
    monkeypatch.setenv("LOGITSTREAM_SCORE_PRECISION", "fast")
    monkeypatch.setenv("LOGITSTREAM_SCORE_FLOAT32", "perhaps")
    outcome = cli("plan", "a.csv", "--model", "m", "--output", "o")
    assert outcome.code == 78
    assert outcome.err.startswith("error: LOGITSTREAM_SCORE_FLOAT32: ")
