"""Usage errors: their messages and exit codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import UsageError

GIVEN = ("score", "in.parquet", "--model", "m.json", "--output", "out")

MISTAKES = {
    ("--workers", "0"): "invalid value for '--workers': '0' is not a whole number of at least 1",
    ("--workers", "two"): "invalid value for '--workers': 'two' is not a whole number of at least 1",
    ("--output", ""): "invalid value for '--output': it is empty",
    ("--model", ""): "invalid value for '--model': it is empty",
    ("--limit", "-5"): "invalid value for '--limit': '-5' is not a whole number of at least 1",
    ("--threshold", "1.5"): "invalid value for '--threshold': '1.5' is not a number from 0 to 1",
    ("--threshold", "half"): "invalid value for '--threshold': 'half' is not a number from 0 to 1",
    ("--threshold", "nan"): "invalid value for '--threshold': 'nan' is not a number from 0 to 1",
    ("--memory", "lots"): "invalid value for '--memory': 'lots' is not a size: write a number, with a unit where bytes "
    "are meant (64MiB)",
    ("--memory", "512"): "invalid value for '--memory': '512' is not a size: write 512MiB or 4GiB",
    ("--chunk-size", "0"): "invalid value for '--chunk-size': '0' is not a chunk size: it must be at least 1",
    ("--chunk-size", "3 parsecs"): "invalid value for '--chunk-size': '3 parsecs' is not a chunk size: write rows "
    "(500000) or bytes (64MiB)",
    (
        "--scheduler",
        "slurm",
    ): "invalid value for '--scheduler': there is no scheduler 'slurm': write threads, processes, "
    "sync, local, client, an address (tcp://HOST:PORT, tls://HOST:PORT) or the path of a scheduler file "
    "(scheduler.json)",
    ("--scheduler", "localhost:8786"): "invalid value for '--scheduler': 'localhost:8786' lacks the protocol of the "
    "scheduler: write tcp://localhost:8786 or tls://localhost:8786",
    ("--scheduler", "local:cores=4"): "invalid value for '--scheduler': 'local:cores=4': 'cores=4' cannot be used: "
    "write local, local:processes=4 or local:processes=4,threads=1",
    (
        "--adapt",
        "40",
    ): "invalid value for '--adapt': '40' is not a range of workers: write the least and the most, such as 0..40",
    ("--cluster", "LocalCluster"): "invalid value for '--cluster': 'LocalCluster' is not the name of a class: write "
    "MODULE:CLASS",
    ("--scheduler", "tcp://host"): "invalid value for '--scheduler': 'tcp://host' is not the address of a scheduler: "
    "write tcp://HOST:PORT or tls://HOST:PORT",
    ("--retries", "-1"): "invalid value for '--retries': '-1' is not a whole number of at least 0",
    ("--retries", "some"): "invalid value for '--retries': 'some' is not a whole number of at least 0",
    ("--keep-versions", "-1"): "invalid value for '--keep-versions': '-1' is not a whole number of at least 0",
    ("--if-running", "queue"): "invalid value for '--if-running': 'queue' is neither fail, skip nor wait: write fail, "
    "skip, wait or wait=10m",
    ("--if-running", "wait=long"): "invalid value for '--if-running': 'long' is not a duration: write 90s, 25m, 3h or "
    "7d",
    ("--deadline", "0s"): "invalid value for '--deadline': '0s' is not a duration: it must be more than 0",
    ("--deadline", "noon"): "invalid value for '--deadline': 'noon' is not a duration: write 90s, 25m, 3h or 7d",
    ("--grace", "a while"): "invalid value for '--grace': 'a while' is not a duration: write 90s, 25m, 3h or 7d",
    ("--max-bad", "some"): "invalid value for '--max-bad': 'some' is not a number of bad rows: write a number of rows "
    "(100) or a percentage (0.5%)",
    ("--max-bad", "101%"): "invalid value for '--max-bad': '101%' is not a number of bad rows: write a number of rows "
    "(100) or a percentage (0.5%)",
    ("--fingerprint", "none"): "invalid value for '--fingerprint': 'none' is not one of 'ends', 'full'",
    ("--durability", "half"): "invalid value for '--durability': 'half' is not one of 'full', 'none'",
    ("--precision", "quick"): "invalid value for '--precision': 'quick' is not one of 'fast', 'accurate', "
    "'reproducible'",
    ("--format", "orc"): "invalid value for '--format': 'orc' is not one of 'parquet', 'csv'",
    ("--if-exists", "append"): "invalid value for '--if-exists': 'append' is not one of 'fail', 'replace'",
    ("--progress", "loud"): "invalid value for '--progress': 'loud' is not one of 'auto', 'bar', 'log', 'none'",
    ("--delimiter", "::"): "invalid value for '--delimiter': '::' is not one ASCII character (write tab for the "
    "tab character)",
    ("--delimiter", "é"): "invalid value for '--delimiter': 'é' is not one ASCII character (write tab for the "
    "tab character)",
    ("--quote", "''"): "invalid value for '--quote': \"''\" is not one ASCII character (write tab for the tab "
    "character)",
    ("--escape", "ab"): "invalid value for '--escape': 'ab' is not one ASCII character (write tab for the tab "
    "character)",
    ("--comment", "//"): "invalid value for '--comment': '//' is not one ASCII character (write tab for the tab "
    "character)",
    ("--skip-lines", "-1"): "invalid value for '--skip-lines': '-1' is not a whole number of at least 0",
    ("--escape", '"'): "--escape and --quote are the same character '\"'. Leave --escape out: a doubled quote is read "
    "as one",
    ("--escape", ","): "--escape and --delimiter are the same character ','",
    ("--escape", "#", "--comment", "#"): "--escape and --comment are the same character '#'",
    ("--comment", '"'): "--quote and --comment are the same character '\"'",
    ("--comment", ","): "--delimiter and --comment are the same character ','",
    ("--thousands", ","): "--delimiter and --thousands are the same character ','. Write the file with another "
    "--delimiter first",
    ("--thousands", "."): "--decimal and --thousands are the same character '.'. Name the --decimal character, "
    "too: the default is a point",
    ("--thousands", "é1"): "invalid value for '--thousands': 'é1' is not one character (write tab for the tab "
    "character)",
    ("--quote", ","): "--quote and --delimiter are the same character ','",
    ("--encoding", "utf-9"): "invalid value for '--encoding': 'utf-9' is not a known encoding (utf-8, latin-1, "
    "cp1252, utf-16 ...)",
    ("--encoding", "rot13"): "invalid value for '--encoding': 'rot13' is not a known encoding (utf-8, latin-1, "
    "cp1252, utf-16 ...)",
    ("--type", "id"): "invalid value for '--type': 'id' is not NAME=TYPE, such as id=int64",
    ("--type", "id=int64", "--type", "id=int32"): "invalid value for '--type': 'id' is given twice",
    ("--columns", "a,,b"): "invalid value for '--columns': a column name is empty",
    ("--columns", "a,b,a"): "invalid value for '--columns': 'a' is given twice",
    ("--keep", ""): "invalid value for '--keep': a column name is empty",
    ("--keep", '"a'): "invalid value for '--keep': '\"a' is not a list of names separated by commas",
    ("--keep", "*,a"): "invalid value for '--keep': '*' means all columns; leave the other names out",
    ("--compression", "lzma"): "invalid value for '--compression': 'lzma' is not one of 'snappy', 'zstd', 'lz4', "
    "'gzip', 'brotli', 'none'",
    (
        "--format",
        "csv",
        "--compression",
        "snappy",
    ): "--compression snappy cannot be used for CSV: choose none, gzip or zstd",
    (
        "--output",
        "o.csv",
        "--compression",
        "snappy",
    ): "--compression snappy cannot be used for CSV: choose none, gzip or zstd",
    ("-q", "-v"): "--quiet and --verbose contradict each other",
    ("--zzz", "5"): "no such option '--zzz'",
}


@pytest.mark.parametrize(("words", "message"), MISTAKES.items(), ids=lambda value: " ".join(value)[:40])
def test_a_mistake_on_the_command_line_is_told_in_a_sentence(cli, words, message):
    outcome = cli(*GIVEN, *words)
    assert outcome.code == 2
    assert outcome.err == f"error: {message}\nsee 'logitstream score --help'\n"
    assert outcome.out == ""


@pytest.mark.parametrize(
    ("words", "message", "see"),
    [
        (("score",), "missing argument 'INPUT...'", "logitstream score"),
        (("score", "a.csv"), "missing option '--model'", "logitstream score"),
        (("score", "a.csv", "--model", "m"), "missing option '--output'", "logitstream score"),
        (("transform", "a.csv", "--output", "o"), "missing option '--apply'", "logitstream transform"),
        (("scoer",), "no such command 'scoer'. Did you mean 'score'?", "logitstream"),
        (("model", "shwo"), "no such command 'shwo'. Did you mean 'show'?", "logitstream model"),
        (("model", "show"), "missing argument 'MODEL'", "logitstream model show"),
        (("--verison",), "no such option '--verison'. Did you mean '--version'?", "logitstream"),
        (("demo", "x"), "got unexpected extra argument (x)", "logitstream demo"),
    ],
)
def test_what_is_missing_or_unknown_is_named(cli, words, message, see):
    outcome = cli(*words)
    assert outcome.code == 2
    assert outcome.err == f"error: {message}\nsee '{see} --help'\n"


def test_no_command_shows_the_help_and_is_a_usage_error(cli):
    outcome = cli()
    assert outcome.code == 2
    assert outcome.err.startswith("Usage: logitstream [OPTIONS] COMMAND")


def test_what_cannot_be_printed_is_made_visible(cli):
    outcome = cli("score", "--\x1b[31mred\r\n")
    assert outcome.code == 2
    assert "\\x1b[31mred" in outcome.err
    assert "\x1b" not in outcome.err


def test_the_version_is_that_of_the_package(cli):
    import pipeline

    outcome = cli("--version")
    assert (outcome.code, outcome.out) == (0, f"logitstream {pipeline.__version__}\n")


WRITE = "write NAME=FUNCTION(COLUMN, parameter=number), with other names in double quotes"


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (
            ["p=sigm(x)"],
            f'no function "sigm", at column 3; did you mean "sigmoid"?\n  p=sigm(x)\n    ^\n{WRITE}\n',
        ),
        (
            ["p=sigmoid(x)", "p=logit(x)"],
            'two results are called "p"\ngive each result its own name: NAME=FUNCTION(COLUMN)\n',
        ),
    ],
)
def test_a_function_is_understood_before_anything_is_opened(cli, texts, error):
    outcome = cli("transform", "none.csv", *(word for text in texts for word in ("--apply", text)), "--output", "o")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", f"error: {error}")


def test_a_function_in_the_environment_is_named_by_its_variable(cli, monkeypatch):
    monkeypatch.setenv("LOGITSTREAM_TRANSFORM_APPLY", "p=sigm(x)")
    outcome = cli("transform", "none.csv", "--output", "o")
    assert outcome.code == 78
    assert outcome.err.startswith('error: LOGITSTREAM_TRANSFORM_APPLY: no function "sigm"')


def test_an_empty_path_of_a_model_or_a_demonstration_is_refused(cli):
    for words in (("model", "check", ""), ("model", "show", ""), ("demo", "--output", "")):
        outcome = cli(*words)
        assert outcome.code == 2
        assert "it is empty" in outcome.err


def test_no_variable_of_the_environment_asks_for_the_version_or_the_help(cli, monkeypatch):
    score = ("score", "none.csv", "--model", "none.json", "--output", "o")
    monkeypatch.setenv("LOGITSTREAM_VERSION", "1")
    for words in (score, ("model", "check", "none.json")):
        outcome = cli(*words)
        assert (outcome.code, outcome.out) == (66, "")
    for name, words in (("HELP", score), ("SCORE_HELP", score), ("MODEL_HELP", ("model", "check", "none.json"))):
        monkeypatch.setenv(f"LOGITSTREAM_{name}", "1")
        outcome = cli(*words)
        assert (outcome.code, outcome.out) == (78, "")
        assert f"LOGITSTREAM_{name} is not known" in outcome.err
        monkeypatch.delenv(f"LOGITSTREAM_{name}")


UNWRITABLE = ("-", *(f"scores.{ending}" for ending in (
    "xlsx", "xls", "json", "jsonl", "arrow", "feather", "orc", "avro", "delta", "db", "sqlite", "zip", "gz", "zst",
    "XLSX", "csv.gz",
)))  # fmt: skip
SAMPLE = Path(__file__).resolve().parents[3] / "sample_data"


@pytest.mark.parametrize("name", UNWRITABLE)
def test_an_output_that_cannot_be_written_is_refused_before_a_folder_has_its_name(cli, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for command in ("score", "plan"):
        outcome = cli(command, SAMPLE / "flights", "--model", SAMPLE / "delay_model.json", "-o", name)
        assert (outcome.code, outcome.out) == (2, "")
        assert f"error: '{name}' cannot be an output: " in outcome.err
        assert outcome.err.endswith("\nname a folder, or a file that ends in .parquet or .csv\n")
    assert list(tmp_path.iterdir()) == []


def test_python_refuses_such_an_output_too(tmp_path):
    import pipeline

    (tmp_path / "in.csv").write_text("x\n1\n")
    inputs, out = tmp_path / "in.csv", tmp_path / "scores.xlsx"
    dataset = pipeline.open_dataset(str(inputs))
    for refused in (
        lambda: pipeline.score(inputs, SAMPLE / "delay_model.json", out),
        lambda: pipeline.transform(inputs, "p=sigmoid(x)", out),
        lambda: pipeline.transform_stream([np.ones(3)], "p=sigmoid(x)", out),
        lambda: dataset.write({"p": dataset.to_dask_array(["x"])[:, 0]}, str(out)),
    ):
        with pytest.raises(UsageError, match=r"'.*/scores\.xlsx' cannot be an output: \.xlsx files cannot be written"):
            refused()
    assert not out.exists()


@pytest.mark.parametrize("name", ["scores.2026-11", "scores.v2", "json", "scores.json/"])
def test_a_name_with_another_dot_is_a_folder(cli, tmp_path, name):
    out = f"{tmp_path}/{name}"
    outcome = cli("score", SAMPLE / "flights", "-m", SAMPLE / "delay_model.json", "-o", out, "--limit", "5", "-q")
    assert (outcome.code, outcome.err) == (0, "")
    assert (Path(out) / "_manifest.json").exists()


def test_the_environment_may_ask_for_the_plan_alone(cli, monkeypatch, tmp_path):
    monkeypatch.setenv("LOGITSTREAM_TRANSFORM_DRY_RUN", "1")
    (tmp_path / "in.csv").write_text("x\n1\n")
    outcome = cli("transform", tmp_path / "in.csv", "--apply", "p=sigmoid(x)", "--output", tmp_path / "o")
    assert outcome.code == 0, outcome.err
    assert "p: double" in outcome.out
    assert not (tmp_path / "o").exists()
